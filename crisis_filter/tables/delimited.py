"""CSV and TSV with the standard library's parser, and a way on after a quote that is never closed.

One stray quote makes a lenient parser swallow the rows that follow it, and whole messages with them. So records are
parsed strictly; where that fails only the first line of the record is given up to a lenient parse of its own, and
reading goes on with the line after it. Where a second stray quote closes the first, the parse does not fail: then the
record tells which of its lines look like rows, and those rows are given besides it.
"""

from __future__ import annotations

import csv
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crisis_filter.errors import InputError
from crisis_filter.tables.formats import id_column, text_candidates, text_column
from crisis_filter.tables.lines import MAX_LINE_CHARS, Line
from crisis_filter.tables.plain import TOO_LONG
from crisis_filter.tables.rows import Row, repaired_text

if TYPE_CHECKING:
    from collections.abc import Iterator

# A quoted field that runs on for more lines than this has lost its closing quote.
_MAX_RECORD_LINES = 10_000
# Where each line opens a quote that no line closes, every one of them would be followed as far.
_MIN_RECORD_LINES = 64
_RAGGED = "the number of fields differs from the header"


@dataclass(frozen=True, slots=True)
class _Cells:
    """The fields of one record."""

    line: int
    values: tuple[str, ...] | None
    """`None` for a record too long to hold; empty for a blank line."""
    repaired: bool = False
    alone: tuple[_Cells, ...] = ()
    """Of a record of several lines, those that are not blank, each as the record it would be by itself."""


class _Records:
    """Records of a delimited file, each from as few lines as it needs."""

    def __init__(self, lines: Iterator[Line], delimiter: str, max_chars: int) -> None:
        # The limit is the parser's own global; it is only ever raised, to what a line may hold.
        csv.field_size_limit(max(csv.field_size_limit(), MAX_LINE_CHARS))
        self._lines = lines
        self._again: deque[Line] = deque()
        self._delimiter = delimiter
        self._max_chars = max_chars
        self._max_lines = _MAX_RECORD_LINES
        # Whoever left one quote as it was did not write the others as quotes of a field either.
        self._quotes_astray = False

    def __iter__(self) -> Iterator[_Cells]:
        while (first := self._next()) is not None:
            yield self._record(first)

    def _next(self) -> Line | None:
        return self._again.popleft() if self._again else next(self._lines, None)

    def _record(self, first: Line) -> _Cells:
        if first.overlong:
            return _Cells(first.number, None)
        if '"' not in first.text:
            return _Cells(first.number, self._leniently(first.text), first.repaired)
        taken: list[Line] = []

        def feed() -> Iterator[str]:
            chars = 0
            line: Line | None = first
            while line is not None:
                taken.append(line)
                chars += len(line.text)
                too_much = len(taken) > 1 and (chars > self._max_chars or len(taken) > self._max_lines)
                if line.overlong or too_much:
                    return
                yield line.text
                line = self._next()

        try:
            values = next(csv.reader(feed(), delimiter=self._delimiter, strict=True))
        except csv.Error:
            self._again.extendleft(reversed(taken[1:]))
            if len(taken) > _MIN_RECORD_LINES:
                self._max_lines = max(_MIN_RECORD_LINES, self._max_lines // 2)
            self._quotes_astray = True
            return _Cells(first.number, self._leniently(first.text), repaired=True)
        repaired = any(line.repaired for line in taken)
        if len(taken) == 1:
            self._quotes_astray |= '""' not in first.text and any('"' in value for value in values)
            return _Cells(first.number, tuple(values), repaired)
        alone = tuple(
            _Cells(line.number, cells, repaired=True) for line in taken if (cells := self._leniently(line.text))
        )
        return _Cells(first.number, tuple(values), repaired or self._quotes_astray, alone)

    def _leniently(self, text: str) -> tuple[str, ...]:
        return tuple(next(csv.reader([text.rstrip("\r\n")], delimiter=self._delimiter), ()))


@dataclass(frozen=True, slots=True)
class _Header:
    """How many fields a record has, and which of them hold what."""

    width: int
    text_at: int
    id_at: int | None

    def rows(self, cells: _Cells) -> Iterator[Row | None]:
        """The row of a record, and those that a pair of stray quotes may have hidden in it.

        A later line with as many fields as the header may be a row, so the record cannot clear. Where one has a likely
        id, or the record makes no row, it is given as a row too, and so is the first line: a row too many is better
        than a person lost, and a message drowns among others. The record stays whole besides, because it may as well
        be one message. In a table of one column every line would be a row, and nothing tells the one from the other.
        """
        whole = [c for c in cells.alone if self.width > 1 and c.values and len(c.values) == self.width]
        later = [c for c in whole if c.line > cells.line]
        yield self._row(cells, doubtful=bool(later))
        ragged = cells.values is not None and len(cells.values) != self.width
        if ragged or (self.id_at is None and len(later) == len(cells.alone) - 1):
            likely = later
        elif self.id_at is None:
            likely = []
        else:
            likely = [c for c in later if _likely(cells.values or (), c.values or (), self.id_at)]
        if likely or ragged:
            yield from map(self._row, [c for c in whole if c.line == cells.line] + likely)

    def _row(self, cells: _Cells, *, doubtful: bool = False) -> Row | None:
        if cells.values is None:
            return Row(cells.line, reason=TOO_LONG)
        if not cells.values:
            return None
        if len(cells.values) != self.width:
            return Row(cells.line, reason=_RAGGED)
        text, repaired = repaired_text(cells.values[self.text_at])
        row_id = cells.values[self.id_at] if self.id_at is not None else None
        return Row(cells.line, text, row_id or None, repaired or cells.repaired or doubtful)


def _likely(record: tuple[str, ...], line: tuple[str, ...], id_at: int) -> bool:
    """Whether the id of a line is one word, and a number where the id of the record around it is one."""
    mine, other = ("".join(values[id_at : id_at + 1]).strip() for values in (record, line))
    return len(other.split()) == 1 and (other.isdecimal() or not mine.isdecimal())


def _refuse_other_layout(names: tuple[str, ...], source: str) -> None:
    """Say what a header without a column for the text looks like, where that can be told.

    Raises:
        InputError: it is UTF-16, or parted by something else.
    """
    if any("\0" in name for name in names):
        raise InputError(f"{source}: looks like UTF-16 without a mark: save it as UTF-8")
    if len(names) != 1:
        return
    if ";" in names[0]:
        raise InputError(
            f"{source}: the fields seem to be parted by ';': save the file with commas, or as JSON Lines. "
            "If the first line is a message and no header, add --format text"
        )
    if "\t" in names[0]:
        raise InputError(f"{source}: the fields seem to be parted by tabs: add --format tsv")


def delimited_rows(
    lines: Iterator[Line],
    *,
    delimiter: str,
    text_name: str | None,
    id_name: str | None,
    source: str,
    max_chars: int = MAX_LINE_CHARS,
) -> Iterator[Row | None]:
    """Rows of a CSV or TSV file with a header; `None` for a blank line.

    Args:
        lines: physical lines, endings kept.
        delimiter: one character.
        text_name: name of the text column, or `None` to find it.
        id_name: name of the id column, or `None` to find it.
        source: what errors call the input.
        max_chars: code points that one record may span.

    Raises:
        InputError: when there is no header, or it has no column for the text, or several.
    """
    records = iter(_Records(lines, delimiter, max_chars))
    first = next((cells for cells in records if cells.values != ()), None)
    if first is None or first.values is None:
        raise InputError(f"{source}: there is no header line. Name the columns in the first line, or add --format text")
    names = tuple(repaired_text(name)[0] for name in first.values)
    if not text_candidates(names, text_name):
        _refuse_other_layout(names, source)
    text_at = names.index(text_column(names, text_name, source))
    id_key = id_column(names, id_name, source)
    header = _Header(len(names), text_at, names.index(id_key) if id_key is not None else None)
    yield from (row for row in header.rows(first) if row is not None and row.line > first.line)
    for cells in records:
        yield from header.rows(cells)
