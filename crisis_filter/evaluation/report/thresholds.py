"""What thresholds cost, and which of them a system ran at."""

from __future__ import annotations

from crisis_filter.evaluation.records import Evaluation, Point, Scores, SystemReport
from crisis_filter.evaluation.report.parts import Sheet
from crisis_filter.evaluation.report.words import UNDEFINED, clean, level, ratio, share, whole
from crisis_filter.stats.intervals import Interval, wilson

PREVALENCE, VOLUME = 0.01, 10_000
"""What the table of thresholds, and the explorer at first, assume: the share of crises, and messages a day."""
IN_USE = "nearest to how it ran"
_SENSITIVITIES = (1.0, 0.995, 0.99, 0.98, 0.97, 0.95, 0.9, 0.8, 0.5)
_NEAR = 0.02


def in_use(report: SystemReport, scores: Scores) -> int | None:
    """The place among the points of the threshold that comes nearest to what the system said.

    Distance is that of crises found, as a share of the crises, and that of false alarms, as a share of the others, added up. Scores
    that say something else than the system did have no such threshold: `None` where even the nearest is more than 0.02 off on either
    side, not counting what undetermined messages can account for.
    """
    one = report.screening
    if not (scores.points and scores.crises and scores.others):
        return None
    crises, others = one.crises.get("crisis", 0), one.others.get("crisis", 0)

    def distances(point: Point) -> tuple[float, float]:
        return abs(point.found - crises) / scores.crises, abs(point.alarms - others) / scores.others

    place = min(range(len(scores.points)), key=lambda at: sum(distances(scores.points[at])))
    slack = (
        _NEAR + one.crises.get("undetermined", 0) / scores.crises,
        _NEAR + one.others.get("undetermined", 0) / scores.others,
    )
    near = all(off <= most for off, most in zip(distances(scores.points[place]), slack, strict=True))
    return place if near else None


def how_it_ran(report: SystemReport) -> str:
    """`857 of 900 crises found, 254 of 900 others taken for a crisis`."""
    one = report.screening
    sides = ((one.crises, "crises found"), (one.others, "others taken for a crisis"))
    return ", ".join(f"{side.get('crisis', 0):,} of {sum(side.values()):,} {words}" for side, words in sides)


def thin(points: tuple[Point, ...], most: int, keep: int | None = None) -> tuple[Point, ...]:
    """At most so many points (3 or more), the first and the last among them, and the one at the place to keep."""
    if len(points) <= most:
        return points
    last, room = len(points) - 1, most - (keep is not None)
    places = {round(at * last / (room - 1)) for at in range(room)} | ({keep} if keep is not None else set())
    return tuple(points[at] for at in sorted(places))


def explored(evaluation: Evaluation, found: list[tuple[int, SystemReport, Scores]]) -> Sheet:
    """The table that says the most of what the explorer does, for paper and without a script."""
    heads = (
        "system",
        "threshold",
        "crises found",
        "missed per 1,000 crises",
        "others flagged",
        "false alarms a day",
        "alarms a day",
    )
    rows = []
    for _, each, scores in found:
        used = in_use(each, scores)
        for place in _chosen(scores, used):
            threshold, *costs = _costs(scores.points[place], scores, evaluation.settings.level)
            mark = f"\n{IN_USE}" if place == used else ""
            rows.append((clean(each.system.name), threshold + mark, *costs))
    caption = (
        f"What thresholds cost if {share(PREVALENCE)} of {VOLUME:,} messages a day are crises (an assumption), in whole messages, with "
        f"{level(evaluation.settings.level)} intervals"
    )
    return Sheet(caption, heads, tuple(rows), names=1, figure="explorer")


def _chosen(scores: Scores, used: int | None) -> list[int]:
    """The one in use, and for each of some sensitivities the highest threshold that reaches it, as places; lowest threshold first."""
    every = range(len(scores.points))
    reached = [
        next((at for at in every if scores.points[at].found >= aim * scores.crises), None) for aim in _SENSITIVITIES
    ]
    return sorted({at for at in (*reached, used) if at is not None}, reverse=True)


def _costs(point: Point, scores: Scores, level_of: float) -> tuple[str, ...]:
    found, alarms = (wilson(point.found, scores.crises, level_of), wilson(point.alarms, scores.others, level_of))
    missed = _scaled(found, -1000.0, 1000.0)
    others = VOLUME * (1 - PREVALENCE)
    total = UNDEFINED
    if found.estimate is not None and alarms.estimate is not None:
        total = whole(VOLUME * PREVALENCE * found.estimate + others * alarms.estimate)
    return (f"{point.threshold:.4g}", ratio(found), missed, ratio(alarms), _scaled(alarms, others, 0.0), total)


def _scaled(of: Interval, by: float, plus: float) -> str:
    """An interval on another scale."""
    if of.estimate is None:
        return UNDEFINED
    low, high = sorted((of.low * by + plus, of.high * by + plus))
    return f"{whole(of.estimate * by + plus)}\n({whole(low)} to {whole(high)})"
