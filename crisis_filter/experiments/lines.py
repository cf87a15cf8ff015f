"""One file of a journal: JSON Lines of one kind of record, each on the disk before anything follows from it."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import ValidationError

from crisis_filter.errors import ConfigurationError, InputError
from crisis_filter.schema import Record

__all__ = ["Lines", "held", "write_whole"]

RecordT = TypeVar("RecordT", bound=Record)
_PAUSE_S = 0.02


class Lines(Generic[RecordT]):
    """A file of records that only grows.

    A last line without its end is what a killed process leaves behind. Nobody has counted on it yet, so it is cut off. In a file that
    people may have in an editor it is a record like any other, and refused where it is none.

    Args:
        path: need not exist.
        kind: of the records.
        mend: whether a torn last line is cut off in the file too, as only who writes to it may.
        by_hand: whether the file is one that people may have in an editor; then nothing is ever cut off.

    Raises:
        InputError: a line is no such record; names file and line, never what stands there.
        ConfigurationError: the file cannot be read or written.
    """

    def __init__(self, path: Path, kind: type[RecordT], *, mend: bool = True, by_hand: bool = False) -> None:
        self._path = path
        content = _content(path)
        whole = content[: content.rfind(b"\n") + 1]
        self._open_ended = by_hand and whole != content
        """Whether the last record lacks its end."""
        if self._open_ended:
            whole = content + b"\n"
        elif mend and whole != content:
            _cut(path, len(whole))
        self.records = _records(path, kind, whole)
        """In the order in which they were written."""
        self._broken = ""
        """Why a line could not be written."""

    def append(self, record: RecordT) -> None:
        """Write one record and wait until the disk has it. Once that failed no other is taken, so that none is glued to what it left.

        Raises:
            ConfigurationError: the file cannot be written, as on a full disk, or could not be before.
        """
        if not self._broken:
            line = f"{record.model_dump_json()}\n".encode()
            self._broken = self._refusal(b"\n" + line if self._open_ended else line)
        if self._broken:
            raise ConfigurationError(f"{self._path}: {self._broken}")
        self._open_ended = False
        self.records.append(record)

    def _refusal(self, line: bytes) -> str:
        """Write a line; why it could not be, or nothing."""
        try:
            file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                return "" if _write(file, line) else "cannot be written whole; is the disk full?"
            finally:
                os.close(file)
        except OSError as error:
            return f"cannot be written: {error.strerror}"


def _write(file: int, line: bytes) -> bool:
    """Put a line at the end of a file; whether it is there whole. What there is of one that is not is taken back as far as the disk lets us."""
    before, whole = os.fstat(file).st_size, False
    try:
        whole = os.write(file, line) == len(line)
        os.fsync(file)
    except OSError:
        whole = False
        raise
    finally:
        if not whole:
            with contextlib.suppress(OSError):
                os.ftruncate(file, before)
    return whole


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


def held(
    path: Path, *, wait_s: float = 0.0, busy: str = "another run is at work here; wait for it, or name another folder"
) -> int:
    """A lock that others cannot take while this process has it; `os.close` gives it back.

    Args:
        path: of the lock's file.
        wait_s: seconds to wait for who has it.
        busy: what is said when somebody still has it.

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
    end = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() < end:
                time.sleep(_PAUSE_S)
                continue
            os.close(lock)
            raise ConfigurationError(f"{path.parent}: {busy}") from None
        return lock


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read or mended: {error.strerror}") from None


def _cut(path: Path, size: int) -> None:
    try:
        os.truncate(path, size)
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read or mended: {error.strerror}") from None


def _records(path: Path, kind: type[RecordT], whole: bytes) -> list[RecordT]:
    records = []
    for number, line in enumerate(whole.split(b"\n")[:-1], start=1):
        try:
            records.append(kind.model_validate_json(line))
        except ValidationError:
            raise InputError(f"{path}: line {number} is not a line of this journal; restore the file") from None
    return records
