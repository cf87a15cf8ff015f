"""`triage`: assessment and policy ► disposition. Pure, total but for baselines, and monotone in severity."""

from __future__ import annotations

from crisis_filter.schema import SEVERITIES, URGENCIES, Assessment, Disposition, Fault, Finding, Outcome
from crisis_filter.triage.policy import Policy, Rule
from crisis_filter.triage.resources import ResourcePack, matching

_BASELINE = "baseline:"
"""What the detector's name of a baseline begins with."""
_EMPTY_ONLY = frozenset({Fault.EMPTY_CONTENT})


def triage(assessment: Assessment, policy: Policy, pack: ResourcePack, locale: str | None = None) -> Disposition:
    """Decide queue, urgency and resources.

    Of all rules that match, the most urgent decides; among equals the first in the file. So a graver finding can only
    make things more urgent. Empty content alone may be set aside: a rule for it and nothing else goes first. A policy has a rule without conditions for every outcome, so one always matches.

    Args:
        assessment: what was said of a message.
        policy: the policy pack.
        pack: the resource pack.
        locale: the person's locale; `None` takes the policy's default.

    Raises:
        ValueError: the assessment is a baseline's, which is for evaluation and never routed.
    """
    if assessment.provenance.detector.startswith(_BASELINE):
        raise ValueError("a baseline's assessment is for evaluation and never routed")
    rules = [rule for rule in policy.rules if _matches(rule, assessment)]
    rule = min(rules, key=lambda r: (r.faults != _EMPTY_ONLY, URGENCIES.index(r.urgency)))
    if assessment.outcome == "no_crisis":
        return Disposition(queue=rule.queue, urgency=rule.urgency, rule=rule.id)
    categories = frozenset(f.category for f in assessment.findings)
    fitting = matching(pack, locale or policy.resources.default_locale, categories)
    served = tuple(r for r in fitting if r.verified_on or policy.resources.serve_unverified)
    return Disposition(
        queue=rule.queue,
        urgency=rule.urgency,
        rule=rule.id,
        resources=served,
        resources_withheld=len(fitting) - len(served),
    )


def plainly(outcome: Outcome, policy: Policy) -> Disposition:
    """Where an outcome goes when nothing else about it can be looked at: by the most urgent rule without conditions."""
    rule = min(
        (rule for rule in policy.rules if rule.outcome == outcome and rule.unconditional),
        key=lambda rule: URGENCIES.index(rule.urgency),
    )
    return Disposition(queue=rule.queue, urgency=rule.urgency, rule=rule.id)


def _matches(rule: Rule, assessment: Assessment) -> bool:
    if rule.outcome != assessment.outcome:
        return False
    if rule.faults and assessment.fault not in rule.faults:
        return False
    if rule.flags and not rule.flags & set(assessment.flags):
        return False
    if rule.score_at_least is not None and (assessment.score is None or assessment.score < rule.score_at_least):
        return False
    about_findings = rule.categories or rule.severity_at_least or rule.subjects or rule.timeframes
    return not about_findings or any(_meets(rule, finding) for finding in assessment.findings)


def _meets(rule: Rule, finding: Finding) -> bool:
    severity = finding.severity or "moderate"
    return (
        (not rule.categories or finding.category in rule.categories)
        and (not rule.subjects or finding.subject in rule.subjects)
        and (not rule.timeframes or finding.timeframe in rule.timeframes)
        and (rule.severity_at_least is None or SEVERITIES.index(severity) >= SEVERITIES.index(rule.severity_at_least))
    )
