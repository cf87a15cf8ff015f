"""A table of an evaluation on a terminal, with nothing in it that acts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from crisis_filter.cli.show import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console


def text(words: str) -> Text:
    """A user's words without markup."""
    return Text(plain(words))


def print_table(
    console: Console, title: str, heads: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Sequence[int] = ()
) -> None:
    """A heading and a table, parted from what stands before."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold underline")
    for place, head in enumerate(heads):
        table.add_column(
            head, overflow="fold", justify="right" if place in numbers else "left", no_wrap=place in numbers
        )
    for row in rows:
        table.add_row(*map(text, row))
    console.print()
    console.print(Text(title, style="bold"))
    console.print(table)
