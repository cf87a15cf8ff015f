"""One file of a journal: JSON Lines of one kind of record, each on the disk before anything follows from it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import ValidationError

from crisis_filter.errors import ConfigurationError, InputError
from crisis_filter.schema import Record

__all__ = ["Lines", "held", "write_whole"]

RecordT = TypeVar("RecordT", bound=Record)


class Lines(Generic[RecordT]):
    """A file of records that only grows.

    A last line without its end is what a killed process leaves behind. Nobody has counted on it yet, so it is cut off.

    Args:
        path: need not exist.
        kind: of the records.
        mend: whether a torn last line is cut off in the file too, as only who writes to it may.

    Raises:
        InputError: a whole line is no such record; names file and line, never what stands there.
        ConfigurationError: the file cannot be read or written.
    """

    def __init__(self, path: Path, kind: type[RecordT], *, mend: bool = True) -> None:
        self._path = path
        self.records = _read(path, kind, mend=mend)
        """In the order in which they were written."""

    def append(self, record: RecordT) -> None:
        """Write one record and wait until the disk has it.

        Raises:
            ConfigurationError: the file cannot be written, as on a full disk.
        """
        line = f"{record.model_dump_json()}\n".encode()
        try:
            file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                whole = os.write(file, line) == len(line)
                os.fsync(file)
            finally:
                os.close(file)
        except OSError as error:
            raise ConfigurationError(f"{self._path}: cannot be written: {error.strerror}") from None
        if not whole:
            raise ConfigurationError(f"{self._path}: cannot be written whole; is the disk full?")
        self.records.append(record)


def write_whole(path: Path, text: str) -> None:
    """Put a text in place of a file, whole or not at all.

    Raises:
        ConfigurationError: it cannot be written.
    """
    beside = path.with_name(f".{path.name}.new")
    try:
        file = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(file, "w", encoding="utf-8") as handle:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        beside.replace(path)
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be written: {error.strerror}") from None


def held(path: Path) -> int:
    """A lock that others cannot take while this process has it; `os.close` gives it back.

    Raises:
        ConfigurationError: somebody has it, or the file cannot be written.
    """
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigurationError(f"{path.parent}: cannot be written: {error.strerror}") from None
    try:
        import fcntl
    except ImportError:  # Windows has none; there, starting a run twice at once is the user's own risk
        return lock
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise ConfigurationError(
            f"{path.parent}: another run is at work here; wait for it, or name another folder"
        ) from None
    return lock


def _read(path: Path, kind: type[RecordT], *, mend: bool) -> list[RecordT]:
    if not path.exists():
        return []
    try:
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if mend and whole != content:
            os.truncate(path, len(whole))
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read or mended: {error.strerror}") from None
    records = []
    for number, line in enumerate(whole.split(b"\n")[:-1], start=1):
        try:
            records.append(kind.model_validate_json(line))
        except ValidationError:
            raise InputError(f"{path}: line {number} is not a line of this journal; restore the file") from None
    return records
