from __future__ import annotations

import math
import sys
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import integrate
from scipy.stats import binomtest, chi2
from statsmodels.stats.contingency_tables import cochrans_q, mcnemar
from statsmodels.stats.multitest import multipletests

from crisis_filter.stats.paired import (
    CochranQ,
    Discordance,
    anytime_mcnemar,
    anytime_p,
    bonferroni,
    cochran_q,
    discordance,
    holm,
    mcnemar_exact,
    paired_difference,
)

unhurried = settings(deadline=None)
flips = st.integers(0, 400)

# Which of three systems (V, O, N) err on how many messages: joint tables that the figures of the VBHSF paper allow.
FALSE_POSITIVES = {"VON": 1, "VN": 2, "V": 4, "N": 217, "": 676}
FALSE_POSITIVES_TOO = {"VO": 1, "VN": 4, "V": 2, "N": 216, "": 677}
FALSE_NEGATIVES = {"ON": 215, "V": 9, "O": 308, "N": 2, "": 366}
FALSE_NEGATIVES_TOO = {"VON": 9, "ON": 188, "O": 326, "N": 20, "": 357}
AEGIS_FALSE_POSITIVES = {"VON": 15, "VO": 2, "V": 39, "O": 23, "N": 30, "": 287}


def right(errors: dict[str, int]) -> np.ndarray:
    return np.array([[s not in who for s in "VON"] for who, times in errors.items() for _ in range(times)])


# Published figures


@pytest.mark.parametrize(
    ("errors", "rows", "q"),
    [
        (FALSE_POSITIVES, 900, 418.6816),
        (FALSE_POSITIVES_TOO, 900, 418.6816),
        (FALSE_NEGATIVES, 900, 751.1161),
        (FALSE_NEGATIVES_TOO, 900, 751.1161),
        (AEGIS_FALSE_POSITIVES, 396, 4.2766),
    ],
)
def test_cochran_gives_published_figures(errors: dict[str, int], rows: int, q: float) -> None:
    """Q as the paper has it, whichever of the joint tables that it allows was the true one."""
    found = cochran_q(right(errors))
    assert found.statistic == pytest.approx(q, abs=5e-5)
    assert (found.rows, found.systems, found.freedom) == (rows, 3, 2)
    assert (found.p < 0.0001) == (q > 5)


def test_the_p_of_the_smallest_published_q() -> None:
    """0.1179: the systems' specificities on Aegis cannot be told apart."""
    assert round(cochran_q(right(AEGIS_FALSE_POSITIVES)).p, 4) == 0.1179


@pytest.mark.parametrize("errors", [FALSE_POSITIVES, FALSE_POSITIVES_TOO])
def test_mcnemar_gives_published_figures(errors: dict[str, int]) -> None:
    """Specificity of the paper's filter against the second system: 6 to 0, p 0.03125, times three 0.09375, which it prints as 0.094."""
    table = right(errors)
    found = discordance(table[:, 1], table[:, 0])
    assert (found.first_only, found.second_only, found.n) == (6, 0, 900)
    p = mcnemar_exact(found.first_only, found.second_only)
    assert p == 0.03125
    others = [
        mcnemar_exact(d.first_only, d.second_only) for d in (discordance(table[:, 2], table[:, i]) for i in (0, 1))
    ]
    assert bonferroni([p, *others])[0] == 0.09375


@pytest.mark.parametrize(("b", "c"), [(7, 0), (11, 1), (14, 2)])
def test_where_the_anytime_test_stops(b: int, c: int) -> None:
    """It reaches 20 at 7 to 0, 11 to 1 and 14 to 2, and at none of them one message sooner."""
    assert anytime_mcnemar(b, c) >= 20 > anytime_mcnemar(b - 1, c)


def test_a_false_alarm_of_the_anytime_test_is_rare_however_often_one_looks() -> None:
    """Of 3,000 pairs of systems that are alike, looked at after each of 400 disagreements, fewer than 1 in 20 are told apart."""
    coins = np.random.default_rng(20).random((3000, 400)) < 0.5
    alarms = sum(anytime_p(row)[-1] <= 0.05 for row in coins)
    assert 0.02 < alarms / 3000 < 0.05


# Against other implementations


@unhurried
@given(flips, flips)
@example(0, 0)
@example(7, 7)
@example(0, 9)
@example(30_000, 29_000)
def test_mcnemar_equals_statsmodels_and_scipy(b: int, c: int) -> None:
    """The exact two-sided p."""
    found = mcnemar_exact(b, c)
    theirs = mcnemar([[3, b], [c, 5]], exact=True).pvalue if b + c else 1.0
    assert found == pytest.approx(theirs, rel=1e-9, abs=1e-300)
    if b + c:
        assert found == pytest.approx(binomtest(c, b + c).pvalue, rel=1e-9)
    assert 0.0 <= found <= 1.0
    assert found == pytest.approx(mcnemar_exact(c, b), rel=1e-9)


@st.composite
def tables(draw: st.DrawFn) -> np.ndarray:
    systems = draw(st.integers(2, 6))
    rows = draw(st.lists(st.tuples(*[st.booleans()] * systems), max_size=40))
    return np.array(rows, dtype=bool).reshape(len(rows), systems)


@unhurried
@given(tables())
@example(np.ones((5, 3), dtype=bool))
@example(np.zeros((0, 2), dtype=bool))
@example(np.array([[True, False]]))
def test_cochran_equals_statsmodels(table: np.ndarray) -> None:
    """Statistic and p; where no row tells systems apart, no statistic and p = 1."""
    found = cochran_q(table)
    if (table.all(axis=1) | ~table.any(axis=1)).all():
        assert found == CochranQ(None, table.shape[1] - 1, 1.0, *table.shape)
        return
    theirs = cochrans_q(table.astype(float))
    assert found.statistic == pytest.approx(theirs.statistic, rel=1e-9, abs=1e-9)
    assert found.p == pytest.approx(theirs.pvalue, rel=1e-9, abs=1e-12)
    assert cochran_q(table.astype(int)) == found


@given(st.integers(1, 30), st.integers(0, 30))
def test_cochran_of_two_systems_is_mcnemar_without_correction(b: int, c: int) -> None:
    """For two systems Q is (b - c) squared over b + c."""
    found = cochran_q([[True, False]] * b + [[False, True]] * c + [[True, True]] * 4)
    assert found.statistic == pytest.approx((b - c) ** 2 / (b + c))
    assert found.p == pytest.approx(chi2.sf((b - c) ** 2 / (b + c), 1))


ps = st.lists(st.floats(0, 1) | st.sampled_from([0.0, 0.01, 0.05, 1.0]), max_size=12)


@unhurried
@given(ps)
@example([])
@example([0.02] * 4)
def test_corrections_equal_statsmodels(found: list[float]) -> None:
    """Bonferroni and Holm, with ties, in the order given."""
    if not found:
        assert bonferroni([]) == holm([]) == ()
        return
    # statsmodels collects garbage in Holm's method, which takes a tenth of a second each time.
    with patch("gc.collect"):
        theirs = {name: multipletests(found, method=name)[1].tolist() for name in ("bonferroni", "holm")}
    assert bonferroni(found) == pytest.approx(theirs["bonferroni"], rel=1e-12)
    assert holm(found) == pytest.approx(theirs["holm"], rel=1e-12)
    assert all(p <= h <= b <= 1 for p, h, b in zip(found, holm(found), bonferroni(found), strict=True))


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 200), st.floats(0.5, 0.999))
@example(0, 0, 0, 0.95)
@example(60, 0, 0, 0.95)
def test_the_paired_interval_is_that_of_the_shares_with_half_a_message_in_each_cell(
    b: int, c: int, agree: int, level: float
) -> None:
    """Agresti and Min: mean and standard error of +1, -1 and 0, each cell half a message heavier."""
    n = b + c + agree
    found = paired_difference(b, c, n, level)
    if n == 0:
        assert (found.estimate, found.low, found.high) == (None, -1.0, 1.0)
        return
    values, weights = np.array([1.0, -1.0, 0.0]), np.array([b + 0.5, c + 0.5, agree + 1.0])
    mean = np.average(values, weights=weights)
    error = math.sqrt(np.average((values - mean) ** 2, weights=weights) / (n + 2))
    z = math.sqrt(chi2.ppf(level, 1))
    assert found.low == pytest.approx(max(-1.0, mean - z * error))
    assert found.high == pytest.approx(min(1.0, mean + z * error))
    assert found.estimate == (b - c) / n
    turned = paired_difference(c, b, n, level)
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low))
    if level >= 0.9:
        assert found.low <= found.estimate <= found.high


@pytest.mark.parametrize(("n", "p10", "p01"), [(100, 0.1, 0.05), (900, 0.02, 0.005), (900, 0.01, 0.01), (30, 0.3, 0.1)])
def test_the_paired_interval_covers(n: int, p10: float, p01: float) -> None:
    """Of 2,000 studies some 95% have the true difference in the interval."""
    draws = np.random.default_rng(5).multinomial(n, [p10, p01, 1 - p10 - p01], size=2000)
    spans = [paired_difference(int(b), int(c), n) for b, c, _ in draws]
    covered = np.mean([span.low <= p10 - p01 <= span.high for span in spans])
    assert 0.93 < covered < 0.99


@unhurried
@given(st.integers(0, 40), st.integers(0, 40))
@example(0, 0)
def test_the_evidence_is_the_mixture_over_the_chance(b: int, c: int) -> None:
    """The integral of the likelihood ratio over the arcsine law, where it turns into one over an angle."""
    expected, _ = integrate.quad(
        lambda a: (2 * math.sin(a) ** 2) ** b * (2 * math.cos(a) ** 2) ** c * 2 / math.pi, 0, math.pi / 2
    )
    assert anytime_mcnemar(b, c) == pytest.approx(expected, rel=1e-6)
    assert anytime_mcnemar(b, c) == pytest.approx(anytime_mcnemar(c, b), rel=1e-12)


@given(st.lists(st.booleans(), max_size=60))
@example([])
@example([True] * 60)
def test_the_anytime_p_never_rises_and_is_one_over_the_greatest_evidence(seen: list[bool]) -> None:
    """After each disagreement: 1 over the greatest e-value so far, at most 1."""
    greatest, expected = 1.0, []
    for at in range(1, len(seen) + 1):
        greatest = max(greatest, anytime_mcnemar(sum(seen[:at]), at - sum(seen[:at])))
        expected.append(1 / greatest)
    assert anytime_p(np.array(seen, dtype=bool)).tolist() == pytest.approx(expected, rel=1e-12)


def test_evidence_stays_finite() -> None:
    """A million to none is the largest float, which can be written down and read again."""
    assert anytime_mcnemar(10**6, 0) == pytest.approx(sys.float_info.max)
    assert anytime_mcnemar(0, 0) == 1.0


# What goes in


@given(st.lists(st.tuples(st.booleans(), st.booleans())))
def test_discordance_counts_each_message_once(pairs: list[tuple[bool, bool]]) -> None:
    """Four cells that add up to all messages."""
    first, second = ([p[i] for p in pairs] for i in (0, 1))
    found = discordance(np.array(first, dtype=bool), np.array(second, dtype=bool))
    cells = [(True, True), (True, False), (False, True), (False, False)]
    assert found == Discordance(*(pairs.count(cell) for cell in cells))
    assert found.n == len(pairs)


@pytest.mark.parametrize(
    ("first", "says"),
    [
        ([1.0, math.nan], "entry 1 is neither"),
        ([True, None], "entry 1 is neither"),
        ([0.5, 1.0], "entry 0 is neither"),
        (["0", "1"], "entry 0 is neither"),
        ([1, 2], "entry 1 is neither"),
        ([True], "same messages"),
        ([[True, False]], "1 dimension"),
    ],
)
def test_what_is_neither_right_nor_wrong_is_refused(first: list, says: str) -> None:
    """A missing answer is not a wrong one: the caller must say what it counts as."""
    with pytest.raises(ValueError, match=says):
        discordance(first, [True, False])
    with pytest.raises(ValueError, match=says if "neither" in says else "dimension"):
        anytime_p(first if "neither" in says else [[True]])


def test_a_table_says_where_it_is_wrong() -> None:
    """Row and column of what is no answer; and one system is no comparison."""
    with pytest.raises(ValueError, match="entry 1, 0 is neither"):
        cochran_q([[1.0, 0.0], [math.nan, 1.0]])
    with pytest.raises(ValueError, match="at least two systems"):
        cochran_q([[True], [False]])
    with pytest.raises(ValueError, match="2 dimensions"):
        cochran_q([True, False])


def test_impossible_arguments_are_refused() -> None:
    """Negative counts, more disagreements than messages, p-values that are none."""
    for call in (lambda: mcnemar_exact(-1, 2), lambda: anytime_mcnemar(2, -1), lambda: paired_difference(-1, 0, 5)):
        with pytest.raises(ValueError, match="at least 0"):
            call()
    with pytest.raises(ValueError, match="must not exceed n"):
        paired_difference(3, 3, 5)
    for level in (0.0, 1.0, math.nan):
        with pytest.raises(ValueError, match="level"):
            paired_difference(1, 1, 5, level)
    for wrong in (-0.1, 1.1, math.nan):
        for adjust in (bonferroni, holm):
            with pytest.raises(ValueError, match="entry 1 does not"):
                adjust([0.5, wrong])
