"""Whether two or more systems that judged the same messages differ: exact McNemar, its anytime form, Cochran's Q, corrections.

All of it looks at messages, one by one, on which systems disagree. Compare systems on the crises to compare sensitivity, and on
the others to compare specificity. Messages count as independent; several by one author are not, and then every p is too small.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True)
class Discordance:
    """Of messages that two systems judged, how many each got right. All counts are at least 0."""

    both: int
    first_only: int
    """Right by the first system alone; `b` of McNemar's test."""
    second_only: int
    """Right by the second system alone; `c` of McNemar's test."""
    neither: int

    @property
    def n(self) -> int:
        """All messages."""
        return self.both + self.first_only + self.second_only + self.neither


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """The first system's share of right answers minus the second's, with its uncertainty."""

    estimate: float | None
    """`(b - c) / n`, -1 to 1, or `None` when there was no message."""
    low: float
    high: float
    n: int
    b: int
    c: int
    level: float
    """Nominal coverage, such as 0.95."""


@dataclass(frozen=True, slots=True)
class CochranQ:
    """Cochran's test that all systems are right equally often."""

    statistic: float | None
    """Q, or `None` where all systems agree on every message: there is nothing to divide by."""
    freedom: int
    """Degrees of freedom, one less than there are systems."""
    p: float
    """From the chi-squared distribution; 1 where Q is undefined."""
    rows: int
    systems: int


def discordance(first: ArrayLike, second: ArrayLike) -> Discordance:
    """Count on which messages two systems are right.

    Args:
        first: shape (messages,), whether the first system is right on each.
        second: the same of the second system, in the same order.

    Raises:
        ValueError: other shapes, or an entry that is neither true nor false (the message says where).
    """
    one, two = _booleans(first, 1, "first"), _booleans(second, 1, "second")
    if len(one) != len(two):
        raise ValueError("both systems must have judged the same messages")
    b, c, both = int((one & ~two).sum()), int((~one & two).sum()), int((one & two).sum())
    return Discordance(both=both, first_only=b, second_only=c, neither=len(one) - both - b - c)


def mcnemar_exact(b: int, c: int) -> float:
    """McNemar's test, two-sided and exact: the binomial test that disagreements go either way alike.

    Args:
        b: messages that the first system alone has right.
        c: messages that the second system alone has right.

    Returns:
        The p-value; 1 when the systems never disagree.

    Raises:
        ValueError: a negative count.

    References:
        Q. McNemar, "Note on the sampling error of the difference between correlated proportions or percentages",
        Psychometrika 12 (1947), 153-157, doi:10.1007/BF02295996.
    """
    from scipy.stats import binomtest

    _checked(b, c)
    return float(binomtest(b, b + c, 0.5).pvalue) if b + c else 1.0


def paired_difference(b: int, c: int, n: int, level: float = 0.95) -> PairedDifference:
    """Difference of two shares on the same messages, with the interval of Agresti and Min.

    Half a message is added to each of the four cells before the Wald interval is taken.

    Args:
        b: messages that the first system alone has right.
        c: messages that the second system alone has right.
        n: all messages, those on which the systems agree too.
        level: nominal coverage, in (0, 1).

    Returns:
        The interval, cut to -1..1. With `n == 0` nothing is known: the estimate is `None` and the bounds are -1 and 1. At
        levels well below 0.9 the estimate may lie outside the interval, which is centred nearer to 0.

    Raises:
        ValueError: negative counts, `b + c` above `n`, or a level outside (0, 1).

    References:
        A. Agresti, Y. Min, "Simple improved confidence intervals for comparing matched proportions", Statistics in Medicine
        24 (2005), 729-740, doi:10.1002/sim.1781.
    """
    _checked(b, c)
    if b + c > n:
        raise ValueError("b and c together must not exceed n")
    if not 0.0 < level < 1.0:
        raise ValueError("level must lie strictly between 0 and 1")
    if n == 0:
        return PairedDifference(estimate=None, low=-1.0, high=1.0, n=0, b=0, c=0, level=level)
    more = n + 2.0
    centre = (b - c) / more
    half = NormalDist().inv_cdf((1.0 + level) / 2.0) * math.sqrt((b + c + 1.0) / more - centre**2) / math.sqrt(more)
    low, high = max(-1.0, centre - half), min(1.0, centre + half)
    return PairedDifference(estimate=(b - c) / n, low=low, high=high, n=n, b=b, c=c, level=level)


def cochran_q(table: ArrayLike) -> CochranQ:
    """Cochran's Q test of several systems on the same messages.

    Args:
        table: shape (messages, systems), whether each system is right on each message; at least two systems.

    Returns:
        The test. Where all systems are alike on every message, or there is no message, Q is `None` and p is 1. The chi-squared
        distribution is an approximation: with few messages on which systems differ, compare two at a time, exactly.

    Raises:
        ValueError: another shape, or an entry that is neither true nor false (the message says where).

    References:
        W. G. Cochran, "The comparison of percentages in matched samples", Biometrika 37 (1950), 256-266,
        doi:10.1093/biomet/37.3-4.256.
    """
    from scipy.stats import chi2

    right = _booleans(table, 2, "table")
    rows, systems = right.shape
    if systems < 2:
        raise ValueError("table must have at least two systems")
    by_system, by_row = right.sum(axis=0), right.sum(axis=1)
    spread = int((by_row * (systems - by_row)).sum())
    if spread == 0:
        return CochranQ(statistic=None, freedom=systems - 1, p=1.0, rows=rows, systems=systems)
    total = int(by_system.sum())
    q = (systems - 1) * (systems * int((by_system**2).sum()) - total**2) / spread
    return CochranQ(statistic=q, freedom=systems - 1, p=float(chi2.sf(q, systems - 1)), rows=rows, systems=systems)


def bonferroni(ps: Sequence[float]) -> tuple[float, ...]:
    """P-values adjusted for how many there are: each times their number, at most 1, in the order given.

    Raises:
        ValueError: a p-value outside 0..1 or NaN (the message says where).
    """
    found = _p_values(ps)
    return tuple(np.minimum(found * len(found), 1.0).tolist())


def holm(ps: Sequence[float]) -> tuple[float, ...]:
    """P-values adjusted by Holm's step-down method, at most 1, in the order given; never above Bonferroni's.

    Raises:
        ValueError: a p-value outside 0..1 or NaN (the message says where).

    References:
        S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6 (1979), 65-70.
    """
    found = _p_values(ps)
    order = np.argsort(found, kind="stable")
    adjusted = np.empty_like(found)
    adjusted[order] = np.minimum(np.maximum.accumulate(found[order] * np.arange(len(found), 0, -1)), 1.0)
    return tuple(adjusted.tolist())


def anytime_mcnemar(b: int, c: int) -> float:
    """Evidence that two systems differ, which may be looked at after every message: an e-value.

    How much likelier the disagreements are under an unknown chance of going either way (the Beta(1/2, 1/2) mixture) than under
    evens. If the systems are alike, the chance that it ever reaches 20 is at most 1 in 20, however often one looks: stop at 20.

    Args:
        b: messages so far that the first system alone has right.
        c: messages so far that the second system alone has right.

    Returns:
        The e-value: 1 without disagreement, above 1 for a difference, below 1 against. At most the largest float.

    Raises:
        ValueError: a negative count.

    References:
        H. Robbins, "Statistical methods related to the law of the iterated logarithm", Annals of Mathematical Statistics 41
        (1970), 1397-1409, doi:10.1214/aoms/1177696786.
        A. Ramdas, P. Grünwald, V. Vovk, G. Shafer, "Game-theoretic statistics and safe anytime-valid inference", Statistical
        Science 38 (2023), 576-601, doi:10.1214/23-STS894.
    """
    _checked(b, c)
    return float(_evidence(np.array([b]), np.array([c]))[0])


def anytime_p(flips: ArrayLike) -> NDArray[np.float64]:
    """P-values valid at every look: 1 over the greatest e-value so far, at most 1.

    Args:
        flips: shape (disagreements,), in the order seen, whether it was the first system that was right.

    Returns:
        Shape (disagreements,), never rising; the p-value after each. At or below 0.05 one may stop: `anytime_mcnemar` has
        reached 20.

    Raises:
        ValueError: another shape, or an entry that is neither true nor false (the message says where).
    """
    first = _booleans(flips, 1, "flips")
    evidence = _evidence(np.cumsum(first), np.cumsum(~first))
    # Whoever stops at 20 would not have seen what comes after, so the greatest e-value counts, not the last.
    return 1.0 / np.maximum(np.maximum.accumulate(evidence), 1.0)


def _evidence(b: NDArray[np.int_], c: NDArray[np.int_]) -> NDArray[np.float64]:
    from scipy.special import betaln

    logarithms = betaln(b + 0.5, c + 0.5) - betaln(0.5, 0.5) + (b + c) * math.log(2.0)
    evidence: NDArray[np.float64] = np.exp(np.minimum(logarithms, math.log(sys.float_info.max)))
    return evidence


def _checked(b: int, c: int) -> None:
    if not (b >= 0 and c >= 0):
        raise ValueError("b and c must be at least 0")


def _booleans(values: ArrayLike, dimensions: int, name: str) -> NDArray[np.bool_]:
    """The array as booleans; 0 and 1 pass for them, everything else is refused."""
    array = np.asarray(values)
    if array.ndim != dimensions:
        raise ValueError(f"{name} must have {dimensions} dimension{'s' * (dimensions > 1)}, not {array.ndim}")
    if array.dtype.kind == "b":
        return array
    # Text would be compared as text, so that "0" passed and then counted as true.
    strange = np.argwhere(~np.isin(array, (0, 1)) | (array.dtype.kind not in "iufO"))
    if len(strange):
        at = ", ".join(str(i) for i in strange[0])
        raise ValueError(f"{name} must hold true and false only; entry {at} is neither")
    return array.astype(np.bool_)


def _p_values(ps: Sequence[float]) -> NDArray[np.float64]:
    found = np.asarray(ps, dtype=np.float64).reshape(-1)
    outside = np.flatnonzero(~((found >= 0.0) & (found <= 1.0)))
    if len(outside):
        raise ValueError(f"p-values must lie between 0 and 1; entry {outside[0]} does not")
    return found
