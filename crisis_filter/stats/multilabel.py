"""Figures over several categories, of which a message may have none, one or more: averages, whole-message figures, confusions.

Truth and answers are booleans of shape (messages, categories), the columns in one order. A macro average counts every category
alike, a micro average every label; the first is undefined as soon as one category's figure is, because leaving that category out
would make another average of it.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crisis_filter.stats.binary import Counts, Flags, f1, pair_of_flags, ppv, sensitivity
from crisis_filter.stats.intervals import Interval, Method, proportion
from crisis_filter.stats.resampling import Resampling, Span, Sums, from_error, percentile_intervals

_FIGURES = 5


@dataclass(frozen=True, slots=True)
class Macro:
    """Unweighted means over categories, each 0 to 1, or `None` when it is undefined for a category, or there is none."""

    sensitivity: float | None
    ppv: float | None
    f1: float | None
    """Mean of the categories' F1; not the F1 of the two means."""
    categories: int
    undefined: tuple[str, ...]
    """Categories of which at least one figure is undefined."""


@dataclass(frozen=True, slots=True)
class Average:
    """An average, or a difference of two, with its bootstrap interval."""

    estimate: float | None
    """0 to 1, or -1 to 1 for a difference; `None` where it is undefined."""
    span: Span | None
    """Percentiles of resamples. `None` where the average is undefined, and where no resample differs from another (a system
    without an error): an interval without width would claim certainty."""


@dataclass(frozen=True, slots=True)
class Averages:
    """The averages of one system, or how far two differ; all from the same resamples."""

    macro_sensitivity: Average
    macro_ppv: Average
    macro_f1: Average
    micro_f1: Average
    exact_match: Average
    """Share of messages with every category right."""
    messages: int
    categories: int


def by_category(truth: ArrayLike, said: ArrayLike, names: Sequence[str]) -> tuple[Counts, ...]:
    """Counts of each category by itself, over all messages.

    Args:
        truth: booleans of shape (messages, categories).
        said: the same shape.
        names: the categories, in the order of the columns.

    Returns:
        One table of counts a category, in the order of `names`.

    Raises:
        ValueError: shapes that differ, no category, names that are not one for each column or occur twice, or something neither
            True nor False (NaN, a missing value, a number), with its index.
    """
    true, flagged = _pair(truth, said, names)
    tp = (true & flagged).sum(axis=0)
    fp, fn = flagged.sum(axis=0) - tp, true.sum(axis=0) - tp
    cells = np.stack([tp, fp, fn, len(true) - tp - fp - fn], axis=1)
    return tuple(Counts(*row) for row in cells)


def macro(counts: Sequence[Counts], names: Sequence[str] | None = None) -> Macro:
    """Macro averages: every category counts alike, however rare.

    Args:
        counts: one for each category.
        names: the categories, in the same order, for `undefined`; `None` names them by their position, from "0".

    Returns:
        The means. A category without positives has no sensitivity, one never named no predictive value, one of neither no F1; the
        mean of that figure is then undefined too.

    Raises:
        ValueError: names that are not one for each count.
    """
    called = [str(at) for at in range(len(counts))] if names is None else names
    if len(called) != len(counts):
        raise ValueError("names must be one for each of the counts")
    figures = [(sensitivity(each).estimate, ppv(each).estimate, f1(each)) for each in counts]
    undefined = tuple(name for name, row in zip(called, figures, strict=True) if None in row)
    hit, right, both = (_mean([row[at] for row in figures]) for at in range(3))
    return Macro(sensitivity=hit, ppv=right, f1=both, categories=len(counts), undefined=undefined)


def macro_t(values: Sequence[float | None], level: float = 0.95) -> Span | None:
    """Student's t interval of a mean over categories: mean ± t(k - 1) · sd / √k, cut to 0..1.

    This is the interval that published tables print beside a macro average. It tells how much categories differ from one another,
    as if they were drawn from many; it is not the sampling error of these categories' mean, which the number of messages decides
    (`bootstrap_averages`).

    Args:
        values: a figure of each category, 0 to 1, or `None` where undefined.
        level: nominal coverage, in (0, 1).

    Returns:
        The interval, or `None` with fewer than two categories, with an undefined one, and when all are equal.

    Raises:
        ValueError: a value that is NaN or outside 0..1, with its index; a level outside (0, 1).
    """
    for at, value in enumerate(values):
        if value is not None and not 0.0 <= value <= 1.0:
            raise ValueError(f"values[{at}] must lie between 0 and 1")
    if not 0.0 < level < 1.0:
        raise ValueError("level must lie strictly between 0 and 1")
    known = [value for value in values if value is not None]
    if len(known) < max(2, len(values)):
        return None
    error = statistics.stdev(known) / math.sqrt(len(known))
    span = from_error(statistics.fmean(known), error, level, freedom=len(known) - 1)
    return None if span is None else Span(max(0.0, span.low), span.high, level, span.method)


def micro(counts: Sequence[Counts]) -> Counts:
    """All categories' counts in one table, so that every label counts alike; its `n` is messages times categories."""
    return Counts(*(sum(getattr(each, name) for each in counts) for name in ("tp", "fp", "fn", "tn")))


def flat(hierarchical: Counts, missed: int, unflagged: int) -> Counts:
    """Counts over all messages, from those over the messages that the first stage flagged.

    What the first stage did not flag reaches no category: its positives become misses, the rest stays rightly unflagged.

    Args:
        hierarchical: one category's counts over the flagged messages.
        missed: unflagged messages that have this category.
        unflagged: all messages that the first stage did not flag.

    Raises:
        ValueError: `missed` is not between 0 and `unflagged`.
    """
    if not 0 <= missed <= unflagged:
        raise ValueError("missed must lie between 0 and unflagged")
    return Counts(
        tp=hierarchical.tp,
        fp=hierarchical.fp,
        fn=hierarchical.fn + missed,
        tn=hierarchical.tn + unflagged - missed,
    )


def exact_match(truth: ArrayLike, said: ArrayLike, level: float = 0.95, method: Method = "wilson") -> Interval:
    """Share of messages of which every category is right.

    Args:
        truth: booleans of shape (messages, categories).
        said: the same shape.
        level: nominal coverage, in (0, 1).
        method: of the interval, which takes messages for independent.

    Returns:
        The interval; its estimate is `None` without messages.

    Raises:
        ValueError: see `by_category`; a level outside (0, 1), or an unknown method.
    """
    true, flagged = _pair(truth, said)
    return proportion(int((true == flagged).all(axis=1).sum()), len(true), level, method)


def hamming_loss(truth: ArrayLike, said: ArrayLike) -> float | None:
    """Share of wrong answers among all messages times categories, 0 to 1; `None` without messages.

    Args:
        truth: booleans of shape (messages, categories).
        said: the same shape.

    Raises:
        ValueError: see `by_category`.
    """
    true, flagged = _pair(truth, said)
    return int((true != flagged).sum()) / true.size if true.size else None


def misclassification(truth: ArrayLike, said: ArrayLike, names: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    """Which categories are named in a message that has another: rows are the truth, columns what was said.

    Args:
        truth: booleans of shape (messages, categories).
        said: the same shape.
        names: the categories, in the order of the columns.

    Returns:
        Shape (categories, categories). On the diagonal a category's errors, false alarms and misses together; elsewhere the number of
        messages that have the row's category, lack the column's, and were said to have it. Columns do not sum to false alarms:
        a message of two categories counts in two rows, one of none in no row.

    Raises:
        ValueError: see `by_category`.
    """
    true, flagged = _pair(truth, said, names)
    # Products of floats are exact here and far faster than those of integers.
    table = true.T.astype(np.float64) @ (flagged & ~true)
    np.fill_diagonal(table, (true != flagged).sum(axis=0))
    return tuple(tuple(int(cell) for cell in row) for row in table)


def bootstrap_averages(truth: ArrayLike, said: ArrayLike, how: Resampling, level: float = 0.95) -> Averages:
    """The averages with their sampling error, from resamples of messages or of clusters of messages.

    Args:
        truth: booleans of shape (messages, categories).
        said: the same shape.
        how: draws, and clusters if any; every figure is taken from the same resamples.
        level: nominal coverage, in (0, 1), of each interval by itself.

    Returns:
        Estimates and percentile intervals. Resamples that lack a category leave a macro average undefined; they are left out and
        counted in the interval, which deserves no trust when they are many.

    Raises:
        ValueError: see `by_category`; fewer than 1 resample, a level outside (0, 1), or clusters that are not one for each message.
    """
    true, flagged = _pair(truth, said)
    return _averages(_features(true, flagged), _figures, how, level, (len(true), true.shape[1]))


def bootstrap_paired_averages(
    truth: ArrayLike, said_a: ArrayLike, said_b: ArrayLike, how: Resampling, level: float = 0.95
) -> Averages:
    """How far the averages of two systems on the same messages differ, `a` minus `b`; both from the same resamples.

    Args:
        truth: booleans of shape (messages, categories).
        said_a: the same shape.
        said_b: the same shape.
        how: see `bootstrap_averages`.
        level: see `bootstrap_averages`.

    Returns:
        Differences, -1 to 1, and their percentile intervals. A difference is undefined where either figure is.

    Raises:
        ValueError: see `bootstrap_averages`.
    """
    true, first = _pair(truth, said_a)
    _, second = _pair(truth, said_b)
    features = np.hstack([_features(true, first), _features(true, second)])

    def differences(sums: Sums) -> NDArray[np.float64]:
        half = sums.shape[1] // 2
        return _figures(sums[:, :half]) - _figures(sums[:, half:])

    return _averages(features, differences, how, level, (len(true), true.shape[1]))


def _pair(truth: ArrayLike, said: ArrayLike, names: Sequence[str] | None = None) -> tuple[Flags, Flags]:
    true, flagged = pair_of_flags(truth, said, 2)
    if not true.shape[1]:
        raise ValueError("there must be at least one category")
    if names is not None and (len(names) != true.shape[1] or len(set(names)) != len(names)):
        raise ValueError("names must be one for each category, none of them twice")
    return true, flagged


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known and len(known) == len(values) else None


def _features(true: Flags, flagged: Flags) -> Sums:
    """What a message adds: its hits, its false alarms, its misses, each by category; whether all is right; 1 for itself."""
    right = (true == flagged).all(axis=1, keepdims=True)
    parts = [true & flagged, flagged & ~true, true & ~flagged, right, np.ones_like(right)]
    return np.hstack(parts).astype(np.float64)


def _figures(sums: Sums) -> NDArray[np.float64]:
    """From sums of `_features` to the figures in the order of `Averages`; shape (resamples, figures), `nan` where undefined."""
    tp, fp, fn = np.split(sums[:, :-2], 3, axis=1)
    macros = [_over(tp, tp + fn), _over(tp, tp + fp), _over(2 * tp, 2 * tp + fp + fn)]
    hits, wrong = tp.sum(axis=1), (fp + fn).sum(axis=1)
    wholes = [_over(2 * hits, 2 * hits + wrong), _over(sums[:, -2], sums[:, -1])]
    return np.stack([*(each.mean(axis=1) for each in macros), *wholes], axis=1)


def _over(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.full_like(whole, np.nan), where=whole > 0)


def _averages(
    features: Sums,
    figures: Callable[[Sums], NDArray[np.float64]],
    how: Resampling,
    level: float,
    shape: tuple[int, int],
) -> Averages:
    estimates = figures(features.sum(axis=0)[None])[0]
    # What is undefined on all messages is undefined in each resample of them, so its interval is None too.
    spans = percentile_intervals(features, figures, how, level) or (None,) * _FIGURES
    hit, right, both, labels, whole = (
        Average(None if math.isnan(estimate) else float(estimate), span)
        for estimate, span in zip(estimates, spans, strict=True)
    )
    messages, categories = shape
    return Averages(hit, right, both, labels, whole, messages, categories)
