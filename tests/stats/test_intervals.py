from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from crisis_filter.stats.intervals import wilson


@given(st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.5, 0.999))
def test_wilson_equals_scipy(counts: tuple[int, int], level: float) -> None:
    """The bounds are those of scipy's Wilson interval without continuity correction."""
    count, nobs = counts
    ours = wilson(count, nobs, level)
    theirs = binomtest(count, nobs).proportion_ci(confidence_level=level, method="wilson")
    assert ours.low == pytest.approx(theirs.low, abs=1e-12)
    assert ours.high == pytest.approx(theirs.high, abs=1e-12)
    assert ours.estimate is not None
    assert 0.0 <= ours.low <= ours.estimate <= ours.high <= 1.0


@pytest.mark.parametrize(
    ("count", "nobs", "low", "high"),
    [(891, 900, 0.981, 0.995), (893, 900, 0.984, 0.996), (16, 17, 0.730, 0.990), (7, 17, 0.216, 0.640)],
)
def test_wilson_gives_published_figures(count: int, nobs: int, low: float, high: float) -> None:
    """Intervals printed in papers come out to the third decimal."""
    found = wilson(count, nobs)
    assert (round(found.low, 3), round(found.high, 3)) == (low, high)


def test_nothing_observed_is_undefined_not_zero() -> None:
    """Without observations there is no estimate and the interval says that anything is possible."""
    found = wilson(0, 0)
    assert found.estimate is None
    assert (found.low, found.high, found.nobs) == (0.0, 1.0, 0)


def test_outer_bounds_are_exact_at_the_ends() -> None:
    """None of n has lower bound exactly 0, all of n has upper bound exactly 1."""
    assert wilson(0, 7).low == 0.0
    assert wilson(7, 7).high == 1.0


@pytest.mark.parametrize(("count", "nobs", "level"), [(-1, 5, 0.9), (6, 5, 0.9), (1, 5, 0.0), (1, 5, 1.0)])
def test_impossible_arguments_are_refused(count: int, nobs: int, level: float) -> None:
    """A count outside 0..n or a level outside (0, 1) is an error, not a number."""
    with pytest.raises(ValueError, match="must lie"):
        wilson(count, nobs, level)
