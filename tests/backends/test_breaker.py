"""The circuit breaker as a table of what it saw, on a clock of the test's own."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crisis_filter.backends.breaker import Breaker, BreakerPolicy, Permit
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


@pytest.mark.parametrize(
    ("seen", "state"),
    [
        ([DOWN, None, None, DOWN], "open"),
        ([DOWN, None, None, None], "closed"),
        ([DOWN, None, DOWN], "closed"),
        ([None, None, None, DOWN, DOWN], "open"),
        ([DOWN, DOWN, DOWN], "open"),
    ],
)
def test_three_in_a_row_or_half_of_four(seen, state):
    """A window that is not full says nothing, and only its last calls count."""
    one, _ = breaker(consecutive=3, window=4, share=0.5)
    see(one, *seen)
    assert one.state == state


def test_a_call_counts_for_as_long_as_the_window_is():
    """Thirty seconds back it still does, a moment more and it does not."""
    for seconds, state in ((30.0, "open"), (30.1, "closed")):
        one, clock = breaker(window=2, window_s=30.0)
        see(one, DOWN)
        clock.now += seconds
        see(one, None)
        assert one.state == state


def test_what_opened_it_is_named_when_a_success_filled_the_window():
    """The fault that opened it before, or a server error where none ever did."""
    one, clock = breaker(window=2, consecutive=9)
    see(one, Fault.TIMEOUT, None)
    assert (one.state, one.fault) == ("open", Fault.SERVER_ERROR)
    clock.now += 2
    see(one, None)
    see(one, None, Fault.RATE_LIMITED)
    assert (one.state, one.fault) == ("open", Fault.RATE_LIMITED)
    clock.now += 2
    see(one, None)
    see(one, Fault.TIMEOUT, None)
    assert (one.state, one.fault) == ("open", Fault.RATE_LIMITED)


def test_a_breaker_that_never_opened_has_no_fault():
    """And lets everybody in, nobody as a probe."""
    one, _ = breaker()
    see(one, DOWN, DOWN)
    permits = [one.admit() for _ in range(3)]
    assert [permit is not None and permit.probe for permit in permits] == [False] * 3
    assert (one.state, one.fault) == ("closed", None)


def test_it_is_left_alone_for_as_long_as_the_policy_says():
    """Two seconds after it opened, and two after each probe that failed, counted from that probe's return."""
    one, clock = breaker(open_s=2.0)
    see(one, *[DOWN] * 5)
    clock.now += 1.99
    assert (one.state, one.admit()) == ("open", None)
    clock.now = 102.0
    assert one.state == "half-open"
    probe = one.admit()
    assert probe is not None
    assert probe.probe
    clock.now += 1
    probe.report(DOWN)
    clock.now += 1.99
    assert one.admit() is None
    clock.now = 105.0
    assert one.admit() is not None


@pytest.mark.parametrize("fault", OTHERS)
def test_a_probe_that_says_nothing_is_followed_by_another(fault):
    """What the message caused neither closes the breaker nor keeps it shut any longer."""
    one, clock = breaker()
    see(one, *[DOWN] * 5)
    clock.now += 2
    see(one, fault)
    assert (one.state, one.fault) == ("half-open", DOWN)
    see(one, None)
    assert one.state == "closed"


def test_late_calls_neither_end_a_probe_nor_put_it_off():
    """They were let in before the breaker opened."""
    one, clock = breaker()
    late = [one.admit() for _ in range(3)]
    see(one, *[DOWN] * 5)
    clock.now += 1.5
    for permit, fault in zip(late, (None, Fault.TIMEOUT, Fault.SCHEMA), strict=True):
        assert permit is not None
        permit.report(fault)
    assert (one.state, one.fault) == ("open", DOWN)
    clock.now += 0.5
    probe = one.admit()
    assert probe is not None
    also_late = Permit(one, probe=False)
    also_late.report(None)
    assert (one.state, one.admit()) == ("half-open", None)


def test_a_permit_counts_once():
    """Whatever is said after the first word is not heard, and what was given back says nothing of the endpoint."""
    one, clock = breaker(consecutive=2)
    permit = one.admit()
    assert permit is not None
    for _ in range(5):
        permit.report(DOWN)
    permit.give_back()
    assert one.state == "closed"
    for _ in range(5):
        given_back = one.admit()
        assert given_back is not None
        given_back.give_back()
    assert one.state == "closed"
    see(one, DOWN)
    assert one.state == "open"
    clock.now += 2
    probe = one.admit()
    assert probe is not None
    probe.report(None)
    probe.give_back()
    assert one.state == "closed"


def test_what_came_before_it_closed_is_forgotten():
    """Neither the row nor the window is carried over."""
    one, clock = breaker(consecutive=3, window=4)
    see(one, *[DOWN] * 3)
    clock.now += 2
    see(one, None)
    see(one, DOWN, DOWN)
    assert one.state == "closed"
    see(one, None, None)
    assert one.state == "open"


def test_the_policy_unless_told_otherwise():
    """Five in a row, or half of twenty within thirty seconds; two seconds of peace."""
    assert BreakerPolicy() == BreakerPolicy(consecutive=5, window=20, window_s=30.0, share=0.5, open_s=2.0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        BreakerPolicy().consecutive = 99  # type: ignore[misc]
