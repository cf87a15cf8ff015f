from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Hashable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from crisis_filter.stats.resampling import Resampling, Span, bootstrap, percentile_interval

unhurried = settings(deadline=None)
values = st.lists(st.one_of(st.integers(0, 4).map(float), st.floats(-100, 100)), min_size=2, max_size=15)
METHODS = ("percentile", "bca")


def how(seed: int = 0, resamples: int = 100, clusters: list[Hashable] | None = None) -> Resampling:
    return Resampling(np.random.default_rng(seed), resamples, clusters)


def of_scipy(
    groups: int, statistic: Callable[[np.ndarray], float], seed: int, method: str
) -> tuple[float, float] | None:
    """Bounds of scipy over the numbers of the groups; `None` where it has none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = stats.bootstrap(
            (np.arange(groups),),
            statistic,
            vectorized=False,
            n_resamples=100,
            method=method,
            rng=np.random.default_rng(seed),
        ).confidence_interval
    return None if math.isnan(found.low) or math.isnan(found.high) else (float(found.low), float(found.high))


def without_acceleration(
    groups: int, statistic: Callable[[np.ndarray], float], seed: int
) -> tuple[float, float] | None:
    """The bias-corrected interval, for values that leaving one group out does not change."""
    rng = np.random.default_rng(seed)
    drawn = np.array([statistic(rng.integers(0, groups, groups)) for _ in range(100)])
    estimate = statistic(np.arange(groups))
    bias = stats.norm.ppf(((drawn < estimate).mean() + (drawn <= estimate).mean()) / 2)
    if math.isinf(bias):
        return None
    low, high = np.quantile(drawn, stats.norm.cdf(2 * bias + stats.norm.ppf([0.025, 0.975])))
    return float(low), float(high)


def agree(ours: Span | None, theirs: tuple[float, float] | None) -> None:
    """The same bounds; none of ours where theirs coincide or are undefined, and the other way round."""
    if theirs is None or theirs[1] - theirs[0] <= 1e-12:
        assert ours is None
    else:
        assert ours is not None
        assert (ours.low, ours.high) == pytest.approx(theirs, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("statistic", [np.mean, np.median, np.max], ids=["mean", "median", "max"])
@unhurried
@given(values, st.integers(0, 2**32 - 1))
def test_bootstrap_is_that_of_scipy(
    statistic: Callable[[np.ndarray], float], method: str, data: list[float], seed: int
) -> None:
    """From the same generator the bounds are the same, with ties and with a statistic that is no function of sums."""
    held = np.round(np.array(data), 6)
    ours = bootstrap(len(held), lambda at: float(statistic(held[at])), how(seed), method=method)
    theirs = of_scipy(len(held), lambda at: float(statistic(held[at])), seed, "BCa" if method == "bca" else method)
    if method == "bca" and np.ptp([statistic(np.delete(held, at)) for at in range(len(held))]) < 1e-9:
        # Scipy accelerates by what rounding leaves, or divides 0 by 0.
        theirs = without_acceleration(len(held), lambda at: float(statistic(held[at])), seed)
    agree(ours, theirs)


@pytest.mark.parametrize("method", METHODS)
@unhurried
@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(-5, 5).map(float)), min_size=2, max_size=25), st.integers(0, 99)
)
def test_whole_clusters_are_drawn(method: str, units: list[tuple[int, float]], seed: int) -> None:
    """It equals scipy's bootstrap over the clusters, whatever order their units come in."""
    owners, held = [owner for owner, _ in units], np.array([value for _, value in units])
    names = list(dict.fromkeys(owners))
    members = [np.array([at for at, owner in enumerate(owners) if owner == name]) for name in names]
    if len(names) < 2:
        assert (
            bootstrap(len(units), lambda at: float(held[at].mean()), how(seed, clusters=owners), method=method) is None
        )
        return
    ours = bootstrap(len(units), lambda at: float(held[at].mean()), how(seed, clusters=owners), method=method)
    theirs = of_scipy(
        len(names),
        lambda drawn: float(held[np.concatenate([members[at] for at in drawn])].mean()),
        seed,
        "BCa" if method == "bca" else method,
    )
    without = [held[np.concatenate(members[:at] + members[at + 1 :])].mean() for at in range(len(members))]
    if method == "bca" and np.ptp(without) < 1e-9:
        theirs = without_acceleration(
            len(names), lambda drawn: float(held[np.concatenate([members[at] for at in drawn])].mean()), seed
        )
    if method == "bca" and theirs is not None and ours is None and theirs[1] - theirs[0] > 1e-12:
        # The correction would turn the shares round, which scipy does not look at.
        assert len(names) <= 4
        return
    agree(ours, theirs)


def test_agrees_with_the_interval_of_sums() -> None:
    """For a mean of clusters both ways give the same bounds, to the noise of the draws."""
    rng = np.random.default_rng(3)
    held, owners = rng.normal(size=300), rng.integers(0, 40, 300).tolist()
    one = bootstrap(300, lambda at: float(held[at].mean()), how(0, 4000, owners))
    features = np.stack([held, np.ones(300)], axis=1)
    other = percentile_interval(features, lambda sums: sums[:, 0] / sums[:, 1], how(1, 4000, owners))
    assert one is not None and other is not None  # noqa: PT018
    assert (one.low, one.high) == pytest.approx((other.low, other.high), abs=0.01)
    assert (one.method, one.resamples, one.undefined) == ("bootstrap", 4000, 0)


def test_undefined_draws_are_counted_and_left_out() -> None:
    """The only positive of 20 is missing from a draw with probability 0.95**20; those draws have no value, however it is said."""
    truth = np.arange(20) == 0
    for nothing in (None, math.nan):
        for method in METHODS:
            span = bootstrap(
                20, lambda at, n=nothing: float(at.mean()) if truth[at].any() else n, how(0, 4000), method=method
            )
            assert span is not None
            assert span.undefined / 4000 == pytest.approx(0.95**20, abs=0.03)
            assert not math.isnan(span.low + span.high)
    assert bootstrap(20, lambda at: None, how()) is None
    assert bootstrap(20, lambda at: math.nan, how(), method="bca") is None


def test_bca_follows_a_skew() -> None:
    """Of a mean of skewed values the corrected interval lies further out on the long side."""
    held = np.random.default_rng(5).exponential(size=40)
    plain, corrected = (bootstrap(40, lambda at: float(held[at].mean()), how(1, 4000), method=m) for m in METHODS)
    assert plain is not None and corrected is not None  # noqa: PT018
    assert corrected.method == "bca"
    assert corrected.high > plain.high
    assert corrected.low > plain.low


@pytest.mark.parametrize("method", METHODS)
def test_nothing_to_draw_from_has_no_interval(method: str) -> None:
    """No units, one unit, one cluster, a value that never changes: no bounds rather than bounds that coincide."""
    held = np.array([1.0, 2.0, 3.0])
    mean = lambda at: float(held[at].mean())  # noqa: E731
    assert bootstrap(0, mean, how(), method=method) is None
    assert bootstrap(0, mean, how(clusters=[]), method=method) is None
    assert bootstrap(1, mean, how(), method=method) is None
    assert bootstrap(3, mean, how(clusters=[7, 7, 7]), method=method) is None
    assert bootstrap(3, lambda at: 0.25, how(), method=method) is None


def test_seed_decides() -> None:
    """The same seed draws the same units, so two systems can be given the same draws."""
    seen: list[list[int]] = []
    for _ in range(2):
        bootstrap(5, lambda at: seen.append(at.tolist()), how(4, 10))
    assert seen[:10] == seen[10:]
    assert len({tuple(row) for row in seen}) > 1


@pytest.mark.parametrize(
    ("units", "given_how", "level", "words"),
    [
        (-1, how(), 0.95, "units"),
        (3, how(resamples=0), 0.95, "resamples"),
        (3, how(), 1.0, "level"),
        (3, how(clusters=[1, 2]), 0.95, "one cluster for each"),
    ],
)
def test_impossible_arguments_are_refused(units: int, given_how: Resampling, level: float, words: str) -> None:
    """An error, not a number."""
    with pytest.raises(ValueError, match=words):
        bootstrap(units, lambda at: 0.0, given_how, level=level)
