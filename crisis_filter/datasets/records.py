"""A labelled message, and what a data set says of itself."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from crisis_filter.schema import Record, Severity, Subject, Timeframe

Split = Literal["training", "development", "validation", "test"]


class Labelled(Record):
    """One message with its reference labels."""

    id: str = Field(min_length=1)
    text: str = Field(min_length=1, repr=False)
    crisis: bool
    """Whether anybody in the message is in crisis."""
    categories: tuple[str, ...]
    """Category ids; empty exactly when `crisis` is false."""
    severity: Severity | None
    """`None` when not a crisis."""
    subject: Subject | None
    """Whose crisis; `None` when not a crisis."""
    timeframe: Timeframe | None
    """When; `None` when not a crisis."""
    kind: str
    """How the message is told: `direct`, `masked`, `idiom`, ..."""
    author: str
    """Who wrote it. Messages of one author are one cluster, not independent."""

    @model_validator(mode="after")
    def _labels_agree(self) -> Self:
        if self.crisis != bool(self.categories):
            raise ValueError("a crisis has categories and nothing else has")
        if len({self.crisis, *(v is not None for v in (self.severity, self.subject, self.timeframe))}) != 1:
            raise ValueError("severity, subject and timeframe belong to a crisis")
        return self


class Part(Record):
    """One file of a data set."""

    file: str = Field(pattern=r"^[A-Za-z0-9._-]+$")
    split: Split
    rows: int = Field(ge=0)
    crisis: int = Field(ge=0)
    """Rows that are a crisis."""
    categories: dict[str, int]
    """Rows in each category; a row may count in several."""
    authors: dict[str, int]
    """Rows by each author."""
    sha256: str
    """Of the file's bytes."""


class Manifest(Record):
    """What `manifest.json` says."""

    id: str
    licence: str
    labelled_by: str
    """Who gave the labels, in words that stand wherever a figure from them stands (law 8)."""
    parts: tuple[Part, ...]
