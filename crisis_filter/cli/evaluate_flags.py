"""The overall flag against each category on a terminal, apart from Stage 2."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crisis_filter.cli.evaluate_table import print_table, text
from crisis_filter.evaluation.report.flag import TITLE, WHAT, flagged
from crisis_filter.evaluation.report.words import UNDEFINED, between, category_words, clean, estimate, number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from crisis_filter.evaluation.category_records import Averages, Flagging, FlagRow, Scope
    from crisis_filter.evaluation.records import Evaluation
    from crisis_filter.stats.intervals import Interval
    from crisis_filter.stats.resampling import Span

# A line of it holds four counts and three rates with their intervals.
_WIDE = 150
_MOST_ROWS = 32
_RATES = ("sensitivity", "specificity", "PPV", "F1")
_CELLS = ("TP", "FN", "FP", "TN")


def marked_category(category: str, scope: Scope | None, *, wide: bool) -> str:
    """A category's name and, where it is known whether the system is meant for it, `scope partial`: beside it where there is room, else under it."""
    mark = scope.marks.get(category) if scope is not None else None
    if mark is None:
        return category_words(category)
    return category_words(category) + (f" (scope {mark})" if wide else f"\nscope {mark}")


def show_flags(evaluation: Evaluation, console: Console) -> None:
    """Print what the flag of each system is in each category: whole tables where they are few, else the averages.

    Args:
        evaluation: what to show; nothing is printed where the labels do not say the categories.
        console: where to; on a narrow one counts and intervals stand under one another.
    """
    found = [(clean(each.system.name), each.system.scope, one) for _, each, one in flagged(evaluation)]
    if not found:
        return
    console.print()
    console.print(text(WHAT))
    if sum(len(one.rows) for *_, one in found) > _MOST_ROWS:
        rows = [(f"{name}\n{over}", *means) for name, _, one in found for over, *means in _averages(one)]
        heads = ("system, categories", "sensitivity", "PPV", "F1")
        print_table(console, f"{TITLE}; averages over categories", heads, rows, numbers=(1, 2, 3))
        return
    wide = console.width >= _WIDE
    for name, scope, one in found:
        heads = ("category", *(_CELLS if wide else ()), *_RATES)
        body = [_row(row, scope, wide=wide) for row in one.rows]
        print_table(console, f"{TITLE}. {name}", heads, body, numbers=range(1, len(heads)))
        for over, *means in _averages(one):
            rates = zip(("sensitivity", "PPV", "F1"), means, strict=True)
            console.print(text(f"macro, {over}: " + ", ".join(f"{what} {' '.join(m.split())}" for what, m in rates)))


def _row(row: FlagRow, scope: Scope | None, *, wide: bool) -> tuple[str, ...]:
    of, name = row.measures, marked_category(row.category, scope, wide=wide)
    rates = [_rate(each, wide=wide) for each in (of.sensitivity, of.specificity, of.ppv)]
    if wide:
        counts = (f"{n:,}" for n in (row.tp, row.fn, row.fp, row.tn))
        return (name, *counts, *rates, number(of.f1))
    return (f"{name}\nTP {row.tp} FN {row.fn}\nFP {row.fp} TN {row.tn}", *rates, number(of.f1))


def _rate(of: Interval, *, wide: bool) -> str:
    if of.estimate is None or wide:
        return estimate(of)
    return f"{of.estimate:.3f}\n({of.low:.3f}-{of.high:.3f})"


def _averages(one: Flagging) -> Iterator[tuple[str, ...]]:
    """Over which categories, then the three means."""
    yield (f"all {len(one.rows)}", *_means(one.averages))
    if one.in_scope is not None:
        yield (f"{len(one.in_scope.categories)} in scope", *_means(one.in_scope.flat))


def _means(of: Averages | None) -> tuple[str, ...]:
    if of is None:
        return (UNDEFINED,) * 3
    found = (of.macro_sensitivity, of.macro_ppv, of.macro_f1)
    return tuple(_mean(one.estimate, one.bootstrap) for one in found)


def _mean(value: float | None, span: Span | None) -> str:
    if value is None or span is None:
        return number(value)
    return f"{value:.3f}\n({between(span)})"
