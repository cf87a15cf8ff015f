"""Bytes to lines: byte-order marks, line endings, bytes that are no UTF-8, and lines without end."""

from __future__ import annotations

import codecs
import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_LINE_CHARS = 16 * 1024 * 1024
"""Code points of one line, or of one quoted record, that are held (16 to 64 MiB); a longer one is an unreadable row."""

_PIECE = 1024 * 1024
# UTF-32 first: its little-endian mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True, slots=True)
class Line:
    """One physical line."""

    number: int
    """From 1."""
    text: str = field(repr=False)
    """With its ending. Bytes that were no UTF-8 stand in it as lone surrogates. Empty when `overlong`."""
    overlong: bool = False
    """The line was longer than the limit; it was skipped, not held."""
    repaired: bool = False
    """UTF-16 or UTF-32 had to be mended; for UTF-8 the surrogates tell."""


class CountedBytes(io.RawIOBase):
    """A byte stream that gives back the bytes already looked at and counts what was read."""

    def __init__(self, stream: BinaryIO, head: bytes) -> None:
        self._stream = stream
        self._head = head
        self.count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # typeshed's WriteableBuffer is private
        if self._head:
            piece, self._head = self._head[: len(buffer)], self._head[len(buffer) :]
        else:
            # read1 gives what a pipe has now, where read would wait for a full buffer.
            read = getattr(self._stream, "read1", self._stream.read)
            piece = read(len(buffer))
        buffer[: len(piece)] = piece
        self.count += len(piece)
        return len(piece)


def _head(stream: BinaryIO) -> bytes:
    """A byte-order mark, or as few bytes as show that there is none: a pipe may have sent a short line and no more."""
    head = b""
    while any(len(head) < len(mark) and mark.startswith(head) for mark, _ in _MARKS):
        if not (byte := stream.read(1)):
            break
        head += byte
    return head


class Lines:
    """The lines of a byte stream, one held at a time.

    Lines end with LF, CRLF or CR, and with nothing else: U+2028 and form feeds belong to the text.

    Args:
        stream: open for reading bytes; not closed here.
        max_chars: see `MAX_LINE_CHARS`.
    """

    def __init__(self, stream: BinaryIO, *, max_chars: int = MAX_LINE_CHARS) -> None:
        head = _head(stream)
        encoding = next((name for mark, name in _MARKS if head.startswith(mark)), "utf-8")
        self._bytes = CountedBytes(stream, head)
        self._wide = encoding not in ("utf-8", "utf-8-sig")
        # Only UTF-8 can keep wrong bytes apart until the row they stand in is known.
        errors = "replace" if self._wide else "surrogateescape"
        self._text = io.TextIOWrapper(io.BufferedReader(self._bytes), encoding=encoding, errors=errors, newline="")
        self._max = max_chars

    @property
    def bytes_read(self) -> int:
        """Bytes taken from the stream so far, which is a little ahead of the line given last."""
        return self._bytes.count

    def __iter__(self) -> Iterator[Line]:
        number, end = 0, ""
        while text := self._text.readline(self._max + 1):
            split, end = end.endswith("\r") and text == "\n", text
            if split:  # the other half of a CRLF that the limit fell into
                continue
            number += 1
            repaired = self._wide and "\ufffd" in text
            if len(text) <= self._max or text.endswith(("\n", "\r")):
                yield Line(number, text, repaired=repaired)
                continue
            while (end := self._text.readline(_PIECE)) and not end.endswith(("\n", "\r")):
                pass
            yield Line(number, "", overlong=True)
