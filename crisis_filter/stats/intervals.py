"""Confidence intervals for a proportion."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist


@dataclass(frozen=True, slots=True)
class Interval:
    """An observed proportion with its uncertainty."""

    estimate: float | None
    """`count / nobs`, or `None` when nothing was observed."""
    low: float
    """Lower bound, 0 to 1."""
    high: float
    """Upper bound, 0 to 1."""
    count: int
    """Observations with the property."""
    nobs: int
    """All observations."""
    level: float
    """Nominal coverage, such as 0.95."""


def wilson(count: int, nobs: int, level: float = 0.95) -> Interval:
    """Wilson score interval of a binomial proportion, without continuity correction.

    Args:
        count: observations with the property, from 0 to `nobs`.
        nobs: independent observations, at least 0. Several messages by one author are not independent, and then the
            interval is too narrow.
        level: nominal coverage, in (0, 1).

    Returns:
        The interval. With `nobs == 0` nothing is known: the estimate is `None` and the bounds are 0 and 1. With `count`
        equal to 0 or `nobs` the outer bound is exactly 0 or 1.

    Raises:
        ValueError: when `count` is not between 0 and `nobs`, or `level` not between 0 and 1.

    References:
        E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", JASA 22 (1927), 209-212.
        L. D. Brown, T. T. Cai, A. DasGupta, "Interval Estimation for a Binomial Proportion", Statistical Science 16
        (2001), 101-133, doi:10.1214/ss/1009213286.
    """
    if not 0 <= count <= nobs:
        raise ValueError("count must lie between 0 and nobs")
    if not 0.0 < level < 1.0:
        raise ValueError("level must lie strictly between 0 and 1")
    if nobs == 0:
        return Interval(estimate=None, low=0.0, high=1.0, count=0, nobs=0, level=level)
    z = NormalDist().inv_cdf((1.0 + level) / 2.0)
    rate = count / nobs
    scale = 1.0 + z * z / nobs
    centre = (rate + z * z / (2 * nobs)) / scale
    half = z * math.sqrt(rate * (1.0 - rate) / nobs + z * z / (4 * nobs * nobs)) / scale
    # Rounding would leave the outer bound a few 1e-17 off its exact value.
    low = 0.0 if count == 0 else max(0.0, centre - half)
    high = 1.0 if count == nobs else min(1.0, centre + half)
    return Interval(estimate=rate, low=low, high=high, count=count, nobs=nobs, level=level)
