from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from scipy import stats

from crisis_filter.stats.agreement import (
    Agreement,
    binary_questions,
    cohen_kappa,
    cohen_kappa_table,
    gwet_ac1,
    krippendorff_alpha,
    percent_agreement,
)
from crisis_filter.stats.resampling import Resampling, from_error, t_critical

COEFFICIENTS: tuple[Callable[..., Agreement], ...] = (cohen_kappa, krippendorff_alpha, gwet_ac1)
KRIPPENDORFF_C = [
    tuple(None if label == "." else label for label in unit)
    for unit in zip("123321412...", "1233224125.3", ".3332342251.", "12332441251.", strict=True)
]
"""Krippendorff (2011), section C: four observers, twelve units, missing labels."""
ECTOPIC = ((13, 0, 0), (0, 20, 7), (0, 4, 56))
"""Two abstractors, 100 patients: Gwet's Handbook and the overview of the R package irrCAC, where its figures are printed."""


def units_of(table: tuple[tuple[int, ...], ...]) -> list[tuple[int, int]]:
    return [(i, j) for i, row in enumerate(table) for j, n in enumerate(row) for _ in range(n)]


def how(seed: int = 0, resamples: int = 400, clusters: list[int] | None = None) -> Resampling:
    return Resampling(np.random.default_rng(seed), resamples, clusters)


unhurried = settings(deadline=None)
labels = st.none() | st.sampled_from("abcd")


@st.composite
def ratings(draw: st.DrawFn, raters: int | None = None, label: st.SearchStrategy = labels) -> list[tuple]:
    width = raters or draw(st.integers(2, 4))
    return draw(st.lists(st.tuples(*[label] * width), max_size=25))


# Published worked examples


@pytest.mark.parametrize(
    ("table", "kappa", "error", "interval"),
    [
        # J. Cohen (1960), Table 2: 140 agree, 82 by chance, of 200.
        (((88, 14, 18), (10, 40, 10), (2, 6, 12)), (140 - 82) / (200 - 82), None, None),
        # irrCAC, overview: kappa2.table(cont3x3abstractors).
        (ECTOPIC, 0.7964094, 0.05891072, None),
        # J. L. Fleiss, M. C. Paik (2003) by R package statpsych: ci.kappa(.05, 31, 12, 4, 58).
        (((31, 12), (4, 58)), 0.6756757, 0.07344761, (0.5317210, 0.8196303)),
        # A. R. Feinstein, D. V. Cicchetti (1990): 94% agreement and a kappa below 0.
        (((118, 5), (2, 0)), (118 * 125 - 14770) / (125**2 - 14770), None, None),
    ],
)
def test_kappa_gives_published_figures(
    table: tuple[tuple[int, ...], ...], kappa: float, error: float | None, interval: tuple[float, float] | None
) -> None:
    """Estimate, standard error and interval as printed."""
    found = cohen_kappa_table(table)
    assert found.estimate == pytest.approx(kappa, abs=1e-7)
    if error is not None:
        assert found.standard_error == pytest.approx(error, abs=1e-8)
    if interval is not None:
        assert found.interval and (found.interval.low, found.interval.high) == pytest.approx(interval, abs=1e-7)  # noqa: PT018
    assert found == cohen_kappa(units_of(table))


@pytest.mark.parametrize(
    ("units", "alpha", "used", "left_out"),
    [
        # K. Krippendorff (2011), sections A, B and C.
        (list(zip("0100000010", "1110010000", strict=True)), 0.095, 10, 0),
        (list(zip("aabbdcccedda", "babbbccceddd", strict=True)), 0.692, 12, 0),
        (KRIPPENDORFF_C, 0.743, 11, 1),
    ],
)
def test_alpha_gives_published_figures(units: list[tuple], alpha: float, used: int, left_out: int) -> None:
    """Binary, nominal, and nominal with missing labels; a unit with one label is left out and counted."""
    found = krippendorff_alpha(units)
    assert (round(found.estimate or 0, 3), found.units, found.left_out) == (alpha, used, left_out)


def test_ac1_gives_published_figures() -> None:
    """irrCAC, overview: gwet.ac1.raw(cac.raw4raters) is 0.775 (0.461 to 1) with error 0.143, observed 0.818, chance 0.190."""
    found = gwet_ac1(KRIPPENDORFF_C)
    assert (found.estimate, found.standard_error) == pytest.approx((0.77544, 0.14295), abs=5e-6)
    assert (found.observed, found.expected) == pytest.approx((0.81818, 0.19032), abs=5e-6)
    assert found.interval == from_error(found.estimate, found.standard_error, freedom=11)
    assert found.interval is not None and (round(found.interval.low, 3), found.interval.high) == (0.461, 1.0)  # noqa: PT018


def test_ac1_does_not_fall_where_one_label_is_rare() -> None:
    """Of two abstractors 0.849 (error 0.0432); of Feinstein and Cicchetti's table 0.941 where kappa is below 0."""
    found = gwet_ac1(units_of(ECTOPIC))
    assert found.standard_error is not None
    # For tables irrCAC divides by n, for raw ratings (and here always) by n - 1.
    assert (found.estimate, found.standard_error * math.sqrt(0.99)) == pytest.approx((0.84933, 0.04322), abs=5e-6)
    assert gwet_ac1(units_of(((118, 5), (2, 0)))).estimate == pytest.approx(0.9408, abs=5e-5)


@pytest.mark.parametrize("freedom", [*range(1, 13), 99, 1000])
def test_student_equals_scipy(freedom: int) -> None:
    """The critical value is that of Student's t."""
    for level in (0.5, 0.9, 0.95, 0.999):
        assert t_critical(level, freedom) == pytest.approx(stats.t.ppf((1 + level) / 2, freedom), rel=1e-9)


# Properties


@unhurried
@given(ratings(), st.randoms(use_true_random=False), st.permutations("abcd"))
def test_names_and_order_do_not_matter(units: list[tuple], shuffler: object, names: list[str]) -> None:
    """Order of units, order of raters and names of labels change no estimate."""
    mixed = [tuple(names["abcd".index(v)] if v else None for v in reversed(row)) for row in units]
    shuffler.shuffle(mixed)  # type: ignore[attr-defined]
    for coefficient in COEFFICIENTS[1:]:
        one, other = coefficient(units), coefficient(mixed)
        assert one.estimate == pytest.approx(other.estimate, abs=1e-9)
        assert one.standard_error == pytest.approx(other.standard_error, abs=1e-7)
    if units and len(units[0]) == 2:
        assert cohen_kappa(units).estimate == pytest.approx(cohen_kappa(mixed).estimate, abs=1e-9)


@unhurried
@given(ratings(raters=2), st.integers(0, 9))
def test_bounds_and_counts(units: list[tuple], seed: int) -> None:
    """Figures lie where they can, intervals around bounds, and every unit is used or counted as left out."""
    for coefficient in COEFFICIENTS:
        found = coefficient(units, bootstrap=how(seed, 50))
        assert found.units + found.left_out == len(units)
        assert found.unanimous == percent_agreement(units)
        if found.estimate is None:
            assert (found.interval, found.bootstrap, found.standard_error) == (None, None, None)
            continue
        assert -1.0 <= found.estimate <= 1.0
        assert found.observed is not None and found.expected is not None  # noqa: PT018
        assert found.estimate == pytest.approx((found.observed - found.expected) / (1 - found.expected))
        for span in (found.interval, found.bootstrap):
            assert span is None or -1.0 <= span.low < span.high <= 1.0


@unhurried
@given(st.lists(st.sampled_from("abc"), min_size=2, max_size=20), st.integers(2, 4))
@example(["a"] * 8 + ["b"], 2)
def test_perfect_agreement(given_labels: list[str], raters: int) -> None:
    """Is 1 without an interval where labels differ, and undefined, not 1, where all are the same."""
    units = [(label,) * raters for label in given_labels]
    found = [krippendorff_alpha(units, bootstrap=how()), gwet_ac1(units, bootstrap=how())]
    if raters == 2:
        found.append(cohen_kappa(units, bootstrap=how()))
    one_label = len(set(given_labels)) == 1
    for each in found:
        assert each.estimate == (None if one_label else pytest.approx(1.0))
        assert (each.interval, each.bootstrap) == (None, None)
        assert (each.unanimous.estimate, each.unanimous.nobs) == (1.0, len(units))


@unhurried
@given(st.integers(1, 4), st.integers(2, 4))
def test_independent_raters_agree_by_chance(times: int, number: int) -> None:
    """Where every pair of labels is as frequent as any other, kappa and AC1 are 0, and alpha nears 0 from above."""
    units = list(product(range(number), repeat=2)) * times
    assert cohen_kappa(units).estimate == pytest.approx(0.0, abs=1e-12)
    assert gwet_ac1(units).estimate == pytest.approx(0.0, abs=1e-12)
    # Alpha draws chance pairs without putting back: 1/values above 0.
    assert krippendorff_alpha(units).estimate == pytest.approx(1 / (2 * len(units)), abs=1e-12)


@unhurried
@given(ratings(raters=2, label=st.sampled_from("ab")))
def test_kappa_and_alpha_as_one_writes_them_down(units: list[tuple[str, str]]) -> None:
    """Straight from the definitions, pair by pair: alpha's chance is two of all labels drawn without putting back."""
    assume(len({*sum(units, ())}) == 2)
    agree = sum(a == b for a, b in units) / len(units)
    crossed = sum(a == b for (a, _), (_, b) in product(units, units)) / len(units) ** 2
    pool = [label for pair in units for label in pair]
    differ = sum(a != b for a, b in product(pool, pool)) / (len(pool) * (len(pool) - 1))
    assert krippendorff_alpha(units).estimate == pytest.approx(1 - (1 - agree) / differ)
    assume(crossed < 1)
    assert cohen_kappa(units).estimate == pytest.approx((agree - crossed) / (1 - crossed))


# Intervals


@pytest.mark.parametrize("coefficient", COEFFICIENTS, ids=lambda c: c.__name__)
def test_bootstrap_is_that_of_scipy(coefficient: Callable[..., Agreement]) -> None:
    """Percentile bounds agree with scipy's, to the noise of the draws."""
    units = units_of(((40, 6), (8, 26)))
    ours = coefficient(units, bootstrap=how(resamples=4000)).bootstrap
    theirs = stats.bootstrap(
        (np.arange(len(units)),),
        lambda at: coefficient([units[i] for i in at]).estimate,
        vectorized=False,
        method="percentile",
        n_resamples=1500,
        rng=np.random.default_rng(1),
    ).confidence_interval
    assert ours is not None
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs), abs=0.025)


def test_clusters_widen_the_interval() -> None:
    """A unit copied nine times is no new evidence: by cluster the interval is that of the single units."""
    units = units_of(((14, 4), (3, 9)))
    copies, owners = units * 9, list(range(len(units))) * 9
    for coefficient in COEFFICIENTS:
        tries = ((units, None), (copies, None), (copies, owners))
        alone, naive, whole = (coefficient(u, bootstrap=how(0, 3000, c)).bootstrap for u, c in tries)
        assert alone is not None and naive is not None and whole is not None  # noqa: PT018
        assert (whole.low, whole.high) == pytest.approx((alone.low, alone.high), abs=0.05)
        assert whole.high - whole.low > 2.0 * (naive.high - naive.low)
        # All from one author: nothing to learn about others, so no bounds, rather than bounds that coincide.
        assert coefficient(units, bootstrap=how(clusters=[1] * len(units))).bootstrap is None


def test_seed_decides_and_rare_labels_are_told() -> None:
    """The same generator gives the same bounds; resamples in which the coefficient is undefined are counted, not used."""
    units = [("a", "a")] * 30 + [("b", "a")] + [("b", "b")]
    one, other = (cohen_kappa(units, bootstrap=how(5, 2000)).bootstrap for _ in range(2))
    assert one == other and one is not None  # noqa: PT018
    # No b is drawn with probability (30/32)**32; then, and only then, kappa is undefined.
    assert one.undefined / 2000 == pytest.approx((30 / 32) ** 32, abs=0.03)


# Degenerate cases


def test_nothing_to_compare_is_undefined() -> None:
    """Without units, or without two labels on any, there is no figure, and the interval says that anything is possible."""
    for units in ([], [("a", None), (None, "b")], [(None, None)]):
        for coefficient in COEFFICIENTS:
            found = coefficient(units, bootstrap=how())
            assert (found.estimate, found.observed, found.interval, found.bootstrap) == (None, None, None, None)
            assert (found.units, found.left_out) == (0, len(units))
            assert (found.unanimous.estimate, found.unanimous.low, found.unanimous.high) == (None, 0.0, 1.0)


def test_declared_labels_count_for_ac1() -> None:
    """The more labels could have been given, the less is chance; with one label only AC1 is 1 by its formula."""
    units = [("a", "a"), ("a", "b"), ("b", "b")]
    found = [gwet_ac1(units, labels=names).estimate for names in ("ab", "abc", "abcd")]
    assert sorted(found) == found
    assert len(set(found)) == 3
    alone = gwet_ac1([("a", "a")] * 5, labels="ab")
    assert (alone.estimate, alone.interval, alone.labels) == (1.0, None, 2)


def test_intervals_from_an_error() -> None:
    """No width, no interval; the range -1 to 1 is never left, and without degrees of freedom all of it is possible."""
    assert from_error(1.0, 0.0) is None
    assert from_error(None, 0.1) is None
    for freedom in (None, 0, 5):
        span = from_error(0.9, 0.2, freedom=freedom)
        assert span is not None
        assert span.high == 1.0
        assert span.low == (
            -1.0 if freedom == 0 else pytest.approx(0.9 - 0.2 * (1.959964 if freedom is None else 2.570582))
        )


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: cohen_kappa([("a", "b", "c")]), "two places"),
        (lambda: krippendorff_alpha([("a", "b"), ("a",)]), "as many places"),
        (lambda: gwet_ac1([(math.nan, 1.0)]), "NaN"),
        (lambda: gwet_ac1([("a", "z")], labels="ab"), "declared"),
        (lambda: percent_agreement([("a", "a")], level=1.0), "level"),
        (lambda: t_critical(0.0, 5), "level"),
        (lambda: cohen_kappa_table([[1, 2, 3]]), "square"),
        (lambda: cohen_kappa_table([[1, -2], [0, 1]]), "whole numbers"),
        (lambda: cohen_kappa_table([[0.5, 0.1], [0.2, 0.2]]), "whole numbers"),
        (lambda: cohen_kappa([("a", "b")], bootstrap=how(clusters=[1, 2])), "one cluster for each"),
        (lambda: cohen_kappa([("a", "b")], bootstrap=how(resamples=0)), "at least 1"),
        (lambda: binary_questions([("suicide", None)], ["suicide"]), "set of the given"),
        (lambda: binary_questions([(["other"], None)], ["suicide"]), "set of the given"),
    ],
)
def test_impossible_arguments_are_refused(call: Callable[[], object], words: str) -> None:
    """An error, not a number."""
    with pytest.raises(ValueError, match=words):
        call()


def test_sets_become_one_question_each() -> None:
    """No category is an answer, no answer is not."""
    found = binary_questions([({"abuse"}, []), (None, ("abuse", "neglect"))], ["abuse", "neglect"])
    assert found == {"abuse": [(True, False), (None, True)], "neglect": [(False, False), (None, True)]}
