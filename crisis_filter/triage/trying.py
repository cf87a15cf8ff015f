"""What a policy would have done with messages that were judged before: counts by queue and urgency."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from crisis_filter.errors import InputError
from crisis_filter.schema import OUTCOMES, URGENCIES, Assessment, Disposition, Outcome, PromptRef, Record, Urgency
from crisis_filter.triage.hours import zone
from crisis_filter.triage.policy import Policy
from crisis_filter.triage.resources import ResourcePack
from crisis_filter.triage.route import triage
from crisis_filter.triage.rules import time_limit_s

_NO_RESOURCES = ResourcePack(id="none", version=1)


@dataclass(frozen=True, slots=True)
class Judged:
    """One message as it was judged, and what is known of it besides."""

    assessment: Assessment
    locale: str | None = None
    source: str | None = None
    at: datetime | None = None
    """When it came, with a zone."""


class Line(Record):
    """One queue and urgency."""

    queue: str
    urgency: Urgency
    messages: int
    share: float
    """Of all messages, 0 to 1."""
    per_day: float | None
    """`None` where nobody knows over how many days the messages came."""


class QueueLine(Record):
    """One queue."""

    queue: str
    staffed_by: str | None
    messages: int
    share: float
    per_day: float | None
    outcomes: dict[Outcome, int]
    within_s: int | None
    """Shortest time limit of what went there, in seconds; `None` where nothing did."""


class Tried(Record):
    """What a policy would have done."""

    policy: PromptRef
    messages: int
    outcomes: dict[Outcome, int]
    days: float | None
    days_from: Literal["given", "times"] | None
    """Whether the days are the caller's or those of the calendar from the first message to the last."""
    to_people: int
    """Messages that went to a queue that somebody reads."""
    set_aside: int
    """Crises and undetermined messages that went to nobody: empty content, where the policy says so."""
    lines: tuple[Line, ...]
    queues: tuple[QueueLine, ...]
    """Every queue of the policy, in its order."""
    rules: dict[str, int]
    """How often each rule decided; 0 for those that did not."""
    protocols: dict[str, int]
    """How often each protocol was called for."""
    hours_unknown: int
    """Messages without a time; for them every rule with hours matched."""
    sources_unknown: int


class Trial:
    """A policy on trial: takes one message after the other.

    Args:
        policy: to be tried, made ready for the taxonomy of the messages.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._zone = zone(policy.timezone)
        self._counts: Counter[tuple[str, Urgency, Outcome]] = Counter()
        self._rules: Counter[str] = Counter({rule.id: 0 for rule in policy.rules})
        self._protocols: Counter[str] = Counter()
        self._within: dict[str, int] = {}
        self._days: tuple[date, date] | None = None
        self._no_hour = self._no_source = 0

    def add(self, judged: Judged) -> Disposition:
        """Route one message, and count it.

        Raises:
            ValueError: it is a baseline's, which is never routed, or its time is without a zone.
        """
        told = triage(judged.assessment, self.policy, _NO_RESOURCES, judged.locale, source=judged.source, at=judged.at)
        self._counts[told.queue, told.urgency, judged.assessment.outcome] += 1
        self._rules[told.rule] += 1
        if told.protocol is not None:
            self._protocols[told.protocol] += 1
        limit = time_limit_s(told)
        self._within[told.queue] = min(limit, self._within.get(told.queue, limit))
        self._no_source += judged.source is None
        if judged.at is None:
            self._no_hour += 1
        else:
            day = judged.at.astimezone(self._zone).date()
            first, last = self._days or (day, day)
            self._days = min(first, day), max(last, day)
        return told

    def result(self, days: float | None = None) -> Tried:
        """What was counted.

        Args:
            days: over which the messages came; `None` takes the days of the calendar from the first to the last, where all have times.

        Raises:
            InputError: there were no messages.
        """
        total = self._counts.total()
        if not total:
            raise InputError("there are no messages in the run")
        known: Literal["given", "times"] | None = "given" if days is not None else None
        if days is None and self._days is not None and not self._no_hour:
            days, known = float((self._days[1] - self._days[0]).days + 1), "times"
        staffed = self.policy.staffed
        to_people = sum(n for (queue, _, _), n in self._counts.items() if queue in staffed)
        alarms = sum(n for (_, _, outcome), n in self._counts.items() if outcome != "no_crisis")
        alarms_read = sum(n for (q, _, o), n in self._counts.items() if q in staffed and o != "no_crisis")
        return Tried(
            policy=self.policy.ref,
            messages=total,
            outcomes=self._outcomes(None),
            days=days,
            days_from=known,
            to_people=to_people,
            set_aside=alarms - alarms_read,
            lines=self._lines(total, days),
            queues=tuple(
                QueueLine(
                    queue=queue.id,
                    staffed_by=queue.staffed_by,
                    messages=(number := sum(self._outcomes(queue.id).values())),
                    share=number / total,
                    per_day=None if days is None else number / days,
                    outcomes=self._outcomes(queue.id),
                    within_s=self._within.get(queue.id),
                )
                for queue in self.policy.queues
            ),
            rules=dict(self._rules),
            protocols=dict(self._protocols),
            hours_unknown=self._no_hour,
            sources_unknown=self._no_source,
        )

    def _outcomes(self, queue: str | None) -> dict[Outcome, int]:
        return {
            outcome: sum(n for (q, _, o), n in self._counts.items() if o == outcome and queue in (None, q))
            for outcome in OUTCOMES
        }

    def _lines(self, total: int, days: float | None) -> tuple[Line, ...]:
        found: Counter[tuple[str, Urgency]] = Counter()
        for (queue, urgency, _), number in self._counts.items():
            found[queue, urgency] += number
        place = {queue.id: at for at, queue in enumerate(self.policy.queues)}
        return tuple(
            Line(
                queue=queue,
                urgency=urgency,
                messages=found[queue, urgency],
                share=found[queue, urgency] / total,
                per_day=None if days is None else found[queue, urgency] / days,
            )
            for queue, urgency in sorted(found, key=lambda pair: (place[pair[0]], URGENCIES.index(pair[1])))
        )
