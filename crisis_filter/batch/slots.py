"""Judging the rows of a batch: a fixed number of slots, each taking the next row when it has done one. No task for each message."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol, cast

from crisis_filter.batch.budget import Budget
from crisis_filter.batch.journal import Journal
from crisis_filter.batch.rows import BatchRow
from crisis_filter.errors import FAULTS, BackendError, Fault
from crisis_filter.schema import Assessment, Message

__all__ = ["Count", "Judging", "Throttle", "judge_rows"]

_DRAIN_S = 10.0
"""For what is on its way when a run is cancelled; those who stop a service wait three times as long before they kill it."""
_OF_THE_STOP = frozenset({Fault.RATE_LIMITED, Fault.OVERLOAD})
"""Faults that a stopped gate gives to what was on its way."""


class Throttle(Protocol):
    """What holds messages back; `batch.rate.RateGate` is one."""

    @property
    def stopped(self) -> str | None:
        """Why nothing is sent any more."""
        ...

    async def begin_message(self) -> None:
        """Wait until it is worth beginning with another message."""
        ...

    def end_message(self) -> None:
        """One is done."""
        ...


@dataclass(slots=True)
class Count:
    """Where a run stands. Lives for one run."""

    judged: int = 0
    """Rows judged since it began."""
    before: int = 0
    """Rows that an earlier start had done."""
    aside: int = 0
    read: int = 0
    """Rows of the inputs that were passed so far."""
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    """Of undetermined rows."""
    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def add(self, assessment: Assessment) -> None:
        """Count one."""
        self.judged += 1
        self.outcomes[assessment.outcome] += 1
        if assessment.outcome == "undetermined" and assessment.fault is not None:
            self.faults[assessment.fault.value] += 1
        self.requests += assessment.provenance.attempts
        self.prompt_tokens += assessment.provenance.prompt_tokens
        self.completion_tokens += assessment.provenance.completion_tokens


@dataclass(frozen=True, slots=True)
class Judging:
    """What all slots share."""

    assess: Callable[[Message], Awaitable[Assessment]]
    journal: Journal
    budget: Budget
    throttle: Throttle | None = None
    tell: Callable[[Count], None] = lambda _: None
    patience: int = 400
    """Rows in a row for which no endpoint could answer, after which the run stops: the rest would fare no better."""
    keep: Callable[[BatchRow, Assessment], Assessment | None] = lambda _, assessment: assessment
    """What of a new assessment goes into the journal; `None` leaves what stands there."""


async def judge_rows(
    rows: Iterator[BatchRow], how: Judging, slots: int, count: Count, *, again: bool = False
) -> str | None:
    """Judge rows until there are none left or something stops the run.

    Args:
        rows: in order; each is taken when a slot is free for it.
        how: what judges, and where it is written down.
        slots: rows in work at once.
        count: is added to.
        again: whether rows that have been judged are judged once more.

    Returns:
        Why it stopped before the end; `None` when every row was judged or set aside.

    Cancelled, it takes no more rows and gives those in work some seconds to end, for their requests are paid already; a second
    cancellation ends it at once. What was not judged then stays so, and the next start judges it.

    Raises:
        ConfigurationError: the journal cannot be written.
    """
    work = _Work(rows, how, count, again=again)
    tasks = [asyncio.create_task(work.slot()) for _ in range(slots)]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    except asyncio.CancelledError:
        work.why = "stopped"
        for task in set(tasks) - work.at_work:
            task.cancel()
        await asyncio.wait(tasks, timeout=_DRAIN_S)
        raise
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return work.why


class _Work:
    """The state that slots share."""

    def __init__(self, rows: Iterator[BatchRow], how: Judging, count: Count, *, again: bool) -> None:
        self.why: str | None = None
        self.at_work: set[asyncio.Task[None]] = set()
        """Slots in the middle of a message."""
        self._rows = rows
        self._how = how
        self._count = count
        self._again = again
        self._silent = 0

    async def slot(self) -> None:
        how = self._how
        while self.why is None:
            if how.journal.full:
                await how.journal.room()
            if how.throttle is not None:
                try:
                    await how.throttle.begin_message()
                except BackendError:
                    self.why = self.why or how.throttle.stopped
                    return
            try:
                row = self._next()
                if row is None or row.message is None:
                    return
                slot = cast("asyncio.Task[None]", asyncio.current_task())
                self.at_work.add(slot)
                try:
                    await self._one(row, row.message)
                finally:
                    self.at_work.discard(slot)
            finally:
                if how.throttle is not None:
                    how.throttle.end_message()

    async def _one(self, row: BatchRow, message: Message) -> None:
        how = self._how
        try:
            assessment = await how.assess(message)
        except asyncio.CancelledError:
            how.budget.give_back()
            raise
        how.budget.settle(assessment)
        stopped = how.throttle.stopped if how.throttle is not None else None
        if stopped is not None:
            self.why = self.why or stopped
            if assessment.outcome == "undetermined" and assessment.fault in _OF_THE_STOP:
                return  # it was our stop, and says nothing of the message
        kept = how.keep(row, assessment)
        if kept is not None:
            how.journal.add(row.number, how.journal.key(message), kept, place=row.place)
            self._count.add(kept)
        how.tell(self._count)
        self._watch(assessment)

    def _watch(self, assessment: Assessment) -> None:
        down = assessment.outcome == "undetermined" and assessment.fault is not None and FAULTS[assessment.fault].trips
        self._silent = self._silent + 1 if down else 0
        if self._silent >= self._how.patience:
            self.why = self.why or f"the service has failed {self._silent:,} messages one after the other"

    def _next(self) -> BatchRow | None:
        """The next row that is to be judged."""
        how = self._how
        if self.why is not None:
            return None
        if (over := how.budget.take()) is not None:
            self.why = over
            return None
        for row in self._rows:
            self._count.read = row.number + 1
            if not self._again and how.journal.done(row.number):
                self._count.before += 1
            elif row.message is None:
                how.journal.set_aside(row.number)
                self._count.aside += 1
            else:
                return row
        how.budget.give_back()
        return None
