from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from crisis_filter.stats.binary import f1
from crisis_filter.stats.multilabel import (
    Averages,
    bootstrap_averages,
    bootstrap_paired_averages,
    by_category,
    exact_match,
    macro,
    micro,
)
from crisis_filter.stats.resampling import Resampling
from tests.stats.multilabel_cases import PAPER, Flags, cases, names_of, paper_messages

unhurried = settings(deadline=None)


def how(seed: int = 0, resamples: int = 300, clusters: list[int] | None = None) -> Resampling:
    return Resampling(np.random.default_rng(seed), resamples, clusters)


def figures(found: Averages) -> tuple[Any, ...]:
    return (found.macro_sensitivity, found.macro_ppv, found.macro_f1, found.micro_f1, found.exact_match)


def test_estimates_of_a_set_with_the_papers_margins() -> None:
    """From messages: the published averages, each inside its interval."""
    truth, said = paper_messages()
    found = bootstrap_averages(truth, said, how(0, 500))
    means, total = macro(PAPER), micro(PAPER)
    expected = (means.sensitivity, means.ppv, means.f1, f1(total), 810 / 898)
    assert tuple(average.estimate for average in figures(found)) == pytest.approx(expected)
    assert all(average.span.low < average.estimate < average.span.high for average in figures(found))
    assert (found.messages, found.categories) == (898, 8)


@unhurried
@given(cases(systems=2), st.integers(0, 9))
def test_bootstrap_estimates_are_the_figures(case: tuple[Flags, ...], seed: int) -> None:
    """Estimates are those of the plain functions, undefined where they are; bounds keep the range and lie around something."""
    truth, first, second = case
    names = names_of(truth)
    plain = []
    for said in (first, second):
        counts = by_category(truth, said, names)
        means = macro(counts)
        plain.append((means.sensitivity, means.ppv, means.f1, f1(micro(counts)), exact_match(truth, said).estimate))
    single = figures(bootstrap_averages(truth, first, how(seed, 40)))
    paired = figures(bootstrap_paired_averages(truth, first, second, how(seed, 40)))
    for one, other, alone, both in zip(*plain, single, paired, strict=True):
        assert alone.estimate is None if one is None else alone.estimate == pytest.approx(one)
        assert both.estimate is None if None in (one, other) else both.estimate == pytest.approx(one - other)
        assert alone.span is None or (alone.estimate is not None and 0.0 <= alone.span.low < alone.span.high <= 1.0)
        assert both.span is None or (both.estimate is not None and -1.0 <= both.span.low < both.span.high <= 1.0)


@unhurried
@given(cases(systems=2), st.integers(0, 9))
def test_figures_share_their_draws(case: tuple[Flags, ...], seed: int) -> None:
    """With one category macro and micro F1 are one figure, so their intervals must be equal to the last digit."""
    truth, first, second = (each[:, :1] for each in case)
    for found in (
        bootstrap_averages(truth, first, how(seed, 40)),
        bootstrap_paired_averages(truth, first, second, how(seed, 40)),
    ):
        assert found.macro_f1 == found.micro_f1


# Intervals


def some_messages(rows: int = 120, width: int = 3, systems: int = 2, noise: float = 0.15) -> tuple[Flags, ...]:
    rng = np.random.default_rng(3)
    truth = rng.random((rows, width)) < 0.35
    return (truth, *(truth ^ (rng.random((rows, width)) < noise) for _ in range(systems)))


def naive_figures(truth: Flags, said: Flags) -> list[float]:
    """The five figures of one resample, as one writes them down; no category is absent from these messages."""
    hits, named, there = ((truth & said).sum(axis=0), said.sum(axis=0), truth.sum(axis=0))
    macro_f1, micro_f1 = (2 * hits / (named + there)).mean(), 2 * hits.sum() / (named.sum() + there.sum())
    return [(hits / there).mean(), (hits / named).mean(), macro_f1, micro_f1, (truth == said).all(axis=1).mean()]


def test_bootstrap_is_that_of_scipy() -> None:
    """Percentile bounds agree with scipy's, to the noise of the draws, for the figures and for the differences."""
    truth, first, second = some_messages()

    def resampled(at: NDArray[np.intp]) -> NDArray[np.float64]:
        one, other = naive_figures(truth[at], first[at]), naive_figures(truth[at], second[at])
        return np.array([*one, *np.subtract(one, other)])

    theirs = stats.bootstrap(
        (np.arange(len(truth)),),
        resampled,
        vectorized=False,
        method="percentile",
        n_resamples=4000,
        rng=np.random.default_rng(1),
    ).confidence_interval
    ours = (
        *figures(bootstrap_averages(truth, first, how(resamples=4000))),
        *figures(bootstrap_paired_averages(truth, first, second, how(resamples=4000))),
    )
    spans = [average.span for average in ours]
    assert [s.low for s in spans] == pytest.approx(theirs.low.tolist(), abs=0.015)
    assert [s.high for s in spans] == pytest.approx(theirs.high.tolist(), abs=0.015)


def test_paired_intervals_are_narrower_than_unpaired_ones() -> None:
    """Two systems that share most errors differ by less than two that were tried on different messages."""
    truth, first, _ = some_messages(noise=0.3)
    second = first.copy()
    second[:6, 0] ^= True
    alone = figures(bootstrap_averages(truth, first, how(resamples=2000)))
    paired = figures(bootstrap_paired_averages(truth, first, second, how(resamples=2000)))
    for one, both in zip(alone, paired, strict=True):
        assert both.span.high - both.span.low < 0.5 * (one.span.high - one.span.low)


def test_exchanged_systems_turn_the_sign() -> None:
    """`a` minus `b`; and a system does not differ from itself, for which there is no interval."""
    truth, first, second = some_messages()
    one = figures(bootstrap_paired_averages(truth, first, second, how(resamples=3000)))
    other = figures(bootstrap_paired_averages(truth, second, first, how(resamples=3000)))
    for this, that in zip(one, other, strict=True):
        assert this.estimate == pytest.approx(-that.estimate)
        assert (this.span.low, this.span.high) == pytest.approx((-that.span.high, -that.span.low), abs=0.02)
    same = figures(bootstrap_paired_averages(truth, first, first, how()))
    assert [(average.estimate, average.span) for average in same] == [(0.0, None)] * 5


def test_clusters_widen_the_interval() -> None:
    """A message copied nine times is no new evidence: by cluster the intervals are those of the single messages."""
    truth, said, _ = some_messages(60)
    copies, owners = (np.tile(truth, (9, 1)), np.tile(said, (9, 1))), list(range(60)) * 9
    tries = ((truth, said, None), (*copies, None), (*copies, owners))
    found = [figures(bootstrap_averages(t, s, how(0, 3000, c))) for t, s, c in tries]
    for alone, naive, whole in zip(*found, strict=True):
        assert (whole.span.low, whole.span.high) == pytest.approx((alone.span.low, alone.span.high), abs=0.02)
        assert whole.span.high - whole.span.low > 2.0 * (naive.span.high - naive.span.low)


def test_seed_decides_and_lacking_categories_are_told() -> None:
    """One generator state, one result; resamples without a rare category are counted and left out."""
    truth, said = np.zeros((50, 2), bool), np.zeros((50, 2), bool)
    truth[0, 0] = said[0, 0] = True
    truth[::2, 1] = said[::3, 1] = True
    one, other = (bootstrap_averages(truth, said, how(5, 4000)) for _ in range(2))
    assert one == other
    # The only message of the first category is left out with probability (49/50)**50; what the other lacks does not matter.
    assert one.macro_sensitivity.span is not None
    assert one.macro_sensitivity.span.undefined / 4000 == pytest.approx((49 / 50) ** 50, abs=0.03)
    assert one.exact_match.span is not None
    assert one.exact_match.span.undefined == 0


def test_intervals_cover() -> None:
    """Of 150 samples about 95% of the intervals hold the figure of the population that they are from."""
    rng = np.random.default_rng(11)
    population = rng.random((40000, 4)) < 0.3
    answers = population ^ (rng.random((40000, 4)) < 0.1)
    counts = by_category(population, answers, "abcd")
    target = (macro(counts).sensitivity, macro(counts).ppv, macro(counts).f1, f1(micro(counts)))
    held = np.zeros(4)
    for _ in range(150):
        at = rng.integers(0, 40000, 300)
        found = figures(bootstrap_averages(population[at], answers[at], Resampling(rng, 300)))
        held += [average.span.low <= value <= average.span.high for average, value in zip(found, target, strict=False)]
    # Three standard errors of a share of 150.
    assert held / 150 == pytest.approx([0.95] * 4, abs=0.055)


# Degenerate cases


def test_without_messages_everything_is_undefined() -> None:
    """Nothing is counted, so there is no figure and no interval."""
    none = np.zeros((0, 3), bool)
    for found in (bootstrap_averages(none, none, how()), bootstrap_paired_averages(none, none, none, how())):
        assert [(average.estimate, average.span) for average in figures(found)] == [(None, None)] * 5
        assert (found.messages, found.categories) == (0, 3)


def test_a_faultless_system_has_no_interval() -> None:
    """All figures are 1, and no resample shows how far they might be from it."""
    truth, _, _ = some_messages()
    found = figures(bootstrap_averages(truth, truth, how()))
    assert [(average.estimate, average.span) for average in found] == [(1.0, None)] * 5


yes = np.ones((2, 2), bool)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: bootstrap_averages(yes, yes.astype(int), how()), r"said\[0, 0\] is neither"),
        (lambda: bootstrap_averages(yes, yes, how(resamples=0)), "at least 1"),
        (lambda: bootstrap_averages(yes, yes, how(clusters=[1])), "one cluster for each"),
        (lambda: bootstrap_averages(yes, yes, how(), level=1.0), "level"),
        (lambda: bootstrap_paired_averages(yes, yes, yes[:, :1], how()), "one shape"),
    ],
)
def test_impossible_arguments_are_refused(call: Callable[[], object], words: str) -> None:
    """An error, not an interval."""
    with pytest.raises(ValueError, match=words):
        call()
