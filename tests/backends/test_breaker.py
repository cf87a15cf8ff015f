"""The circuit breaker as a table of what it saw, on a clock of the test's own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crisis_filter.backends.breaker import Breaker, BreakerPolicy
from crisis_filter.errors import FAULTS, Fault

DOWN = Fault.SERVER_ERROR
TRIPPING = sorted(fault for fault, rule in FAULTS.items() if rule.trips)
OTHERS = sorted(set(Fault) - set(TRIPPING))


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def breaker(**policy: float) -> tuple[Breaker, Clock]:
    clock = Clock()
    return Breaker(BreakerPolicy(**policy), clock), clock


def see(one: Breaker, *faults: Fault | None) -> None:
    for fault in faults:
        permit = one.admit()
        assert permit is not None
        permit.report(fault)


def test_transport_faults_alone_trip():
    """What a message can cause never closes the door on the next message."""
    assert set(TRIPPING) == {Fault.TIMEOUT, Fault.RATE_LIMITED, Fault.SERVER_ERROR, Fault.BROKEN_REPLY}
    for fault in OTHERS:
        one, _ = breaker()
        see(one, *[fault] * 100)
        assert one.state == "closed"


@pytest.mark.parametrize("fault", TRIPPING)
def test_five_in_a_row_open_it(fault):
    """Four do not; a reply in between starts the count again."""
    one, _ = breaker()
    see(one, *[fault] * 4, None, *[fault] * 4)
    assert one.state == "closed"
    see(one, fault)
    assert (one.state, one.fault, one.admit()) == ("open", fault, None)


def test_half_of_a_full_window_opens_it():
    """Failures that are never five in a row count too, and old ones do not."""
    one, _ = breaker()
    see(one, *[None, DOWN] * 9, None)
    assert one.state == "closed"
    see(one, DOWN)
    assert one.state == "open"
    one, clock = breaker()
    for _ in range(40):
        see(one, None, DOWN)
        clock.now += 4
    assert one.state == "closed"


def test_one_probe_at_a_time_finds_out():
    """After the pause exactly one request is let through; its reply closes the breaker, its failure opens it again."""
    one, clock = breaker()
    see(one, *[DOWN] * 5)
    clock.now += 1.9
    assert one.admit() is None
    clock.now += 0.2
    assert one.state == "half-open"
    probe = one.admit()
    assert probe is not None
    assert [one.admit() for _ in range(5)] == [None] * 5
    probe.report(Fault.TIMEOUT)
    assert (one.state, one.fault, one.admit()) == ("open", Fault.TIMEOUT, None)
    clock.now += 2.1
    see(one, None)
    assert one.state == "closed"
    see(one, *[DOWN] * 4)
    assert one.state == "closed"


def test_a_probe_that_was_cancelled_leaves_room_for_the_next():
    """Nobody waits for a probe that will not come back."""
    one, clock = breaker()
    see(one, *[DOWN] * 5)
    clock.now += 2.1
    probe = one.admit()
    assert probe is not None
    probe.give_back()
    probe.report(None)  # too late to count
    assert one.state == "half-open"
    assert one.admit() is not None


def test_a_late_success_does_not_close_it():
    """A call that was let in before the breaker opened says nothing of the endpoint now."""
    one, _ = breaker()
    late = one.admit()
    see(one, *[DOWN] * 5)
    assert late is not None
    late.report(None)
    assert one.state == "open"


@given(st.lists(st.tuples(st.sampled_from([None, *TRIPPING, *OTHERS]), st.floats(0, 5)), max_size=80))
def test_never_more_than_one_request_while_it_is_not_closed(steps):
    """Whatever happens, an endpoint that is left alone sees one probe at a time, and is asked again in the end."""
    one, clock = breaker()
    for fault, pause in steps:
        clock.now += pause
        permits = [one.admit() for _ in range(3)]
        if one.state != "closed":
            assert sum(p is not None for p in permits) <= 1
        for permit in permits:
            if permit is not None:
                permit.report(fault)
    clock.now += 2.1
    permit = one.admit()
    assert permit is not None
    permit.report(None)
    assert one.state == "closed" or not permit.probe
