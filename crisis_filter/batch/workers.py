"""Processes that judge with the embedded engine, so that every core is used; each holds one filter for its whole life.

A process that dies is started anew, and what it had in hand is given to it again: nothing it said had been written down.
"""

from __future__ import annotations

import asyncio
import multiprocessing
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from crisis_filter.batch.journal import Journal
from crisis_filter.batch.rows import BatchRow
from crisis_filter.batch.slots import Count, Judging
from crisis_filter.errors import ConfigurationError
from crisis_filter.pipeline.description import FilterSpec
from crisis_filter.schema import Assessment, Message

__all__ = ["judge", "judge_in_processes"]

_MOST_DEATHS = 3
_PARCEL = 32
_AHEAD = 2
"""Parcels that a worker has in hand, so that it never waits for the next."""
_SLOTS = 2
_STOP: tuple[Message, ...] = ()


def judge(spec: FilterSpec, connection: Connection, slots: int) -> None:
    """What a worker does until it is told to stop: messages in, assessments as JSON out, in their order.

    Args:
        spec: frozen; the filter is opened here.
        connection: to whoever gives the work.
        slots: messages in work at once.
    """
    # A signal is for the parent, which then stops its workers in good order.
    import signal

    from crisis_filter.pipeline.spec import open_filter

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    with open_filter(spec) as crisis_filter:
        while True:
            try:
                messages: Sequence[Message] = connection.recv()
            except (EOFError, OSError):
                return
            if not messages:
                return
            found = crisis_filter.classify_many(messages, concurrency=slots)
            connection.send_bytes(b"\n".join(one.model_dump_json().encode() for one in found))


class _Worker:
    """One process, and what it has in hand.

    Args:
        spec: of the filter.
        slots: messages that it has in work at once.
    """

    def __init__(self, spec: FilterSpec, slots: int) -> None:
        self._spec = spec
        self._slots = slots
        self._deaths = 0
        self._in_hand: deque[list[BatchRow]] = deque()
        self._process, self._connection = self._begun()

    def _begun(self) -> tuple[BaseProcess, Connection]:
        # Spawned: a fork would take the runtime's threads over in the middle of whatever they do.
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=judge, args=(self._spec, theirs, self._slots), daemon=True)
        process.start()
        theirs.close()
        return process, ours

    @property
    def in_hand(self) -> int:
        """Parcels that were given and not answered."""
        return len(self._in_hand)

    def give(self, rows: list[BatchRow]) -> None:
        """Give it a parcel of rows, each with a message."""
        self._in_hand.append(rows)
        with suppress(OSError):  # it has died; `take` finds out
            self._send(rows)

    def _send(self, rows: list[BatchRow]) -> None:
        self._connection.send([row.message for row in rows])

    async def take(self, journal: Journal) -> list[tuple[BatchRow, Assessment]]:
        """Wait for the oldest parcel and write its assessments down.

        Raises:
            ConfigurationError: the process died again and again, or the journal cannot be written.
        """
        while True:
            try:
                answer = await asyncio.to_thread(self._connection.recv_bytes)
            except (EOFError, OSError):
                self._revive()
                continue
            break
        rows = self._in_hand.popleft()
        lines = answer.split(b"\n")
        if len(lines) != len(rows):
            raise ConfigurationError("a worker answered for other rows than it was given; that is a bug of ours")
        done = []
        for row, raw in zip(rows, lines, strict=True):
            assessment = Assessment.model_validate_json(raw)
            if row.message is None or assessment.id != row.message.id:
                raise ConfigurationError(
                    "a worker answered for another message than it was given; that is a bug of ours"
                )
            journal.add(row.number, journal.key(row.message), assessment, raw=raw, place=row.place)
            done.append((row, assessment))
        return done

    def _revive(self) -> None:
        """Start the process anew and give it again what it had in hand."""
        self._deaths += 1
        self._connection.close()
        self._process.join(timeout=5)
        code = self._process.exitcode
        if self._deaths >= _MOST_DEATHS:
            raise ConfigurationError(
                f"a worker process died {self._deaths} times, last with exit code {code}; is there memory enough? What was judged is kept"
            )
        self._process, self._connection = self._begun()
        for rows in self._in_hand:
            self._send(rows)

    def stop(self) -> None:
        """End the process, what it has in hand unjudged. Calling it twice does nothing."""
        with suppress(OSError):
            self._connection.send(list(_STOP))
        with suppress(OSError):
            self._connection.close()
        self._process.join(timeout=0.2)
        if self._process.is_alive():
            self._process.terminate()
            self._process.join(timeout=5)
        if self._process.is_alive():
            self._process.kill()
            self._process.join(timeout=5)


async def judge_in_processes(
    spec: FilterSpec, rows: Iterator[BatchRow], how: Judging, workers: int, count: Count
) -> None:
    """Judge rows with several processes; see `slots.judge_rows`.

    Args:
        spec: of the filter that each process opens.
        rows: in order.
        how: the journal, and who is told; its own filter is not asked.
        workers: processes.
        count: is added to.

    Raises:
        ConfigurationError: processes die again and again, or the journal cannot be written.
    """
    parcels = _Parcels(rows, how, count)
    crew = [_Worker(spec, _SLOTS) for _ in range(workers)]
    try:
        async with asyncio.TaskGroup() as group:
            for worker in crew:
                group.create_task(_keep_busy(worker, parcels, how, count))
    except* ConfigurationError as errors:
        raise errors.exceptions[0] from None
    finally:
        for worker in crew:
            worker.stop()


async def _keep_busy(worker: _Worker, parcels: _Parcels, how: Judging, count: Count) -> None:
    while True:
        while worker.in_hand < _AHEAD and (rows := parcels.next()):
            worker.give(rows)
        if not worker.in_hand:
            return
        if how.journal.full:
            await how.journal.room()
        for _, assessment in await worker.take(how.journal):
            count.add(assessment)
            how.tell(count)


class _Parcels:
    """Rows that are to be judged, some at a time."""

    def __init__(self, rows: Iterator[BatchRow], how: Judging, count: Count) -> None:
        self._rows = rows
        self._journal = how.journal
        self._count = count

    def next(self) -> list[BatchRow]:
        """The next parcel; empty when there are no rows left."""
        found: list[BatchRow] = []
        for row in self._rows:
            self._count.read = row.number + 1
            if self._journal.done(row.number):
                self._count.before += 1
            elif row.message is None:
                self._journal.set_aside(row.number)
                self._count.aside += 1
            else:
                found.append(row)
                if len(found) == _PARCEL:
                    break
        return found
