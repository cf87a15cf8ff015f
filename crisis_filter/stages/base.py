"""What a stage is, and what it returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pydantic import Field

from crisis_filter.schema import Failure, Fault, PromptRef, Record, ScreenVerdict, Severity, Subject, Timeframe


class Named(Record):
    """One category that Stage 2 says is present, before its quotes are checked."""

    category: str
    probability: float | None = Field(default=None, ge=0.0, le=1.0)
    severity: Severity | None = None
    subject: Subject = "unclear"
    timeframe: Timeframe = "unclear"
    quotes: tuple[str, ...] = Field(default=(), repr=False)
    rationale: str | None = Field(default=None, repr=False)


class Categories(Record):
    """Stage 2 of one view: the categories present, possibly none."""

    named: tuple[Named, ...]
    fault: Fault | None = None
    """Set when positives were read from an answer that was otherwise faulty."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a stage's call used."""

    attempts: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    model: str | None = None
    links: tuple[str, ...] = ()
    """The endpoints that replied."""
    troubles: tuple[tuple[str, Fault], ...] = ()
    """Which endpoints failed, with which fault, in order."""
    degraded: bool = False
    """Whether something else than the first endpoint stood in."""
    danger: bool = False
    """Whether a provider's filter names self-harm or violence of medium severity or more."""
    attack: bool = False
    """Whether a provider's filter found an attack on the model in the message."""
    votes: int = 0
    """Verdicts asked for because the first was near the threshold, that one included."""
    flips: int = 0
    """Votes that said other than the first."""

    def __add__(self, other: Cost) -> Cost:
        """Both together; the later model's name."""
        return Cost(
            attempts=self.attempts + other.attempts,
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            model=other.model or self.model,
            links=self.links + other.links,
            troubles=self.troubles + other.troubles,
            degraded=self.degraded or other.degraded,
            danger=self.danger or other.danger,
            attack=self.attack or other.attack,
            votes=self.votes + other.votes,
            flips=self.flips + other.flips,
        )


@dataclass(frozen=True, slots=True)
class Screened:
    """Stage 1 of one view."""

    result: ScreenVerdict | Failure
    cost: Cost = Cost()
    second: ScreenVerdict | None = None
    """What a detector that may not clear said besides, for the order in which people look."""


@dataclass(frozen=True, slots=True)
class Sorted:
    """Stage 2 of one view."""

    result: Categories | Failure
    cost: Cost = Cost()


class Screener(Protocol):
    """Stage 1: crisis or not, of one text."""

    @property
    def prompt(self) -> PromptRef | None:
        """Identity of the prompt; `None` when there is none."""
        ...

    async def screen(self, text: str, deadline_s: float) -> Screened:
        """Judge one text within `deadline_s` seconds."""
        ...


class Categoriser(Protocol):
    """Stage 2: which categories, of one text that Stage 1 marked."""

    @property
    def prompt(self) -> PromptRef | None:
        """Identity of the prompt; `None` when there is none."""
        ...

    async def categorise(self, text: str, deadline_s: float) -> Sorted:
        """Name the categories of one text within `deadline_s` seconds."""
        ...
