from __future__ import annotations

import math
import sys
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from scipy.stats import binom, multinomial
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

from crisis_filter.stats.intervals import wilson
from crisis_filter.stats.operating import allowed_misses
from crisis_filter.stats.paired import mcnemar_exact
from crisis_filter.stats.power import (
    Method,
    chance_of_bound,
    fewest_fixes,
    mcnemar_power,
    most_misses,
    needed_for_bound,
    planning_n,
    smallest_difference,
)

unhurried = settings(deadline=None)
methods = st.sampled_from(["wilson", "exact"])


# Published figures


@pytest.mark.parametrize(
    ("n", "alpha", "points"),
    [
        (125, 0.05, (6.3, None, None, 8.0, 9.3)),
        (200, 0.05, (3.9, 4.4, 4.8, 5.5, 6.6)),
        (450, 0.05, (1.8, 2.2, 2.5, 3.1, 3.8)),
        (900, 0.05, (0.9, 1.3, 1.5, 1.9, 2.4)),
        (1800, 0.05, (0.4, 0.8, 1.0, 1.2, 1.6)),
        # Three comparisons; a third of 0.05 would give 2.3 in the fourth place.
        (900, 0.0167, (1.0, 1.5, 1.8, 2.2, 2.9)),
    ],
)
def test_the_smallest_difference_that_can_be_seen(n: int, alpha: float, points: tuple[float | None, ...]) -> None:
    """Percentage points at 80% power, by what flips the other way anyway: none, 0.25%, 0.5%, 1%, 2%."""
    for p01, point in zip((0.0, 0.0025, 0.005, 0.01, 0.02), points, strict=True):
        found = smallest_difference(n, p01, alpha)
        assert found is not None
        if point is not None:
            assert round(100 * found, 1) == point
        assert mcnemar_power(n, p01 + found, p01, alpha) == pytest.approx(0.8, abs=1e-6)


def test_how_many_fixes_make_a_difference() -> None:
    """6 to 0, 8 to 1, 10 to 2, 12 to 3."""
    assert [fewest_fixes(breaks) for breaks in range(4)] == [6, 8, 10, 12]


@pytest.mark.parametrize(
    ("misses", "two_sided", "one_sided"),
    [(0, 189, 149), (1, 280, 236), (2, 361, 313), (5, 581, 523), (9, 850, 782), (10, 916, 845)],
)
def test_how_many_crises_a_lower_bound_needs(misses: int, two_sided: int, one_sided: int) -> None:
    """Lower bound of at least 0.98: two-sided by Wilson, one-sided exact, both at 95%."""
    assert needed_for_bound(misses, 0.98) == two_sided
    assert needed_for_bound(misses, 0.98, method="exact") == one_sided


def test_how_many_misses_900_allow() -> None:
    """For 0.98 nine (ten by the one-sided exact bound), for a specificity of 0.99 three; for 0.98 of 137 not even none."""
    assert most_misses(900, 0.98) == 9
    assert most_misses(900, 0.98, method="exact") == 10
    assert most_misses(900, 0.99) == 3
    assert most_misses(137, 0.98) is None
    assert (round(wilson(113, 113).low, 3), round(wilson(137, 137).low, 3)) == (0.967, 0.973)


@pytest.mark.parametrize(
    ("true", "chance", "first", "lasting", "printed"),
    [
        # Printed elsewhere to the next ten or hundred. Left out there: a single fall below the chance at 5,849 (it gives 5,800),
        # and one from 1,714 to 1,718 (it gives 1,660); both were passed over by its steps.
        (0.985, 0.8, 5465, 5850, None),
        (0.985, 0.9, 7270, 7596, 7600),
        (0.990, 0.8, 1232, 1356, 1360),
        (0.990, 0.9, 1539, 1719, None),
        (0.993, 0.8, 650, 718, 720),
        (0.993, 0.9, 850, 916, 920),
        (0.995, 0.8, 437, 510, 510),
        (0.995, 0.9, 581, 650, 650),
    ],
)
def test_how_many_crises_to_plan_for(true: float, chance: float, first: int, lasting: int, printed: int | None) -> None:
    """For a lower bound of 0.98; at the lasting number the chance is met, just before it is not."""
    found = planning_n(true, 0.98, chance)
    assert (found.first, found.lasting) == (first, lasting)
    if printed:
        assert math.ceil(found.lasting / 10) * 10 == printed
    assert chance_of_bound(lasting, true, 0.98) >= chance > chance_of_bound(lasting - 1, true, 0.98)


def test_the_chance_that_900_are_enough() -> None:
    """59% where the true sensitivity is 0.99."""
    assert round(chance_of_bound(900, 0.99, 0.98), 2) == 0.59


# Against other implementations


@cache
def p_value(b: int, c: int) -> float:
    return float(mcnemar([[0, b], [c, 0]], exact=True).pvalue) if b + c else 1.0


@unhurried
@given(st.integers(0, 25), st.floats(0, 0.5), st.floats(0, 0.5), st.sampled_from([0.01, 0.05, 0.0625, 0.2, 0.9]))
@example(0, 0.1, 0.1, 0.05)
@example(6, 0.5, 0.5, 0.03125)
@example(9, 0.0, 0.0, 0.05)
def test_power_is_the_sum_over_all_outcomes(n: int, p10: float, p01: float, alpha: float) -> None:
    """Every pair of counts, weighed by its multinomial chance, tested by the test itself."""
    cells = [(b, c) for b in range(n + 1) for c in range(n + 1 - b) if p_value(b, c) <= alpha]
    chances = [p10, p01, max(0.0, 1 - p10 - p01)]
    expected = sum(multinomial.pmf([b, c, n - b - c], n, chances) for b, c in cells) if n else 0.0
    assert mcnemar_power(n, p10, p01, alpha) == pytest.approx(expected, abs=1e-9)


def test_power_of_many_messages_leaves_nothing_out() -> None:
    """Of 50,000 messages: the sum over every number of disagreements, those that hardly ever occur too."""
    m, p10, p01 = np.arange(50_001), 0.0108, 0.0092
    few = binom.ppf(0.025, m, 0.5) - 1
    few += binom.cdf(few + 1, m, 0.5) <= 0.025
    found = binom.cdf(few, m, p10 / 0.02) + binom.cdf(few, m, p01 / 0.02)
    assert mcnemar_power(50_000, p10, p01) == pytest.approx(binom.pmf(m, 50_000, 0.02) @ found, rel=1e-10)


def test_power_as_simulated() -> None:
    """900 messages, 2.5% against 0.6%: the share of 4,000 studies in which the test finds it."""
    draws = np.random.default_rng(7).multinomial(900, [0.025, 0.006, 0.969], size=4000)
    share = np.mean([p_value(int(b), int(c)) <= 0.05 for b, c, _ in draws])
    assert mcnemar_power(900, 0.025, 0.006) == pytest.approx(share, abs=0.03)


@unhurried
@given(st.integers(0, 300), st.floats(0, 0.5), st.sampled_from([0.001, 0.05, 0.2]), st.floats(0.25, 0.99))
@example(5, 0.0, 0.05, 0.8)
@example(0, 0.0, 0.05, 0.8)
@example(900, 0.5, 0.05, 0.8)
@example(6, sys.float_info.min, 0.05, 0.5)
@example(101, sys.float_info.epsilon, 0.001, 0.5)
def test_no_smaller_difference_is_seen(n: int, p01: float, alpha: float, power: float) -> None:
    """The power is reached at the difference and by none of ten smaller ones; without one, the greatest is not enough."""
    found = smallest_difference(n, p01, alpha, power)
    if found is None:
        assert mcnemar_power(n, 1 - p01, p01, alpha) < power
        return
    assert mcnemar_power(n, min(p01 + found, 1 - p01), p01, alpha) == pytest.approx(power, abs=1e-6)
    assert all(mcnemar_power(n, p01 + found * part, p01, alpha) < power for part in np.arange(10) / 10)


@unhurried
@given(st.integers(0, 60), st.floats(0.0001, 0.9) | st.sampled_from([0.03125, 0.5]))
@example(0, 1e-30)
def test_fewest_fixes_are_fewest(breaks: int, alpha: float) -> None:
    """That many are significant by the test itself, one fewer are not."""
    fixes = fewest_fixes(breaks, alpha)
    assert fixes > breaks
    assert mcnemar_exact(fixes, breaks) <= alpha * (1 + 1e-9)
    assert mcnemar_exact(fixes - 1, breaks) > alpha


def lower(method: Method) -> Callable[[int, int, float], float]:
    def bound(found: int, n: int, level: float) -> float:
        # One-sided at some level is two-sided at twice the error.
        name, alpha = ("wilson", 1 - level) if method == "wilson" else ("beta", 2 * (1 - level))
        return float(proportion_confint(found, n, alpha, method=name)[0])

    return bound


@unhurried
@given(st.integers(0, 60), st.floats(0.02, 0.99), st.floats(0.6, 0.99), methods)
@example(0, 0.02, 0.95, "wilson")
@example(0, 0.98, 0.95, "exact")
def test_needed_is_the_fewest_by_the_interval_itself(misses: int, bound: float, level: float, method: Method) -> None:
    """By statsmodels' intervals that many reach the bound and one fewer do not."""
    n = needed_for_bound(misses, bound, level, method)
    assert n > misses
    assert lower(method)(n - misses, n, level) >= bound - 1e-9
    if n - 1 > misses:
        assert lower(method)(n - 1 - misses, n - 1, level) < bound + 1e-9


@unhurried
@given(st.integers(0, 2000), st.floats(0.02, 0.99), st.floats(0.6, 0.99), methods)
@example(0, 0.5, 0.95, "wilson")
@example(1, 0.5, 0.95, "exact")
def test_most_misses_is_most_by_the_interval_itself(n: int, bound: float, level: float, method: Method) -> None:
    """By statsmodels' intervals so many misses reach the bound and one more does not."""
    most = most_misses(n, bound, level, method)
    misses = -1 if most is None else most
    assert misses < max(n, 1)
    assert most is None or lower(method)(n - misses, n, level) >= bound - 1e-9
    if misses + 1 < n:
        assert lower(method)(n - misses - 1, n, level) < bound + 1e-9
    if most is not None:
        assert needed_for_bound(most, bound, level, method) <= n < needed_for_bound(most + 1, bound, level, method)


@unhurried
@given(st.integers(0, 3000), st.floats(0.5, 0.99), st.sampled_from([0.5, 0.75, 0.9375]))
def test_the_exact_bound_is_that_of_the_operating_point(n: int, bound: float, level: float) -> None:
    """Planning and choosing a threshold allow the same misses."""
    assert most_misses(n, bound, level, "exact") == allowed_misses(n, bound, 1 - level)


@unhurried
@given(st.floats(0.3, 0.95), st.floats(0.3, 1.0), st.floats(0.05, 0.95), methods)
@example(0.95, 1.0, 0.8, "wilson")
@example(0.95, 1.0, 0.8, "exact")
def test_the_planned_number_lasts(bound: float, part: float, chance: float, method: Method) -> None:
    """Of all numbers up to 400 none before the first will do, and the lasting one is just after the last that falls short."""
    true = bound + part * (1 - bound)
    found = planning_n(true, bound, chance, 0.9, method)
    assume(found.lasting <= 200)
    n, misses = np.arange(1, 401), np.arange(400)[:, None]
    if method == "exact":
        enough = binom.cdf(misses, n, 1 - bound) <= 1 - 0.9
    else:
        enough = proportion_confint(np.maximum(n - misses, 0), n, 0.1, method="wilson")[0] >= bound
    allowed = (enough & (misses < n)).sum(axis=0)
    good = np.where(allowed > 0, binom.cdf(allowed - 1, n, 1 - true), 0.0) >= chance
    assert found.first == n[good][0]
    assert found.lasting == (n[~good][-1] + 1 if not good.all() else 1)


def test_a_goal_next_to_the_truth_is_refused() -> None:
    """Where millions of messages would be needed there is no plan to give."""
    with pytest.raises(ValueError, match="too close"):
        planning_n(0.50001, 0.5)


def test_impossible_arguments_are_refused() -> None:
    """Each argument outside its range is an error, not a number."""
    wrong: list[Callable[[], object]] = [
        lambda: mcnemar_power(-1, 0.1, 0.1),
        lambda: mcnemar_power(9, -0.1, 0.1),
        lambda: mcnemar_power(9, 0.6, 0.6),
        lambda: mcnemar_power(9, math.nan, 0.1),
        lambda: mcnemar_power(9, 0.1, 0.1, 0.0),
        lambda: smallest_difference(-1, 0.1),
        lambda: smallest_difference(9, 0.6),
        lambda: smallest_difference(9, 0.1, 0.05, 0.05),
        lambda: smallest_difference(9, 0.1, 0.05, 1.0),
        lambda: fewest_fixes(-1),
        lambda: fewest_fixes(1, 1.0),
        lambda: needed_for_bound(-1, 0.9),
        lambda: needed_for_bound(1, 1.0),
        lambda: needed_for_bound(1, 0.9, 0.0),
        lambda: most_misses(-1, 0.9),
        lambda: most_misses(9, 0.0),
        lambda: chance_of_bound(9, 1.1, 0.9),
        lambda: chance_of_bound(9, math.nan, 0.9),
        lambda: planning_n(0.9, 0.9),
        lambda: planning_n(1.1, 0.9),
        lambda: planning_n(0.95, 0.9, 1.0),
    ]
    for call in wrong:
        with pytest.raises(ValueError, match=r"must (lie|be)"):
            call()
