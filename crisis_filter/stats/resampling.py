"""Intervals of coefficients: from a standard error, and from resamples of units or of clusters of units."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
"""Enough for bounds that move by about 0.01 from one seed to the next when the interval is 0.2 wide."""
# Below this a difference is rounding.
_NO_WIDTH = 1e-12
_HELD = 1 << 22

Sums = NDArray[np.float64]
Statistic = Callable[[Sums], NDArray[np.float64]]
"""From column sums, one resample a row, to one value a row; `nan` where it is undefined."""


@dataclass(frozen=True, slots=True)
class Span:
    """A confidence interval of a coefficient that is no proportion."""

    low: float
    high: float
    level: float
    """Nominal coverage, such as 0.95."""
    method: Literal["normal", "t", "bootstrap"]
    """`normal` and `t`: from a standard error, cut to -1..1. `bootstrap`: percentiles of resamples."""
    resamples: int = 0
    """How many were drawn; 0 unless `bootstrap`."""
    undefined: int = 0
    """Resamples in which the statistic was undefined; they are left out. Above 1% of `resamples`, distrust the interval."""


@dataclass(frozen=True, slots=True)
class Resampling:
    """How to draw resamples.

    Attributes:
        rng: where the draws come from.
        resamples: how many, at least 1.
        clusters: of each unit, the cluster it belongs to (an author, a conversation), or `None` when every unit stands for
            itself. Whole clusters are drawn, because units of one cluster are alike.
    """

    rng: np.random.Generator
    resamples: int = RESAMPLES
    clusters: Sequence[Hashable] | None = None


def from_error(
    estimate: float | None, error: float | None, level: float = 0.95, *, freedom: int | None = None
) -> Span | None:
    """Interval of a coefficient between -1 and 1 from its standard error, cut to that range.

    Args:
        estimate: the coefficient, or `None` where it is undefined.
        error: its standard error, at least 0, or `None` where there is none.
        level: nominal coverage, in (0, 1).
        freedom: degrees of freedom of Student's t; `None` takes the normal distribution. Below 1 the whole range results.

    Returns:
        The interval, or `None` without estimate or error, and where the error is 0: an interval without width would claim
        certainty.

    Raises:
        ValueError: a level outside (0, 1).
    """
    if not 0.0 < level < 1.0:
        raise ValueError("level must lie strictly between 0 and 1")
    if estimate is None or error is None or error <= _NO_WIDTH:
        return None
    critical = NormalDist().inv_cdf((1.0 + level) / 2.0) if freedom is None else t_critical(level, freedom)
    low, high = max(-1.0, estimate - critical * error), min(1.0, estimate + critical * error)
    return Span(low, high, level, "normal" if freedom is None else "t")


def t_critical(level: float, freedom: int) -> float:
    """Two-sided critical value of Student's t: |T| stays below it with probability `level`.

    Args:
        level: in (0, 1).
        freedom: whole degrees of freedom; below 1 the value is infinite.

    Raises:
        ValueError: a level outside (0, 1).

    References:
        M. Abramowitz, I. A. Stegun, "Handbook of Mathematical Functions" (1964), 26.7.3 and 26.7.4: the probability of
        |T| < sqrt(freedom) * tan(angle) is a finite sum.
    """
    if not 0.0 < level < 1.0:
        raise ValueError("level must lie strictly between 0 and 1")
    if freedom < 1:
        return math.inf
    odd = freedom % 2
    # Term by term the coefficients are products of (k - 1) / k, over even or over odd k.
    steps = np.arange(2 + odd, freedom, 2, dtype=np.float64)
    weights = np.cumprod(np.concatenate([[1.0], (steps - 1) / steps])) if freedom > 1 else np.zeros(1)
    powers = odd + 2.0 * np.arange(len(weights))
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        angle = (low + high) / 2
        series = math.sin(angle) * float((weights * math.cos(angle) ** powers).sum())
        inside = 2 / math.pi * (angle + series) if odd else series
        low, high = (angle, high) if inside < level else (low, angle)
    return math.sqrt(freedom) * math.tan((low + high) / 2)


def percentile_interval(features: Sums, statistic: Statistic, how: Resampling, level: float = 0.95) -> Span | None:
    """Percentile bootstrap interval of `statistic(features.sum(axis=0))`.

    Args:
        features: shape (units, columns); what each unit adds to the sums that the statistic is made of.
        statistic: takes sums of shape (resamples, columns).
        how: draws and clusters.
        level: nominal coverage, in (0, 1).

    Returns:
        The interval, or `None` when there is none to give: nothing to draw from, every resample undefined, or all equal (one
        cluster, or raters who never disagree), where an interval without width would claim certainty. With few clusters (below 20
        or so) the interval is too narrow.

    Raises:
        ValueError: fewer than 1 resample, a level outside (0, 1), or clusters that are not one for each unit.

    References:
        B. Efron, R. J. Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13.
        A. C. Davison, D. V. Hinkley, "Bootstrap Methods and their Application" (1997), section 3.8 (clusters).
    """
    if how.resamples < 1:
        raise ValueError("resamples must be at least 1")
    if not 0.0 < level < 1.0:
        raise ValueError("level must lie strictly between 0 and 1")
    drawn = features if how.clusters is None else _by_cluster(features, how.clusters)
    if not len(drawn):
        return None
    values = statistic(_sums(drawn, how))
    defined = values[~np.isnan(values)]
    if not len(defined):
        return None
    tail = (1.0 - level) / 2.0
    low, high = (float(bound) for bound in np.quantile(defined, [tail, 1.0 - tail]))
    if high - low <= _NO_WIDTH:
        return None
    undefined = len(values) - len(defined)
    return Span(low, high, level, "bootstrap", resamples=how.resamples, undefined=undefined)


def _by_cluster(features: Sums, clusters: Sequence[Hashable]) -> Sums:
    """The sums of each cluster; shape (clusters, columns)."""
    if len(clusters) != len(features):
        raise ValueError("clusters must name one cluster for each unit")
    numbers: dict[Hashable, int] = {}
    at = np.array([numbers.setdefault(cluster, len(numbers)) for cluster in clusters], dtype=np.intp)
    sums = np.zeros((len(numbers), features.shape[1]))
    np.add.at(sums, at, features)
    return sums


def _sums(rows: Sums, how: Resampling) -> Sums:
    """Column sums of resamples of the rows; shape (resamples, columns)."""
    # Rows that are alike may change places, so it is enough to draw how often each kind comes: far fewer numbers.
    kinds, counts = np.unique(rows, axis=0, return_counts=True)
    chunk = max(1, _HELD // len(kinds))
    drawn = [
        how.rng.multinomial(len(rows), counts / len(rows), size=min(chunk, how.resamples - done)) @ kinds
        for done in range(0, how.resamples, chunk)
    ]
    return np.concatenate(drawn)
