"""The rows of a file of labels or answers, read strictly: nothing is guessed, mended or left out."""

from __future__ import annotations

import csv
import gzip
import io
import math
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from crisis_filter.datasets.objects import kind_of, read_lines, read_objects
from crisis_filter.errors import InputError
from crisis_filter.tables.formats import listed
from crisis_filter.tables.rows import repaired_text

__all__ = ["Row", "rows"]

_YES, _NO = ("true", "1", "yes", "y"), ("false", "0", "no", "n")
# Longer numbers cost time to write out, and some Python refuses.
_MOST = 10**100
_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_LINES = (".jsonl", ".ndjson")
_KNOWN = ".jsonl, .csv, .tsv or .parquet (all but the last also with .gz)"
# What a spreadsheet would run as a formula has a quote mark before it in our CSV.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Row:
    """One row, and where it stands."""

    place: str
    """`FILE: line 12`, as errors begin."""
    fields: Mapping[str, object] = field(repr=False)

    def wrong(self, name: str, what: str) -> InputError:
        """The error for one field; `what` says what is wrong and what to do, in words of ours."""
        return InputError(f"{self.place}: {name!r} {what}")

    def id(self) -> str:
        """The id: a text that is not empty, or a whole number.

        Raises:
            InputError: it is missing or something else.
        """
        value = self.fields.get("id")
        if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
            raise self.wrong("id", "is missing or no text; give each row the id of its message")
        if isinstance(value, int) and abs(value) >= _MOST:
            raise self.wrong("id", "is a number too long for an id; write it as a text")
        return repaired_text(str(value))[0]

    def yes_no(self, name: str) -> bool | None:
        """A label: true or false, 1 or 0; in a table of texts also yes or no. `None` where there is none.

        Raises:
            InputError: it is anything else.
        """
        value = self.fields.get(name)
        if value is None or value == "":
            return None
        if isinstance(value, bool):
            return value
        word = str(value).strip().casefold() if isinstance(value, str | int) else ""
        if word in _YES or word in _NO:
            return word in _YES
        raise self.wrong(name, f"holds {kind_of(value)} that is none of true, false, 1, 0, yes, no; mend the label")

    def share(self, name: str) -> float | None:
        """A score from 0 to 1; `None` where there is none.

        Raises:
            InputError: it is no number, NaN, infinite, or out of range.
        """
        value = self.fields.get(name)
        if value is None or value == "":
            return None
        found = math.nan
        # Python reads 0_1 as 1, and digits of other scripts.
        plain = not isinstance(value, str) or (value.isascii() and "_" not in value)
        if plain and isinstance(value, str | int | float) and not isinstance(value, bool):
            with suppress(ValueError, OverflowError):
                found = float(value)
        if not 0.0 <= found <= 1.0:
            raise self.wrong(name, "is no number from 0 to 1; leave it out where the system gave none")
        return found

    def names(self, name: str) -> tuple[str, ...] | None:
        """Several words: an array, or a text parted by `|`, `;` or `,`; `None` where the field is missing or null.

        Raises:
            InputError: an array of anything but texts, or another kind of value.
        """
        value = self.fields.get(name)
        if value is None:
            return None
        if isinstance(value, str):
            for mark in ";,":
                value = value.replace(mark, "|")
            return tuple(word for part in value.split("|") if (word := part.strip()))
        if isinstance(value, list) and all(isinstance(word, str) for word in value):
            return tuple(value)
        raise self.wrong(name, f"holds {kind_of(value)} instead of a list of category ids")

    def word(self, name: str) -> str | None:
        """A short text, whole number or yes-or-no, as a text; `None` where there is none, or something else.

        Raises:
            InputError: a number of hundreds of digits.
        """
        value = self.fields.get(name)
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # a column of whole numbers with a gap in it
        if value is None or value == "" or isinstance(value, list | dict | float):
            return None
        if isinstance(value, int) and abs(value) >= _MOST:
            raise self.wrong(name, "is a number too long; write it as a text")
        return str(value).lower() if isinstance(value, bool) else repaired_text(str(value))[0]


def rows(path: Path, names: Mapping[str, str] = MappingProxyType({})) -> Iterator[Row]:
    """The rows of a file, in order; blank lines between them do not count.

    Args:
        path: JSON Lines (`.jsonl`, `.ndjson`), `.csv` or `.tsv` with a header, each also with `.gz`, or `.parquet`.
        names: for fields that the file calls otherwise: our name, and the file's.

    Raises:
        InputError: no such file, another ending, bytes that are no UTF-8, a line that is no JSON object, a key or column twice, NaN, a
            ragged row; names file and line, never a value.
        ConfigurationError: Parquet without the `parquet` extra.
    """
    found = _rows(path)
    if not names:
        yield from found
    for row in found:
        for ours, theirs in names.items():
            if theirs not in row.fields:
                raise InputError(f"{row.place}: there is no field {theirs!r}; fields: {listed(list(row.fields))}")
            if ours != theirs and ours in row.fields:
                raise InputError(f"{row.place}: {ours!r} is there already, so {theirs!r} cannot stand for it")
        yield Row(row.place, {**row.fields, **{ours: row.fields[theirs] for ours, theirs in names.items()}})


def _rows(path: Path) -> Iterator[Row]:
    ending = (path.with_suffix("") if path.suffix.lower() == ".gz" else path).suffix.lower()
    if ending == ".parquet":
        for entry in read_objects(path):
            yield Row(f"{entry.file}: {entry.unit} {entry.number}", entry.fields)
    elif ending in _DELIMITERS:
        yield from _table(path, _DELIMITERS[ending])
    elif ending in _LINES:
        for entry in read_lines(path):
            yield Row(f"{entry.file}: {entry.unit} {entry.number}", entry.fields)
    else:
        raise InputError(f"{path}: name a file that ends in {_KNOWN}")


def _table(path: Path, delimiter: str) -> Iterator[Row]:
    text = _text(path)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    start, head = 1, None
    while True:
        try:
            cells = next(reader, None)
        except csv.Error:
            raise InputError(f"{path}: line {start}: quotes that do not close, or a cell too long; mend it") from None
        if cells is None:
            return
        if head is None:
            head = [cell.strip() for cell in cells]
            if len(head) == 1 and (";" in head[0] or "\t" in head[0]):
                raise InputError(f"{path}: the columns are not parted by {delimiter!r}; save it so, or as .tsv")
            if len(set(head)) != len(head):
                raise InputError(f"{path}: two columns have the same name; name each its own")
        elif cells:
            if len(cells) != len(head):
                raise InputError(f"{path}: line {start}: {len(cells)} cells under {len(head)} columns; mend the row")
            yield Row(f"{path}: line {start}", dict(zip(head, map(_shown, cells), strict=True)))
        start = reader.line_num + 1


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
        return (gzip.decompress(data) if path.suffix.lower() == ".gz" else data).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path}: bytes that are not UTF-8; save the file as UTF-8") from None
    except (EOFError, zlib.error):
        raise InputError(f"{path}: is not a whole gzip file; fetch it again") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or 'not a gzip file'}") from None


def _shown(cell: str) -> str:
    return cell[1:] if cell[:1] == "'" and cell[1:2] in _FORMULA else cell
