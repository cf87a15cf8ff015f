"""Joining what several views and chunks of one message said. The graver reading wins; nothing is lowered."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from crisis_filter.schema import SEVERITIES, Evidence, Finding, Subject, Timeframe
from crisis_filter.stages.base import Named
from crisis_filter.text import QuoteFinder

_TIMEFRAMES: tuple[Timeframe, ...] = ("unclear", "past", "future", "recent", "current")


def join_findings(
    named: Sequence[Named], finder: QuoteFinder, order: tuple[str, ...]
) -> tuple[tuple[Finding, ...], int]:
    """One finding for each category named by any view.

    Severity, probability and nearness in time are the highest that any view gave; evidence is what can be found in the raw
    text. A quote that can't be found is dropped and counted, and dropping it changes nothing else.

    Args:
        named: all categories that views named, in the order of the views.
        finder: looks quotes up in the raw text.
        order: category ids in the taxonomy's order; others come after them.

    Returns:
        Findings in the taxonomy's order, and how many quotes were dropped.
    """
    groups: dict[str, list[Named]] = {}
    for item in named:
        groups.setdefault(item.category, []).append(item)
    findings, dropped = [], 0
    for category in sorted(groups, key=lambda c: order.index(c) if c in order else len(order)):
        group = groups[category]
        evidence, lost = finder.find(q for item in group for q in item.quotes)
        dropped += lost
        findings.append(_one(category, group, evidence))
    return tuple(findings), dropped


def _one(category: str, group: list[Named], evidence: tuple[Evidence, ...]) -> Finding:
    severities = [item.severity for item in group if item.severity is not None]
    probabilities = [item.probability for item in group if item.probability is not None]
    return Finding(
        category=category,
        probability=max(probabilities, default=None),
        severity=max(severities, key=SEVERITIES.index, default=None),
        subject=join_subjects(item.subject for item in group),
        timeframe=join_timeframes(item.timeframe for item in group),
        evidence=evidence,
        rationale=next((item.rationale for item in group if item.rationale), None),
    )


def join_subjects(subjects: Iterable[Subject]) -> Subject:
    """`self` with `other` makes `both`; `unclear` gives way to anything."""
    known = {subject for subject in subjects if subject != "unclear"}
    if not known:
        return "unclear"
    return known.pop() if len(known) == 1 else "both"


def join_timeframes(timeframes: Iterable[Timeframe]) -> Timeframe:
    """The nearest in time."""
    return max(timeframes, key=_TIMEFRAMES.index, default="unclear")
