"""What a taxonomy folder holds. `categories/README.md` explains the files field by field."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from crisis_filter.schema import UNSPECIFIED, PromptRef, Record, Severity

Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
CategoryId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{1,39}$")]


class Source(Record):
    """A publication that a category stands on; cited, never copied."""

    title: Line
    publisher: Line
    year: int | None
    """`None` for a page without a date."""
    url: Line | None = None
    used_for: Line


class NearMiss(Record):
    """A fictional message near the boundary, with the right answer."""

    text: Line
    present: bool
    why: Line


class Step(Record):
    """One rung of the severity ladder."""

    definition: Line
    signs: tuple[Line, ...] = ()


class Masked(Record):
    """A term that hides or hints."""

    term: Line
    meaning: Line
    benign: Line | None
    """What else it can mean; `None` when it has no harmless sense."""


class Category(Record):
    """One kind of crisis: a page that a clinical safety lead can sign."""

    id: CategoryId
    name: Line
    short: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
    """One line, for terse prompts and tables."""
    definition: Line
    includes: tuple[Line, ...] = Field(min_length=1)
    excludes: tuple[Line, ...] = Field(min_length=1)
    near_misses: tuple[NearMiss, ...] = ()
    severity: dict[Severity, Step]
    subject: Line
    timeframe: Line
    masked_language: tuple[Masked, ...] = ()
    ask_next: tuple[Line, ...] = ()
    sources: tuple[Source, ...] = ()

    @model_validator(mode="after")
    def _ladder_is_whole(self) -> Self:
        missing = {"mild", "moderate", "severe", "imminent"} - set(self.severity)
        if missing:
            raise ValueError(f"severity lacks {', '.join(sorted(missing))}")
        if self.id == UNSPECIFIED:
            raise ValueError(f"{UNSPECIFIED!r} is reserved for a crisis whose kind could not be named")
        return self


class Overlap(Record):
    """Categories that readers confuse, and which to give."""

    categories: tuple[CategoryId, ...] = Field(min_length=2)
    rule: Line


class Taxonomy(Record):
    """A closed, ordered set of categories with the rules that hold across them."""

    id: Line
    title: Line
    description: Line
    multi_label: bool
    unit: Line
    rules: tuple[Line, ...]
    overlaps: tuple[Overlap, ...] = ()
    reviewed_by: tuple[Line, ...] = ()
    """Clinicians who signed; empty means none has."""
    sources: tuple[Source, ...] = ()
    categories: tuple[Category, ...] = Field(min_length=1)
    """In the order of `taxonomy.yaml`, which is part of the contract with prompts, answers and engines."""
    sha256: str

    @property
    def ids(self) -> tuple[str, ...]:
        """Category ids in order."""
        return tuple(c.id for c in self.categories)

    @property
    def ref(self) -> PromptRef:
        """Identity for provenance."""
        return PromptRef.of(self.id, self.sha256)

    @model_validator(mode="after")
    def _ids_hold_together(self) -> Self:
        if len(set(self.ids)) != len(self.ids):
            raise ValueError("category ids repeat")
        strangers = {c for o in self.overlaps for c in o.categories} - set(self.ids)
        if strangers:
            raise ValueError(f"overlaps name unknown categories: {', '.join(sorted(strangers))}")
        return self
