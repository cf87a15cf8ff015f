"""`triage`: assessment and policy ► disposition. Pure, total but for baselines, and monotone in severity."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from crisis_filter.schema import OUTCOMES, URGENCIES, Assessment, Disposition, Outcome
from crisis_filter.triage.hours import wall_time, zone
from crisis_filter.triage.matching import Order, order_of, plain
from crisis_filter.triage.policy import Policy
from crisis_filter.triage.resources import ResourcePack, matching
from crisis_filter.triage.rules import Rule

_BASELINE = "baseline:"
"""What the detector's name of a baseline begins with."""
_KEPT = 16


@dataclass(frozen=True, slots=True)
class _Orders:
    rules: tuple[Rule, ...]
    """Held, so that no other rules can get the same address while these are remembered."""
    by_outcome: dict[Outcome, Order]


_orders: dict[int, _Orders] = {}


def triage(
    assessment: Assessment,
    policy: Policy,
    pack: ResourcePack,
    locale: str | None = None,
    *,
    source: str | None = None,
    at: datetime | None = None,
) -> Disposition:
    """Decide queue, urgency, time limit, protocol, escalation and resources.

    Of all rules that match, the most urgent decides; among equals the first in the file. So a graver finding can only
    make things more urgent. Empty content alone may be set aside: a rule for it and nothing else goes first. A policy has a rule without conditions for every outcome, so one always matches.

    Args:
        assessment: what was said of a message.
        policy: the policy pack.
        pack: the resource pack.
        locale: the person's locale; `None` takes the policy's default.
        source: where the message came from; with `None` rules that name sources do not match.
        at: when it came, with a zone; with `None` every rule with hours matches, so the most urgent of any hour decides.

    Raises:
        ValueError: the assessment is a baseline's, which is for evaluation and never routed; or `at` is without a zone.
    """
    if assessment.provenance.detector.startswith(_BASELINE):
        raise ValueError("a baseline's assessment is for evaluation and never routed")
    if at is not None and at.utcoffset() is None:
        raise ValueError("a time needs its zone")
    order = _order(policy.rules, assessment.outcome)
    place = locale or policy.resources.default_locale
    wall = wall_time(at, zone(policy.timezone)) if at is not None and order.timed else None
    ready = order.first(assessment, place, source, wall)
    assert ready is not None  # noqa: S101  # the policy's own check: a rule without conditions for every outcome
    if assessment.outcome == "no_crisis":
        return ready.plain
    categories = frozenset(f.category for f in assessment.findings)
    fitting = matching(pack, place, categories)
    if not fitting:
        return ready.plain
    served = tuple(r for r in fitting if r.verified_on or policy.resources.serve_unverified)
    told = ready.plain
    return Disposition(
        queue=told.queue,
        urgency=told.urgency,
        rule=told.rule,
        resources=served,
        resources_withheld=len(fitting) - len(served),
        within_s=told.within_s,
        protocol=told.protocol,
        escalate_to=told.escalate_to,
        escalate_after_s=told.escalate_after_s,
    )


def plainly(outcome: Outcome, policy: Policy) -> Disposition:
    """Where an outcome goes when nothing else about it can be looked at: by the most urgent rule without conditions."""
    return plain(
        min(
            (rule for rule in policy.rules if rule.outcome == outcome and rule.unconditional),
            key=lambda rule: URGENCIES.index(rule.urgency),
        )
    )


def _order(rules: tuple[Rule, ...], outcome: Outcome) -> Order:
    """The rules for an outcome in the order in which they decide; made ready once, because every message asks."""
    known = _orders.get(id(rules))
    if known is None or known.rules is not rules:
        known = _Orders(rules, {each: order_of(rules, each) for each in OUTCOMES})
        if len(_orders) >= _KEPT:
            _orders.clear()
        _orders[id(rules)] = known
    return known.by_outcome[outcome]
