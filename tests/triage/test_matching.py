"""The conditions that look at where a message comes from and when, one by one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from crisis_filter.schema import Assessment, Disposition, Fault, Finding
from crisis_filter.tables.flat import json_line
from crisis_filter.triage.matching import order_of, plain
from crisis_filter.triage.route import triage
from crisis_filter.triage.rules import Rule
from tests.triage.making import EMPTY, V4, crisis, undetermined

FINDING = crisis(Finding(category="abuse", severity="mild"))
FRIDAY_NIGHT = datetime(2026, 3, 6, 23, 30, tzinfo=UTC)


def decided(conditions: dict[str, Any], assessment: Any = FINDING, *, timezone: str = "UTC", **given: Any) -> bool:
    """Whether a rule with these conditions, before all others, decides."""
    own = Rule.model_validate(
        {"id": "own", "outcome": "crisis", "queue": "act-now", "urgency": "emergency", "within": "5m", **conditions}
    )
    policy = V4.model_copy(update={"rules": (own, *V4.rules), "timezone": timezone})
    locale = given.pop("locale", None)
    return triage(assessment, policy, EMPTY, locale, **given).rule == "own"


@pytest.mark.parametrize(
    ("conditions", "given", "matches"),
    [
        ({"locales": ["US"]}, {}, True),  # the policy's default is en-US
        ({"locales": ["US"]}, {"locale": "es-US"}, True),
        ({"locales": ["en-US"]}, {"locale": "es-US"}, False),
        ({"locales": ["en-US"]}, {"locale": "en-US"}, True),
        ({"locales": ["US"]}, {"locale": "en-GB"}, False),
        ({"locales": ["es"]}, {"locale": "es-MX"}, False),
        ({"locales": ["es"]}, {"locale": "es"}, True),
        ({"locales": ["419"]}, {"locale": "es-419"}, True),
        ({"sources": ["app"]}, {"source": "app"}, True),
        ({"sources": ["app", "form"]}, {"source": "form"}, True),
        ({"sources": ["app"]}, {"source": "App"}, False),
        ({"sources": ["app"]}, {}, False),
        ({"hours": "22:00-06:00"}, {"at": FRIDAY_NIGHT}, True),
        ({"hours": "06:00-22:00"}, {"at": FRIDAY_NIGHT}, False),
        ({"hours": "06:00-22:00"}, {}, True),
        ({"weekdays": ["fri"]}, {"at": FRIDAY_NIGHT}, True),
        ({"weekdays": ["sat"]}, {"at": FRIDAY_NIGHT}, False),
        ({"weekdays": ["sat"]}, {"at": FRIDAY_NIGHT, "timezone": "Europe/Berlin"}, True),
        ({"weekdays": ["sat"]}, {}, True),
        ({"hours": "00:00-01:00", "weekdays": ["sat"]}, {"at": FRIDAY_NIGHT, "timezone": "Europe/Berlin"}, True),
        ({"degraded": True}, {}, False),
        ({"degraded": False}, {}, True),
        ({"degraded": True}, {"assessment": FINDING.model_copy(update={"degraded": True})}, True),
        ({"degraded": False}, {"assessment": FINDING.model_copy(update={"degraded": True})}, False),
        ({"degraded": True, "locales": ["US"]}, {}, False),
        ({"locales": ["US"], "sources": ["app"]}, {}, False),
        ({"sources": ["app"], "hours": "06:00-22:00"}, {"source": "app", "at": FRIDAY_NIGHT}, False),
    ],
)
def test_place_source_hour_and_state(conditions, given, matches):
    """All named conditions hold at once; an unknown hour meets every window, an unknown source none."""
    assert decided(conditions, **given) is matches


def test_the_rules_result_is_told_whole():
    """Time limit, protocol and escalation with the queue."""
    told = triage(crisis(Finding(category="violence", severity="imminent")), V4, EMPTY)
    assert told.model_dump(exclude={"resources", "resources_withheld"}) == {
        "queue": "act-now",
        "urgency": "emergency",
        "rule": "imminent-others",
        "within_s": 900,
        "protocol": "duty-to-protect",
        "escalate_to": "lead",
        "escalate_after_s": 300,
    }
    assert plain(V4.rules[0]) == told


@pytest.mark.parametrize(
    ("assessment", "protocol"),
    [
        (crisis(Finding(category="suicide", severity="moderate", subject="self")), "safety-planning"),
        (crisis(Finding(category="self_harm", severity="mild")), "safety-planning"),
        (crisis(Finding(category="eating_disorder", severity="severe")), "safety-planning"),
        (crisis(Finding(category="substance_misuse")), "safety-planning"),
        (crisis(Finding(category="psychosis", subject="self")), "safety-planning"),
        (crisis(Finding(category="psychosis", subject="both", severity="imminent")), "safety-planning"),
        (crisis(Finding(category="psychosis", subject="other")), "read-it-yourself"),
        (crisis(Finding(category="violence", severity="mild")), "duty-to-protect"),
        (crisis(Finding(category="violence"), Finding(category="suicide")), "duty-to-protect"),
        (crisis(Finding(category="abuse", severity="mild", subject="self")), "mandated-reporting"),
        (crisis(Finding(category="neglect", severity="imminent", subject="other")), "mandated-reporting"),
        (crisis(Finding(category="unspecified"), fault=Fault.TIMEOUT), "read-it-yourself"),
        (undetermined(Fault.REFUSAL_FIELD), "read-it-yourself"),
        (undetermined(Fault.EMPTY_CONTENT, degraded=True), "read-it-yourself"),
        (undetermined(Fault.TIMEOUT, degraded=True), "outage"),
        (undetermined(Fault.TIMEOUT), "read-it-yourself"),
        (undetermined(Fault.INPUT_TOO_LONG, degraded=True), "read-it-yourself"),
        (undetermined(Fault.TIMEOUT, 0.9, degraded=True), "read-it-yourself"),
    ],
)
def test_each_kind_of_harm_has_its_protocol_in_version_four(assessment, protocol):
    """Towards oneself, towards others, of those who depend on others, unknown, and an outage; at any hour."""
    for at in (None, FRIDAY_NIGHT, datetime(2026, 3, 6, 12, tzinfo=UTC)):
        assert triage(assessment, V4, EMPTY, at=at).protocol == protocol


def test_a_severe_crisis_at_night_goes_to_who_is_there():
    """And at an hour that nobody knows."""
    severe = crisis(Finding(category="psychosis", severity="severe", subject="self"))
    for at, queue in ((None, "act-now"), (FRIDAY_NIGHT, "act-now"), (datetime(2026, 3, 6, 12, tzinfo=UTC), "clinical")):
        assert triage(severe, V4, EMPTY, at=at).queue == queue


def test_rules_are_ordered_once_by_how_they_decide():
    """Empty content alone, then the most urgent, then as in the file; others of another outcome left out."""
    order = order_of(V4.rules, "undetermined")
    assert [ready.rule.id for ready in order.ready] == [
        "empty",
        "filter-named-danger",
        "refused-on-the-way",
        "refused-or-filtered",
        "undetermined-likely",
        "outage",
        "undetermined",
    ]
    assert not order.timed
    assert order_of(V4.rules, "crisis").timed


def test_records_of_before_still_load_and_are_written_as_they_were():
    """Byte for byte, without the new fields; those of version 4 come back whole."""
    old = b'{"queue":"clinical","urgency":"soon","rule":"crisis","resources":[],"resources_withheld":0}'
    told = Disposition.model_validate_json(old)
    assert told.model_dump_json().encode() == old
    assert (told.within_s, told.protocol, told.escalate_to, told.escalate_after_s) == (None, None, None, None)
    new = FINDING.model_copy(update={"disposition": plain(V4.rules[0])})
    line = json_line(new)
    assert b'"within_s":900,"protocol":"duty-to-protect","escalate_to":"lead","escalate_after_s":300' in line
    assert Assessment.model_validate_json(line) == new
