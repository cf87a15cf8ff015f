"""Several figures from the same draws are those of one figure at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crisis_filter.stats.draws import ranking_of_draws, resampled_rates
from crisis_filter.stats.ranking import auroc, fpr_at_tpr
from crisis_filter.stats.resampling import Resampling, bootstrap, bootstrap_several

TARGETS = (0.5, 0.9, 1.0)
CASES = st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 0.2, 0.2, 0.5, 0.9, 1.0])), min_size=1, max_size=12)


@given(cases=CASES, seed=st.integers(0, 99))
def test_figures_of_a_draw_are_those_of_its_messages(cases: list[tuple[bool, float]], seed: int) -> None:
    truth, scores = np.array([c for c, _ in cases]), np.array([s for _, s in cases])
    drawn = np.random.default_rng(seed).integers(0, len(cases), len(cases))
    found = ranking_of_draws(truth, scores, TARGETS)(drawn)
    mine, values = truth[drawn], scores[drawn]
    area = auroc(mine, values)
    if area is None:
        assert np.isnan(found).all()
        return
    rates = [fpr_at_tpr(mine, values, target) for target in TARGETS]
    assert found == pytest.approx([area, *(rate.fpr.estimate for rate in rates if rate)])


def test_intervals_are_those_of_one_statistic_at_a_time() -> None:
    values = np.random.default_rng(1).normal(size=60)
    clusters = [at // 3 for at in range(60)]
    together = bootstrap_several(
        60, lambda drawn: np.array([values[drawn].mean(), np.median(values[drawn]), np.nan, 3.0]), how(clusters)
    )
    assert together[0] == bootstrap(60, lambda drawn: float(values[drawn].mean()), how(clusters))
    assert together[1] == bootstrap(60, lambda drawn: float(np.median(values[drawn])), how(clusters))
    assert together[2:] == (None, None), "undefined throughout, and without width"


def how(clusters: list[int] | None) -> Resampling:
    return Resampling(np.random.default_rng(7), 200, clusters)


@pytest.mark.parametrize(("units", "resamples", "level"), [(0, 10, 0.9), (3, 0, 0.9), (3, 10, 1.0)])
def test_arguments_out_of_range_are_refused(units: int, resamples: int, level: float) -> None:
    with pytest.raises(ValueError, match="must"):
        bootstrap_several(units, lambda _: np.zeros(1), Resampling(np.random.default_rng(0), resamples), level=level)
    with pytest.raises(ValueError, match="targets must lie"):
        ranking_of_draws([True, False], [0.1, 0.2], [0.0])


@given(cases=CASES.filter(lambda cases: len({c for c, _ in cases}) == 2), seed=st.integers(0, 9))
@settings(max_examples=15, deadline=None)
def test_rates_without_drawing_are_distributed_as_with_it(cases: list[tuple[bool, float]], seed: int) -> None:
    """Means, spreads and how often a class is lacking, for each target, are those of resamples drawn message by message."""
    truth, scores = np.array([c for c, _ in cases]), np.array([s for _, s in cases])
    n, times = len(cases), 4000
    one, two = np.random.default_rng(seed), np.random.default_rng(seed + 100)
    figures = ranking_of_draws(truth, scores, TARGETS)
    drawn = np.stack([figures(one.integers(0, n, n))[1:] for _ in range(times)])
    made = resampled_rates(truth, scores, TARGETS, rng=two, resamples=times)
    lacking = [float(np.isnan(each).mean()) for each in (drawn, made)]
    assert lacking[0] == pytest.approx(lacking[1], abs=0.05)
    assert np.nanmean(made, axis=0) == pytest.approx(np.nanmean(drawn, axis=0), abs=0.05)
    assert np.nanstd(made, axis=0) == pytest.approx(np.nanstd(drawn, axis=0), abs=0.05)
    # The targets of one resample go together as they do there.
    assert np.nanmean(made[:, 0] * made[:, 1]) == pytest.approx(np.nanmean(drawn[:, 0] * drawn[:, 1]), abs=0.05)
    assert (np.nan_to_num(made[:, 0]) <= np.nan_to_num(made[:, 1])).all()


def test_targets_come_least_first() -> None:
    with pytest.raises(ValueError, match="least first"):
        resampled_rates([True, False], [0.1, 0.2], [0.9, 0.5], rng=np.random.default_rng(0), resamples=1)
    assert np.isnan(resampled_rates([True], [0.1], [0.5], rng=np.random.default_rng(0), resamples=3)).all()
