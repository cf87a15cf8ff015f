"""An evaluation on a terminal: counts first, then rates with their intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crisis_filter.cli.evaluate_flags import marked_category, show_flags
from crisis_filter.cli.evaluate_table import print_table, text
from crisis_filter.cli.show import plain
from crisis_filter.evaluation.records import Scores
from crisis_filter.evaluation.report.comparing import versus
from crisis_filter.evaluation.report.scoping import scope_words
from crisis_filter.evaluation.report.stage_one import by_outcome
from crisis_filter.evaluation.report.summary import unanswered
from crisis_filter.evaluation.report.words import (
    NO_INTERVAL,
    UNDEFINED,
    between,
    clean,
    counted,
    estimate,
    level,
    number,
    p_value,
    ratio,
    signed,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from crisis_filter.evaluation.category_records import Averages, Categorising, CategoryRow, Scope
    from crisis_filter.evaluation.records import Evaluation, SystemReport
    from crisis_filter.stats.intervals import Interval
    from crisis_filter.stats.resampling import Span

_WIDE = 124
_MOST_ROWS = 32
_MOST_PAIRS = 12
_FLAT = "Stage 2, flat: all messages count, end to end"
_RATES = ("sensitivity", "PPV", "F1")


def show(evaluation: Evaluation, console: Console) -> None:
    """Print the evaluation: warnings, Stage 1, what scores tell, Stage 2, pairs. A report file has the rest.

    Args:
        evaluation: what to show.
        console: where to; on a narrow one an interval stands under its estimate.
    """
    gold, wide = evaluation.gold, console.width >= _WIDE
    console.print(
        text(
            f"{counted(gold.messages, 'message')}, {gold.crises:,} of them {'a crisis' if gold.crises == 1 else 'crises'}. Labels of {gold.name}: {gold.labelled_by}"
        )
    )
    for left in evaluation.left_out:
        console.print(text(unanswered(left)))
    for warning in evaluation.warnings:
        console.print(text(f"warning: {warning}"))
    failures = "as wrong" if evaluation.settings.failures == "wrong" else "as a crisis, since it reaches a person"
    print_table(
        console,
        f"Stage 1, {level(evaluation.settings.level)} intervals; undetermined counts {failures}",
        ("system", "messages", "crisis", "undetermined", "not crisis", "rate"),
        [row for each in evaluation.systems for row in _stage_one(each, wide=wide)],
        numbers=(2, 3, 4),
    )
    _scores(evaluation, console, wide=wide)
    _stage_two(evaluation, console, wide=wide)
    show_flags(evaluation, console)
    _pairs(evaluation, console, wide=wide)


def _stage_one(report: SystemReport, *, wide: bool) -> Iterator[tuple[str, ...]]:
    """A row for the crises and a row for the others."""
    one = report.screening
    sides = (
        (("crisis", "crises"), one.crises, "sensitivity", one.measures.sensitivity),
        (("other", "others"), one.others, "specificity", one.measures.specificity),
    )
    for name, (what, side, rate, of) in zip((clean(report.system.name), ""), sides, strict=True):
        cells = (f"{n:,}" for n in by_outcome(side))
        yield (name, counted(sum(side.values()), *what), *cells, f"{rate} {_around(of, wide=wide)}")


def _around(of: Interval, *, wide: bool) -> str:
    if of.estimate is None or wide:
        return estimate(of)
    return f"{of.estimate:.3f}\n({between(of)})"


def _span(value: float | None, span: Span | None, *, wide: bool) -> str:
    if value is None:
        return UNDEFINED
    return f"{value:.3f}{' ' if wide else chr(10)}({NO_INTERVAL if span is None else between(span)})"


def _scores(evaluation: Evaluation, console: Console, *, wide: bool) -> None:
    """Ranking, and why a system has none."""
    rows = []
    targets: list[float] = []
    for each in evaluation.systems:
        if isinstance(each.scores, Scores):
            targets = targets or [at.target for at in each.scores.at]
            at = [ratio(one.false_positive_rate) for one in each.scores.at]
            area = _span(each.scores.auroc, each.scores.auroc_span, wide=wide)
            rows.append((clean(each.system.name), f"{each.scores.missing:,}", area, *at))
    if rows:
        heads = ("system", "no score", "AUROC", *(f"at {target:g}" for target in targets))
        title = "Scores: ranking, and false alarms of the others where at least that share of crises is found"
        print_table(console, title, heads, rows, numbers=range(1, len(heads)))


def _stage_two(evaluation: Evaluation, console: Console, *, wide: bool) -> None:
    """Each category where there is room, and the averages."""
    found = [
        (clean(each.system.name), each.system.scope, each.categorising)
        for each in evaluation.systems
        if each.categorising
    ]
    for each in evaluation.systems:
        if each.categorising is None and each.no_categories:
            console.print()
            console.print(text(f"{clean(each.system.name)}: no Stage 2, because {each.no_categories}."))
    if not found:
        return
    for words in scope_words(evaluation):
        console.print()
        console.print(text(words))
    if sum(len(one.rows) for *_, one in found) > _MOST_ROWS:
        rows = [(f"{name}\n{over}", *cells) for name, _, one in found for _, over, *cells in _macros(one, wide=wide)]
        heads = ("system, categories", *_RATES)
        print_table(console, f"{_FLAT}; averages over categories", heads, rows, numbers=(1, 2, 3))
        return
    for name, scope, one in found:
        rows = [_category(row, scope, wide=wide) for row in one.rows]
        rows += _macros(one, wide=wide)
        print_table(console, f"{_FLAT}. {plain(name)}", ("category", "messages", *_RATES), rows, numbers=(1, 2, 3, 4))


def _category(row: CategoryRow, scope: Scope | None, *, wide: bool) -> tuple[str, ...]:
    rates = (f"{ratio(of)}  {_around(of, wide=wide)}" for of in (row.flat.sensitivity, row.flat.ppv))
    return (marked_category(row.category, scope, wide=wide), f"{row.labelled:,}", *rates, number(row.flat.f1))


def _macros(one: Categorising, *, wide: bool) -> Iterator[tuple[str, ...]]:
    yield ("macro", f"all {len(one.rows)}", *_macro(one.flat, wide=wide))
    if one.in_scope is not None:
        yield ("macro", f"{len(one.in_scope.categories)} in scope", *_macro(one.in_scope.flat, wide=wide))


def _macro(averages: Averages | None, *, wide: bool) -> Iterator[str]:
    if averages is None:
        yield from [UNDEFINED] * 3
        return
    for of in (averages.macro_sensitivity, averages.macro_ppv, averages.macro_f1):
        yield _span(of.estimate, of.bootstrap, wide=wide)


def _pairs(evaluation: Evaluation, console: Console, *, wide: bool) -> None:
    """Differences with their tests."""
    rows = [
        (
            f"{one.outcome}: {versus(one)}",
            f"{one.only_first:,} / {one.only_second:,} of {one.messages:,}",
            UNDEFINED
            if one.estimate is None
            else f"{signed(one.estimate)}{' ' if wide else chr(10)}({signed(one.low)} to {signed(one.high)})",
            p_value(one.p),
            p_value(one.p_adjusted),
        )
        for one in evaluation.pairs[:_MOST_PAIRS]
    ]
    if rows:
        heads = ("pair", "only one right", "difference", "p", "adjusted p")
        title = f"Pairs on the same messages, first minus second: exact McNemar, p adjusted after {evaluation.settings.adjustment.capitalize()}"
        print_table(console, title, heads, rows, numbers=(1, 2, 3, 4))
    more = (
        (max(0, len(evaluation.pairs) - _MOST_PAIRS), "more row"),
        (len(evaluation.category_pairs), "test of pairs within categories", "tests of pairs within categories"),
    )
    for n, *what in more:
        if n:
            console.print(text(f"{counted(n, *what)} in a report: add --output report.html"))
