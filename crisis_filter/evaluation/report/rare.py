"""Where crises are rare: how many alarms are right, and what 10,000 messages look like."""

from __future__ import annotations

from typing import Any

from crisis_filter.evaluation.records import AtPrevalence, Evaluation, SystemReport
from crisis_filter.evaluation.report.forest import keys
from crisis_filter.evaluation.report.ink import altair, data, draw, look
from crisis_filter.evaluation.report.parts import Figure, Panel
from crisis_filter.evaluation.report.words import between, clean, ratio, share

_WIDTH, _HEIGHT = 440, 280


def predictive_values(evaluation: Evaluation) -> Figure | None:
    """PPV against the share of crises; `None` where none was computed."""
    rows = [_row(place, each, at) for place, each in enumerate(evaluation.systems) for at in each.prevalences]
    if not any(row["ppv"] is not None for row in rows):
        return None
    charts = altair()
    shares = [row["at"] for row in rows if isinstance(row["at"], float)]
    domain = [min(shares), max(shares)] if min(shares) < max(shares) else [min(shares) / 2, min(1.0, min(shares) * 2)]
    axis = charts.Axis(values=_ticks(domain[0], domain[1]), format=".3~%", grid=True)
    x = charts.X("at:Q", title="share of messages that are crises (logarithmic)", axis=axis)
    x = x.scale(charts.Scale(type="log", domain=domain, nice=False))
    y = charts.Scale(domain=[0, 1])
    layers: list[Any] = []
    drawn = [place for place, each in enumerate(evaluation.systems) if each.prevalences]
    for place in drawn:
        at = look(place)
        mine = charts.Chart(data([row for row in rows if row["system"] == place and row["ppv"] is not None])).encode(
            x=x
        )
        ranged = mine.transform_filter(charts.FieldOneOfPredicate(field="ranged", oneOf=[True]))
        band = ranged.mark_area(aria=False, opacity=0.14, color=at.colour)
        layers.append(band.encode(y=charts.Y("low:Q", scale=y), y2="high:Q"))
        line = mine.mark_line(aria=False, color=at.colour, strokeWidth=1.75, strokeDash=list(at.dash))
        layers.append(line.encode(y=charts.Y("ppv:Q", scale=y, title="positive predictive value")))
        points = mine.mark_point(shape=at.shape, filled=True, size=52, opacity=1, color=at.colour)
        layers.append(points.encode(y=charts.Y("ppv:Q", scale=y), description="say:N"))
    chart = charts.layer(*layers).properties(width=_WIDTH, height=_HEIGHT)
    svg = draw(
        chart,
        f"Lines of the positive predictive value, for shares of crises from {share(domain[0])} to {share(domain[1])}.",
        font=13,
    )
    caption = "Of the alarms, the share that are crises. Bands are intervals; they hold if sensitivity and specificity stay as measured here."
    return Figure(
        "ppv",
        "Positive predictive value by share of crises",
        caption,
        (Panel("", svg),),
        keys(evaluation, drawn),
        wide=True,
    )


def _row(place: int, report: SystemReport, at: AtPrevalence) -> dict[str, object]:
    span = at.ppv_span
    measures = report.screening.measures
    value = "undefined" if at.ppv is None else f"{at.ppv:.3f}"
    around = f" ({between(span)})" if span is not None else ", no interval"
    say = (
        f"{clean(report.system.name)}, {share(at.prevalence)} crises: PPV {value}{around}; from sensitivity {ratio(measures.sensitivity)}, "
        f"specificity {ratio(measures.specificity)}"
    )
    return {
        "system": place,
        "at": float(at.prevalence),
        "ppv": at.ppv,
        "ranged": span is not None,
        "low": span.low if span is not None else None,
        "high": span.high if span is not None else None,
        "say": say,
    }


def _ticks(low: float, high: float) -> list[float]:
    every = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
    return [tick for tick in every if low * 0.999 <= tick <= high * 1.001]
