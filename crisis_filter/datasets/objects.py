"""The rows of a JSON, JSON Lines or Parquet file as objects, read strictly: reference labels are never guessed or repaired."""

from __future__ import annotations

import gzip
import io
import json
import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from crisis_filter.errors import ConfigurationError, InputError
from crisis_filter.tables.formats import PARQUET_MISSING
from crisis_filter.tables.lines import Lines
from crisis_filter.tables.rows import repaired_text

_KINDS = {
    type(None): "null",
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "a text",
    bytes: "binary",
    list: "an array",
    dict: "an object",
}
_LINES = (".jsonl", ".ndjson", ".json")


def kind_of(value: object) -> str:
    """What kind of value it is, in words; never the value."""
    return _KINDS.get(type(value), "another kind of value")


def named(path: Path) -> str:
    """The path as a text that can be stored: what is no UTF-8 in it becomes U+FFFD."""
    return repaired_text(str(path))[0]


@dataclass(frozen=True, slots=True)
class Entry:
    """One object of a file, and where it stands."""

    file: str
    """As errors name it; can be stored, whatever the system allows in names."""
    unit: str
    """`line` of a text file, `row` of an array or of Parquet."""
    number: int
    """From 1."""
    fields: Mapping[str, object] = field(repr=False)
    """NaN and infinity, which are no JSON, are `None`; a number too large for this machine, such as 1e999, is infinite."""

    @property
    def source(self) -> str:
        """Name of the file and number of the line or row."""
        return f"{Path(self.file).name}:{self.number}"

    def wrong(self, name: str, what: str, advice: str = "take the file as released") -> InputError:
        """The error for one field: file, line, field, and what to do; `what` is in words of ours."""
        return InputError(f"{self.file}: {self.unit} {self.number}: field {name!r} {what}; {advice}")

    def value(self, name: str) -> object:
        """A field that must be there, whatever it holds.

        Raises:
            InputError: when it is missing.
        """
        if name not in self.fields:
            raise self.wrong(name, "is missing")
        return self.fields[name]

    def text(self, name: str) -> str:
        """A field that holds a text; lone surrogates become U+FFFD.

        Raises:
            InputError: when it is missing or holds anything else.
        """
        value = self.value(name)
        if not isinstance(value, str):
            raise self.wrong(name, f"holds {kind_of(value)} instead of a text")
        return repaired_text(value)[0]

    def one_of(self, name: str, *known: str) -> str:
        """A field that holds one of these words.

        Raises:
            InputError: when it does not; names the words, never the value.
        """
        value = self.text(name)
        if value not in known:
            raise self.wrong(name, f"holds a text that is none of {', '.join(known)}")
        return value


def read_objects(path: Path) -> Iterator[Entry]:
    """The objects of one file, in order.

    Args:
        path: `.jsonl`, `.ndjson` or `.json` (an array, or one object a line), each also with `.gz`; or `.parquet`.

    Raises:
        InputError: no such file, another ending, a file that breaks off, bytes that are no UTF-8, JSON that does not
            parse, an object with a key twice; names file and line.
        ConfigurationError: Parquet without the `parquet` extra.
    """
    endings = [ending.lower() for ending in path.suffixes]
    if endings[-1:] == [".parquet"]:
        return _parquet(path)
    packed = endings[-1:] == [".gz"]
    ending = endings[-1 - packed :][:1]
    if not ending or ending[0] not in _LINES:
        raise InputError(f"{path}: name a file that ends in .jsonl, .json or .parquet (the first two also with .gz)")
    return _text(path, packed=packed, whole=ending[0] == ".json")


def read_lines(path: Path) -> Iterator[Entry]:
    """The objects of a JSON Lines file of our own form, whatever its name ends in; also with `.gz`.

    A byte-order mark and blank lines are taken. Unlike `read_objects` it has no gaps to fill: NaN, infinity, a number too large and
    half of a surrogate pair are refused.

    Raises:
        InputError: as `read_objects`.
    """
    return _text(path, packed=path.suffix.lower() == ".gz", whole=False, gaps=False)


def _text(path: Path, *, packed: bool, whole: bool, gaps: bool = True) -> Iterator[Entry]:
    trouble = ""
    try:
        with gzip.open(path, "rb") if packed else path.open("rb") as stream:
            read = _array_or_lines if whole else _lines
            yield from read(path, stream, gaps)  # type: ignore[arg-type]  # GzipFile reads bytes
    except (EOFError, zlib.error, gzip.BadGzipFile):
        trouble = "is not a whole gzip file; fetch it again"
    except FileNotFoundError:
        trouble = "cannot be read: there is no such file"
    except OSError as error:
        trouble = f"cannot be read: {error.strerror}"
    if trouble:
        raise InputError(f"{path}: {trouble}")


def _array_or_lines(path: Path, stream: BinaryIO, gaps: bool) -> Iterator[Entry]:
    data = stream.read()
    if not data.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"["):
        yield from _lines(path, io.BytesIO(data), gaps)
        return
    rows = _parsed(data, gaps)
    if not isinstance(rows, list):
        raise InputError(f"{path}: {rows}; fetch it again")
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise InputError(f"{path}: row {number} is {kind_of(row)} and no object; take the file as released")
        yield Entry(named(path), "row", number, row)


def _lines(path: Path, stream: BinaryIO, gaps: bool) -> Iterator[Entry]:
    for line in Lines(stream):
        place = f"{path}: line {line.number}"
        if line.overlong:
            raise InputError(f"{place} is too long to hold in memory; split the file by lines")
        # Bytes that were no UTF-8 stand in the line as lone surrogates.
        if line.repaired or repaired_text(line.text.replace("\0", ""))[1]:
            raise InputError(f"{place} has bytes that are not UTF-8; save the file as UTF-8")
        if not line.text.strip():
            continue
        row = _parsed(line.text, gaps)
        if not isinstance(row, dict):
            what = row if isinstance(row, str) else f"is {kind_of(row)} and no object"
            raise InputError(f"{place}: {what}; give one object a line")
        yield Entry(named(path), "line", line.number, row)


class _RepeatedKeyError(ValueError):
    pass


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _RepeatedKeyError
    return found


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError
    return number


def _parsed(data: bytes | str, gaps: bool) -> object:
    """The value, or a text that says why there is none. Nothing is raised, since the parser's own error holds the data."""
    constant, number = (lambda _: None, float) if gaps else (_finite, _finite)
    try:
        text = data.decode("utf-8-sig") if isinstance(data, bytes) else data
        value = json.loads(text, object_pairs_hook=_once, parse_constant=constant, parse_float=number)
        if not gaps and "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except _RepeatedKeyError:
        return "has an object with the same key twice"
    except UnicodeDecodeError:
        return "has bytes that are not UTF-8"
    except UnicodeEncodeError:
        return "has characters that are no text (half of a surrogate pair)"
    except (RecursionError, ValueError):
        return "is not valid JSON"
    return "is a text and no object" if isinstance(value, str) else value


def _parquet(path: Path) -> Iterator[Entry]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise ConfigurationError(PARQUET_MISSING) from None
    done, whole = 0, False
    try:
        with path.open("rb") as stream, pq.ParquetFile(stream) as file:
            columns = file.schema_arrow.names
            if len(set(columns)) != len(columns):
                raise InputError(f"{path}: has a column twice; rename or drop one of the two")
            for batch in file.iter_batches(batch_size=256):
                for row in batch.to_pylist():
                    done += 1
                    yield Entry(named(path), "row", done, {name: _number_or_none(value) for name, value in row.items()})
        whole = True
    except FileNotFoundError:
        raise InputError(f"{path}: cannot be read: there is no such file") from None
    except (pa.ArrowException, OSError, ValueError, OverflowError):  # the last two for dates that Python has not
        pass
    if not whole:
        after = f" after row {done}" if done else ""
        raise InputError(f"{path}: cannot be read as Parquet{after}; fetch it again")


def _number_or_none(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value
