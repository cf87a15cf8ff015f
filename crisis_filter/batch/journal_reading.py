"""Reading a journal: every line is proved before anything in it counts."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from zlib import crc32

from crisis_filter.batch.journal_lines import (
    ASIDE,
    END,
    ROW,
    SYNCED,
    End,
    Head,
    end_of,
    fits,
    head_of,
    stated_crc,
)
from crisis_filter.errors import ConfigurationError, InputError

__all__ = ["MAX_LINE_BYTES", "Scanned", "damaged", "finished", "scan", "unreadable"]

MAX_LINE_BYTES = 256 * 1024 * 1024
"""A line over this is none of ours: a message has 64 MiB at most, and an assessment quotes it."""
_PIECE = 1024 * 1024
_TAIL = 64 * 1024
# A line that is written only when all before it is on the disk.
_LATER = re.compile(rb'\{"(?:synced":\d+|end":\{.*\}),"crc":"[0-9a-f]{8}"\}\n\Z', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Scanned:
    """What a journal holds up to the last line that is proved."""

    head: Head
    end: End | None
    """Where the last line is one."""
    size: int
    """Bytes up to there."""
    lines: int
    chain: int
    """CRC of the last line."""
    whole: int
    """CRC-32 of all bytes up to there."""
    torn: int = 0
    """Bytes after it, left behind by a write that was not finished."""


def damaged(path: Path, number: int, what: str = "is not what was written there") -> InputError:
    """What is said of a journal that cannot be gone on with; never what stands in it."""
    where = f"line {number} " if number else ""
    return InputError(
        f"{path}: {where}{what}. `crisis-filter batch recover` rebuilds the journal from what can be proved"
    )


def unreadable(path: Path, error: OSError) -> ConfigurationError:
    """What is said when the disk does not give a file."""
    return ConfigurationError(f"{path}: cannot be read: {error.strerror}")


def scan(path: Path, meet: Callable[[int, bytes], None]) -> Scanned:
    """Read and prove every line of a journal.

    A write that a kill or a loss of power cut short leaves a torn end, and nobody has counted on it yet. Such damage has nothing
    behind it that was written later; damage that has is none of this kind.

    Args:
        path: of the journal.
        meet: called with offset and bytes of each line of an assessment or of a row set aside.

    Raises:
        InputError: it is empty, no journal, or damaged elsewhere than at a torn end; names the line.
        ConfigurationError: it cannot be read.
    """
    try:
        with path.open("rb", buffering=_PIECE) as file:
            return _scan(file, path, meet)
    except OSError as error:
        raise unreadable(path, error) from None


def _scan(file: IO[bytes], path: Path, meet: Callable[[int, bytes], None]) -> Scanned:
    # A run at work makes the file longer meanwhile; what it had at first ends, at worst, in one line that is not whole.
    limit = file.seek(0, os.SEEK_END)
    file.seek(0)
    line = file.readline(min(MAX_LINE_BYTES, limit))
    head = head_of(line)
    chain = fits(line, 0)
    if head is None or chain < 0:
        what = "is empty" if not line else "is not the first line of a journal"
        raise damaged(path, 1 if line else 0, what)
    number, size, whole, last = 1, len(line), crc32(line), line
    while line := file.readline(min(MAX_LINE_BYTES, limit - size)):
        crc = fits(line, chain)
        if crc < 0:
            if _was_whole(line, file, limit):
                raise damaged(path, number + 1)
            break
        if line.startswith((ROW, ASIDE)):
            try:
                meet(size, line)
            except ValueError:
                raise damaged(path, number + 1, "is none that this version can read") from None
        elif not line.startswith((SYNCED, END)):
            raise damaged(path, number + 1, "is none that this version can read")
        number, size, chain, whole, last = number + 1, size + len(line), crc, crc32(line, whole), line
    return Scanned(head, end_of(last), size, number, chain, whole, limit - size)


def _was_whole(line: bytes, file: IO[bytes], limit: int) -> bool:
    """Whether a damaged line, or one that follows, shows that all before it had been on the disk."""
    while line:
        if _LATER.search(line):
            return True
        line = file.readline(min(MAX_LINE_BYTES, max(0, limit - file.tell())))
    return False


def finished(path: Path) -> Scanned | None:
    """A finished journal, proved as a whole by the CRC over all its bytes that its last line states, in one pass without its lines.

    Returns:
        `None` where the last line is no end, or the bytes do not fit it; `scan` then tells why. `lines` is 0.

    Raises:
        ConfigurationError: it cannot be read.
    """
    try:
        with path.open("rb", buffering=0) as file:
            return _finished(file)
    except OSError as error:
        raise unreadable(path, error) from None


def _finished(file: IO[bytes]) -> Scanned | None:
    size = file.seek(0, os.SEEK_END)
    start = max(0, size - _TAIL)
    file.seek(start)
    tail = file.read(_TAIL)
    last = tail[tail.rfind(b"\n", 0, -1) + 1 :]
    before = tail[: -len(last)] if last else b""
    end, chain = end_of(last), fits(last, stated_crc(before))
    if end is None or chain < 0 or end.bytes != size - len(last):
        return None
    file.seek(0)
    head = head_of(_first_line(file))
    file.seek(0)
    whole = _crc_of(file, end.bytes)
    if head is None or end.whole != f"{whole:08x}":
        return None
    return Scanned(head, end, size, 0, chain, crc32(last, whole))


def _first_line(file: IO[bytes]) -> bytes:
    found = b""
    while b"\n" not in found and len(found) < MAX_LINE_BYTES and (piece := file.read(_TAIL)):
        found += piece
    return found[: found.find(b"\n") + 1]


def _crc_of(file: IO[bytes], length: int) -> int:
    piece, crc = memoryview(bytearray(_PIECE)), 0
    while length > 0 and (got := file.readinto(piece[: min(length, _PIECE)])):  # type: ignore[attr-defined]  # raw files have it
        crc = crc32(piece[:got], crc)
        length -= got
    return crc
