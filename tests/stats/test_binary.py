from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from crisis_filter.stats.binary import (
    Counts,
    accuracy,
    balanced_accuracy,
    f1,
    matthews,
    metrics,
    npv,
    ppv,
    sensitivity,
    specificity,
)
from crisis_filter.stats.intervals import Interval, Method, proportion

# Table 2 of the VBHSF paper: counts, then what is printed of accuracy, sensitivity, specificity, PPV, NPV (point, low, high).
TABLE_2 = {
    "VBHSF, simulated": (
        (891, 7, 9, 893),
        [
            (0.991, 0.986, 0.995),
            (0.990, 0.981, 0.995),
            (0.992, 0.984, 0.996),
            (0.992, 0.984, 0.996),
            (0.990, 0.981, 0.995),
        ],
    ),
    "VBHSF, Aegis": (
        (391, 56, 7, 340),
        [
            (0.921, 0.900, 0.937),
            (0.982, 0.964, 0.991),
            (0.859, 0.821, 0.889),
            (0.875, 0.841, 0.902),
            (0.980, 0.959, 0.990),
        ],
    ),
    "OpenAI, simulated": (
        (377, 1, 523, 899),
        [
            (0.709, 0.687, 0.729),
            (0.419, 0.387, 0.451),
            (0.999, 0.994, 1.000),
            (0.997, 0.985, 1.000),
            (0.632, 0.607, 0.657),
        ],
    ),
    "OpenAI, Aegis": (
        (351, 40, 47, 356),
        [
            (0.890, 0.867, 0.910),
            (0.882, 0.846, 0.910),
            (0.899, 0.865, 0.925),
            (0.898, 0.864, 0.924),
            (0.883, 0.848, 0.911),
        ],
    ),
    "NeMo, simulated": (
        (683, 220, 217, 680),
        [
            (0.757, 0.737, 0.776),
            (0.759, 0.730, 0.786),
            (0.756, 0.726, 0.783),
            (0.756, 0.727, 0.783),
            (0.758, 0.729, 0.785),
        ],
    ),
    "NeMo, Aegis": (
        (361, 45, 37, 351),
        [
            (0.897, 0.874, 0.916),
            (0.907, 0.874, 0.932),
            (0.886, 0.851, 0.914),
            (0.889, 0.855, 0.916),
            (0.905, 0.871, 0.930),
        ],
    ),
}
SHARES: tuple[Callable[..., Interval], ...] = (accuracy, sensitivity, specificity, ppv, npv)

unhurried = settings(deadline=None)
cells = st.just(0) | st.integers(0, 60) | st.integers(0, 10**7)
tables = st.builds(Counts, cells, cells, cells, cells)
answers = st.lists(st.tuples(st.booleans(), st.booleans()), max_size=60) | st.builds(
    lambda pair, n: [pair] * n, st.tuples(st.booleans(), st.booleans()), st.integers(1, 9)
)
"""Pairs of truth and answer, among them none, one, and many that are all alike."""


def columns(pairs: list[tuple[bool, bool]]) -> tuple[np.ndarray, np.ndarray]:
    table = np.array(pairs, dtype=bool).reshape(-1, 2)
    return table[:, 0], table[:, 1]


# Published figures


@pytest.mark.parametrize("row", TABLE_2)
def test_table_2_comes_out(row: str) -> None:
    """Every point and bound of the table, to the third decimal."""
    cells, printed = TABLE_2[row]
    found = metrics(Counts(*cells))
    shares = (found.accuracy, found.sensitivity, found.specificity, found.ppv, found.npv)
    assert [(round(i.estimate or 0.0, 3), round(i.low, 3), round(i.high, 3)) for i in shares] == printed


def test_counts_of_table_2() -> None:
    """900 and 900 messages, of which 898 were flagged."""
    counts = Counts(*TABLE_2["VBHSF, simulated"][0])
    assert (counts.n, counts.positives, counts.negatives, counts.flagged) == (1800, 900, 900, 898)


# Properties


@unhurried
@given(answers)
def test_counts_equal_those_of_sklearn(pairs: list[tuple[bool, bool]]) -> None:
    """The four cells of the confusion matrix, from arrays as well as from lists."""
    truth, said = columns(pairs)
    found = Counts.of(truth, said)
    expected = oracle.confusion_matrix(truth, said, labels=[False, True]) if pairs else np.zeros((2, 2), int)
    assert [[found.tn, found.fp], [found.fn, found.tp]] == expected.tolist()
    assert found == Counts.of([t for t, _ in pairs], [s for _, s in pairs])
    assert all(type(cell) is int for cell in (found.tp, found.fp, found.fn, found.tn))


@unhurried
@given(answers)
def test_figures_equal_those_of_sklearn(pairs: list[tuple[bool, bool]]) -> None:
    """Where sklearn has a figure ours is the same; where it says NaN, or 0 for 0 / 0, ours is undefined."""
    truth, said = columns(pairs)
    found = metrics(Counts.of(truth, said))
    if not pairs:
        assert [i.estimate for i in (found.accuracy, found.sensitivity, found.specificity, found.ppv, found.npv)] == [
            None
        ] * 5
        assert (found.f1, found.balanced_accuracy, found.matthews) == (None, None, None)
        return
    given_nan: dict[str, Any] = {"zero_division": np.nan}
    theirs = [
        oracle.recall_score(truth, said, **given_nan),
        oracle.recall_score(~truth, ~said, **given_nan),
        oracle.precision_score(truth, said, **given_nan),
        oracle.precision_score(~truth, ~said, **given_nan),
        oracle.f1_score(truth, said, **given_nan),
    ]
    ours = [i.estimate for i in (found.sensitivity, found.specificity, found.ppv, found.npv)] + [found.f1]
    for one, other in zip(ours, theirs, strict=True):
        assert one is None if math.isnan(other) else one == pytest.approx(other)
    assert found.accuracy.estimate == pytest.approx(oracle.accuracy_score(truth, said))
    both_classes, both_answers = len(set(truth.tolist())) == 2, len(set(said.tolist())) == 2
    if both_classes:
        assert found.balanced_accuracy == pytest.approx(oracle.balanced_accuracy_score(truth, said))
    if both_classes and both_answers:
        assert found.matthews == pytest.approx(oracle.matthews_corrcoef(truth, said))
    assert (found.balanced_accuracy is None) == (not both_classes)
    assert (found.matthews is None) == (not (both_classes and both_answers))


@unhurried
@given(tables)
def test_large_counts_equal_sklearn(counts: Counts) -> None:
    """The same from counts, by weights, up to ten million a cell."""
    truth, said = [1, 0, 1, 0], [1, 1, 0, 0]
    weights = [counts.tp, counts.fp, counts.fn, counts.tn]
    for ours, theirs in (
        (f1(counts), lambda: oracle.f1_score(truth, said, sample_weight=weights)),
        (matthews(counts), lambda: oracle.matthews_corrcoef(truth, said, sample_weight=weights)),
        (balanced_accuracy(counts), lambda: oracle.balanced_accuracy_score(truth, said, sample_weight=weights)),
        (accuracy(counts).estimate, lambda: oracle.accuracy_score(truth, said, sample_weight=weights)),
    ):
        if ours is not None:
            assert ours == pytest.approx(theirs(), abs=1e-9)


@given(tables, st.floats(0.5, 0.99), st.sampled_from(["wilson", "clopper_pearson", "jeffreys"]))
@unhurried
def test_figures_hold_together(counts: Counts, level: float, method: Method) -> None:
    """Level and method reach every interval; figures keep their ranges; with classes exchanged they exchange too."""
    found = metrics(counts, level, method)
    assert found.sensitivity == proportion(counts.tp, counts.tp + counts.fn, level, method)
    for function in SHARES:
        share = function(counts, level, method)
        assert share == getattr(found, function.__name__)
        assert (share.estimate is None) == (share.nobs == 0)
        assert share.level == level
    turned = metrics(Counts(tp=counts.tn, fp=counts.fn, fn=counts.fp, tn=counts.tp), level, method)
    assert (turned.sensitivity, turned.ppv, turned.accuracy) == (found.specificity, found.npv, found.accuracy)
    assert (turned.balanced_accuracy, turned.matthews) == (found.balanced_accuracy, found.matthews)
    assert found.f1 is None or 0.0 <= found.f1 <= 1.0
    assert found.balanced_accuracy is None or 0.0 <= found.balanced_accuracy <= 1.0
    assert found.matthews is None or -1.0 <= found.matthews <= 1.0


# Degenerate cases


@pytest.mark.parametrize(
    ("counts", "undefined"),
    [
        (
            Counts(0, 0, 0, 0),
            {"sensitivity", "specificity", "ppv", "npv", "accuracy", "f1", "balanced_accuracy", "matthews"},
        ),
        (Counts(0, 0, 0, 5), {"sensitivity", "ppv", "f1", "balanced_accuracy", "matthews"}),
        (Counts(0, 2, 0, 5), {"sensitivity", "balanced_accuracy", "matthews"}),
        (Counts(5, 0, 0, 0), {"specificity", "npv", "balanced_accuracy", "matthews"}),
        (Counts(0, 0, 5, 5), {"ppv", "matthews"}),
        (Counts(5, 5, 0, 0), {"npv", "matthews"}),
        (Counts(0, 1, 1, 0), set()),
    ],
)
def test_one_class_or_one_answer_leaves_figures_undefined(counts: Counts, undefined: set[str]) -> None:
    """A figure without a denominator is None, never 0, and only those are."""
    found = metrics(counts)
    values = {name: getattr(found, name) for name in found.__dataclass_fields__ if name not in {"counts", "method"}}
    assert {n for n, v in values.items() if (v.estimate if isinstance(v, Interval) else v) is None} == undefined


def test_numpy_integers_do_not_overflow() -> None:
    """Four counts of ten million multiply to 10**28, which no integer of numpy's holds."""
    big = np.int64(10**7)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert matthews(Counts(big, big, big, big)) == 0.0  # type: ignore[arg-type]
        assert matthews(Counts(big, 0, 0, big)) == 1.0  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Counts(1, -1, 0, 0), "fp must be"),
        (lambda: Counts(1, 0, 0.5, 0), "fn must be"),  # type: ignore[arg-type]
        (lambda: Counts(1, 0, 0, math.nan), "tn must be"),  # type: ignore[arg-type]
        (lambda: Counts(True, 0, 0, 0), "tp must be"),
        (lambda: Counts.of([True, False], [True]), "one shape"),
        (lambda: Counts.of([[True]], [[True]]), "truth must have 1 dimensions"),
        (lambda: Counts.of([True, math.nan], [True, True]), r"truth\[1\] is NaN"),
        (lambda: Counts.of(np.array([1.0, math.nan]), [True, True]), r"truth\[1\] is NaN"),
        (lambda: Counts.of([True, True, True], [True, False, None]), r"said\[2\] is neither"),
        (lambda: Counts.of([1, 0], [True, False]), r"truth\[0\] is neither"),
        (lambda: Counts.of(["no"], [False]), r"truth\[0\] is neither"),
        (lambda: metrics(Counts(1, 1, 1, 1), level=1.0), "level"),
        (lambda: metrics(Counts(1, 1, 1, 1), method="wald"), "method"),  # type: ignore[arg-type]
    ],
)
def test_impossible_arguments_are_refused(call: Callable[[], object], words: str) -> None:
    """An error that says where, not a figure from what is left."""
    with pytest.raises(ValueError, match=words):
        call()
