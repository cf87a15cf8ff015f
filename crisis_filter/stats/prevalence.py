"""What a result on a balanced set means where crises are rare: how many alarms are real, and how often the filter calls.

Sensitivity and specificity are taken to stay the same from the test set to the field. Where the crises met there are milder or the
other messages harder, they do not, and neither do the figures here.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crisis_filter.stats.intervals import wilson

DRAWS = 20_000
"""Enough for bounds that move by less than 0.01 from one seed to the next."""


@dataclass(frozen=True, slots=True)
class Alarms:
    """What to expect of a number of messages; expected numbers, so fractions occur."""

    messages: int
    crises: float
    caught: float
    """Crises that raise an alarm."""
    missed: float
    """Crises that raise none."""
    false_alarms: float

    @property
    def alarms(self) -> float:
        """All alarms, real and false."""
        return self.caught + self.false_alarms


@dataclass(frozen=True, slots=True)
class PpvPosterior:
    """The share of alarms that are real, at some prevalence, with the uncertainty of sensitivity and specificity."""

    estimate: float | None
    """By Bayes' rule from the raw counts; `None` where nothing was flagged. Without false alarms it is 1 and lies above the
    interval, which knows that none in so many is not never."""
    low: float
    high: float
    prevalence: float
    level: float
    """Probability that the true value lies within, such as 0.95."""
    draws: int


@dataclass(frozen=True, slots=True)
class PpvProjection:
    """What the VBHSF paper prints as positive predictive value; see `ppv_projection_paper`."""

    estimate: float | None
    """`None` where nothing is ever flagged."""
    low: float
    high: float
    tp: int
    """Crises that would be flagged in the imagined sample, cut to a whole number."""
    fp: int
    """Other messages that would be flagged in it, cut to a whole number."""
    prevalence: float
    level: float


def ppv(sensitivity: float, specificity: float, prevalence: float) -> float | None:
    """Positive predictive value by Bayes' rule: the share of alarms that are real.

    Returns:
        0 to 1, or `None` where there is never an alarm.

    Raises:
        ValueError: an argument outside 0..1.
    """
    _shares(sensitivity, specificity, prevalence)
    caught, false = sensitivity * prevalence, (1.0 - specificity) * (1.0 - prevalence)
    return caught / (caught + false) if caught + false > 0.0 else None


def npv(sensitivity: float, specificity: float, prevalence: float) -> float | None:
    """Negative predictive value by Bayes' rule: the share of messages without alarm that are no crisis.

    Returns:
        0 to 1, or `None` where there is always an alarm. Where crises are rare it is near 1 for any filter, one that never calls
        too: never read it alone.

    Raises:
        ValueError: an argument outside 0..1.
    """
    return ppv(specificity, sensitivity, 1.0 - prevalence)


def alarms_per(n: int, sensitivity: float, specificity: float, prevalence: float) -> Alarms:
    """What to expect of `n` messages: crises, alarms, misses.

    Raises:
        ValueError: `n` below 0, or another argument outside 0..1.
    """
    _shares(sensitivity, specificity, prevalence)
    if n < 0:
        raise ValueError("n must be at least 0")
    crises = n * prevalence
    return Alarms(
        messages=n,
        crises=crises,
        caught=crises * sensitivity,
        missed=crises * (1.0 - sensitivity),
        false_alarms=n * (1.0 - prevalence) * (1.0 - specificity),
    )


def prior_shift(probabilities: ArrayLike, from_prevalence: float, to_prevalence: float) -> NDArray[np.float64]:
    """Probabilities as they would be at another prevalence: the log-odds move by the difference of the prevalences' log-odds.

    Args:
        probabilities: any shape, 0 to 1; of being a crisis, calibrated at `from_prevalence`.
        from_prevalence: share of crises where they were calibrated, in (0, 1).
        to_prevalence: share of crises where they are to be used, in (0, 1).

    Returns:
        The same shape and order; 0 and 1 stay.

    Raises:
        ValueError: a probability outside 0..1 or NaN (the message says where), or a prevalence outside (0, 1).

    References:
        M. Saerens, P. Latinne, C. Decaestecker, "Adjusting the outputs of a classifier to new a priori probabilities", Neural
        Computation 14 (2002), 21-41, doi:10.1162/089976602753284446.
    """
    from scipy.special import expit, logit

    found = np.asarray(probabilities, dtype=np.float64)
    outside = np.argwhere(~((found >= 0.0) & (found <= 1.0)))
    if len(outside):
        at = ", ".join(str(i) for i in outside[0])
        raise ValueError(f"probabilities must lie between 0 and 1; entry {at} does not")
    if not (0.0 < from_prevalence < 1.0 and 0.0 < to_prevalence < 1.0):
        raise ValueError("prevalences must lie strictly between 0 and 1")
    shifted: NDArray[np.float64] = expit(logit(found) + (logit(to_prevalence) - logit(from_prevalence)))
    return shifted


def ppv_posterior(
    *,
    tp: int,
    fn: int,
    tn: int,
    fp: int,
    prevalence: float,
    rng: np.random.Generator,
    draws: int = DRAWS,
    level: float = 0.95,
) -> PpvPosterior | None:
    """Positive predictive value at a prevalence, with the uncertainty of the sensitivity and specificity that it comes from.

    Sensitivity and specificity get Jeffreys posteriors from the raw counts, independent of one another; draws of both go through
    Bayes' rule. The prevalence is taken as known.

    Args:
        tp: crises that were flagged.
        fn: crises that were not.
        tn: other messages that were not flagged.
        fp: other messages that were.
        prevalence: share of crises in the field, in (0, 1).
        rng: where the draws come from.
        draws: how many, at least 1.
        level: of the equal-tailed interval, in (0, 1).

    Returns:
        The value with its interval, or `None` with crises only or without any: then one of the two rates is unknown.

    Raises:
        ValueError: a negative count, no draws, or a prevalence or level outside (0, 1).

    References:
        L. D. Brown, T. T. Cai, A. DasGupta, "Interval Estimation for a Binomial Proportion", Statistical Science 16 (2001),
        101-133, doi:10.1214/ss/1009213286 (the Jeffreys prior).
    """
    if not min(tp, fn, tn, fp) >= 0:
        raise ValueError("counts must be at least 0")
    if not (0.0 < prevalence < 1.0 and 0.0 < level < 1.0):
        raise ValueError("prevalence and level must lie strictly between 0 and 1")
    if draws < 1:
        raise ValueError("draws must be at least 1")
    if tp + fn == 0 or tn + fp == 0:
        return None
    caught = rng.beta(tp + 0.5, fn + 0.5, draws) * prevalence
    false = rng.beta(fp + 0.5, tn + 0.5, draws) * (1.0 - prevalence)
    tail = (1.0 - level) / 2.0
    low, high = (float(bound) for bound in np.quantile(caught / (caught + false), [tail, 1.0 - tail]))
    estimate = ppv(tp / (tp + fn), tn / (tn + fp), prevalence)
    return PpvPosterior(estimate=estimate, low=low, high=high, prevalence=prevalence, level=level, draws=draws)


def ppv_projection_paper(
    sensitivity_rounded: float, specificity_rounded: float, prevalence: float, n: int = 1800, level: float = 0.95
) -> PpvProjection:
    """Positive predictive value as the VBHSF paper has it. For comparison with its tables only; use `ppv_posterior`.

    The point is Bayes' rule on rates already rounded to three decimals. The interval is Wilson's for an imagined sample of `n`
    messages, its counts cut to whole numbers. It leaves out the uncertainty of both rates, shrinks or grows with an `n` that nobody
    observed, and is not centred on its own point.

    Args:
        sensitivity_rounded: to three decimals, as printed.
        specificity_rounded: to three decimals, as printed.
        prevalence: share of crises, 0 to 1.
        n: size of the imagined sample; the paper takes 1,800 for both of its data sets.
        level: nominal coverage, in (0, 1).

    Raises:
        ValueError: `n` below 0, a rate or prevalence outside 0..1, or a level outside (0, 1).

    References:
        B. Nelson et al., "An AI-Based Behavioral Health Safety Filter and Dataset for Identifying Mental Health Crises in
        Text-Based Conversations", Tables S1 and S2.
    """
    estimate = ppv(sensitivity_rounded, specificity_rounded, prevalence)
    if n < 0:
        raise ValueError("n must be at least 0")
    # As decimals, because binary floats put some products just below the whole number that they are, and would lose one.
    sensitivity, specificity, share = (
        Decimal(str(float(rate))) for rate in (sensitivity_rounded, specificity_rounded, prevalence)
    )
    tp, fp = int(sensitivity * n * share), int((1 - specificity) * n * (1 - share))
    bounds = wilson(tp, tp + fp, level)
    return PpvProjection(
        estimate=estimate, low=bounds.low, high=bounds.high, tp=tp, fp=fp, prevalence=prevalence, level=level
    )


def _shares(*values: float) -> None:
    if not all(0.0 <= value <= 1.0 for value in values):
        raise ValueError("sensitivity, specificity and prevalence must lie between 0 and 1")
