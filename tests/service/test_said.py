"""One form for what is said of a message, whoever said it."""

from __future__ import annotations

from hypothesis import given, settings

from crisis_filter.schema import Assessment, Disposition, Fault, Finding
from crisis_filter.service.said import fresh, recalled, unsaid
from tests.service.assessments import PROVENANCE, assessments, verdict

CRISIS = Assessment(
    id="m1",
    outcome="crisis",
    findings=(Finding(category="suicide", severity="severe"), Finding(category="abuse")),
    disposition=Disposition(queue="act-now", urgency="emergency", rule="r1", protocol="safety-planning"),
    provenance=PROVENANCE,
)


@settings(deadline=None)
@given(assessments())
def test_a_fresh_one_says_what_the_assessment_says(assessment):
    said = fresh(assessment, message_id="m1", id="theirs")
    assert (said.outcome, said.fault, said.findings, said.disposition) == (
        assessment.outcome,
        assessment.fault,
        assessment.findings,
        assessment.disposition,
    )
    assert (said.message_id, said.id, said.by, said.pending) == ("m1", "theirs", "detector", False)


def test_what_nobody_said_is_undetermined():
    said = unsaid(Fault.TIMEOUT)
    assert (said.outcome, said.fault, said.findings) == ("undetermined", Fault.TIMEOUT, ())


def test_what_is_pending_is_undetermined_and_says_so():
    said = recalled(verdict(state="pending", by=None))
    assert (said.outcome, said.pending, said.fault) == ("undetermined", True, Fault.INTERNAL)


def test_a_recalled_crisis_tells_what_the_fresh_one_told():
    stored = verdict(
        outcome="crisis",
        categories=("suicide", "abuse"),
        queue="act-now",
        urgency="emergency",
        rule="r1",
        assessment=CRISIS,
    )
    said = recalled(stored)
    assert (said.findings, said.disposition) == (CRISIS.findings, CRISIS.disposition)


def test_a_person_stands_before_the_detector():
    """Who reads "no crisis" there gets no findings of the detector's beside it; who names another category gets that one."""
    cleared = recalled(verdict(outcome="no_crisis", by="person", assessment=CRISIS))
    assert (cleared.outcome, cleared.by, cleared.findings, cleared.fault) == ("no_crisis", "person", (), None)
    changed = recalled(verdict(outcome="crisis", by="person", categories=("neglect", "abuse"), assessment=CRISIS))
    assert [f.category for f in changed.findings] == ["neglect", "abuse"]
    assert changed.findings[0].severity is None


def test_a_person_who_cannot_tell_leaves_a_fault():
    said = recalled(verdict(outcome="undetermined", by="person"))
    assert said.fault is Fault.INTERNAL


def test_a_crisis_without_its_text_keeps_its_categories():
    """Retention takes the assessment, not the verdict."""
    assert [f.category for f in recalled(verdict(outcome="crisis", categories=("abuse",))).findings] == ["abuse"]
    assert [f.category for f in recalled(verdict(outcome="crisis")).findings] == ["unspecified"]


def test_where_it_lies_now_goes_before_where_it_went():
    stored = verdict(
        outcome="crisis", categories=("abuse",), queue="lead", urgency="urgent", rule="escalated", assessment=CRISIS
    )
    assert recalled(stored).disposition == Disposition(queue="lead", urgency="urgent", rule="escalated")
