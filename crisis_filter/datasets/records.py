"""A labelled message, and what a data set says of itself."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from crisis_filter.schema import Record, Severity, Subject, Timeframe

Split = Literal["training", "development", "validation", "test", "test-hard", "multilingual", "aside"]
"""What a file is for. `aside`: good readers would split over these; kept, and never scored."""


class Rating(Record):
    """What one rater said of one message."""

    rater: str
    crisis: bool = Field(strict=True)
    categories: tuple[str, ...] = ()
    severity: Severity | None = None
    subject: Subject | None = None
    timeframe: Timeframe | None = None
    sure: bool = Field(default=True, strict=True)
    """Whether the rater thought that careful colleagues would agree on crisis or not."""


class Labelled(Record):
    """One message with its reference labels."""

    id: str = Field(min_length=1)
    text: str = Field(min_length=1, repr=False)
    crisis: bool = Field(strict=True)
    """Whether anybody in the message is in crisis."""
    categories: tuple[str, ...]
    """Category ids; empty exactly when `crisis` is false."""
    severity: Severity | None
    """`None` when not a crisis."""
    subject: Subject | None
    """Whose crisis; `None` when not a crisis."""
    timeframe: Timeframe | None
    """When; `None` when not a crisis."""
    author: str
    """Who wrote it. Messages of one author are one cluster, not independent."""
    kind: str = ""
    """How the message is told: `direct`, `masked`, `idiom`, ...; empty in sets that have `stratum` and `directness`."""
    stratum: str = ""
    """What the author was asked for: a category, `mixed`, a topic, or a kind of near miss."""
    directness: Literal["direct", "ambiguous"] | None = None
    """Whether a crisis is said or has to be inferred."""
    masked: bool = Field(default=False, strict=True)
    """Whether slang, code words or odd spelling stand for the alarming thing."""
    language: str = "en"
    """BCP 47 tag."""
    mechanics: bool | None = Field(default=None, strict=True)
    """Whether every rater saw an error of spelling, grammar, punctuation or capitals, and it was not edited out afterwards; `None`
    where nobody was asked."""
    ratings: tuple[Rating, ...] = ()
    """By raters who knew neither the author's intention nor one another's."""
    adjudication: str = Field(default="", repr=False)
    """Why a third reader decided as it stands, where the raters differed or doubted."""

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
