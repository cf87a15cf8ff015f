"""What a policy says to the queue, which knows no policy."""

from __future__ import annotations

from crisis_filter.schema import URGENCIES
from crisis_filter.store.queue_effects import RAISED_BY, ReadingRules
from crisis_filter.store.queue_escalation import EscalationRules, Step
from crisis_filter.triage.policy import Policy
from crisis_filter.triage.route import plainly
from crisis_filter.triage.rules import LONGEST_S, seconds

__all__ = ["escalation_rules", "reading_rules"]


def escalation_rules(policy: Policy) -> EscalationRules:
    """What a policy says of items that nobody opens.

    What a blind reader raised goes on to where a plain crisis does, at the latest when its time is up.
    """
    steps = {
        rule.id: (Step(to=rule.escalate_to, after_ms=1000 * seconds(rule.escalate_after)),)
        for rule in policy.rules
        if rule.escalate_to is not None and rule.escalate_after is not None
    }
    crisis = plainly("crisis", policy)
    if crisis.escalate_to is not None and crisis.escalate_after_s is not None:
        raised = reading_rules(policy)
        after_ms = min(1000 * crisis.escalate_after_s, raised.within_ms[raised.raised_urgency])
        steps.setdefault(RAISED_BY, (Step(to=crisis.escalate_to, after_ms=after_ms),))
    return EscalationRules(steps=steps)


def reading_rules(policy: Policy) -> ReadingRules:
    """What a policy says of items that readers send on."""
    within = {urgency: 1000 * LONGEST_S[urgency] for urgency in URGENCIES}
    raised = plainly("crisis", policy).queue
    on = frozenset(rule.id for rule in policy.rules if rule.escalate_to not in (None, raised))
    return ReadingRules(queues=policy.staffed, raised_queue=raised, leads_on=on, within_ms=within)
