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


@dataclass(frozen=True, slots=True)
class Screened:
    """Stage 1 of one view."""

    result: ScreenVerdict | Failure
    cost: Cost = Cost()


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
