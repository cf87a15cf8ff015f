from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import beta, binom

from crisis_filter.stats.operating import (
    allowed_misses,
    fewest_positives,
    most_allowed,
    operating_point,
)

unhurried = settings(deadline=None)
shares = st.floats(0.01, 0.995) | st.sampled_from([0.5, 0.9, 0.98])
scores = st.lists(st.floats(-5, 5) | st.sampled_from([0.0, 0.5, 1.0, math.inf, -math.inf]), max_size=200)


@pytest.mark.parametrize(("n", "k"), [(0, None), (1, None), (148, None), (149, 0), (300, 1), (450, 3), (900, 10)])
def test_how_many_of_how_many_may_be_missed(n: int, k: int | None) -> None:
    """Sensitivity 0.98 with 95% confidence: none of 149, one of 300, three of 450, ten of 900; below 149 no promise."""
    assert allowed_misses(n, 0.98, 0.05) == k
    found = operating_point(np.arange(n)[::-1])
    assert (found.k if found else None) == k
    assert found is None or (found.threshold, found.misses, found.n) == (k, k, n)


def test_fewest_crises_for_a_promise() -> None:
    """149 for 0.98 at 95%; 59 for 0.95 and 299 for 0.99, as for any one-sided tolerance limit."""
    assert [fewest_positives(t, 0.05) for t in (0.95, 0.98, 0.99)] == [59, 149, 299]
    assert fewest_positives() == 149
    assert (fewest_positives(0.5, 0.25), fewest_positives(0.3, 0.5)) == (2, 1)


@unhurried
@given(st.integers(0, 3000), st.floats(0.001, 0.999) | st.just(0.5), st.floats(1e-6, 0.999))
@example(2, 0.5, 0.25)
@example(1, 0.5, 0.5)
@example(0, 0.5, 0.5)
def test_no_more_misses_would_do(n: int, rate: float, tail: float) -> None:
    """The binomial tail of the number found is small enough, that of the next one is not."""
    k = int(most_allowed(np.array([n]), rate, tail)[0])
    assert -1 <= k <= n
    assert k < 0 or binom.cdf(k, n, rate) <= tail
    assert binom.cdf(k + 1, n, rate) > tail


@unhurried
@given(shares, st.floats(0.001, 0.9))
def test_fewest_is_fewest(target: float, delta: float) -> None:
    """With that many there is a promise, with one fewer there is none."""
    n = fewest_positives(target, delta)
    assert allowed_misses(n, target, delta) is not None
    assert allowed_misses(n - 1, target, delta) is None


@unhurried
@given(scores, shares, st.floats(0.01, 0.9))
@example([], 0.5, 0.5)
@example([0.3], 0.5, 0.5)
@example([1.0] * 200, 0.98, 0.05)
def test_the_threshold_is_the_highest_that_misses_few_enough(found: list[float], target: float, delta: float) -> None:
    """At it at most k are missed, with ties fewer; at the next higher score more are. It equals the sorted definition."""
    point = operating_point(found, target, delta)
    k = allowed_misses(len(found), target, delta)
    if point is None:
        assert k is None
        return
    assert k is not None
    assert point.threshold == sorted(found)[k]
    assert point.misses == sum(not flag for flag in point.flags(found)) <= point.k == k
    higher = [s for s in found if s > point.threshold]
    assert not higher or sum(s < min(higher) for s in found) > k


@unhurried
@given(st.integers(1, 2000), st.floats(0.05, 0.99), st.floats(0.01, 0.5))
def test_the_bound_is_the_one_sided_bound_by_clopper_and_pearson(n: int, target: float, delta: float) -> None:
    """With k misses its lower bound is at least the target, with k + 1 it is below."""
    k = allowed_misses(n, target, delta)
    missed = -1 if k is None else k
    assert missed < 0 or beta.ppf(delta, n - missed, missed + 1) >= target - 1e-9
    assert missed + 1 >= n or beta.ppf(delta, n - missed - 1, missed + 2) < target + 1e-9


@pytest.mark.parametrize(("n", "published"), [(149, 0.052), (450, 0.017), (900, 0.032)])
def test_the_promise_is_broken_as_rarely_as_said(n: int, published: float) -> None:
    """Of 2,000 thresholds at most 5% keep less than 0.98, give or take: 5.2%, 1.7% and 3.2% were found elsewhere."""
    rng = np.random.default_rng(98)
    # With even scores the true sensitivity of a threshold t is 1 - t.
    points = [operating_point(row) for row in rng.random((2000, n))]
    broken = np.mean([point is not None and 1 - point.threshold < 0.98 for point in points])
    chance = binom.cdf(allowed_misses(n), n, 0.02)
    noise = 4 * math.sqrt(chance * (1 - chance) / 2000)
    assert chance <= 0.05
    assert broken == pytest.approx(chance, abs=noise)
    assert published == pytest.approx(chance, abs=noise)


def test_ties_make_the_promise_safer() -> None:
    """With scores in steps of 0.05, as a model says them, fewer than 1.2% of thresholds keep less than 0.98."""
    rng = np.random.default_rng(99)
    chances = np.r_[0.012, 0.013, np.full(19, 0.975 / 19)]
    steps = np.round(np.arange(21) * 0.05, 2)
    kept = np.cumsum(chances[::-1])[::-1]
    broken = 0
    for row in rng.choice(21, size=(1000, 900), p=chances):
        point = operating_point(steps[row])
        assert point is not None
        broken += kept[int(np.flatnonzero(steps == point.threshold)[0])] < 0.98
    assert broken / 1000 < 0.012


def test_what_is_promised_is_said_with_its_assumption() -> None:
    """The statement names threshold, target, confidence, n, misses, and what must hold."""
    point = operating_point(np.linspace(0.5, 0.7, 300))
    assert point is not None
    said = point.statement()
    for words in (str(point.threshold), "98% of crises", "95% confidence", "300", "misses 1", "independent", "like"):
        assert words in said


def test_a_missing_score_is_an_error_that_says_where() -> None:
    """NaN would compare as below every threshold: a crisis lost without a word."""
    with pytest.raises(ValueError, match="score 2 is NaN"):
        operating_point([0.1, 0.2, math.nan])
    with pytest.raises(ValueError, match="score 1 is NaN"):
        operating_point([0.1, None])  # type: ignore[list-item]
    point = operating_point(np.ones(149))
    assert point is not None
    with pytest.raises(ValueError, match="score 1, 0 is NaN"):
        point.flags([[0.1], [math.nan]])


def test_impossible_arguments_are_refused() -> None:
    """Targets and chances must lie within (0, 1), counts at 0 or above, and scores in one line."""
    for wrong in (0.0, 1e-300, 1 - 1e-16, 1.0, math.nan):
        for call in (operating_point, lambda _, t, d: allowed_misses(9, t, d), lambda _, t, d: fewest_positives(t, d)):
            for pair in ((wrong, 0.5), (0.5, wrong)):
                with pytest.raises(ValueError, match="strictly between 0 and 1"):
                    call([0.5] * 9, *pair)
    with pytest.raises(ValueError, match="at least 0"):
        allowed_misses(-1)
    with pytest.raises(ValueError, match="one dimension"):
        operating_point([[0.5]])
