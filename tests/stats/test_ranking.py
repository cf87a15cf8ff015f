from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logit
from scipy.stats import mannwhitneyu, norm
from sklearn.metrics import roc_auc_score, roc_curve

from crisis_filter.stats.ranking import (
    auroc,
    auroc_difference,
    auroc_interval,
    auroc_of_draws,
    fpr_at_tpr,
    labelled,
    roc,
    thinned,
)

unhurried = settings(deadline=None)
tied = st.integers(-3, 3).map(float)
spread = st.floats(-1e6, 1e6)


@st.composite
def cases(draw: st.DrawFn, systems: int = 1, fewest: int = 0, each: int = 0) -> tuple[list[bool], list[list[float]]]:
    """Truth and scores; many ties, few, or none; `each` of both classes at least."""
    truth = draw(st.lists(st.booleans(), min_size=fewest, max_size=40)) + [True] * each + [False] * each
    one = draw(st.sampled_from([tied, spread, st.just(0.5), st.one_of(tied, spread)]))
    return truth, [draw(st.lists(one, min_size=len(truth), max_size=len(truth))) for _ in range(systems)]


def covariance_by_pairs(truth: list[bool], systems: list[list[float]]) -> np.ndarray:
    """DeLong, DeLong and Clarke-Pearson (1988), equations 1 to 6, pair by pair."""
    said = np.array(truth)
    kernels = []
    for scores in np.array(systems):
        apart = scores[said][:, None] - scores[~said][None, :]
        kernels.append((apart > 0) + 0.5 * (apart == 0))
    v10, v01 = (np.array([k.mean(axis=axis) for k in kernels]) for axis in (1, 0))
    return np.atleast_2d(np.cov(v10)) / v10.shape[1] + np.atleast_2d(np.cov(v01)) / v01.shape[1]


# Published worked examples

CANCER = """
3.0 5.8 10 0 3.2 6.3 5 1 3.9 6.8 3 1 2.8 4.8 6 0 3.2 5.8 3 1 0.9 4.0 5 0 2.5 5.7 8 0 1.6 5.6 5 1 3.8 5.7 5 1 3.7 6.7 6 1
3.2 5.4 4 1 3.8 6.6 6 1 4.1 6.6 5 1 3.6 5.7 5 1 4.3 7.0 4 1 3.6 6.7 4 0 2.3 4.4 6 1 4.2 7.6 4 0 4.0 6.6 6 0 3.5 5.8 6 1
3.8 6.8 7 1 3.0 4.7 8 0 4.5 7.4 5 1 3.7 7.4 5 1 3.1 6.6 6 1 4.1 8.2 6 1 4.3 7.0 5 1 4.3 6.5 4 1 3.2 5.1 5 1 2.6 4.7 6 1
3.3 6.8 6 0 1.7 4.0 7 0 3.7 6.1 5 1 3.3 6.3 7 1 4.2 7.7 6 1 3.5 6.2 5 1 2.9 5.7 9 0 2.1 4.8 7 1 2.8 6.2 8 0 4.0 7.0 7 1
3.3 5.7 6 1 3.7 6.9 5 1 3.6 6.6 5 1
"""
"""DeLong, DeLong and Clarke-Pearson (1988): albumin, total protein, 10 - K-G score, outcome. SAS/STAT prints the figures."""
ALBUMIN, PROTEIN, KG, OUTCOME = np.array(CANCER.split(), dtype=float).reshape(-1, 4).T


@pytest.mark.parametrize(
    ("truth", "scores", "area", "error"),
    [
        # J. A. Hanley, B. J. McNeil (1982), Table I; the error is DeLong's as Stata's roctab prints it.
        (
            np.repeat([0, 1], [58, 51]),
            np.repeat([1, 2, 3, 4, 5] * 2, [33, 6, 6, 11, 2, 3, 2, 2, 11, 33]),
            0.8932,
            0.0307,
        ),
        (OUTCOME, ALBUMIN, 0.7366, 0.0927),
        (OUTCOME, PROTEIN, 0.6478, 0.1000),
        (OUTCOME, 10 - KG, 0.7258, 0.1028),
    ],
)
def test_areas_give_published_figures(truth: np.ndarray, scores: np.ndarray, area: float, error: float) -> None:
    """Area and DeLong's error as printed."""
    found = auroc_interval(truth, scores)
    assert found.estimate is not None and found.standard_error is not None  # noqa: PT018
    assert (round(found.estimate, 4), round(found.standard_error, 4)) == (area, error)


@pytest.mark.parametrize(
    ("scores", "difference", "error", "low", "high", "p"),
    [
        (PROTEIN, -0.0780, 0.1046, -0.2830, 0.1271, 0.4561),
        (ALBUMIN, 0.0108, 0.0953, -0.1761, 0.1976, 0.9102),
    ],
)
def test_differences_give_published_figures(
    scores: np.ndarray, difference: float, error: float, low: float, high: float, p: float
) -> None:
    """Two correlated areas against the K-G score's, as printed."""
    found = auroc_difference(OUTCOME, scores, 10 - KG)
    assert found.interval is not None
    printed = (found.estimate, found.standard_error, found.interval.low, found.interval.high, found.p)
    assert tuple(round(figure, 4) for figure in printed if figure is not None) == (difference, error, low, high, p)


@pytest.mark.parametrize(("target", "needed", "alarms", "printed"), [(0.90, 38, 34, 3.1), (0.95, 40, 45, 4.1)])
def test_false_alarms_at_a_wanted_sensitivity(target: float, needed: int, alarms: int, printed: float) -> None:
    """42 unsafe turns and 1,092 safe ones: 38 or 40 must be flagged, and 34 or 45 false alarms are 3.1% or 4.1%."""
    scores = np.concatenate(
        [np.arange(42, 0, -1) * 10.0, np.repeat((42 - needed + 1) * 10.0 + 5, alarms), np.zeros(1092 - alarms)]
    )
    found = fpr_at_tpr(np.arange(1134) < 42, scores, target)
    assert found is not None
    assert (found.tpr.count, found.fpr.count, found.fpr.nobs, found.unreachable) == (needed, alarms, 1092, False)
    assert round(100 * (found.fpr.estimate or 0), 1) == printed


# Against other implementations


@unhurried
@given(cases())
def test_area_equals_scikit_learn(case: tuple[list[bool], list[list[float]]]) -> None:
    """With ties; undefined, not 0 or 0.5, where a class is missing."""
    truth, (scores,) = case
    found = auroc(truth, scores)
    if len(set(truth)) < 2:
        assert found is None
        return
    assert found == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)
    said, values = np.array(truth), np.array(scores)
    ranked = mannwhitneyu(values[said], values[~said]).statistic
    assert found == pytest.approx(ranked / (said.sum() * (~said).sum()), abs=1e-12)


@unhurried
@given(cases(fewest=1), st.integers(0, 2**32 - 1))
def test_area_of_draws_is_the_area_of_what_was_drawn(case: tuple[list[bool], list[list[float]]], seed: int) -> None:
    """Sorting once for all draws changes nothing."""
    truth, (scores,) = case
    drawn = np.random.default_rng(seed).integers(0, len(truth), 30)
    assert auroc_of_draws(truth, scores)(drawn) == auroc(np.array(truth)[drawn], np.array(scores)[drawn])


@unhurried
@given(cases(each=1))
def test_curve_equals_scikit_learn(case: tuple[list[bool], list[list[float]]]) -> None:
    """Every threshold, none dropped."""
    truth, (scores,) = case
    found = roc(truth, scores)
    fpr, tpr, thresholds = roc_curve(truth, scores, drop_intermediate=False)
    assert found.thresholds.tolist() == thresholds.tolist()
    assert found.fpr == pytest.approx(fpr, abs=1e-12)
    assert found.tpr == pytest.approx(tpr, abs=1e-12)


@unhurried
@given(cases(each=1), st.floats(0.01, 1.0))
def test_false_alarms_equal_the_best_point_of_the_curve(
    case: tuple[list[bool], list[list[float]]], target: float
) -> None:
    """Of all points that reach the target the one with fewest false alarms, and the threshold that gives it."""
    truth, (scores,) = case
    found = fpr_at_tpr(truth, scores, target)
    fpr, tpr, thresholds = roc_curve(truth, scores, drop_intermediate=False)
    enough = tpr >= target - 1e-9
    assert found is not None
    assert found.fpr.estimate == pytest.approx(fpr[enough].min(), abs=1e-12)
    assert found.threshold == thresholds[enough].max()
    assert (found.tpr.estimate or 0) >= target - 1e-9
    flagged = np.array(scores) >= found.threshold
    assert (found.tpr.count, found.fpr.count) == ((flagged & truth).sum(), (flagged & ~np.array(truth)).sum())
    assert found.unreachable == bool(flagged.all())


@unhurried
@given(cases(systems=2, each=2))
def test_delong_as_its_authors_write_it_down(case: tuple[list[bool], list[list[float]]]) -> None:
    """The fast way gives the variances and covariance of the definition, with ties and without spread."""
    truth, (first, second) = case
    expected = covariance_by_pairs(truth, [first, second])
    alone = auroc_interval(truth, first)
    # A variance of 1e-17 that is rounding gives an error of 3e-9.
    assert alone.standard_error == pytest.approx(math.sqrt(expected[0, 0]), abs=1e-8)
    both = auroc_difference(truth, first, second)
    variance = max(0.0, expected[0, 0] + expected[1, 1] - 2 * expected[0, 1])
    assert both.standard_error == pytest.approx(math.sqrt(variance), abs=1e-7)
    assert both.first == alone.estimate
    if variance > 1e-6:
        z = (roc_auc_score(truth, first) - roc_auc_score(truth, second)) / math.sqrt(variance)
        assert both.p == pytest.approx(2 * norm.sf(abs(z)), abs=1e-7)


@unhurried
@given(cases(each=2), st.floats(0.5, 0.999))
def test_interval_is_normal_on_log_odds(case: tuple[list[bool], list[list[float]]], level: float) -> None:
    """The bounds lie as far from the estimate, in log-odds, as the error says; none where the error is 0."""
    truth, (scores,) = case
    found = auroc_interval(truth, scores, level)
    assert found.estimate is not None and found.standard_error is not None  # noqa: PT018
    if found.interval is None:
        assert found.standard_error < 1e-9 or found.estimate in (0.0, 1.0)
        return
    assert 0.0 <= found.interval.low <= found.estimate <= found.interval.high <= 1.0
    half = norm.ppf((1 + level) / 2) * found.standard_error / (found.estimate * (1 - found.estimate))
    if half < 10:
        bounds = logit([found.interval.low, found.interval.high])
        assert bounds == pytest.approx([logit(found.estimate) - half, logit(found.estimate) + half], abs=1e-6)


# Properties


@unhurried
@given(cases(systems=2, each=2))
def test_order_alone_matters(case: tuple[list[bool], list[list[float]]]) -> None:
    """A rising change of scale changes nothing; turned round, the area is 1 minus itself and the difference its opposite."""
    truth, (first, second) = case
    area = auroc(truth, first)
    whole = np.round(first)
    assert auroc(truth, whole**3) == auroc(truth, whole)
    assert auroc(truth, [-s for s in first]) == pytest.approx(1 - (area or 0))
    one, other = auroc_difference(truth, first, second), auroc_difference(truth, second, first)
    assert one.estimate == pytest.approx(-(other.estimate or 0))
    assert one.p == (None if other.p is None else pytest.approx(other.p, abs=1e-6))
    same = auroc_difference(truth, first, first)
    assert (same.estimate, same.interval, same.p) == (0.0, None, 1.0)


@unhurried
@given(cases(), st.integers(2, 12))
def test_thinning_keeps_the_ends(case: tuple[list[bool], list[list[float]]], most: int) -> None:
    """Never more points than wanted, each of them one of the curve, first and last kept."""
    truth, (scores,) = case
    whole = roc(truth, scores)
    thin = thinned(whole, most)
    assert len(thin.thresholds) == min(most, len(whole.thresholds))
    points = list(zip(whole.thresholds, whole.tp, whole.fp, strict=True))
    kept = list(zip(thin.thresholds, thin.tp, thin.fp, strict=True))
    assert (kept[0], kept[-1]) == (points[0], points[-1])
    assert set(kept) <= set(points)
    assert kept[-1][1:] == (sum(truth), len(truth) - sum(truth))


def test_coverage_is_about_nominal() -> None:
    """Of 600 samples of 40 and 60 from a true area of 0.921 some 95% have it in their interval."""
    rng = np.random.default_rng(7)
    truth = np.arange(100) < 40
    true = norm.cdf(2 / math.sqrt(2))
    inside = 0
    for _ in range(600):
        span = auroc_interval(truth, rng.normal(size=100) + 2 * truth).interval
        inside += span is not None and span.low <= true <= span.high
    assert 0.93 <= inside / 600 <= 0.975


# Degenerate cases


def test_a_yes_or_no_answer_has_one_point() -> None:
    """Where it misses too many, only flagging everything reaches the target, and that is said."""
    truth = [True] * 10 + [False] * 10
    said = [1.0] * 8 + [0.0] * 2 + [1.0] + [0.0] * 9
    reached, missed = fpr_at_tpr(truth, said, 0.8), fpr_at_tpr(truth, said, 0.9)
    assert reached is not None and missed is not None  # noqa: PT018
    assert (reached.unreachable, reached.fpr.count, reached.tpr.count) == (False, 1, 8)
    assert (missed.unreachable, missed.fpr.estimate, missed.tpr.estimate) == (True, 1.0, 1.0)


@pytest.mark.parametrize("truth", [[], [True], [False], [True, True], [False, False]])
def test_one_class_is_undefined(truth: list[bool]) -> None:
    """Nothing is put in the place of a figure that cannot be had."""
    scores = [0.5] * len(truth)
    assert auroc(truth, scores) is None
    assert fpr_at_tpr(truth, scores, 0.9) is None
    found = auroc_interval(truth, scores)
    assert (found.estimate, found.standard_error, found.interval) == (None, None, None)
    pair = auroc_difference(truth, scores, scores)
    assert (pair.first, pair.estimate, pair.standard_error, pair.p) == (None, None, None, None)
    curve = roc(truth, scores)
    assert (curve.tpr is None, curve.fpr is None) == (True not in truth, False not in truth)


def test_too_few_for_an_error() -> None:
    """One positive has an area but no error; perfectly apart has an error of 0 and no interval."""
    lone = auroc_interval([True, False, False], [2, 1, 3])
    assert (lone.estimate, lone.standard_error, lone.interval) == (0.5, None, None)
    pair = auroc_difference([True, False, False], [2, 1, 3], [3, 1, 2])
    assert (pair.estimate, pair.standard_error, pair.p) == (-0.5, None, None)
    perfect = auroc_interval([True, True, False, False], [4, 3, 2, 1])
    assert (perfect.estimate, perfect.standard_error, perfect.interval) == (1.0, 0.0, None)
    against = auroc_difference([True, True, False, False], [4, 3, 2, 1], [1, 1, 1, 1])
    assert (against.estimate, against.standard_error, against.interval, against.p) == (0.5, 0.0, None, None)


def test_the_number_needed_is_rounded_first() -> None:
    """0.07 of 100 positives is 7 of them, though 0.07 * 100 is above 7; and a target of nearly none still asks for one."""
    truth, scores = [True] * 100 + [False], [*range(100, 0, -1), 0]
    for target, needed in ((0.07, 7), (0.29, 29), (1e-12, 1), (1.0, 100)):
        found = fpr_at_tpr(truth, scores, target)
        assert found is not None
        assert found.tpr.count == needed


BAD: list[tuple[Callable[[], object], str]] = [
    (lambda: auroc([True, False, True], [1.0, math.nan, math.nan]), "not finite at index 1"),
    (lambda: roc([True, False], [1.0, math.inf]), "not finite at index 1"),
    (lambda: auroc([True, False], [1.0, None]), "not finite at index 1"),
    (lambda: auroc([True, False], ["high", "low"]), "could not convert|numbers"),
    (lambda: auroc([1, 2], [1.0, 2.0]), "neither yes nor no at index 1"),
    (lambda: auroc([1.0, math.nan], [1.0, 2.0]), "neither yes nor no at index 1"),
    (lambda: auroc([True, None], [1.0, 2.0]), "neither yes nor no at index 1"),
    (lambda: auroc(["yes", "no"], [1.0, 2.0]), "neither yes nor no at index 0"),
    (lambda: auroc([True], [1.0, 2.0]), "equally long"),
    (lambda: auroc([[True]], [[1.0]]), "flat"),
    (lambda: auroc_difference([True, False], [1.0, 2.0], [1.0]), "equally long"),
    (lambda: thinned(roc([True], [1.0]), 1), "at least 2"),
    (lambda: auroc_interval([True, False], [1.0, 2.0], 1.0), "level"),
    (lambda: auroc_difference([True, False], [1.0, 2.0], [1.0, 2.0], 0.0), "level"),
    *((lambda t=target: fpr_at_tpr([True, False], [1.0, 2.0], t), "target") for target in (0.0, 1.1, math.nan)),
    (lambda: fpr_at_tpr([True, False], [1.0, 2.0], 0.5, 1.5), "level"),
]


@pytest.mark.parametrize(("call", "words"), BAD)
def test_impossible_arguments_are_refused(call: Callable[[], object], words: str) -> None:
    """An error that says where, not a number."""
    with pytest.raises(ValueError, match=words):
        call()


def test_truth_may_be_written_in_several_ways() -> None:
    """Booleans, 0 and 1, whole or not."""
    for truth, kind in product(([True, False],), (bool, int, float, np.int8)):
        said, _ = labelled([kind(t) for t in truth], [1, 2])
        assert said.tolist() == truth
