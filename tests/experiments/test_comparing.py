"""Comparisons: tables counted by hand, other programs' figures, and what must hold whatever the answers are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from crisis_filter.errors import InputError
from crisis_filter.experiments.comparing import compare
from crisis_filter.experiments.comparison import Candidate, Comparison, Settings
from crisis_filter.experiments.contrast import ENOUGH
from crisis_filter.experiments.plan import Price
from crisis_filter.experiments.systems import grid
from tests.experiments.by_hand import NEW, OLD, item, made, systems
from tests.experiments.making_experiments import JUDGES, Judge, experiment

ITEMS = [
    item("c1", "abuse"),
    item("c2", "abuse", "suicide"),
    item("c3", "suicide"),
    item("c4", "suicide"),
    item("n1"),
    item("n2"),
    item("n3"),
]
HAND = made(
    {
        OLD: ["ccc", "ccn", "nnn", "ccc", "nnn", "cuc", "nnn"],
        NEW: ["ccc", "ccc", "cnc", "ucu", "ncn", "nnn", "nnn"],
    },
    ITEMS,
    price=Price(input=1.0, output=2.0),
)
letters = st.sampled_from("cnu")


def compared(one, **more) -> Comparison:
    return compare(systems(one), **more).comparison


def only(found: Comparison) -> Candidate:
    (candidate,) = found.candidates
    return candidate


def test_rates_are_means_over_repeats_and_undetermined_is_wrong_on_both_sides():
    old, new = compared(HAND).systems
    assert (old.crises.crisis, old.crises.undetermined, old.crises.no_crisis) == (8, 0, 4)
    assert (new.crises.crisis, new.crises.undetermined, new.crises.no_crisis) == (9, 2, 1)
    assert (old.others.crisis, old.others.undetermined, old.others.no_crisis) == (2, 1, 6)
    assert old.sensitivity.estimate == pytest.approx(8 / 12)
    assert (new.sensitivity.right, new.sensitivity.answers, new.sensitivity.undetermined) == (9, 12, 2)
    assert new.sensitivity.if_right == pytest.approx(11 / 12)
    assert old.specificity.estimate == pytest.approx(6 / 9)
    assert old.specificity.if_right == pytest.approx(7 / 9)
    # Repeat by repeat: 3, 4 and 2 of 4.
    by_repeat = [3 / 4, 3 / 4, 3 / 4]
    assert (new.sensitivity.lowest, new.sensitivity.highest) == (min(by_repeat), max(by_repeat))
    assert (old.sensitivity.lowest, old.sensitivity.highest) == (2 / 4, 3 / 4)
    assert new.undetermined.estimate == pytest.approx(2 / 21)
    assert sum(new.faults.values()) == 2


def test_an_interval_takes_repeats_of_one_message_for_one():
    once = made({OLD: ["c", "c", "n", "c"], NEW: ["c"] * 4}, ITEMS[:4])
    thrice = made({OLD: ["ccc", "ccc", "nnn", "ccc"], NEW: ["ccc"] * 4}, ITEMS[:4])
    one, three = compared(once).systems[0].sensitivity, compared(thrice).systems[0].sensitivity
    assert (one.low, one.high) == pytest.approx(proportion_confint(3, 4, method="wilson"))
    assert (three.low, three.high) == pytest.approx((one.low, one.high))


def test_flip_rate_counts_pairs_of_repeats_without_bias():
    """Of three answers c c n one pair of three agrees, of c u c too: 2/3 each; over seven messages."""
    old = compared(HAND).systems[0].stability
    assert old is not None
    assert old.flip_rate == pytest.approx(2 * (2 / 3) / 7)
    assert (old.unstable, old.messages, old.repeats) == (2, 7, 3)
    assert compared(made({OLD: ["c"], NEW: ["n"]}, ITEMS[:1])).systems[0].stability is None


def test_flip_rate_does_not_depend_on_how_often_one_asks():
    """Each answer wavers with chance 0.2, so two of them differ with chance 0.32, for two repeats as for ten."""
    judges = [Judge("a", "m", 1.0, 1.0, 0.0, 0.2), Judge("b", "m", 1.0, 1.0, 0.0, 0.2)]
    for repeats in (2, 10):
        found = compared(experiment(300, 300, judges, repeats=repeats))
        assert found.systems[0].stability is not None
        assert found.systems[0].stability.flip_rate == pytest.approx(0.32, abs=0.05)


def test_contrast_of_the_first_repeat_is_mcnemars_table():
    crises, others = only(compared(HAND)).sides
    # First repeat: c3 is put right, c4 undetermined; n2 put right.
    assert (crises.only_incumbent, crises.only_candidate, crises.messages) == (1, 1, 4)
    assert (others.only_incumbent, others.only_candidate, others.messages) == (0, 1, 3)
    assert crises.mcnemar_p == 1.0
    # Right answers more or less by message: 0, +1, +2, -2; all 8 ways of signs reach 1.
    assert crises.p == 1.0
    assert crises.difference.estimate == pytest.approx(1 / 12)
    # n1 loses one of three, n2 gains three: |2| is reached by all four ways of signs.
    assert others.p == 1.0
    assert others.difference.estimate == pytest.approx(2 / 9)


def test_only_messages_that_the_incumbent_decided_are_in_the_second_reading():
    """n2 is left out, of which it left one answer undetermined; what the candidate leaves so stays in, as wrong."""
    crises, others = only(compared(HAND)).sides
    assert crises.decided == crises.difference
    assert others.decided.messages == 2
    assert others.decided.estimate == pytest.approx(-1 / 6)


def test_flips_are_named_with_what_became_of_them():
    flips = {flip.id: flip for flip in only(compared(HAND)).flips}
    assert set(flips) == {"c2", "c3", "c4", "n1", "n2"}
    assert {name: flip.change for name, flip in flips.items()} == {
        "c2": "fixed",
        "c3": "fixed",
        "c4": "broken",
        "n1": "broken",
        "n2": "fixed",
    }
    assert (flips["c4"].newly_undetermined, flips["c4"].repeats) == (True, (1, 3))
    assert flips["c4"].candidate == ("undetermined", "crisis", "undetermined")
    assert not any(flip.newly_missed for flip in flips.values())


@pytest.mark.parametrize(
    ("old", "new", "change", "undetermined", "missed"),
    [
        ("u", "n", "alike", False, True),
        ("n", "u", "alike", True, False),
        ("c", "n", "broken", False, True),
        ("c", "u", "broken", True, False),
        ("u", "c", "fixed", False, False),
    ],
)
def test_a_crisis_that_is_cleared_is_told_apart_from_one_that_goes_to_a_person(old, new, change, undetermined, missed):
    (flip,) = only(compared(made({OLD: [old], NEW: [new]}, [item("c1", "abuse")]))).flips
    assert (flip.change, flip.newly_undetermined, flip.newly_missed) == (change, undetermined, missed)


def test_a_category_is_held_against_the_margin():
    found = only(compared(HAND))
    rows = {row.category: row for row in found.categories}
    assert list(rows) == ["abuse", "suicide"]
    assert (rows["suicide"].messages, rows["suicide"].incumbent.right, rows["suicide"].candidate.right) == (3, 5, 6)
    assert {row.verdict for row in rows.values()} == {"too few to tell"}


def test_verdicts_by_category():
    names = [f"{kind}{at}" for kind in "abc" for at in range(200)]
    items = [item(name, {"a": "abuse", "b": "neglect", "c": "suicide"}[name[0]]) for name in names]
    answers = ["n" if name[0] == "b" and int(name[1:]) < 40 else "c" for name in names]
    answers = ["n" if name in ("c0", "c1", "c2") else said for name, said in zip(names, answers, strict=True)]
    one = made({OLD: ["c"] * 600, NEW: answers}, items)
    found = only(compared(one, settings=Settings(level=0.95, margin=0.03, resamples=100, seed=0)))
    assert {row.category: row.verdict for row in found.categories} == {
        "abuse": "holds",
        "neglect": "worse",
        "suicide": "too few to tell",
    }


def test_categories_are_counted_end_to_end_as_scikit_learn_counts_them():
    found = experiment(60, 60, JUDGES[:2], repeats=2)
    state = found.state
    names = sorted({category for one in state.items for category in one.categories})
    truth = np.array([[name in one.categories for name in names] for one in state.items])
    for system, variant in zip(compared(found).systems, state.variants, strict=True):
        expected = []
        for repeat in (1, 2):
            cells = [found.cells[variant.id, one.id, repeat].assessment for one in state.items]
            said = np.array([[name in {f.category for f in cell.findings} for name in names] for cell in cells])
            expected.append(f1_score(truth, said, average="macro"))
        assert system.macro_f1 == pytest.approx(np.mean(expected))
        assert [row.category for row in system.categories] == names


def test_tokens_and_money_are_for_a_thousand_answers():
    for system, variant in zip(compared(HAND).systems, HAND.state.variants, strict=True):
        how = [cell.assessment.provenance for (name, _, _), cell in HAND.cells.items() if name == variant.id]
        prompt, completion = sum(one.prompt_tokens for one in how), sum(one.completion_tokens for one in how)
        assert system.tokens_per_1000 == pytest.approx((prompt + completion) / 21 * 1000)
        assert system.money_per_1000 == pytest.approx((prompt + 2 * completion) / 1e6 / 21 * 1000)


def test_without_a_price_money_is_unknown_where_somebody_was_asked_and_nothing_where_nobody_was():
    asked, _ = compared(made({OLD: ["c"], NEW: ["c"]}, ITEMS[:1])).systems
    assert asked.money_per_1000 is None
    local = compared(experiment(5, 5)).systems[2]
    assert (local.provider, local.money_per_1000) == ("local", 0.0)


def test_p_values_agree_with_statsmodels_and_are_adjusted_over_candidates_by_side():
    judges = [Judge("a", "m", 0.7, 0.8), *(Judge(f"b{at}", "m", 0.7 + at / 20, 0.8) for at in range(1, 5))]
    found = compared(experiment(150, 150, judges, repeats=1))
    for at in range(2):
        sides = [candidate.sides[at] for candidate in found.candidates]
        for side in sides:
            table = [[0, side.only_incumbent], [side.only_candidate, 0]]
            assert side.p == side.mcnemar_p == pytest.approx(mcnemar(table, exact=True).pvalue)
        expected = multipletests([side.p for side in sides], method="holm")[1]
        assert [side.p_adjusted for side in sides] == pytest.approx(list(expected))


answers = st.lists(st.tuples(st.booleans(), letters, letters), min_size=1, max_size=25)


def from_letters(rows, repeats=1):
    items = [
        item(f"{'c' if crisis else 'n'}{at}", *(("abuse",) if crisis else ())) for at, (crisis, *_) in enumerate(rows)
    ]
    return made({OLD: [one * repeats for _, one, _ in rows], NEW: [two * repeats for *_, two in rows]}, items)


@given(answers)
@settings(max_examples=40, deadline=None)
def test_swapping_the_systems_mirrors_everything(rows):
    one = from_letters(rows)
    there, back = compare(systems(one)).comparison, compare(systems(one)[::-1]).comparison
    for side, mirrored in zip(only(there).sides, only(back).sides, strict=True):
        assert (side.only_incumbent, side.only_candidate) == (mirrored.only_candidate, mirrored.only_incumbent)
        assert (side.p, side.mcnemar_p, side.anytime) == (mirrored.p, mirrored.mcnemar_p, mirrored.anytime)
        straight, turned = side.difference, mirrored.difference
        if straight.messages:
            assert straight.estimate == pytest.approx(-turned.estimate)
        assert (straight.low, straight.high) == pytest.approx((-turned.high, -turned.low))
    changes = {"fixed": "broken", "broken": "fixed", "alike": "alike"}
    assert [changes[flip.change] for flip in only(there).flips] == [flip.change for flip in only(back).flips]
    assert there.systems == back.systems[::-1]


@given(answers, st.data())
@settings(max_examples=40, deadline=None)
def test_one_more_undetermined_never_raises_a_rate(rows, data):
    at = data.draw(st.integers(0, len(rows) - 1))
    fallen = [(c, old, "u" if place == at else new) for place, (c, old, new) in enumerate(rows)]
    before, after = (compared(from_letters(each)).systems[1] for each in (rows, fallen))
    for rate in ("sensitivity", "specificity"):
        was, now = getattr(before, rate), getattr(after, rate)
        assert (now.estimate or 0.0) <= (was.estimate or 0.0)
        assert now.low <= was.low
        assert now.messages == was.messages
        assert now.undetermined >= was.undetermined
        assert now.right + now.undetermined <= now.answers


@given(answers, st.integers(2, 4))
@settings(max_examples=20, deadline=None)
def test_asking_again_and_hearing_the_same_changes_no_p_and_no_interval(rows, repeats):
    once, often = compared(from_letters(rows)), compared(from_letters(rows, repeats))
    for one, several in zip(only(once).sides, only(often).sides, strict=True):
        assert (one.p, one.mcnemar_p) == pytest.approx((several.p, several.mcnemar_p))
        assert (one.difference.low, one.difference.high) == pytest.approx(
            (several.difference.low, several.difference.high)
        )


def test_an_unfinished_experiment_gives_no_p_but_the_anytime_one():
    one = made({OLD: ["c", "c", "n", "n"], NEW: ["c", "n", "n", "."]}, ITEMS[:4])
    found = compared(one)
    assert (found.measured.complete, found.measured.messages, found.measured.left_out) == (False, 3, 1)
    assert any("not every answer is in" in warning for warning in found.warnings)
    for side in only(found).sides:
        assert (side.p, side.mcnemar_p, side.p_adjusted) == (None, None, None)
        assert 0.0 < side.anytime.p <= 1.0
    assert only(found).sides[0].only_incumbent == 1


@pytest.mark.parametrize(
    ("new", "messages", "repeats", "told"),
    [
        (["c..", "n..", "...", "..."], 2, 1, "the first 1 of 3 repeats of the 2 messages"),
        (["c..", "n..", "n..", "n.."], 4, 1, "the first 1 of 3 repeats of the 4 messages"),
        (["cc.", "nn.", "n..", "n.."], 4, 1, "the first 1 of 3 repeats of the 4 messages"),
        (["cc.", "nn.", "nn.", "nn."], 4, 2, "the first 2 of 3 repeats of the 4 messages"),
        (["ccc", "nn.", "nn.", "nn."], 4, 2, "the first 2 of 3 repeats of the 4 messages"),
        (["ccc", "nnn", "nnn", "..."], 3, 3, "compared on the 3 messages"),
    ],
)
def test_an_early_look_takes_the_repeats_that_all_have_and_loses_no_message(new, messages, repeats, told):
    found = compared(made({OLD: ["ccc", "ccc", "nnn", "nnn"], NEW: new}, ITEMS[:4]))
    measured = found.measured
    assert (measured.messages, measured.repeats, measured.complete) == (messages, repeats, False)
    assert any(told in warning for warning in found.warnings)
    assert not any("unequally often" in warning for warning in found.warnings)
    assert all(side.p is None for side in only(found).sides)


def test_answers_that_were_taken_over_are_told_with_their_number():
    one = made({OLD: ["c", "c"], NEW: ["c", "n"]}, ITEMS[:2])
    assert not any("taken over" in warning for warning in compared(one).warnings)
    found = compared(replace(one, taken={NEW: 1}))
    assert [(system.taken, system.answers) for system in found.systems] == [(0, 2), (1, 2)]
    assert any("new @ model: 1 of 2 answers taken over" in warning for warning in found.warnings)


def test_money_is_unknown_where_a_server_does_not_say_how_much_it_took():
    price = Price(input=1.0, output=1.0)
    one = made({OLD: ["c"], NEW: ["c"]}, ITEMS[:1], price=price)
    spent = {name: used.model_copy(update={"untold": int(name == NEW)}) for name, used in one.spent.items()}
    old, new = compared(replace(one, spent=spent)).systems
    assert old.money_per_1000 is not None
    assert new.money_per_1000 is None


def test_what_nobody_has_judged_cannot_be_compared():
    one = made({OLD: ["c."], NEW: [".c"]}, ITEMS[:1])
    with pytest.raises(InputError, match="no message has been judged by every system"):
        compared(one)


def test_an_early_look_says_when_it_is_valid_to_stop():
    items = [item(f"c{at}", "abuse") for at in range(8)]
    seven = made({OLD: ["n"] * 7 + ["c"], NEW: ["c"] * 7 + ["n"]}, items)
    look = only(compared(seven)).sides[0].anytime
    assert look.stop
    assert look.greatest >= ENOUGH
    # The eighth message points the other way: the evidence falls, and what was valid stays valid.
    assert look.e_value < look.greatest
    assert look.p == pytest.approx(1 / look.greatest)
    assert "valid to stop" in look.words
    six = made({OLD: ["n"] * 6, NEW: ["c"] * 6}, items[:6])
    assert not only(compared(six)).sides[0].anytime.stop
    alike = only(compared(made({OLD: ["c"] * 6, NEW: ["c"] * 6}, items[:6]))).sides[0].anytime
    assert (alike.e_value, alike.stop, alike.p) == (1.0, False, 1.0)


def test_looking_after_every_message_stops_wrongly_at_most_once_in_twenty():
    """Two systems that are alike: 400 experiments of 120 crises, looked at throughout by the greatest evidence."""
    rng = np.random.default_rng(11)
    items = [item(f"c{at}", "abuse") for at in range(120)]
    stopped = 0
    base = made({OLD: ["c"] * 120, NEW: ["c"] * 120}, items)
    brought = grid(systems(base))
    from crisis_filter.experiments.contrast import _anytime

    for _ in range(400):
        ours, theirs = rng.random((2, len(brought.items))) < 0.8
        stopped += _anytime(ours, theirs).stop
    assert 0 < stopped <= 0.05 * 400


def test_a_system_that_answers_nothing_says_so_and_its_rates_stay_there():
    found = compared(made({OLD: ["c", "c", "n"], NEW: ["u", "u", "u"]}, [*ITEMS[:2], ITEMS[4]]))
    assert any("new @ model answered nothing: all 3 answers are undetermined (" in each for each in found.warnings)
    new = found.systems[1]
    assert (new.sensitivity.estimate, new.sensitivity.undetermined, new.specificity.undetermined) == (0.0, 2, 1)
    assert sum(new.faults.values()) == 3


def test_an_incumbent_that_answers_nothing_proves_nothing_for_the_candidate():
    items = [item(f"c{at}", "abuse") for at in range(300)]
    found = compared(made({OLD: ["u"] * 300, NEW: ["n"] * 300}, items))
    assert only(found).categories[0].difference.low > -0.05
    assert only(found).categories[0].verdict != "holds"


@pytest.mark.parametrize(
    ("split", "exploration", "words"),
    [
        ("development", True, "this is exploration"),
        ("training", True, "this is exploration"),
        ("validation", False, None),
    ],
)
def test_figures_on_messages_for_trying_out_are_called_so(split, exploration, words):
    found = compared(made({OLD: ["c"], NEW: ["c"]}, ITEMS[:1], split=split), looks=4)
    assert found.measured.exploration is exploration
    said = " ".join(found.warnings)
    assert ("this is exploration" in said) is exploration
    assert ("looked at by 4 experiments" in said) is not exploration


def test_few_clusters_are_said_and_many_are_flipped_whole():
    few = compared(experiment(40, 40, JUDGES[:2], clusters=5))
    assert few.measured.clusters == 5
    assert any("5 clusters" in warning for warning in few.warnings)
    assert not any(side.by_cluster for side in only(few).sides)
    many = compared(experiment(60, 60, JUDGES[:2], clusters=30))
    assert all(side.by_cluster for side in only(many).sides)
    assert not any("clusters" in warning for warning in many.warnings)


def test_a_comparison_comes_back_from_json():
    found = compared(experiment(10, 10, acceptance={"incumbent": "plain-v1", "sensitivity_margin": 0.2}))
    assert Comparison.model_validate_json(found.model_dump_json()) == found


def test_a_side_without_messages_is_undefined():
    side = only(compared(made({OLD: ["c"], NEW: ["c"]}, ITEMS[:1]))).sides[1]
    assert (side.messages, side.p, side.difference.estimate) == (0, None, None)
