"""How well two systems name categories on the same messages: the difference of their macro F1, end to end, with an interval."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from crisis_filter.experiments.comparison import Difference
from crisis_filter.experiments.differing import How
from crisis_filter.experiments.figures import categories_of, names_categories
from crisis_filter.experiments.systems import Grid
from crisis_filter.stats.resampling import Resampling, Span, Sums, percentile_interval

__all__ = ["macro_f1_apart"]

_MOST_UNDEFINED = 0.01
"""Of the draws; above it the interval is of no use."""
_PARTS = 3


def macro_f1_apart(grid: Grid, incumbent: int, candidate: int, how: How) -> Difference | None:
    """The candidate's macro F1 less the incumbent's, the mean over repeats.

    Args:
        grid: systems and messages.
        incumbent: which system is.
        candidate: which system is.
        how: intervals; draws are made with and without clusters.

    Returns:
        The difference, -1 to 1, with the percentiles of a paired bootstrap over messages, or whole clusters. Where answers hardly differ a bootstrap is
        too sure of itself, so each bound lies at least as far out as the loss that could go unseen were it all in the smallest category: z²/(n + z²)
        of that category's n messages, or clusters, by the number of categories. The bounds are -1 and 1 where more than one draw in 100 lacks a category.
        `None` where either system names no categories, or the labels do not say which.
    """
    if not all(names_categories(grid, at) for at in (incumbent, candidate)):
        return None
    names = categories_of(grid)
    features = np.hstack([_features(grid, at, names) for at in (incumbent, candidate)])
    shape = (2, grid.repeats, _PARTS, len(names))

    def apart(sums: Sums) -> NDArray[np.float64]:
        found: NDArray[np.float64] = np.diff(_macro_f1(sums.reshape(-1, *shape)), axis=1)[:, 0]
        return found

    estimate = float(apart(features.sum(axis=0)[None])[0])
    drawing = Resampling(np.random.default_rng(how.seed), how.resamples, grid.clusters)
    span = percentile_interval(features, apart, drawing, how.level)
    low, high = _bounds(estimate, span, _least(grid, names, how.level), how.resamples)
    return Difference(estimate=estimate, low=low, high=high, level=how.level, messages=len(grid.items))


def _bounds(estimate: float, span: Span | None, least: float, resamples: int) -> tuple[float, float]:
    if span is not None and span.undefined > _MOST_UNDEFINED * resamples:
        return -1.0, 1.0
    low, high = (estimate, estimate) if span is None else (span.low, span.high)
    return max(-1.0, min(low, estimate - least)), min(1.0, max(high, estimate + least))


def _least(grid: Grid, names: Sequence[str], level: float) -> float:
    """Half of the narrowest interval."""
    clusters = grid.clusters or tuple(item.id for item in grid.items)
    sizes = [
        len({cluster for item, cluster in zip(grid.items, clusters, strict=True) if name in item.categories})
        for name in names
    ]
    z = NormalDist().inv_cdf((1.0 + level) / 2.0)
    return z * z / (len(names) * (min(sizes) + z * z))


def _features(grid: Grid, at: int, names: Sequence[str]) -> Sums:
    """What each message adds: hits, false alarms and misses, each by category, for each repeat in turn."""
    said = grid.systems[at].said
    true = np.array([[name in item.categories for name in names] for item in grid.items], dtype=np.bool_)[:, None, :]
    flagged = np.array(
        [
            [[name in (said[item.id, r].categories or ()) for name in names] for r in range(1, grid.repeats + 1)]
            for item in grid.items
        ],
        dtype=np.bool_,
    )
    parts = np.stack([true & flagged, ~true & flagged, true & ~flagged], axis=2)
    return parts.reshape(len(grid.items), -1).astype(np.float64)


def _macro_f1(sums: Sums) -> NDArray[np.float64]:
    """Shape (draws, systems), from (draws, systems, repeats, parts, categories); `nan` where a category is undefined."""
    hits, alarms, misses = (sums[:, :, :, part] for part in range(_PARTS))
    whole = 2.0 * hits + alarms + misses
    f1 = np.divide(2.0 * hits, whole, out=np.full_like(whole, np.nan), where=whole > 0)
    found: NDArray[np.float64] = f1.mean(axis=(2, 3))
    return found
