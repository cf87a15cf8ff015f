from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu

from crisis_filter.local.train.measure import auc, category_threshold, count, f1, sensitive_threshold

TABLES = st.lists(st.tuples(st.floats(0, 1, width=16), st.booleans()), min_size=2, max_size=40).filter(
    lambda rows: 0 < sum(yes for _, yes in rows) < len(rows)
)


def _columns(rows: list[tuple[float, bool]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([score for score, _ in rows]), np.array([yes for _, yes in rows])


@given(TABLES)
def test_auc_is_the_rank_statistic(rows: list[tuple[float, bool]]) -> None:
    """The area equals scipy's U over the number of pairs, ties counting half."""
    scores, truth = _columns(rows)
    u = mannwhitneyu(scores[truth], scores[~truth], method="asymptotic").statistic
    assert auc(scores, truth) == pytest.approx(u / (truth.sum() * (~truth).sum()))


def test_auc_of_one_class_is_undefined() -> None:
    """Without negatives there is nothing to tell apart, and the answer is None and not a number."""
    assert auc(np.array([0.1, 0.9]), np.array([True, True])) is None


@given(TABLES, st.floats(0.05, 1.0))
def test_the_threshold_keeps_the_floor_and_cannot_be_bettered(rows: list[tuple[float, bool]], floor: float) -> None:
    """No threshold that keeps the sensitivity lets fewer false positives through."""
    scores, truth = _columns(rows)
    chosen = sensitive_threshold(scores, truth, floor)

    def reached(cut: float) -> tuple[float, int]:
        return float((scores[truth] >= cut).mean()), int((scores[~truth] >= cut).sum())

    sensitivity, false_alarms = reached(chosen)
    assert sensitivity >= floor - 1e-9
    for cut in scores:
        other_sensitivity, other_alarms = reached(cut)
        if other_sensitivity >= floor:
            assert other_alarms >= false_alarms
            if other_alarms == false_alarms:
                assert other_sensitivity <= sensitivity


def test_a_floor_without_positives_is_refused() -> None:
    """A sensitivity needs something to find."""
    with pytest.raises(ValueError, match="positive"):
        sensitive_threshold(np.array([0.5]), np.array([False]), 0.95)


def test_category_threshold_has_the_best_f1_of_the_grid() -> None:
    """Of equally good thresholds the one nearest to one half is taken."""
    scores = np.array([0.9, 0.8, 0.31, 0.2, 0.05])
    truth = np.array([True, True, True, False, False])
    cut = category_threshold(scores, truth)
    assert f1(scores >= cut, truth) == 1.0
    assert cut == pytest.approx(0.3)
    assert category_threshold(np.array([0.99, 0.01]), np.array([True, False])) == pytest.approx(0.5)


def test_categories_count_only_where_stage_one_says_crisis() -> None:
    """A category above its threshold in an unflagged message is a miss, and one that never occurs is undefined."""
    table = np.array([[0.9, 0.9, 0.0], [0.1, 0.9, 0.0], [0.2, 0.0, 0.0]])
    truth = np.array([[True, True, False], [True, True, False], [False, False, False]])
    found = count(table, truth, np.array([0.5, 0.5, 0.5]))
    assert (found.true_positive, found.false_negative, found.false_positive, found.true_negative) == (1, 1, 0, 1)
    assert found.category_f1 == (pytest.approx(2 / 3), None)
    assert found.macro_f1 == pytest.approx(2 / 3)


def test_macro_f1_without_categories_is_undefined() -> None:
    """Where no category occurs there is no mean."""
    found = count(np.zeros((2, 3)), np.zeros((2, 3), bool), np.full(3, 0.5))
    assert found.macro_f1 is None
