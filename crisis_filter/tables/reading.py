"""Messages from a file or the standard input, one at a time; a bad row is a message that says so."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self

from crisis_filter.errors import InputError
from crisis_filter.schema import Flag, Message
from crisis_filter.tables.arrow import ArrowBatches
from crisis_filter.tables.columnar import ColumnRows
from crisis_filter.tables.delimited import delimited_rows
from crisis_filter.tables.duplicates import SeenIds
from crisis_filter.tables.formats import Format, format_of
from crisis_filter.tables.jsonlines import json_rows
from crisis_filter.tables.lines import Lines
from crisis_filter.tables.parquet import ParquetBatches
from crisis_filter.tables.plain import text_rows
from crisis_filter.tables.rows import ReadReport, Row, Unreadable, repaired_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

STDIN = "-"
STDIN_CLOSED = "the standard input is closed: name a file, or give the message itself"
_UNREADABLE_KEPT = 5


class MessageReader:
    """The messages of one input, as an iterator that counts what it meets. Made by `read_messages`."""

    def __init__(
        self,
        rows: Iterable[Row | None],
        *,
        label: str,
        seen: SeenIds,
        locale: str | None,
        lines: Lines | None = None,
        total_bytes: int | None = None,
        stream: BinaryIO | None = None,
    ) -> None:
        self._rows = iter(rows)
        self._columns = rows if isinstance(rows, ColumnRows) else None
        self._label = label
        self._seen = seen
        self._source = seen.next_input()
        self._locale = locale
        self._lines = lines
        self._total_bytes = total_bytes
        self._stream = stream
        self._report = ReadReport()

    @property
    def report(self) -> ReadReport:
        """The counts so far; final once the iterator has ended."""
        return self._report

    @property
    def fraction(self) -> float | None:
        """How much of the input has been read, 0 to 1; `None` where its size is not known."""
        if self._columns is not None:
            return self._columns.fraction
        if self._lines is None or not self._total_bytes:
            return None
        return min(1.0, self._lines.bytes_read / self._total_bytes)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Message:
        try:
            return self._next()
        except OSError as error:
            raise InputError(f"{self._label}: cannot be read: {error.strerror}") from None

    def _next(self) -> Message:
        for row in self._rows:
            if row is None:
                self._report = replace(self._report, blank=self._report.blank + 1)
            elif (message := self._message(row)) is not None:
                return message
        self.close()
        raise StopIteration

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close what `read_messages` opened. Calling it twice does nothing."""
        if self._stream is not None:
            self._stream.close()
        if self._columns is not None:
            self._columns.close()

    def _message(self, row: Row) -> Message | None:
        """The message of a row, or `None` when id and text came before."""
        counts = self._report
        repaired = row.repaired
        row_id = f"{self._label}:{row.line}"
        met = "new"
        if row.id is not None:
            row_id, id_repaired = repaired_text(row.id)
            repaired = repaired or id_repaired
            # What was repaired may have been something else before, so it equals nothing and is never left out.
            met = self._seen.meet(row_id, None if repaired else row.text, self._source)
        if met == "same":
            self._report = replace(counts, rows=counts.rows + 1, duplicates_dropped=counts.duplicates_dropped + 1)
            return None
        first = counts.first_unreadable
        if row.text is None and len(first) < _UNREADABLE_KEPT:
            first = (*first, Unreadable(row.line, row.reason))
        self._report = replace(
            counts,
            rows=counts.rows + 1,
            repaired=counts.repaired + repaired,
            unreadable=counts.unreadable + (row.text is None),
            duplicates_kept=counts.duplicates_kept + (met == "other"),
            first_unreadable=first,
        )
        flags: set[Flag] = set()
        if repaired:
            flags.add("encoding_repaired")
        if met == "other":
            flags.add("duplicate_id")
        return Message(
            id=row_id,
            text=row.text or "",
            locale=self._locale,
            flags=frozenset(flags),
            unreadable=row.text is None,
        )


def read_messages(
    path: str | Path,
    *,
    format: str | None = None,  # noqa: A002  # named as the flag is
    text_column: str | None = None,
    id_column: str | None = None,
    locale: str | None = None,
    label: str | None = None,
    seen: SeenIds | None = None,
    stdin: BinaryIO | None = None,
) -> MessageReader:
    """Read messages from a file or the standard input without holding more than a row, a record or a batch.

    Trouble with a row never ends the reading and never loses the row: it becomes a message with an empty text and
    `unreadable` set, or one flagged `encoding_repaired`. A row whose id and text both came before here is left out and
    counted; one whose id came before with another text, in another input, or where anything had to be repaired, is kept
    and flagged `duplicate_id`. Ids made here are not compared. Lines and quoted records over `lines.MAX_LINE_CHARS` code points are unreadable rows.

    Args:
        path: a file, or `-` for the standard input.
        format: one of `formats.FORMATS`, or `None` to go by the ending; the standard input is `text` unless said.
        text_column: name of the column or field with the messages; `None` takes the only one of `text`, `message`,
            `body` and `content`. Not used for `text`, refused for `openai-batch`.
        id_column: name of the column or field with the ids; `None` takes the first of `id`, `message_id` and
            `custom_id` there is. A row without one gets `LABEL:LINE`.
        locale: BCP 47 tag put on every message.
        label: first part of the ids made here; the file's stem unless given.
        seen: the ids of earlier inputs of this run; `None` compares within this input only.
        stdin: the stream that `-` stands for; `None` means the process's own.

    Returns:
        An iterator of messages with `report` and `fraction`. An empty file gives none.

    Raises:
        InputError: no such file, unknown format, no or several columns for the text; while reading, a file that
            breaks off.
        ConfigurationError: Parquet or Arrow without the `parquet` extra.
    """
    source = str(path)
    kind = format_of(source, format)
    seen = seen or SeenIds()
    if kind in ("parquet", "arrow"):
        if source == STDIN:
            raise InputError(f"{kind.title()} cannot be read from the standard input: give the name of a file")
        file = _existing(Path(path))
        rows = _column_rows(kind, file, text_column, id_column)
        return MessageReader(rows, label=label or file.stem, seen=seen, locale=locale)
    if kind == "openai-batch" and text_column is not None:
        raise InputError("in openai-batch the text is in the body of each request: leave out --text-column")
    total = None
    if source == STDIN:
        stream = stdin or _standard_input()
        source, stem = "standard input", "stdin"
    else:
        file = _existing(Path(path))
        try:
            stream = file.open("rb")
        except OSError as error:
            raise InputError(f"{source}: cannot be opened: {error.strerror}") from None
        stem, total = file.stem, file.stat().st_size
    try:
        lines = Lines(stream)
    except OSError as error:
        raise InputError(f"{source}: cannot be read: {error.strerror}") from None
    return MessageReader(
        _rows(kind, lines, text_column, id_column, source),
        label=label or stem,
        seen=seen,
        locale=locale,
        lines=lines,
        total_bytes=total,
        stream=stream if total is not None else None,
    )


def _rows(kind: Format, lines: Lines, text_name: str | None, id_name: str | None, source: str) -> Iterator[Row | None]:
    if kind == "text":
        return text_rows(iter(lines))
    if kind in ("jsonl", "openai-batch"):
        batch = kind == "openai-batch"
        return json_rows(iter(lines), text_name=text_name, id_name=id_name, source=source, batch=batch)
    delimiter = "," if kind == "csv" else "\t"
    return delimited_rows(iter(lines), delimiter=delimiter, text_name=text_name, id_name=id_name, source=source)


def _column_rows(kind: Format, file: Path, text_name: str | None, id_name: str | None) -> ColumnRows:
    batches = ParquetBatches(file) if kind == "parquet" else ArrowBatches(file)
    try:
        return ColumnRows(batches, text_name=text_name, id_name=id_name, source=str(file))
    except InputError:
        batches.close()
        raise


def _standard_input() -> BinaryIO:
    """The standard input without its buffer.

    A thread that waits for input in the buffer holds its lock, and the interpreter cannot end before it has that.
    """
    if sys.stdin is None:
        raise InputError(STDIN_CLOSED)
    buffer = sys.stdin.buffer
    raw: BinaryIO = getattr(buffer, "raw", buffer)
    return raw


def _existing(path: Path) -> Path:
    try:
        if path.is_dir():
            raise InputError(f"{path}: is a folder; name the files in it")
        if path.exists():
            return path
    except OSError as error:
        raise InputError(f"{path}: cannot be opened: {error.strerror}") from None
    raise InputError(f"{path}: no such file")
