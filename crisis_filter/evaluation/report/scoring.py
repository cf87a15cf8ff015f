"""What scores tell, in tables: ranking, thresholds, calibration."""

from __future__ import annotations

from itertools import pairwise

from crisis_filter.evaluation.records import Evaluation, Point, Scores, SystemReport
from crisis_filter.evaluation.report.parts import Section, Sheet
from crisis_filter.evaluation.report.words import (
    between,
    clean,
    counted,
    expected,
    level,
    number,
    rate,
    ratio,
    share,
    spanned,
)
from crisis_filter.stats.intervals import Interval, wilson

PREVALENCE, VOLUME = 0.01, 10_000
"""What the table of thresholds, and the explorer at first, assume: the share of crises, and messages a day."""
_SENSITIVITIES = (1.0, 0.995, 0.99, 0.98, 0.97, 0.95, 0.9, 0.8, 0.5)
_THRESHOLDS = 30


def scored(evaluation: Evaluation) -> list[tuple[int, SystemReport, Scores]]:
    """Systems with scores, and their places."""
    return [
        (place, each, each.scores) for place, each in enumerate(evaluation.systems) if isinstance(each.scores, Scores)
    ]


def unscored(evaluation: Evaluation) -> tuple[str, ...]:
    """Why the others have none."""
    return tuple(
        f"{clean(each.system.name)}: no figures from scores, because {clean(each.scores.reason)}."
        for each in evaluation.systems
        if not isinstance(each.scores, Scores)
    )


def ranking(evaluation: Evaluation) -> Section:
    """ROC and what a sensitivity costs."""
    found = scored(evaluation)
    if not found:
        return Section("ranking", "Thresholds", remarks=unscored(evaluation))
    return Section(
        "ranking",
        "Thresholds",
        paragraphs=(
            "A system that gives each message a score can be used at any threshold. A threshold that is chosen on these messages looks better "
            "here than it will elsewhere: choose on development data, then confirm on others.",
        ),
        remarks=(*map(_missing, found), *unscored(evaluation)),
        sheets=(
            _at(evaluation, found),
            *(_points(each, scores, evaluation.settings.level) for _, each, scores in found),
            _explored(evaluation, found),
        ),
    )


def _missing(found: tuple[int, SystemReport, Scores]) -> str:
    _, each, scores = found
    of = scores.crises + scores.others
    begin = f"{clean(each.system.name)}: scores from {clean(scores.source)}; "
    if not scores.missing:
        return f"{begin}each of the {of:,} messages has one."
    return f"{begin}{scores.missing:,} of {of:,} messages have none, and each counts as ranked wrongly."


def _at(evaluation: Evaluation, found: list[tuple[int, SystemReport, Scores]]) -> Sheet:
    heads: tuple[str, ...] = (
        "system",
        "AUROC",
        "if missing scores were right",
        "sensitivity aimed at",
        "reached",
        "threshold",
        "false positive rate",
        "",
    )
    rows: list[tuple[str, ...]] = []
    for _, each, scores in found:
        name = f"{clean(each.system.name)}\n{counted(scores.crises, 'crisis', 'crises')}, {counted(scores.others, 'other')}"
        area = (name, spanned(scores.auroc, scores.auroc_span), number(scores.auroc_best))
        for at in scores.at:
            rate_of = rate(at.false_positive_rate)
            if at.bootstrap is not None:
                rate_of += f"\nthreshold chosen anew: {between(at.bootstrap)}"
            remark = "only by flagging every message" if at.unreachable else ""
            cells = (f"{at.target:g}", number(at.reached), number(at.threshold, 4), rate_of, remark)
            rows.append((*area, *cells))
        if not scores.at:
            rows.append((*area, *["not asked"] * 4, ""))
    caption = f"Ranking, with {level(evaluation.settings.level)} intervals: what false alarms a sensitivity costs"
    if not any(row[-1] for row in rows):
        heads, rows = heads[:-1], [row[:-1] for row in rows]
    return Sheet(caption, heads, tuple(rows), figure="roc")


def thin(points: tuple[Point, ...], most: int) -> tuple[Point, ...]:
    """At most so many points, the first and the last among them."""
    if len(points) <= most:
        return points
    last = len(points) - 1
    return tuple(points[round(i * last / (most - 1))] for i in range(most))


def _points(report: SystemReport, scores: Scores, level_of: float) -> Sheet:
    rows = tuple(
        (
            f"{point.threshold:.4g}",
            rate(wilson(point.found, scores.crises, level_of)),
            rate(wilson(point.alarms, scores.others, level_of)),
        )
        for point in thin(scores.points, _THRESHOLDS)
    )
    return Sheet(
        f"{clean(report.system.name)}: points of the curve",
        ("threshold", "sensitivity", "false positive rate"),
        rows,
        figure="roc",
    )


def _explored(evaluation: Evaluation, found: list[tuple[int, SystemReport, Scores]]) -> Sheet:
    heads = (
        "system",
        "threshold",
        "crises found",
        "missed per 1,000 crises",
        "others flagged",
        "false alarms a day",
        "alarms a day",
    )
    rows = tuple(
        (clean(each.system.name), *_costs(point, scores, evaluation.settings.level))
        for _, each, scores in found
        for point in _chosen(scores)
    )
    caption = (
        f"What thresholds cost if {share(PREVALENCE)} of {VOLUME:,} messages a day are crises (an assumption), with "
        f"{level(evaluation.settings.level)} intervals"
    )
    return Sheet(caption, heads, rows, names=1, figure="explorer")


def _chosen(scores: Scores) -> list[Point]:
    """For each of some sensitivities the highest threshold that reaches it."""
    reached = [next((p for p in scores.points if p.found >= aim * scores.crises), None) for aim in _SENSITIVITIES]
    points = [point for point in reached if point is not None]
    return points[:1] + [b for a, b in pairwise(points) if a != b]


def _costs(point: Point, scores: Scores, level_of: float) -> tuple[str, ...]:
    found, alarms = (wilson(point.found, scores.crises, level_of), wilson(point.alarms, scores.others, level_of))
    missed = _scaled(found, -1000.0, 1000.0)
    others = VOLUME * (1 - PREVALENCE)
    total = "undefined"
    if found.estimate is not None and alarms.estimate is not None:
        total = expected(VOLUME * PREVALENCE * found.estimate + others * alarms.estimate)
    return (f"{point.threshold:.4g}", ratio(found), missed, ratio(alarms), _scaled(alarms, others, 0.0), total)


def _scaled(of: Interval, by: float, plus: float) -> str:
    """An interval on another scale."""
    if of.estimate is None:
        return "undefined"
    low, high = sorted((of.low * by + plus, of.high * by + plus))
    return f"{of.estimate * by + plus:,.1f}\n({low:,.1f} to {high:,.1f})"
