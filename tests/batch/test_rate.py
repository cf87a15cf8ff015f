"""The gate: the allowed rate is used and kept, refusals are rare, waiting is fair, and nothing ever hangs."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from bench.rate_server import Plan, serve
from bench.rates import Case, drive, gated
from crisis_filter.batch.rate import RateGate, rate_gate
from crisis_filter.batch.rate_bucket import Limits
from crisis_filter.batch.rate_slots import SlotsPolicy
from crisis_filter.errors import Fault
from tests.batch.rate_world import UNTOUCHED, Server, in_virtual_time, run
from tests.timing import work_s


def ran_against(server, limits=None, *, workers=64, seconds=20, slots=None, **asked):
    """What a run of so many seconds came to, the server and the gate."""

    async def scene(loop):
        there = Server(loop, **server)
        gate = rate_gate(limits or Limits(), slots=slots, rng=np.random.default_rng(1), clock=loop.time)
        return await run(loop, gate, there, workers=workers, seconds=seconds, **asked), there, gate

    return in_virtual_time(scene)[0]


def let_through(server, since, until):
    """Requests that a server let through between two moments; those that came after the run's end are not the gate's merit."""
    return sum(since <= time < until for time in server.times)


@pytest.mark.parametrize("latency_s", [0.02, 0.2, 1.0])
@pytest.mark.parametrize("rate", [2, 30, 500])
def test_a_known_rate_is_used_and_not_overrun(rate, latency_s):
    """At least 95 % of the rate over 20 seconds, and hardly a 429."""
    places = max(16, int(2 * rate * latency_s))
    _, server, _ = ran_against(
        {"rate": rate, "latency_s": latency_s},
        Limits(requests_per_minute=60 * rate),
        workers=places,
        slots=SlotsPolicy(places, places),
    )
    assert let_through(server, 0, 20) >= 0.95 * rate * 20
    assert server.refused <= 0.01 * server.asked


@pytest.mark.parametrize(("estimated", "used"), [(1000, 1000), (500, 1000), (1500, 1000), (0, 1000)])
def test_known_tokens_are_used_and_not_overrun_whatever_the_estimate(estimated, used):
    """What was really used is settled, so a poor estimate costs nothing in the long run."""
    _, server, _ = ran_against(
        {"tokens_rate": 100_000}, Limits(tokens_per_minute=6_000_000), tokens=estimated, used=used, seconds=60
    )
    assert let_through(server, 0, 60) >= 0.95 * 100 * 60
    assert server.refused <= 0.01 * server.asked


@pytest.mark.parametrize(
    ("rate", "retry_after_s"),
    [
        *((rate, retry_after_s) for rate in (20, 100) for retry_after_s in (None, 0.3, 1.0)),
        (400, None),
        pytest.param(400, 0.3, marks=pytest.mark.slow),
        pytest.param(400, 1.0, marks=pytest.mark.slow),
    ],
)
def test_an_unknown_rate_is_found(rate, retry_after_s):
    """After half a minute of looking for it."""
    slots = SlotsPolicy(most=128)
    far, server, _ = ran_against({"rate": rate, "retry_after_s": retry_after_s}, workers=128, slots=slots, seconds=90)
    late = let_through(server, 30, 90)
    assert late >= 0.93 * rate * 60
    assert server.refused <= 0.01 * server.asked
    assert far.errors == []


def test_a_rate_given_too_high_is_found_out():
    _, server, _ = ran_against({"rate": 50}, Limits(requests_per_minute=60 * 200), seconds=60)
    assert let_through(server, 0, 60) >= 0.95 * 50 * 60
    assert server.refused <= 0.02 * server.asked


@pytest.mark.parametrize("retry_after_s", [None, 0.05, 1.0, 20.0, 40.0, 59.0, 86_400.0])
@pytest.mark.parametrize("limits", [Limits(), Limits(requests_per_minute=6000)])
def test_nothing_but_429_ends_in_a_clean_stop(retry_after_s, limits):
    """Within a minute every worker is told, with an error that says so, and nobody waits on."""
    ran, server, gate = ran_against(
        {"rate": 100, "hard": True, "retry_after_s": retry_after_s}, limits, workers=300, seconds=600
    )
    assert len(ran.errors) == 300
    assert max(ran.ended_at) <= 60
    assert {(error.fault, error.retryable) for error in ran.errors} == {(Fault.RATE_LIMITED, False)}
    assert len({id(error) for error in ran.errors}) == 300
    assert gate.stopped
    assert server.asked <= 400


def test_a_quota_that_is_used_up_on_the_way_ends_the_run():
    async def scene(loop):
        server = Server(loop, rate=100)
        gate = rate_gate(Limits(requests_per_minute=6000), rng=np.random.default_rng(2), clock=loop.time)
        loop.call_later(10, lambda: setattr(server, "hard", True))
        return await run(loop, gate, server, workers=64, seconds=600)

    ran, _ = in_virtual_time(scene)
    assert ran.answered >= 900
    assert len(ran.errors) == 64
    assert 10 < max(ran.ended_at) <= 70


def test_an_outage_of_half_a_minute_ends_nothing():
    async def scene(loop):
        server = Server(loop, rate=100)
        gate = rate_gate(Limits(requests_per_minute=6000), rng=np.random.default_rng(2), clock=loop.time)
        loop.call_later(10, lambda: setattr(server, "hard", True))
        loop.call_later(40, lambda: setattr(server, "hard", False))
        return await run(loop, gate, server, workers=64, seconds=100), server

    (ran, server), _ = in_virtual_time(scene)
    assert ran.errors == []
    assert let_through(server, 0, 100) >= 0.8 * 100 * 70
    assert server.refused <= 80


def test_a_wait_is_kept_by_all_and_nobody_comes_in_a_herd():
    """After a refusal nothing is sent until the server may be asked again; then requests go one after another."""

    async def scene(loop):
        gate = rate_gate(
            Limits(requests_per_minute=600, share=1.0),
            slots=SlotsPolicy(100, 100),
            rng=np.random.default_rng(1),
            clock=loop.time,
        )
        went = []

        async def one():
            await gate.enter(0)
            went.append(loop.time())
            gate.leave(**UNTOUCHED, estimated=0)

        await gate.enter(0)
        gate.leave(**{**UNTOUCHED, "estimated": 0, "throttled": True, "retry_after_s": 5.0})
        await asyncio.gather(*(one() for _ in range(20)))
        return went

    went, _ = in_virtual_time(scene)
    assert 5.0 <= went[0] <= 6.1
    assert np.diff(went).min() >= 0.09
    assert went[-1] <= went[0] + 2.0


def test_several_gates_do_not_come_back_at_once():
    """Those that were refused at the same moment are spread by their jitter."""

    async def scene(loop):
        async def one(seed):
            gate = rate_gate(Limits(), rng=np.random.default_rng(seed), clock=loop.time)
            await gate.enter(0)
            gate.leave(**{**UNTOUCHED, "estimated": 0, "throttled": True, "retry_after_s": 10.0})
            await gate.enter(0)
            return loop.time()

        return await asyncio.gather(*(one(seed) for seed in range(20)))

    back, _ = in_virtual_time(scene)
    assert min(back) >= 10
    assert len({round(time, 2) for time in back}) >= 15


@pytest.mark.parametrize(
    ("places", "start"), [(8, None), (32, None), pytest.param(100, None, marks=pytest.mark.slow), (64, 512)]
)
def test_a_server_that_never_says_429_is_kept_busy_without_a_long_queue(places, start):
    """Throughput near the best; no more on their way than about twice what the server computes at once."""
    slots = SlotsPolicy(most=512, start=start)
    server = {"places": places, "latency_s": 0.2, "rng": np.random.default_rng(4)}
    ran, there, gate = ran_against(server, workers=512, slots=slots, seconds=160)
    late = let_through(there, 100, 160) / 60
    assert late >= 0.9 * places / 0.2
    assert gate.figures().slots <= max(2.6 * places, 26)
    assert ran.errors == []


def test_places_grow_where_the_server_has_room():
    """Latency that varies by itself is no reason to hold back."""
    _, _, gate = ran_against(
        {"latency_s": 0.3, "rng": np.random.default_rng(4)}, workers=512, slots=SlotsPolicy(512), seconds=40
    )
    assert gate.figures().slots >= 400


def test_all_places_stay_busy_where_nothing_limits():
    """Trying fewer places now and then costs less than 5 % of the ceiling."""
    _, server, _ = ran_against({"latency_s": 0.2}, workers=512, slots=SlotsPolicy(512, 512), seconds=20)
    assert let_through(server, 0, 20) >= 0.95 * 512 / 0.2 * 20


def test_failures_cut_places():
    async def scene(loop):
        gate = rate_gate(Limits(), slots=SlotsPolicy(64, 64), rng=np.random.default_rng(1), clock=loop.time)

        async def work():
            for _ in range(50):
                await gate.enter(0)
                await asyncio.sleep(0.1)
                gate.leave(**{**UNTOUCHED, "estimated": 0, "failed": True})

        await asyncio.gather(*(work() for _ in range(64)))
        return gate.figures()

    figures, _ = in_virtual_time(scene)
    assert figures.slots < 32
    assert figures.failed == figures.requests == 64 * 50


def test_a_refusal_cuts_once_in_a_round_trip():
    """Thirty refusals of one burst are one sign, not thirty."""

    async def scene(loop):
        gate = rate_gate(Limits(), slots=SlotsPolicy(40, 40), rng=np.random.default_rng(1), clock=loop.time)
        for _ in range(30):
            await gate.enter(0)
        await asyncio.sleep(0.1)
        for _ in range(30):
            gate.leave(**{**UNTOUCHED, "estimated": 0, "throttled": True})
        return gate.figures().slots

    slots, _ = in_virtual_time(scene)
    assert slots == 22


def test_what_nothing_limits_costs_microseconds():
    """CPU time of an `enter` and a `leave`; about 3 us on a slow core, and never the cost of a task or a timer."""

    async def spin():
        gate = rate_gate(Limits(1e9, 1e12), slots=SlotsPolicy(512, 512), rng=np.random.default_rng(1))
        for _ in range(10_000):
            await gate.enter(100)
            gate.leave(**UNTOUCHED, estimated=100)

    assert work_s(lambda: asyncio.run(spin())) / 10_000 <= 15e-6


def test_against_a_real_server():
    """Two seconds over sockets, on the real clock: the bucket's rate and what it holds, and next to no 429."""

    async def scene():
        listening = await serve(Plan(rate=100.0, latency_s=0.05))
        case = Case("real", Plan(rate=100.0), workers=32, gate=gated(Limits(requests_per_minute=6000)))
        counted, _ = await drive(case, listening.sockets[0].getsockname()[1], 2.0)
        listening.close()
        return counted

    counted = asyncio.run(scene())
    assert 0.8 * 100 * 2 <= counted.answered <= 100 * (counted.seconds + 1)
    assert counted.refused <= 4


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Limits(requests_per_minute=0),
        lambda: Limits(tokens_per_minute=float("inf")),
        lambda: Limits(share=1.5),
        lambda: SlotsPolicy(most=0),
        lambda: SlotsPolicy(most=4, start=5),
        lambda: SlotsPolicy(cut=1.0),
    ],
)
def test_what_could_not_work_is_refused(wrong):
    with pytest.raises(ValueError, match=r"at least|above|limit|share"):
        wrong()


def test_figures_hold_the_counts():
    async def scene(loop):
        gate: RateGate = rate_gate(Limits(tokens_per_minute=60_000), rng=np.random.default_rng(1), clock=loop.time)
        for throttled, tokens in ((False, 7), (False, None), (True, 50)):
            await gate.enter(10)
            gate.leave(**{**UNTOUCHED, "estimated": 10, "tokens": tokens, "throttled": throttled})
            await asyncio.sleep(1)
        return gate.figures()

    figures, _ = in_virtual_time(scene)
    assert (figures.requests, figures.refused, figures.failed, figures.tokens) == (3, 1, 0, 17)
    assert figures.latency_s == pytest.approx(0.1)
