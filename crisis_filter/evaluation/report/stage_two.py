"""Stage 2 in tables: each category, averages, and which categories are taken for which."""

from __future__ import annotations

from collections.abc import Iterator

from crisis_filter.evaluation.category_records import Average, Averages, Categorising, Cell
from crisis_filter.evaluation.records import Evaluation, SystemReport
from crisis_filter.evaluation.report.comparing import within_categories
from crisis_filter.evaluation.report.parts import Section, Sheet
from crisis_filter.evaluation.report.scoping import in_scope_words, scope_words
from crisis_filter.evaluation.report.words import (
    UNDEFINED,
    between,
    category_words,
    clean,
    counted,
    level,
    number,
    rate,
    spanned,
    system_words,
)

ALL_ERRORS = "all errors"
_UNSETTLED = (
    "An undetermined message names no category: it is missed in those that it carries, and a true negative in those that it does not. "
    "“Undetermined” under a specificity says how many of its true negatives are that, so that an outage of everything has a specificity of 1"
)


def categorised(evaluation: Evaluation) -> list[tuple[int, SystemReport, Categorising]]:
    """Systems with Stage 2, and their places."""
    return [
        (place, each, each.categorising)
        for place, each in enumerate(evaluation.systems)
        if each.categorising is not None
    ]


def categorising(evaluation: Evaluation) -> Section:
    """Which categories."""
    found = categorised(evaluation)
    without = tuple(
        f"{clean(each.system.name)}: no Stage 2, because {clean(each.no_categories or 'it was not evaluated')}."
        for each in evaluation.systems
        if each.categorising is None
    )
    title = "Stage 2: which categories"
    if not found:
        return Section("categorising", title, remarks=without or ("Stage 2 was not evaluated.",))
    return Section(
        "categorising",
        title,
        paragraphs=(
            "Flat figures count all messages end to end, so a crisis that Stage 1 misses is missed in its categories too; they are the headline. "
            "Hierarchical figures count only the messages that a system took for a crisis, so they are over different messages for each system.",
            *scope_words(evaluation),
        ),
        remarks=without,
        sheets=(
            _rows(evaluation, found, hierarchical=False),
            _averages(evaluation, found),
            _whole(found),
            _rows(evaluation, found, hierarchical=True),
            *within_categories(evaluation, "named"),
            *(_matrix(each, one) for _, each, one in found if one.matrix),
        ),
    )


def axes(cells: tuple[Cell, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Rows and columns of a matrix, in the order of its cells."""
    return tuple(dict.fromkeys(cell.truth for cell in cells)), tuple(dict.fromkeys(cell.said for cell in cells))


def matrix_caption(report: SystemReport) -> str:
    """What stands in a cell."""
    return (
        f"{clean(report.system.name)}: of the messages that it took for a crisis. On the diagonal: messages that carry the category and were "
        "said to have it (hits). Beside it: messages that carry the row's category, not the column's, and were said to have the column's. Last "
        "column: every error of the row's category, carried and not said or said and not carried; it is no sum of its row."
    )


def hits(one: Categorising) -> dict[str, int]:
    """Of each category: messages taken for a crisis that carry it and were said to have it."""
    return {row.category: row.hierarchical.sensitivity.count for row in one.rows}


def _rows(evaluation: Evaluation, found: list[tuple[int, SystemReport, Categorising]], *, hierarchical: bool) -> Sheet:
    heads = ("category", "system", "messages", "sensitivity", "specificity", "PPV", "F1")
    rows = []
    for place in range(max(len(one.rows) for _, _, one in found)):
        for _, each, one in found:
            if place < len(one.rows):
                row = one.rows[place]
                of = row.hierarchical if hierarchical else row.flat
                labelled = of.sensitivity.nobs if hierarchical else row.labelled
                unsettled = f"\n{row.undetermined:,} undetermined" if row.undetermined and not hierarchical else ""
                other = f"{rate(of.specificity)}{unsettled}"
                measures = (rate(of.sensitivity), other, rate(of.ppv), number(of.f1))
                who = system_words(each.system.name, each.system.scope, row.category)
                rows.append((category_words(row.category), who, f"{labelled:,}", *measures))
    around = f"{level(evaluation.settings.level)} intervals"
    if hierarchical:
        return Sheet(f"Each category, hierarchical, with {around}", heads, tuple(rows), names=2, figure="by-category")
    return Sheet(f"Each category, flat, with {around}. {_UNSETTLED}", heads, tuple(rows), names=2, figure="by-category")


def _averages(evaluation: Evaluation, found: list[tuple[int, SystemReport, Categorising]]) -> Sheet:
    heads = ("system", "counted", "average", "sensitivity", "PPV", "F1")
    rows = [
        (clean(each.system.name), way, *cells)
        for _, each, one in found
        for way, of in _counted(one)
        for cells in average_cells(of)
    ]
    caption = (
        f"Averages over categories, with {level(evaluation.settings.level)} bootstrap intervals. “Spread” is the interval by Student's t over the "
        "categories' own figures, as published for the VBHSF: how categories differ, not sampling error"
    )
    return Sheet(caption, heads, tuple(rows), names=3)


def _counted(one: Categorising) -> Iterator[tuple[str, Averages | None]]:
    """Each way of counting in words, and its averages: over all categories, then over those in scope."""
    inner = one.in_scope
    for name, of, within, messages in (
        ("flat", one.flat, inner.flat if inner else None, one.exact_flat.nobs),
        ("hierarchical", one.hierarchical, inner.hierarchical if inner else None, one.exact.nobs),
    ):
        over = counted(messages, "message")
        yield f"{name}\n{over}", of
        if inner is not None:
            yield f"{name}\n{in_scope_words(inner, len(one.rows))}\n{over}", within


def average_cells(of: Averages | None) -> tuple[tuple[str, ...], ...]:
    """A macro line and a micro line; without averages one line that says so."""
    if of is None:
        return (("macro", *[UNDEFINED] * 3),)
    return (
        ("macro", average(of.macro_sensitivity), average(of.macro_ppv), average(of.macro_f1)),
        ("micro", rate(of.micro_sensitivity), rate(of.micro_ppv), average(of.micro_f1)),
    )


def average(of: Average) -> str:
    """An average with both its intervals."""
    text = spanned(of.estimate, of.bootstrap)
    return text if of.across is None else f"{text}\nspread {between(of.across)}"


def _whole(found: list[tuple[int, SystemReport, Categorising]]) -> Sheet:
    heads = (
        "system",
        "taken for crisis",
        "of these without a named category",
        "all categories right, of those taken for crisis",
        "all categories right, of all messages",
        "Hamming loss",
    )
    rows = tuple(
        (
            clean(each.system.name),
            f"{one.flagged:,}",
            f"{one.unspecified:,}",
            rate(one.exact),
            rate(one.exact_flat),
            number(one.hamming),
        )
        for _, each, one in found
    )
    return Sheet("Whole answers. Hamming loss: wrong labels of all labels, of messages taken for a crisis", heads, rows)


def _matrix(report: SystemReport, one: Categorising) -> Sheet:
    truths, saids = axes(one.matrix)
    counts = {(cell.truth, cell.said): cell.messages for cell in one.matrix}
    # The records have all errors of a category on the diagonal; they come last here.
    errors = {truth: counts.pop((truth, truth), None) for truth in truths}
    counts |= {(truth, truth): count for truth, count in hits(one).items()}
    rows = tuple(
        (category_words(truth), *(_count(counts.get((truth, said))) for said in saids), _count(errors[truth]))
        for truth in truths
    )
    heads = ("carries \\ said", *map(category_words, saids), ALL_ERRORS)
    return Sheet(matrix_caption(report), heads, rows, figure="matrix")


def _count(messages: int | None) -> str:
    return "-" if messages is None else f"{messages:,}"
