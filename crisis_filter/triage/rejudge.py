"""Judging again: which assessments may be, when an endpoint heals, and which of two then stands. Pure.

An outage leaves many messages undetermined. When it is over most of them can be judged after all, without a person, but never so
that a crisis is taken back, a person's decision is overruled, or what somebody is reading changes under their eyes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from crisis_filter.errors import FAULTS, Fault
from crisis_filter.schema import OUTCOMES, SEVERITIES, UNSPECIFIED, Assessment, Finding, Outcome, Record

_ENGINE_ALONE = {"sole_detector", "cleared_by_engine"}

__all__ = ["Rejudgement", "Standing", "may_rejudge", "rejudging_order", "standing_after"]

Rejudgement = Literal["yes", "decided", "opened", "determined", "needs_another_detector", "needs_a_person"]
"""Whether an assessment may be judged again, or why not. `determined`: it has its verdict. `needs_another_detector`: the same one
would say the same. `needs_a_person`: no detector may settle it."""


class Standing(Record):
    """What people have done with an assessment."""

    opened: bool = False
    """Somebody has it before them now."""
    decided: Outcome | None = None
    """What a person decided; final for every detector."""


def may_rejudge(assessment: Assessment, standing: Standing, *, another: bool = False) -> Rejudgement:
    """Whether a detector may judge a message again.

    Args:
        assessment: the one that stands.
        standing: what people have done with it.
        another: whether the detector is another one than `assessment.provenance` names: other endpoints, prompts or engine. The
            engine alone is none, for it may not clear.

    Returns:
        `yes` for an undetermined assessment whose fault the service caused, and for a crisis whose kind Stage 2 failed to name for
        such a cause. Everything that the text itself caused stays with people.
    """
    if standing.decided is not None:
        return "decided"
    if standing.opened:
        return "opened"
    fault = assessment.fault
    unnamed = any(finding.category == UNSPECIFIED for finding in assessment.findings)
    if fault is None or (assessment.outcome == "crisis" and not unnamed):
        return "determined"
    if "injection_suspected" in assessment.flags or "filter_named_danger" in assessment.flags:
        return "needs_a_person"
    match FAULTS[fault].rejudge:
        case "healed":
            return "yes"
        case "other":
            return "yes" if another else "needs_another_detector"
        case "never":
            return "needs_a_person"


def standing_after(old: Assessment, new: Assessment, standing: Standing, *, another: bool = False) -> Assessment:
    """Which of two assessments of one message stands.

    The new one does when it is graver, or when it settles what `may_rejudge` lets a detector settle. The old one stands in every
    other case: a crisis is never lowered, nor any finding of it, a fault never takes the place of anything, and the embedded
    engine, as the sole detector or first in a cascade, settles nothing that another detector left open.

    Raises:
        ValueError: the assessments are of different messages.
    """
    if old.id != new.id:
        raise ValueError("the assessments are of different messages")
    if standing.decided is not None:
        return old
    graver = OUTCOMES.index(new.outcome) < OUTCOMES.index(old.outcome)
    if graver and new.outcome == "crisis":
        return new  # also while somebody reads: a person must hear of a crisis
    if may_rejudge(old, standing, another=another) != "yes":
        return old
    if old.outcome == "crisis":
        return new if _says_all(new, old) else old
    weaker = bool(_ENGINE_ALONE & set(new.flags)) and "sole_detector" not in old.flags
    return new if new.fault is None and not weaker else old


def _says_all(new: Assessment, old: Assessment) -> bool:
    """Whether a crisis is named whole, and every finding of the old one stands in it no less severe."""
    found = {finding.category: finding for finding in new.findings}
    if new.outcome != "crisis" or not found or UNSPECIFIED in found:
        return False
    return all(
        kept.category == UNSPECIFIED or (kept.category in found and _rank(found[kept.category]) >= _rank(kept))
        for kept in old.findings
    )


def _rank(finding: Finding) -> int:
    """Of the severity; one without counts as `moderate`, as in the rules."""
    return SEVERITIES.index(finding.severity or "moderate")


def rejudging_order(waiting: Iterable[Assessment]) -> tuple[Assessment, ...]:
    """The order in which to judge again: what looks most like a crisis first, and as given among equals.

    A refusal or a filter is a sign; then the embedded engine's score counts.
    """

    def urgency(assessment: Assessment) -> tuple[bool, float]:
        sign = FAULTS[assessment.fault or Fault.INTERNAL].sign or "refused_or_filtered" in assessment.flags
        return (not sign, -(assessment.score or 0.0))

    return tuple(sorted(waiting, key=urgency))
