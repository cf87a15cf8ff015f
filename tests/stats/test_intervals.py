from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest
from statsmodels.stats.proportion import proportion_confint

from crisis_filter.stats.intervals import Interval, Method, clopper_pearson, jeffreys, proportion, wilson
from crisis_filter.stats.resampling import t_critical

METHODS: dict[Method, Callable[..., Interval]] = {
    "wilson": wilson,
    "clopper_pearson": clopper_pearson,
    "jeffreys": jeffreys,
}
THEIR_NAMES = {"wilson": "wilson", "clopper_pearson": "beta", "jeffreys": "jeffreys"}

# scipy and statsmodels are loaded in the first example.
unhurried = settings(deadline=None)
counts_of = st.integers(1, 3000).flatmap(lambda n: st.tuples(st.sampled_from([0, n]) | st.integers(0, n), st.just(n)))
levels = st.floats(0.5, 0.999)
each_method = pytest.mark.parametrize("method", METHODS)


@unhurried
@given(counts_of, levels)
def test_wilson_equals_scipy(counts: tuple[int, int], level: float) -> None:
    """The bounds are those of scipy's Wilson interval without continuity correction."""
    count, nobs = counts
    ours = wilson(count, nobs, level)
    theirs = binomtest(count, nobs).proportion_ci(confidence_level=level, method="wilson")
    assert ours.low == pytest.approx(theirs.low, abs=1e-12)
    assert ours.high == pytest.approx(theirs.high, abs=1e-12)
    assert ours.estimate is not None
    assert 0.0 <= ours.low <= ours.estimate <= ours.high <= 1.0


@unhurried
@given(counts_of, levels)
def test_clopper_pearson_equals_scipy(counts: tuple[int, int], level: float) -> None:
    """The bounds are those of scipy's exact interval, and the estimate lies between them."""
    count, nobs = counts
    ours = clopper_pearson(count, nobs, level)
    theirs = binomtest(count, nobs).proportion_ci(confidence_level=level, method="exact")
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-10)
    assert ours.estimate is not None
    assert 0.0 <= ours.low <= ours.estimate <= ours.high <= 1.0


@each_method
@unhurried
@given(counts=counts_of, level=levels)
def test_bounds_equal_statsmodels(method: Method, counts: tuple[int, int], level: float) -> None:
    """Every method by its name, but for Jeffreys' outer bound at the ends, which statsmodels leaves a quantile."""
    count, nobs = counts
    ours = proportion(count, nobs, level, method)
    low, high = proportion_confint(count, nobs, alpha=1.0 - level, method=THEIR_NAMES[method])
    if method == "jeffreys":
        assert (count == 0) <= (low > 0.0)
        assert (count == nobs) <= (high < 1.0)
        low, high = low if count else 0.0, high if count < nobs else 1.0
    assert (ours.low, ours.high) == pytest.approx((low, high), abs=1e-10)
    assert ours == METHODS[method](count, nobs, level)


@each_method
@unhurried
@given(counts=counts_of, level=levels)
def test_misses_mirror_hits(method: Method, counts: tuple[int, int], level: float) -> None:
    """What has the property and what has it not may change places; more certainty never makes an interval narrower."""
    count, nobs = counts
    ours, mirrored = proportion(count, nobs, level, method), proportion(nobs - count, nobs, level, method)
    assert (ours.low, ours.high) == pytest.approx((1.0 - mirrored.high, 1.0 - mirrored.low), abs=1e-9)
    wider = proportion(count, nobs, (1.0 + level) / 2.0, method)
    assert wider.low <= ours.low <= ours.high <= wider.high


@pytest.mark.parametrize(
    ("count", "nobs", "low", "high"),
    [(891, 900, 0.981, 0.995), (893, 900, 0.984, 0.996), (16, 17, 0.730, 0.990), (7, 17, 0.216, 0.640)],
)
def test_wilson_gives_published_figures(count: int, nobs: int, low: float, high: float) -> None:
    """Intervals printed in papers come out to the third decimal."""
    found = wilson(count, nobs)
    assert (round(found.low, 3), round(found.high, 3)) == (low, high)


@pytest.mark.parametrize("method", ["clopper_pearson", "jeffreys"])
@pytest.mark.parametrize(
    ("count", "nobs", "low", "high"), [(893, 900, 0.984, 0.996), (340, 396, 0.821, 0.889), (132, 134, 0.947, 0.996)]
)
def test_only_wilson_gives_those_digits(method: Method, count: int, nobs: int, low: float, high: float) -> None:
    """Printed digits tell the methods apart, and none passes for another."""
    of_wilson, found = wilson(count, nobs), proportion(count, nobs, method=method)
    assert (round(of_wilson.low, 3), round(of_wilson.high, 3)) == (low, high)
    assert (round(found.low, 3), round(found.high, 3)) != (low, high)


@pytest.mark.parametrize(
    ("misses", "by_wilson", "by_exact"),
    [(0, 189, 149), (1, 280, 236), (2, 361, 313), (5, 581, 523), (9, 850, 782), (10, 916, 845)],
)
def test_fewest_messages_that_show_98_percent(misses: int, by_wilson: int, by_exact: int) -> None:
    """With so many misses the lower bound reaches 0.98 at this n and not at one less; exact is one-sided, hence level 0.90."""
    for method, level, fewest in (("wilson", 0.95, by_wilson), ("clopper_pearson", 0.90, by_exact)):
        bounds = [proportion(n - misses, n, level, method).low for n in (fewest - 1, fewest)]  # type: ignore[arg-type]
        assert bounds[0] < 0.98 <= bounds[1]


@pytest.mark.parametrize("nobs", [5, 20, 60])
def test_clopper_pearson_never_covers_less(nobs: int) -> None:
    """Summed over all counts, exactly: at no proportion below its level; Wilson and Jeffreys come near it on average only."""
    rates = np.linspace(0.001, 0.999, 999)
    chances = binom.pmf(np.arange(nobs + 1)[:, None], nobs, rates)
    found = {}
    for method in METHODS:
        bounds = np.array([(i.low, i.high) for i in (proportion(k, nobs, 0.95, method) for k in range(nobs + 1))])
        inside = (bounds[:, :1] <= rates) & (rates <= bounds[:, 1:])
        found[method] = (chances * inside).sum(axis=0)
    assert found["clopper_pearson"].min() >= 0.95
    for method in ("wilson", "jeffreys"):
        assert found[method].min() < 0.95
        assert found[method].mean() == pytest.approx(0.95, abs=0.015)
        assert found["clopper_pearson"].mean() > found[method].mean()


@each_method
def test_nothing_observed_is_undefined_not_zero(method: Method) -> None:
    """Without observations there is no estimate and the interval says that anything is possible."""
    found = proportion(0, 0, method=method)
    assert found.estimate is None
    assert (found.low, found.high, found.nobs) == (0.0, 1.0, 0)


@each_method
def test_outer_bounds_are_exact_at_the_ends(method: Method) -> None:
    """None of n has lower bound exactly 0, all of n has upper bound exactly 1, and the inner bounds leave room."""
    for nobs in (1, 7, 10**6):
        none, every = proportion(0, nobs, method=method), proportion(nobs, nobs, method=method)
        assert (none.low, every.high) == (0.0, 1.0)
        assert 0.0 < none.high < 1.0
        assert 0.0 < every.low < 1.0


@each_method
@pytest.mark.parametrize(
    ("count", "nobs", "level"), [(-1, 5, 0.9), (6, 5, 0.9), (1, 5, 0.0), (1, 5, 1.0), (0, 0, 2.0), (math.nan, 5, 0.9)]
)
def test_impossible_arguments_are_refused(method: Method, count: Any, nobs: int, level: float) -> None:
    """A count outside 0..n or a level outside (0, 1) is an error, not a number."""
    with pytest.raises(ValueError, match="must lie"):
        proportion(count, nobs, level, method)


def test_unknown_methods_are_refused() -> None:
    """A method that nobody knows is an error that names the known ones, not Wilson's."""
    with pytest.raises(ValueError, match="wilson, clopper_pearson, jeffreys"):
        proportion(1, 5, method="wald")  # type: ignore[arg-type]


@pytest.mark.parametrize("freedom", [0, -3])
def test_student_without_freedom_bounds_nothing(freedom: int) -> None:
    """No degree of freedom: the critical value is infinite, not NaN."""
    assert t_critical(0.95, freedom) == math.inf
