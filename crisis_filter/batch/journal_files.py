"""The files of a run beside its output: their names, the lock, and files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from crisis_filter.errors import ConfigurationError

__all__ = ["CRASH_POINTS", "Crash", "Files", "Lock", "no_crash", "put_whole", "sync_data", "sync_folder"]

Crash = Callable[[str], None]
"""Called with one of `CRASH_POINTS` at that step, so that a test can kill the process there."""

CRASH_POINTS = (
    "locked",
    "head_written",
    "head_named",
    "begun",
    "read",
    "mended",
    "added",
    "batch_taken",
    "batch_written",
    "batch_synced",
    "viewed",
    "errors_begun",
    "output_begun",
    "output_half",
    "output_written",
    "errors_named",
    "output_named",
    "folder_synced",
    "end_written",
    "end_synced",
    "sealed",
    "unlocked",
)
"""Every step between taking a row in and having its output under its name, in order."""

_TRIES = 8


def no_crash(point: str) -> None:
    """What runs outside of tests: nothing."""


@dataclass(frozen=True, slots=True)
class Files:
    """Where the files of a run lie: all beside `out` and named after it."""

    out: Path

    def _beside(self, ending: str) -> Path:
        return self.out.with_name(self.out.name + ending)

    @property
    def errors(self) -> Path:
        """Rows that are undetermined, a line each."""
        return self._beside(".errors.jsonl")

    @property
    def journal(self) -> Path:
        """What was judged, in the order in which it was."""
        return self._beside(".journal")

    @property
    def seal(self) -> Path:
        """The journal's head and end once more, to tell what became of a journal that was cut, exchanged or deleted."""
        return self._beside(".journal.seal")

    @property
    def damaged(self) -> Path:
        """A journal that `recover` took out of use."""
        return self._beside(".journal.damaged")

    @property
    def lock(self) -> Path:
        """Held while a run is at work."""
        return self._beside(".journal.lock")

    @property
    def output_made(self) -> Path:
        """The output while it is being written; ends as the output does."""
        return self.out.with_name(f".{self.out.stem}.made{self.out.suffix}")

    @property
    def errors_made(self) -> Path:
        """The errors while they are being written."""
        return self.out.with_name(f".{self.errors.name}.made")


class Lock:
    """A lock on one output that a second run cannot take, and that ends with the process however it ends.

    Raises:
        ConfigurationError: another run has it (told by its process id where that is known), or the folder cannot be written.
    """

    def __init__(self, files: Files) -> None:
        self._path = files.lock
        self._file = -1
        for _ in range(_TRIES):
            if self._taken(files.out):
                return
        raise ConfigurationError(f"{files.out}: another run begins and ends all the time; try again")

    def _taken(self, out: Path) -> bool:
        try:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise ConfigurationError(f"{self._path}: cannot be written: {error.strerror}") from None
        try:
            import fcntl
        except ImportError:  # Windows has none; there, starting a run twice at once is the user's own risk
            self._file = file
            return True
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            told = os.pread(file, 20, 0).decode("ascii", "replace").strip()
            os.close(file)
            who = f"another run (process {told})" if told.isdecimal() else "another run"
            raise ConfigurationError(f"{out}: {who} is writing it; wait for its end, or name another output") from None
        if not self._named(file):
            os.close(file)  # whoever had it removed the file between our two steps
            return False
        with suppress(OSError):  # on a full disk a second run is refused all the same, without saying by whom
            os.ftruncate(file, 0)
            os.pwrite(file, b"%d\n" % os.getpid(), 0)
        self._file = file
        return True

    def _named(self, file: int) -> bool:
        try:
            return self._path.stat().st_ino == os.fstat(file).st_ino
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Give it back. Calling it twice does nothing."""
        if self._file >= 0:
            with suppress(OSError):
                self._path.unlink()
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def put_whole(path: Path, data: bytes, crash: Crash = no_crash, written: str = "", named: str = "") -> None:
    """Put bytes in place of a file, whole or not at all, on the disk when this returns, for the owner's eyes only.

    Args:
        path: of the file.
        data: all of it.
        crash: called between the steps.
        written: the point after the bytes are on the disk under another name; empty for none.
        named: the point after they have the name.

    Raises:
        ConfigurationError: it cannot be written.
    """
    beside = path.with_name(f".{path.name}.new")
    try:
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if written:
            crash(written)
        beside.replace(path)
        if named:
            crash(named)
        sync_folder(path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise ConfigurationError(f"{path}: cannot be written: {error.strerror}") from None


def sync_folder(path: Path) -> None:
    """Wait until the disk knows the names in the folder of a file.

    Raises:
        OSError: it does not take them.
    """
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def sync_data(file: int) -> None:
    """Wait until the disk has what was written.

    Raises:
        OSError: it does not take it.
    """
    getattr(os, "fdatasync", os.fsync)(file)  # macOS has no fdatasync
