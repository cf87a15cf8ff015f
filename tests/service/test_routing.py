"""Where an assessment goes in the service."""

from __future__ import annotations

import pytest

from crisis_filter.schema import Message
from crisis_filter.service.routing import Router
from crisis_filter.triage.policy import load_policy
from crisis_filter.triage.resources import load_resources
from tests.service.desk_scenes import POLICY, ROUTER, said

PACK = load_resources(POLICY.resources.pack)
NOON = 1_795_348_800_000  # 2026-11-22T12:00Z


@pytest.mark.parametrize(("word", "to_person"), [("crisis", True), ("calm", False), ("else", True)])
def test_a_person_hears_of_all_but_not_crisis_and_in_time(word, to_person):
    routed = ROUTER.route(said(Message(id="m", text=word)), locale=None, source="portal", received_ms=NOON)
    assert routed.to_person is to_person
    assert (routed.due_ms is not None) is to_person
    if to_person:
        assert NOON < routed.due_ms <= NOON + 24 * 3600 * 1000


@pytest.mark.parametrize("word", ["crisis", "calm", "else"])
def test_where_the_rules_fail_nobody_is_left_without_a_place(word, monkeypatch, caplog):
    def broken(*_, **__):
        raise ZeroDivisionError("private words")

    monkeypatch.setattr("crisis_filter.service.routing.triage", broken)
    routed = ROUTER.route(said(Message(id="m", text=word)), locale=None, source="portal", received_ms=NOON)
    assert routed.to_person
    assert routed.assessment.outcome == ("crisis" if word == "crisis" else "undetermined")
    assert routed.assessment.disposition.queue in {queue.id for queue in POLICY.queues if queue.staffed_by}
    assert "private" not in caplog.text
    if word == "calm":
        assert routed.assessment.fault == "internal"


def test_hour_and_source_are_looked_at(tmp_path):
    text = """id = "hours"
version = 1
format = 2
description = "By hour and source."
timezone = "America/New_York"
[stages]
screen = "screen/reasoned-v1"
categorise = "categorise/reasoned-v1"
taxonomy = "clinical-v1"
[resources]
pack = "resources-v1"
[[queues]]
id = "day"
name = "Day"
staffed_by = "clinic"
[[queues]]
id = "night"
name = "Night"
staffed_by = "on call"
[[queues]]
id = "sms"
name = "Text messages"
staffed_by = "texters"
[[queues]]
id = "none"
name = "None"
[[rules]]
id = "night"
outcome = "crisis"
hours = "20:00-08:00"
queue = "night"
urgency = "emergency"
within = "5m"
[[rules]]
id = "sms"
outcome = "crisis"
sources = ["sms"]
queue = "sms"
urgency = "urgent"
within = "1h"
[[rules]]
id = "crisis"
outcome = "crisis"
queue = "day"
urgency = "urgent"
within = "2h"
[[rules]]
id = "undetermined"
outcome = "undetermined"
queue = "day"
urgency = "soon"
within = "8h"
[[rules]]
id = "calm"
outcome = "no_crisis"
queue = "none"
urgency = "routine"
"""
    path = tmp_path / "hours.toml"
    path.write_text(text)
    router = Router(load_policy(str(path)), PACK)
    crisis = said(Message(id="m", text="crisis"))

    def queue(source, hours_later):
        at = NOON + hours_later * 3_600_000  # noon is seven in the morning there
        routed = router.route(crisis, locale=None, source=source, received_ms=at)
        return routed.assessment.disposition.queue, (routed.due_ms - at) // 60_000

    assert queue("portal", 0) == ("night", 5)
    assert queue("portal", 3) == ("day", 120)
    assert queue("sms", 3) == ("sms", 60)
    assert queue("sms", 13) == ("night", 5)
