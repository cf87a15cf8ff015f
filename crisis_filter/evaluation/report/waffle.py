"""What 10,000 messages look like: a square for each, coloured and hatched by what becomes of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape

from crisis_filter.evaluation.records import AtPrevalence, Evaluation
from crisis_filter.evaluation.report.parts import Figure, Panel
from crisis_filter.evaluation.report.stage_one import FATES
from crisis_filter.evaluation.report.words import clean, expected, ratio, share

_SIDE = 100
_USUAL = 0.01
_ROUNDING = 1e-9
_CLASSES = {fate: fate.replace("_", "-") for fate in FATES}


def ten_thousand(evaluation: Evaluation) -> Figure | None:
    """A panel for each system, at the computed share of crises that is nearest 1%; `None` where none was computed."""
    with_figures = [each for each in evaluation.systems if any(sum(at.per_10000.values()) for at in each.prevalences)]
    if not with_figures:
        return None
    panels = []
    prevalences = set()
    for each in with_figures:
        at = min(
            (one for one in each.prevalences if sum(one.per_10000.values())),
            key=lambda one: abs(math.log(max(one.prevalence, 1e-9) / _USUAL)),
        )
        prevalences.add(at.prevalence)
        measures = each.screening.measures
        source = f"from sensitivity {ratio(measures.sensitivity)} and specificity {ratio(measures.specificity)}"
        name = clean(each.system.name)
        panels.append(
            Panel(name, _waffle(at, f"{name}, of 10,000 messages of which {share(at.prevalence)} are crises, {source}"))
        )
    shares = ", ".join(map(share, sorted(prevalences)))
    caption = (
        f"One square is one message; {shares} of them are crises (an assumption), drawn first. Numbers are what to expect, rounded to whole "
        "squares; the intervals of sensitivity and specificity apply to them."
    )
    return Figure("ten-thousand", "What 10,000 messages look like", caption, tuple(panels))


def whole(expectations: Mapping[str, float], total: int = _SIDE * _SIDE) -> dict[str, int]:
    """Expectations as whole squares that add up to the total, by largest remainders; one above 0 keeps a square at least.

    Args:
        expectations: by fate, each at least 0.
        total: squares.
    """
    wanted = {fate: max(0.0, expectations.get(fate, 0.0)) for fate in FATES}
    every = sum(wanted.values()) or 1.0
    shares = {fate: n / every * total for fate, n in wanted.items()}
    # What rounding leaves of a rate of exactly 0 or 1 is no message.
    squares = {fate: max(1, math.floor(n)) if n > _ROUNDING else 0 for fate, n in shares.items()}
    by_rest = sorted(squares, key=lambda fate: math.floor(shares[fate]) - shares[fate])
    for fate in by_rest[: max(0, total - sum(squares.values()))]:
        squares[fate] += 1
    largest = max(squares, key=lambda fate: squares[fate])
    squares[largest] += total - sum(squares.values())
    return squares


def _waffle(at: AtPrevalence, title: str) -> str:
    """The drawing: one path for each fate, a grid over all, and a key with numbers."""
    squares = whole(at.per_10000)
    parts, begin = [], 0
    for fate, count in squares.items():
        if count:
            say = f"{FATES[fate]}: {expected(at.per_10000[fate])} of 10,000"
            parts.append(
                f'<path class="w {_CLASSES[fate]}" role="graphics-symbol" aria-roledescription="area" aria-label="{escape(say)}" '
                f'd="{_runs(begin, count)}"/>'
            )
        begin += count
    lines = "".join(f"M0,{n}H{_SIDE}M{n},0V{_SIDE}" for n in range(1, _SIDE))
    key = []
    for row, fate in enumerate(FATES):
        y = _SIDE + 7 + row * 6.4
        number = expected(at.per_10000[fate]) if fate in at.per_10000 else "undefined"
        key.append(
            f'<rect class="w {_CLASSES[fate]}" x="0.5" y="{y - 3.4:.1f}" width="4" height="4" aria-hidden="true"/>'
            f'<text class="wt" x="7.5" y="{y:.1f}">{escape(FATES[fate])}</text>'
            f'<text class="wt" x="{_SIDE}" y="{y:.1f}" text-anchor="end">{escape(number)}</text>'
        )
    return (
        f'<svg class="waffle" viewBox="-0.5 -0.5 101 141" role="graphics-document" aria-label="{escape(title)}">{"".join(parts)}'
        f'<path class="wg" d="{lines}" aria-hidden="true"/>{"".join(key)}</svg>'
    )


def _runs(begin: int, count: int) -> str:
    """The squares from `begin` on, row by row from the top, as one path."""
    end, path = begin + count, []
    first, last = begin // _SIDE, (end - 1) // _SIDE
    middle = [first, last + 1]
    if begin % _SIDE:
        path.append(_strip(first, begin % _SIDE, min(_SIDE, end - first * _SIDE), 1))
        middle[0] += 1
    if end % _SIDE and last >= middle[0]:
        path.append(_strip(last, 0, end % _SIDE, 1))
        middle[1] -= 1
    if middle[1] > middle[0]:
        path.append(_strip(middle[0], 0, _SIDE, middle[1] - middle[0]))
    return "".join(path)


def _strip(row: int, left: int, right: int, height: int) -> str:
    return f"M{left},{row}H{right}V{row + height}H{left}Z"
