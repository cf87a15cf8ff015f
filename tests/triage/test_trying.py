"""A policy on trial: counts against a count by hand."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crisis_filter.errors import InputError
from crisis_filter.schema import Fault, Finding
from crisis_filter.triage.policy import load_policy
from crisis_filter.triage.route import triage
from crisis_filter.triage.rules import Rule
from crisis_filter.triage.trying import Judged, Trial
from tests.triage.making import EMPTY, V4, assessments, calm, crisis, locales, policies, sources, times, undetermined

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@given(
    policies(), st.lists(st.builds(Judged, assessments(), locales, sources, st.none() | times), min_size=1, max_size=12)
)
def test_every_message_is_counted_once_where_it_went(policy, judged):
    """By queue and urgency, by rule, and by who reads it."""
    trial = Trial(policy)
    told = [trial.add(one) for one in judged]
    assert told == [triage(one.assessment, policy, EMPTY, one.locale, source=one.source, at=one.at) for one in judged]
    found = trial.result()
    assert {(line.queue, line.urgency): line.messages for line in found.lines} == Counter(
        (one.queue, one.urgency) for one in told
    )
    assert {name: n for name, n in found.rules.items() if n} == Counter(one.rule for one in told)
    assert sum(found.outcomes.values()) == found.messages == len(judged)
    assert sum(line.share for line in found.lines) == pytest.approx(1.0)
    assert sum(queue.messages for queue in found.queues) == found.messages
    nobody = sum(one.queue == "nobody" for one in told)
    assert found.to_people == len(judged) - nobody
    aside = sum(
        one.queue == "nobody" and each.assessment.outcome != "no_crisis" for one, each in zip(told, judged, strict=True)
    )
    assert found.set_aside == aside
    assert found.hours_unknown == sum(one.at is None for one in judged)
    assert found.sources_unknown == sum(one.source is None for one in judged)


def test_days_are_those_of_the_calendar_or_as_told():
    """From the first message to the last, in the policy's zone; unknown where one message has no time."""
    trial = Trial(V4.model_copy(update={"timezone": "America/New_York"}))
    for hours in (0, 30, 11):
        trial.add(Judged(calm(), at=datetime(2026, 3, 2, 3, tzinfo=UTC) + timedelta(hours=hours)))  # 1 March there
    found = trial.result()
    assert (found.days, found.days_from) == (3.0, "times")
    assert found.lines[0].per_day == 1.0
    assert (trial.result(7).days, trial.result(7).days_from) == (7, "given")
    trial.add(Judged(calm()))
    assert (trial.result().days, trial.result().lines[0].per_day) == (None, None)


def test_protocols_and_shortest_limits_are_told_by_queue():
    """What the readers of each queue have to keep to."""
    trial = Trial(V4)
    for one in (
        crisis(Finding(category="suicide")),
        crisis(Finding(category="self_harm", severity="mild")),
        undetermined(Fault.TIMEOUT),
    ):
        trial.add(Judged(one, at=NOON))
    found = trial.result()
    assert found.protocols == {"safety-planning": 2, "read-it-yourself": 1}
    assert {queue.queue: queue.within_s for queue in found.queues if queue.messages} == {
        "clinical": 7200,
        "review": 86400,
    }


def test_a_pack_without_limits_has_the_longest_of_each_urgency():
    """So that readers can be counted for it too."""
    trial = Trial(load_policy("default-v3"))
    trial.add(Judged(crisis(Finding(category="suicide"))))
    assert {queue.queue: queue.within_s for queue in trial.result().queues if queue.messages} == {"clinical": 14400}


def test_what_is_set_aside_by_rule_is_counted():
    """Empty content that nobody reads is no message that went to somebody."""
    rules = tuple(
        Rule.model_validate(
            {
                "id": "empty",
                "outcome": "undetermined",
                "faults": ["empty_content"],
                "queue": "none",
                "urgency": "routine",
            }
        )
        if rule.id == "empty"
        else rule
        for rule in V4.rules
    )
    trial = Trial(V4.model_copy(update={"rules": rules}))
    trial.add(Judged(undetermined(Fault.EMPTY_CONTENT)))
    trial.add(Judged(calm()))
    assert (trial.result().set_aside, trial.result().to_people) == (1, 0)


def test_a_run_of_nothing_and_one_of_a_baseline_are_refused():
    """Neither says anything of a policy."""
    with pytest.raises(InputError, match="no messages"):
        Trial(V4).result()
    theirs = calm().model_copy(update={"provenance": calm().provenance.model_copy(update={"detector": "baseline:x"})})
    with pytest.raises(ValueError, match="never routed"):
        Trial(V4).add(Judged(theirs))
