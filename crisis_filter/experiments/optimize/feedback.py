"""What an answer is worth to the search, and what a reflection model is told of it.

Being right is worth 1. A false alarm costs 1, and so does an undetermined message that is no crisis: a person reads either for nothing. A
crisis called "not crisis" costs 5, an undetermined one 4: nobody is told of the first, and neither was found. The weight steers the search
alone. A higher one drives it to prompts that mark everything, a lower one to prompts that the choice at the end would throw away, for
there no number of false alarms makes up for a crisis (see `choosing`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from crisis_filter.datasets.records import Labelled
from crisis_filter.experiments.records import Item
from crisis_filter.prompting.render import fence_string
from crisis_filter.schema import Assessment, Message

__all__ = ["RIGHT", "Case", "is_right", "score", "told"]

RIGHT = 1.0
_MISSED = 5.0
_MISSED_AND_READ = 4.0
_ALARM = 1.0
_LONGEST = 2000
_RESULT = {True: "WRONG", False: "right"}


@dataclass(frozen=True, slots=True)
class Case:
    """A labelled message of the search."""

    item: Item
    message: Message = field(repr=False)
    row: Labelled = field(repr=False)
    """With the reasons of those who labelled it, where there are any."""


def is_right(case: Case, assessment: Assessment) -> bool:
    """Whether the answer is the label; undetermined is neither."""
    return assessment.outcome == ("crisis" if case.item.crisis else "no_crisis")


def score(case: Case, assessment: Assessment) -> float:
    """Of one answer, -4 to 1."""
    if is_right(case, assessment):
        return RIGHT
    if not case.item.crisis:
        return RIGHT - _ALARM
    return RIGHT - (_MISSED_AND_READ if assessment.outcome == "undetermined" else _MISSED)


def told(case: Case, assessment: Assessment) -> str:
    """Message, labels with their reasons, and answer, in words for the reflection model; private."""
    text = case.message.text
    shown = text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"
    lines = [
        f"Result: {_RESULT[not is_right(case, assessment)]}",
        f"Message: {fence_string(shown)}",
        f"The labels say {_label(case.row)}{_reasons(case.row)}",
        _answer(assessment),
    ]
    return "\n".join(lines)


def _label(row: Labelled) -> str:
    if not row.crisis:
        return "not crisis"
    more = [
        f"severity {row.severity}" if row.severity else "",
        f"whose: {row.subject}" if row.subject else "",
        f"when: {row.timeframe}" if row.timeframe else "",
    ]
    return f"crisis ({'; '.join([', '.join(row.categories), *filter(None, more)])})"


def _reasons(row: Labelled) -> str:
    parts = []
    if row.adjudication.strip():
        parts.append(f", because: {fence_string(row.adjudication.strip()[:_LONGEST])}")
    if row.ratings:
        crises, unsure = sum(r.crisis for r in row.ratings), sum(not r.sure for r in row.ratings)
        parts.append(f"; {crises} of {len(row.ratings)} raters said crisis, {unsure} were not sure")
    return "".join(parts)


def _answer(assessment: Assessment) -> str:
    if assessment.outcome == "undetermined":
        fault = assessment.fault.value if assessment.fault else "none named"
        flags = f"; marks: {', '.join(assessment.flags)}" if assessment.flags else ""
        return f"There was no usable answer (fault: {fault}{flags})"
    said = "crisis" if assessment.outcome == "crisis" else "not crisis"
    reason = assessment.screen.rationale
    return f"The answer said {said}" + (f", with this reasoning: {fence_string(reason[:_LONGEST])}" if reason else "")
