"""The learnt pace where refusals have nothing to do with the rate, alone and beside a limit, and where a limit changes."""

from __future__ import annotations

import numpy as np
import pytest

from crisis_filter.batch.rate import rate_gate
from crisis_filter.batch.rate_bucket import Limits
from crisis_filter.batch.rate_chance import Chance
from crisis_filter.batch.rate_slots import SlotsPolicy
from crisis_filter.errors import Fault
from tests.batch.rate_world import Server, Window, in_virtual_time, run

WARM_S = 30


def besides(*seeds):
    """Seeds for the slow run, after the one that every run takes."""
    return [pytest.param(seed, marks=pytest.mark.slow) for seed in seeds]


def ran_against(server, *, chance=0.0, limits=None, seed=0, workers=64, seconds=WARM_S + 60, then=None):
    """The server after a run, with what it had counted at `WARM_S`; `then` is a time and what happens to the server."""

    async def scene(loop):
        there = Server(loop, **server, chance=chance, chances=np.random.default_rng(seed))
        slots = SlotsPolicy(workers, workers if limits else None)
        gate = rate_gate(limits or Limits(), slots=slots, rng=np.random.default_rng(seed + 1), clock=loop.time)
        warm = []
        loop.call_later(WARM_S, lambda: warm.extend([there.asked, there.refused]))
        if then is not None:
            loop.call_later(then[0], then[1], there)
        return await run(loop, gate, there, workers=workers, seconds=seconds), there, warm

    return in_virtual_time(scene)[0]


def through(server, since, until):
    """Requests a second that a server let through between two moments."""
    return sum(since <= time < until for time in server.times) / (until - since)


def late_waste(server, warm):
    return (server.refused - warm[1]) / (server.asked - warm[0])


@pytest.mark.parametrize("limits", [None, Limits(requests_per_minute=60_000)])
@pytest.mark.parametrize("seed", [0, *besides(1)])
@pytest.mark.parametrize("chance", [0.01, 0.02, 0.04])
def test_what_has_nothing_to_do_with_the_rate_does_not_slow_it(chance, seed, limits):
    """64 places at 0.2 s allow 320 a second; so it stays, for as long as anybody looks."""
    ran, server, _ = ran_against({}, chance=chance, seed=seed, limits=limits, seconds=WARM_S + 120)
    for since in range(WARM_S, WARM_S + 120, 20):
        assert through(server, since, since + 20) >= 0.8 * 64 / 0.2
    assert through(server, WARM_S, WARM_S + 120) >= 0.93 * 64 / 0.2
    assert ran.errors == []


@pytest.mark.parametrize("chance", [0.0005, 0.002, 0.08])
def test_neither_do_very_few_or_rather_many(chance):
    """The fewer there are, the longer it takes to see that they do not depend on the rate, and the less it costs until then."""
    _, server, _ = ran_against({}, chance=chance, seconds=150)
    assert through(server, 90, 150) >= 0.8 * 64 / 0.2


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("rate", [100, 200])
@pytest.mark.parametrize("chance", [0.01, 0.02])
def test_a_limit_is_found_among_them(chance, rate, known):
    """The limit is used, and next to nothing is refused beyond what would be anyway."""
    limits = Limits(requests_per_minute=60 * rate) if known else None
    _, server, warm = ran_against({"rate": rate}, chance=chance, limits=limits)
    assert through(server, WARM_S, WARM_S + 60) >= 0.9 * rate
    assert late_waste(server, warm) <= chance + 0.02


@pytest.mark.parametrize("chance", [0.0, 0.02])
@pytest.mark.parametrize("share", [0.25, 0.1])
def test_a_limit_that_falls_is_found_within_seconds(share, chance):
    """Ten seconds later the new one is kept to, and used."""

    def fall(server):
        server.limit(share * 400)

    _, server, _ = ran_against({"rate": 400}, chance=chance, workers=128, seconds=120, then=(60, fall))
    assert through(server, 40, 60) >= 0.9 * 400
    assert through(server, 70, 120) >= 0.85 * share * 400
    assert server.refused - 0.02 * (chance > 0) * server.asked <= 0.02 * server.asked


@pytest.mark.parametrize("retry_after_s", [None, 1.0])
def test_a_server_that_says_nothing_but_429_after_them_ends_the_run(retry_after_s):
    def harden(server):
        server.hard, server.retry_after_s = True, retry_after_s

    ran, server, _ = ran_against({}, chance=0.02, seconds=600, then=(WARM_S, harden))
    assert len(ran.errors) == 64
    assert {(error.fault, error.retryable) for error in ran.errors} == {(Fault.RATE_LIMITED, False)}
    assert WARM_S < max(ran.ended_at) <= WARM_S + 60
    assert server.refused <= 600


def test_a_wait_that_is_asked_for_is_kept_even_so():
    """After each refusal nothing is sent for the second that it asks for, but what was on its way."""

    async def scene(loop):
        server = Server(loop, chance=0.02, chances=np.random.default_rng(3), retry_after_s=1.0)
        gate = rate_gate(Limits(), rng=np.random.default_rng(1), clock=loop.time)
        await run(loop, gate, server, workers=64, seconds=90)
        return server

    server, _ = in_virtual_time(scene)
    sent = np.array(server.times)
    assert len(server.refusals) >= 30
    for refused in server.refusals:
        told = refused + 0.02
        assert not ((sent > told + 1e-6) & (sent < told + 1.0)).any()


def test_chance_is_forgotten_when_it_is_gone():
    """A gateway that was mended: one refusal is a sign of the rate again."""
    chance = Chance()
    for turn in range(3):
        for _ in range(20):
            chance.passed(turn, turn, low=True)
        begun = chance.suspect(turn, 100.0, low=True)
    assert begun
    time = 10.0
    while not chance.known:
        time += 1
        assert chance.refused(time, time, low=True)
        for _ in range(20):
            chance.passed(time, time, low=True)
    assert chance.refused(time + 1, time + 1, low=True)
    for _ in range(40_000):
        time += 1
        chance.passed(time, time, low=True)
    assert not chance.known
    assert chance.share == 0.0
    assert not chance.refused(time + 1, time + 1, low=True)


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_a_test_without_refusals_or_with_many_says_that_it_is_the_rate(share):
    chance, rng = Chance(), np.random.default_rng(2)
    for turn in range(3):
        for _ in range(20):
            chance.passed(turn, turn, low=True)
        chance.suspect(turn, 100.0, low=True)
    assert chance.testing == 100.0
    for turn in range(2000):
        if chance.testing is None:
            break
        if rng.random() < share:
            chance.refused(10 + turn, 10 + turn, low=True)
        else:
            chance.passed(10 + turn, 10 + turn, low=True)
    assert chance.testing is None
    assert not chance.known
    assert not chance.suspect(11 + turn, 100.0, low=True)


@pytest.mark.parametrize("seed", [0, *besides(1, 3)])
@pytest.mark.parametrize("tells", [False, True], ids=["silent", "retry-after"])
@pytest.mark.parametrize(("quota", "window_s"), [(100, 10.0), (50, 5.0), (300, 30.0), (300, 10.0)])
def test_a_fixed_window_is_used_and_not_stormed(quota, window_s, tells, seed):
    """What it allows is used by half or more in every two minutes; a tenth of the requests at most is refused, which is more than at a bucket."""

    async def scene(loop):
        server = Window(loop, rng=np.random.default_rng(seed), quota=quota, window_s=window_s, tells=tells)
        gate = rate_gate(Limits(), slots=SlotsPolicy(64), rng=np.random.default_rng(seed + 1), clock=loop.time)
        return await run(loop, gate, server, workers=64, seconds=900), server

    _, server = in_virtual_time(scene, limit_s=1e6)[0]
    allowed = quota / window_s
    assert min(through(server, at, at + 120) for at in range(0, 840, 120)) >= 0.5 * allowed
    assert server.refused <= 0.1 * server.asked
