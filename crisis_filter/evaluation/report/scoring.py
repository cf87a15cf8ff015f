"""What scores tell, in tables: ranking, thresholds, calibration."""

from __future__ import annotations

from crisis_filter.evaluation.records import Evaluation, Scores, SystemReport
from crisis_filter.evaluation.report.parts import Section, Sheet
from crisis_filter.evaluation.report.thresholds import IN_USE, explored, in_use, thin
from crisis_filter.evaluation.report.words import (
    between,
    clean,
    counted,
    level,
    number,
    rate,
    spanned,
)
from crisis_filter.stats.intervals import wilson

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
            explored(evaluation, found),
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


def _points(report: SystemReport, scores: Scores, level_of: float) -> Sheet:
    place = in_use(report, scores)
    used = None if place is None else scores.points[place]
    rows = tuple(
        (
            f"{point.threshold:.4g}" + (f"\n{IN_USE}" if point == used else ""),
            rate(wilson(point.found, scores.crises, level_of)),
            rate(wilson(point.alarms, scores.others, level_of)),
        )
        for point in thin(scores.points, _THRESHOLDS, place)
    )
    return Sheet(
        f"{clean(report.system.name)}: points of the curve",
        ("threshold", "sensitivity", "false positive rate"),
        rows,
        figure="roc",
    )
