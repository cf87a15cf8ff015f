"""Rules in words, for somebody who answers for them and reads no TOML."""

from __future__ import annotations

from collections.abc import Iterable

from crisis_filter.schema import SEVERITIES, Subject
from crisis_filter.triage.hours import WEEKDAYS
from crisis_filter.triage.rules import Rule

_SUBJECTS: dict[Subject, str] = {
    "self": "the writer",
    "other": "somebody else",
    "both": "the writer and somebody else",
    "unclear": "nobody knows whom",
}
_UNITS = ((24 * 3600, "d"), (3600, "h"), (60, "m"), (1, "s"))


def condition_words(rule: Rule) -> str:
    """When a rule matches, without its outcome; `any` for a rule without conditions.

    Conditions on findings hold when one finding meets all of them, so they are told together.
    """
    return "; ".join([*_of_findings(rule), *_of_the_whole(rule), *_of_the_place(rule)]) or "any"


def _of_findings(rule: Rule) -> list[str]:
    finding = []
    if rule.categories:
        finding.append(_any(rule.categories))
    if rule.severity_at_least is not None:
        more = " or worse" if rule.severity_at_least != SEVERITIES[-1] else ""
        finding.append(f"{rule.severity_at_least}{more}")
    if rule.subjects:
        finding.append(f"about {' or '.join(_SUBJECTS[subject] for subject in sorted(rule.subjects))}")
    if rule.timeframes:
        finding.append("in the past" if rule.timeframes == {"past"} else f"timeframe {_any(rule.timeframes)}")
    return [", ".join(finding)] if finding else []


def _of_the_whole(rule: Rule) -> list[str]:
    found = []
    if rule.faults:
        found.append(f"fault {_any(fault.value for fault in rule.faults)}")
    if rule.flags:
        found.append(f"flag {_any(rule.flags)}")
    if rule.score_at_least is not None:
        found.append(f"score from {rule.score_at_least:g}")
    if rule.degraded is not None:
        found.append("service degraded" if rule.degraded else "service whole")
    return found


def _of_the_place(rule: Rule) -> list[str]:
    found = []
    if rule.locales:
        found.append(f"locale {_any(rule.locales, words=False)}")
    if rule.sources:
        found.append(f"source {_any(rule.sources, words=False)}")
    days = ", ".join(sorted(rule.weekdays, key=WEEKDAYS.index))
    if rule.hours is not None or days:
        found.append(" ".join(part for part in (days, rule.hours) if part))
    return found


def _any(names: Iterable[str], *, words: bool = True) -> str:
    given = sorted(names)
    return " or ".join(name.replace("_", " ") if words else name for name in given)


def span_words(seconds: int) -> str:
    """`15m`, `2h`, `1h 30m`, `3d`."""
    parts = []
    for size, unit in _UNITS:
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts) or "0s"
