"""The reliability diagram: observed share of crises by score, over a histogram of scores."""

from __future__ import annotations

from crisis_filter.evaluation.records import Calibration, Evaluation, SystemReport
from crisis_filter.evaluation.report.ink import GRID, MUTED, Look, altair, data, draw, look
from crisis_filter.evaluation.report.parts import Figure, Panel
from crisis_filter.evaluation.report.scoring import scored
from crisis_filter.evaluation.report.words import clean, level, sentence


def reliability(evaluation: Evaluation) -> Figure | None:
    """Observed share of crises by score, over a histogram of scores; `None` without calibration."""
    panels = tuple(
        Panel(clean(each.system.name), _reliability(each, scores.calibration, look(place)))
        for place, each, scores in scored(evaluation)
        if scores.calibration is not None and scores.calibration.bins
    )
    if not panels:
        return None
    caption = (
        f"Bars: share of crises among messages with such scores, with {level(evaluation.settings.level)} intervals; the dashed line is where bars "
        "would end if scores were right. Below: how many messages have such scores, crises dark and others light."
    )
    return Figure("reliability", "Scores and what was true", caption, panels)


def _reliability(report: SystemReport, one: Calibration, at: Look) -> str:
    charts = altair()
    rows = [
        {
            "low": each.low,
            "high": each.high,
            "mean": each.mean,
            "observed": each.observed.estimate,
            "below": each.observed.low,
            "above": each.observed.high,
            "say": f"score {each.low:.3f} to {each.high:.3f}, mean {each.mean:.3f}: crises {sentence(each.observed)}",
        }
        for each in one.bins
        if each.observed.estimate is not None
    ]
    base = charts.Chart(data(rows))
    x = charts.X(
        "low:Q", title=None, scale=charts.Scale(domain=[0, 1], nice=False), axis=charts.Axis(tickCount=5, format=".1~f")
    )
    y = charts.Scale(domain=[0, 1], nice=False)
    bars = base.mark_rect(color=at.colour, fillOpacity=0.25, stroke=at.colour, strokeWidth=1).encode(
        x=x,
        x2="high:Q",
        y=charts.Y("observed:Q", title="share of crises", scale=y),
        y2=charts.value(200),
        description="say:N",
    )
    whisker = base.mark_rule(aria=False, color=at.colour, strokeWidth=1.75).encode(
        x=charts.X("mean:Q"), y=charts.Y("below:Q", scale=y), y2="above:Q"
    )
    dot = base.mark_point(aria=False, shape=at.shape, filled=True, size=40, opacity=1, color=at.colour).encode(
        x="mean:Q", y=charts.Y("observed:Q", scale=y)
    )
    right = (
        charts.Chart(data([{"a": 0, "b": 0}, {"a": 1, "b": 1}]))
        .mark_line(aria=False, color=MUTED, strokeWidth=1, strokeDash=[4, 3])
        .encode(x="a:Q", y=charts.Y("b:Q", scale=y))
    )
    top = charts.layer(bars, right, whisker, dot).properties(width=300, height=200)
    wide = 1 / len(one.histogram)
    columns = [
        {
            "low": place * wide,
            "high": (place + 1) * wide,
            "from": first,
            "to": first + count,
            "dark": dark,
            "say": f"score {place * wide:.2f} to {(place + 1) * wide:.2f}: {count:,} of {crises + others:,} messages, {what}",
        }
        for place, (crises, others) in enumerate(one.histogram)
        for first, count, dark, what in ((0, crises, 0.9, "crises"), (crises, others, 0.3, "not crises"))
        if count
    ]
    histogram = (
        charts.Chart(data(columns))
        .mark_rect(color=MUTED, stroke=GRID)
        .encode(
            x=x.title("score"),
            x2="high:Q",
            y=charts.Y("from:Q", title="messages", axis=charts.Axis(tickCount=3)),
            y2="to:Q",
            fillOpacity=charts.FillOpacity("dark:Q", scale=None, legend=None),
            description="say:N",
        )
        .properties(width=300, height=70)
    )
    return draw(
        charts.vconcat(top, histogram, spacing=12),
        f"Reliability diagram of {clean(report.system.name)} with {len(rows)} bars, over a histogram.",
    )
