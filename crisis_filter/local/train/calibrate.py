"""Probabilities that mean what they say: one slope and one offset for each label, fitted on development messages.

Fine-tuning to the end leaves a network too sure of itself. A logistic regression of the label on the logit mends that
without changing the order of any two messages, and folds into the last layer, so the runtime knows nothing of it.

References:
    J. Platt, "Probabilistic Outputs for Support Vector Machines", Advances in Large Margin Classifiers (1999).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from crisis_filter.local.train.model import Classifier

_STEPS = 100
_RIDGE = 1e-2


@dataclass(frozen=True, slots=True)
class Line:
    """Calibrated logit = `slope` x logit + `second` x the other model's logit + `offset`."""

    slope: float
    offset: float
    second: float = 0.0


def platt(logits: NDArray[np.floating], truth: NDArray[np.bool_], second: NDArray[np.floating] | None = None) -> Line:
    """The logistic regression of `truth` on `logits`, and on those of a second model if there is one, all of shape (messages,), by Newton's method.

    Targets are Platt's, drawn in by one message of each class, so that separable classes give a finite slope. A second model that would count
    against itself is left out.

    Raises:
        ValueError: when one of the classes is absent or the slope comes out negative: such a label has not been learned.
    """
    positives, negatives = int(truth.sum()), int((~truth).sum())
    if not positives or not negatives:
        raise ValueError("calibration needs messages with the label and without")
    target = np.where(truth, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    columns = [logits.astype(np.float64), np.ones(len(logits))]
    if second is not None:
        columns.insert(1, second.astype(np.float64))
    line = _regressed(np.stack(columns, axis=1), target)
    if second is not None and min(line[0], line[1]) <= 0:
        return platt(logits, truth)
    if line[0] <= 0:
        raise ValueError("a label's logit falls where the label is present")
    return Line(float(line[0]), float(line[-1]), float(line[1]) if second is not None else 0.0)


def _regressed(design: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights of the columns, drawn a little towards 1 for the first and 0 for the others."""
    prior = np.zeros(design.shape[1])
    prior[0] = 1.0
    line = prior.copy()
    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-np.clip(design @ line, -30, 30)))
        gradient = design.T @ (p - target) + _RIDGE * (line - prior)
        curvature = (design * (p * (1 - p))[:, None]).T @ design + _RIDGE * np.eye(len(prior))
        step = np.linalg.solve(curvature, gradient)
        line = line - step * min(1.0, 1.0 / float(np.abs(step).max() + 1e-12))
    return line


def fold(model: Classifier, lines: list[Line]) -> None:
    """Put one line for each label into the network's last layer; what is `second` is the other model's to take."""
    slope = torch.tensor([line.slope for line in lines])
    offset = torch.tensor([line.offset for line in lines])
    with torch.no_grad():
        model.head.weight.mul_(slope[:, None])
        model.head.bias.mul_(slope).add_(offset)
