"""What a reader of any format says of one row, and what a whole reading came to."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

SEVERAL = "several fields could hold the text"
_KINDS = {int: "a number", float: "a number", bool: "true or false", list: "an array", dict: "an object", str: "a text"}
# Escaped bytes that were no UTF-8 arrive as lone surrogates too (PEP 383), so one pattern finds both.
_SURROGATE = re.compile(r"[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of an input, before it is a message."""

    line: int
    """Line or row number, from 1; the first line of a record that spans several."""
    text: str | None = field(default=None, repr=False)
    """The text, or `None` when the row has none that can be read."""
    id: str | None = None
    """As given in the row, or `None` when it gives none."""
    repaired: bool = False
    """True when bytes or quoting had to be mended to read the text, or a part of it is no text and was left out."""
    reason: str = ""
    """Why there is no text, in fixed words of ours; empty when there is one."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Where a row without readable text stands, and why; never what it holds."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class ReadReport:
    """Counts of one reading so far. `rows` is the messages given out plus `duplicates_dropped`."""

    rows: int = 0
    blank: int = 0
    """Lines with nothing at all on them: no rows, and not counted as such."""
    repaired: int = 0
    unreadable: int = 0
    duplicates_dropped: int = 0
    """Rows with an id and a text that came before in this input."""
    duplicates_kept: int = 0
    """Rows with an id that came before, and another text, another input, or an id or text that had to be repaired."""
    first_unreadable: tuple[Unreadable, ...] = ()
    """The first few of them."""


def instead_of(value: object, wanted: str = "a text") -> str:
    """Why a JSON value is not what was wanted, in fixed words."""
    return f"{'null' if value is None else _KINDS[type(value)]} instead of {wanted}"


def repaired_text(text: str) -> tuple[str, bool]:
    """A text that can be stored and sent, and whether it had to be repaired.

    Lone surrogates, which stand for bytes that were no UTF-8 or come from a JSON escape, become U+FFFD. A NUL is told
    but stays: the normalised view of a text leaves controls out, so a word broken up by NULs is still read as a word.
    """
    # str.isascii is far faster than a search, and most messages are.
    if text.isascii():
        return text, "\0" in text
    mended = _SURROGATE.sub("\ufffd", text)
    return mended, mended != text or "\0" in text
