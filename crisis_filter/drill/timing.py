"""How late an assessment is, by the drill's own clock, apart from what the machine was late."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from typing import Self

from crisis_filter.pipeline.filter import CrisisFilter
from crisis_filter.schema import Assessment, Message

_TICK_S = 0.02
# An hour of ticks that all came late.
_KEPT = 200_000


class LoopLag:
    """How late the event loop wakes a task that sleeps; an async context manager that may be entered again.

    A loop that is late is late for everybody: too little machine, or something that does not let others have their turn.

    Attributes:
        longest_s: the longest of all, in seconds.
    """

    def __init__(self) -> None:
        self.longest_s = 0.0
        self._marks: deque[tuple[float, float]] = deque(maxlen=_KEPT)
        self._due = 0.0
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Begin to watch."""
        self._due = asyncio.get_running_loop().time() + _TICK_S
        self._task = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Watch no longer."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._due - loop.time())
            now = loop.time()
            lag = now - self._due
            self._marks.append((now, lag))
            self.longest_s = max(self.longest_s, lag)
            self._due = now + _TICK_S

    def since(self, when: float) -> float:
        """Seconds that the loop was late from a time on its clock until now; 0 where it was not."""
        total = max(0.0, asyncio.get_running_loop().time() - self._due)
        for at, lag in reversed(self._marks):
            if at < when:
                break
            total += lag
        return total


async def timed(
    crisis_filter: CrisisFilter, messages: Sequence[Message], lag: LoopLag, *, concurrency: int
) -> AsyncGenerator[tuple[Assessment, float]]:
    """Assess messages one by one, so many at once, and yield in their order how each ended and how late it came.

    The time is taken from outside, because what a filter says of its own time may be wrong; the later of the two counts.

    Yields:
        The assessment, and milliseconds after its deadline less the lag of the loop since then; 0 or more.
    """
    loop = asyncio.get_running_loop()
    deadline_s = crisis_filter.policy.limits.deadline_s
    places = asyncio.Semaphore(concurrency)

    async def one(message: Message) -> tuple[Assessment, float]:
        async with places:
            due = loop.time() + deadline_s
            assessment = await crisis_filter.assess(message)
            late_s = max(loop.time() - due, assessment.provenance.elapsed_ms / 1000 - deadline_s)
            return assessment, max(0.0, (late_s - lag.since(due)) * 1000)

    tasks = [asyncio.create_task(one(message)) for message in messages]
    try:
        for task in tasks:
            yield await task
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def in_a_batch(
    crisis_filter: CrisisFilter, messages: Sequence[Message], lag: LoopLag, *, concurrency: int
) -> AsyncGenerator[tuple[Assessment, float]]:
    """The same as `timed` through `assess_many`, as batches go; what the filter says of its own time counts.

    Yields:
        As `timed` does.
    """
    loop = asyncio.get_running_loop()
    deadline_s = crisis_filter.policy.limits.deadline_s
    async with aclosing(crisis_filter.assess_many(messages, concurrency=concurrency)) as assessments:
        async for assessment in assessments:
            late_s = assessment.provenance.elapsed_ms / 1000 - deadline_s
            yield assessment, max(0.0, (late_s - lag.since(loop.time() - late_s)) * 1000)
