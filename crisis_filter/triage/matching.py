"""Which rule decides: the one place where conditions are compared with what was said of a message."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from crisis_filter.schema import SEVERITIES, URGENCIES, Disposition, Fault, Finding, Flag, Outcome
from crisis_filter.triage.hours import Wall, Window
from crisis_filter.triage.resources import region_of
from crisis_filter.triage.rules import Rule, seconds

_UNKNOWN_SEVERITY = SEVERITIES.index("moderate")
_RANK = {severity: rank for rank, severity in enumerate(SEVERITIES)}


class Said(Protocol):
    """What a rule may look at of an assessment."""

    @property
    def outcome(self) -> Outcome: ...
    @property
    def fault(self) -> Fault | None: ...
    @property
    def flags(self) -> Sequence[Flag]: ...
    @property
    def score(self) -> float | None: ...
    @property
    def degraded(self) -> bool: ...
    @property
    def findings(self) -> Sequence[Finding]: ...


@dataclass(frozen=True, slots=True)
class Ready:
    """One rule, made ready to be compared often."""

    rule: Rule
    plain: Disposition
    """Where it sends, without resources."""
    least: int
    """Rank of the least severity, -1 for any."""
    about_findings: bool
    window: Window | None

    def matches(self, said: Said, locale: str, source: str | None, wall: Wall | None) -> bool:
        """Whether all conditions but the outcome hold. An unknown hour (`None`) meets every window, an unknown source none."""
        rule = self.rule
        if rule.faults and said.fault not in rule.faults:
            return False
        if rule.flags and rule.flags.isdisjoint(said.flags):
            return False
        if rule.score_at_least is not None and (said.score is None or said.score < rule.score_at_least):
            return False
        if self.about_findings and not any(self._meets(finding) for finding in said.findings):
            return False
        return self._in_place(said, locale, source, wall)

    def _in_place(self, said: Said, locale: str, source: str | None, wall: Wall | None) -> bool:
        rule = self.rule
        if rule.degraded is not None and said.degraded is not rule.degraded:
            return False
        if rule.sources and source not in rule.sources:
            return False
        if rule.locales and locale not in rule.locales and region_of(locale) not in rule.locales:
            return False
        return self.window is None or wall is None or self.window.holds(wall)

    def _meets(self, finding: Finding) -> bool:
        rule = self.rule
        severity = _UNKNOWN_SEVERITY if finding.severity is None else _RANK[finding.severity]
        return (
            severity >= self.least
            and (not rule.categories or finding.category in rule.categories)
            and (not rule.subjects or finding.subject in rule.subjects)
            and (not rule.timeframes or finding.timeframe in rule.timeframes)
        )


@dataclass(frozen=True, slots=True)
class Order:
    """The rules for one outcome in the order in which they decide: empty content alone, then the most urgent, then as in the file."""

    ready: tuple[Ready, ...]
    timed: bool
    """Whether some rule looks at the hour."""

    def first(self, said: Said, locale: str, source: str | None, wall: Wall | None) -> Ready | None:
        """The rule that decides, or `None` when none matches."""
        for ready in self.ready:
            if ready.matches(said, locale, source, wall):
                return ready
        return None


def order_of(rules: Collection[Rule], outcome: Outcome) -> Order:
    """The rules for an outcome, made ready."""
    fit = [rule for rule in rules if rule.outcome == outcome]
    fit.sort(key=lambda rule: (not rule.for_empty_content, URGENCIES.index(rule.urgency)))  # stable: as in the file
    ready = tuple(_ready(rule) for rule in fit)
    return Order(ready, any(each.window is not None for each in ready))


def _ready(rule: Rule) -> Ready:
    return Ready(
        rule=rule,
        plain=plain(rule),
        least=-1 if rule.severity_at_least is None else _RANK[rule.severity_at_least],
        about_findings=rule.about_findings,
        window=rule.window,
    )


def plain(rule: Rule) -> Disposition:
    """Where a rule sends, without resources."""
    return Disposition(
        queue=rule.queue,
        urgency=rule.urgency,
        rule=rule.id,
        within_s=None if rule.within is None else seconds(rule.within),
        protocol=rule.protocol,
        escalate_to=rule.escalate_to,
        escalate_after_s=None if rule.escalate_after is None else seconds(rule.escalate_after),
    )
