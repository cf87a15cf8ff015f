"""Sensitivity and specificity of each system: the words over the bar, so that the drawing fits a small screen."""

from __future__ import annotations

from collections.abc import Sequence

from crisis_filter.evaluation.records import Evaluation
from crisis_filter.evaluation.report.forest import Mark, described, drawn, least, row
from crisis_filter.evaluation.report.ink import GRID, altair, data, draw, look
from crisis_filter.evaluation.report.parts import Figure, Panel
from crisis_filter.evaluation.report.words import UNDEFINED, between, clean, short
from crisis_filter.stats.intervals import Interval

_WIDTH, _STEP, _UNDER = 325, 44, 17
_SLACK = (6, 8)
_NAME = 18


def overall(evaluation: Evaluation) -> Figure:
    """Sensitivity and specificity of each system."""
    looks = [
        (clean(each.system.name), look(place), each.screening.measures) for place, each in enumerate(evaluation.systems)
    ]
    found = [Mark(name, "", at, of.sensitivity) for name, at, of in looks]
    cleared = [Mark(name, "", at, of.specificity) for name, at, of in looks]
    begin = least(mark.interval for mark in (*found, *cleared))
    panels = (
        Panel("Sensitivity: share of crises found", _forest(found, "sensitivity", begin)),
        Panel("Specificity: share of others cleared", _forest(cleared, "specificity", begin)),
    )
    return Figure(
        "overall", "Sensitivity and specificity", "Points with intervals; the counts stand over them.", panels
    )


def _forest(marks: Sequence[Mark], what: str, begin: float) -> str:
    """A forest plot with name, counts and estimate over each bar."""
    charts = altair()
    looks = [mark.look for mark in marks]
    rows = [
        {
            **row(mark, looks),
            "over": place * _STEP + 13,
            "y": place * _STEP + 13 + _UNDER,
            "name": short(mark.group, _NAME),
            "counts": _label(mark.interval),
        }
        for place, mark in enumerate(marks)
    ]
    height = len(marks) * _STEP
    y = charts.Scale(domain=[0, height], reverse=True)
    base = charts.Chart().encode(y=charts.Y("y:Q", axis=None, scale=y))
    over = charts.Chart().encode(y=charts.Y("over:Q", axis=None, scale=y))
    name = over.mark_text(aria=False, align="left", baseline="middle").encode(x=charts.value(0), text="name:N")
    counts = over.mark_text(aria=False, align="right", baseline="middle").encode(
        x=charts.value(_WIDTH), text="counts:N"
    )
    edge = base.mark_rule(aria=False, color=GRID).encode(x=charts.value(_WIDTH))
    chart = charts.layer(edge, *drawn(base, marks, what, begin), name, counts, data=data(rows))
    return draw(chart.properties(width=_WIDTH, height=height), described(marks, what, begin), slack=_SLACK)


def _label(of: Interval) -> str:
    """`857/900  0.952 (0.936 to 0.964)`."""
    if of.estimate is None:
        return f"{UNDEFINED} (0 of 0)"
    return f"{of.count:,}/{of.nobs:,}\u2003{of.estimate:.3f} ({between(of)})"
