"""Which cases a set of rules leaves out, and which rules never decide, found by going through the cases.

Everything that a rule may look at is a closed set, or only ever adds matches: more findings, another flag, a higher score, a known source, a
place that rules name, an hour that is not known. So it is enough to look at the barest cases: one finding at most, of the least severity that will do,
in a category that no rule names unless the rule in question does, and so on. Whatever is left out at all is left out among these.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice, product
from typing import get_args

from crisis_filter.schema import Fault, Finding, Flag, Outcome, Severity, Subject, Timeframe
from crisis_filter.triage.hours import WEEKDAYS, Wall
from crisis_filter.triage.matching import Order, order_of
from crisis_filter.triage.rules import Rule

MOST_CASES = 200_000
"""Cases of one rule that are looked at; packs of people have far fewer."""
_ANOTHER_CATEGORY = "(a category that no rule names)"
_ELSEWHERE = "(elsewhere)"
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_SUBJECTS: tuple[Subject, ...] = get_args(Subject)
_TIMEFRAMES: tuple[Timeframe, ...] = get_args(Timeframe)


@dataclass(frozen=True, slots=True)
class Case:
    """A message as rules see it, with no more to it than needed."""

    outcome: Outcome
    fault: Fault | None
    flags: tuple[Flag, ...]
    score: float | None
    degraded: bool
    findings: tuple[Finding, ...]
    locale: str
    source: str | None
    wall: Wall | None


@dataclass(frozen=True, slots=True)
class Looked:
    """Which conditions some rule for an outcome has; a case says nothing of others."""

    subjects: bool
    timeframes: bool
    severity: bool
    categories: bool
    degraded: bool
    timed: bool
    locales: bool


def holes(rules: Collection[Rule], outcome: Outcome) -> tuple[str, ...]:
    """Cases of an outcome that no rule takes, in words, each once; of times of day only the first of the week is told.

    Args:
        rules: of a policy, for any outcome.
        outcome: whose cases to look at.
    """
    order = order_of(rules, outcome)
    any_case = Rule(id="any", outcome=outcome, queue="any", urgency="routine")
    looked = _looked(order)
    found: dict[Case, str] = {}
    for case in _cases(any_case, order, looked):
        if order.first(case, case.locale, case.source, case.wall) is None:
            found.setdefault(_timeless(case), _words(case, looked))
    return tuple(dict.fromkeys(found.values()))


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of the cases that a rule matches."""

    decides: bool
    """Whether it decides at least one."""
    possible: bool
    """Whether it matches any case at all."""
    overruled_by: tuple[str, ...]
    """Rules that decide some of its barest cases in its stead."""


def fate_of(rule: Rule, rules: Collection[Rule]) -> Fate:
    """What becomes of the cases of a rule among all rules of its policy."""
    order = order_of(rules, rule.outcome)
    decides = possible = False
    others: dict[str, None] = {}
    for case in _cases(rule, order, _looked(order)):
        possible = True
        first = order.first(case, case.locale, case.source, case.wall)
        if first is None or first.rule.id == rule.id:
            decides = True
        else:
            others.setdefault(first.rule.id)
    return Fate(decides, possible, tuple(others))


def _looked(order: Order) -> Looked:
    rules = [ready.rule for ready in order.ready]
    return Looked(
        subjects=any(rule.subjects for rule in rules),
        timeframes=any(rule.timeframes for rule in rules),
        severity=any(rule.severity_at_least for rule in rules),
        categories=any(rule.categories for rule in rules),
        degraded=any(rule.degraded is not None for rule in rules),
        timed=order.timed,
        locales=any(rule.locales for rule in rules),
    )


def _cases(rule: Rule, order: Order, looked: Looked) -> Iterator[Case]:
    """The barest cases that a rule matches; none for a rule that can match nothing."""
    flags_of: list[tuple[Flag, ...]] = [(flag,) for flag in sorted(rule.flags)]
    sources: list[str | None] = [*sorted(rule.sources)]
    parts = product(
        _faults(rule),
        flags_of or [()],
        _states(rule, looked),
        _findings(rule, looked),
        sorted(map(_locale, rule.locales)) or [_ELSEWHERE],
        sources or [None],
        _walls(rule, order),
    )
    for fault, flags, degraded, findings, locale, source, wall in islice(parts, MOST_CASES):
        yield Case(rule.outcome, fault, flags, rule.score_at_least, degraded, findings, locale, source, wall)


def _faults(rule: Rule) -> Sequence[Fault | None]:
    if rule.outcome == "undetermined":
        return sorted(rule.faults) or list(Fault)
    if rule.outcome == "no_crisis" and rule.faults:
        return []  # a fault never stands beside no_crisis
    return sorted(rule.faults) or [None]


def _states(rule: Rule, looked: Looked) -> Sequence[bool]:
    if rule.degraded is not None:
        return [rule.degraded]
    return [False, True] if looked.degraded else [False]


def _findings(rule: Rule, looked: Looked) -> Sequence[tuple[Finding, ...]]:
    if rule.outcome != "crisis":
        return [] if rule.about_findings else [()]  # findings belong to a crisis
    severity = rule.severity_at_least or "mild"
    return [
        (_finding(category, severity, subject, timeframe),)
        for category in sorted(rule.categories) or [_ANOTHER_CATEGORY]
        for subject in sorted(rule.subjects) or (_SUBJECTS if looked.subjects else _SUBJECTS[-1:])
        for timeframe in sorted(rule.timeframes) or (_TIMEFRAMES if looked.timeframes else _TIMEFRAMES[-1:])
    ]


@lru_cache(maxsize=2048)
def _finding(category: str, severity: Severity, subject: Subject, timeframe: Timeframe) -> Finding:
    return Finding(category=category, severity=severity, subject=subject, timeframe=timeframe)


def _locale(place: str) -> str:
    """The barest locale that an entry of a rule matches."""
    return f"und-{place}" if place.isupper() or place.isdigit() else place


def _walls(rule: Rule, order: Order) -> Sequence[Wall | None]:
    """Every time of the week at which some window opens or closes; between two of them nothing changes."""
    if not order.timed:
        return [None]
    windows = [ready.window for ready in order.ready if ready.window is not None]
    minutes = sorted({0, *(minute % (24 * 60) for w in windows for minute in (w.start, w.end))})
    walls = [Wall(day, minute) for day in range(len(WEEKDAYS)) for minute in minutes]
    own = rule.window
    return [wall for wall in walls if own is None or own.holds(wall)]


def _timeless(case: Case) -> Case:
    return Case(
        case.outcome,
        case.fault,
        case.flags,
        case.score,
        case.degraded,
        case.findings,
        case.locale,
        case.source,
        None,
    )


def _words(case: Case, looked: Looked) -> str:
    parts: list[str] = [case.outcome]
    if case.fault is not None:
        parts.append(f"fault {case.fault.value}")
    for finding in case.findings:
        named = (
            (looked.categories, "a category that no rule names"),
            (looked.severity, f"severity {finding.severity}"),
            (looked.subjects, f"subject {finding.subject}"),
            (looked.timeframes, f"timeframe {finding.timeframe}"),
        )
        parts += [words for said, words in named if said]
    if looked.degraded:
        parts.append("the service degraded" if case.degraded else "the service whole")
    if looked.locales:
        parts.append("a locale that no rule names")
    if case.wall is not None:
        parts.append(f"{_DAYS[case.wall.weekday]} {case.wall.minute // 60:02}:{case.wall.minute % 60:02}")
    return ", ".join(parts)
