"""The overall flag against each category in tables, apart from Stage 2."""

from __future__ import annotations

from crisis_filter.evaluation.category_records import Averages, Flagging, FlagRow
from crisis_filter.evaluation.records import Evaluation, SystemReport
from crisis_filter.evaluation.report.comparing import within_categories
from crisis_filter.evaluation.report.parts import Section, Sheet
from crisis_filter.evaluation.report.scoping import in_scope_words, scope_words
from crisis_filter.evaluation.report.stage_two import average
from crisis_filter.evaluation.report.words import (
    UNDEFINED,
    category_words,
    clean,
    counted,
    estimate,
    level,
    number,
    system_words,
)

TITLE = "Overall flag against each category"
WHAT = (
    "One flag, crisis or not, taken for the answer in every category, as Table 3 of the VBHSF paper counts the systems that it compares with: "
    "so a system that names no categories, or others than ours, can be held against the messages of each. These are no figures of Stage 2: "
    "in FP, specificity, PPV and F1 a crisis of another category counts as a false alarm, however rightly it was flagged."
)
_READ = (
    "Sensitivity is the share of a category's messages that were taken for a crisis, of whatever kind. The second number under FP says how many of "
    "the false positives are crises of another category, flagged or undetermined. A system that finds every crisis has a low specificity here, so it ranks no systems."
)


def flagged(evaluation: Evaluation) -> list[tuple[int, SystemReport, Flagging]]:
    """Systems whose flag was held against categories, and their places."""
    return [(place, each, each.flagging) for place, each in enumerate(evaluation.systems) if each.flagging is not None]


def flagging(evaluation: Evaluation) -> Section:
    """The overall flag."""
    found = flagged(evaluation)
    if not found:
        return Section("flagging", TITLE, remarks=("The labels do not say the categories of every crisis.",))
    return Section(
        "flagging",
        TITLE,
        paragraphs=(WHAT, _READ, *scope_words(evaluation)),
        sheets=(_rows(evaluation, found), _averages(evaluation, found), *within_categories(evaluation, "flag")),
    )


def _rows(evaluation: Evaluation, found: list[tuple[int, SystemReport, Flagging]]) -> Sheet:
    heads = ("category", "system", "TP", "FN", "FP", "TN", "sensitivity", "specificity", "PPV", "F1")
    rows = tuple(
        (category_words(row.category), system_words(each.system.name, each.system.scope, row.category), *_cells(row))
        for place in range(max(len(one.rows) for _, _, one in found))
        for _, each, one in found
        for row in one.rows[place : place + 1]
    )
    unsettled = "TP" if evaluation.settings.failures == "flagged" else "FN"
    caption = (
        f"{TITLE}, over {evaluation.gold.messages:,} messages, with {level(evaluation.settings.level)} intervals. TP and FN: carry the category, "
        f"flagged or not; FP and TN: do not carry it, flagged or not; an undetermined message is in {unsettled} or in FP, and in the crises under FP "
        "where it is a crisis of another category"
    )
    return Sheet(caption, heads, rows, names=2, figure="by-flag")


def _cells(row: FlagRow) -> tuple[str, ...]:
    of = row.measures
    counts = (
        f"{row.tp:,}",
        f"{row.fn:,}",
        f"{row.fp:,}\n{counted(row.other_crises, 'crisis', 'crises')}",
        f"{row.tn:,}",
    )
    # The counts stand beside them already, so that the table is no wider than a page.
    rates = (estimate(one).replace(" (", "\n(") for one in (of.sensitivity, of.specificity, of.ppv))
    return (*counts, *rates, number(of.f1))


def _averages(evaluation: Evaluation, found: list[tuple[int, SystemReport, Flagging]]) -> Sheet:
    rows = []
    for _, each, one in found:
        ways: list[tuple[str, Averages | None]] = [(f"all {len(one.rows)} categories", one.averages)]
        if one.in_scope is not None:
            ways.append((in_scope_words(one.in_scope, len(one.rows)), one.in_scope.flat))
        for over, of in ways:
            means = (of.macro_sensitivity, of.macro_ppv, of.macro_f1) if of is not None else ()
            cells = tuple(map(average, means)) or (UNDEFINED,) * 3
            rows.append((clean(each.system.name), over, *cells))
    caption = (
        f"Macro averages of the overall flag over categories, with {level(evaluation.settings.level)} bootstrap intervals; not to be put beside those "
        "of Stage 2"
    )
    return Sheet(caption, ("system", "over", "sensitivity", "PPV", "F1"), tuple(rows), names=2)
