"""Declared bounds: kept, not kept, and never kept where they cannot be judged."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from crisis_filter.errors import InputError
from crisis_filter.experiments.bounds import read_acceptance
from crisis_filter.experiments.comparing import compare
from crisis_filter.experiments.comparison import Gate, Settings
from crisis_filter.experiments.plan import Acceptance, Price
from tests.experiments.by_hand import NEW, OLD, item, made, systems

MANY = [item(f"c{at}", "abuse") for at in range(200)] + [item(f"n{at}") for at in range(200)]
PRICE = Price(input=1.0, output=1.0)
ALL_RIGHT = ["c"] * 200 + ["n"] * 200


def gates(new, bounds, old=None, items=MANY, price=None, level=0.95) -> dict[str, Gate]:
    one = made({OLD: old or ["c" if each.crisis else "n" for each in items], NEW: new}, items, price=price)
    shown = Settings(level=level, margin=0.5, resamples=100, seed=0)
    found = compare(systems(one), acceptance=Acceptance(incumbent="old", **bounds), settings=shown)
    (candidate,) = found.comparison.candidates
    assert candidate.passed is all(gate.passed for gate in candidate.gates)
    return {gate.name: gate for gate in candidate.gates}


def wrong(crises: int, others: int = 0, word: str = "n") -> list[str]:
    """So many crises and others judged wrongly."""
    return [word] * crises + ["c"] * (200 - crises) + ["c"] * others + ["n"] * (200 - others)


@pytest.mark.parametrize(
    ("bounds", "new", "passed"),
    [
        ({"sensitivity_at_least": 0.95}, wrong(2), True),
        ({"sensitivity_at_least": 0.95}, wrong(6), False),
        ({"specificity_at_least": 0.95}, wrong(6, 2), True),
        ({"specificity_at_least": 0.95}, wrong(0, 6), False),
        ({"sensitivity_margin": 0.05}, wrong(2), True),
        ({"sensitivity_margin": 0.05}, wrong(6), False),
        ({"specificity_margin": 0.05}, wrong(6, 2), True),
        ({"specificity_margin": 0.05}, wrong(0, 6), False),
        ({"category_margin": 0.05}, wrong(2), True),
        ({"category_margin": 0.05}, wrong(6), False),
        ({"undetermined_at_most": 0.05}, wrong(6, word="u"), True),
        ({"undetermined_at_most": 0.05}, wrong(16, word="u"), False),
        ({"sensitivity_at_least": 0.95}, wrong(6, word="u"), False),
        ({"sensitivity_margin": 0.05}, wrong(6, word="u"), False),
    ],
)
def test_a_bound_is_kept_by_the_end_of_the_interval_and_undetermined_is_wrong(bounds, new, passed):
    (gate,) = gates(new, bounds).values()
    assert gate.passed is passed
    assert ("not passed" in gate.words) is not passed
    assert gate.value is not None
    assert gate.judged is not None
    assert gate.low <= gate.value <= gate.high


def test_the_estimate_alone_is_not_enough():
    """198 of 200 is 0.99, and its interval reaches below 0.97."""
    (gate,) = gates(wrong(2), {"sensitivity_at_least": 0.98}).values()
    assert gate.value == pytest.approx(0.99)
    assert not gate.passed


@pytest.mark.parametrize("level", [0.5, 0.8, 0.99])
def test_the_level_that_is_shown_does_not_move_a_gate(level):
    bounds = {"sensitivity_at_least": 0.97, "sensitivity_margin": 0.03, "category_margin": 0.03}
    assert gates(wrong(2), bounds, level=level) == gates(wrong(2), bounds)


def test_all_bounds_are_judged_in_the_order_of_the_declaration():
    bounds = {name: 0.5 for name in Acceptance.model_fields if name != "incumbent"}
    found = gates([word * 2 for word in ALL_RIGHT], bounds, old=[word * 2 for word in ALL_RIGHT], price=PRICE)
    assert list(found) == list(bounds)
    passed = {name for name, gate in found.items() if gate.passed}
    assert passed == set(bounds) - {"money_per_1000_at_most"}


@pytest.mark.parametrize(
    ("bounds", "items", "words"),
    [
        ({"flip_rate_at_most": 1.0}, MANY, "cannot be judged with one repeat"),
        ({"money_per_1000_at_most": 1e9}, MANY, "cannot be judged without a price"),
        ({"sensitivity_at_least": 0.0}, MANY[200:], "cannot be judged, because there is no crisis"),
        ({"sensitivity_margin": 0.9}, MANY[200:], "cannot be judged"),
        ({"specificity_at_least": 0.0}, MANY[:200], "cannot be judged"),
        ({"specificity_margin": 0.9}, MANY[:200], "cannot be judged"),
        ({"category_margin": 0.9}, MANY[200:], "the labels name no category"),
    ],
)
def test_what_cannot_be_judged_is_not_passed_and_says_why(bounds, items, words):
    (gate,) = gates(["c" if one.crisis else "n" for one in items], bounds, items=items).values()
    assert not gate.passed
    assert words in gate.words
    assert gate.judged is None


def test_money_and_flips_are_judged_where_they_can_be():
    steady = [word * 2 for word in ALL_RIGHT]
    found = gates(steady, {"flip_rate_at_most": 0.01, "money_per_1000_at_most": 2.0}, old=steady, price=PRICE)
    assert all(gate.passed for gate in found.values())
    wavering = ["cn"] * 10 + steady[10:]
    found = gates(wavering, {"flip_rate_at_most": 0.01, "money_per_1000_at_most": 1e-6}, old=steady, price=PRICE)
    assert not any(gate.passed for gate in found.values())
    assert found["flip_rate_at_most"].value == pytest.approx(10 / 400)


def test_a_flip_rate_is_judged_by_the_upper_end_of_its_interval():
    """One of 400 messages flips: an estimate of 0.0025, of which the interval reaches above 0.01."""
    found = gates(
        ["cn", *([word * 2 for word in ALL_RIGHT][1:])], {"flip_rate_at_most": 0.01}, old=[w * 2 for w in ALL_RIGHT]
    )
    gate = found["flip_rate_at_most"]
    assert gate.value < 0.01 < gate.high == gate.judged
    assert not gate.passed


def test_an_unfinished_experiment_passes_no_gate():
    (gate,) = gates([*ALL_RIGHT[:-1], "."], {"sensitivity_at_least": 0.5}).values()
    assert not gate.passed
    assert "not complete" in gate.words


def test_faults_of_the_incumbent_do_not_carry_a_candidate_over_a_margin():
    """The incumbent was out of order; the candidate misses one crisis in four of those that it decided."""
    items = [item(f"c{at}", "abuse") for at in range(400)]
    old = ["u"] * 200 + ["c"] * 200
    new = ["c"] * 200 + ["n"] * 50 + ["c"] * 150
    found = gates(new, {"sensitivity_margin": 0.05, "category_margin": 0.05}, old=old, items=items)
    assert found["sensitivity_margin"].value == pytest.approx(150 / 400)
    assert found["sensitivity_margin"].judged < -0.25
    assert not any(gate.passed for gate in found.values())


def test_two_systems_that_answer_nothing_are_not_as_good_as_one_another():
    items = [item(f"c{at}", "abuse") for at in range(400)]
    nothing = ["u"] * 400
    found = gates(nothing, {"sensitivity_margin": 0.05, "category_margin": 0.05}, old=nothing, items=items)
    assert not any(gate.passed for gate in found.values())
    assert "faults prove nothing" in found["sensitivity_margin"].words


def test_a_category_that_is_too_small_to_tell_stops_a_candidate():
    items = [*MANY[:200], item("c-rare-1", "psychosis"), item("c-rare-2", "psychosis")]
    (gate,) = gates(["c"] * 202, {"category_margin": 0.05}, items=items).values()
    assert not gate.passed
    assert "psychosis (too few to tell, 2 messages)" in gate.words


@given(st.integers(1, 80), st.data())
@settings(max_examples=60, deadline=None)
def test_no_candidate_passes_that_lost_a_crisis_in_a_category_too_small_for_the_margin(n, data):
    margin = data.draw(st.floats(0.001, 0.5))
    lost = data.draw(st.integers(1, n))
    # One lost crisis is already more than the margin.
    assume(lost / n >= margin)
    items = [item(f"c{at}", "abuse") for at in range(n)] + [item(f"c-more-{at}", "suicide") for at in range(100)]
    new = ["n"] * lost + ["c"] * (n - lost + 100)
    (gate,) = gates(new, {"category_margin": margin}, items=items).values()
    assert not gate.passed


@given(st.lists(st.sampled_from("cnu"), min_size=40, max_size=40), st.integers(0, 39))
@settings(max_examples=40, deadline=None)
def test_one_more_undetermined_opens_no_gate(new, at):
    items = [*MANY[:20], *MANY[200:220]]
    bounds = {
        "sensitivity_at_least": 0.5,
        "specificity_at_least": 0.5,
        "sensitivity_margin": 0.4,
        "specificity_margin": 0.4,
        "undetermined_at_most": 0.3,
    }
    before, after = (gates(each, bounds, items=items) for each in (new, [*new[:at], "u", *new[at + 1 :]]))
    for name, gate in after.items():
        assert gate.passed <= before[name].passed


def test_bounds_may_be_declared_in_a_file_of_their_own(tmp_path):
    file = tmp_path / "bounds.yaml"
    file.write_text("incumbent: old\nsensitivity_margin: 0.01\n")
    alone = read_acceptance(file)
    assert (alone.incumbent, alone.sensitivity_margin) == ("old", 0.01)
    file.write_text("prompts: [a]\nacceptance:\n  incumbent: old\n  sensitivity_margin: 0.01\n")
    assert read_acceptance(file) == alone


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("incumbent: old\nsensitivity_margin: 0.01\nsensitivity_margin: 0.2\n", "stands twice"),
        ("acceptance:\n  incumbent: old\n  category_margin: 0.1\n  category_margin: 0.2\n", "stands twice"),
        ("incumbent: old\n", "declares no bound"),
        ("incumbent: old\nsensitivity: 0.9\n", "acceptance.sensitivity"),
        ("incumbent: old\nsensitivity_margin: 7\n", "acceptance.sensitivity_margin"),
        ("- incumbent\n", "needs bounds"),
        ("acceptance:\n", "needs bounds"),
        ("a: [", "is not valid YAML"),
        ("", "needs bounds"),
    ],
)
def test_a_file_of_bounds_is_read_strictly(tmp_path, text, words):
    file = tmp_path / "bounds.yaml"
    file.write_text(text)
    with pytest.raises(InputError, match=words):
        read_acceptance(file)
    with pytest.raises(InputError, match="cannot be read"):
        read_acceptance(tmp_path / "none.yaml")
