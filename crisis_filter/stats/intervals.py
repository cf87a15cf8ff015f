"""Confidence intervals for a proportion: Wilson's (the default everywhere), Clopper and Pearson's, and Jeffreys'.

All take observations for independent, and say how sure a proportion is, not whether what was counted is right.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

Method = Literal["wilson", "clopper_pearson", "jeffreys"]
"""`wilson` covers `level` on average over proportions; `clopper_pearson` covers at least `level` at each, and is wider for it;
`jeffreys` covers it on average too, and its bounds are those of a posterior."""


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


def proportion(count: int, nobs: int, level: float = 0.95, method: Method = "wilson") -> Interval:
    """Interval of a binomial proportion by the named method.

    Args:
        count: see `wilson`.
        nobs: see `wilson`.
        level: nominal coverage, in (0, 1).
        method: which interval; see `Method`.

    Returns:
        See `wilson`.

    Raises:
        ValueError: see `wilson`; also a method that is none of those.
    """
    if method not in _METHODS:
        raise ValueError(f"method must be one of {', '.join(_METHODS)}")
    return _METHODS[method](count, nobs, level)


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
    _check(count, nobs, level)
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


def clopper_pearson(count: int, nobs: int, level: float = 0.95) -> Interval:
    """Clopper and Pearson's exact interval: at every proportion it covers at least `level`, mostly more.

    Each tail holds at most `(1 - level) / 2`, so one bound by itself is a one-sided bound at `(1 + level) / 2`.

    Args:
        count: see `wilson`.
        nobs: see `wilson`.
        level: coverage that is kept, in (0, 1).

    Returns:
        See `wilson`.

    Raises:
        ValueError: see `wilson`.

    References:
        C. J. Clopper, E. S. Pearson, "The Use of Confidence or Fiducial Limits Illustrated in the Case of the Binomial",
        Biometrika 26 (1934), 404-413, doi:10.1093/biomet/26.4.404.
    """
    return _from_beta(count, nobs, level, (0.0, 1.0))


def jeffreys(count: int, nobs: int, level: float = 0.95) -> Interval:
    """Jeffreys interval: the equal-tailed interval of the posterior under a Beta(1/2, 1/2) prior.

    Args:
        count: see `wilson`.
        nobs: see `wilson`.
        level: nominal coverage, in (0, 1).

    Returns:
        See `wilson`. Brown, Cai and DasGupta set the outer bound to 0 or 1 at the ends, without which coverage would vanish
        there; the inner bound stays the quantile it is. At a low `level` the estimate may lie outside the interval.

    Raises:
        ValueError: see `wilson`.

    References:
        L. D. Brown, T. T. Cai, A. DasGupta, "Interval Estimation for a Binomial Proportion", Statistical Science 16
        (2001), 101-133, section 3.1.2, doi:10.1214/ss/1009213286.
    """
    return _from_beta(count, nobs, level, (0.5, 0.5))


_METHODS: dict[Method, Callable[[int, int, float], Interval]] = {
    "wilson": wilson,
    "clopper_pearson": clopper_pearson,
    "jeffreys": jeffreys,
}


def _check(count: int, nobs: int, level: float) -> None:
    if not 0 <= count <= nobs:
        raise ValueError("count must lie between 0 and nobs")
    if not 0.0 < level < 1.0:
        raise ValueError("level must lie strictly between 0 and 1")


def _from_beta(count: int, nobs: int, level: float, extra: tuple[float, float]) -> Interval:
    """Beta quantiles. For the low bound `extra` is added to the counts with and without the property; for the high one, swapped."""
    from scipy.special import betainccinv, betaincinv

    _check(count, nobs, level)
    estimate = count / nobs if nobs else None
    tail = (1.0 - level) / 2.0
    near, far = extra
    low = 0.0 if count == 0 else float(betaincinv(count + near, nobs - count + far, tail))
    high = 1.0 if count == nobs else float(betainccinv(count + far, nobs - count + near, tail))
    return Interval(estimate=estimate, low=low, high=high, count=count, nobs=nobs, level=level)
