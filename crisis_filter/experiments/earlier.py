"""Replies that lie in folders beside an experiment's, found by key; they stay on the disk until one is taken."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import ValidationError

from crisis_filter.schema import Record

__all__ = ["Earlier"]

RecordT = TypeVar("RecordT", bound=Record)
_Place = tuple[Path, int]
"""A file, and the byte at which a line begins."""


class Earlier(Generic[RecordT]):
    """Lines of other journals. A file that cannot be read or is damaged is left out whole, for it is nobody's business here to mend it.

    Args:
        paths: of the journals; of two lines with one key the later path's, and in it the later line, holds. A last line without its end is not looked at.
        kind: of the records.
        key: by which a record is found; `None` for one that is not to be found.
    """

    def __init__(self, paths: Iterable[Path], kind: type[RecordT], key: Callable[[RecordT], str | None]) -> None:
        self._kind = kind
        self._key = key
        self._places: dict[str, _Place] = {}
        skipped = []
        for path in paths:
            try:
                self._places |= self._index(path)
            except _DamagedError as damage:
                skipped.append(f"{path}: {damage}; its replies are not taken over")
        self.skipped = tuple(skipped)
        """A line in words for every file that was left out."""

    def find(self, key: str) -> RecordT | None:
        """The record of a key; `None` where there is none, or its file was changed since."""
        place = self._places.get(key)
        if place is None:
            return None
        path, start = place
        try:
            with path.open("rb") as file:
                file.seek(start)
                record = self._kind.model_validate_json(file.readline())
        except (OSError, ValidationError):
            return None
        return record if self._key(record) == key else None

    def _index(self, path: Path) -> dict[str, _Place]:
        found: dict[str, _Place] = {}
        start = number = 0
        try:
            with path.open("rb") as file:
                for line in file:
                    number += 1
                    if not line.endswith(b"\n"):
                        break
                    key = self._key(self._kind.model_validate_json(line))
                    if key is not None:
                        found[key] = (path, start)
                    start += len(line)
        except OSError as error:
            raise _DamagedError(f"cannot be read: {error.strerror}") from None
        except ValidationError:
            raise _DamagedError(f"line {number} is not a line of this journal") from None
        return found


class _DamagedError(Exception):
    """Why a file is left out."""
