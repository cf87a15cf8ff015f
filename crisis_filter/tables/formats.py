"""Which format a file has, and which of its columns hold what."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import TYPE_CHECKING, Literal, get_args

from crisis_filter.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

Format = Literal["text", "csv", "tsv", "jsonl", "openai-batch", "parquet", "arrow"]
FORMATS: tuple[Format, ...] = get_args(Format)
ENDINGS: dict[str, Format] = {
    ".txt": "text",
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".arrows": "arrow",
    ".feather": "arrow",
}
TEXT_COLUMNS = ("text", "message", "body", "content")
ID_COLUMNS = ("id", "message_id", "custom_id")
PARQUET_MISSING = 'Parquet needs an extra package: pip install "crisis-filter[parquet]"'
COLUMNS_MISSING = 'Parquet and Arrow need an extra package: pip install "crisis-filter[parquet]"'

_NAMES_SHOWN = 20
# Names that a header line has and a first message has not; one of them vouches for the names beside it.
_USUAL = frozenset({
    *TEXT_COLUMNS, *ID_COLUMNS,
    "author", "category", "channel", "comment", "comments", "created_at", "date", "datetime", "description",
    "email", "label", "lang", "language", "locale", "msg", "note", "notes", "phone",
    "post", "score", "sender", "source", "status", "subject", "time", "timestamp", "title",
    "type", "url", "user", "user_id", "username",
})  # fmt: skip
# A table without a header has a message where a name should be, and messages do not go into errors.
_NAME = re.compile(r"[^\W\d][\w.\-]{0,39}")


def format_of(path: str, given: str | None = None) -> Format:
    """The format given, else the one that the ending of the file says.

    Args:
        path: the path, or `-` for the standard input, which is `text` unless a format is given.
        given: one of `FORMATS`, or `None` to go by the ending.

    Raises:
        InputError: when the format is unknown, or none is given and the ending says nothing.
    """
    known = ", ".join(FORMATS)
    if given is not None:
        if given not in FORMATS:
            raise InputError(f"unknown format {given!r}: use one of {known}")
        return given
    if path == "-":
        return "text"
    ending = PurePath(path).suffix.lower()
    if ending not in ENDINGS:
        raise InputError(f"{path}: the ending does not say what is in the file: add --format with one of {known}")
    return ENDINGS[ending]


def listed(names: Sequence[str]) -> str:
    """Column names for an error message: none unless one is usual, and one that looks like no name as its place only."""
    if names and not any(name.strip().casefold() in _USUAL for name in names):
        count = "1, not shown: its name" if len(names) == 1 else f"{len(names)}, not shown: their names"
        return f"{count} could be a message, if there is no header"
    shown = [
        name if _NAME.fullmatch(name.strip()) else f"(column {place}, not shown: it does not look like a name)"
        for place, name in enumerate(names[:_NAMES_SHOWN], start=1)
    ]
    more = len(names) - _NAMES_SHOWN
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "") if shown else "none"


def text_candidates(names: Sequence[str], given: str | None) -> list[str]:
    """The columns that could hold the messages: the one given, exactly or but for its case, else any of `TEXT_COLUMNS`."""
    if given is None:
        return _matching(names, TEXT_COLUMNS)
    return [given] if given in names else _matching(names, (given,))


def text_column(names: Sequence[str], given: str | None, source: str) -> str:
    """The column that holds the messages: the one given, else the only one of `TEXT_COLUMNS`, whatever its case.

    Raises:
        InputError: when there is no such column, or several; names the columns there are.
    """
    found = text_candidates(names, given)
    if len(found) == 1 and names.count(found[0]) == 1:
        return found[0]
    if given is not None:
        what = f"column {given!r} is there more than once" if found else f"there is no column {given!r}"
    else:
        none = f"no column is called {' or '.join(TEXT_COLUMNS)}"
        what = "several columns could hold the messages" if found else none
    raise InputError(f"{source}: {what}. Columns: {listed(names)}. Choose one with --text-column")


def id_column(names: Sequence[str], given: str | None, source: str) -> str | None:
    """The column that holds the ids: the one given, else the first of `ID_COLUMNS` there is, else `None`.

    Raises:
        InputError: when the column given is not there, or there more than once; names the columns there are.
    """
    if given is not None:
        found = [given] if given in names else _matching(names, (given,))
        if len(found) == 1 and names.count(found[0]) == 1:
            return found[0]
        what = f"column {given!r} is there more than once" if found else f"there is no column {given!r}"
        raise InputError(f"{source}: {what}. Columns: {listed(names)}. Choose one with --id-column")
    for wanted in ID_COLUMNS:
        found = _matching(names, (wanted,))
        if len(found) == 1:
            return found[0]
    return None


def _matching(names: Sequence[str], wanted: Sequence[str]) -> list[str]:
    folded = {name.strip().casefold() for name in wanted}
    return [name for name in names if name.strip().casefold() in folded]
