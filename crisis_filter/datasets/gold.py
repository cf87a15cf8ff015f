"""A message with its reference labels, from whichever set it came."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

from pydantic import Field, model_validator

from crisis_filter.errors import InputError
from crisis_filter.schema import Record

RawLabel = str | int | float | bool | None


class Gold(Record):
    """One message and what its set says of it."""

    id: str = Field(min_length=1)
    """Given by the set, or made by the loader; unique within one loading."""
    text: str = Field(repr=False)
    """As the set has it, lone surrogates replaced; may be empty where the set has an empty turn."""
    crisis: bool = Field(strict=True)
    """Never has a default, and is never read from a word: the loader decides, by a rule it documents."""
    categories: tuple[str, ...] | None
    """Category ids of one of our taxonomies; `None` where the set does not say, empty for a message that is not a crisis."""
    conversation: str | None = None
    """Turns of one conversation are one cluster; `None` for a message that stands alone."""
    turn: int | None = Field(default=None, ge=1)
    """Which of the user's turns it is, from 1; `None` exactly when `conversation` is."""
    context: tuple[str, ...] = Field(default=(), repr=False)
    """The messages before it in the conversation, oldest first."""
    speakers: tuple[str, ...] = ()
    """Who said each message of the context (`user`, `assistant`, `system`)."""
    source: str
    """Name of the set, then name of the file and line or row."""
    labels: dict[str, RawLabel] = Field(repr=False)
    """The labels as the set gives them, and beside them what a loader says it adds."""

    @model_validator(mode="after")
    def _labels_agree(self) -> Self:
        if self.categories and not self.crisis:
            raise ValueError("a message that is not a crisis has no categories")
        if self.categories == () and self.crisis:
            raise ValueError("a crisis has categories, or None where they are not known")
        if (self.conversation is None) != (self.turn is None):
            raise ValueError("conversation and turn go together")
        if len(self.context) != len(self.speakers):
            raise ValueError("each message of the context has its speaker")
        return self


def unique(rows: Iterable[Gold], files: str) -> tuple[Gold, ...]:
    """The rows, once their ids are known to be unique.

    Args:
        rows: of one loading.
        files: what to call the input when there is no row.

    Raises:
        InputError: when two rows share an id, or there is no row at all; names where the rows stand, never the id, which
            is a message when the wrong column was taken for it.
    """
    seen: dict[str, Gold] = {}
    for row in rows:
        if (first := seen.setdefault(row.id, row)) is not row:
            raise InputError(f"{row.source}: has the id of {first.source}; give each row an id of its own")
    if not seen:
        raise InputError(f"{files}: no row can be used; name the files as released, and all that belong to the set")
    return tuple(seen.values())
