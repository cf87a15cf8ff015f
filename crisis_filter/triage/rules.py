"""What a rule of a policy may look at, and where it sends."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from crisis_filter.schema import (
    Disposition,
    Fault,
    Flag,
    Outcome,
    Record,
    Severity,
    Subject,
    Timeframe,
    Urgency,
)
from crisis_filter.triage.hours import Weekday, Window, window_of

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
Span = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,4}[mhd]$")]
"""A length of time such as `5m`, `4h` or `7d`."""
Place = Annotated[str, StringConstraints(pattern=r"^([A-Z]{2}|[0-9]{3}|[a-z]{2,8}(-[A-Za-z0-9]{1,8})*)$")]
"""A region such as `US` or a BCP 47 tag such as `en-US`."""
Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]

EMPTY_ONLY = frozenset({Fault.EMPTY_CONTENT})
LONGEST_S: Mapping[Urgency, int] = MappingProxyType(
    {"emergency": 15 * 60, "urgent": 4 * 3600, "soon": 24 * 3600, "routine": 7 * 24 * 3600}
)
"""Longest time limit that each urgency allows, in seconds, and the limit of a rule that names none.

An urgency is a promise to whoever wrote, and these are its outer edges: a quarter of an hour is about what it takes a person on call
to be reached and to open a message; four hours is half a working day, so that what comes in the morning is read before noon is long past and what
comes at night before the day begins; a day and a week are what the words say. They are ours, from no study, and nobody has
measured that they are short enough: a pack should name shorter ones where its people can keep them.
"""
_UNITS = {"m": 60, "h": 3600, "d": 24 * 3600}
_NEW = (
    "locales",
    "sources",
    "hours",
    "weekdays",
    "degraded",
    "within",
    "protocol",
    "escalate_to",
    "escalate_after",
)


def seconds(span: str) -> int:
    """A length of time such as `5m` in seconds."""
    return int(span[:-1]) * _UNITS[span[-1]]


def time_limit_s(told: Disposition) -> int:
    """Seconds in which somebody must look: the rule's own limit, or for a pack that names none the longest of its urgency."""
    return LONGEST_S[told.urgency] if told.within_s is None else told.within_s


class Queue(Record):
    """Where dispositions wait."""

    id: Slug
    name: str
    staffed_by: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)] | None = None
    """Who reads it; `None` is a queue that nobody reads."""


class Rule(Record):
    """When an assessment matches, where it goes. Empty conditions match everything.

    Conditions on findings (category, severity, subject, timeframe) hold when one finding meets all of them.
    """

    id: Slug
    outcome: Outcome
    categories: frozenset[str] = frozenset()
    severity_at_least: Severity | None = None
    """A finding without severity counts as `moderate`."""
    subjects: frozenset[Subject] = frozenset()
    timeframes: frozenset[Timeframe] = frozenset()
    faults: frozenset[Fault] = frozenset()
    flags: frozenset[Flag] = frozenset()
    score_at_least: float | None = Field(default=None, ge=0.0, le=1.0)
    degraded: bool | None = None
    """Whether the service was whole; `None` does not look."""
    locales: frozenset[Place] = frozenset()
    """Regions or tags, which match as those of resources do. A message without locale has the policy's default."""
    sources: frozenset[Name] = frozenset()
    """Where messages come from, by the name that the caller gives. A message of unknown source matches none."""
    hours: str | None = None
    """Part of the day in the policy's time zone, such as `22:00-06:00`. Where the hour is not known, it matches."""
    weekdays: frozenset[Weekday] = frozenset()
    """Days on which `hours` begin, or whole days."""
    queue: Slug
    urgency: Urgency
    within: Span | None = None
    """In which time somebody must look."""
    protocol: Slug | None = None
    """Id of a protocol: what the reader does."""
    escalate_to: Slug | None = None
    """Queue that an item moves to when nobody has opened it after `escalate_after`."""
    escalate_after: Span | None = None

    @field_validator("hours")
    @classmethod
    def _hours_are_hours(cls, hours: str | None) -> str | None:
        window_of(hours, ())
        return hours

    @model_validator(mode="after")
    def _times_fit(self) -> Self:
        if self.within is not None and seconds(self.within) > LONGEST_S[self.urgency]:
            most = LONGEST_S[self.urgency] // 60
            raise ValueError(
                f"rule {self.id!r}: within {self.within} is longer than {self.urgency!r} allows ({most} minutes)"
            )
        if (self.escalate_to is None) != (self.escalate_after is None):
            raise ValueError(f"rule {self.id!r}: escalate_to and escalate_after go together")
        if self.escalate_after and self.within and seconds(self.escalate_after) > seconds(self.within):
            raise ValueError(f"rule {self.id!r}: escalates only after its time limit has passed")
        return self

    @property
    def unconditional(self) -> bool:
        """Whether nothing but the outcome decides."""
        return not (
            self.about_findings
            or self.faults
            or self.flags
            or self.locales
            or self.sources
            or self.weekdays
            or self.hours is not None
            or self.degraded is not None
            or self.score_at_least is not None
        )

    @property
    def about_findings(self) -> bool:
        """Whether some finding must meet it."""
        return bool(self.categories or self.severity_at_least or self.subjects or self.timeframes)

    @property
    def for_empty_content(self) -> bool:
        """Whether it is for empty content alone, at any hour; such a rule goes first and may name a queue that nobody reads.

        Not one with hours: where the hour is not known it would match, and set aside what somebody reads at another.
        """
        return self.outcome == "undetermined" and self.faults == EMPTY_ONLY and self.window is None

    @property
    def window(self) -> Window | None:
        """Its hours; `None` for all."""
        return window_of(self.hours, self.weekdays)

    @property
    def new_fields(self) -> tuple[str, ...]:
        """Fields that it has and a pack of format 1 lacks."""
        return tuple(name for name in _NEW if getattr(self, name) not in (None, frozenset()))
