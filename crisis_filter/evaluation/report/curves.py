"""The ROC curve where few crises are missed, with the operating points in use."""

from __future__ import annotations

from typing import Any

from crisis_filter.evaluation.records import Evaluation, Scores, SystemReport
from crisis_filter.evaluation.report.forest import keys
from crisis_filter.evaluation.report.ink import Look, altair, data, draw, look
from crisis_filter.evaluation.report.parts import Figure, Panel
from crisis_filter.evaluation.report.scoring import scored
from crisis_filter.evaluation.report.thresholds import thin
from crisis_filter.evaluation.report.words import clean, estimate, level, sentence
from crisis_filter.stats.intervals import wilson

_ZOOM = 0.9
_WIDTH, _HEIGHT = 440, 290
_MOST_MARKS = 60
_MOST_STEPS = 400


def roc(evaluation: Evaluation) -> Figure | None:
    """Sensitivity from 0.9 to 1 against the false positive rate, with the operating points; `None` without scores."""
    found = [one for one in scored(evaluation) if one[2].crises and one[2].others and one[2].points]
    if not found:
        return None
    charts = altair()
    most = max((_needed(scores) for _, _, scores in found), default=1.0)
    operating = [_operating(place, each) for place, each in enumerate(evaluation.systems)]
    inside = [row for row in operating if row is not None and float(str(row["y"])) >= _ZOOM]
    most = min(1.0, max([most, *(float(str(row["x"])) for row in inside), 0.01]) * 1.04)
    x = charts.X(
        "x:Q",
        title="false positive rate",
        scale=charts.Scale(domain=[0, most], nice=False),
        axis=charts.Axis(tickCount=8),
    )
    y = charts.Y(
        "y:Q",
        title="sensitivity",
        scale=charts.Scale(domain=[_ZOOM, 1], nice=False),
        axis=charts.Axis(tickCount=5, format=".2f"),
    )
    layers: list[Any] = []
    for place, each, scores in found:
        at = look(place)
        shown = [
            row for row in _curve(each, scores, evaluation.settings.level) if row["y"] >= _ZOOM and row["x"] <= most
        ]
        line = charts.Chart(data(_steps(shown, most))).mark_line(
            aria=False, interpolate="step-after", color=at.colour, strokeWidth=1.5, strokeDash=list(at.dash)
        )
        layers.append(line.encode(x=x, y=y))
        few = [shown[i] for i in _spread(len(shown), _MOST_MARKS)]
        dots = charts.Chart(data(few)).mark_point(filled=True, size=14, opacity=0.8, color=at.colour, shape=at.shape)
        layers.append(dots.encode(x=x, y=y, description="say:N"))
    layers += [_cross(row, look(int(str(row["place"]))), most, x, y) for row in inside]
    places = [*(place for place, _, _ in found), *(int(str(row["place"])) for row in inside)]
    chart = charts.layer(*layers).properties(width=_WIDTH, height=_HEIGHT)
    svg = draw(
        chart, f"ROC curves for sensitivities from {_ZOOM:g} to 1, with the operating point of each system.", font=13
    )
    return Figure(
        "roc",
        "ROC curve where few crises are missed",
        _roc_caption(evaluation, operating),
        (Panel("", svg),),
        keys(evaluation, places),
        wide=True,
    )


def _roc_caption(evaluation: Evaluation, operating: list[dict[str, Any] | None]) -> str:
    away = [
        f"{clean(each.system.name)} at sensitivity {estimate(each.screening.measures.sensitivity)}"
        for each, row in zip(evaluation.systems, operating, strict=True)
        if row is None or row["y"] < _ZOOM
    ]
    away += [
        f"the curve of {clean(each.system.name)}, whose scores find {most:,} of {scores.crises:,} crises at most"
        for _, each, scores in scored(evaluation)
        if (most := max((point.found for point in scores.points), default=0)) < _ZOOM * scores.crises
    ]
    caption = (
        "Large open marks with bars: the operating point in use, an undetermined message counted as in Stage 1, with "
        f"{level(evaluation.settings.level)} intervals. Small marks: single thresholds; each has its counts and intervals."
    )
    return caption + (f" Outside the picture: {'; '.join(away)}." if away else "")


def _needed(scores: Scores) -> float:
    """Of the false positive rate, as much as there is to see: up to where no more crises are found."""
    most = max(point.found for point in scores.points)
    reached = next(point.alarms for point in scores.points if point.found == most)
    return reached / scores.others


def _curve(report: SystemReport, scores: Scores, of_level: float) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for point in thin(scores.points, _MOST_STEPS):
        found, alarms = wilson(point.found, scores.crises, of_level), wilson(point.alarms, scores.others, of_level)
        say = f"{clean(report.system.name)}, threshold {point.threshold:.4g}: sensitivity {sentence(found)}; false positive rate {sentence(alarms)}"
        rows.append({"x": alarms.estimate or 0.0, "y": found.estimate or 0.0, "say": say})
    return rows


def _steps(shown: list[dict[str, Any]], most: float) -> list[dict[str, Any]]:
    """The line within the picture: up from its lower edge, and on to its right one."""
    if not shown:
        return []
    return [{"x": shown[0]["x"], "y": _ZOOM}, *shown, {"x": most, "y": shown[-1]["y"]}]


def _operating(place: int, report: SystemReport) -> dict[str, Any] | None:
    sensitivity, specificity = report.screening.measures.sensitivity, report.screening.measures.specificity
    if sensitivity.estimate is None or specificity.estimate is None:
        return None
    return {
        "place": place,
        "x": 1 - specificity.estimate,
        "x1": 1 - specificity.high,
        "x2": 1 - specificity.low,
        "y": sensitivity.estimate,
        "y1": sensitivity.low,
        "y2": sensitivity.high,
        "say": f"{clean(report.system.name)}, in use: sensitivity {sentence(sensitivity)}; specificity {sentence(specificity)}",
    }


def _cross(row: dict[str, Any], at: Look, most: float, x: Any, y: Any) -> Any:
    """An operating point with its two intervals, as far as they lie within the picture."""
    charts = altair()
    within = {
        "x1": max(0.0, row["x1"]),
        "x2": min(most, row["x2"]),
        "y1": max(_ZOOM, row["y1"]),
        "y2": min(1.0, row["y2"]),
    }
    base = charts.Chart(data([{**row, **within}]))
    bar = {"aria": False, "color": at.colour, "strokeWidth": 1.25}
    across = base.mark_rule(**bar).encode(x=charts.X("x1:Q"), x2="x2:Q", y=y)
    along = base.mark_rule(**bar).encode(x=x, y=charts.Y("y1:Q"), y2="y2:Q")
    mark = base.mark_point(shape=at.shape, filled=False, size=170, opacity=1, strokeWidth=2.25, color=at.colour)
    return charts.layer(across, along, mark.encode(x=x, y=y, description="say:N"))


def _spread(length: int, most: int) -> list[int]:
    if length <= most:
        return list(range(length))
    return sorted({round(i * (length - 1) / (most - 1)) for i in range(most)})
