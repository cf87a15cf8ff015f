"""Forest plots: a point and its interval in each row, with the counts beside it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from crisis_filter.evaluation.records import Evaluation, System
from crisis_filter.evaluation.report.comparing import levels
from crisis_filter.evaluation.report.flag import flagged
from crisis_filter.evaluation.report.ink import GRID, Look, altair, data, draw, look
from crisis_filter.evaluation.report.parts import Figure, Key, Panel
from crisis_filter.evaluation.report.stage_two import categorised
from crisis_filter.evaluation.report.words import UNDEFINED, category_words, clean, counted, sentence, short
from crisis_filter.stats.intervals import Interval

_STEP, _GAP = 19, 9
_WIDTH = 190
_SLACK = (10, 14)
_MOST_LEVELS = 40


@dataclass(frozen=True, slots=True)
class Mark:
    """One row's figure."""

    group: str
    """What the row is of; stands at the left of its first row."""
    system: str
    look: Look
    interval: Interval
    scope: str = ""
    """Of a category: whether the system is meant for it, in a word; "" where nobody said."""


def keys(evaluation: Evaluation, places: Iterable[int]) -> tuple[Key, ...]:
    """The key to colours and shapes of the systems at these places; none is needed for one system."""
    looks = [(clean(evaluation.systems[place].system.name), look(place)) for place in sorted(set(places))]
    return tuple(Key(name, at.variable, at.shape, at.dash) for name, at in looks) if len(evaluation.systems) > 1 else ()


def by_category(evaluation: Evaluation) -> Figure | None:
    """Flat sensitivity and specificity of each category; `None` without Stage 2."""
    found = categorised(evaluation)
    if not found:
        return None
    rows = [
        (one.rows[place].category, each.system, look(number), one.rows[place].flat)
        for place in range(max(len(one.rows) for _, _, one in found))
        for number, each, one in found
        if place < len(one.rows)
    ]
    sensitivity = [_of_category(category, system, at, flat.sensitivity) for category, system, at, flat in rows]
    specificity = [_of_category(category, system, at, flat.specificity) for category, system, at, flat in rows]
    panels = (
        Panel("Sensitivity", forest(sensitivity, "sensitivity", least(m.interval for m in sensitivity))),
        Panel("Specificity", forest(specificity, "specificity", least(m.interval for m in specificity))),
    )
    caption = "Flat: over all messages, so that what Stage 1 misses is missed here too. The two axes begin at different values."
    caption += _scope_note((*sensitivity, *specificity))
    return Figure(
        "by-category", "Each category, end to end", caption, panels, keys(evaluation, [place for place, _, _ in found])
    )


def by_flag(evaluation: Evaluation) -> Figure | None:
    """Sensitivity of the overall flag in each category; `None` for one system, and where the labels do not say the categories."""
    found = flagged(evaluation)
    if len(found) < 2:
        return None
    marks = [
        _of_category(row.category, each.system, look(number), row.measures.sensitivity)
        for place in range(max(len(one.rows) for _, _, one in found))
        for number, each, one in found
        for row in one.rows[place : place + 1]
    ]
    panels = (Panel("Sensitivity", forest(marks, "sensitivity", least(mark.interval for mark in marks))),)
    caption = f"Of the messages labelled with each category, the share that was taken for a crisis of any kind.{_scope_note(marks)}"
    return Figure(
        "by-flag",
        "Who is flagged, category by category",
        caption,
        panels,
        keys(evaluation, [place for place, _, _ in found]),
    )


def _of_category(category: str, system: System, at: Look, interval: Interval) -> Mark:
    scope = system.scope.marks.get(category, "") if system.scope is not None else ""
    return Mark(category_words(category), clean(system.name), at, interval, scope)


def _scope_note(marks: Sequence[Mark]) -> str:
    return " A word after the counts is what the system is meant for: direct, partial or none." * any(
        m.scope for m in marks
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
                drawn = forest(marks, what, least(mark.interval for mark in marks))
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


def forest(marks: Sequence[Mark], what: str, begin: float) -> str:
    """One forest plot.

    Args:
        marks: a row each; those of one group stand together.
        what: the axis' name.
        begin: where the axis begins; it ends at 1.
    """
    charts = altair()
    rows, height = _rows(marks)
    base = charts.Chart().encode(y=charts.Y("y:Q", axis=None, scale=charts.Scale(domain=[0, height], reverse=True)))
    beside = base.mark_text(aria=False, align="left", baseline="middle").encode(
        x=charts.value(_WIDTH + 10), text="counts:N"
    )
    name = base.mark_text(aria=False, align="right", baseline="middle").encode(x=charts.value(-10), text="name:N")
    edge = base.mark_rule(aria=False, color=GRID).encode(x=charts.value(_WIDTH))
    chart = charts.layer(edge, *drawn(base, marks, what, begin), name, beside, data=data(rows))
    return draw(chart.properties(width=_WIDTH, height=height), described(marks, what, begin), slack=_SLACK)


def described(marks: Sequence[Mark], what: str, begin: float) -> str:
    """A forest plot in a sentence, for who cannot see it."""
    return f"Forest plot of {what}: {counted(len(marks), 'point')} with intervals from {begin:g} to 1; the table below has the figures."


def drawn(base: Any, marks: Sequence[Mark], what: str, begin: float) -> list[Any]:
    """Layers with a bar and a point for each mark; the data are rows as `row` makes them, and their height is the base's."""
    charts = altair()
    scale = charts.Scale(domain=[begin, 1], nice=False)
    axis = charts.Axis(tickCount=5, format=".2~f" if begin < 0.9 else ".3~f", grid=True)
    defined = base.transform_filter(charts.FieldOneOfPredicate(field="defined", oneOf=[True]))
    layers: list[Any] = []
    for place, at in enumerate(dict.fromkeys(mark.look for mark in marks)):
        mine = defined.transform_filter(charts.FieldEqualPredicate(field="look", equal=place))
        x = charts.X("low:Q", scale=scale, axis=axis, title=what)
        layers.append(mine.mark_rule(aria=False, color=at.colour, strokeWidth=1.75).encode(x=x, x2="high:Q"))
        points = mine.mark_point(shape=at.shape, filled=True, size=62, opacity=1, color=at.colour)
        layers.append(points.encode(x=charts.X("estimate:Q", scale=scale), description="say:N"))
    return layers


def row(mark: Mark, looks: Sequence[Look]) -> dict[str, object]:
    """One mark as data."""
    of = mark.interval
    meant = f"scope {mark.scope}" if mark.scope else ""
    owner = ", ".join(part for part in (mark.group, mark.system, meant) if part)
    return {
        "say": f"{owner}: {sentence(of)}",
        "look": looks.index(mark.look),
        "defined": of.estimate is not None,
        "low": of.low,
        "high": of.high,
        "estimate": of.estimate,
    }


def least(intervals: Iterable[Interval]) -> float:
    """Where an axis begins: at a tenth below every defined interval."""
    low = min((of.low for of in intervals if of.estimate is not None), default=0.0)
    return min(0.9, math.floor(low * 10) / 10)


def _rows(marks: Sequence[Mark]) -> tuple[list[dict[str, object]], int]:
    """Rows of the chart, and its height in pixels."""
    rows: list[dict[str, object]] = []
    looks = list(dict.fromkeys(mark.look for mark in marks))
    y, before = 0.0, ""
    for mark in marks:
        if rows and mark.group != before:
            y += _GAP if len(looks) > 1 else 0
        of = mark.interval
        name = short(mark.group, 22) if mark.group != before else ""
        counts = f"{UNDEFINED} (0 of 0)" if of.estimate is None else f"{of.count:,}/{of.nobs:,}"
        counts += f"  {mark.scope}" if mark.scope else ""
        rows.append({**row(mark, looks), "y": y + _STEP / 2, "name": name, "counts": counts})
        before = mark.group
        y += _STEP
    return rows, max(_STEP, math.ceil(y))
