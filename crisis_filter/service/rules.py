"""What a policy says to the queue, which knows no policy."""

from __future__ import annotations

from crisis_filter.schema import URGENCIES
from crisis_filter.store.queue_effects import ReadingRules
from crisis_filter.store.queue_escalation import EscalationRules, Step
from crisis_filter.triage.policy import Policy
from crisis_filter.triage.route import plainly
from crisis_filter.triage.rules import LONGEST_S, seconds

__all__ = ["escalation_rules", "reading_rules"]


def escalation_rules(policy: Policy) -> EscalationRules:
    """What a policy says of items that nobody opens."""
    steps = {
        rule.id: (Step(to=rule.escalate_to, after_ms=1000 * seconds(rule.escalate_after)),)
        for rule in policy.rules
        if rule.escalate_to is not None and rule.escalate_after is not None
    }
    return EscalationRules(steps=steps)


def reading_rules(policy: Policy) -> ReadingRules:
    """What a policy says of items that readers send on."""
    within = {urgency: 1000 * LONGEST_S[urgency] for urgency in URGENCIES}
    return ReadingRules(queues=policy.staffed, raised_queue=plainly("crisis", policy).queue, within_ms=within)
