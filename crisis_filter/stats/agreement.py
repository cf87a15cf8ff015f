"""How far raters agree beyond chance: Cohen's kappa, Krippendorff's alpha, Gwet's AC1, and the share they agree on.

Labels may be any hashable values; labels that compare equal (`1` and `True`) are one label, and `None` is a missing one. All
figures are for nominal labels: two neighbouring steps of a scale are as different as its two ends.

Agreement says how alike raters answer, not who is right: two raters may share a mistake.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crisis_filter.stats.intervals import Interval, wilson
from crisis_filter.stats.resampling import Resampling, Span, Statistic, Sums, from_error, percentile_interval

Ratings = Sequence[Sequence[Hashable | None]]
"""One row a unit (a message), one place in it a rater; `None` where that rater gave no label. Order of raters is free."""
Coefficient = Literal["cohen_kappa", "krippendorff_alpha", "gwet_ac1"]

_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Agreement:
    """A coefficient of agreement with its uncertainty. 1 is perfect, 0 what chance gives, below 0 worse than chance."""

    coefficient: Coefficient
    estimate: float | None
    """-1 to 1, or `None` where the coefficient is undefined; never 0 or 1 in its stead. Then read `unanimous`."""
    observed: float | None
    """Share of agreeing pairs of labels, as this coefficient counts it, 0 to 1; `None` without units."""
    expected: float | None
    """Share by chance, as this coefficient has it, 0 to 1; `None` where it is undefined."""
    standard_error: float | None
    """Large-sample; `None` where undefined, and for alpha, which has none here."""
    interval: Span | None
    """From the standard error. `None` without one, and where it is 0: an interval without width would claim certainty."""
    bootstrap: Span | None
    """From resamples of units or clusters; `None` unless asked for, and where there is no spread."""
    unanimous: Interval
    """Units on which all labels given are the same, of those with two labels or more, with its Wilson interval."""
    units: int
    """Units that were used: those with two labels or more (for AC1's chance term, also those with one)."""
    left_out: int
    """Units with fewer than two labels."""
    labels: int
    """Different labels: those that occur, or those that were declared."""


def percent_agreement(ratings: Ratings, *, level: float = 0.95) -> Interval:
    """Share of units on which all raters who gave a label gave the same one.

    For two raters this is percent agreement as everybody has it; for more it is unanimity, which is what can be counted.

    Args:
        ratings: shape (units, raters); see `Ratings`. Units with fewer than two labels are left out.
        level: nominal coverage of the Wilson interval, in (0, 1).

    Returns:
        The interval; its estimate is `None` when no unit has two labels. It takes units for independent.

    Raises:
        ValueError: rows of different lengths, a label that is NaN, or a level outside (0, 1).
    """
    counts, _ = _counted(ratings, None)
    return _unanimous(counts, level)


def cohen_kappa(pairs: Ratings, *, level: float = 0.95, bootstrap: Resampling | None = None) -> Agreement:
    """Cohen's kappa of two raters: (po - pe) / (1 - pe), pe from each rater's own share of each label.

    Args:
        pairs: shape (units, 2); see `Ratings`. Units that lack a label are left out and counted.
        level: nominal coverage, in (0, 1).
        bootstrap: also give a percentile interval, from resamples of units or clusters.

    Returns:
        Estimate, large-sample standard error with normal interval, and bootstrap interval. Undefined (`None`) when pe = 1: both
        raters gave the same single label throughout. With few units or rare labels prefer the bootstrap interval.

    Raises:
        ValueError: a row that is no pair, a label that is NaN, a level outside (0, 1), or bad clusters.

    References:
        J. Cohen, "A Coefficient of Agreement for Nominal Scales", Educational and Psychological Measurement 20 (1960), 37-46.
        J. L. Fleiss, J. Cohen, B. S. Everitt, "Large Sample Standard Errors of Kappa and Weighted Kappa", Psychological
        Bulletin 72 (1969), 323-327, doi:10.1037/h0028106.
    """
    if any(len(pair) != 2 for pair in pairs):
        raise ValueError("each unit must have two places, one for each rater")
    counts, found = _counted(pairs, None)
    number = {label: at for at, label in enumerate(found)}
    codes = np.array([[-1 if v is None else number[v] for v in pair] for pair in pairs], dtype=np.intp).reshape(-1, 2)
    whole = (codes >= 0).all(axis=1)
    # Columns: whether they agree, then one for each label and rater.
    eye = np.eye(len(found))
    features = np.zeros((len(codes), 1 + 2 * len(found)))
    first, second = codes[whole, 0], codes[whole, 1]
    features[whole] = np.hstack([(first == second)[:, None], eye[first], eye[second]])
    total = features.sum(axis=0)
    estimate = _estimate(_kappa, features)
    units = int(whole.sum())
    observed, expected = None, None
    error = None
    if units:
        rows, columns = total[1 : 1 + len(found)] / units, total[1 + len(found) :] / units
        observed, expected = float(total[0]) / units, float(rows @ columns)
        if estimate is not None:
            table = np.zeros((len(found), len(found)))
            np.add.at(table, (first, second), 1.0 / units)
            error = _kappa_error(table, estimate, units)
    return Agreement(
        coefficient="cohen_kappa",
        estimate=estimate,
        observed=observed,
        expected=expected,
        standard_error=error,
        interval=from_error(estimate, error, level),
        bootstrap=_resampled(features, _kappa, estimate, bootstrap, level),
        unanimous=_unanimous(counts, level),
        units=units,
        left_out=len(codes) - units,
        labels=len(found),
    )


def cohen_kappa_table(table: ArrayLike, *, level: float = 0.95, bootstrap: Resampling | None = None) -> Agreement:
    """Cohen's kappa from a square table of counts: rows are the first rater's labels, columns the second's.

    Args:
        table: shape (labels, labels), whole numbers of at least 0, the labels in the same order both ways.
        level: see `cohen_kappa`.
        bootstrap: see `cohen_kappa`; clusters, if any, one for each unit, row by row of the table.

    Returns:
        See `cohen_kappa`. Labels that nobody gave count for nothing.

    Raises:
        ValueError: the table is not square or holds something else than counts.
    """
    counts = np.asarray(table)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1]:
        raise ValueError("table must be square")
    if counts.dtype.kind not in "iu" or (counts < 0).any():
        raise ValueError("table must hold whole numbers of at least 0")
    pairs = [(int(i), int(j)) for i, j in np.ndindex(counts.shape) for _ in range(int(counts[i, j]))]
    return cohen_kappa(pairs, level=level, bootstrap=bootstrap)


def krippendorff_alpha(ratings: Ratings, *, level: float = 0.95, bootstrap: Resampling | None = None) -> Agreement:
    """Krippendorff's alpha for nominal labels, any number of raters, missing labels: 1 - Do / De from the coincidence matrix.

    Args:
        ratings: shape (units, raters); see `Ratings`. Units with fewer than two labels are left out and counted.
        level: nominal coverage, in (0, 1).
        bootstrap: give a percentile interval, from resamples of units or clusters. (Krippendorff's own bootstrap draws
            disagreements instead; its intervals may differ.)

    Returns:
        Estimate and bootstrap interval; no standard error. Undefined (`None`) when only one label occurs, or none.

    Raises:
        ValueError: rows of different lengths, a label that is NaN, a level outside (0, 1), or bad clusters.

    References:
        K. Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), https://repository.upenn.edu/asc_papers/43.
        A. F. Hayes, K. Krippendorff, "Answering the Call for a Standard Reliability Measure for Coding Data", Communication
        Methods and Measures 1 (2007), 77-89, doi:10.1080/19312450709336664.
    """
    counts, found = _counted(ratings, None)
    given = counts.sum(axis=1)
    usable = given >= 2
    # Columns: the unit's part of the matrix's diagonal, then how often each label was given.
    diagonal = (counts * (counts - 1)).sum(axis=1) / np.maximum(given - 1, 1)
    features = np.hstack([diagonal[:, None], counts]) * usable[:, None]
    total = features.sum(axis=0)
    values = float(total[1:].sum())
    estimate = _estimate(_alpha, features)
    expected = float((total[1:] * (total[1:] - 1)).sum()) / (values * (values - 1)) if values else None
    return Agreement(
        coefficient="krippendorff_alpha",
        estimate=estimate,
        observed=float(total[0]) / values if values else None,
        expected=expected,
        standard_error=None,
        interval=None,
        bootstrap=_resampled(features, _alpha, estimate, bootstrap, level),
        unanimous=_unanimous(counts, level),
        units=int(usable.sum()),
        left_out=int((~usable).sum()),
        labels=len(found),
    )


def gwet_ac1(
    ratings: Ratings,
    *,
    labels: Sequence[Hashable] | None = None,
    level: float = 0.95,
    bootstrap: Resampling | None = None,
) -> Agreement:
    """Gwet's AC1 for nominal labels, two raters or more, missing labels; it stays steady where one label is rare.

    Args:
        ratings: shape (units, raters); see `Ratings`. Units with one label count in the chance term alone, as Gwet has it.
        labels: all labels that could have been given; AC1 depends on how many there are. `None` takes those that occur.
        level: nominal coverage, in (0, 1).
        bootstrap: also give a percentile interval; the standard error takes units for independent, so clusters need it.

    Returns:
        Estimate, standard error, interval by Student's t with one degree of freedom less than there are units with a label (as
        Gwet's own package irrCAC has it), and bootstrap interval. Undefined (`None`) with fewer than two labels or without a unit
        that has two. With two declared labels of which only one occurs AC1 is 1 by its formula, with no spread: read `unanimous`.

    Raises:
        ValueError: rows of different lengths, a label that is NaN or not declared, a level outside (0, 1), or bad clusters.

    References:
        K. L. Gwet, "Computing inter-rater reliability and its variance in the presence of high agreement", British Journal of
        Mathematical and Statistical Psychology 61 (2008), 29-48, doi:10.1348/000711006X126600.
        K. L. Gwet, "Handbook of Inter-Rater Reliability" (4th edition, 2014), chapter 5 (missing labels).
    """
    counts, found = _counted(ratings, labels)
    given = counts.sum(axis=1)
    usable = given >= 2
    shares = counts / np.maximum(given, 1)[:, None]
    pairs = (counts * (counts - 1)).sum(axis=1) / np.maximum(given * (given - 1), 1)
    # Columns: the share of agreeing pairs, whether there are pairs, whether there is a label, the share of each label.
    features = np.hstack([np.stack([pairs, usable, given >= 1], axis=1), shares])
    estimate = _estimate(_ac1, features)
    total = features.sum(axis=0)
    units = int(usable.sum())
    observed = float(total[0]) / units if units else None
    expected, error = None, None
    if estimate is not None and observed is not None:
        share = total[3:] / total[2]
        expected = float((share * (1.0 - share)).sum()) / (len(found) - 1)
        rated = given >= 1
        error = _ac1_error(pairs[rated], usable[rated], shares[rated], (estimate, expected))
    return Agreement(
        coefficient="gwet_ac1",
        estimate=estimate,
        observed=observed,
        expected=expected,
        standard_error=error,
        interval=from_error(estimate, error, level, freedom=int(total[2]) - 1),
        bootstrap=_resampled(features, _ac1, estimate, bootstrap, level),
        unanimous=_unanimous(counts, level),
        units=units,
        left_out=len(counts) - units,
        labels=len(found),
    )


def binary_questions(
    ratings: Sequence[Sequence[Collection[str] | None]], categories: Sequence[str]
) -> dict[str, list[tuple[bool | None, ...]]]:
    """Sets of categories as one yes-or-no question for each category, so that each has its own agreement.

    Args:
        ratings: shape (units, raters); the categories that a rater named, none being an answer too, or `None` for no answer.
        categories: all ids that could have been named; the order of the result.

    Returns:
        For each category the ratings of "is it present?": `True`, `False`, or `None` where the rater gave no answer.

    Raises:
        ValueError: a rater named something that is no category, or gave a string where a set belongs.
    """
    known = set(categories)
    for row in ratings:
        for named in row:
            if isinstance(named, str) or (named is not None and not known.issuperset(named)):
                raise ValueError("each rating must be a set of the given categories, or None")
    return {c: [tuple(None if named is None else c in named for named in row) for row in ratings] for c in categories}


def _counted(ratings: Ratings, labels: Sequence[Hashable] | None) -> tuple[NDArray[np.float64], tuple[Hashable, ...]]:
    """How often each unit got each label, shape (units, labels), and the labels."""
    if len({len(row) for row in ratings}) > 1:
        raise ValueError("each unit must have as many places as there are raters")
    number: dict[Hashable, int] = {label: at for at, label in enumerate(dict.fromkeys(labels or ()))}
    places: list[tuple[int, int]] = []
    for unit, row in enumerate(ratings):
        for label in row:
            if label is None:
                continue
            if label != label:  # only NaN differs from itself
                raise ValueError("a label is NaN; a missing label is None")
            if labels is not None and label not in number:
                raise ValueError("a label occurs that is not among the declared ones")
            places.append((unit, number.setdefault(label, len(number))))
    counts = np.zeros((len(ratings), len(number)))
    if places:
        np.add.at(counts, tuple(np.array(places, dtype=np.intp).T), 1.0)
    return counts, tuple(number)


def _unanimous(counts: NDArray[np.float64], level: float) -> Interval:
    given = counts.sum(axis=1)
    usable = given >= 2
    same = usable & (counts.max(axis=1, initial=0.0) == given)
    return wilson(int(same.sum()), int(usable.sum()), level)


def _estimate(statistic: Statistic, features: Sums) -> float | None:
    value = float(statistic(features.sum(axis=0)[None])[0])
    return None if math.isnan(value) else value


def _ratio(over: NDArray[np.float64], under: NDArray[np.float64]) -> NDArray[np.float64]:
    """Quotients, `nan` where there is nothing to divide by."""
    quotients: NDArray[np.float64] = np.full(over.shape, np.nan)
    np.divide(over, under, out=quotients, where=under > 0)
    return quotients


def _kappa(sums: Sums) -> NDArray[np.float64]:
    labels = (sums.shape[1] - 1) // 2
    first, second = sums[:, 1 : 1 + labels], sums[:, 1 + labels :]
    units = first.sum(axis=1)
    chance = (first * second).sum(axis=1)
    return _ratio(units * sums[:, 0] - chance, units * units - chance)


def _alpha(sums: Sums) -> NDArray[np.float64]:
    values = sums[:, 1:].sum(axis=1)
    return 1.0 - _ratio((values - 1) * (values - sums[:, 0]), values**2 - (sums[:, 1:] ** 2).sum(axis=1))


def _ac1(sums: Sums) -> NDArray[np.float64]:
    labels = sums.shape[1] - 3
    if labels < 2:
        return np.full(len(sums), np.nan)
    share = _ratio(sums[:, 3:], np.repeat(sums[:, 2:3], labels, axis=1))
    chance: NDArray[np.float64] = (share * (1.0 - share)).sum(axis=1) / (labels - 1)
    # With two labels or more chance is at most a half, so 1 - chance is never 0.
    return (_ratio(sums[:, 0], sums[:, 1]) - chance) / (1.0 - chance)


def _kappa_error(table: NDArray[np.float64], kappa: float, units: int) -> float:
    """Standard error by Fleiss, Cohen and Everitt; the table holds shares."""
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    chance = float(rows @ columns)
    own = np.diag(table)
    agree = float((own * (1.0 - (rows + columns) * (1.0 - kappa)) ** 2).sum())
    cross = table * (columns[:, None] + rows[None, :]) ** 2
    differ = (1.0 - kappa) ** 2 * float(cross.sum() - np.trace(cross))
    spread = agree + differ - (kappa - chance * (1.0 - kappa)) ** 2
    # What rounding leaves of a spread of 0 would become an error of some 1e-8.
    return math.sqrt(spread / units) / (1.0 - chance) if spread > _ROUNDING else 0.0


def _ac1_error(
    pairs: NDArray[np.float64], usable: NDArray[np.bool_], shares: NDArray[np.float64], found: tuple[float, float]
) -> float | None:
    """Standard error by Gwet, over the units with a label; `found` is AC1 and its chance term."""
    ac1, chance = found
    units = len(pairs)
    if units < 2:
        return None
    own = units / float(usable.sum()) * (pairs - chance * usable) / (1.0 - chance)
    own_chance = shares @ (1.0 - shares.mean(axis=0)) / (shares.shape[1] - 1)
    corrected = own - 2.0 * (1.0 - ac1) * (own_chance - chance) / (1.0 - chance)
    return math.sqrt(float(((corrected - ac1) ** 2).sum()) / (units * (units - 1)))


def _resampled(
    features: Sums, statistic: Statistic, estimate: float | None, how: Resampling | None, level: float
) -> Span | None:
    if how is None:
        return None
    span = percentile_interval(features, statistic, how, level)
    return None if estimate is None else span
