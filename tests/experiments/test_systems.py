"""Bringing systems together: the same messages or a refusal that names the first that differs, and whose bounds hold for whom."""

from __future__ import annotations

from dataclasses import replace

import pytest

from crisis_filter.errors import ConfigurationError, InputError
from crisis_filter.experiments.comparing import compare, declared, refuse_other_incumbent
from crisis_filter.experiments.systems import of_variant
from tests.experiments.by_hand import NEW, OLD, item, made, systems
from tests.experiments.making_experiments import experiment, without

ITEMS = [item("c1", "abuse"), item("c2", "abuse", "suicide"), item("c3", "suicide"), item("c4", "suicide")]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"text_sha256": "f" * 64}, "'c2' has another text"),
        ({"crisis": False, "categories": ()}, "'c2' has others"),
        ({"categories": ("suicide",)}, "'c2' has others"),
        ({"id": "c9"}, "'c2' is only among those of"),
    ],
)
def test_systems_that_judged_other_messages_are_refused_by_the_first_id(change, words):
    one = made({OLD: ["c"] * 4}, ITEMS[:4])
    items = tuple(each.model_copy(update=change) if each.id == "c2" else each for each in ITEMS[:4])
    other = made({NEW: ["c"] * 4}, items)
    with pytest.raises(InputError, match=words):
        compare([*systems(one), *systems(other)])


def test_the_common_messages_can_be_asked_for_and_the_others_are_counted():
    one, other = made({OLD: ["c"] * 4}, ITEMS[:4]), made({NEW: ["c"] * 3}, ITEMS[1:4])
    with pytest.raises(InputError, match="'c1' is only among those of old @ model"):
        compare([*systems(one), *systems(other)])
    found = compare([*systems(one), *systems(other)], common=True).comparison
    assert (found.measured.messages, found.measured.left_out) == (3, 1)
    assert any("left out" in warning for warning in found.warnings)


def test_unequal_repeats_are_compared_on_those_that_all_have():
    one, other = made({OLD: ["cn"] * 4}, ITEMS[:4]), made({NEW: ["c"] * 4}, ITEMS[:4])
    found = compare([*systems(one), *systems(other)]).comparison
    assert found.measured.repeats == 1
    assert found.candidates[0].sides[0].difference.estimate == 0.0
    assert any("unequally often" in warning for warning in found.warnings)


def test_the_same_system_twice_is_refused():
    one = systems(made({OLD: ["c"]}, ITEMS[:1]))
    with pytest.raises(InputError, match="the same name"):
        compare([*one, *one])


BOUNDS = {"incumbent": "old", "sensitivity_margin": 0.1}


def test_declared_bounds_hold_for_their_incumbent_and_candidates_of_the_same_experiment():
    one = made({OLD: ["c"], NEW: ["c"], "new @ other": ["c"]}, ITEMS[:1], acceptance=BOUNDS)
    old, new, elsewhere = systems(one)
    assert declared([old, new]) == one.state.acceptance
    assert declared([new, old]) is None
    assert declared([old]) is None
    # By its prompt the incumbent is one of each provider; asked of another, the difference is the provider's.
    assert declared([old, elsewhere]) is None
    strangers = replace(new, state=one.state.model_copy(update={"sha256": "0" * 64}))
    assert declared([old, strangers]) is None
    by_id = made({OLD: ["c"], "new @ other": ["c"]}, ITEMS[:1], acceptance={**BOUNDS, "incumbent": OLD})
    assert declared(systems(by_id)) == by_id.state.acceptance


def test_bounds_of_another_incumbent_are_refused():
    one = made({OLD: ["c"], NEW: ["c"]}, ITEMS[:1], acceptance=BOUNDS)
    assert one.state.acceptance is not None
    refuse_other_incumbent(systems(one), one.state.acceptance)
    with pytest.raises(ConfigurationError, match="name the incumbent first"):
        refuse_other_incumbent(systems(one)[::-1], one.state.acceptance)


def test_a_variant_that_lost_answers_is_incomplete_and_its_neighbours_are_not():
    found = experiment(4, 4)
    gone = next(iter(found.cells))
    less = without(found, [gone])
    states = {variant.id: of_variant(less, variant).complete for variant in less.state.variants}
    assert states == {variant.id: variant.id != gone[0] for variant in less.state.variants}
