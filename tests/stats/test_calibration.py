from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import expit, logit
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss
from sklearn.metrics import log_loss as log_loss_of_scikit_learn
from statsmodels.api import Logit

from crisis_filter.stats.calibration import (
    CLIP,
    brier,
    brier_skill,
    calibration,
    distinct,
    ece,
    histogram,
    log_loss,
    reliability,
    slope_intercept,
)
from crisis_filter.stats.intervals import wilson
from crisis_filter.stats.resampling import Resampling

unhurried = settings(deadline=None)
spoken = st.sampled_from([0.0, 0.05, 0.1, 0.3, 0.5, 0.7, 0.9, 0.95, 1.0])
"""Probabilities as a model says them, so that many are equal."""
smooth = st.floats(0.0, 1.0)


@st.composite
def cases(
    draw: st.DrawFn, fewest: int = 1, probability: st.SearchStrategy[float] | None = None
) -> tuple[list[bool], list[float]]:
    one = probability
    if one is None:
        one = draw(st.sampled_from([spoken, smooth, st.one_of(spoken, smooth), st.just(0.2)]))
    pairs = draw(st.lists(st.tuples(st.booleans(), one), min_size=fewest, max_size=60))
    return [truth for truth, _ in pairs], [p for _, p in pairs]


@unhurried
@given(cases())
@example(([True], [0.0]))
@example(([False], [1.0]))
def test_scores_equal_scikit_learn(case: tuple[list[bool], list[float]]) -> None:
    """Brier score and log loss, with sure mistakes, one class and one message."""
    truth, p = case
    assert brier(truth, p) == pytest.approx(brier_score_loss(truth, p), abs=1e-12)
    clipped = np.clip(p, CLIP, 1 - CLIP)
    assert log_loss(truth, p) == pytest.approx(log_loss_of_scikit_learn(truth, clipped, labels=[False, True]), abs=1e-9)
    prevalence = sum(truth) / len(truth)
    if prevalence in (0.0, 1.0):
        assert brier_skill(truth, p) is None
    else:
        always = brier_score_loss(truth, [prevalence] * len(truth))
        assert brier_skill(truth, p) == pytest.approx(1 - brier_score_loss(truth, p) / always, abs=1e-9)


@unhurried
@given(cases(), st.integers(1, 20))
def test_bins_equal_scikit_learn(case: tuple[list[bool], list[float]], bins: int) -> None:
    """Means and shares of the bins of `calibration_curve`, and the error that follows from them."""
    truth, p = case
    found = reliability(truth, p, bins)
    # Where a quantile falls on a message exactly, numpy's own rounding may put that message into the next bin.
    edges = np.percentile(p, np.linspace(0, 1, bins + 1) * 100)[1:-1]
    exact = [sorted(p)[k * (len(p) - 1) // bins] for k in range(1, bins)]
    assume(all((np.array(p) <= e).sum() == (np.array(p) <= x).sum() for e, x in zip(edges, exact, strict=True)))
    share, said = calibration_curve(truth, p, n_bins=bins, strategy="quantile")
    assert [each.mean for each in found] == pytest.approx(said, abs=1e-12)
    assert [each.observed.estimate for each in found] == pytest.approx(share, abs=1e-12)
    weights = np.array([each.n for each in found]) / len(p)
    assert ece(truth, p, bins) == pytest.approx(float((weights * np.abs(share - said)).sum()), abs=1e-12)


@unhurried
@given(cases(), st.integers(1, 20))
def test_bins_by_exact_fractions(case: tuple[list[bool], list[float]], bins: int) -> None:
    """Edges are the linear quantiles, worked out without rounding; equal probabilities share a bin, and none is lost."""
    truth, p = case
    ordered = sorted(map(Fraction, p))
    edges = []
    for k in range(1, bins):
        at = Fraction(k * (len(p) - 1), bins)
        low, high = ordered[math.floor(at)], ordered[math.ceil(at)]
        edges.append(low + (high - low) * (at - math.floor(at)))
    places: dict[int, list[int]] = {}
    for at, value in enumerate(p):
        places.setdefault(sum(Fraction(value) > edge for edge in edges), []).append(at)
    found = reliability(truth, p, bins, level=0.9)
    assert len(found) == len(places) <= bins
    for each, (_, members) in zip(found, sorted(places.items()), strict=True):
        held = [p[at] for at in members]
        assert (each.n, each.low, each.high) == (len(members), min(held), max(held))
        assert each.positives == sum(truth[at] for at in members)
        assert each.observed == wilson(each.positives, each.n, 0.9)
        assert each.low - 1e-12 <= each.mean <= each.high + 1e-12


@unhurried
@given(cases(fewest=4, probability=st.one_of(spoken, st.floats(0.01, 0.99))))
def test_slope_and_intercept_equal_statsmodels(case: tuple[list[bool], list[float]]) -> None:
    """Estimates and errors of an ordinary logistic regression on the log-odds."""
    truth, p = case
    found = slope_intercept(truth, p)
    assume(found is not None)
    assert found is not None
    odds = logit(np.clip(p, CLIP, 1 - CLIP))
    fitted = np.array([expit(found.intercept + found.slope * x) for x in odds])
    # The equations that a maximum fulfils, however flat it is.
    assert float((np.array(truth) - fitted).sum()) == pytest.approx(0.0, abs=1e-6)
    assert float(((np.array(truth) - fitted) * odds).sum()) == pytest.approx(0.0, abs=1e-5)
    assume(abs(found.slope) < 20)
    theirs = Logit(np.array(truth, dtype=float), np.stack([np.ones(len(odds)), odds], axis=1)).fit(
        disp=0, maxiter=200, tol=1e-12, warn_convergence=False
    )
    assert (found.intercept, found.slope) == pytest.approx(tuple(theirs.params), rel=1e-5, abs=1e-5)
    assert (found.intercept_error, found.slope_error) == pytest.approx(tuple(theirs.bse), rel=1e-4, abs=1e-4)


@unhurried
@given(cases(fewest=0, probability=spoken))
def test_no_line_where_the_classes_do_not_overlap(case: tuple[list[bool], list[float]]) -> None:
    """There is none exactly where some cut has no positive on one side and no negative on the other."""
    truth, p = case
    odds = np.clip(p, CLIP, 1 - CLIP)
    said = np.array(truth, dtype=bool)
    apart = len(set(truth)) < 2 or any(
        ((odds[said] >= cut).all() and (odds[~said] <= cut).all())
        or ((odds[said] <= cut).all() and (odds[~said] >= cut).all())
        for cut in odds
    )
    assert (slope_intercept(truth, p) is None) == apart


@unhurried
@given(st.floats(0.6, 3.0), st.floats(-2.0, 2.0), st.integers(0, 99))
def test_recalibration_undoes_itself(slope: float, intercept: float, seed: int) -> None:
    """Probabilities that were put on the found line need no more: slope 1, intercept 0; a bent line bends the other way."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(size=200)
    truth = rng.random(200) < expit(odds)
    plain = slope_intercept(truth, expit(odds))
    bent = slope_intercept(truth, expit((odds - intercept) / slope))
    assume(plain is not None and bent is not None)
    assert plain is not None and bent is not None  # noqa: PT018
    assert bent.slope == pytest.approx(plain.slope * slope, rel=1e-3, abs=1e-4)
    assert bent.intercept == pytest.approx(plain.intercept + plain.slope * intercept, rel=1e-3, abs=1e-4)
    again = slope_intercept(truth, expit(plain.intercept + plain.slope * odds))
    assert again is not None
    assert (again.slope, again.intercept) == pytest.approx((1.0, 0.0), abs=1e-3)


@unhurried
@given(cases(fewest=2), st.integers(0, 99))
def test_spans_are_those_of_scipy(case: tuple[list[bool], list[float]], seed: int) -> None:
    """Each draw is scored anew, bins and all; the figures are those of the single functions."""
    truth, p = np.array(case[0]), np.array(case[1])
    found = calibration(truth, p, Resampling(np.random.default_rng(seed), 25), bins=5)
    assert (found.brier, found.brier_skill, found.log_loss) == (
        brier(truth, p),
        brier_skill(truth, p),
        log_loss(truth, p),
    )
    assert (found.ece, found.distinct, found.n, found.positives) == (ece(truth, p, 5), distinct(p), len(p), truth.sum())
    assert (found.recalibration, found.bins) == (slope_intercept(truth, p), reliability(truth, p, 5))
    for figure, span in (
        (brier, found.brier_span),
        (log_loss, found.log_loss_span),
        (lambda t, q: ece(t, q, 5), found.ece_span),
    ):
        theirs = stats.bootstrap(
            (np.arange(len(p)),),
            lambda at, f=figure: f(truth[at], p[at]),
            vectorized=False,
            n_resamples=25,
            method="percentile",
            rng=np.random.default_rng(seed),  # the three share their draws
        ).confidence_interval
        if span is None:
            assert theirs.high - theirs.low <= 1e-9
        else:
            assert (span.low, span.high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_clusters_widen_the_spans() -> None:
    """Messages copied nine times are no new evidence."""
    rng = np.random.default_rng(0)
    p = rng.random(60)
    truth = rng.random(60) < p
    naive = calibration(np.tile(truth, 9), np.tile(p, 9), Resampling(np.random.default_rng(1), 500))
    whole = calibration(
        np.tile(truth, 9), np.tile(p, 9), Resampling(np.random.default_rng(1), 500, list(range(60)) * 9)
    )
    for one, other in ((naive.brier_span, whole.brier_span), (naive.log_loss_span, whole.log_loss_span)):
        assert one is not None and other is not None  # noqa: PT018
        assert other.high - other.low > 2 * (one.high - one.low)
    assert calibration(truth, p).brier_span is None


@pytest.mark.parametrize(
    ("truth", "p", "expected"),
    [
        ([True, False], [1.0, 0.0], (0.0, 1.0, -math.log(1 - CLIP), 0.0)),
        ([True, False], [0.0, 1.0], (1.0, -3.0, -math.log(CLIP), 1.0)),
        ([True, False], [0.5, 0.5], (0.25, 0.0, math.log(2), 0.0)),
        (
            [True, True, True, False],
            [0.25] * 4,
            (0.375 / 2 + 0.25, 1 - 0.4375 / 0.1875, 0.75 * math.log(4) - 0.25 * math.log(0.75), 0.5),
        ),
        ([True], [0.9], (0.01, None, -math.log(0.9), 0.1)),
        ([], [], (None, None, None, None)),
    ],
)
def test_worked_by_hand(truth: list[bool], p: list[float], expected: tuple[float | None, ...]) -> None:
    """Brier score, skill, log loss and calibration error of cases small enough to check."""
    found = (brier(truth, p), brier_skill(truth, p), log_loss(truth, p), ece(truth, p))
    assert found == tuple(None if figure is None else pytest.approx(figure, abs=1e-9) for figure in expected)


def test_nothing_to_go_by_is_undefined() -> None:
    """No message: no figure, no bin, no line, no interval."""
    found = calibration([], [], Resampling(np.random.default_rng(0), 10))
    assert (found.n, found.positives, found.distinct, found.bins) == (0, 0, 0, ())
    for figure in (found.brier, found.brier_skill, found.log_loss, found.ece, found.recalibration):
        assert figure is None
    for span in (found.brier_span, found.log_loss_span, found.ece_span):
        assert span is None


def test_calibrated_probabilities_have_little_error() -> None:
    """Of 20,000 messages that keep what they promise: error below 0.02, slope near 1; made extreme, the slope halves."""
    rng = np.random.default_rng(2)
    odds = rng.normal(-1, 1.5, 20_000)
    truth = rng.random(20_000) < expit(odds)
    good, wild = (calibration(truth, expit(odds * by)) for by in (1, 2))
    assert good.ece is not None and wild.ece is not None  # noqa: PT018
    assert good.ece < 0.02 < wild.ece
    assert good.recalibration is not None and wild.recalibration is not None  # noqa: PT018
    assert abs(good.recalibration.slope - 1) < 3 * good.recalibration.slope_error
    assert wild.recalibration.slope == pytest.approx(good.recalibration.slope / 2, rel=1e-3)
    assert len(good.bins) == 15
    assert max(each.n for each in good.bins) - min(each.n for each in good.bins) <= 1


@unhurried
@given(st.lists(st.one_of(spoken, smooth), max_size=40), st.integers(1, 30))
def test_histogram_and_distinct(p: list[float], bins: int) -> None:
    """Every probability is counted once, and equal ones are one."""
    counts = histogram(p, bins)
    assert (len(counts), sum(counts)) == (bins, len(p))
    assert distinct(p) == len(set(p))


BAD: list[tuple[Callable[[], object], str]] = [
    *(
        (lambda f=figure: f([True, False, True], [0.5, math.nan, 2.0]), "not finite at index 1")
        for figure in (brier, brier_skill, log_loss, ece, reliability, slope_intercept, calibration)
    ),
    *(
        (lambda f=figure, v=value: f([True, False], [0.5, v]), "outside 0..1 at index 1")
        for figure in (brier, brier_skill, log_loss, ece, reliability, slope_intercept, calibration)
        for value in (-0.01, 1.01)
    ),
    (lambda: distinct([0.5, 1.5]), "outside 0..1 at index 1"),
    (lambda: histogram([0.5, math.nan]), "not finite at index 1"),
    (lambda: histogram([0.5], 0), "bins"),
    (lambda: ece([True], [0.5], 0), "bins"),
    (lambda: ece([], [], 0), "bins"),
    (lambda: reliability([], [], 0), "bins"),
    (lambda: reliability([True], [0.5], level=1.0), "level"),
    (lambda: calibration([True], [0.5], level=0.0), "level"),
    (lambda: brier([True], [0.5, 0.5]), "equally long"),
    (lambda: calibration([True], [0.5], Resampling(np.random.default_rng(0), 5, [1, 2])), "one cluster for each"),
]


@pytest.mark.parametrize(("call", "words"), BAD)
def test_impossible_arguments_are_refused(call: Callable[[], object], words: str) -> None:
    """An error that says where, not a number."""
    with pytest.raises(ValueError, match=words):
        call()
