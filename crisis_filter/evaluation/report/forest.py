"""Forest plots: a point and its interval in each row, with the counts beside it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from crisis_filter.evaluation.records import Evaluation
from crisis_filter.evaluation.report.comparing import levels
from crisis_filter.evaluation.report.ink import GRID, Look, altair, data, draw, look
from crisis_filter.evaluation.report.parts import Figure, Key, Panel
from crisis_filter.evaluation.report.stage_two import categorised
from crisis_filter.evaluation.report.words import UNDEFINED, between, category_words, clean, sentence, short
from crisis_filter.stats.intervals import Interval

_STEP, _GAP = 19, 9
_WIDTH, _NARROW = 190, 150
_SLACK, _MORE = (10, 14), (10, 30)
_MOST_LEVELS = 40


@dataclass(frozen=True, slots=True)
class Mark:
    """One row's figure."""

    group: str
    """What the row is of; stands at the left of its first row."""
    system: str
    look: Look
    interval: Interval


def keys(evaluation: Evaluation, places: Iterable[int]) -> tuple[Key, ...]:
    """The key to colours and shapes of the systems at these places; none is needed for one system."""
    looks = [(clean(evaluation.systems[place].system.name), look(place)) for place in sorted(set(places))]
    return tuple(Key(name, at.variable, at.shape, at.dash) for name, at in looks) if len(evaluation.systems) > 1 else ()


def overall(evaluation: Evaluation) -> Figure:
    """Sensitivity and specificity of each system."""
    pairs = [
        (Mark(clean(s.system.name), "", look(i), m.sensitivity), Mark(clean(s.system.name), "", look(i), m.specificity))
        for i, s in enumerate(evaluation.systems)
        for m in [s.screening.measures]
    ]
    least = _least(mark.interval for pair in pairs for mark in pair)
    panels = (
        Panel("Sensitivity: share of crises found", forest([a for a, _ in pairs], "sensitivity", least, full=True)),
        Panel("Specificity: share of others cleared", forest([b for _, b in pairs], "specificity", least, full=True)),
    )
    return Figure(
        "overall", "Sensitivity and specificity", "Points with intervals; the counts stand beside them.", panels
    )


def by_category(evaluation: Evaluation) -> Figure | None:
    """Flat sensitivity and specificity of each category; `None` without Stage 2."""
    found = categorised(evaluation)
    if not found:
        return None
    rows = [
        (category_words(one.rows[place].category), clean(each.system.name), look(number), one.rows[place].flat)
        for place in range(max(len(one.rows) for _, _, one in found))
        for number, each, one in found
        if place < len(one.rows)
    ]
    sensitivity = [Mark(category, system, at, flat.sensitivity) for category, system, at, flat in rows]
    specificity = [Mark(category, system, at, flat.specificity) for category, system, at, flat in rows]
    panels = (
        Panel("Sensitivity", forest(sensitivity, "sensitivity", _least(m.interval for m in sensitivity))),
        Panel("Specificity", forest(specificity, "specificity", _least(m.interval for m in specificity))),
    )
    caption = "Flat: over all messages, so that what Stage 1 misses is missed here too. The two axes begin at different values."
    return Figure(
        "by-category", "Each category, end to end", caption, panels, keys(evaluation, [place for place, _, _ in found])
    )


def by_subgroup(evaluation: Evaluation) -> Figure | None:
    """Sensitivity and specificity in each subgroup; `None` without any."""
    shown = levels(evaluation)
    panels: list[Panel] = []
    cut = False
    for facet in dict.fromkeys(facet for facet, _ in shown):
        here = [one for one in shown if one[0] == facet]
        cut |= len(here) > _MOST_LEVELS
        for what in ("sensitivity", "specificity"):
            marks = _of_levels(evaluation, here[:_MOST_LEVELS], what)
            if marks:
                drawn = forest(marks, what, _least(mark.interval for mark in marks))
                panels.append(Panel(f"{short(category_words(facet), 40)}: {what}", drawn))
    if not panels:
        return None
    caption = (
        "Stage 1 within levels of one property at a time. Axes begin at different values. A level without crises has no sensitivity, one with "
        "nothing but crises no specificity; there the table says undefined."
    )
    if cut:
        caption += f" Of a property with more than {_MOST_LEVELS} levels the first {_MOST_LEVELS} are drawn; the table has all."
    every = keys(evaluation, range(len(evaluation.systems)))
    return Figure("by-subgroup", "Stage 1 in subgroups", caption, tuple(panels), every)


def _of_levels(evaluation: Evaluation, wanted: Sequence[tuple[str, str]], what: str) -> list[Mark]:
    """Where the rate is defined: of each level, a mark for each system."""
    marks = []
    for facet, level in wanted:
        for place, each in enumerate(evaluation.systems):
            for one in each.subgroups:
                of = one.sensitivity if what == "sensitivity" else one.specificity
                if (one.facet, one.level) == (facet, level) and of.estimate is not None:
                    marks.append(Mark(category_words(level), clean(each.system.name), look(place), of))
    return marks


def forest(marks: Sequence[Mark], what: str, least: float, *, full: bool = False) -> str:
    """One forest plot.

    Args:
        marks: a row each; those of one group stand together.
        what: the axis' name.
        least: where the axis begins; it ends at 1.
        full: whether the label has the estimate with its interval, not the counts alone.
    """
    charts = altair()
    rows, height = _rows(marks, full=full)
    width = _NARROW if full else _WIDTH
    base = charts.Chart().encode(y=charts.Y("y:Q", axis=None, scale=charts.Scale(domain=[0, height], reverse=True)))
    scale = charts.Scale(domain=[least, 1], nice=False)
    axis = charts.Axis(tickCount=3 if full else 5, format=".2~f" if least < 0.9 else ".3~f", grid=True)
    defined = base.transform_filter(charts.FieldOneOfPredicate(field="defined", oneOf=[True]))
    layers: list[Any] = []
    for place, at in enumerate(dict.fromkeys(mark.look for mark in marks)):
        mine = defined.transform_filter(charts.FieldEqualPredicate(field="look", equal=place))
        x = charts.X("low:Q", scale=scale, axis=axis, title=what)
        layers.append(mine.mark_rule(aria=False, color=at.colour, strokeWidth=1.75).encode(x=x, x2="high:Q"))
        points = mine.mark_point(shape=at.shape, filled=True, size=62, opacity=1, color=at.colour)
        layers.append(points.encode(x=charts.X("estimate:Q", scale=scale), description="say:N"))
    beside = base.mark_text(aria=False, align="left", baseline="middle").encode(
        x=charts.value(width + 10), text="counts:N"
    )
    name = base.mark_text(aria=False, align="right", baseline="middle").encode(x=charts.value(-10), text="name:N")
    edge = base.mark_rule(aria=False, color=GRID).encode(x=charts.value(width))
    chart = charts.layer(edge, *layers, name, beside, data=data(rows)).properties(width=width, height=height)
    return draw(
        chart,
        f"Forest plot of {what}: {len(marks)} points with intervals from {least:g} to 1; the table below has the figures.",
        slack=_MORE if full else _SLACK,
    )


def _rows(marks: Sequence[Mark], *, full: bool) -> tuple[list[dict[str, object]], int]:
    """Rows of the chart, and its height in pixels."""
    rows: list[dict[str, object]] = []
    looks = {at: place for place, at in enumerate(dict.fromkeys(mark.look for mark in marks))}
    y, before = 0.0, ""
    for mark in marks:
        if rows and mark.group != before and not full:
            y += _GAP if len(looks) > 1 else 0
        of = mark.interval
        owner = ", ".join(part for part in (mark.group, mark.system) if part)
        rows.append(
            {
                "y": y + _STEP / 2,
                "name": short(mark.group, 22) if mark.group != before else "",
                "counts": _label(of, full=full),
                "say": f"{owner}: {sentence(of)}",
                "look": looks[mark.look],
                "defined": of.estimate is not None,
                "low": of.low,
                "high": of.high,
                "estimate": of.estimate,
            }
        )
        before = mark.group
        y += _STEP
    return rows, max(_STEP, math.ceil(y))


def _label(of: Interval, *, full: bool) -> str:
    if of.estimate is None:
        return f"{UNDEFINED} (0 of 0)"
    counts = f"{of.count:,}/{of.nobs:,}"
    return f"{counts}\u2003{of.estimate:.3f} ({between(of)})" if full else counts


def _least(intervals: Iterable[Interval]) -> float:
    """A tenth below every defined interval."""
    low = min((of.low for of in intervals if of.estimate is not None), default=0.0)
    return min(0.9, math.floor(low * 10) / 10)
