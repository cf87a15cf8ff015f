"""Figures of ranking as functions of a resample, with the sorting done once for all resamples.

A bootstrap of a rate at a wanted sensitivity chooses the threshold anew in every resample, two thousand times over.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crisis_filter.stats.ranking import labelled

# Below this a share is rounding.
_NO_WIDTH = 1e-12


def ranking_of_draws(
    truth: ArrayLike, scores: ArrayLike, targets: Sequence[float]
) -> Callable[[NDArray[np.intp]], NDArray[np.float64]]:
    """The area, and the share of false alarms at each wanted sensitivity, as a function of the messages drawn.

    For `resampling.bootstrap_several`: scores are sorted once for all draws, and thresholds are chosen anew in each.

    Args:
        truth: see `labelled`.
        scores: see `labelled`.
        targets: wanted sensitivities, in (0, 1]; see `fpr_at_tpr`.

    Returns:
        A function of message numbers, any number of times each, that gives an array: first the area, then a share for each target;
        `nan` where a draw lacks a class.

    Raises:
        ValueError: see `labelled`; also a target outside (0, 1].
    """
    if not all(0.0 < target <= 1.0 for target in targets):
        raise ValueError("targets must lie above 0 and not above 1")
    said, values = labelled(truth, scores)
    codes = np.unique(values, return_inverse=True)[1]
    # Highest score first, and odd numbers are positives.
    kinds = int(codes.max(initial=-1)) + 1
    places = 2 * (kinds - 1 - codes) + said

    def figures(drawn: NDArray[np.intp]) -> NDArray[np.float64]:
        counts = np.bincount(places[drawn], minlength=2 * kinds).reshape(-1, 2)
        false, true = np.cumsum(counts[:, 0]), np.cumsum(counts[:, 1])
        negatives, positives = (int(each[-1]) if len(each) else 0 for each in (false, true))
        if not positives or not negatives:
            return np.full(1 + len(targets), np.nan)
        # Each positive is above all negatives but those that came before it; half of those beside it count.
        above = float(counts[:, 1] @ (negatives - false + counts[:, 0] / 2)) / (positives * negatives)
        needed = [max(1, math.ceil(round(target * positives, 9))) for target in targets]
        return np.array([above, *(false[np.searchsorted(true, needed)] / negatives)])

    return figures


def resampled_rates(
    truth: ArrayLike, scores: ArrayLike, targets: Sequence[float], *, rng: np.random.Generator, resamples: int
) -> NDArray[np.float64]:
    """The share of false alarms at each wanted sensitivity in resamples of independent messages, without drawing the messages.

    What `ranking_of_draws` would give for messages drawn one by one, from the distributions that such draws have: the k-th largest
    score of a resample is an order statistic of uniform draws, and the negatives above it are binomial. The time does not depend on the
    number of messages but for one sort.

    Args:
        truth: see `labelled`.
        scores: see `labelled`.
        targets: wanted sensitivities, in (0, 1], least first.
        rng: where the draws come from.
        resamples: how many, at least 1.

    Returns:
        Shape (resamples, targets); `nan` where a resample lacks a class.

    Raises:
        ValueError: see `labelled`; also targets out of range or out of order.

    References:
        H. A. David, H. N. Nagaraja, "Order Statistics" (3rd edition, 2003), section 2.1.
    """
    if list(targets) != sorted(targets) or not all(0.0 < target <= 1.0 for target in targets):
        raise ValueError("targets must lie above 0 and not above 1, least first")
    said, values = labelled(truth, scores)
    high, low = np.sort(values[said])[::-1], np.sort(values[~said])
    rates = np.full((resamples, len(targets)), np.nan)
    if not len(high) or not len(low):
        return rates
    positives = rng.binomial(len(values), len(high) / len(values), resamples)
    whole = (positives > 0) & (positives < len(values))
    positives, negatives = positives[whole], (len(values) - positives)[whole]
    # Of each positive, the share of negatives that are flagged with it.
    flagged = 1.0 - np.searchsorted(low, high, side="left") / len(low)
    share, rank = np.zeros(len(positives)), np.zeros(len(positives))
    alarms, reached = np.zeros(len(positives)), np.zeros(len(positives))
    for column, target in enumerate(targets):
        needed = np.maximum(1, np.ceil(np.round(target * positives, 9)))
        further = needed > rank
        step = rng.beta(np.where(further, needed - rank, 1.0), positives - needed + 1.0)
        share = np.where(further, share + (1.0 - share) * step, share)
        rank = needed
        rate = flagged[np.minimum((share * len(high)).astype(np.intp), len(high) - 1)]
        left = np.where(reached < 1.0, (rate - reached) / np.maximum(1.0 - reached, _NO_WIDTH), 0.0)
        alarms = alarms + rng.binomial((negatives - alarms).astype(np.int64), np.clip(left, 0.0, 1.0))
        reached = rate
        rates[whole, column] = alarms / negatives
    return rates
