"""What is said of one message, in the one form that every surface answers from: fresh from the detector, recalled from the store, or nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from crisis_filter.errors import Fault
from crisis_filter.schema import Assessment, Disposition, Finding, Flag, Outcome, Provenance, ScoreSource, Screening
from crisis_filter.store.records import Verdict

__all__ = ["Said", "fresh", "recalled", "unsaid"]

_NOTHING = Screening()


@dataclass(frozen=True, slots=True)
class Said:
    """What is said of one message. Its outcome comes from an assessment or a person; nothing here makes a negative.

    Attributes:
        message_id: ours; `None` where nothing was stored.
        id: the sender's own, as it came in; echoed, never logged.
        outcome: as the assessment or the person says.
        by: who said it.
        pending: whether it is stored and not judged yet, so that a later look may tell more.
        findings: empty unless it is a crisis; then at least one.
        fault: never `None` for `undetermined`.
        fault_detail: fixed words of ours.
        disposition: where it went; `None` where nobody routed it.
        provenance: `None` where the assessment is gone, by retention or erasure.
    """

    message_id: str | None
    id: str | None
    outcome: Outcome
    by: Literal["detector", "person"] = "detector"
    pending: bool = False
    findings: tuple[Finding, ...] = ()
    fault: Fault | None = None
    fault_detail: str = ""
    score: float | None = None
    score_source: ScoreSource | None = None
    degraded: bool = False
    flags: tuple[Flag, ...] = ()
    screen: Screening = _NOTHING
    disposition: Disposition | None = None
    provenance: Provenance | None = None


def fresh(assessment: Assessment, *, message_id: str | None = None, id: str | None = None) -> Said:  # noqa: A002
    """What a detector just said."""
    return Said(
        message_id=message_id,
        id=id,
        outcome=assessment.outcome,
        findings=assessment.findings,
        fault=assessment.fault,
        fault_detail=assessment.fault_detail,
        score=assessment.score,
        score_source=assessment.score_source,
        degraded=assessment.degraded,
        flags=assessment.flags,
        screen=assessment.screen,
        disposition=assessment.disposition,
        provenance=assessment.provenance,
    )


def recalled(verdict: Verdict, *, id: str | None = None) -> Said:  # noqa: A002
    """What stands of a stored message. A person's word goes before the detector's; without any it is undetermined and pending."""
    if verdict.state == "pending" or verdict.outcome is None:
        return unsaid(Fault.INTERNAL, "not judged yet", message_id=verdict.message_id, id=id, pending=True)
    assessment, fault = verdict.assessment, verdict.fault
    if verdict.outcome == "undetermined" and fault is None:
        fault = (assessment.fault if assessment else None) or Fault.INTERNAL
    return Said(
        message_id=verdict.message_id,
        id=id,
        outcome=verdict.outcome,
        by=verdict.by or "detector",
        findings=_findings(verdict),
        fault=fault,
        fault_detail=assessment.fault_detail if assessment and assessment.fault == fault else "",
        score=verdict.score,
        score_source=assessment.score_source if assessment and verdict.score is not None else None,
        degraded=bool(assessment and assessment.degraded),
        flags=assessment.flags if assessment else (),
        screen=assessment.screen if assessment else _NOTHING,
        disposition=_disposition(verdict),
        provenance=assessment.provenance if assessment else None,
    )


def unsaid(
    fault: Fault,
    detail: str = "",
    *,
    message_id: str | None = None,
    id: str | None = None,  # noqa: A002
    pending: bool = False,
) -> Said:
    """A message of which nobody said anything.

    Args:
        fault: why.
        detail: a few fixed words of ours.
        message_id: ours, where it is stored.
        id: the sender's.
        pending: whether it will still be judged.
    """
    return Said(message_id=message_id, id=id, outcome="undetermined", fault=fault, fault_detail=detail, pending=pending)


def _findings(verdict: Verdict) -> tuple[Finding, ...]:
    """The categories that stand, with what the detector said of each where it said anything."""
    if verdict.outcome != "crisis":
        return ()
    told = {f.category: f for f in verdict.assessment.findings} if verdict.assessment else {}
    return tuple(told.get(each) or Finding(category=each) for each in verdict.categories or ("unspecified",))


def _disposition(verdict: Verdict) -> Disposition | None:
    """Where it lies now, with resources and time limits where the detector's assessment still tells of the same rule."""
    if verdict.queue is None or verdict.urgency is None or verdict.rule is None:
        return None
    told = verdict.assessment.disposition if verdict.assessment else None
    if told is not None and (told.queue, told.urgency, told.rule) == (verdict.queue, verdict.urgency, verdict.rule):
        return told
    return Disposition(queue=verdict.queue, urgency=verdict.urgency, rule=verdict.rule)
