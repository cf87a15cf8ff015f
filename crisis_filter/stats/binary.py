"""Figures of a yes-or-no answer against the truth: sensitivity, specificity, predictive values, and the averages made of them.

"Yes" means crisis, or one category. What is counted here is an answer that was given or decided on; an undetermined one is
neither, so the caller must say how it counts (it goes to a person: flagged; or nobody found it: not flagged) and keep it in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crisis_filter.stats.intervals import Interval, Method, proportion

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Counts:
    """Messages by what is true of them and what was said; whole numbers of at least 0.

    Raises:
        ValueError: a count that is negative or no whole number.
    """

    tp: int
    """Flagged, and rightly."""
    fp: int
    """Flagged, and wrongly: a false alarm."""
    fn: int
    """Not flagged, and wrongly: a miss."""
    tn: int
    """Not flagged, and rightly."""

    def __post_init__(self) -> None:
        for name in ("tp", "fp", "fn", "tn"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 0:
                raise ValueError(f"{name} must be a whole number of at least 0")
            # A product of four of numpy's integers may overflow unseen; Python's do not.
            object.__setattr__(self, name, int(value))

    @classmethod
    def of(cls, truth: ArrayLike, said: ArrayLike) -> Counts:
        """Count two arrays.

        Args:
            truth: booleans of shape (messages,).
            said: the same shape; whether each was flagged.

        Returns:
            The counts; all 0 without messages.

        Raises:
            ValueError: shapes that differ, or something neither True nor False (NaN, a missing value, a number), with its index.
        """
        true, flagged = pair_of_flags(truth, said, 1)
        tp = int(np.count_nonzero(true & flagged))
        fp, fn = int(np.count_nonzero(flagged)) - tp, int(np.count_nonzero(true)) - tp
        return cls(tp=tp, fp=fp, fn=fn, tn=len(true) - tp - fp - fn)

    @property
    def n(self) -> int:
        """All messages."""
        return self.tp + self.fp + self.fn + self.tn

    @property
    def positives(self) -> int:
        """Messages of which it is true."""
        return self.tp + self.fn

    @property
    def negatives(self) -> int:
        """Messages of which it is not true."""
        return self.fp + self.tn

    @property
    def flagged(self) -> int:
        """Messages of which it was said."""
        return self.tp + self.fp


@dataclass(frozen=True, slots=True)
class Metrics:
    """All figures of one table of counts. An undefined figure has the estimate `None`, or is `None`."""

    counts: Counts
    method: Method
    """Of the intervals; their level is in each."""
    sensitivity: Interval
    specificity: Interval
    ppv: Interval
    npv: Interval
    accuracy: Interval
    f1: float | None
    balanced_accuracy: float | None
    matthews: float | None


def metrics(counts: Counts, level: float = 0.95, method: Method = "wilson") -> Metrics:
    """All figures of one table of counts.

    Args:
        counts: what was counted.
        level: nominal coverage, in (0, 1), of each interval by itself.
        method: of the intervals.

    Returns:
        The figures. With one class only sensitivity or specificity is undefined, and so are those made of both.

    Raises:
        ValueError: a level outside (0, 1), or an unknown method.
    """
    return Metrics(
        counts=counts,
        method=method,
        sensitivity=sensitivity(counts, level, method),
        specificity=specificity(counts, level, method),
        ppv=ppv(counts, level, method),
        npv=npv(counts, level, method),
        accuracy=accuracy(counts, level, method),
        f1=f1(counts),
        balanced_accuracy=balanced_accuracy(counts),
        matthews=matthews(counts),
    )


def sensitivity(counts: Counts, level: float = 0.95, method: Method = "wilson") -> Interval:
    """Share of the positives that were flagged (recall). Undefined without positives.

    Args:
        counts: what was counted.
        level: nominal coverage, in (0, 1).
        method: of the interval.

    Returns:
        The interval; where undefined, its estimate is `None` and its bounds are 0 and 1.

    Raises:
        ValueError: a level outside (0, 1), or an unknown method.
    """
    return proportion(counts.tp, counts.positives, level, method)


def specificity(counts: Counts, level: float = 0.95, method: Method = "wilson") -> Interval:
    """Share of the negatives that were not flagged. Undefined without negatives; arguments as for `sensitivity`."""
    return proportion(counts.tn, counts.negatives, level, method)


def ppv(counts: Counts, level: float = 0.95, method: Method = "wilson") -> Interval:
    """Share of the flagged that are positives (precision). Undefined when nothing was flagged; arguments as for `sensitivity`.

    It holds at the prevalence of the data alone; where crises are rarer, more of the alarms are false.
    """
    return proportion(counts.tp, counts.flagged, level, method)


def npv(counts: Counts, level: float = 0.95, method: Method = "wilson") -> Interval:
    """Share of those not flagged that are negatives. Undefined when all were flagged; arguments as for `sensitivity`.

    It holds at the prevalence of the data alone, as `ppv` does.
    """
    return proportion(counts.tn, counts.fn + counts.tn, level, method)


def accuracy(counts: Counts, level: float = 0.95, method: Method = "wilson") -> Interval:
    """Share of all messages that were flagged or not flagged rightly. Undefined without messages; arguments as for `sensitivity`.

    Where one class is rare it says little: never to flag anything is accurate.
    """
    return proportion(counts.tp + counts.tn, counts.n, level, method)


def f1(counts: Counts) -> float | None:
    """Harmonic mean of sensitivity and positive predictive value, 2 tp / (2 tp + fp + fn), 0 to 1.

    Returns:
        The figure, or `None` when nothing is positive and nothing was flagged. When only one of the two holds it is 0 by that
        formula, although one of the figures it averages is undefined.
    """
    return _over(2 * counts.tp, 2 * counts.tp + counts.fp + counts.fn)


def balanced_accuracy(counts: Counts) -> float | None:
    """Mean of sensitivity and specificity, 0 to 1; `None` when there is one class only."""
    hit, quiet = _over(counts.tp, counts.positives), _over(counts.tn, counts.negatives)
    return None if hit is None or quiet is None else (hit + quiet) / 2


def matthews(counts: Counts) -> float | None:
    """Matthews correlation of truth and answer, -1 to 1.

    Returns:
        The figure, or `None` when there is one class only, or one answer only: 0 / 0, which some programs print as 0.

    References:
        B. W. Matthews, "Comparison of the predicted and observed secondary structure of T4 phage lysozyme", Biochimica et
        Biophysica Acta 405 (1975), 442-451, doi:10.1016/0005-2795(75)90109-9.
    """
    sides = counts.positives * counts.negatives * counts.flagged * (counts.fn + counts.tn)
    return (counts.tp * counts.tn - counts.fp * counts.fn) / math.sqrt(sides) if sides else None


def pair_of_flags(truth: ArrayLike, said: ArrayLike, dimensions: int) -> tuple[Flags, Flags]:
    """Truth and answers as arrays of booleans of one shape.

    Args:
        truth: booleans.
        said: booleans.
        dimensions: how many the arrays must have.

    Raises:
        ValueError: shapes that differ or have other dimensions, or something neither True nor False, with its index.
    """
    true, flagged = _flags(truth, "truth", dimensions), _flags(said, "said", dimensions)
    if true.shape != flagged.shape:
        raise ValueError(f"truth and said must have one shape, not {true.shape} and {flagged.shape}")
    return true, flagged


def _flags(values: ArrayLike, name: str, dimensions: int) -> Flags:
    array = np.asarray(values)
    if array.ndim != dimensions:
        raise ValueError(f"{name} must have {dimensions} dimensions, not {array.ndim}")
    if array.dtype.kind != "b":
        # As objects, so that in a list True beside NaN is still True.
        array = np.asarray(values, dtype=np.object_)
        wrong = [at for at, value in np.ndenumerate(array) if not isinstance(value, (bool, np.bool_))]
        if wrong:
            missing = next((at for at in wrong if isinstance(array[at], float) and math.isnan(array[at])), None)
            where = f"{name}[{', '.join(map(str, missing or wrong[0]))}]"
            raise ValueError(f"{where} is neither True nor False" if missing is None else f"{where} is NaN")
    return array.astype(np.bool_, copy=False)


def _over(part: int, whole: int) -> float | None:
    return part / whole if whole else None
