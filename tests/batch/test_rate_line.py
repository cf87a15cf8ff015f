"""Waiting at the gate: in order, safe from cancellation, told of a stop at once; and messages that wait before their deadlines begin."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crisis_filter.batch.rate import rate_gate
from crisis_filter.batch.rate_bucket import Limits
from crisis_filter.batch.rate_patience import PatiencePolicy
from crisis_filter.batch.rate_slots import SlotsPolicy
from crisis_filter.errors import BackendError, Fault
from tests.batch.rate_world import UNTOUCHED, Server, in_virtual_time


def test_first_come_first_served():
    async def scene(loop):
        gate = rate_gate(Limits(requests_per_minute=600), rng=np.random.default_rng(1), clock=loop.time)
        order = []

        async def one(number):
            await gate.enter(0)
            order.append(number)

        tasks = [loop.create_task(one(number)) for number in range(50)]
        await asyncio.gather(*tasks)
        return order

    order, _ = in_virtual_time(scene)
    assert order == list(range(50))


def test_a_big_request_is_not_overtaken_for_ever():
    """What needs more tokens than the bucket holds goes in its turn, and owes."""

    async def scene(loop):
        gate = rate_gate(
            Limits(tokens_per_minute=6000, share=1.0),
            slots=SlotsPolicy(100, 100),
            rng=np.random.default_rng(1),
            clock=loop.time,
        )
        went = {}

        async def one(name, tokens):
            await gate.enter(tokens)
            went[name] = loop.time()

        await asyncio.gather(one("first", 10), one("big", 1000), *(one(number, 10) for number in range(5)))
        return went

    went, _ = in_virtual_time(scene)
    assert went["big"] <= 1
    assert min(went[number] for number in range(5)) >= 9


class Crowd:
    """Some who want to enter, and some who are inside."""

    def __init__(self, loop, gate):
        self.loop, self.gate = loop, gate
        self.tasks, self.inside = [], 0

    async def _one(self):
        await self.gate.enter(5)
        self.inside += 1

    def enter(self, _):
        self.tasks.append(self.loop.create_task(self._one()))

    def cancel(self, number):
        if self.tasks:
            self.tasks[number % len(self.tasks)].cancel()

    def leave(self, number):
        if self.inside:
            self.inside -= 1
            self.gate.leave(**{**UNTOUCHED, "estimated": 5, "throttled": number > 7})

    async def disperse(self):
        while self.inside or not all(task.done() for task in self.tasks):
            self.leave(0)
            await asyncio.sleep(0.05)


ACTIONS = st.lists(st.tuples(st.sampled_from(["enter", "cancel", "leave", "wait"]), st.integers(0, 9)), max_size=60)


@given(actions=ACTIONS, most=st.integers(1, 4), rate=st.sampled_from([None, 60, 600]))
@settings(deadline=None)
def test_no_leave_is_lost_whoever_is_cancelled(actions, most, rate):
    """After anything, nobody is in flight once all are back, and the next one still gets through."""

    async def scene(loop):
        slots, patience = SlotsPolicy(most, most), PatiencePolicy(first_s=0.01, doubled_s=0.01)
        limits = Limits(requests_per_minute=rate)
        gate = rate_gate(limits, slots=slots, patience=patience, rng=np.random.default_rng(1), clock=loop.time)
        crowd = Crowd(loop, gate)
        for action, number in actions:
            if action == "wait":
                await asyncio.sleep(number * 0.01)
            else:
                getattr(crowd, action)(number)
            assert crowd.inside <= most
        await crowd.disperse()
        await asyncio.wait_for(gate.enter(5), 10)
        return gate.figures()

    figures, _ = in_virtual_time(scene)
    assert figures.in_flight == 1
    assert figures.waiting == 0


def test_a_stop_is_told_at_once():
    async def scene(loop):
        gate = rate_gate(Limits(), slots=SlotsPolicy(1, 1), rng=np.random.default_rng(1), clock=loop.time)
        await gate.enter(0)
        waiting = [loop.create_task(gate.enter(0)) for _ in range(10)]
        await asyncio.sleep(0)
        gate.stop("the budget is spent")
        told = await asyncio.gather(*waiting, return_exceptions=True)
        with pytest.raises(BackendError, match="the budget is spent"):
            await gate.enter(0)
        with pytest.raises(BackendError):
            await gate.begin_message()
        gate.leave(**UNTOUCHED, estimated=0)
        return told, loop.time(), gate.figures()

    (told, at, figures), _ = in_virtual_time(scene)
    assert [error.fault for error in told] == [Fault.OVERLOAD] * 10
    assert at == 0
    assert figures.stopped == "the budget is spent"


@pytest.mark.parametrize("rate", [1, 20])
def test_messages_are_begun_only_when_their_requests_can_go(rate):
    """Where a rate is slow, messages wait before their deadlines begin, and few of their requests wait after."""

    async def scene(loop):
        server = Server(loop, rate=rate, latency_s=0.5)
        gate = rate_gate(
            Limits(requests_per_minute=60 * rate),
            slots=SlotsPolicy(512, 512),
            rng=np.random.default_rng(1),
            clock=loop.time,
        )
        waits, end = [], loop.time() + 60

        async def work():
            while loop.time() < end:
                await gate.begin_message()
                begun = loop.time()
                await gate.enter(0)
                waits.append(loop.time() - begun)
                sent = loop.time()
                assert await server.answer()
                gate.leave(**{**UNTOUCHED, "estimated": 0, "seconds": loop.time() - sent})
                gate.end_message()

        tasks = [loop.create_task(work()) for _ in range(512)]
        await asyncio.sleep(60)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return waits

    waits, _ = in_virtual_time(scene)
    assert len(waits) >= 0.95 * 60 * rate
    assert max(waits) <= 5
