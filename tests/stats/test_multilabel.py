from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as oracle

from crisis_filter.stats.binary import Counts, f1, metrics, ppv, sensitivity
from crisis_filter.stats.intervals import wilson
from crisis_filter.stats.multilabel import (
    Macro,
    by_category,
    exact_match,
    flat,
    hamming_loss,
    macro,
    macro_t,
    micro,
    misclassification,
)
from crisis_filter.stats.resampling import Span
from tests.stats.multilabel_cases import (
    FLAT,
    HIERARCHICAL,
    MISSED,
    NAMES,
    PAPER,
    Flags,
    cases,
    names_of,
    paper_messages,
)

unhurried = settings(deadline=None)


# Published figures


@pytest.mark.parametrize(("table", "name"), [(table, name) for table in ("flat", "hierarchical") for name in NAMES])
def test_tables_3_and_4_come_out(table: str, name: str) -> None:
    """Every point and bound of every row, to the third decimal."""
    counts, printed = (FLAT if table == "flat" else HIERARCHICAL)[name]
    found = metrics(counts)
    shares = (found.accuracy, found.sensitivity, found.specificity, found.ppv, found.npv)
    assert [(round(i.estimate or 0.0, 3), round(i.low, 3), round(i.high, 3)) for i in shares] == printed


@pytest.mark.parametrize("name", NAMES)
def test_flat_rows_follow_from_hierarchical_ones(name: str) -> None:
    """902 messages were not flagged; what they had becomes misses."""
    assert flat(HIERARCHICAL[name][0], MISSED.get(name, 0), 902) == FLAT[name][0]


@pytest.mark.parametrize(
    ("figure", "printed"),
    [
        ("f1", (0.9392, 0.9272, 0.9513)),
        ("sensitivity", (0.9573, 0.9365, 0.9780)),
        ("ppv", (0.9231, 0.8945, 0.9517)),
    ],
)
def test_macro_line_comes_out(figure: str, printed: tuple[float, float, float]) -> None:
    """Means of the eight rows with Student's t interval; the F1 of the two means, 0.940, is not the mean F1."""
    values = [f1(c) if figure == "f1" else {"sensitivity": sensitivity, "ppv": ppv}[figure](c).estimate for c in PAPER]
    span = macro_t(values)
    assert span is not None
    point = getattr(macro(PAPER, NAMES), figure)
    assert (round(point, 4), round(span.low, 4), round(span.high, 4)) == printed
    assert (span.method, span.level) == ("t", 0.95)


def test_macro_over_all_messages() -> None:
    """End to end, with the first stage's misses: sensitivity 0.949 and F1 0.935."""
    found = macro([counts for counts, _ in FLAT.values()], NAMES)
    assert (found.categories, found.undefined) == (8, ())
    assert (found.sensitivity, found.ppv, found.f1) == pytest.approx((0.94876, 0.92310, 0.93493), abs=5e-6)


def test_micro_figures_come_out() -> None:
    """963 labels found, 82 too many, 43 missed; only the PPV tells micro (0.922) from macro (0.923) at three decimals."""
    total = micro(PAPER)
    assert total == Counts(tp=963, fp=82, fn=43, tn=898 * 8 - 963 - 82 - 43)
    assert sensitivity(total).estimate == pytest.approx(0.9573, abs=5e-5)
    assert ppv(total).estimate == pytest.approx(0.9215, abs=5e-5)
    assert f1(total) == pytest.approx(0.9391, abs=5e-5)


def test_a_set_with_the_papers_margins() -> None:
    """From messages: the table's counts, 88 of 898 messages with an error, 125 errors, and the diagonal of Figure S2."""
    truth, said = paper_messages()
    assert by_category(truth, said, NAMES) == PAPER
    assert exact_match(truth, said) == wilson(810, 898)
    assert hamming_loss(truth, said) == 125 / (898 * 8)
    table = misclassification(truth, said, NAMES)
    assert [table[i][i] for i in range(8)] == [19, 13, 17, 13, 14, 19, 21, 9]


# Properties


@unhurried
@given(cases(least=1, narrowest=2))
def test_counts_equal_those_of_sklearn(case: tuple[Flags, ...]) -> None:
    """Each category's four cells, and the two figures of whole messages."""
    truth, said = case
    theirs = oracle.multilabel_confusion_matrix(truth, said)
    assert [[[c.tn, c.fp], [c.fn, c.tp]] for c in by_category(truth, said, names_of(truth))] == theirs.tolist()
    assert exact_match(truth, said).estimate == pytest.approx(oracle.accuracy_score(truth, said))
    assert hamming_loss(truth, said) == pytest.approx(oracle.hamming_loss(truth, said))


@unhurried
@given(cases(least=1, narrowest=2))
def test_averages_equal_those_of_sklearn(case: tuple[Flags, ...]) -> None:
    """Macro and micro averages; where sklearn has NaN for a category the macro average is undefined and names it."""
    truth, said = case
    counts = by_category(truth, said, names_of(truth))
    found, total = macro(counts, names_of(truth)), micro(counts)
    missing: set[str] = set()
    for score, ours, pooled in (
        (oracle.recall_score, found.sensitivity, sensitivity(total).estimate),
        (oracle.precision_score, found.ppv, ppv(total).estimate),
        (oracle.f1_score, found.f1, f1(total)),
    ):
        each = score(truth, said, average=None, zero_division=np.nan)
        missing |= {name for name, value in zip(names_of(truth), each, strict=True) if math.isnan(value)}
        if np.isnan(each).any():
            assert ours is None
        else:
            assert ours == pytest.approx(score(truth, said, average="macro", zero_division=np.nan))
        theirs = score(truth, said, average="micro", zero_division=np.nan)
        assert pooled is None if math.isnan(theirs) else pooled == pytest.approx(theirs)
    assert set(found.undefined) == missing


@unhurried
@given(cases())
def test_confusions_as_one_counts_them(case: tuple[Flags, ...]) -> None:
    """Message by message, pair by pair."""
    truth, said = case
    width = truth.shape[1]
    expected = [[0] * width for _ in range(width)]
    for true, flagged in zip(truth, said, strict=True):
        for i in range(width):
            expected[i][i] += true[i] != flagged[i]
            for j in range(width):
                expected[i][j] += i != j and true[i] and not true[j] and flagged[j]
    assert [list(row) for row in misclassification(truth, said, names_of(truth))] == expected


@unhurried
@given(cases(), st.randoms(use_true_random=False))
def test_order_does_not_matter(case: tuple[Flags, ...], shuffler: Any) -> None:
    """Messages may come in any order, and so may categories: counts follow, averages stay."""
    truth, said = case
    rows, columns = list(range(len(truth))), list(range(truth.shape[1]))
    shuffler.shuffle(rows)
    shuffler.shuffle(columns)
    mixed = truth[rows][:, columns], said[rows][:, columns]
    names = names_of(truth)
    counts, moved = by_category(truth, said, names), by_category(*mixed, [names[c] for c in columns])
    assert moved == tuple(counts[c] for c in columns)
    assert micro(moved) == micro(counts)
    assert macro(moved).f1 == pytest.approx(macro(counts).f1)
    assert exact_match(*mixed) == exact_match(truth, said)


@unhurried
@given(st.lists(st.floats(0.0, 1.0), min_size=2, max_size=12), st.floats(0.5, 0.99))
def test_macro_t_equals_scipy(values: list[float], level: float) -> None:
    """The interval is scipy's, cut to 0..1, and there is none without spread."""
    span, error = macro_t(values, level), float(stats.sem(values)) if len(set(values)) > 1 else 0.0
    assume(error == 0.0 or error > 1e-9)
    if error == 0.0:
        assert span is None
        return
    low, high = stats.t.interval(level, len(values) - 1, loc=statistics.fmean(values), scale=error)
    assert span is not None
    assert (span.low, span.high) == pytest.approx((max(0.0, low), min(1.0, high)), abs=1e-9)


# Degenerate cases


def test_undefined_categories_are_named_not_skipped() -> None:
    """One category without positives, one never named, one of neither: their averages are None, the others stand."""
    good, unseen, unnamed, empty = Counts(8, 1, 1, 10), Counts(0, 2, 0, 18), Counts(0, 0, 3, 17), Counts(0, 0, 0, 20)
    assert macro([good, unseen], ["good", "unseen"]) == Macro(None, 4 / 9, pytest.approx(8 / 18), 2, ("unseen",))
    assert macro([good, unnamed], ["good", "unnamed"]) == Macro(4 / 9, None, pytest.approx(8 / 18), 2, ("unnamed",))
    assert macro([good, unseen, empty]) == Macro(None, None, None, 3, ("1", "2"))
    assert macro([]) == Macro(None, None, None, 0, ())
    assert micro([]) == Counts(0, 0, 0, 0)


def test_without_messages_everything_is_undefined() -> None:
    """Nothing is counted, so there is no figure and no interval."""
    none = np.zeros((0, 3), bool)
    assert by_category(none, none, "abc") == (Counts(0, 0, 0, 0),) * 3
    assert (exact_match(none, none).estimate, hamming_loss(none, none)) == (None, None)
    assert misclassification(none, none, "abc") == ((0, 0, 0),) * 3


@pytest.mark.parametrize("values", [[], [0.9], [0.9, None, 0.8], [None, None], [0.9, 0.9, 0.9]])
def test_macro_t_without_spread_or_figures_is_undefined(values: list[float | None]) -> None:
    """Too few categories, an undefined one, or no spread: no interval, whatever the others say."""
    assert macro_t(values) is None


def test_macro_t_stays_within_bounds() -> None:
    """Categories far apart would have bounds below 0 and above 1."""
    assert macro_t([0.0, 1.0]) == Span(0.0, 1.0, 0.95, "t")


yes = np.ones((2, 2), bool)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: by_category(yes, yes[:1], "ab"), "one shape"),
        (lambda: by_category(yes, yes, "abc"), "one for each category"),
        (lambda: by_category(yes, yes, "aa"), "none of them twice"),
        (lambda: by_category(yes[0], yes[0], "ab"), "2 dimensions"),
        (lambda: exact_match(yes[:, :0], yes[:, :0]), "at least one category"),
        (lambda: hamming_loss(yes, [[True, True], [True, math.nan]]), r"said\[1, 1\] is NaN"),
        (lambda: misclassification([[True, None], [True, True]], yes, "ab"), r"truth\[0, 1\] is neither"),
        (lambda: macro(PAPER, ["abuse"]), "one for each of the counts"),
        (lambda: macro_t([0.5, math.nan]), r"values\[1\]"),
        (lambda: macro_t([1.5, 0.5]), r"values\[0\]"),
        (lambda: macro_t([0.5], level=0.0), "level"),
        (lambda: flat(PAPER[0], 5, 4), "missed must lie"),
        (lambda: flat(PAPER[0], -1, 4), "missed must lie"),
    ],
)
def test_impossible_arguments_are_refused(call: Callable[[], object], words: str) -> None:
    """An error that says where, not a figure from what is left."""
    with pytest.raises(ValueError, match=words):
        call()
