"""Whether probabilities mean what they say: Brier score, log loss, calibration error, reliability, recalibration.

Figures hold at the prevalence of the data: what is calibrated on a set that is half crisis is not calibrated at one in a hundred.
The calibration error depends on how the scores are binned, so it is never the only number.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crisis_filter.stats.intervals import Interval, wilson
from crisis_filter.stats.ranking import Scores, Truth, labelled
from crisis_filter.stats.resampling import Resampling, Span, bootstrap_several

BINS = 15
CLIP = 1e-6
"""Log loss and log-odds take probabilities no nearer to 0 and 1 than this; one sure mistake would outweigh all else."""
# A gradient of the mean log-likelihood that is flat enough: the line is then right to about 1e-8.
_FLAT = 1e-9


@dataclass(frozen=True, slots=True)
class Bin:
    """Messages of neighbouring probabilities."""

    low: float
    """Smallest probability in it."""
    high: float
    """Largest probability in it."""
    mean: float
    """Mean probability: what was said."""
    n: int
    """Messages, at least 1."""
    positives: int
    observed: Interval
    """Share of positives, what came true, with its Wilson interval."""


@dataclass(frozen=True, slots=True)
class Recalibration:
    """The line that would set the log-odds right: intercept + slope * log-odds. Perfect is slope 1 and intercept 0."""

    slope: float
    """Below 1 the probabilities are too extreme, above 1 too timid."""
    intercept: float
    """Below 0 they are too high where they say one half, above 0 too low."""
    slope_error: float
    """Large-sample standard error."""
    intercept_error: float
    """Large-sample standard error."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Everything said of one system's probabilities; an undefined figure is `None`."""

    n: int
    positives: int
    distinct: int
    """Different probabilities; few of them mean that ranking and bins are coarse."""
    brier: float | None
    brier_span: Span | None
    brier_skill: float | None
    log_loss: float | None
    log_loss_span: Span | None
    ece: float | None
    ece_span: Span | None
    """Of draws, which bin anew. Drawing adds noise to the error, so the interval leans upwards and may lie above the estimate."""
    recalibration: Recalibration | None
    bins: tuple[Bin, ...]


def brier(truth: ArrayLike, probabilities: ArrayLike) -> float | None:
    """Brier score: the mean squared distance of probability and truth.

    Args:
        truth: see `ranking.labelled`.
        probabilities: shape (messages,), that the message is a positive, 0 to 1.

    Returns:
        0 (perfect) to 1, or `None` without messages.

    Raises:
        ValueError: shapes that differ, a truth that is neither yes nor no, a probability that is missing or outside 0..1.

    References:
        G. W. Brier, "Verification of Forecasts Expressed in Terms of Probability", Monthly Weather Review 78 (1950), 1-3.
    """
    said, p = _checked(truth, probabilities)
    return float(((p - said) ** 2).mean()) if len(p) else None


def brier_skill(truth: ArrayLike, probabilities: ArrayLike) -> float | None:
    """What the Brier score gains on always saying the data's own prevalence: 1 is perfect, 0 no gain, below 0 a loss.

    Args:
        truth: see `brier`.
        probabilities: see `brier`.

    Returns:
        At most 1, or `None` when only one class occurs (the prevalence is then never wrong) or no message.

    Raises:
        ValueError: see `brier`.
    """
    said, p = _checked(truth, probabilities)
    if not _both(said):
        return None
    prevalence = float(said.mean())
    return 1.0 - float(((p - said) ** 2).mean()) / (prevalence * (1.0 - prevalence))


def log_loss(truth: ArrayLike, probabilities: ArrayLike) -> float | None:
    """Mean negative natural logarithm of the probability given to what was true, probabilities clipped by `CLIP`.

    Args:
        truth: see `brier`.
        probabilities: see `brier`.

    Returns:
        0 to 13.8, or `None` without messages.

    Raises:
        ValueError: see `brier`.
    """
    said, p = _checked(truth, probabilities)
    return float(_surprise(said, p).mean()) if len(p) else None


def ece(truth: ArrayLike, probabilities: ArrayLike, bins: int = BINS) -> float | None:
    """Expected calibration error: the gap of mean probability and share of positives, averaged over bins of equal mass.

    Equal probabilities share a bin, so tied ones make fewer and unequal bins; see `reliability`.

    Args:
        truth: see `brier`.
        probabilities: see `brier`.
        bins: how many bins at most, at least 1.

    Returns:
        0 to 1, or `None` without messages. Chance gaps do not cancel: with few messages even perfect probabilities are above 0.

    Raises:
        ValueError: see `brier`; also fewer than 1 bin.

    References:
        M. Pakdaman Naeini, G. F. Cooper, M. Hauskrecht, "Obtaining Well Calibrated Probabilities Using Bayesian Binning", AAAI 29
        (2015), 2901-2907, doi:10.1609/aaai.v29i1.9602.
        T. Roelofs, N. Cain, J. Shlens, M. C. Mozer, "Mitigating Bias in Calibration Error Estimation", AISTATS 25 (2022), 4036-4054
        (equal mass).
    """
    said, p = _checked(truth, probabilities)
    if bins < 1:
        raise ValueError("bins must be at least 1")
    order = np.argsort(p, kind="stable")
    return _error(np.ones(len(p), dtype=np.int64), (p - said)[order], _tie_ends(p[order]), bins) if len(p) else None


def reliability(
    truth: ArrayLike, probabilities: ArrayLike, bins: int = BINS, *, level: float = 0.95
) -> tuple[Bin, ...]:
    """What was said against what came true, in bins of equal mass, from low to high.

    Bins end where the quantiles at 1/bins, 2/bins, ... of the probabilities lie. Equal probabilities share a bin, and bins without
    messages are left out.

    Args:
        truth: see `brier`.
        probabilities: see `brier`.
        bins: how many bins at most, at least 1.
        level: nominal coverage of the Wilson intervals, in (0, 1).

    Returns:
        The bins; none without messages.

    Raises:
        ValueError: see `brier`; also fewer than 1 bin, or a level outside (0, 1).
    """
    if not 0.0 < level < 1.0:
        raise ValueError("level must lie strictly between 0 and 1")
    said, p = _checked(truth, probabilities)
    order = np.argsort(p, kind="stable")
    said, p = said[order], p[order]
    bounds = np.append(_starts(np.arange(1, len(p) + 1), _tie_ends(p), bins), len(p))
    found = []
    for start, end in pairwise(bounds):
        n, positives = int(end - start), int(said[start:end].sum())
        mean = float(p[start:end].mean())
        found.append(Bin(float(p[start]), float(p[end - 1]), mean, n, positives, wilson(positives, n, level)))
    return tuple(found)


def histogram(probabilities: ArrayLike, bins: int = 20) -> tuple[int, ...]:
    """How many probabilities fall into each of so many equally wide bins of 0..1; each takes its lower edge, the last both.

    Args:
        probabilities: see `brier`.
        bins: how many, at least 1.

    Raises:
        ValueError: a probability that is missing or outside 0..1, or fewer than 1 bin.
    """
    if bins < 1:
        raise ValueError("bins must be at least 1")
    values = np.asarray(probabilities)
    _, p = _checked(np.zeros(values.shape, dtype=np.bool_), values)
    return tuple(int(count) for count in np.histogram(p, bins=bins, range=(0.0, 1.0))[0])


def distinct(probabilities: ArrayLike) -> int:
    """How many different probabilities there are.

    Args:
        probabilities: see `brier`.

    Raises:
        ValueError: a probability that is missing or outside 0..1.
    """
    values = np.asarray(probabilities)
    _, p = _checked(np.zeros(values.shape, dtype=np.bool_), values)
    return len(np.unique(p))


def slope_intercept(truth: ArrayLike, probabilities: ArrayLike) -> Recalibration | None:
    """Logistic recalibration: truth regressed on the log-odds of the probabilities, by maximum likelihood.

    Args:
        truth: see `brier`.
        probabilities: see `brier`; clipped by `CLIP`.

    Returns:
        The line, or `None` where the likelihood has no single maximum: only one class, all probabilities equal, or the classes
        perfectly separated (no positive below a negative, or none above; a tie between the two does not help).

    Raises:
        ValueError: see `brier`.
        ArithmeticError: the search did not end, which no data is known to cause.

    References:
        D. R. Cox, "Two Further Applications of a Model for Binary Regression", Biometrika 45 (1958), 562-565.
        A. Albert, J. A. Anderson, "On the Existence of Maximum Likelihood Estimates in Logistic Regression Models", Biometrika 71
        (1984), 1-10, doi:10.1093/biomet/71.1.1.
    """
    said, p = _checked(truth, probabilities)
    if not _both(said):
        return None
    clipped = np.clip(p, CLIP, 1.0 - CLIP)
    odds = np.log(clipped) - np.log1p(-clipped)
    high, low = odds[said], odds[~said]
    if low.max() <= high.min() or high.max() <= low.min():
        return None
    return _fitted(said.astype(np.float64), odds)


def calibration(
    truth: ArrayLike,
    probabilities: ArrayLike,
    how: Resampling | None = None,
    *,
    bins: int = BINS,
    level: float = 0.95,
) -> Calibration:
    """Every figure of calibration, with bootstrap intervals if asked for.

    Args:
        truth: see `brier`.
        probabilities: see `brier`.
        how: draws of messages or of clusters, for percentile intervals; `None` gives none.
        bins: see `ece`.
        level: nominal coverage, in (0, 1).

    Returns:
        The figures.

    Raises:
        ValueError: see `brier`, `ece` and `resampling.bootstrap`.
    """
    if not 0.0 < level < 1.0:
        raise ValueError("level must lie strictly between 0 and 1")
    said, p = _checked(truth, probabilities)
    spans = (None, None, None) if how is None or not len(p) else _spans(said, p, bins, how, level)
    return Calibration(
        n=len(p),
        positives=int(said.sum()),
        distinct=distinct(p),
        brier=brier(said, p),
        brier_span=spans[0],
        brier_skill=brier_skill(said, p),
        log_loss=log_loss(said, p),
        log_loss_span=spans[1],
        ece=ece(said, p, bins),
        ece_span=spans[2],
        recalibration=slope_intercept(said, p),
        bins=reliability(said, p, bins, level=level),
    )


def _spans(said: Truth, p: Scores, bins: int, how: Resampling, level: float) -> tuple[Span | None, ...]:
    """Intervals of Brier score, log loss and calibration error, from the same draws of messages or clusters."""
    order = np.argsort(p, kind="stable")
    place = np.empty(len(p), dtype=np.intp)
    place[order] = np.arange(len(p))
    each = np.stack([(p - said) ** 2, _surprise(said, p)], axis=1)[order]
    gaps, tie_ends = (p - said)[order], _tie_ends(p[order])

    def figures(drawn: NDArray[np.intp]) -> NDArray[np.float64]:
        times = np.bincount(place[drawn], minlength=len(p))
        return np.append(times @ each / len(drawn), _error(times, gaps, tie_ends, bins))

    return bootstrap_several(len(p), figures, how, level=level)


def _checked(truth: ArrayLike, probabilities: ArrayLike) -> tuple[Truth, Scores]:
    said, p = labelled(truth, probabilities)
    outside = (p < 0.0) | (p > 1.0)
    if outside.any():
        raise ValueError(f"probability is outside 0..1 at index {int(np.argmax(outside))}")
    return said, p


def _both(said: Truth) -> bool:
    return 0 < int(said.sum()) < len(said)


def _surprise(said: Truth, p: Scores) -> Scores:
    clipped = np.clip(p, CLIP, 1.0 - CLIP)
    surprise: Scores = -np.where(said, np.log(clipped), np.log1p(-clipped))
    return surprise


def _tie_ends(p: Scores) -> NDArray[np.intp]:
    """For each of the sorted probabilities, where those equal to it end."""
    ends: NDArray[np.intp] = np.searchsorted(p, p, side="right")
    return ends


def _starts(upto: NDArray[np.int64], tie_ends: NDArray[np.intp], bins: int) -> NDArray[np.intp]:
    """Where the bins of equal mass start among sorted probabilities; `upto` counts the messages up to and with each."""
    if bins < 1:
        raise ValueError("bins must be at least 1")
    if not len(upto):
        return np.zeros(0, dtype=np.intp)
    # The edge is the linear quantile at k / bins; what lies at or below it is what lies at or below the message just before.
    # Whole numbers, because 0.07 * 100 is 7.000000000000001.
    before = np.arange(1, bins) * (int(upto[-1]) - 1) // bins
    cuts = tie_ends[np.searchsorted(upto, before, side="right")]
    starts: NDArray[np.intp] = np.unique(np.concatenate([np.zeros(1, dtype=np.intp), cuts]))
    return starts[starts < len(upto)]


def _error(times: NDArray[np.int64], gaps: Scores, tie_ends: NDArray[np.intp], bins: int) -> float:
    """The calibration error of a resample: how often each message is in it, by rising probability; at least once for some."""
    upto = np.cumsum(times)
    return float(np.abs(np.add.reduceat(times * gaps, _starts(upto, tie_ends, bins))).sum() / upto[-1])


def _fitted(said: Scores, odds: Scores) -> Recalibration:
    """Maximum likelihood on standardised log-odds, then on their own scale again."""
    from scipy.optimize import minimize, root
    from scipy.special import expit

    centre, scale = float(odds.mean()), float(odds.std())
    design = np.stack([np.ones(len(odds)), (odds - centre) / scale])

    def loss(at: Scores) -> float:
        linear = at @ design
        return float((np.logaddexp(0.0, linear) - said * linear).mean())

    def slope(at: Scores) -> Scores:
        gradient: Scores = design @ (expit(at @ design) - said) / len(said)
        return gradient

    def curvature(at: Scores) -> NDArray[np.float64]:
        fitted = expit(at @ design)
        hessian: NDArray[np.float64] = (design * (fitted * (1.0 - fitted))) @ design.T / len(said)
        return hessian

    # The loss is too flat at its lowest point to tell it exactly; where the slope is zero can be told.
    near = minimize(loss, np.zeros(2), jac=slope, hess=curvature, method="trust-exact").x
    at: Scores = root(slope, near, jac=curvature, tol=1e-12).x
    if np.abs(slope(at)).max() > _FLAT:
        raise ArithmeticError("no maximum of the likelihood was found")
    covariance = np.linalg.inv(curvature(at) * len(said))
    back = np.array([[1.0, -centre / scale], [0.0, 1.0 / scale]])
    intercept, tilt = (float(value) for value in back @ at)
    errors = np.sqrt(np.diag(back @ covariance @ back.T))
    return Recalibration(tilt, intercept, float(errors[1]), float(errors[0]))
