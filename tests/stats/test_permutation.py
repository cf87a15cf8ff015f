from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from crisis_filter.stats.permutation import attack_success, permutation_by_attack, relative_reduction
from crisis_filter.stats.resampling import Resampling

unhurried = settings(deadline=None)
Rows = list[list[bool | None]]
verdicts = st.sampled_from([True, False, False, None])


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def how(seed: int = 0, resamples: int = 50, clusters: list[int] | None = None) -> Resampling:
    return Resampling(rng(seed), resamples, clusters)


@st.composite
def systems(draw: st.DrawFn, most: int = 9, number: int = 2) -> list[Rows]:
    """The same attacks judged for each system, all run equally often."""
    attacks, runs = draw(st.integers(2, most)), draw(st.integers(1, 5))
    row = st.lists(verdicts, min_size=runs, max_size=runs)
    return [draw(st.lists(row, min_size=attacks, max_size=attacks)) for _ in range(number)]


def harms(judged: Rows) -> np.ndarray:
    return np.array([sum(verdict is not False for verdict in runs) for runs in judged])


def spread_over(harmful: int, attacks: int = 145, runs: int = 5, seed: int = 0) -> Rows:
    """So many harmful runs, put on attacks at random."""
    said = np.zeros(attacks * runs, dtype=bool)
    said[:harmful] = True
    return rng(seed).permutation(said).reshape(attacks, runs).tolist()


# Published figures


@pytest.mark.parametrize(
    ("without", "with_it", "rates", "reduction"),
    [(182, 55, (0.251, 0.076), 0.698), (99, 24, (0.137, 0.033), 0.758)],
)
def test_published_counts(without: int, with_it: int, rates: tuple[float, float], reduction: float) -> None:
    """145 attacks, five runs each: 182 of 725 harmful become 55, and 99 become 24; either is far from chance."""
    baseline, system = spread_over(without), spread_over(with_it, seed=1)
    for judged, harm, rate in ((baseline, without, rates[0]), (system, with_it, rates[1])):
        found = attack_success(judged, how(0, 400))
        assert (found.harm, found.unreadable, found.runs, found.attacks, found.equal_runs) == (harm, 0, 725, 145, True)
        assert found.rate == pytest.approx(harm / 725)
        assert round(found.rate or 0, 3) == rate
        assert found.span is not None and found.span.low < found.rate < found.span.high  # noqa: PT018
    lowered = relative_reduction(baseline, system, how())
    assert round(lowered.estimate or 0, 3) == reduction
    test = permutation_by_attack(baseline, system, rng=rng())
    assert (test.p, test.exact, test.draws) == (1 / 10_000, False, 9999)
    assert test.difference == pytest.approx((without - with_it) / 725)


# Against scipy


@unhurried
@given(systems())
def test_exact_test_equals_scipy(both: list[Rows]) -> None:
    """Few attacks: every way of naming is looked at, ties and attacks without difference as scipy has them."""
    baseline, system = both
    found = permutation_by_attack(baseline, system, rng=rng())
    # In whole runs, so that scipy meets no rounding.
    apart = harms(baseline) - harms(system)
    theirs = stats.permutation_test(
        (apart.astype(float),), np.sum, permutation_type="samples", alternative="greater", n_resamples=9999
    )
    assert found.exact
    assert found.p == pytest.approx(theirs.pvalue, abs=1e-12)
    assert found.difference == pytest.approx(apart.mean() / len(baseline[0]))


@unhurried
@given(systems(most=6), st.integers(0, 99))
def test_sampled_test_nears_the_exact_one(both: list[Rows], seed: int) -> None:
    """Drawn ways give the same p to their noise, never 0, and every way is looked at as soon as there are no more than draws."""
    baseline, system = both
    exact = permutation_by_attack(baseline, system, rng=rng())
    for draws in (exact.draws, exact.draws - 1):
        if not draws:
            continue
        found = permutation_by_attack(baseline, system, rng=rng(seed), draws=draws)
        assert found.exact == (draws == exact.draws)
        assert found.exact or (found.p * (draws + 1) == pytest.approx(round(found.p * (draws + 1))) and found.p > 0)
        assert not found.exact or found.p == exact.p


def test_sampled_test_equals_scipy() -> None:
    """40 attacks, more ways than can be looked at: both sample, and agree to the noise."""
    baseline, system = spread_over(60, 40), spread_over(50, 40, seed=3)
    found = permutation_by_attack(baseline, system, rng=rng(1), draws=20_000)
    apart = (harms(baseline) - harms(system)).astype(float)
    theirs = stats.permutation_test(
        (apart,), np.sum, permutation_type="samples", alternative="greater", n_resamples=9999, rng=rng(2)
    )
    assert not found.exact
    assert found.p == pytest.approx(theirs.pvalue, abs=0.02)


@pytest.mark.parametrize("method", [attack_success, relative_reduction], ids=lambda f: f.__name__)
def test_spans_are_those_of_scipy(method: Callable[..., object]) -> None:
    """Whole attacks are drawn, both systems the same; bounds agree to the noise of the draws."""
    rows = [spread_over(180), spread_over(60, seed=1)]
    shares = np.array([harms(judged) for judged in rows]) / 5
    if method is attack_success:
        ours = attack_success(rows[0], how(0, 4000)).span
        statistic = lambda at: shares[0, at].mean()  # noqa: E731
    else:
        ours = relative_reduction(*rows, how(0, 4000)).span
        statistic = lambda at: 1 - shares[1, at].mean() / shares[0, at].mean()  # noqa: E731
    theirs = stats.bootstrap(
        (np.arange(145),), statistic, vectorized=False, n_resamples=4000, method="percentile", rng=rng(5)
    ).confidence_interval
    assert ours is not None
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.012)


# Properties


@unhurried
@given(systems(), st.data())
def test_whole_attacks_are_turned(both: list[Rows], data: st.DataObject) -> None:
    """The order of runs within an attack, and that of attacks, changes nothing; running every attack again the same way neither."""
    baseline, system = both
    order = data.draw(st.permutations(range(len(baseline))))
    mixed = [[data.draw(st.permutations(judged[at])) for at in order] for judged in both]
    one, other, longer = (
        permutation_by_attack(*each, rng=rng())
        for each in ((baseline, system), mixed, [[r * 3 for r in j] for j in both])
    )
    assert one.p == other.p == longer.p
    assert one.difference == pytest.approx(other.difference)
    assert one.difference == pytest.approx(longer.difference)


@unhurried
@given(systems())
def test_figures_by_their_definitions(both: list[Rows]) -> None:
    """Rates, counts and reduction, unreadable judgements as harm."""
    baseline, system = both
    before, after = (attack_success(judged, how()) for judged in both)
    for found, judged in ((before, baseline), (after, system)):
        flat = [verdict for runs in judged for verdict in runs]
        assert (found.harm, found.unreadable, found.runs) == (flat.count(True), flat.count(None), len(flat))
        assert found.rate == pytest.approx((found.harm + found.unreadable) / found.runs)
    lowered = relative_reduction(baseline, system, how())
    assert (lowered.baseline, lowered.system) == (before.rate, after.rate)
    if before.rate == 0:
        assert (lowered.estimate, lowered.span) == (None, None)
    else:
        assert lowered.estimate == pytest.approx(1 - (after.rate or 0) / (before.rate or 1))
    p = permutation_by_attack(baseline, system, rng=rng()).p
    # By hand: all ways of naming.
    apart = harms(baseline) - harms(system)
    ways = np.array(list(product((1, -1), repeat=len(apart)))) @ apart
    assert p == pytest.approx((ways >= apart.sum()).mean(), abs=1e-12)


def test_level_is_kept_where_nothing_differs() -> None:
    """Of 300 pairs of equal systems some 5% at most have p of 0.05 or less."""
    draw = rng(11)
    small = 0
    for _ in range(300):
        chance = draw.beta(1, 3, size=(20, 1))
        baseline, system = (draw.random((20, 5)) < chance).tolist(), (draw.random((20, 5)) < chance).tolist()
        small += permutation_by_attack(baseline, system, rng=draw, draws=499).p <= 0.05
    assert small / 300 <= 0.085


# Degenerate cases


def test_no_difference_has_p_of_one() -> None:
    """All differences 0, or no attack at all; rounding of unequal runs makes no difference of nothing."""
    for judged in ([[True, False]] * 30, [[False]]):
        assert permutation_by_attack(judged, judged, rng=rng()).p == 1.0
    nothing = permutation_by_attack([], [], rng=rng())
    assert (nothing.difference, nothing.p, nothing.attacks) == (None, 1.0, 0)
    # A third is a third, in three runs or in six.
    third = permutation_by_attack([[True, False, False]] * 4, [[True, False, False] * 2] * 4, rng=rng())
    assert (third.p, third.differing) == (1.0, 0)
    # 0.2 + 0.4 - 0.6 is below 0 in floats; a half of the eight ways is at least 0 in numbers.
    runs = lambda n: [True] * n + [False] * (5 - n)  # noqa: E731
    mixed = permutation_by_attack([runs(1), runs(2), runs(0)], [runs(0), runs(0), runs(3)], rng=rng())
    assert mixed.p == 5 / 8


def test_worse_has_a_large_p() -> None:
    """The test is one-sided: a system that does harm is not found to help."""
    assert permutation_by_attack([[False]] * 10, [[True]] * 10, rng=rng()).p == 1.0
    assert permutation_by_attack([[True]] * 10, [[False]] * 10, rng=rng()).p == 1 / 1024


def test_unequal_runs_weigh_attacks_alike() -> None:
    """One attack run nine times counts no more than one run once; the counts are there beside it."""
    found = attack_success([[True] * 9, [False]], how())
    assert (found.rate, found.harm, found.runs, found.equal_runs) == (0.5, 9, 10, False)


def test_nothing_judged_is_undefined() -> None:
    """No attack: no rate; one attack: a rate without an interval."""
    empty = attack_success([], how())
    assert (empty.rate, empty.span, empty.runs, empty.attacks) == (None, None, 0, 0)
    gone = relative_reduction([], [], how())
    assert (gone.estimate, gone.span, gone.baseline, gone.system) == (None, None, None, None)
    assert attack_success([[True, None]], how()).span is None
    # Draws in which the baseline does no harm are counted.
    rare = relative_reduction([[True]] + [[False]] * 9, [[False]] * 9 + [[True]], how(0, 4000))
    assert rare.estimate == 0.0
    assert rare.span is not None
    assert rare.span.undefined / 4000 == pytest.approx(0.9**10, abs=0.04)


def test_families_may_be_drawn_whole() -> None:
    """Attacks that are one another's copies are no new evidence."""
    rows = spread_over(60, 30)
    alone, naive, whole = (
        attack_success(*each).span
        for each in ((rows, how(0, 3000)), (rows * 9, how(0, 3000)), (rows * 9, how(0, 3000, list(range(30)) * 9)))
    )
    assert alone is not None and naive is not None and whole is not None  # noqa: PT018
    assert (whole.low, whole.high) == pytest.approx((alone.low, alone.high), abs=0.02)
    assert whole.high - whole.low > 2 * (naive.high - naive.low)


BAD: list[tuple[Callable[[], object], str]] = [
    (lambda: permutation_by_attack([[True]], [], rng=rng()), "same attacks"),
    (lambda: relative_reduction([[True]], [[True], [True]], how()), "same attacks"),
    (lambda: permutation_by_attack([[True], []], [[True], [True]], rng=rng()), "attack 1 has no runs"),
    (lambda: attack_success([[]], how()), "attack 0 has no runs"),
    (lambda: attack_success([[True], [math.nan]], how()), "attack 1 has a judgement"),  # type: ignore[list-item]
    (lambda: attack_success([[2]], how()), "attack 0 has a judgement"),  # type: ignore[list-item]
    (lambda: attack_success([["yes"]], how()), "attack 0 has a judgement"),  # type: ignore[list-item]
    (lambda: permutation_by_attack([[True]], [[True]], rng=rng(), draws=0), "draws"),
    (lambda: attack_success([[True]], how(), level=1.0), "level"),
    (lambda: attack_success([[True]], how(clusters=[1, 2])), "one cluster for each"),
]


@pytest.mark.parametrize(("call", "words"), BAD)
def test_impossible_arguments_are_refused(call: Callable[[], object], words: str) -> None:
    """An error that says where, not a number."""
    with pytest.raises(ValueError, match=words):
        call()
