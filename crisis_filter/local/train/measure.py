"""Thresholds chosen on development messages, and figures of merit of a table of probabilities (numpy only)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Table = NDArray[np.floating]
"""Probabilities, shape (messages, labels); the first label is any crisis."""
Truth = NDArray[np.bool_]
"""Reference labels of the same shape."""

_GRID = np.round(np.arange(0.10, 0.91, 0.05), 2)


def auc(scores: Table, truth: Truth) -> float | None:
    """Area under the ROC curve: chance that a random positive scores above a random negative, ties counting half.

    Args:
        scores: shape (messages,).
        truth: shape (messages,).

    Returns:
        0 to 1, or `None` when one of the classes is absent.
    """
    positive, negative = scores[truth], scores[~truth]
    if not len(positive) or not len(negative):
        return None
    wins = (positive[:, None] > negative).mean() + 0.5 * (positive[:, None] == negative).mean()
    return float(wins)


def sensitive_threshold(scores: Table, truth: Truth, floor: float) -> float:
    """The threshold with the fewest false positives among those whose sensitivity is at least `floor`.

    Of the thresholds that let the same false positives through, the lowest: no positive is given up for nothing. It lies
    midway between two scores, so that a rounding error moves no message across.

    Args:
        scores: probability of crisis, shape (messages,).
        truth: which are crises, shape (messages,); at least one is.
        floor: least sensitivity, in (0, 1].

    Raises:
        ValueError: when there is no positive.
    """
    positive = np.sort(scores[truth])[::-1]
    if not len(positive):
        raise ValueError("a sensitivity needs at least one positive")
    kept = positive[math.ceil(round(floor * len(positive), 9)) - 1]
    let_go = scores[~truth & (scores < kept)]
    if not len(let_go):
        return float(positive[-1]) / 2
    below = float(let_go.max())
    above = float(scores[truth & (scores > below)].min())
    middle = (below + above) / 2
    return middle if middle > below else above


def f1(predicted: Truth, truth: Truth) -> float | None:
    """F1 of one label, shape (messages,); `None` when it is neither present nor predicted."""
    total = int(predicted.sum()) + int(truth.sum())
    return 2 * int((predicted & truth).sum()) / total if total else None


def category_threshold(scores: Table, truth: Truth) -> float:
    """The threshold of a grid from 0.10 to 0.90 with the best F1; of equals the one nearest to 0.5."""
    return float(max(_GRID, key=lambda cut: (f1(scores >= cut, truth) or 0.0, -abs(cut - 0.5))))


@dataclass(frozen=True, slots=True)
class Counts:
    """Stage 1 on one set, and the categories given Stage 1."""

    true_positive: int
    false_negative: int
    false_positive: int
    true_negative: int
    auc: float | None
    """`None` when one of the classes is absent."""
    macro_f1: float | None
    """Mean over the categories that occur, a category counting only where Stage 1 says crisis; `None` when none occurs."""
    category_f1: tuple[float | None, ...]
    """F1 of each category; `None` when it is neither present nor predicted."""


def count(table: Table, truth: Truth, thresholds: NDArray[np.floating]) -> Counts:
    """Count the outcomes of a table of probabilities.

    Args:
        table: shape (messages, labels).
        truth: the same shape.
        thresholds: shape (labels,); a label is present at or above its threshold.
    """
    said = table >= thresholds
    crisis, flagged = truth[:, 0], said[:, 0]
    present = said[:, 1:] & flagged[:, None]
    each = tuple(f1(present[:, i], truth[:, i + 1]) for i in range(present.shape[1]))
    occurring = [value for i, value in enumerate(each) if value is not None and truth[:, i + 1].any()]
    return Counts(
        true_positive=int((flagged & crisis).sum()),
        false_negative=int((~flagged & crisis).sum()),
        false_positive=int((flagged & ~crisis).sum()),
        true_negative=int((~flagged & ~crisis).sum()),
        auc=auc(table[:, 0], crisis),
        macro_f1=sum(occurring) / len(occurring) if occurring else None,
        category_f1=each,
    )
