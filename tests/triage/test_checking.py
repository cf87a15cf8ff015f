"""Warnings about a policy: what is allowed and yet probably not meant."""

from __future__ import annotations

from typing import Any

import pytest

from crisis_filter.triage.checking import warnings
from crisis_filter.triage.policy import Policy, load_policy
from crisis_filter.triage.rules import Queue, Rule
from tests.triage.making import V4


def with_rule(**fields: Any) -> Policy:
    """Version 4 with one more rule before the others."""
    made = {"id": "own", "queue": "act-now", "urgency": "emergency", "within": "5m", "protocol": "outage", **fields}
    made = {**made, "escalate_to": "lead", "escalate_after": "5m"} if "escalate_to" not in made else made
    return V4.model_copy(update={"rules": (Rule.model_validate(made), *V4.rules)})


def test_the_released_packs_have_none_but_for_their_age():
    """Version 4 none at all."""
    assert warnings(V4) == ()
    for name in ("default", "default-v2", "default-v3"):
        assert [each.kind for each in warnings(load_policy(name))] == ["format"]


@pytest.mark.parametrize(
    ("fields", "kind", "words"),
    [
        ({"outcome": "no_crisis", "faults": ["timeout"]}, "impossible", "no fault"),
        ({"outcome": "undetermined", "categories": ["abuse"]}, "impossible", "no findings"),
        ({"outcome": "undetermined", "faults": ["stage_conflict"]}, "impossible", "beside a crisis only"),
        ({"outcome": "undetermined", "protocol": None}, "protocol", "no protocol"),
        ({"outcome": "undetermined", "escalate_to": None, "escalate_after": None}, "escalation", "goes nowhere"),
        ({"outcome": "crisis", "locales": ["es"]}, "locale", "not es-US"),
    ],
)
def test_what_is_probably_not_meant_is_told(fields, kind, words):
    """For the rule in question."""
    found = [each for each in warnings(with_rule(**fields)) if each.where == "own"]
    assert [each.kind for each in found] == [kind]
    assert words in found[0].words


def test_a_shadowed_rule_and_those_before_it_are_named():
    """A rule for every crisis, most urgent and first, shadows all others."""
    found = warnings(with_rule(outcome="crisis"))
    assert {each.where for each in found} == {rule.id for rule in V4.rules if rule.outcome == "crisis"}
    assert {each.kind for each in found} == {"shadowed"}
    assert "own goes first in every case" in found[0].words


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        ({"within": "20h"}, {"within": "1h"}, True),
        ({"within": "1h"}, {"within": "20h"}, False),
        ({"within": "20h", "urgency": "soon"}, {"within": "1h", "urgency": "urgent"}, False),
        ({"within": "20h", "outcome": "undetermined"}, {"within": "1h"}, False),
        ({"within": "20h", "degraded": True}, {"within": "1h", "degraded": False}, False),
        ({"within": "20h", "degraded": True}, {"within": "1h"}, True),
        ({"within": "20h", "faults": ["timeout"]}, {"within": "1h", "faults": ["overload"]}, False),
        ({"within": "20h", "faults": ["timeout"]}, {"within": "1h", "faults": ["overload", "timeout"]}, True),
    ],
)
def test_a_rule_behind_a_slower_one_of_its_urgency_is_told(first, second, told):
    """What fits both would wait longer than it need; rules that never meet are left alone."""
    base = {"outcome": "crisis", "urgency": "soon", "queue": "clinical", "protocol": "outage", "categories": []}
    pair = [Rule.model_validate({**base, "id": name, **more}) for name, more in (("one", first), ("two", second))]
    found = warnings(V4.model_copy(update={"rules": (*pair, *V4.rules)}))
    slower = [each.words for each in found if each.kind == "slower" and each.where == "two"]
    assert bool(slower) is told
    assert all("asks for 1h behind one" in words for words in slower)


def test_a_queue_that_nothing_goes_to_is_told():
    """Escalation counts as going there."""
    more = V4.model_copy(update={"queues": (*V4.queues, Queue(id="spare", name="Spare"))})
    assert [(each.kind, each.where) for each in warnings(more)] == [("unused", "spare")]
