"""Looking a policy over: what is allowed and yet probably not meant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from crisis_filter.errors import FAULTS
from crisis_filter.schema import Record
from crisis_filter.triage.coverage import fate_of
from crisis_filter.triage.policy import Policy
from crisis_filter.triage.rules import Rule, seconds

Kind = Literal["shadowed", "impossible", "slower", "unused", "protocol", "escalation", "locale", "format"]


class Warned(Record):
    """Something to look at."""

    kind: Kind
    where: str
    """Id of the rule or queue, or of the policy for the whole."""
    words: str


def warnings(policy: Policy) -> tuple[Warned, ...]:
    """What in a policy is allowed and yet probably not meant, rules in the order of the file, then queues.

    Holes, and rules that send somebody to no one, are not among them: a policy with one cannot be loaded.
    """
    found = [
        warned
        for rule in policy.rules
        for warned in (*_of_cases(rule, policy), *_of_time(rule, policy), *_of_fields(rule, policy))
    ]
    used = {rule.queue for rule in policy.rules} | {rule.escalate_to for rule in policy.rules}
    found += [
        Warned(kind="unused", where=queue.id, words="no rule sends anything to this queue")
        for queue in policy.queues
        if queue.id not in used
    ]
    if policy.format == 1:
        words = "names no time limits, protocols or escalation: the longest limit of each urgency holds; format = 2 takes them"
        found.append(Warned(kind="format", where=policy.id, words=words))
    return tuple(found)


def _of_cases(rule: Rule, policy: Policy) -> Iterator[Warned]:
    fate = fate_of(rule, policy.rules)
    if not fate.possible:
        words = f"can never match: {rule.outcome} has no {'findings' if rule.about_findings else 'fault'}"
        yield Warned(kind="impossible", where=rule.id, words=words)
    elif not fate.decides:
        words = f"never decides: {_listed(fate.overruled_by)} {'goes' if len(fate.overruled_by) == 1 else 'go'} first in every case"
        yield Warned(kind="shadowed", where=rule.id, words=words)
    if rule.outcome == "undetermined" and rule.faults and all(FAULTS[fault].after_positive for fault in rule.faults):
        yield Warned(kind="impossible", where=rule.id, words="its faults stand beside a crisis only")


def _of_time(rule: Rule, policy: Policy) -> Iterator[Warned]:
    """A message that fits two rules of one urgency gets the limit of the first, so the shorter belongs there."""
    if rule.within is None:
        return
    for other in policy.rules[: policy.rules.index(rule)]:
        alike = (other.outcome, other.urgency) == (rule.outcome, rule.urgency)
        if not alike or other.within is None or _never_together(rule, other):
            continue
        if seconds(other.within) > seconds(rule.within):
            words = f"asks for {rule.within} behind {other.id} of the same urgency, which asks for {other.within}: what fits both waits longer; put it before"
            yield Warned(kind="slower", where=rule.id, words=words)
            return


def _never_together(rule: Rule, other: Rule) -> bool:
    if rule.for_empty_content or other.for_empty_content:
        return True
    if rule.degraded is not None and other.degraded is not None and rule.degraded is not other.degraded:
        return True
    return bool(rule.faults and other.faults and rule.faults.isdisjoint(other.faults))


def _of_fields(rule: Rule, policy: Policy) -> Iterator[Warned]:
    if policy.format == 2 and rule.outcome != "no_crisis" and rule.queue in policy.staffed:
        if rule.protocol is None:
            yield Warned(kind="protocol", where=rule.id, words="tells the reader of no protocol")
        if rule.escalate_to is None and rule.urgency in ("emergency", "urgent"):
            words = f"is {rule.urgency} and goes nowhere when nobody opens it; add escalate_to and escalate_after"
            yield Warned(kind="escalation", where=rule.id, words=words)
    for place in sorted(rule.locales):
        if place.islower() and "-" not in place:
            words = f"locale {place!r} matches messages with this very tag only, not {place}-US; name the regions"
            yield Warned(kind="locale", where=rule.id, words=words)


def _listed(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown
