"""Laws of routing that hold for every policy that can be loaded, and for every assessment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crisis_filter.schema import SEVERITIES, URGENCIES, Fault, Finding
from crisis_filter.triage.policy import load_policy
from crisis_filter.triage.route import triage
from crisis_filter.triage.rules import LONGEST_S, time_limit_s
from tests.strategies import findings
from tests.triage.making import EMPTY, V4, assessments, crisis, locales, policies, sources, times

V3 = load_policy("default-v3")
KNOWN = st.sampled_from([load_policy("default"), load_policy("default-v2"), V3, V4])
MONDAY = datetime(2026, 3, 2, tzinfo=UTC)


@given(KNOWN | policies(), assessments(), locales, sources, st.none() | times)
def test_every_assessment_reaches_a_queue_that_is_there_and_no_alarm_reaches_nobody(
    policy, assessment, locale, source, at
):
    """Law 7, for any place, source and hour; empty content alone may be set aside."""
    told = triage(assessment, policy, EMPTY, locale, source=source, at=at)
    staffed = {queue.id: queue.staffed_by is not None for queue in policy.queues}
    assert told.queue in staffed
    if assessment.outcome != "no_crisis" and assessment.fault is not Fault.EMPTY_CONTENT:
        assert staffed[told.queue]
    assert 0 < time_limit_s(told) <= LONGEST_S[told.urgency]


@given(KNOWN | policies(), st.lists(findings, min_size=1, max_size=3), st.data(), locales, sources, st.none() | times)
def test_graver_or_more_findings_are_never_less_urgent(policy, found, data, locale, source, at):
    """Whatever else the rules look at."""

    def urgency(*which: Finding) -> int:
        return URGENCIES.index(triage(crisis(*which), policy, EMPTY, locale, source=source, at=at).urgency)

    before = urgency(*found)
    place = data.draw(st.integers(0, len(found) - 1))
    severity = found[place].severity or "moderate"
    higher = data.draw(st.sampled_from(SEVERITIES[SEVERITIES.index(severity) :]))
    graver = [*found]
    graver[place] = found[place].model_copy(update={"severity": higher})
    assert urgency(*graver) <= before
    assert urgency(*found, data.draw(findings)) <= before


@given(KNOWN | policies(), assessments(), locales, sources, times)
def test_an_unknown_hour_is_at_least_as_urgent_as_any(policy, assessment, locale, source, at):
    """Not to know when a message came must not make it wait."""
    unknown = triage(assessment, policy, EMPTY, locale, source=source)
    known = triage(assessment, policy, EMPTY, locale, source=source, at=at)
    assert URGENCIES.index(unknown.urgency) <= URGENCIES.index(known.urgency)


@given(KNOWN | policies(), assessments(), locales, sources, st.none() | times)
def test_the_order_made_ready_decides_as_the_words_say(policy, assessment, locale, source, at):
    """Of all rules that match the most urgent, among equals the first, empty content alone before all: by a plain reading of the rules."""
    told = triage(assessment, policy, EMPTY, locale, source=source, at=at)
    fits = []
    for rule in policy.rules:
        if rule.outcome != assessment.outcome:
            continue
        # Alone against rules that take everything and wait longest, it decides exactly when it matches.
        last = tuple(
            other.model_copy(update={"urgency": "routine"})
            for other in policy.rules
            if other.unconditional and other.id != rule.id
        )
        one = policy.model_copy(update={"rules": (rule.model_copy(update={"urgency": "emergency"}), *last)})
        if triage(assessment, one, EMPTY, locale, source=source, at=at).rule == rule.id:
            fits.append(rule)
    first = min(fits, key=lambda rule: (not rule.for_empty_content, URGENCIES.index(rule.urgency)))
    assert told.rule == first.id
    assert (told.queue, told.urgency) == (first.queue, first.urgency)


@given(assessments())
def test_version_four_is_never_less_urgent_than_version_three(assessment):
    """And by day, with the service whole, queue and urgency are the same; verdicts cannot differ, for prompts and thresholds are the same."""
    old = triage(assessment, V3, EMPTY)
    for at in (None, *(MONDAY + timedelta(hours=hour) for hour in (0, 7.99, 8, 12, 19.99, 20, 23))):
        new = triage(assessment, V4, EMPTY, at=at)
        assert URGENCIES.index(new.urgency) <= URGENCIES.index(old.urgency)
        if at is not None and 8 <= at.hour < 20 and not assessment.degraded:
            assert (new.queue, new.urgency) == (old.queue, old.urgency)


def test_version_four_judges_as_version_three():
    """Whatever decides a verdict is the same in both."""
    for name in ("stages", "thresholds", "limits", "votes", "languages", "chain"):
        assert getattr(V3, name) == getattr(V4, name)


@given(st.lists(findings, min_size=1, max_size=3), st.data(), st.none() | times)
def test_in_version_four_a_graver_finding_never_gets_more_time(found, data, at):
    """Not only no less urgent: the time limit and the escalation come no later."""
    place = data.draw(st.integers(0, len(found) - 1))
    severity = found[place].severity or "moderate"
    higher = data.draw(st.sampled_from(SEVERITIES[SEVERITIES.index(severity) :]))
    graver = [*found]
    graver[place] = found[place].model_copy(update={"severity": higher})
    before, after = triage(crisis(*found), V4, EMPTY, at=at), triage(crisis(*graver), V4, EMPTY, at=at)
    assert time_limit_s(after) <= time_limit_s(before)
    assert (after.escalate_after_s or 0) <= (before.escalate_after_s or 0)


@pytest.mark.parametrize("name", ["default", "default-v2", "default-v3"])
@given(assessment=assessments(), at=st.none() | times, source=sources)
def test_released_packs_write_what_they_wrote(name, assessment, at, source):
    """No field that they do not know, and no difference that an hour or a source makes."""
    told = triage(assessment, load_policy(name), EMPTY, source=source, at=at)
    assert set(told.model_dump(mode="json")) == {"queue", "urgency", "rule", "resources", "resources_withheld"}
    assert told == triage(assessment, load_policy(name), EMPTY)


def test_a_time_without_a_zone_is_refused():
    """It could be any hour."""
    with pytest.raises(ValueError, match="zone"):
        triage(crisis(Finding(category="abuse")), V4, EMPTY, at=datetime(2026, 1, 1))  # noqa: DTZ001  # that is the point
