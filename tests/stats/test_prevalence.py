from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import expit, logit
from statsmodels.stats.proportion import proportion_confint

from crisis_filter.stats.prevalence import (
    PpvPosterior,
    alarms_per,
    npv,
    ppv,
    ppv_posterior,
    ppv_projection_paper,
    prior_shift,
)

unhurried = settings(deadline=None)
shares = st.floats(0, 1) | st.sampled_from([0.0, 0.5, 1.0])
inside = st.floats(0.001, 0.999)

# The VBHSF paper, Tables S1 and S2: sensitivity and specificity, then point, lower and upper bound by prevalence.
PRINTED = {
    ("S1", "NeMo", 0.759, 0.756): [
        (0.015, 0.006, 0.029),
        (0.03, 0.017, 0.049),
        (0.06, 0.041, 0.085),
        (0.141, 0.112, 0.174),
    ],
    ("S1", "OpenAI", 0.419, 0.999): [
        (0.678, 0.301, 0.954),
        (0.809, 0.529, 0.978),
        (0.895, 0.717, 0.989),
        (0.957, 0.865, 0.995),
    ],
    ("S1", "VBHSF", 0.99, 0.992): [
        (0.383, 0.197, 0.57),
        (0.556, 0.378, 0.708),
        (0.716, 0.576, 0.822),
        (0.867, 0.794, 0.924),
    ],
    ("S2", "NeMo", 0.907, 0.886): [
        (0.038, 0.019, 0.073),
        (0.074, 0.045, 0.115),
        (0.14, 0.099, 0.187),
        (0.295, 0.244, 0.351),
    ],
    ("S2", "OpenAI", 0.882, 0.899): [
        (0.042, 0.018, 0.075),
        (0.081, 0.047, 0.124),
        (0.151, 0.107, 0.203),
        (0.315, 0.26, 0.375),
    ],
    ("S2", "VBHSF", 0.982, 0.859): [
        (0.034, 0.016, 0.06),
        (0.066, 0.04, 0.099),
        (0.124, 0.09, 0.167),
        (0.268, 0.223, 0.318),
    ],
}
CELLS = [
    (*row[2:], prevalence, printed)
    for row, cells in PRINTED.items()
    for prevalence, printed in zip((0.005, 0.01, 0.02, 0.05), cells, strict=True)
]


@pytest.mark.parametrize(("sensitivity", "specificity", "prevalence", "printed"), CELLS)
def test_the_paper_s_way_gives_its_tables(
    sensitivity: float, specificity: float, prevalence: float, printed: tuple[float, float, float]
) -> None:
    """All 24 points and 48 bounds, to the third decimal."""
    found = ppv_projection_paper(sensitivity, specificity, prevalence)
    assert found.estimate is not None
    assert (round(found.estimate, 3), round(found.low, 3), round(found.high, 3)) == printed
    assert (found.low, found.high) == pytest.approx(
        proportion_confint(found.tp, found.tp + found.fp, method="wilson"), abs=1e-12
    )


def test_the_paper_s_counts_are_cut() -> None:
    """8.91 crises become 8, 14.33 other messages 14."""
    found = ppv_projection_paper(0.99, 0.992, 0.005)
    assert (found.tp, found.fp) == (8, 14)


@pytest.mark.parametrize(
    ("rates", "n", "counts"),
    [
        # As binary floats 0.29 * 100 is 28.999..., and (1 - 0.9) * 10 is 0.999...
        ((0.29, 1.0, 1.0), 100, (29, 0)),
        ((1.0, 0.9, 0.0), 10, (0, 1)),
        ((0.0, 1.0, 0.5), 100, (0, 0)),
    ],
)
def test_whole_counts_stay_whole(rates: tuple[float, float, float], n: int, counts: tuple[int, int]) -> None:
    """A product that is a whole number does not lose one to the binary fraction just below it."""
    found = ppv_projection_paper(*rates, n=n)
    assert (found.tp, found.fp) == counts


def test_a_filter_that_never_calls_has_no_predictive_value() -> None:
    """No alarms, no share of them: undefined, and anything is possible."""
    found = ppv_projection_paper(0.0, 1.0, 0.5)
    assert (found.estimate, found.low, found.high) == (None, 0.0, 1.0)
    assert ppv(0.0, 1.0, 0.5) is None
    assert ppv(0.9, 1.0, 0.0) is None
    assert npv(1.0, 0.0, 0.5) is None
    assert ppv(0.9, 0.9, 0.0) == 0.0


@pytest.mark.parametrize(
    ("counts", "prevalence", "point", "low", "high"),
    [
        ({"tp": 891, "fn": 9, "tn": 893, "fp": 7}, 0.005, 0.390, 0.247, 0.588),
        ({"tp": 891, "fn": 9, "tn": 893, "fp": 7}, 0.02, 0.722, 0.571, 0.853),
        ({"tp": 891, "fn": 9, "tn": 893, "fp": 7}, 0.05, 0.870, 0.774, 0.937),
        ({"tp": 377, "fn": 523, "tn": 899, "fp": 1}, 0.005, 0.655, 0.288, 0.946),
        ({"tp": 377, "fn": 523, "tn": 899, "fp": 1}, 0.02, 0.885, 0.622, 0.986),
        ({"tp": 683, "fn": 217, "tn": 680, "fp": 220}, 0.005, 0.015, 0.014, 0.017),
        ({"tp": 391, "fn": 7, "tn": 340, "fp": 56}, 0.02, 0.124, 0.101, 0.154),
        ({"tp": 361, "fn": 37, "tn": 351, "fp": 45}, 0.05, 0.296, 0.244, 0.359),
    ],
)
def test_the_posterior_gives_published_figures(
    counts: dict[str, int], prevalence: float, point: float, low: float, high: float
) -> None:
    """Points by Bayes' rule from raw counts to the third decimal; bounds as near as draws allow."""
    found = ppv_posterior(**counts, prevalence=prevalence, rng=np.random.default_rng(0), draws=200_000)
    assert found is not None
    assert found.estimate is not None
    assert round(found.estimate, 3) == point
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.003)


def true_quantile_level(found: PpvPosterior, bound: float, counts: tuple[int, int, int, int]) -> float:
    """The posterior probability of a value up to `bound`, by summing over quantiles of sensitivity instead of drawing."""
    tp, fn, tn, fp = counts
    caught = stats.beta.ppf((np.arange(4000) + 0.5) / 4000, tp + 0.5, fn + 0.5)
    # The value is at most the bound where false alarms are at least as many as this.
    false = caught * found.prevalence * (1 - bound) / (bound * (1 - found.prevalence))
    return float(stats.beta.sf(false, fp + 0.5, tn + 0.5).mean())


counted = st.integers(0, 300)


@settings(deadline=None, max_examples=60)
@given(st.tuples(counted, counted, counted, counted), inside, st.floats(0.5, 0.99), st.integers(0, 99))
@example((891, 9, 893, 7), 0.005, 0.95, 1)
@example((0, 1, 1, 0), 0.5, 0.95, 1)
@example((0, 0, 5, 5), 0.5, 0.95, 1)
@example((5, 5, 0, 0), 0.5, 0.95, 1)
def test_the_posterior_s_bounds_are_its_quantiles(
    counts: tuple[int, int, int, int], prevalence: float, level: float, seed: int
) -> None:
    """Against numerical integration; undefined where there is one class only, and no point where nothing was flagged."""
    tp, fn, tn, fp = counts
    found = ppv_posterior(
        tp=tp, fn=fn, tn=tn, fp=fp, prevalence=prevalence, rng=np.random.default_rng(seed), level=level
    )
    if tp + fn == 0 or tn + fp == 0:
        assert found is None
        return
    assert found is not None
    assert (found.estimate is None) == (tp + fp == 0)
    assert 0.0 <= found.low < found.high <= 1.0
    for bound, expected in ((found.low, (1 - level) / 2), (found.high, (1 + level) / 2)):
        # 20,000 draws put a quantile within 0.018 of its level, five standard errors.
        assert true_quantile_level(found, max(bound, 1e-300), counts) == pytest.approx(expected, abs=0.02)


def test_the_posterior_covers() -> None:
    """Of 400 studies of a filter with 0.95 and 0.97, some 95% have the true value at 2% in the interval."""
    rng = np.random.default_rng(3)
    tp, tn = rng.binomial(300, 0.95, 400), rng.binomial(300, 0.97, 400)
    truth = ppv(0.95, 0.97, 0.02)
    assert truth is not None
    spans = [
        ppv_posterior(tp=int(a), fn=300 - int(a), tn=int(b), fp=300 - int(b), prevalence=0.02, rng=rng, draws=2000)
        for a, b in zip(tp, tn, strict=True)
    ]
    covered = np.mean([span is not None and span.low <= truth <= span.high for span in spans])
    assert 0.92 < covered < 0.98


def test_the_same_draws_give_the_same_figures() -> None:
    """Randomness is an argument."""
    one, two = (
        ppv_posterior(tp=9, fn=1, tn=8, fp=2, prevalence=0.1, rng=np.random.default_rng(4), draws=100) for _ in range(2)
    )
    assert one == two


# Bayes' rule, by counting


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50), st.integers(0, 50))
@example(0, 1, 1, 0)
def test_at_the_set_s_own_prevalence_values_are_what_was_counted(tp: int, fn: int, tn: int, fp: int) -> None:
    """Then they are the shares of the flagged and of the others, and the alarms are those that were raised."""
    assume(tp + fn and tn + fp)
    n = tp + fn + tn + fp
    rates = tp / (tp + fn), tn / (tn + fp), (tp + fn) / n
    alarms = alarms_per(n, *rates)
    assert (alarms.caught, alarms.missed, alarms.false_alarms) == pytest.approx((tp, fn, fp), abs=1e-9)
    assert (alarms.crises, alarms.alarms, alarms.messages) == (pytest.approx(tp + fn), pytest.approx(tp + fp), n)
    if tp + fp:
        assert ppv(*rates) == pytest.approx(tp / (tp + fp), abs=1e-9)
    else:
        assert ppv(*rates) is None
    if tn + fn:
        assert npv(*rates) == pytest.approx(tn / (tn + fn), abs=1e-9)
    # The share of the others may be a rounding error where all were flagged.
    elif rates[2] in (0.25, 0.5, 0.75):
        assert npv(*rates) is None


def test_what_a_service_may_expect() -> None:
    """Of 10,000 messages with 50 crises at 0.99 and 0.992: half a crisis missed, and 80 false alarms to 49.5 real ones."""
    found = alarms_per(10_000, 0.99, 0.992, 0.005)
    assert (found.crises, found.caught, found.missed) == pytest.approx((50, 49.5, 0.5))
    assert found.false_alarms == pytest.approx(79.6)
    assert found.alarms == pytest.approx(129.1)


@given(st.lists(shares), inside, inside)
@example([], 0.5, 0.01)
@example([0.0, 0.5, 1.0], 0.5, 0.01)
def test_prior_shift_is_bayes_rule(found: list[float], before: float, after: float) -> None:
    """Odds are multiplied by the ratio of the prevalences' odds; 0 and 1 stay, order stays, and the way back leads back."""
    ratio = after / (1 - after) * (1 - before) / before
    p = np.array(found)
    shifted = prior_shift(found, before, after)
    assert shifted.tolist() == pytest.approx((p * ratio / (p * ratio + 1 - p)).tolist(), rel=1e-9, abs=1e-300)
    assert shifted.tolist() == pytest.approx(expit(logit(p) + logit(after) - logit(before)).tolist(), rel=1e-9)
    assert (shifted[p == 0] == 0).all()
    assert (shifted[p == 1] == 1).all()
    assert (np.diff(shifted[np.argsort(p)]) >= 0).all()
    middle = (p > 1e-6) & (p < 1 - 1e-6)
    assert prior_shift(shifted, after, before)[middle] == pytest.approx(p[middle], rel=1e-6)


def test_prior_shift_from_even_to_one_in_a_hundred() -> None:
    """An even chance on a balanced set is the prevalence itself in the field; the shape is kept."""
    assert prior_shift([[0.5]], 0.5, 0.01).tolist() == [[pytest.approx(0.01)]]


def test_impossible_arguments_are_refused() -> None:
    """Rates outside 0..1, NaN (with its place), negative counts, no draws."""
    for wrong in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match="entry 1 does not"):
            prior_shift([0.5, wrong], 0.5, 0.1)
        for at in range(3):
            rates = [0.5, 0.5, 0.5]
            rates[at] = wrong
            for call in (ppv, npv, ppv_projection_paper, lambda *r: alarms_per(9, *r)):
                with pytest.raises(ValueError, match="must lie between 0 and 1"):
                    call(*rates)
    with pytest.raises(ValueError, match="entry 1, 0 does not"):
        prior_shift([[0.5], [math.nan]], 0.5, 0.1)
    for prevalences in ((0.0, 0.5), (0.5, 1.0)):
        with pytest.raises(ValueError, match="strictly"):
            prior_shift([0.5], *prevalences)
    rng = np.random.default_rng(0)
    for changed in ({"tp": -1}, {"draws": 0}, {"prevalence": 0.0}, {"level": 1.0}, {"prevalence": math.nan}):
        arguments = {"tp": 1, "fn": 1, "tn": 1, "fp": 1, "prevalence": 0.5, **changed}
        with pytest.raises(ValueError, match=r"must (be|lie)"):
            ppv_posterior(**arguments, rng=rng)  # type: ignore[arg-type]
    for call in (lambda: alarms_per(-1, 0.5, 0.5, 0.5), lambda: ppv_projection_paper(0.5, 0.5, 0.5, n=-1)):
        with pytest.raises(ValueError, match="at least 0"):
            call()
