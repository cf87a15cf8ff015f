"""Many messages at once, sources that wait or fail, and the door without an event loop."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from crisis_filter.pipeline.spec import FilterSpec, open_filter
from crisis_filter.schema import Message
from tests.pipeline.test_filter import CLEARS, POLICY, message, named, said, scripted, staged


async def test_many_messages_come_back_in_order_with_bounded_concurrency():
    """At most the asked number is in work at once."""
    running, most = 0, 0

    async def screen(piece):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001 * (int(piece) % 3))
        running -= 1
        return CLEARS

    batch = [Message(id=str(i), text=str(i)) for i in range(40)]
    out = [a async for a in staged(screen).assess_many(batch, concurrency=4)]
    assert [a.id for a in out] == [m.id for m in batch]
    assert most <= 4


async def test_an_error_of_the_source_comes_after_what_was_read():
    """Nothing that was read is lost when the reader fails."""

    def source():
        yield message("a")
        yield message("b")
        raise OSError("disk")

    out = []
    with pytest.raises(OSError, match="disk"):
        async for a in staged(lambda _: CLEARS).assess_many(source()):
            out.append(a)  # noqa: PERF401
    assert len(out) == 2


async def test_concurrency_below_one_is_refused():
    """Zero workers would judge nothing, silently."""
    with pytest.raises(ValueError, match="concurrency"):
        await anext(staged(lambda _: CLEARS).assess_many([message("a")], concurrency=0))


async def test_results_come_out_while_the_source_waits():
    """One message on a pipe that stays open is assessed at once, not when the pipe closes."""
    gate = threading.Event()

    def source():
        yield message("first")
        gate.wait(20)
        yield message("second")

    stream = staged(lambda _: CLEARS).assess_many(source(), concurrency=8)
    first = await asyncio.wait_for(anext(stream), 5)
    assert first.outcome == "no_crisis"
    gate.set()
    assert len([a async for a in stream]) == 1


async def test_a_source_that_blocks_does_not_cost_others_their_deadline():
    """Messages in work go on while the next one is being read."""

    async def screen(_):
        await asyncio.sleep(0.05)
        return CLEARS

    def source():
        for i in range(4):
            yield message(str(i))
            time.sleep(0.3)

    limits = POLICY.limits.model_copy(update={"deadline_s": 0.2})
    slow = staged(screen, policy=POLICY.model_copy(update={"limits": limits}))
    assert [a.outcome async for a in slow.assess_many(source())] == ["no_crisis"] * 4


async def test_stopping_early_leaves_no_task_behind():
    """A consumer that walks away ends the work."""

    async def hang(_):
        await asyncio.sleep(30)

    def endless():
        while True:
            yield message("x")

    stream = staged(lambda piece: hang(piece)).assess_many(endless(), concurrency=3)
    taking = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0.05)
    taking.cancel()
    await asyncio.gather(taking, return_exceptions=True)
    await stream.aclose()
    assert len(asyncio.all_tasks()) == 1


async def test_what_is_no_message_is_refused():
    """A programmer's slip is told, and a source that holds `None` does not end early."""
    one = staged(lambda _: CLEARS)
    with pytest.raises(TypeError, match="not str"):
        await one.assess("a text")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="not NoneType"):
        _ = [a async for a in one.assess_many([message("x"), None, message("y")])]  # type: ignore[list-item]


async def test_closing_while_a_message_is_judged_cancels_nobody():
    """Who waits for an assessment gets one."""
    one = open_filter(FilterSpec())
    tasks = [asyncio.create_task(one.assess(message("can i move my appointment " * 50))) for _ in range(6)]
    await asyncio.sleep(0.05)
    await one.aclose()
    assert all(a.outcome in ("undetermined", "no_crisis", "crisis") for a in await asyncio.gather(*tasks))


def test_the_sync_door_can_be_used_again_and_closed_twice():
    """One loop for all calls; closing is idempotent."""
    with scripted(said(True), named(abuse={})) as crisis_filter:
        assert crisis_filter.classify("x").outcome == "crisis"
        assert crisis_filter.classify("y", id="two").id == "two"
    crisis_filter.close()


async def test_the_sync_door_refuses_inside_a_running_loop():
    """Blocking a loop would hang a service; it is an error that says so."""
    with pytest.raises(RuntimeError, match="await"):
        scripted(said(False)).classify("x")
