"""An evaluation on a terminal: counts first, then rates with their intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from crisis_filter.cli.show import plain
from crisis_filter.evaluation.records import Scores
from crisis_filter.evaluation.report.comparing import versus
from crisis_filter.evaluation.report.stage_one import by_outcome
from crisis_filter.evaluation.report.summary import unanswered
from crisis_filter.evaluation.report.words import (
    NO_INTERVAL,
    UNDEFINED,
    between,
    category_words,
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
    from collections.abc import Iterator, Sequence

    from rich.console import Console

    from crisis_filter.evaluation.records import Categorising, CategoryRow, Evaluation, SystemReport
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
        _text(
            f"{counted(gold.messages, 'message')}, {gold.crises:,} of them {'a crisis' if gold.crises == 1 else 'crises'}. Labels of {gold.name}: {gold.labelled_by}"
        )
    )
    for left in evaluation.left_out:
        console.print(_text(unanswered(left)))
    for warning in evaluation.warnings:
        console.print(_text(f"warning: {warning}"))
    failures = "as wrong" if evaluation.settings.failures == "wrong" else "as a crisis, since it reaches a person"
    _print(
        console,
        f"Stage 1, {level(evaluation.settings.level)} intervals; undetermined counts {failures}",
        ("system", "messages", "crisis", "undetermined", "not crisis", "rate"),
        [row for each in evaluation.systems for row in _stage_one(each, wide=wide)],
        numbers=(2, 3, 4),
    )
    _scores(evaluation, console, wide=wide)
    _stage_two(evaluation, console, wide=wide)
    _pairs(evaluation, console, wide=wide)


def _text(text: str) -> Text:
    return Text(plain(text))


def _print(
    console: Console, title: str, heads: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Sequence[int] = ()
) -> None:
    """A heading and a table, parted from what stands before."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold underline")
    for place, head in enumerate(heads):
        table.add_column(
            head, overflow="fold", justify="right" if place in numbers else "left", no_wrap=place in numbers
        )
    for row in rows:
        table.add_row(*map(_text, row))
    console.print()
    console.print(Text(title, style="bold"))
    console.print(table)


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
        _print(console, title, heads, rows, numbers=range(1, len(heads)))


def _stage_two(evaluation: Evaluation, console: Console, *, wide: bool) -> None:
    """Each category where there is room, and the averages."""
    found = [(clean(each.system.name), each.categorising) for each in evaluation.systems if each.categorising]
    for each in evaluation.systems:
        if each.categorising is None and each.no_categories:
            console.print()
            console.print(_text(f"{clean(each.system.name)}: no Stage 2, because {each.no_categories}."))
    if not found:
        return
    if sum(len(one.rows) for _, one in found) > _MOST_ROWS:
        rows = [(name, *_macro(one, wide=wide)) for name, one in found]
        _print(console, f"{_FLAT}; averages over categories", ("system", *_RATES), rows, numbers=(1, 2, 3))
        return
    for name, one in found:
        rows = [_category(row, wide=wide) for row in one.rows]
        rows.append(("macro", "", *_macro(one, wide=wide)))
        _print(console, f"{_FLAT}. {plain(name)}", ("category", "messages", *_RATES), rows, numbers=(1, 2, 3, 4))


def _category(row: CategoryRow, *, wide: bool) -> tuple[str, ...]:
    rates = (f"{ratio(of)}  {_around(of, wide=wide)}" for of in (row.flat.sensitivity, row.flat.ppv))
    return (category_words(row.category), f"{row.labelled:,}", *rates, number(row.flat.f1))


def _macro(one: Categorising, *, wide: bool) -> Iterator[str]:
    for of in (one.flat.macro_sensitivity, one.flat.macro_ppv, one.flat.macro_f1):
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
        _print(console, title, heads, rows, numbers=(1, 2, 3, 4))
    if len(evaluation.pairs) > _MOST_PAIRS:
        console.print(
            _text(f"{counted(len(evaluation.pairs) - _MOST_PAIRS, 'more row')} in a report: add --output report.html")
        )
