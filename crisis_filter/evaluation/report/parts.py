"""What a report is made of: sections, tables and figures, without a word on how they are written down."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table."""

    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    """Cells as text; a line feed begins a second line of the cell."""
    names: int = 1
    """How many columns, from the left, name the row; the others are figures."""
    figure: str = ""
    """The figure that it repeats in numbers, if any."""
    fold: str = ""
    """Of a long table: what to open it by on a page."""


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, what there is to say under it, and its tables."""

    id: str
    title: str
    paragraphs: tuple[str, ...] = ()
    sheets: tuple[Sheet, ...] = ()
    remarks: tuple[str, ...] = ()
    """A list of single remarks: what is missing and why, or a line for each system."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One drawing."""

    heading: str
    svg: str


@dataclass(frozen=True, slots=True)
class Key:
    """One line of a figure's key."""

    name: str
    variable: str
    shape: str
    dash: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Figure:
    """Drawings that say one thing; the tables under them are the sheets that name it."""

    id: str
    title: str
    caption: str
    panels: tuple[Panel, ...]
    keys: tuple[Key, ...] = ()
    wide: bool = False
    """Whether a panel takes the whole width."""
