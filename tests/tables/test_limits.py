"""Lines and records without end: one unreadable row, little memory, and the rest is read."""

from __future__ import annotations

import csv
import io
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from crisis_filter.errors import InputError
from crisis_filter.tables.lines import Lines
from crisis_filter.tables.reading import read_messages

MEGABYTE = 1024 * 1024


class Pieces(io.RawIOBase):
    """A stream that is never held as a whole."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        self._left = self._left or next(self._pieces, b"")
        piece, self._left = self._left[: len(buffer)], self._left[len(buffer) :]
        buffer[: len(piece)] = piece
        return len(piece)


@pytest.fixture
def peak() -> Iterator[None]:
    """Counts what Python holds, for `most`."""
    tracemalloc.start()
    yield
    tracemalloc.stop()


def most() -> float:
    """The most megabytes that Python held at once since the test began."""
    return tracemalloc.get_traced_memory()[1] / MEGABYTE


@pytest.mark.parametrize(
    ("ending", "head", "tail"),
    [
        ("txt", b"", b"\nnext\n"),
        ("csv", b'text\n"', b'"\nnext\n'),
        ("csv", b'text\n"', b"\nnext\n"),
        ("tsv", b"text\n", b"\nnext\n"),
        ("jsonl", b'{"text": "', b'"}\n{"text": "next"}\n'),
    ],
)
@pytest.mark.usefixtures("peak")
def test_a_line_of_a_hundred_megabytes(tmp_path: Path, ending: str, head: bytes, tail: bytes) -> None:
    """It is told as one unreadable row, and never held as a whole."""
    path = tmp_path / f"in.{ending}"
    with path.open("wb") as file:  # nothing is written in between, so that it takes no place on the disk
        file.write(head)
        file.truncate(100 * MEGABYTE)
        file.seek(0, io.SEEK_END)
        file.write(tail)
    with read_messages(path) as reader:
        assert [(m.text, m.unreadable) for m in reader] == [("", True), ("next", False)]
    assert [u.reason for u in reader.report.first_unreadable] == ["the line is too long to hold in memory"]
    assert reader.report.blank == 0
    assert most() < 50


@pytest.mark.usefixtures("peak")
def test_a_long_line_of_wide_characters() -> None:
    """Where every character takes four bytes the line takes four times as much, and no more."""
    pieces = ("\U0001f600".encode() * (MEGABYTE // 4) if n < 100 else b"\nnext\n" for n in range(101))
    messages = list(read_messages("-", stdin=Pieces(pieces)))
    assert [(m.text, m.unreadable) for m in messages] == [("", True), ("next", False)]
    assert most() < 160


@pytest.mark.usefixtures("peak")
def test_a_quoted_record_without_end() -> None:
    """A quote that nothing closes gives up its first line, and each line behind it is a row of its own."""
    line = b"x" * 99_999 + b"\n"
    pieces = (b'text\n"open\n' if n == 0 else line if n <= 500 else b"next\n" for n in range(502))
    texts = [len(m.text) for m in read_messages("-", format="csv", stdin=Pieces(pieces))]
    assert texts == [4, *[99_999] * 500, 4]
    assert most() < 120


@pytest.mark.parametrize("ending", ["\r\n", "\r", "\n"])
@pytest.mark.parametrize("length", range(95, 106))
def test_the_limit_within_a_line_ending(ending: str, length: int) -> None:
    """A CRLF that the limit falls into is one ending: no line is counted twice, and no blank one made up."""
    data = ("x" * length + ending + ending + "y" + ending).encode()
    lines = list(Lines(io.BytesIO(data), max_chars=100))
    assert [(line.number, line.text.rstrip("\r\n")) for line in lines] == [
        (1, "" if lines[0].overlong else "x" * length),
        (2, ""),
        (3, "y"),
    ]
    assert lines[0].overlong == (length > 100)


def test_a_piece_within_a_line_ending() -> None:
    """The same where a line is skipped piece by piece."""
    data = b"x" * (100 + MEGABYTE) + b"\r\ny\r\n"
    lines = list(Lines(io.BytesIO(data), max_chars=100))
    assert [(line.number, line.text, line.overlong) for line in lines] == [(1, "", True), (2, "y\r\n", False)]


def test_quotes_that_all_lines_open() -> None:
    """A file whose outer quotes were stripped opens one in every line; the lines are read, and in time."""
    rows = 20_000  # each followed to its end would take minutes
    start = time.monotonic()
    messages = list(read_messages("-", format="csv", stdin=io.BytesIO(b'id","text\n' + b'1","hello there\n' * rows)))
    assert len(messages) == rows
    assert {m.text for m in messages} == {"hello there"}
    assert time.monotonic() - start < 60


def test_a_long_message_among_stray_quotes() -> None:
    """A message of many lines is read whole in a file that has a quote gone astray."""
    file = io.StringIO(newline="")
    csv.writer(file).writerow(["1", "line\n" * 1000])
    messages = list(
        read_messages("-", format="csv", stdin=io.BytesIO(b'id,text\n0,"open\n' + file.getvalue().encode()))
    )
    assert "line\n" * 1000 in [m.text for m in messages]


def test_long_objects_without_a_text() -> None:
    """Few of them are held in the hope for a text: they end the reading as a hundred short ones do."""
    line = b'{"x": "' + b"x" * 10 * MEGABYTE + b'"}\n'
    read = 0

    def pieces() -> Iterator[bytes]:
        nonlocal read
        while read < 50:
            read += 1
            yield line

    with pytest.raises(InputError, match="no object has a field"):
        list(read_messages("-", format="jsonl", stdin=Pieces(pieces())))
    assert read < 10
