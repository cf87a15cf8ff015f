"""Holes and rules that never decide: found by going through the cases, held against messages at random."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crisis_filter.schema import OUTCOMES, Fault
from crisis_filter.triage.coverage import fate_of, holes
from crisis_filter.triage.matching import order_of
from crisis_filter.triage.route import triage
from crisis_filter.triage.rules import Rule
from tests.triage.making import EMPTY, V4, assessments, locales, policies, rules, sources, times


def rule(name: str, **fields: object) -> Rule:
    return Rule.model_validate({"id": name, "outcome": "undetermined", "queue": "q", "urgency": "soon", **fields})


def test_without_rules_everything_is_a_hole():
    """Each fault of undetermined, and the bare outcome of the others."""
    assert holes((), "undetermined") == tuple(f"undetermined, fault {fault.value}" for fault in Fault)
    assert holes((), "crisis") == ("crisis",)
    assert holes((), "no_crisis") == ("no_crisis",)


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_a_rule_without_conditions_leaves_none(outcome):
    """Nor does the default pack."""
    assert holes((rule("all", outcome=outcome),), outcome) == ()
    assert holes(V4.rules, outcome) == ()


def test_rules_may_cover_all_between_them():
    """Day and night; whole and degraded; every fault; every severity."""
    by_hour = (rule("day", hours="08:00-20:00"), rule("night", hours="20:00-08:00"))
    assert holes(by_hour, "undetermined") == ()
    assert (
        holes((by_hour[0], rule("night", hours="20:00-07:59")), "undetermined")[0]
        == "undetermined, fault refusal_field, Monday 07:59"
    )
    assert holes((rule("whole", degraded=False), rule("broken", degraded=True)), "undetermined") == ()
    assert holes((rule("faults", faults=list(Fault)),), "undetermined") == ()
    assert holes((rule("mild", outcome="crisis", severity_at_least="mild"),), "crisis") == ()
    assert (
        holes(
            (rule("week", weekdays=["mon", "tue", "wed", "thu", "fri"]), rule("end", weekdays=["sat", "sun"])),
            "undetermined",
        )
        == ()
    )


@given(st.lists(st.integers(0, 9).flatmap(rules), max_size=4), assessments(), locales, sources, times)
def test_what_no_rule_takes_is_a_hole(made, assessment, locale, source, at):
    """Whatever message finds no rule, the cases that were gone through have one of its kind."""
    found = [Rule.model_validate(one) for one in made]
    order = order_of(found, assessment.outcome)
    from crisis_filter.triage.hours import wall_time, zone

    if order.first(assessment, locale or "en-US", source, wall_time(at, zone("UTC"))) is None:
        assert holes(found, assessment.outcome)


@given(policies(), assessments(), locales, sources, st.none() | times)
def test_a_rule_that_decides_is_never_called_shadowed(policy, assessment, locale, source, at):
    """Whatever decides about a message has a case of its own."""
    told = triage(assessment, policy, EMPTY, locale, source=source, at=at)
    decided = next(each for each in policy.rules if each.id == told.rule)
    assert fate_of(decided, policy.rules).decides


@pytest.mark.parametrize(
    ("rules_", "name", "decides", "by"),
    [
        ((rule("a"), rule("b")), "b", False, ("a",)),
        ((rule("a"), rule("b", urgency="urgent")), "a", False, ("b",)),
        ((rule("a", faults=["timeout"]), rule("b")), "b", True, ("a",)),
        ((rule("a", faults=["timeout", "overload"]), rule("b", faults=["timeout"])), "b", False, ("a",)),
        ((rule("a", flags=["chunked"]), rule("b", flags=["chunked", "obfuscated"])), "b", True, ("a",)),
        ((rule("a", score_at_least=0.4), rule("b", score_at_least=0.5)), "b", False, ("a",)),
        ((rule("a", score_at_least=0.5), rule("b", score_at_least=0.4)), "b", True, ()),
        ((rule("a", hours="08:00-20:00"), rule("b", hours="09:00-10:00")), "b", False, ("a",)),
        ((rule("a", hours="09:00-10:00"), rule("b", hours="08:00-20:00")), "b", True, ("a",)),
        ((rule("a", locales=["US"]), rule("b", locales=["en-US"])), "b", False, ("a",)),
        ((rule("a", locales=["en-US"]), rule("b", locales=["US"])), "b", True, ()),
        ((rule("a", sources=["x"]), rule("b", sources=["y"])), "b", True, ()),
        ((rule("a", degraded=True), rule("b", degraded=False), rule("c")), "c", False, ("b", "a")),
        (
            (
                rule("empty", faults=["empty_content"], urgency="routine"),
                rule("b", faults=["empty_content"], hours="01:00-02:00", urgency="emergency"),
            ),
            "b",
            False,
            ("empty",),
        ),
    ],
)
def test_a_rule_is_shadowed_when_others_take_all_its_cases(rules_, name, decides, by):
    """One or several together."""
    fate = fate_of(next(each for each in rules_ if each.id == name), rules_)
    assert (fate.decides, fate.overruled_by) == (decides, by)


@pytest.mark.parametrize(
    "one",
    [
        rule("a", outcome="no_crisis", faults=["timeout"]),
        rule("a", outcome="no_crisis", categories=["abuse"]),
        rule("a", severity_at_least="mild"),
        rule("a", subjects=["self"]),
    ],
)
def test_a_rule_that_contradicts_its_outcome_can_match_nothing(one):
    """No finding beside undetermined or not crisis, no fault beside not crisis."""
    assert not fate_of(one, (one,)).possible
