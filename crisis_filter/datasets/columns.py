"""Anybody's labelled messages: CSV, TSV, JSON Lines or Parquet, by a map from columns to what they mean."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from crisis_filter.datasets.gold import Gold, unique
from crisis_filter.datasets.objects import Entry, kind_of, named, read_objects
from crisis_filter.errors import InputError
from crisis_filter.schema import Record
from crisis_filter.tables.delimited import delimited_rows
from crisis_filter.tables.lines import Lines
from crisis_filter.tables.rows import Row, repaired_text

# Free text in place of a category shows that the wrong column was named, and must not go on as a label.
_ID = re.compile(r"[a-z][a-z0-9_]{0,63}")
_DELIMITERS = {".csv": ",", ".tsv": "\t"}
# The reader of messages speaks to people at a command line.
_ADVICE = (
    ("Choose one with --text-column", "Name them in the column map"),
    ("add --format tsv", "give it the ending .tsv"),
    (", or add --format text", ""),
    (" If the first line is a message and no header, add --format text", ""),
)


class Columns(Record):
    """What the columns of a file hold, and which values of the label mean what."""

    text: str
    label: str
    crisis: frozenset[str] = Field(min_length=1)
    """Values that mean crisis, compared without case and outer spaces; JSON's `true` is "true", its 1 and 1.0 are "1"."""
    not_crisis: frozenset[str] = Field(min_length=1)
    """Values that mean not crisis. Nothing means it by being absent."""
    id: str | None = None
    """`None` takes `STEM:LINE`."""
    categories: str | None = None
    """Several categories in one value are parted by `separator`; in JSON they may be an array."""
    separator: str = Field(default=",", min_length=1)
    category_ids: dict[str, str] | None = None
    """Each category as the file names it, and its id in our taxonomy; `None` when the file has the ids themselves."""
    conversation: str | None = None
    """Rows with the same value are the user's turns of one conversation, in file order."""

    @model_validator(mode="after")
    def _values_differ(self) -> Self:
        if _folded(self.crisis) & _folded(self.not_crisis):
            raise ValueError("a value means crisis or not crisis, never both")
        return self

    @property
    def named(self) -> tuple[str, ...]:
        """The columns to read, the text first."""
        given = (self.text, self.label, self.id, self.categories, self.conversation)
        return tuple(dict.fromkeys(name for name in given if name is not None))


def load_columns(path: Path, columns: Columns) -> tuple[Gold, ...]:
    """The labelled messages of one file; nothing is left out, and nothing is taken for "not crisis" by default.

    Args:
        path: the file; its ending says what is in it (`.csv`, `.tsv`, or one that `objects.read_objects` knows).
        columns: what its columns mean.

    Returns:
        The messages in file order. `categories` is `None` for a crisis without any, `context` the earlier turns of the
        same conversation.

    Raises:
        InputError: no such file or column; a text, label or category that is missing or of another kind; a label that is
            in neither list; categories beside "not crisis"; a row whose bytes or quoting are in doubt; an id twice; no
            rows. Names file, line, field and the kind of value, never the value.
        ConfigurationError: Parquet without the `parquet` extra.
    """
    delimiter = _DELIMITERS.get(path.suffix.lower())
    entries = read_objects(path) if delimiter is None else _delimited(path, columns, delimiter)
    return unique(_golds(entries, columns), str(path))


def _delimited(path: Path, columns: Columns, delimiter: str) -> Iterator[Entry]:
    """The wanted fields of each record, by one pass of the reader of messages for each column.

    That reader tells which rows a stray quote may have hidden or made up. For messages it gives them all; a label beside
    such a row would be a guess, so here it is an error.
    """
    try:
        passes = [list(_column(path, name, delimiter)) for name in columns.named]
    except InputError as error:
        trouble = str(error)
        for said, ours in _ADVICE:
            trouble = trouble.replace(said, ours)
    except OSError as error:
        trouble = f"{path}: cannot be read: {error.strerror}"
    else:
        for cells in zip(*passes, strict=True):
            yield _record(path, columns, cells)
        return
    raise InputError(trouble)


def _column(path: Path, name: str, delimiter: str) -> Iterator[Row]:
    with path.open("rb") as stream:
        rows = delimited_rows(iter(Lines(stream)), delimiter=delimiter, text_name=name, id_name=None, source=str(path))
        yield from (row for row in rows if row is not None)


def _record(path: Path, columns: Columns, cells: tuple[Row, ...]) -> Entry:
    entry = Entry(
        named(path), "line", cells[0].line, {name: cell.text for name, cell in zip(columns.named, cells, strict=True)}
    )
    for name, cell in zip(columns.named, cells, strict=True):
        if cell.reason:
            raise entry.wrong(name, f"cannot be read ({cell.reason})", "mend the row")
        if cell.repaired:
            raise entry.wrong(name, "has bytes or quotes that leave it in doubt", "mend the row, or give JSON Lines")
    return entry


def _golds(entries: Iterator[Entry], columns: Columns) -> Iterator[Gold]:
    meanings = dict.fromkeys(_folded(columns.crisis), True) | dict.fromkeys(_folded(columns.not_crisis), False)
    said: dict[str, list[str]] = {}
    for entry in entries:
        value = _label(entry, columns.label)
        if value not in meanings:
            what = "nothing" if not value else f"{kind_of(entry.fields[columns.label])} that the map does not know"
            raise entry.wrong(columns.label, f"holds {what}", "put every value into crisis or not_crisis")
        text = _text(entry, columns.text)
        conversation = _name(entry, columns.conversation) if columns.conversation is not None else None
        before = said.setdefault(conversation, []) if conversation is not None else []
        yield Gold(
            id=(_name(entry, columns.id) if columns.id is not None else None) or _made_id(entry),
            text=text,
            crisis=meanings[value],
            categories=_categories(entry, columns, meanings[value]),
            conversation=conversation,
            turn=None if conversation is None else len(before) + 1,
            context=tuple(before),
            speakers=("user",) * len(before),
            source=entry.source,
            labels=_labels(entry, columns, value),
        )
        before.append(text)


def _made_id(entry: Entry) -> str:
    return f"{Path(entry.file).stem}:{entry.number}"


def _folded(values: frozenset[str]) -> set[str]:
    return {value.strip().casefold() for value in values}


def _label(entry: Entry, name: str) -> str:
    value = entry.value(name)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and not math.isfinite(value):
        raise entry.wrong(name, "holds a number that is too large", "mend the row")
    if isinstance(value, int | float):
        return str(int(value)) if value == int(value) else str(value)
    if value is None:
        return ""
    return entry.text(name).strip().casefold()


def _text(entry: Entry, name: str) -> str:
    value = entry.value(name)
    if isinstance(value, str) and repaired_text(value)[1]:
        raise entry.wrong(name, "has characters that are no text (a lone surrogate or NUL)", "mend the row")
    return entry.text(name)


def _name(entry: Entry, name: str) -> str | None:
    """An id: a text or a whole number; `None` where the cell is empty."""
    value = entry.value(name)
    if value is None or value == "":
        return None
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else entry.text(name)


def _categories(entry: Entry, columns: Columns, crisis: bool) -> tuple[str, ...] | None:
    given = _given(entry, columns)
    ids = [columns.category_ids.get(name, "") if columns.category_ids is not None else name for name in given]
    if not all(_ID.fullmatch(category) for category in ids):
        what = "is not in category_ids" if columns.category_ids is not None else "is no category id"
        raise entry.wrong(str(columns.categories), f"holds a text that {what}", "map every category to an id")
    if ids and not crisis:
        raise entry.wrong(str(columns.categories), "names a category beside a label of not crisis", "mend the row")
    return tuple(dict.fromkeys(ids)) or (None if crisis else ())


def _given(entry: Entry, columns: Columns) -> list[str]:
    if columns.categories is None:
        return []
    value = entry.value(columns.categories)
    if value is None:
        return []
    if isinstance(value, list):
        if not all(isinstance(name, str) for name in value):
            raise entry.wrong(columns.categories, "holds an array of other things than texts", "give an array of texts")
        return [name.strip() for name in value]
    return [name.strip() for name in entry.text(columns.categories).split(columns.separator) if name.strip()]


def _labels(entry: Entry, columns: Columns, label: str) -> dict[str, str | int | float | bool | None]:
    value = entry.fields[columns.label]
    kept = value if isinstance(value, str | int | float | bool) else label
    labels: dict[str, str | int | float | bool | None] = {columns.label: kept}
    if columns.categories is not None:
        labels[columns.categories] = columns.separator.join(_given(entry, columns))
    return labels
