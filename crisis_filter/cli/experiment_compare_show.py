"""A comparison on a terminal: counts first, gates last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crisis_filter.cli.evaluate_table import print_table, text
from crisis_filter.evaluation.report.words import (
    UNDEFINED,
    category_words,
    clean,
    counted,
    level,
    p_value,
    share,
    signed,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from crisis_filter.experiments.comparison import (
        Candidate,
        Comparison,
        Difference,
        Naming,
        Rate,
        SideContrast,
        SystemFigures,
        Tally,
    )

_WIDE = 124
_MOST_IDS = 8
_WITHHELD = "withheld"


def show_comparison(found: Comparison, console: Console) -> None:
    """Print the comparison; a page or a JSON file has every flip.

    Args:
        found: what to show.
        console: where to; on a narrow one an interval stands under its estimate.
    """
    measured, wide = found.measured, console.width >= _WIDE
    crises = f"{measured.crises:,} of them {'a crisis' if measured.crises == 1 else 'crises'}"
    times = "" if measured.repeats == 1 else f", each judged {measured.repeats} times"
    console.print(
        text(
            f"{counted(measured.messages, 'message')} of {clean(measured.name)}, {crises}{times}. Labels: {clean(measured.labelled_by)}"
        )
    )
    for warning in found.warnings:
        console.print(text(f"warning: {warning}"))
    print_table(
        console,
        f"Answers by outcome; rates with {level(found.settings.level)} intervals, undetermined counts as wrong",
        ("system", "answers about", "crisis", "undetermined", "not crisis", "rate"),
        [row for one in found.systems for row in _answers(one, wide=wide)],
        numbers=(2, 3, 4),
    )
    _repeats(found, console)
    _costs(found, console)
    for candidate in found.candidates:
        _candidate(found, candidate, console, wide=wide)


def _answers(one: SystemFigures, *, wide: bool) -> Iterator[tuple[str, ...]]:
    """A row for the crises, a row for the others, and the faults."""
    sides = (
        (clean(one.name), "crises", one.crises, "sensitivity", one.sensitivity),
        ("", "others", one.others, "specificity", one.specificity),
    )
    for name, what, tally, rate, of in sides:
        yield (name, f"{what}: {tally.answers:,}", *_outcomes(tally), f"{rate} {_around(of, wide=wide)}")
    yield ("", "", "", "", "", _not_whole(one.naming))
    if one.faults:
        named = ", ".join(f"{clean(fault).replace('_', ' ')} {count:,}" for fault, count in one.faults.items())
        yield ("", "", "", "", "", f"undetermined: {named}")


def _not_whole(naming: Naming) -> str:
    """Of the answers that say crisis, how many name no category, and how many carry a fault."""
    unnamed = "not told" if naming.unnamed is None else f"{naming.unnamed:,}"
    return f"of {naming.crisis:,} crisis: unnamed {unnamed}, with a fault {naming.faulty:,}"


def _outcomes(tally: Tally) -> tuple[str, str, str]:
    return f"{tally.crisis:,}", f"{tally.undetermined:,}", f"{tally.no_crisis:,}"


def _around(of: Rate, *, wide: bool) -> str:
    if of.estimate is None:
        return UNDEFINED
    return f"{of.estimate:.3f}{' ' if wide else chr(10)}({of.low:.3f} to {of.high:.3f})"


def _repeats(found: Comparison, console: Console) -> None:
    rows = [
        (
            clean(one.name),
            f"{one.stability.flip_rate:.4f}",
            f"{one.stability.unstable:,} of {one.stability.messages:,}",
            _range(one.sensitivity),
            _range(one.specificity),
        )
        for one in found.systems
        if one.stability is not None
    ]
    if rows:
        heads = ("system", "flip rate", "unstable", "sensitivity", "specificity")
        title = "Repeats: chance that two answers about one message differ; worst and best repeat"
        print_table(console, title, heads, rows, numbers=(1, 2))


def _range(of: Rate) -> str:
    return UNDEFINED if of.lowest is None or of.highest is None else f"{of.lowest:.3f} to {of.highest:.3f}"


def _costs(found: Comparison, console: Console) -> None:
    rows = [
        (
            clean(one.name),
            f"{one.tokens_per_1000:,.0f}",
            "no price" if one.money_per_1000 is None else f"{one.money_per_1000:,.4g}",
            "" if one.macro_f1 is None else f"{one.macro_f1:.3f}",
        )
        for one in found.systems
        if one.tokens_per_1000 is not None
    ]
    if rows:
        heads = ("system", "tokens", "money", "macro F1")
        print_table(console, "For 1,000 answers; and categories, end to end", heads, rows, numbers=(1, 2, 3))


def _candidate(found: Comparison, candidate: Candidate, console: Console, *, wide: bool) -> None:
    exploration = ". Exploration: no p is a claim" if found.measured.exploration else ""
    several = len(found.candidates) > 1
    tests = (
        "McNemar p",
        "p, all repeats",
        *((f"adjusted for {len(found.candidates)}",) if several else ()),
        "early look",
    )
    rows = [_side(side, wide=wide, several=several) for side in candidate.sides]
    if not wide:
        rows = [(*row[:3], "\n".join(f"{name}: {p}" for name, p in zip(tests, row[3:], strict=True))) for row in rows]
    print_table(
        console,
        f"{clean(candidate.name)} less {clean(candidate.incumbent)} on the same messages{exploration}",
        ("", "only incumbent / only candidate right", "difference", *(tests if wide else ("p",))),
        rows,
        numbers=(0, 2),
    )
    for side in candidate.sides:
        if side.anytime.stop:
            console.print(text(f"{side.side}: {side.anytime.words}"))
    _categories(candidate, console, wide=wide)
    if candidate.macro_f1 is not None:
        words = _difference(candidate.macro_f1, wide=True)
        console.print(text(f"macro F1 of the categories, end to end: difference {words}"))
    _flips(candidate, console)
    if candidate.passed is not None:
        title = f"Gates of {clean(candidate.name)}: {'all passed' if candidate.passed else 'not passed'}. All must be, each judged by itself"
        print_table(console, title, ("bound",), [(gate.words,) for gate in candidate.gates])


def _side(side: SideContrast, *, wide: bool, several: bool) -> tuple[str, ...]:
    counts = f"{side.only_incumbent:,} / {side.only_candidate:,} of {side.messages:,}"
    adjusted = (_p(side.p_adjusted),) if several else ()
    look = f"E {side.anytime.greatest:,.3g}, p {p_value(side.anytime.p)}"
    return (
        side.side,
        counts,
        _difference(side.difference, wide=wide),
        _p(side.mcnemar_p),
        _p(side.p) + (" by cluster" if side.by_cluster else ""),
        *adjusted,
        look,
    )


def _p(p: float | None) -> str:
    return _WITHHELD if p is None else p_value(p)


def _difference(of: Difference, *, wide: bool) -> str:
    if of.estimate is None:
        return UNDEFINED
    return f"{signed(of.estimate)}{' ' if wide else chr(10)}({signed(of.low)} to {signed(of.high)})"


def _categories(candidate: Candidate, console: Console, *, wide: bool) -> None:
    gap = " / " if wide else "\n"
    rows = [
        (
            category_words(row.category),
            f"{row.messages:,}",
            gap.join((_found(row.incumbent), _found(row.candidate))),
            _difference(row.difference, wide=wide),
            row.verdict or UNDEFINED,
        )
        for row in candidate.categories
    ]
    if rows:
        heads = ("category", "messages", f"found: incumbent{gap}candidate", "difference", "verdict")
        title = f"Sensitivity by category; a loss of {share(candidate.categories[0].margin)} would be borne"
        print_table(console, title, heads, rows, numbers=(1, 3))


def _found(of: Rate) -> str:
    failed = f", {of.undetermined:,} undetermined" if of.undetermined else ""
    return f"{of.right:,} of {of.answers:,}{failed}"


def _flips(candidate: Candidate, console: Console) -> None:
    """Ids of the messages on which the two differ; the worst first."""
    kinds = (
        ("newly missed crises", [flip.id for flip in candidate.flips if flip.newly_missed]),
        ("newly undetermined", [flip.id for flip in candidate.flips if flip.newly_undetermined]),
        ("broken", [flip.id for flip in candidate.flips if flip.change == "broken"]),
        ("fixed", [flip.id for flip in candidate.flips if flip.change == "fixed"]),
    )
    console.print()
    for name, ids in kinds:
        shown = ", ".join(clean(each) for each in ids[:_MOST_IDS])
        more = f" and {len(ids) - _MOST_IDS:,} more" if len(ids) > _MOST_IDS else ""
        console.print(text(f"{name}: {len(ids):,}{f' ({shown}{more})' if ids else ''}"))
