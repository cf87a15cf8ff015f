"""What scores can tell, whatever threshold was used: ranking, false alarms at a sensitivity, thresholds, calibration."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crisis_filter.evaluation import records
from crisis_filter.evaluation.matching import Answers, Flags, Matched
from crisis_filter.evaluation.records import AtSensitivity, Bin, Point, Scores, Settings, Unscored
from crisis_filter.stats import calibration, draws, ranking
from crisis_filter.stats.intervals import proportion
from crisis_filter.stats.resampling import Resampling, Span, between, bootstrap_several

__all__ = ["TARGETS", "ranked", "scores", "why_unscored"]

TARGETS = (0.90, 0.95, 0.98)
"""Sensitivities at which false alarms are told; MindGuard has the first two."""
_POINTS = 400
_BINS = 15
# Outside 0 to 1, so that a message without a score is found last where it is a crisis, and first where it is not.
_LAST, _FIRST = -1.0, 2.0


def scores(matched: Matched, answers: Answers, settings: Settings) -> Scores | Unscored:
    """The figures of one system, or why there are none."""
    if (reason := why_unscored(matched, answers)) is not None:
        return Unscored(reason=reason)
    crisis, given = matched.crisis, answers.scores
    missing, positives = np.isnan(given), int(crisis.sum())
    worst, best = ranked(matched, answers)
    area = ranking.auroc_interval(crisis, worst, settings.level)
    drawn = _drawn(matched, worst, settings)
    curve = ranking.thinned(ranking.roc(crisis, worst), _POINTS)
    return Scores(
        source=answers.sources[0],
        crises=positives,
        others=len(crisis) - positives,
        missing=int(missing.sum()),
        auroc=area.estimate,
        auroc_span=area.interval if matched.clusters is None else drawn[0],
        auroc_best=ranking.auroc(crisis, best),
        at=tuple(_at(crisis, worst, target, span, settings) for target, span in zip(TARGETS, drawn[1:], strict=True)),
        points=tuple(
            Point(threshold=float(threshold), found=int(tp), alarms=int(fp))
            for threshold, tp, fp in zip(curve.thresholds, curve.tp, curve.fp, strict=True)
            if 0.0 <= threshold <= 1.0
        ),
        calibration=_calibration(matched, given, ~missing, settings),
    )


def why_unscored(matched: Matched, answers: Answers) -> str | None:
    """Why a system's scores cannot be ranked; `None` when they can."""
    if np.isnan(answers.scores).all():
        return "this system gives no scores"
    if len(answers.sources) > 1:
        return f"scores of several sources ({', '.join(answers.sources)}) are no one scale, and were not compared"
    if matched.crisis.all() or not matched.crisis.any():
        return "only one class is there; ranking is undefined"
    return None


def ranked(matched: Matched, answers: Answers) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scores, each shape (messages,), with those that are missing ranked wrongly, and with them ranked rightly."""
    crisis, given, missing = matched.crisis, answers.scores, np.isnan(answers.scores)
    worst = np.where(missing, np.where(crisis, _LAST, _FIRST), given)
    best = np.where(missing, np.where(crisis, _FIRST, _LAST), given)
    return worst, best


def _drawn(matched: Matched, values: NDArray[np.float64], settings: Settings) -> tuple[Span | None, ...]:
    """Intervals of the false-positive rate at each target, and before them that of the area where clusters are drawn."""
    rng = np.random.default_rng(settings.seed)
    if matched.clusters is not None:
        statistic = draws.ranking_of_draws(matched.crisis, values, TARGETS)
        how = Resampling(rng, settings.resamples, matched.clusters)
        return bootstrap_several(len(values), statistic, how, level=settings.level)
    rates = draws.resampled_rates(matched.crisis, values, TARGETS, rng=rng, resamples=settings.resamples)
    tail = (1.0 - settings.level) / 2.0
    return (None, *(between(column, (tail, 1.0 - tail), settings.level, "bootstrap") for column in rates.T))


def _at(
    crisis: Flags, values: NDArray[np.float64], target: float, span: Span | None, settings: Settings
) -> AtSensitivity:
    found = ranking.fpr_at_tpr(crisis, values, target, settings.level)
    assert found is not None  # noqa: S101  # both classes are there
    return AtSensitivity(
        target=target,
        reached=found.tpr.estimate,
        threshold=found.threshold if 0.0 <= found.threshold <= 1.0 else None,
        false_positive_rate=proportion(found.fpr.count, found.fpr.nobs, settings.level, settings.interval),
        bootstrap=span,
        unreachable=found.unreachable,
    )


def _calibration(
    matched: Matched, given: NDArray[np.float64], there: Flags, settings: Settings
) -> records.Calibration | None:
    """Calibration of the messages that have a score; `None` where they are of one class."""
    crisis, values = matched.crisis[there], given[there]
    if crisis.all() or not crisis.any():
        return None
    clusters = None if matched.clusters is None else [matched.clusters[at] for at in np.flatnonzero(there)]
    how = Resampling(np.random.default_rng(settings.seed), settings.resamples, clusters)
    found = calibration.calibration(crisis, values, how=how, bins=_BINS, level=settings.level)
    line = found.recalibration
    return records.Calibration(
        brier=found.brier,
        brier_span=found.brier_span,
        brier_skill=found.brier_skill,
        log_loss=found.log_loss,
        log_loss_span=found.log_loss_span,
        ece=found.ece,
        ece_span=found.ece_span,
        slope=line and line.slope,
        intercept=line and line.intercept,
        distinct=found.distinct,
        histogram=tuple(
            zip(calibration.histogram(values[crisis]), calibration.histogram(values[~crisis]), strict=True)
        ),
        bins=tuple(
            Bin(
                low=each.low,
                high=each.high,
                mean=each.mean,
                observed=proportion(each.positives, each.n, settings.level, settings.interval),
            )
            for each in found.bins
        ),
    )
