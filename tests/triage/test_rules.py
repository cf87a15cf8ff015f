"""A rule's fields: spans, limits, and what counts as a condition."""

from __future__ import annotations

import pytest

from crisis_filter.schema import URGENCIES, Disposition
from crisis_filter.triage.rules import LONGEST_S, Rule, seconds, time_limit_s


@pytest.mark.parametrize(("span", "number"), [("1m", 60), ("90m", 5400), ("4h", 14400), ("7d", 604800)])
def test_a_span_has_its_seconds(span, number):
    """Minutes, hours, days."""
    assert seconds(span) == number


@pytest.mark.parametrize(
    ("urgency", "number"), [("emergency", 900), ("urgent", 14400), ("soon", 86400), ("routine", 604800)]
)
def test_a_disposition_without_a_limit_has_the_longest_of_its_urgency(urgency, number):
    """As those of packs without time limits have."""
    told = Disposition(queue="q", urgency=urgency, rule="r")
    assert time_limit_s(told) == number
    assert time_limit_s(told.model_copy(update={"within_s": 60})) == 60


def test_less_urgent_may_wait_longer():
    """The table is in order."""
    limits = [LONGEST_S[urgency] for urgency in URGENCIES]
    assert limits == sorted(limits)
    assert len(set(limits)) == len(limits)


@pytest.mark.parametrize(
    "condition",
    [
        {"categories": ["abuse"]},
        {"severity_at_least": "mild"},
        {"subjects": ["self"]},
        {"timeframes": ["past"]},
        {"faults": ["timeout"]},
        {"flags": ["chunked"]},
        {"score_at_least": 0.0},
        {"degraded": False},
        {"locales": ["US"]},
        {"sources": ["app"]},
        {"hours": "09:00-17:00"},
        {"weekdays": ["mon"]},
    ],
)
def test_every_condition_makes_a_rule_conditional(condition):
    """A new one that were forgotten here would open a hole."""
    made = {"id": "r", "outcome": "crisis", "queue": "q", "urgency": "soon"}
    assert Rule.model_validate(made).unconditional
    assert not Rule.model_validate({**made, **condition}).unconditional


def test_every_field_is_a_condition_or_known_not_to_be():
    """Whoever adds a field decides."""
    conditions = test_every_condition_makes_a_rule_conditional.pytestmark[0].args[1]
    results = {"id", "outcome", "queue", "urgency", "within", "protocol", "escalate_to", "escalate_after"}
    assert {name for each in conditions for name in each} | results == set(Rule.model_fields)
