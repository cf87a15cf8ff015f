"""Erlang's delay formula: published values, closed forms, and a simulation of the queue that it is about."""

from __future__ import annotations

import heapq
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crisis_filter.stats.staffing import MOST_LOAD, erlang_b, erlang_c, longer_than, readers_needed


@pytest.mark.parametrize(
    ("load", "servers", "value"),
    [(1.0, 1, 0.5), (2.0, 2, 0.4), (0.5, 1, 1 / 3), (2.0, 3, 4 / 19), (3.0, 5, 0.1100542), (10.0, 10, 0.2145823)],
)
def test_the_loss_formula_has_the_tabulated_values(load, servers, value):
    """Erlang B as in any table of it (A. K. Erlang 1917), and by hand for few servers."""
    assert erlang_b(load, servers) == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize(
    ("servers", "waits", "half_an_hour", "an_hour"),
    [(1, 0.667, 0.404, 0.245), (2, 0.167, 0.022, 0.003)],
)
def test_a_textbook_emergency_room(servers, waits, half_an_hour, an_hour):
    """Hillier and Lieberman, Introduction to Operations Research, the County Hospital: 2 patients an hour, 3 an hour treated by each doctor."""
    load, service = 2 / 3, 1 / 3
    assert erlang_c(load, servers) == pytest.approx(waits, abs=0.0006)
    assert longer_than(load, servers, service, 0.5) == pytest.approx(half_an_hour, abs=0.0006)
    assert longer_than(load, servers, service, 1.0) == pytest.approx(an_hour, abs=0.0006)


@given(st.floats(0.01, 0.99), st.integers(1, 2))
def test_one_and_two_servers_have_closed_forms(share, servers):
    """M/M/1 waits with the share of time that it is busy; M/M/2 with 2 r^2 / (1 + r)."""
    expected = share if servers == 1 else 2 * share**2 / (1 + share)
    assert erlang_c(share * servers, servers) == pytest.approx(expected, rel=1e-9)


@given(st.floats(0.01, 40.0), st.integers(1, 60))
def test_it_is_the_sum_that_textbooks_print(load, servers):
    """The recursion against a^c/c! * c/(c-a) over its sum, in logarithms."""
    if load >= servers:
        assert erlang_c(load, servers) == 1.0
        return
    logs = [k * math.log(load) - math.lgamma(k + 1) for k in range(servers + 1)]
    top = math.exp(logs[servers] - max(logs)) * servers / (servers - load)
    assert erlang_c(load, servers) == pytest.approx(
        top / (sum(math.exp(x - max(logs)) for x in logs[:servers]) + top), rel=1e-6
    )


def simulated(rate: float, service: float, servers: int, number: int, seed: int) -> np.ndarray:
    """Waiting times of a queue with one line, the first half left out as not yet settled."""
    rng = np.random.default_rng(seed)
    arrivals = np.cumsum(rng.exponential(1 / rate, number))
    reading = rng.exponential(service, number)
    free = [0.0] * servers
    waits = np.empty(number)
    for at, (arrival, needs) in enumerate(zip(arrivals, reading, strict=True)):
        start = max(arrival, heapq.heappop(free))
        waits[at] = start - arrival
        heapq.heappush(free, start + needs)
    return waits[number // 2 :]


@pytest.mark.parametrize(
    ("rate", "service", "servers", "time"), [(0.8, 1.0, 1, 2.0), (8.0, 0.5, 5, 0.3), (39.0, 0.1, 5, 0.05)]
)
def test_a_simulated_queue_waits_as_the_formula_says(rate, service, servers, time):
    """Event by event, for the probability to wait, to wait longer than a time, and the mean."""
    waits = np.concatenate([simulated(rate, service, servers, 40_000, seed) for seed in range(6)])
    load = rate * service
    chance = erlang_c(load, servers)
    assert np.mean(waits > 0) == pytest.approx(chance, abs=0.03)
    assert np.mean(waits > time) == pytest.approx(longer_than(load, servers, service, time), abs=0.03)
    assert waits.mean() == pytest.approx(chance * service / (servers - load), rel=0.15)


@given(st.floats(0.001, 50.0), st.floats(0.01, 5.0), st.floats(0.0, 10.0), st.floats(0.05, 0.99))
def test_the_fewest_readers_are_enough_and_one_less_is_not(rate, service, time, target):
    """By the same formula, asked the other way round."""
    found = readers_needed(rate, service, time, target)
    load = rate * service
    assert found.p_within >= target
    assert found.servers > load
    assert found.p_within == pytest.approx(1 - longer_than(load, found.servers, service, time))
    fewer = found.servers - 1
    assert fewer <= load or 1 - longer_than(load, fewer, service, time) < target
    assert 0 < found.occupancy < 1
    assert found.mean_wait == pytest.approx(found.p_wait * service / (found.servers - load))


def test_nobody_is_needed_where_nothing_comes():
    """And nothing waits."""
    found = readers_needed(0.0, 1.0, 1.0, 0.95)
    assert (found.servers, found.p_within, found.occupancy, found.mean_wait) == (0, 1.0, 0.0, 0.0)


def test_readers_who_cannot_keep_up_make_everybody_wait():
    """For ever: no chance is left of being in time."""
    assert erlang_c(3.0, 3) == 1.0
    assert erlang_c(1.0, 0) == 1.0
    assert longer_than(3.0, 2, 1.0, 1e9) == 1.0


@pytest.mark.parametrize(
    "call",
    [
        lambda: erlang_b(-1.0, 1),
        lambda: erlang_b(math.nan, 1),
        lambda: erlang_c(1.0, -1),
        lambda: longer_than(1.0, 2, 0.0, 1.0),
        lambda: longer_than(1.0, 2, 1.0, -1.0),
        lambda: readers_needed(1.0, 1.0, 1.0, 1.0),
        lambda: readers_needed(1.0, 1.0, 1.0, 0.0),
        lambda: readers_needed(math.inf, 1.0, 1.0, 0.9),
        lambda: readers_needed(2 * MOST_LOAD, 1.0, 1.0, 0.9),
    ],
)
def test_what_makes_no_sense_is_refused(call):
    """In words, before any loop."""
    with pytest.raises(ValueError, match=r"must|more than"):
        call()
