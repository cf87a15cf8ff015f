"""Two policies on the same messages."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from crisis_filter.schema import URGENCIES, Fault, Finding
from crisis_filter.triage.comparing import Comparison
from crisis_filter.triage.policy import load_policy
from crisis_filter.triage.trying import Judged, Trial
from tests.triage.making import V4, assessments, calm, crisis, policies, undetermined

V3 = load_policy("default-v3")
NIGHT, NOON = (datetime(2026, 3, 2, hour, tzinfo=UTC) for hour in (2, 12))


def compared(first, second, judged):
    trial, beside = Trial(first), Comparison(first, second)
    for one in judged:
        beside.add(one, trial.add(one))
    return beside.result()


def test_what_goes_elsewhere_is_named():
    """Version 4 against version 3: severe crises at night, and what an outage left."""
    severe, lost = crisis(Finding(category="psychosis", severity="severe")), undetermined(Fault.TIMEOUT, degraded=True)
    named = [
        (severe.model_copy(update={"id": "night"}), NIGHT),
        (severe.model_copy(update={"id": "day"}), NOON),
        (lost.model_copy(update={"id": "lost-1"}), NOON),
        (lost.model_copy(update={"id": "lost-2"}), NIGHT),
        (calm(), NOON),
    ]
    found = compared(V3, V4, [Judged(one, at=at) for one, at in named])
    assert [(m.queue, m.urgency, m.other_queue, m.other_urgency, m.ids) for m in found.moves] == [
        ("review", "soon", "outage", "soon", ("lost-1", "lost-2")),
        ("clinical", "urgent", "act-now", "urgent", ("night",)),
    ]
    assert (found.messages, found.same, found.sooner, found.later, found.to_nobody) == (5, 2, 0, 0, 0)
    assert (found.policy.id, found.other.id) == ("default-v3", "default-v4")


def test_who_would_lose_their_reader_is_counted():
    """Empty content that the other policy sets aside."""
    rules = tuple(
        rule.model_copy(update={"queue": "none", "within": None, "escalate_to": None, "escalate_after": None})
        if rule.id == "empty"
        else rule
        for rule in V4.rules
    )
    found = compared(
        V4, V4.model_copy(update={"rules": rules}), [Judged(undetermined(Fault.EMPTY_CONTENT)), Judged(calm())]
    )
    assert (found.to_nobody, found.same) == (1, 1)


@given(policies(), policies(), st.lists(assessments().map(Judged), max_size=8))
def test_the_counts_add_up(first, second, judged):
    """Same and moved are all; against itself nothing moves; the other way round sooner is later."""
    there, back = compared(first, second, judged), compared(second, first, judged)
    assert there.same + sum(move.messages for move in there.moves) == there.messages == len(judged)
    assert (there.sooner, there.later, there.same) == (back.later, back.sooner, back.same)
    assert compared(first, first, judged).same == len(judged)
    assert all(move.urgency in URGENCIES and move.messages == len(move.ids) for move in there.moves)
