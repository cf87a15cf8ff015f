"""A forest plot as plain SVG: names above their bars, so that long ones and small screens have room."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from crisis_filter.evaluation.report.ink import Look
from crisis_filter.evaluation.report.words import short

_WIDTH, _LEFT, _RIGHT = 440, 12, 428
_TOP, _STEP, _FOOT = 8, 40, 40
_ROOM = 58
"""Characters in one line, name and counts together."""
_COUNTS = 36
_STEPS = (0.01, 0.02, 0.025, 0.05, 0.1, 0.2, 0.25, 0.5)
"""Between ticks."""
_SIZE = 4.5


@dataclass(frozen=True, slots=True)
class Bar:
    """A point with its interval."""

    name: str
    counts: str
    """Stands at the right, such as `891/900`."""
    estimate: float | None
    """`None` is undefined: no bar is drawn, and the row says so."""
    low: float
    high: float
    look: Look
    say: str
    """Counts, estimate and interval in words."""


@dataclass(frozen=True, slots=True)
class Axis:
    """What is drawn from left to right."""

    name: str
    begin: float
    end: float
    marked: tuple[float, ...] = ()
    """Values that a line stands for: 0 for no difference, dashed for a margin."""


def forest(bars: Sequence[Bar], axis: Axis, description: str) -> str:
    """The drawing, an `<svg>` that takes its colours from the page; ends of bars beyond the axis are cut off there.

    Args:
        bars: a row each.
        axis: `begin` below `end`.
        description: what it shows, for who cannot see it.
    """
    bottom = _TOP + _STEP * len(bars)
    parts = list(_ticks(axis, bottom))
    for value in axis.marked:
        if axis.begin <= value <= axis.end:
            dash = "" if value == 0 else ' stroke-dasharray="3 3"'
            parts.append(
                f'<path d="M{_x(value, axis)},{_TOP}V{bottom}" stroke="currentColor"{dash} aria-hidden="true"/>'
            )
    for place, bar in enumerate(bars):
        parts += _row(bar, axis, _TOP + _STEP * place)
    height = bottom + _FOOT
    return (
        f'<svg class="bars" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" role="graphics-document" '
        f'aria-label="{escape(description)}">{"".join(parts)}</svg>'
    )


def least(lows: Sequence[float]) -> float:
    """Where an axis of rates begins: at a tenth below every bound, at most 0.9."""
    return min(0.9, math.floor(min(lows, default=0.0) * 10) / 10)


def reach(bounds: Sequence[float]) -> float:
    """How far an axis of differences goes to both sides: to the next of 0.02, 0.05, 0.1, 0.2, 0.5 and 1."""
    furthest = max((abs(one) for one in bounds), default=0.0)
    return next((limit for limit in (0.02, 0.05, 0.1, 0.2, 0.5) if furthest <= limit), 1.0)


def _row(bar: Bar, axis: Axis, top: float) -> list[str]:
    y = top + 27
    counts = short(bar.counts, _COUNTS)
    parts = [
        f'<text x="{_LEFT}" y="{top + 14}" aria-hidden="true">{escape(short(bar.name, _ROOM - len(counts)))}</text>',
        f'<text class="counts" x="{_RIGHT}" y="{top + 14}" text-anchor="end" aria-hidden="true">{escape(counts)}</text>',
    ]
    if bar.estimate is None:
        return [*parts, f'<text class="counts" x="{_LEFT}" y="{y + 4}">undefined</text>']
    colour = f"var({bar.look.variable})"
    low, high, at = (_x(value, axis) for value in (bar.low, bar.high, bar.estimate))
    point = f'<path d="{bar.look.shape}" transform="translate({at} {y}) scale({_SIZE})" fill="{colour}"/>'
    return [
        *parts,
        f'<g role="graphics-symbol" aria-roledescription="point" aria-label="{escape(bar.say)}">',
        f'<path d="M{low},{y - 9}H{high}V{y + 9}H{low}Z" fill="transparent"/>',
        f'<path d="M{low},{y}H{high}" stroke="{colour}" stroke-width="2" fill="none"/>',
        point if axis.begin <= bar.estimate <= axis.end else "",
        "</g>",
    ]


def _ticks(axis: Axis, bottom: float) -> list[str]:
    parts = []
    span = axis.end - axis.begin
    # Four steps at best, so that an axis of differences has a tick at 0.
    steps = next((n for n in (4, 3, 5, 6, 7, 8, 9, 10) if any(math.isclose(span / n, step) for step in _STEPS)), 4)
    for place in range(steps + 1):
        value = axis.begin + span * place / steps
        x = _x(value, axis)
        anchor = {0: "start", steps: "end"}.get(place, "middle")
        text = f"{value:.3f}".rstrip("0").rstrip(".") or "0"
        text = ("+" if axis.begin < 0 < value else "") + text.replace("-", "\u2212")
        parts.append(f'<path d="M{x},{_TOP}V{bottom}" stroke="var(--grid)" aria-hidden="true"/>')
        parts.append(
            f'<text class="tick" x="{x}" y="{bottom + 15}" text-anchor="{anchor}" aria-hidden="true">{text}</text>'
        )
    middle = (_LEFT + _RIGHT) / 2
    parts.append(
        f'<text class="tick" x="{middle:g}" y="{bottom + 33}" text-anchor="middle" aria-hidden="true">{escape(axis.name)}</text>'
    )
    return parts


def _x(value: float, axis: Axis) -> str:
    share = (min(max(value, axis.begin), axis.end) - axis.begin) / (axis.end - axis.begin)
    return f"{_LEFT + share * (_RIGHT - _LEFT):.1f}".removesuffix(".0")
