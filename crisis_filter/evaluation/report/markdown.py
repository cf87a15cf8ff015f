"""The report as Markdown: every table, no figure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape

from crisis_filter.evaluation.records import Evaluation
from crisis_filter.evaluation.report.about import labels, labels_again
from crisis_filter.evaluation.report.outline import TITLE, WITHOUT_LABELS, sections
from crisis_filter.evaluation.report.parts import Section, Sheet
from crisis_filter.evaluation.report.summary import NO_PROOF, summary
from crisis_filter.evaluation.report.words import clean

_MARKUP = re.compile(r"([\\`*_\[\]|~#@])")
# A bare address would become a link.
_ADDRESS = re.compile(r":(?=//)|(?<=www)\.", re.IGNORECASE)
# What begins a list or a heading where it stands first on a line.
_FIRST = re.compile(r"^(\d*)(?=[-+=.)])")


def markdown(evaluation: Evaluation) -> str:
    """The report in GitHub-flavoured Markdown: headings, sentences and tables with counts before rates; ids and texts are left out.

    Names in it are the user's, so every character that Markdown or HTML would act on is escaped.
    """
    return "\n".join(_lines(evaluation)) + "\n"


def _lines(evaluation: Evaluation) -> Iterator[str]:
    yield f"# {TITLE}"
    yield ""
    yield _line(labels(evaluation))
    yield ""
    yield "**In short:**"
    yield ""
    for name, words in summary(evaluation):
        yield f"- {_line(f'{name}. {words}')}"
    yield ""
    yield _line(f"{NO_PROOF} Words such as sensitivity are told in the last section.")
    if evaluation.warnings:
        yield ""
        yield "**Before believing a figure:**"
        yield ""
        for warning in evaluation.warnings:
            yield f"- {_line(clean(warning))}"
    for section in sections(evaluation):
        yield from _section(section, labels_again(evaluation))


def _section(section: Section, source: str) -> Iterator[str]:
    yield ""
    yield f"## {section.title}"
    for paragraph in section.paragraphs:
        yield ""
        yield _line(paragraph)
    if section.remarks:
        yield ""
    for remark in section.remarks:
        yield f"- {_line(remark)}"
    for sheet in section.sheets:
        yield from _table(sheet)
    if section.sheets and section.id not in WITHOUT_LABELS:
        yield ""
        yield _line(source)


def _table(sheet: Sheet) -> Iterator[str]:
    yield ""
    yield f"{_line(sheet.caption.rstrip('.'))}:"
    yield ""
    yield _row(sheet.heads)
    yield _row(("---",) * sheet.names + ("---:",) * (len(sheet.heads) - sheet.names), raw=True)
    for row in sheet.rows:
        yield _row(row)


def _row(cells: tuple[str, ...], *, raw: bool = False) -> str:
    made = ["<br>".join(map(_escaped, cell.split("\n"))) if not raw else cell for cell in cells]
    return f"| {' | '.join(made)} |"


def _escaped(text: str) -> str:
    return _ADDRESS.sub(r"\\\g<0>", _MARKUP.sub(r"\\\1", escape(text, quote=False)))


def _line(text: str) -> str:
    return _FIRST.sub(r"\1\\", _escaped(text))
