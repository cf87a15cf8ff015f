"""What is late is told from what the machine was late."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest

from crisis_filter.drill.timing import LoopLag, in_a_batch, timed
from crisis_filter.schema import Assessment, Fault, Message, Provenance

DEADLINE_S = 0.1


class Slow:
    """A filter of which every message takes so long: waiting, or keeping the event loop from everybody."""

    policy = SimpleNamespace(limits=SimpleNamespace(deadline_s=DEADLINE_S))

    def __init__(self, waits_s: float = 0.0, blocks_s: float = 0.0, says_ms: float = 0.0) -> None:
        self.waits_s, self.blocks_s, self.says_ms = waits_s, blocks_s, says_ms

    async def assess(self, message: Message) -> Assessment:
        await asyncio.sleep(self.waits_s)
        time.sleep(self.blocks_s)  # noqa: ASYNC251  # that is what is tried
        provenance = Provenance(detector="slow", version="0", elapsed_ms=self.says_ms)
        return Assessment(id=message.id, outcome="undetermined", fault=Fault.TIMEOUT, provenance=provenance)

    async def assess_many(self, messages: list[Message], *, concurrency: int) -> Any:
        for message in messages:
            yield await self.assess(message)


MESSAGES = [Message(id=str(number), text="x") for number in range(3)]


@pytest.mark.parametrize(
    ("slow", "least_ms", "most_ms"),
    [
        (Slow(), 0.0, 0.0),
        (Slow(waits_s=0.6), 350.0, 700.0),
        (Slow(blocks_s=0.6), 0.0, 150.0),
        (Slow(says_ms=900.0), 700.0, 800.0),
    ],
    ids=["in time", "waits", "blocks the loop", "says so"],
)
async def test_lateness(slow: Slow, least_ms: float, most_ms: float) -> None:
    """Waiting is the filter's own; a loop that lets nobody run is not counted, and shows by itself."""
    async with LoopLag() as lag:
        found = [(a.id, late) async for a, late in timed(slow, MESSAGES, lag, concurrency=1)]  # type: ignore[arg-type]
    assert [name for name, _ in found] == ["0", "1", "2"]
    assert all(least_ms <= late <= most_ms for _, late in found)
    assert (lag.longest_s > 0.3) == (slow.blocks_s > 0)


async def test_a_batch_says_its_own_time() -> None:
    """In the order of the messages."""
    async with LoopLag() as lag:
        slow: Any = Slow(says_ms=900.0)
        found = [(a.id, late > 500) async for a, late in in_a_batch(slow, MESSAGES, lag, concurrency=2)]
    assert found == [("0", True), ("1", True), ("2", True)]


async def test_so_many_at_once() -> None:
    """Messages overlap up to the concurrency, and yield in order however long each takes."""
    started = time.monotonic()
    slow: Any = Slow(waits_s=0.2)
    async with LoopLag() as lag:
        found = [a.id async for a, _ in timed(slow, MESSAGES, lag, concurrency=3)]
    assert found == ["0", "1", "2"]
    assert time.monotonic() - started < 0.55
