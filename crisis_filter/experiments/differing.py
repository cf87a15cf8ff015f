"""Rates and differences of systems that judged the same messages, once or several times.

A message counts as one observation however often it was judged: what enters is its share of right answers, 0 to 1. Messages, or whole clusters
of them, are what is independent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from crisis_filter.stats.paired import mcnemar_exact
from crisis_filter.stats.resampling import FEW_CLUSTERS, Resampling, Span, Sums, percentile_interval

__all__ = [
    "Bounds",
    "How",
    "difference",
    "mean_rate",
    "score_bounds",
    "sign_flip",
    "sign_flip_by_cluster",
    "wilson_bounds",
]

Shares = NDArray[np.float64]
"""Shape (messages,), each 0 to 1; of a difference -1 to 1."""
_STEPS = 200
_CLOSE = 1e-12


@dataclass(frozen=True, slots=True)
class How:
    """How intervals are made.

    Attributes:
        level: nominal coverage, in (0, 1).
        resamples: bootstrap draws, at least 1; used only with clusters.
        seed: of the draws; every interval starts anew from it, so that none depends on which came before.
    """

    level: float = 0.95
    resamples: int = 2000
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Bounds:
    """An estimate with its interval."""

    estimate: float | None
    low: float
    high: float
    n: int


def mean_rate(shares: Shares, clusters: Sequence[str] | None, how: How) -> Bounds:
    """Mean of shares of right answers.

    Args:
        shares: one for each message.
        clusters: of each message, or `None` where all stand alone.
        how: level and draws.

    Returns:
        The mean with Wilson's interval for as many observations as there are messages. Shares within 0..1 vary at most as much as yes-or-no answers
        of the same mean, so with repeats the interval is too wide rather than too narrow. With clusters each bound is that of a bootstrap over
        whole clusters where it lies further out. Without messages the estimate is `None` and the bounds are 0 and 1.
    """
    n = len(shares)
    if not n:
        return Bounds(None, 0.0, 1.0, 0)
    total = math.fsum(shares)
    low, high = wilson_bounds(total, n, how.level)
    span = _drawn(shares, clusters, how)
    return Bounds(total / n, *_wider(low, high, span), n)


def difference(candidate: Shares, incumbent: Shares, clusters: Sequence[str] | None, how: How) -> Bounds:
    """Mean of the candidate's shares less the incumbent's, on the same messages in the same order.

    Args:
        candidate: one for each message.
        incumbent: the same.
        clusters: of each message, or `None` where all stand alone.
        how: level and draws.

    Returns:
        The difference with Tango's score interval (`score_bounds`), of which the discordant counts are what the candidate has more, and less, in
        sum; with one repeat those are the counts of McNemar's table. With clusters as for `mean_rate`. Without messages the estimate is
        `None` and the bounds are -1 and 1.
    """
    apart = candidate - incumbent
    n = len(apart)
    if not n:
        return Bounds(None, -1.0, 1.0, 0)
    more, less = math.fsum(apart[apart > 0]), -math.fsum(apart[apart < 0])
    low, high = score_bounds(more, less, n, how.level)
    return Bounds((more - less) / n, *_wider(low, high, _drawn(apart, clusters, how)), n)


def wilson_bounds(total: float, n: int, level: float) -> tuple[float, float]:
    """Wilson's interval of a mean of shares; for a whole `total` the same as `intervals.wilson`.

    Args:
        total: sum of the shares, 0 to `n`.
        n: observations, at least 1.
        level: nominal coverage, in (0, 1).
    """
    z = NormalDist().inv_cdf((1.0 + level) / 2.0)
    mean = min(1.0, max(0.0, total / n))
    scale = 1.0 + z * z / n
    centre = (mean + z * z / (2 * n)) / scale
    half = z * math.sqrt(mean * (1.0 - mean) / n + z * z / (4 * n * n)) / scale
    # Rounding would leave the outer bound a few 1e-17 off its exact value.
    return (0.0 if mean == 0.0 else max(0.0, centre - half)), (1.0 if mean == 1.0 else min(1.0, centre + half))


def score_bounds(more: float, less: float, n: int, level: float) -> tuple[float, float]:
    """Tango's score interval of a difference of two shares on the same messages.

    Where few messages differ it keeps what it promises: a loss as large as its margin passes for none at most as often as the level allows,
    where the intervals around a corrected estimate let it pass up to three times as often.

    Args:
        more: messages that the first alone has right, at least 0; a sum of shares will do.
        less: messages that the second alone has right; `more + less` is at most `n`.
        n: all messages, at least 1.
        level: nominal coverage, in (0, 1).

    Returns:
        Both bounds, -1 to 1. Without any message that differs they are -z²/(n + z²) and z²/(n + z²).

    References:
        T. Tango, "Equivalence test and confidence interval for the difference in proportions for the paired-sample design", Statistics in
        Medicine 17 (1998), 891-908.
    """
    z = NormalDist().inv_cdf((1.0 + level) / 2.0)
    return _lower(more, less, n, z), -_lower(less, more, n, z)


def _lower(more: float, less: float, n: int, z: float) -> float:
    """Where the score falls to `z` below the estimate; it rises without end as the difference falls to -1."""
    low, high = -1.0, min(1.0, (more - less) / n)
    for _ in range(_STEPS):
        middle = (low + high) / 2.0
        if middle in (low, high):
            break
        if _score(more, less, n, middle) > z:
            low = middle
        else:
            high = middle
    return low


def _score(more: float, less: float, n: int, apart: float) -> float:
    """How many standard errors the estimate lies above `apart`, were that the truth."""
    slope = -(more + less) + (2 * n - (more - less)) * apart
    inside = max(0.0, slope * slope + 8.0 * n * less * apart * (1.0 - apart))
    # The share of messages that the second alone has right, likeliest if `apart` were the truth.
    lost = max((math.sqrt(inside) - slope) / (4.0 * n), -apart, 0.0)
    spread = n * (2.0 * lost + apart * (1.0 - apart))
    gap = more - less - n * apart
    if spread <= 0.0:
        return math.inf if gap > _CLOSE else 0.0
    return gap / math.sqrt(spread)


def sign_flip(differences: NDArray[np.int64]) -> float:
    """Sign-flip test that differences are as often one way as the other: two-sided and exact.

    Every way of giving each difference its sign is looked at, all at once: the distribution of the sum is built up by convolution.

    Args:
        differences: whole numbers, one for each independent unit, such as right answers of one system less those of the other.

    Returns:
        The p-value; 1 where nothing differs. For differences of -1, 0 and 1 it is that of the exact McNemar test.
    """
    sizes = np.abs(differences[differences != 0])
    if not len(sizes):
        return 1.0
    observed = abs(int(differences.sum()))
    unit = int(np.gcd.reduce(sizes))
    if int(sizes.max()) == unit:
        first = int((differences > 0).sum())
        return mcnemar_exact(first, len(sizes) - first)
    sizes, observed = sizes // unit, observed // unit
    total = int(sizes.sum())
    chances = np.zeros(total + 1)
    chances[0] = 1.0
    reached = 0
    for size in np.sort(sizes).tolist():
        # What is added to a sum of up to `reached`: the size or nothing, with even chances.
        added = 0.5 * chances[: reached + 1]
        chances[: reached + 1] = added
        chances[size : size + reached + 1] += added
        reached += size
    outer = np.abs(2 * np.arange(total + 1) - total) >= observed
    return min(1.0, math.fsum(chances[outer]))


def sign_flip_by_cluster(differences: NDArray[np.int64], clusters: Sequence[str] | None) -> tuple[float, bool]:
    """`sign_flip` over messages, or over whole clusters where there are enough of those.

    Args:
        differences: one for each message.
        clusters: of each message, or `None` where all stand alone.

    Returns:
        The p-value, and whether clusters were flipped. Below `FEW_CLUSTERS` no such test could find anything: messages are flipped, and the
        p-value is about further messages from the same clusters.
    """
    if clusters is None or len(set(clusters)) < FEW_CLUSTERS:
        return sign_flip(differences), False
    numbers: dict[str, int] = {}
    at = np.array([numbers.setdefault(cluster, len(numbers)) for cluster in clusters], dtype=np.intp)
    sums = np.zeros(len(numbers), dtype=np.int64)
    np.add.at(sums, at, differences)
    return sign_flip(sums), True


def _drawn(values: Shares, clusters: Sequence[str] | None, how: How) -> Span | None:
    """The interval of a mean from whole clusters; `None` without clusters, or where every draw would give the same."""
    if clusters is None:
        return None
    features = np.stack([values, np.ones(len(values))], axis=1)
    drawing = Resampling(np.random.default_rng(how.seed), how.resamples, clusters)
    return percentile_interval(features, _mean, drawing, how.level)


def _mean(sums: Sums) -> NDArray[np.float64]:
    means: NDArray[np.float64] = sums[:, 0] / sums[:, 1]
    return means


def _wider(low: float, high: float, span: Span | None) -> tuple[float, float]:
    return (low, high) if span is None else (min(low, span.low), max(high, span.high))
