"""The ledger of looks: who looked at a locked split, when and why. Development is free; every look at another split costs proof.

Lines are chained by hash, so that one that was changed or taken out from among others is noticed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from crisis_filter.errors import InputError
from crisis_filter.experiments.items import part_of
from crisis_filter.experiments.lines import Lines, held
from crisis_filter.schema import Record

__all__ = ["FREE", "LOOKS", "Look", "Looks", "is_locked", "ledger_beside"]

FREE = ("training", "development")
"""Splits that anybody may look at as often as they like."""
LOOKS = "looks.jsonl"
"""Name of the ledger, beside the data set; it belongs under version control."""
_FIRST = "0" * 64
_PATIENCE_S = 10.0
"""Far longer than it takes to enter a look."""


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


def ledger_beside(data: Path) -> Path:
    """Where looks at some data are written down: beside the file or the folder of a data set; for a file of a data set beside that folder.

    Args:
        data: path of the file or the folder; need not exist.
    """
    whole = data.parent if part_of(data) is not None else data
    return whole.parent / LOOKS


class Looks:
    """The ledger. Reading it changes nothing.

    Args:
        path: need not exist.

    Raises:
        InputError: a line is none of ours, or the chain is broken; names the line.
        ConfigurationError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lines, self._last = _read(path)

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
        """Enter a look, chained to the last, others' that came meanwhile included.

        Raises:
            InputError: as when it is opened.
            ConfigurationError: the file cannot be written, or others are at it for very long.
        """
        lock = held(
            self.path.with_name(f"{self.path.name}.lock"),
            wait_s=_PATIENCE_S,
            busy=f"others are at {self.path.name}; try again",
        )
        try:
            self._lines, self._last = _read(self.path)
            chained = look.model_copy(update={"previous": self._last})
            self._lines.append(chained)
            self._last = _hash(chained)
        finally:
            os.close(lock)


def _read(path: Path) -> tuple[Lines[Look], str]:
    """The ledger's lines, and the hash that the next one is chained to."""
    lines = Lines(path, Look, by_hand=True)
    previous = _FIRST
    for number, look in enumerate(lines.records, start=1):
        if look.previous != previous:
            raise InputError(
                f"{path}: line {number} does not follow from the one before: a look was changed or taken out. Restore the file"
            )
        previous = _hash(look)
    return lines, previous


def _hash(look: Look) -> str:
    return hashlib.sha256(look.model_dump_json().encode()).hexdigest()
