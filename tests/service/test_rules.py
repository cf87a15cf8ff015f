"""What a policy says to the queue."""

from __future__ import annotations

import pytest

from crisis_filter.schema import Outcome
from crisis_filter.service.rules import escalation_rules, reading_rules
from crisis_filter.store.queue_effects import RAISED_BY
from crisis_filter.store.queue_escalation import Step
from crisis_filter.triage.policy import load_policy
from crisis_filter.triage.route import plainly

V4 = load_policy("default-v4")


def test_every_rule_that_escalates_is_known_to_the_clock() -> None:
    steps = escalation_rules(V4).steps
    named = {rule.id for rule in V4.rules if rule.escalate_to is not None}
    assert named
    assert steps.keys() == named | {RAISED_BY}
    assert {step.to for several in steps.values() for step in several} <= V4.staffed


def test_what_a_blind_reader_raised_goes_on_when_its_time_is_up_and_not_later() -> None:
    """Where a plain crisis goes, which has longer."""
    crisis, reading = plainly("crisis", V4), reading_rules(V4)
    (step,) = escalation_rules(V4).steps[RAISED_BY]
    assert step == Step(to=str(crisis.escalate_to), after_ms=reading.within_ms["urgent"])
    assert step.after_ms < 1000 * (crisis.escalate_after_s or 0)


@pytest.mark.parametrize("outcome", ["crisis", "undetermined"])
def test_what_is_raised_comes_to_people(outcome: Outcome) -> None:
    assert reading_rules(V4).raised_queue in V4.staffed
    assert plainly(outcome, V4).queue in V4.staffed


def test_rules_that_lead_on_are_those_that_leave_the_queue_of_crises() -> None:
    reading = reading_rules(V4)
    on = {rule.id for rule in V4.rules if rule.escalate_to is not None and rule.escalate_to != reading.raised_queue}
    assert reading.leads_on == on
    assert "undetermined" not in on
    assert on


def test_a_policy_without_escalation_has_none() -> None:
    assert escalation_rules(load_policy("default-v3")).steps == {}
