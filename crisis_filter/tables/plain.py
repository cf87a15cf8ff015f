"""Plain text: one message a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crisis_filter.tables.rows import Row, repaired_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crisis_filter.tables.lines import Line

TOO_LONG = "the line is too long to hold in memory"


def text_rows(lines: Iterator[Line]) -> Iterator[Row | None]:
    """Rows of a text file; `None` for a line with nothing on it."""
    for line in lines:
        if line.overlong:
            yield Row(line.number, reason=TOO_LONG)
            continue
        text, repaired = repaired_text(line.text.rstrip("\r\n"))
        yield Row(line.number, text, repaired=repaired or line.repaired) if text else None
