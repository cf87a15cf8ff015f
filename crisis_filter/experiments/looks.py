"""The ledger of looks: who looked at a locked split, when and why. Development is free; every look at another split costs proof.

Lines are chained by hash, so that one that was changed or taken out from among others is noticed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from crisis_filter.errors import InputError
from crisis_filter.experiments.lines import Lines
from crisis_filter.schema import Record

__all__ = ["FREE", "LOOKS", "Look", "Looks", "is_locked"]

FREE = ("training", "development")
"""Splits that anybody may look at as often as they like."""
LOOKS = "looks.jsonl"
"""Name of the ledger, beside the data set; it belongs under version control."""
_FIRST = "0" * 64


class Look(Record):
    """One look at a locked split."""

    at: str
    """When, ISO 8601 with the zone."""
    data: str
    """Name of the data set and its split."""
    split: str
    data_sha256: tuple[str, ...]
    experiment: str
    """SHA-256 of the experiment's state: the same one resumed is the same look."""
    variants: tuple[str, ...]
    items: int = Field(ge=1)
    reason: str = Field(min_length=1)
    version: str
    previous: str = Field(default=_FIRST, pattern=r"^[0-9a-f]{64}$")
    """SHA-256 of the line before, zeros for the first."""


def is_locked(split: str) -> bool:
    """Whether looking at a split is written down."""
    return split not in FREE


class Looks:
    """The ledger.

    Args:
        path: need not exist.

    Raises:
        InputError: a line is none of ours, or the chain is broken; names the line.
        ConfigurationError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lines = Lines(path, Look)
        previous = _FIRST
        for number, look in enumerate(self._lines.records, start=1):
            if look.previous != previous:
                raise InputError(
                    f"{path}: line {number} does not follow from the one before: a look was changed or taken out. Restore the file"
                )
            previous = _hash(look)
        self._last = previous

    @property
    def records(self) -> Sequence[Look]:
        """All looks, in their order."""
        return tuple(self._lines.records)

    def of(self, data_sha256: Sequence[str]) -> tuple[Look, ...]:
        """Looks at these files."""
        return tuple(look for look in self._lines.records if set(look.data_sha256) & set(data_sha256))

    def has(self, experiment: str) -> bool:
        """Whether this experiment has been entered."""
        return any(look.experiment == experiment for look in self._lines.records)

    def add(self, look: Look) -> None:
        """Enter a look, chained to the last.

        Raises:
            ConfigurationError: the file cannot be written.
        """
        chained = look.model_copy(update={"previous": self._last})
        self._lines.append(chained)
        self._last = _hash(chained)


def _hash(look: Look) -> str:
    return hashlib.sha256(look.model_dump_json().encode()).hexdigest()
