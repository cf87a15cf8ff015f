"""A persistent engine for blocks of rows: one filter, one event loop, and slots that go on from one block to the next.

Blocks are judged together: as soon as all rows of one are begun with, rows of the next are, while the slow ones of the last are still out.
There is no journal; what repeats a block after a crash (Ray, Spark) asks again about all of its rows.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Self

import numpy as np

from crisis_filter.batch.blocks import Verdicts, messages_of
from crisis_filter.batch.blocks_spec import BlockSpec
from crisis_filter.batch.lanes import lanes
from crisis_filter.batch.lease_gate import LeasedGate
from crisis_filter.batch.lease_tcp import TcpLeases
from crisis_filter.batch.rate import RateGate, rate_gate
from crisis_filter.batch.rate_bucket import Limits
from crisis_filter.batch.rate_patience import PatiencePolicy
from crisis_filter.batch.rate_slots import SlotsPolicy
from crisis_filter.errors import FAULTS, BackendError, ConfigurationError, CrisisFilterError, Fault
from crisis_filter.pipeline.description import LOCAL
from crisis_filter.pipeline.spec import open_filter
from crisis_filter.schema import Assessment, Message

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["BlockEngine", "StoppedError"]

_REPLAYING = ("scripted:", "recorded:")
_OF_THE_STOP = frozenset({Fault.RATE_LIMITED, Fault.OVERLOAD})
"""Faults that a stopped gate gives to what was on its way."""


class StoppedError(CrisisFilterError):
    """Nothing is asked about any more, for a reason that will not pass by itself; the rows of the block are not judged."""


class _Block:
    """One block in work.

    Attributes:
        done: gets the verdicts, or why there are none.
    """

    def __init__(self, messages: Iterator[Message], verdicts: Verdicts, rows: int) -> None:
        self.done: asyncio.Future[pa.RecordBatch] = asyncio.get_running_loop().create_future()
        self.rows = rows
        self.begun = 0
        self._messages = messages
        self._verdicts = verdicts

    def next(self) -> tuple[int, Message] | None:
        """Place and message of the next row; `None` when all are begun with or nobody waits for them any more."""
        if self.done.done() or self.begun == self.rows:
            return None
        message = next(self._messages, None)
        if message is None:
            self.fail(RuntimeError("a block gave fewer messages than it has rows; that is a bug of ours"))
            return None
        self.begun += 1
        return self.begun - 1, message

    def put(self, at: int, assessment: Assessment) -> None:
        """One row is judged."""
        if self.done.done():
            return
        self._verdicts.put(at, assessment)
        if not self._verdicts.left:
            self.done.set_result(self._verdicts.batch())

    def fail(self, error: Exception) -> None:
        """None of its rows will be answered."""
        if not self.done.done():
            self.done.set_exception(error)


class BlockEngine:
    """Judges blocks, several at once, in the order they were given. Belongs to one event loop.

    `open` makes one from its description; this constructor takes the parts.

    Args:
        assess: judges a message; never raises but when it is cancelled.
        spec: how blocks are read, how many slots there are.
        gate: what holds messages back; `None` holds none.
        label: first part of the ids of rows that have none; another one for each worker.
        closing: awaited at the end, in this order.
    """

    def __init__(
        self,
        assess: Callable[[Message], Awaitable[Assessment]],
        spec: BlockSpec,
        *,
        gate: RateGate | None = None,
        label: str = "block",
        closing: tuple[Callable[[], Awaitable[None]], ...] = (),
    ) -> None:
        self._assess = assess
        self._spec = spec
        self._gate = gate
        self._label = label
        self._closing = closing
        self._blocks: deque[_Block] = deque()
        self._working: set[_Block] = set()
        self._count = self._silent = self._waiting = 0
        self._why: str | None = None
        self._rows = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._slots = [asyncio.create_task(self._slot()) for _ in range(spec.slots)]

    @classmethod
    async def open(cls, spec: BlockSpec) -> Self:
        """Open the filter, and connect nothing yet.

        Raises:
            ConfigurationError: what judges cannot be opened.
        """
        if spec.judging.backend.startswith(_REPLAYING):
            raise ConfigurationError(
                "a batch does not take scripted or recorded answers: nobody would have read the messages"
            )
        gate = _gate(spec)
        crisis_filter = open_filter(spec.judging, opener=None if gate is None else lanes(gate, fast=spec.fast))
        closing = (crisis_filter.aclose, gate.aclose) if isinstance(gate, LeasedGate) else (crisis_filter.aclose,)
        return cls(crisis_filter.assess, spec, gate=gate, label=secrets.token_hex(4), closing=closing)

    @property
    def stopped(self) -> str | None:
        """Why nothing is asked about any more; `None` while the work goes on."""
        return self._why

    async def judge(self, block: pa.RecordBatch | pa.Table) -> pa.RecordBatch:
        """Judge a block; several calls at once share the slots, the first to come first.

        Cancelled, its rows that were not begun with are left.

        Args:
            block: as `blocks.messages_of` describes.

        Returns:
            One row for each row, in their order, with the columns of `blocks.verdict_schema` and those to keep. What cannot be judged is a row
            that is undetermined and names its fault.

        Raises:
            InputError: the columns are not as the spec says.
            StoppedError: the work was stopped, unless the spec wants rows then.
            RuntimeError: the engine is closed.
        """
        self._refuse()
        self._count += 1
        verdicts = Verdicts(block, self._spec.keep)
        messages = messages_of(block, self._spec, f"{self._label}.{self._count}")
        if not block.num_rows:
            return verdicts.batch()
        work = _Block(messages, verdicts, block.num_rows)
        self._blocks.append(work)
        self._working.add(work)
        self._note(work.rows)
        self._rows.set()
        try:
            return await work.done
        finally:
            self._working.discard(work)
            if not work.done.done():
                work.done.cancel()

    async def room(self) -> None:
        """Wait until fewer rows than there are slots wait for one: time to give the next block."""
        await self._room.wait()

    async def aclose(self) -> None:
        """Release everything; blocks in work fail. Calling it twice does nothing."""
        slots, self._slots = self._slots, []
        for slot in slots:
            slot.cancel()
        await asyncio.gather(*slots, return_exceptions=True)
        self._room.set()
        for work in self._working:
            work.fail(RuntimeError("the engine was closed"))
        closing, self._closing = self._closing, ()
        for close in closing:
            await close()

    def _refuse(self) -> None:
        if not self._slots:
            raise RuntimeError("the engine is closed")
        if self._why is not None and not self._spec.stopped_rows:
            raise StoppedError(self._why)

    async def _slot(self) -> None:
        while True:
            await self._rows.wait()
            gate = self._gate if self._why is None else None
            if gate is not None:
                try:
                    await gate.begin_message()
                except BackendError as error:
                    self._stop(gate.stopped or error.detail)
                    continue
            try:
                taken = self._next()
                if taken is not None:
                    await self._one(*taken)
            finally:
                if gate is not None:
                    gate.end_message()

    def _next(self) -> tuple[_Block, int, Message] | None:
        while self._blocks:
            work = self._blocks[0]
            try:
                row = work.next()
            except Exception as error:  # noqa: BLE001  # whoever gave the block is told, and no other's rows are lost by it
                work.fail(error)
                row = None
            if row is not None:
                self._note(-1)
                return work, *row
            self._blocks.popleft()
            self._note(work.begun - work.rows)
        self._rows.clear()
        return None

    def _note(self, rows: int) -> None:
        self._waiting += rows
        (self._room.set if self._waiting < self._spec.slots else self._room.clear)()

    async def _one(self, work: _Block, at: int, message: Message) -> None:
        try:
            assessment = await self._assess(message)
            self._look(assessment)
            if self._why is not None and not self._spec.stopped_rows and _of_the_stop(assessment):
                work.fail(StoppedError(self._why))  # it was our stop, and says nothing of the message
            work.put(at, assessment)
        except Exception as error:  # noqa: BLE001  # as above
            work.fail(error)

    def _look(self, assessment: Assessment) -> None:
        """Stop when the gate did, or when nobody answers any more."""
        if self._why is not None:
            return
        if self._gate is not None and self._gate.stopped is not None:
            self._stop(self._gate.stopped)
            return
        down = assessment.outcome == "undetermined" and assessment.fault is not None and FAULTS[assessment.fault].trips
        self._silent = self._silent + 1 if down else 0
        if self._silent >= self._spec.patience:
            self._stop(f"the service has failed {self._silent:,} messages one after the other")

    def _stop(self, why: str) -> None:
        if self._why is not None:
            return
        self._why = why
        if self._gate is not None:
            self._gate.stop(why)
        if not self._spec.stopped_rows:
            for work in self._blocks:
                work.fail(StoppedError(why))


def _of_the_stop(assessment: Assessment) -> bool:
    return assessment.outcome == "undetermined" and assessment.fault in _OF_THE_STOP


def _gate(spec: BlockSpec) -> RateGate | None:
    if spec.judging.backend == LOCAL:
        return None
    rng, broker = np.random.default_rng(), spec.broker
    if broker is not None:
        leases = TcpLeases(broker.host, broker.port, broker.token.get_secret_value())
        slots = SlotsPolicy(most=spec.slots, start=spec.slots)
        return LeasedGate(leases, slots=slots, patience=PatiencePolicy(), rng=rng)
    limits = Limits(requests_per_minute=spec.requests_per_minute, tokens_per_minute=spec.tokens_per_minute)
    known = spec.requests_per_minute is not None or spec.tokens_per_minute is not None
    return rate_gate(limits, slots=SlotsPolicy(most=spec.slots, start=spec.slots if known else None), rng=rng)
