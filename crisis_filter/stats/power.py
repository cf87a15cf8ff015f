"""How many messages a claim needs: what difference a comparison can see, and how many misses a promised sensitivity allows.

Everything is exact: sums over the binomial distribution, no normal approximation of the chances. What is said of crises and
sensitivity holds word for word of the other messages and specificity.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from crisis_filter.stats.operating import most_allowed

Method = Literal["wilson", "exact"]
"""`wilson`: the lower bound of the two-sided Wilson interval, as `intervals.wilson` gives it. `exact`: the one-sided bound by
Clopper and Pearson, which is stricter in what it promises (it never covers too seldom) and still needs fewer messages, because all
of its error is on one side."""

_NEGLIGIBLE = 1e-15
_MOST_MISSES = 1 << 16


@dataclass(frozen=True, slots=True)
class PlannedSize:
    """How many crises to collect so that a bound is probably met. The chance rises with them in the manner of a saw."""

    first: int
    """The smallest number at which the chance is reached. A few more may fall short of it again."""
    lasting: int
    """From this number on the chance is never below what was asked. Plan with this one unless the number is kept exactly."""
    chance: float
    true: float
    bound: float
    level: float
    method: Method


def mcnemar_power(n: int, p10: float, p01: float, alpha: float = 0.05) -> float:
    """Chance that the exact two-sided McNemar test finds a difference.

    Args:
        n: messages that both systems judge, at least 0.
        p10: chance that the first system alone has a message right.
        p01: chance that the second system alone has it right.
        alpha: the test finds a difference when its p is at most this; in (0, 1).

    Returns:
        The chance, summed over how many messages the systems may disagree on; 0 where they never disagree.

    Raises:
        ValueError: `n` below 0, chances that are no chances or add up to more than 1, or `alpha` outside (0, 1).
    """
    from scipy.stats import binom

    _inside(alpha=alpha)
    if not (n >= 0 and p10 >= 0.0 and p01 >= 0.0 and p10 + p01 <= 1.0 + 1e-12):
        raise ValueError("n, p10 and p01 must be at least 0, and p10 + p01 at most 1")
    share = min(1.0, p10 + p01)
    # One disagreement proves nothing, so the power is at most of the order of the square of this.
    if n * share < _NEGLIGIBLE:
        return 0.0
    # By Bernstein's inequality what lies further out weighs less than exp(-40), which is less than rounding does.
    reach = 9.0 * math.sqrt(n * share * (1.0 - share)) + 40.0
    totals = np.arange(max(0, math.floor(n * share - reach)), min(n, math.ceil(n * share + reach)) + 1)
    few = most_allowed(totals, 0.5, alpha / 2.0)
    found = binom.cdf(few, totals, p10 / share) + binom.sf(totals - few - 1, totals, p10 / share)
    return min(1.0, float(binom.pmf(totals, n, share) @ found))


def smallest_difference(n: int, p01: float, alpha: float = 0.05, power: float = 0.8) -> float | None:
    """The smallest difference `p10 - p01` that the exact McNemar test finds with a given chance.

    Args:
        n: messages that both systems judge, at least 0.
        p01: chance that the system which is worse overall alone has a message right, 0 to 0.5: what changes against the trend.
        alpha: see `mcnemar_power`; divide it by the number of comparisons.
        power: chance of finding it, above `alpha` and below 1.

    Returns:
        The difference, above 0, or `None` where `n` is too small for even the greatest (1 - 2 * p01).

    Raises:
        ValueError: an argument outside its range.
    """
    from scipy.optimize import brentq

    _inside(alpha=alpha, power=power)
    if not (n >= 0 and 0.0 <= p01 <= 0.5 and alpha < power):
        raise ValueError("n must be at least 0, p01 between 0 and 0.5, and power above alpha")
    greatest = 1.0 - 2.0 * p01

    def lacking(difference: float) -> float:
        return mcnemar_power(n, p01 + difference, p01, alpha) - power

    # Great differences take long to sum, so they are tried last.
    high = min(greatest, 8.0 / max(n, 1))
    while (short := lacking(high) < 0.0) and high < greatest:
        high = min(greatest, 2.0 * high)
    return None if short else float(brentq(lacking, 0.0, high))


def fewest_fixes(breaks: int, alpha: float = 0.05) -> int:
    """How many messages a change must put right, when it puts `breaks` wrong, for the exact McNemar test to find a difference.

    Returns:
        The smallest b above `breaks` with `mcnemar_exact(b, breaks) <= alpha`.

    Raises:
        ValueError: `breaks` below 0 or `alpha` outside (0, 1).
    """
    _inside(alpha=alpha)
    if breaks < 0:
        raise ValueError("breaks must be at least 0")
    return int(_sizes(np.array([breaks]), 0.5, alpha / 2.0, "exact")[0]) - breaks


def needed_for_bound(misses: int, bound: float, level: float = 0.95, method: Method = "wilson") -> int:
    """Crises needed so that the lower bound of sensitivity reaches `bound` although some are missed.

    Args:
        misses: crises that are missed, at least 0.
        bound: what the lower bound must reach, in (0, 1).
        level: confidence, in (0, 1); two-sided for `wilson`, one-sided for `exact`.
        method: see `Method`.

    Returns:
        The smallest number of crises, the missed ones among them.

    Raises:
        ValueError: `misses` below 0, or `bound` or `level` outside (0, 1).
    """
    _inside(bound=bound, level=level)
    if misses < 0:
        raise ValueError("misses must be at least 0")
    return int(_sizes(np.array([misses]), bound, 1.0 - level, method)[0])


def most_misses(n: int, bound: float, level: float = 0.95, method: Method = "wilson") -> int | None:
    """How many of `n` crises may be missed so that the lower bound of sensitivity still reaches `bound`.

    Args:
        n: crises, at least 0.
        bound: see `needed_for_bound`.
        level: see `needed_for_bound`.
        method: see `Method`.

    Returns:
        The number, or `None` where `n` is too small even without a miss.

    Raises:
        ValueError: `n` below 0, or `bound` or `level` outside (0, 1).
    """
    _inside(bound=bound, level=level)
    if n < 0:
        raise ValueError("n must be at least 0")

    def fails(misses: int) -> bool:
        return not _reached(np.array([misses]), np.array([n]), bound, 1.0 - level, method)[0]

    passing = bisect_left(range(n), True, key=fails)
    return passing - 1 if passing else None


def chance_of_bound(n: int, true: float, bound: float, level: float = 0.95, method: Method = "wilson") -> float:
    """Chance that `n` crises give a lower bound of sensitivity of at least `bound`, if the true sensitivity is `true`.

    Args:
        n: crises, at least 0.
        true: the true sensitivity, 0 to 1.
        bound: see `needed_for_bound`.
        level: see `needed_for_bound`.
        method: see `Method`.

    Raises:
        ValueError: an argument outside its range.
    """
    from scipy.stats import binom

    if not 0.0 <= true <= 1.0:
        raise ValueError("true must lie between 0 and 1")
    most = most_misses(n, bound, level, method)
    return 0.0 if most is None else float(binom.cdf(most, n, 1.0 - true))


def planning_n(
    true: float, bound: float, chance: float = 0.8, level: float = 0.95, method: Method = "wilson"
) -> PlannedSize:
    """How many crises to collect so that the lower bound of sensitivity reaches `bound` with a given chance.

    Args:
        true: the sensitivity that the system is taken to have, above `bound`, at most 1.
        bound: see `needed_for_bound`.
        chance: the chance wanted, in (0, 1).
        level: see `needed_for_bound`.
        method: see `Method`.

    Returns:
        The first number that will do, and the one from which on all will.

    Raises:
        ValueError: an argument outside its range, or `true` so close to `bound` that more than 65,000 misses would have to be
            allowed for.
    """
    from scipy.stats import binom

    _inside(bound=bound, level=level, chance=chance)
    if not bound < true <= 1.0:
        raise ValueError("true must lie above bound, and be at most 1")
    rows, lasting = 64, 0
    while rows <= _MOST_MISSES:
        misses = np.arange(rows)
        # From sizes[k] up to the next size k misses are allowed; in between the chance only falls.
        sizes = _sizes(np.arange(rows + 1), bound, 1.0 - level, method)
        best, worst = binom.cdf(misses, sizes[:-1], 1.0 - true), binom.cdf(misses, sizes[1:] - 1, 1.0 - true)
        short = np.flatnonzero(worst < chance)
        start = int(short[-1]) + 1 if len(short) else 0
        lasting = int(sizes[start])
        # The teeth of the saw grow smaller with n, so twice as far is far enough to have met the last that falls short.
        if start < rows and sizes[-1] >= 2 * lasting:
            first = int(sizes[np.flatnonzero(best >= chance)[0]])
            return PlannedSize(first, lasting, chance, true, bound, level, method)
        rows *= 2
    raise ValueError(f"true lies too close to bound: {lasting} messages or more would be needed")


def _reached(
    misses: NDArray[np.int_], n: NDArray[np.int_], bound: float, tail: float, method: Method
) -> NDArray[np.bool_]:
    """Whether the lower bound reaches `bound`, for `n` above 0 (for 0 either may come); `tail` is 1 less the level."""
    from scipy.stats import binom

    reached: NDArray[np.bool_]
    if method == "exact":
        reached = binom.cdf(misses, n, 1.0 - bound) <= tail
    else:
        # Wilson's bound is the proportion from which the observed one is just z standard errors away.
        z = -NormalDist().inv_cdf(tail / 2.0)
        reached = n * (1.0 - bound) - misses >= z * np.sqrt(n * bound * (1.0 - bound))
    return reached


def _sizes(misses: NDArray[np.int_], bound: float, tail: float, method: Method) -> NDArray[np.int_]:
    """For each number of misses, the smallest n that reaches the bound."""
    low = misses.copy()
    high = misses + 1
    while not (enough := _reached(misses, high, bound, tail, method)).all():
        low = np.where(enough, low, high)
        high = np.where(enough, high, 2 * high)
    while (high - low > 1).any():
        middle = (low + high) // 2
        # Between neighbours the middle is low, which is known to fail.
        enough = (middle > low) & _reached(misses, middle, bound, tail, method)
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return high


def _inside(**arguments: float) -> None:
    for name, value in arguments.items():
        if not 0.0 < value < 1.0:
            raise ValueError(f"{name} must lie strictly between 0 and 1")
