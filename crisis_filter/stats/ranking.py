"""How well scores put crisis above the rest: area under the ROC curve, its points, and false alarms at a wanted sensitivity.

Everything here reads the order of scores alone; whether they are good probabilities is for `calibration` to say. Intervals take
messages for independent. Where several come from one author or conversation, use `resampling.bootstrap` with clusters.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crisis_filter.stats.intervals import Interval, wilson
from crisis_filter.stats.resampling import Span, from_error

Truth = NDArray[np.bool_]
Scores = NDArray[np.float64]

# Below this a standard error is rounding.
_NO_WIDTH = 1e-12


@dataclass(frozen=True, slots=True)
class Auroc:
    """Area under the ROC curve: how often a positive scores higher than a negative, ties counting half."""

    estimate: float | None
    """0 to 1, 0.5 for chance; `None` without a positive or without a negative."""
    standard_error: float | None
    """By DeLong; `None` with fewer than 2 positives or 2 negatives."""
    interval: Span | None
    """On the scale of log-odds. `None` without standard error, and where it is 0 (all apart, or all tied): an interval without
    width would claim certainty."""
    positives: int
    negatives: int


@dataclass(frozen=True, slots=True)
class AurocDifference:
    """Two systems on the same messages; above 0 the first ranks better."""

    first: float | None
    second: float | None
    estimate: float | None
    """`first - second`, -1 to 1; `None` without a positive or without a negative."""
    standard_error: float | None
    """By DeLong, with the two systems' covariance; `None` with fewer than 2 positives or 2 negatives."""
    interval: Span | None
    """From the standard error; `None` without one, and where it is 0."""
    p: float | None
    """Two-sided, that the areas are equal. 1 where both rank alike; `None` without spread otherwise, or without standard error."""
    positives: int
    negatives: int


@dataclass(frozen=True, slots=True, eq=False)
class Roc:
    """Every point of a ROC curve that a threshold can reach, from flagging nothing to flagging everything."""

    thresholds: NDArray[np.float64]
    """Shape (points,), falling; a message is flagged when its score is at least the threshold. The first is infinite: none is."""
    tp: NDArray[np.int64]
    """Positives flagged at each threshold."""
    fp: NDArray[np.int64]
    """Negatives flagged at each threshold."""
    positives: int
    negatives: int

    @property
    def tpr(self) -> NDArray[np.float64] | None:
        """Sensitivity at each threshold, or `None` without a positive."""
        return self.tp / self.positives if self.positives else None

    @property
    def fpr(self) -> NDArray[np.float64] | None:
        """Share of false alarms at each threshold, or `None` without a negative."""
        return self.fp / self.negatives if self.negatives else None


@dataclass(frozen=True, slots=True)
class FprAt:
    """False alarms at the highest threshold that reaches a wanted sensitivity."""

    target: float
    """The wanted sensitivity, in (0, 1]."""
    fpr: Interval
    """Negatives at or above the threshold."""
    tpr: Interval
    """The sensitivity reached: at least `target`, and above it where scores tie. The threshold was chosen on these positives, so
    the interval is no promise for others."""
    threshold: float
    """Flag when the score is at least this."""
    unreachable: bool
    """Only flagging every message reaches the target, as with a yes-or-no answer that misses too many; `fpr` is then 1."""


def labelled(truth: ArrayLike, scores: ArrayLike) -> tuple[Truth, Scores]:
    """Truth and scores as arrays, checked.

    Args:
        truth: shape (messages,), booleans or 0 and 1; whether each is a positive (a crisis).
        scores: shape (messages,), finite numbers; higher means more likely positive.

    Raises:
        ValueError: shapes that differ, a truth that is neither yes nor no, or a score that is missing or not finite; it names the
            first place.
    """
    said = np.asarray(truth)
    try:
        values = np.asarray(scores, dtype=np.float64)
    except TypeError:
        raise ValueError("scores must be numbers") from None
    if said.ndim != 1 or said.shape != values.shape:
        raise ValueError("truth and scores must be flat and equally long")
    if said.dtype != np.bool_:
        _refuse(~((said == 0) | (said == 1)), "truth is neither yes nor no")
    _refuse(~np.isfinite(values), "score is not finite")
    return said.astype(np.bool_), values


def auroc(truth: ArrayLike, scores: ArrayLike) -> float | None:
    """Area under the ROC curve, ties counting half.

    Args:
        truth: see `labelled`.
        scores: see `labelled`.

    Returns:
        0 to 1, or `None` without a positive or without a negative.

    Raises:
        ValueError: see `labelled`.

    References:
        J. A. Hanley, B. J. McNeil, "The Meaning and Use of the Area under a Receiver Operating Characteristic (ROC) Curve", Radiology
        143 (1982), 29-36, doi:10.1148/radiology.143.1.7063747.
    """
    said, values = labelled(truth, scores)
    return auroc_of_draws(said, values)(np.arange(len(said)))


def auroc_of_draws(truth: ArrayLike, scores: ArrayLike) -> Callable[[NDArray[np.intp]], float | None]:
    """The area as a function of the messages drawn, for `resampling.bootstrap`; scores are sorted once for all draws.

    Args:
        truth: see `labelled`.
        scores: see `labelled`.

    Returns:
        A function of message numbers, any number of times each; it gives `None` where a draw lacks a class.

    Raises:
        ValueError: see `labelled`.
    """
    said, values = labelled(truth, scores)
    codes = np.unique(values, return_inverse=True)[1]
    # Odd codes are positives.
    places = 2 * codes + said
    kinds = int(codes.max(initial=-1)) + 1

    def area(drawn: NDArray[np.intp]) -> float | None:
        counts = np.bincount(places[drawn], minlength=2 * kinds).reshape(-1, 2)
        below, above = counts[:, 0], counts[:, 1]
        positives, negatives = int(above.sum()), int(below.sum())
        if not positives or not negatives:
            return None
        return float(above @ (2 * np.cumsum(below) - below)) / (2 * positives * negatives)

    return area


def auroc_interval(truth: ArrayLike, scores: ArrayLike, level: float = 0.95) -> Auroc:
    """Area under the ROC curve with DeLong's standard error, and an interval on the scale of log-odds.

    Args:
        truth: see `labelled`.
        scores: see `labelled`.
        level: nominal coverage, in (0, 1).

    Returns:
        The area; every figure that is undefined is `None`. Near 0.5 the interval is close to the plain normal one; near 1 it stays
        inside 0..1. With few messages of one class it is too narrow.

    Raises:
        ValueError: see `labelled`; also a level outside (0, 1).

    References:
        E. R. DeLong, D. M. DeLong, D. L. Clarke-Pearson, "Comparing the Areas under Two or More Correlated Receiver Operating
        Characteristic Curves", Biometrics 44 (1988), 837-845, doi:10.2307/2531595.
        X. Sun, W. Xu, "Fast Implementation of DeLong's Algorithm", IEEE Signal Processing Letters 21 (2014), 1389-1393,
        doi:10.1109/LSP.2014.2337313.
        M. S. Pepe, "The Statistical Evaluation of Medical Tests for Classification and Prediction" (2003), section 5.2.5 (log-odds).
    """
    if not 0.0 < level < 1.0:
        raise ValueError("level must lie strictly between 0 and 1")
    said, values = labelled(truth, scores)
    positives = int(said.sum())
    negatives = len(said) - positives
    estimate = auroc(said, values)
    if positives < 2 or negatives < 2 or estimate is None:
        return Auroc(estimate, None, None, positives, negatives)
    error = math.sqrt(_covariance(said, values)[0, 0])
    return Auroc(estimate, error, _on_log_odds(estimate, error, level), positives, negatives)


def auroc_difference(truth: ArrayLike, first: ArrayLike, second: ArrayLike, level: float = 0.95) -> AurocDifference:
    """Difference of two systems' areas on the same messages, by DeLong.

    Args:
        truth: see `labelled`.
        first: one system's scores; see `labelled`. The two need not be on one scale.
        second: the other's.
        level: nominal coverage, in (0, 1).

    Returns:
        The difference; every figure that is undefined is `None`.

    Raises:
        ValueError: see `labelled`; also a level outside (0, 1).

    References:
        See `auroc_interval`.
    """
    if not 0.0 < level < 1.0:
        raise ValueError("level must lie strictly between 0 and 1")
    said, one = labelled(truth, first)
    other = labelled(truth, second)[1]
    positives = int(said.sum())
    negatives = len(said) - positives
    areas = auroc(said, one), auroc(said, other)
    if areas[0] is None or areas[1] is None:
        return AurocDifference(*areas, None, None, None, None, positives, negatives)
    estimate = areas[0] - areas[1]
    if positives < 2 or negatives < 2:
        return AurocDifference(*areas, estimate, None, None, None, positives, negatives)
    spread = _covariance(said, one, other)
    error = math.sqrt(max(0.0, float(spread[0, 0] + spread[1, 1] - 2.0 * spread[0, 1])))
    p: float | None
    if error > _NO_WIDTH:
        p = math.erfc(abs(estimate) / error / math.sqrt(2.0))
    else:
        error, p = 0.0, 1.0 if abs(estimate) <= _NO_WIDTH else None
    return AurocDifference(*areas, estimate, error, from_error(estimate, error, level), p, positives, negatives)


def roc(truth: ArrayLike, scores: ArrayLike) -> Roc:
    """The ROC curve: every threshold that separates messages differently, none left out.

    Args:
        truth: see `labelled`.
        scores: see `labelled`.

    Returns:
        The curve, one point more than there are different scores; its `tpr` or `fpr` is `None` where that class is missing.

    Raises:
        ValueError: see `labelled`.
    """
    said, values = labelled(truth, scores)
    levels, codes = np.unique(values, return_inverse=True)
    counts = np.bincount(2 * codes + said, minlength=2 * len(levels)).reshape(-1, 2)
    reached = np.concatenate([np.zeros((1, 2), dtype=np.int64), np.cumsum(counts[::-1], axis=0)])
    positives = int(said.sum())
    thresholds = np.concatenate([[np.inf], levels[::-1]])
    return Roc(thresholds, reached[:, 1], reached[:, 0], positives, len(said) - positives)


def thinned(curve: Roc, most: int = 500) -> Roc:
    """A curve of at most so many points, spread evenly over its thresholds, for a chart or a table of thresholds.

    Args:
        curve: from `roc`.
        most: how many points to keep, at least 2; the first and the last are always kept.

    Raises:
        ValueError: fewer than 2 points wanted.
    """
    if most < 2:
        raise ValueError("most must be at least 2")
    points = len(curve.thresholds)
    if points <= most:
        return curve
    kept = np.linspace(0, points - 1, most).round().astype(np.intp)
    return Roc(curve.thresholds[kept], curve.tp[kept], curve.fp[kept], curve.positives, curve.negatives)


def fpr_at_tpr(truth: ArrayLike, scores: ArrayLike, target: float, level: float = 0.95) -> FprAt | None:
    """False alarms at the highest threshold at which at least `target` of the positives are flagged.

    Only thresholds that exist are used; nothing is interpolated. Messages with equal scores are flagged together.

    Args:
        truth: see `labelled`.
        scores: see `labelled`.
        target: the wanted sensitivity, in (0, 1].
        level: nominal coverage of the Wilson intervals, in (0, 1).

    Returns:
        The point, or `None` without a positive or without a negative.

    Raises:
        ValueError: see `labelled`; also a target outside (0, 1] or a level outside (0, 1).
    """
    if not 0.0 < target <= 1.0:
        raise ValueError("target must lie above 0 and not above 1")
    if not 0.0 < level < 1.0:
        raise ValueError("level must lie strictly between 0 and 1")
    said, values = labelled(truth, scores)
    high, low = values[said], values[~said]
    if not len(high) or not len(low):
        return None
    # Rounded first, because 0.07 * 100 is 7.000000000000001.
    needed = max(1, math.ceil(round(target * len(high), 9)))
    at = len(high) - needed
    threshold = float(np.partition(high, at)[at])
    tp, fp = int((high >= threshold).sum()), int((low >= threshold).sum())
    return FprAt(
        target=target,
        fpr=wilson(fp, len(low), level),
        tpr=wilson(tp, len(high), level),
        threshold=threshold,
        unreachable=tp + fp == len(values),
    )


def _refuse(bad: NDArray[np.bool_], why: str) -> None:
    if bad.any():
        raise ValueError(f"{why} at index {int(np.argmax(bad))}")


def _covariance(truth: Truth, *systems: Scores) -> NDArray[np.float64]:
    """DeLong's covariances of the systems' areas, shape (systems, systems), by midranks."""
    from scipy.stats import rankdata

    positives = int(truth.sum())
    negatives = len(truth) - positives
    of_positives, of_negatives = [], []
    for scores in systems:
        ranks = rankdata(scores)
        # How far each message lies above (or below) the other class, as a share of that class.
        of_positives.append((ranks[truth] - rankdata(scores[truth])) / negatives)
        of_negatives.append((ranks[~truth] - rankdata(scores[~truth])) / positives)
    spread = np.cov(of_positives) / positives + np.cov(of_negatives) / negatives
    covariances: NDArray[np.float64] = np.reshape(spread, (len(systems), len(systems)))
    return covariances


def _on_log_odds(estimate: float, error: float, level: float) -> Span | None:
    from scipy.special import expit

    if error <= _NO_WIDTH or not 0.0 < estimate < 1.0:
        return None
    centre = math.log(estimate / (1.0 - estimate))
    half = NormalDist().inv_cdf((1.0 + level) / 2.0) * error / (estimate * (1.0 - estimate))
    return Span(float(expit(centre - half)), float(expit(centre + half)), level, "logit")
