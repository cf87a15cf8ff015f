"""The threshold on a score that keeps a promised sensitivity: chosen on crises set aside for it, with a stated chance of error.

The promise is about the true sensitivity, not the one observed: one allows so few misses on the crises at hand that a threshold
worse than promised would hardly ever have shown as few.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Nearer to 0 or 1 scipy's binomial quantile may fail to find its bracket.
_NEAREST = 1e-9


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A threshold with what it promises."""

    threshold: float
    """Flag a message if, and only if, its score is at least this."""
    n: int
    """Crises that it was set on."""
    k: int
    """The most of them that it may miss."""
    target: float
    """Sensitivity that is promised, in (0, 1)."""
    delta: float
    """Highest chance, over the draw of those crises, that the promise does not hold; in (0, 1)."""
    misses: int
    """Crises below the threshold, here: `k`, or fewer where scores tie."""

    def flags(self, scores: ArrayLike) -> NDArray[np.bool_]:
        """Which scores are flagged; any shape.

        Raises:
            ValueError: a score is NaN, which compares as below every threshold (the message says where).
        """
        return _numbers(scores) >= self.threshold

    def statement(self) -> str:
        """What is promised, and under which assumption, in two sentences."""
        return (
            f"Flagging every score of {self.threshold} or more finds at least {100 * self.target:g}% of crises, with"
            f" {100 * (1 - self.delta):g}% confidence, provided that the crises to come are like the {self.n} that this"
            " threshold was set on, and that these are independent of one another and had no part in the making of the score."
            f" Of these {self.n} it misses {self.misses}; it may miss {self.k}."
        )


def operating_point(positive_scores: ArrayLike, target: float = 0.98, delta: float = 0.05) -> OperatingPoint | None:
    """Choose the highest threshold of which the binomial tail still allows to promise a sensitivity.

    Thresholds are tried from the lowest up and the first that fails ends it (fixed-sequence testing), so no correction for many
    thresholds is needed. Nothing is assumed of the scores; ties only make the promise safer.

    Args:
        positive_scores: shape (crises,); higher means more of a crisis. A crisis without score that goes to a person anyway is
            `inf`; one that would be lost is `-inf`. Take one message of each author or conversation: they must be independent.
        target: sensitivity to promise, in (0, 1).
        delta: highest chance that the promise does not hold, in (0, 1).

    Returns:
        The point, or `None` with fewer crises than `fewest_positives`: then no threshold can be promised, whatever the scores.

    Raises:
        ValueError: a score is NaN (the message says where), another shape, or `target` or `delta` outside (0, 1).

    References:
        A. N. Angelopoulos, S. Bates, E. J. Candès, M. I. Jordan, L. Lei, "Learn then Test: calibrating predictive algorithms to
        achieve risk control", Annals of Applied Statistics 19 (2025), 1641-1662, doi:10.1214/24-AOAS1998.
        S. S. Wilks, "Determination of sample sizes for setting tolerance limits", Annals of Mathematical Statistics 12 (1941),
        91-96, doi:10.1214/aoms/1177731788.
    """
    scores = _numbers(positive_scores)
    if scores.ndim != 1:
        raise ValueError("positive_scores must have one dimension")
    k = allowed_misses(len(scores), target, delta)
    if k is None:
        return None
    threshold = float(np.partition(scores, k)[k])
    misses = int((scores < threshold).sum())
    return OperatingPoint(threshold=threshold, n=len(scores), k=k, target=target, delta=delta, misses=misses)


def allowed_misses(n: int, target: float = 0.98, delta: float = 0.05) -> int | None:
    """The most of `n` crises that may be missed so that a sensitivity of `target` can still be promised.

    Returns:
        The largest k with P(X <= k) <= delta for X binomial of `n` and `1 - target`, or `None` where not even 0 will do.

    Raises:
        ValueError: `n` below 0, or `target` or `delta` outside (0, 1).
    """
    _within(target, delta)
    if n < 0:
        raise ValueError("n must be at least 0")
    k = int(most_allowed(np.array([n]), 1.0 - target, delta)[0])
    return None if k < 0 else k


def fewest_positives(target: float = 0.98, delta: float = 0.05) -> int:
    """Crises needed to promise a sensitivity of `target` at all, if none of them is missed: 149 for 0.98 and 0.05.

    Raises:
        ValueError: `target` or `delta` outside (0, 1).
    """
    _within(target, delta)
    n = max(1, math.ceil(math.log(delta) / math.log(target)) - 1)
    # The logarithms may be off by one either way where target ** n is delta.
    while allowed_misses(n, target, delta) is None:
        n += 1
    return n


def most_allowed(n: NDArray[np.int_], rate: float, tail: float) -> NDArray[np.int_]:
    """For each `n`, the largest k with P(X <= k) <= tail for X binomial of `n` and `rate`; -1 where there is none.

    Args:
        n: any shape, at least 0.
        rate: chance of each event, in (0, 1).
        tail: in (0, 1). Within 1e-9 of 1, or (unless `rate` is 0.5) of 0, the quantile that this starts from may fail.
    """
    from scipy.stats import binom

    k = binom.ppf(tail, n, rate)
    # ppf gives the smallest k with P(X <= k) >= tail, which is the one sought where both are equal.
    found: NDArray[np.int_] = np.where(binom.cdf(k, n, rate) <= tail, k, k - 1).astype(np.int_)
    return found


def _within(target: float, delta: float) -> None:
    if not (_NEAREST <= target <= 1.0 - _NEAREST and _NEAREST <= delta <= 1.0 - _NEAREST):
        raise ValueError("target and delta must lie strictly between 0 and 1, and not within a billionth of either")


def _numbers(scores: ArrayLike) -> NDArray[np.float64]:
    found = np.asarray(scores, dtype=np.float64)
    missing = np.argwhere(np.isnan(found))
    if len(missing):
        raise ValueError(f"score {', '.join(str(i) for i in missing[0])} is NaN")
    return found
