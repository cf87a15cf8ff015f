"""Assessments as a table for people; never by colour alone, and safe for any terminal."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from crisis_filter.cli.wording import ASCII_SYMBOLS, OUTCOMES, STYLES, SYMBOLS, counted

if TYPE_CHECKING:
    from crisis_filter.schema import Assessment, Finding, Outcome

BEGINNING = 200
"""Code points of a text that a table keeps."""
_ROWS = 200
_ALARMS = 1000
_WIDE = 110
_LEAST_TEXT = 16
# Escape sequences and direction overrides in a message must not act on the reader's terminal.
_ACTIVE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_SPACE = re.compile(r"\s+")


class _PipeConsole(Console):
    """A console that lets a closed pipe be told like any other, where Rich ends the program with 1."""

    def on_broken_pipe(self) -> None:
        """Raise again what Rich has caught."""
        raise BrokenPipeError from None


def stdout_console() -> Console:
    """A console on the standard output that shows `?` for what the terminal cannot encode."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")
    return _PipeConsole(file=sys.stdout, highlight=False, markup=False, emoji=False)


def plain(text: str) -> str:
    """A text without characters that act on a terminal; each becomes U+FFFD. Tabs and line feeds stay."""
    return _ACTIVE.sub("\ufffd", text.replace("\r\n", "\n"))


def outcome_text(outcome: Outcome, console: Console) -> Text:
    """Symbol and word."""
    symbols = SYMBOLS if console.encoding.lower().startswith("utf") else ASCII_SYMBOLS
    return Text(f"{symbols[outcome]} {OUTCOMES[outcome]}", style=STYLES[outcome])


def category_words(finding: Finding) -> str:
    """`self harm (severe)`."""
    name = plain(finding.category).replace("_", " ")
    return f"{name} ({finding.severity})" if finding.severity else name


class AssessmentTable:
    """Rows for people: the first ones of any outcome, and after those only crises and undetermined ones.

    Args:
        console: where it will be shown; its width decides whether there is room for the text.
        show_text: whether there is a column with the beginning of the text.
    """

    def __init__(self, console: Console, *, show_text: bool) -> None:
        self._console = console
        self._rows: list[tuple[Assessment, str]] = []
        self._show_text = show_text
        self._left_out: dict[Outcome, int] = {}

    def add(self, assessment: Assessment, text: str) -> None:
        """Take a row, or count it where there is no room for it."""
        alarm = assessment.outcome in ("crisis", "undetermined")
        if len(self._rows) < (_ALARMS if alarm else _ROWS):
            self._rows.append((assessment, text[:BEGINNING] if self._show_text else ""))
        else:
            self._left_out[assessment.outcome] = self._left_out.get(assessment.outcome, 0) + 1

    def show(self) -> None:
        """Print the table, and what it leaves out."""
        if self._rows:
            self._console.print(self._table())
        if self._left_out:
            parts = ", ".join(f"{n:,} {OUTCOMES[o]}" for o, n in self._left_out.items())
            total = counted(sum(self._left_out.values()), "more message")
            self._console.print(f"{total} not shown ({parts}): use --json or --output FILE for all")

    def _table(self) -> Table:
        wide = self._console.width >= _WIDE
        rows = [self._cells(assessment, wide=wide) for assessment, _ in self._rows]
        widths = [
            min(most, max(len(line) for row in rows for line in (name, *row[at].plain.split("\n"))))
            for at, (name, most) in enumerate(_columns(wide=wide))
        ]
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold underline")
        for (name, _), width in zip(_columns(wide=wide), widths, strict=True):
            table.add_column(name, width=width, overflow="fold", justify="right" if name == "score" else "left")
        room = self._console.width - sum(widths) - 2 * len(widths)
        if self._show_text and room >= _LEAST_TEXT:
            table.add_column("text", width=room, overflow="fold")
            for row, (_, text) in zip(rows, self._rows, strict=True):
                words = _SPACE.sub(" ", plain(text)).strip()
                most = room if wide else 2 * room
                row.append(Text(words if len(words) <= most else words[: most - 3] + "..."))
        for row in rows:
            table.add_row(*row)
        return table

    def _cells(self, assessment: Assessment, *, wide: bool) -> list[Text]:
        told = assessment.disposition
        queue = f"{told.queue}, {told.urgency}" if told else ""
        what = _what(assessment)
        return [
            Text(_SPACE.sub(" ", plain(assessment.id))),
            outcome_text(assessment.outcome, self._console),
            Text("" if assessment.score is None else f"{assessment.score:.2f}"),
            *([Text(what), Text(queue)] if wide else [Text("\n".join(filter(None, (what, queue))))]),
        ]


def _columns(*, wide: bool) -> tuple[tuple[str, int], ...]:
    """Names of the columns before the text, and the most each may take."""
    first = (("id", 24), ("outcome", 16), ("score", 5))
    return (*first, ("categories", 36), ("queue", 26)) if wide else (*first, ("categories, queue", 26))


def _what(assessment: Assessment) -> str:
    parts = [category_words(f) for f in assessment.findings]
    if assessment.fault is not None:
        parts.append(f"fault: {assessment.fault.value.replace('_', ' ')}")
    return ", ".join(parts)
