"""Promotion: what no choice of bounds, incumbent or folder gets past."""

from __future__ import annotations

from dataclasses import replace

import pytest

from crisis_filter.errors import Fault
from crisis_filter.experiments.plan import Acceptance, PromptChoice
from crisis_filter.experiments.released import read_released
from crisis_filter.experiments.replaying import Replay
from crisis_filter.prompting.prompt import load_prompt
from tests.experiments.by_hand import NEW, OLD
from tests.experiments.candidates import (
    ITEMS,
    RIGHT,
    change,
    copied,
    go,
    naming,
    new_prompt,
    refused,
    same,
    saying,
    tried,
)


@pytest.fixture
def prompts(tmp_path):
    """A folder of prompts with a new one, not yet released."""
    return new_prompt(tmp_path / "prompts")


def files(folder) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def bounded(one, **bounds):
    """The same with other bounds."""
    acceptance = Acceptance(incumbent="old", **bounds)
    return change(one, plan=one.state.plan.model_copy(update={"acceptance": acceptance}))


@pytest.mark.parametrize(
    "bounds",
    [
        {"specificity_margin": 0.1},
        {"undetermined_at_most": 0.1},
        {"sensitivity_at_least": 0.0, "sensitivity_margin": 0.999, "undetermined_at_most": 1.0},
        {"sensitivity_margin": 0.21},
    ],
)
def test_bounds_that_let_every_crisis_be_missed_promote_nothing(prompts, bounds):
    """Whether the candidate is as good or misses all: the bounds say nothing of it."""
    for answers in (RIGHT, ["n"] * 200):
        told = refused(bounded(tried(prompts, {NEW: answers}), **bounds))
        assert "no declared bound keeps crises from being missed" in told
    assert read_released(prompts) == {}


@pytest.mark.parametrize(
    ("bounds", "missed", "released"),
    [
        ({"sensitivity_at_least": 0.5}, 0, True),
        ({"sensitivity_at_least": 0.5}, 3, True),
        ({"sensitivity_at_least": 0.5}, 15, False),
        ({"sensitivity_at_least": 0.5, "sensitivity_margin": 0.9}, 15, False),
        ({"sensitivity_at_least": 0.5, "sensitivity_margin": 0.2}, 8, True),
    ],
)
def test_a_sensitivity_shown_to_be_lower_is_promoted_only_inside_a_margin(prompts, bounds, missed, released):
    one = bounded(tried(prompts, {NEW: ["n"] * missed + RIGHT[missed:]}), **bounds)
    if released:
        assert not go(one).already
    else:
        assert "sensitivity is shown to be lower than the incumbent's, by -0.150 on 100 messages" in refused(one)


def test_a_loss_among_what_the_incumbent_decided_is_one_whatever_it_left_undetermined(prompts):
    one = tried(prompts, {OLD: ["u"] * 50 + RIGHT[50:], NEW: ["c"] * 85 + ["n"] * 15 + RIGHT[100:]})
    assert "sensitivity is shown to be lower" in refused(bounded(one, sensitivity_at_least=0.1))


def both_stages(prompts, one):
    """The same, where the prompt that names categories is another as well."""
    path = copied(prompts, "categorise/reasoned-v2", "categorise/new-v1", more="Look twice.")
    old, new = load_prompt("categorise/reasoned-v2").ref, load_prompt(str(path)).ref
    variants = tuple(v.model_copy(update={"categorise": old if v.prompt == "old" else new}) for v in one.state.variants)
    choices = tuple(
        PromptChoice(
            label=c.label, screen=c.screen, categorise="categorise/reasoned-v2" if c.label == "old" else str(path)
        )
        for c in one.state.plan.prompts
    )
    return change(one, variants=variants, plan=one.state.plan.model_copy(update={"prompts": choices}))


CRISES = [item.id for item in ITEMS if item.crisis]


@pytest.mark.parametrize("bounds", [{}, {"macro_f1_margin": 0.5}, {"unnamed_at_most": 0.1}])
def test_another_prompt_for_categories_needs_a_bound_on_naming(prompts, bounds):
    one = bounded(both_stages(prompts, tried(prompts)), sensitivity_margin=0.06, **bounds)
    assert "declare macro_f1_margin of at most 0.2" in refused(one)


def test_another_prompt_for_categories_is_released_inside_its_bound_and_the_line_says_how_well_it_names(prompts):
    one = both_stages(prompts, tried(prompts))
    one = naming(one, NEW, "violence", items=CRISES[:2])
    one = naming(one, NEW, "unspecified", items=CRISES[2:5])
    done = go(bounded(one, sensitivity_margin=0.06, macro_f1_margin=0.1))
    assert [ref.id for ref in done.prompts] == ["screen/new-v1", "categorise/new-v1"]
    assert "of 100 answers that say crisis 3 without a category, 0 with a fault" in done.effect
    assert "macro F1 0.974 against 1.000" in done.effect


def test_another_prompt_for_categories_that_names_wrongly_is_refused(prompts):
    one = naming(both_stages(prompts, tried(prompts)), NEW, "violence", items=CRISES[:40])
    assert "macro_f1_margin: not passed" in refused(bounded(one, sensitivity_margin=0.06, macro_f1_margin=0.1))


def test_where_labels_name_no_category_naming_at_all_is_the_bound(prompts):
    one = both_stages(prompts, tried(prompts))
    one = change(one, items=tuple(item.model_copy(update={"categories": ()}) for item in one.state.items))
    assert "declare unnamed_at_most of at most 0.2" in refused(bounded(one, sensitivity_margin=0.06))
    assert not go(bounded(one, sensitivity_margin=0.06, unnamed_at_most=0.1)).already


def test_a_fault_beside_a_crisis_is_told(prompts):
    one = saying(
        tried(prompts), lambda cell: {"fault": Fault.SCHEMA} if (cell.variant, cell.item) == (NEW, "c0") else {}
    )
    assert "of 100 answers that say crisis 0 without a category, 1 with a fault" in go(one).effect


def test_answers_that_the_recorded_replies_do_not_give_are_refused(prompts):
    before = files(prompts)
    changed = Replay(cells=400, same=399, differing=((NEW, "c7", 1),), sha256="0" * 64)
    told = refused(tried(prompts), again=lambda _: changed)
    assert "1 of 400 answers are not those that the recorded replies give" in told
    assert "new @ model about message c7 in repeat 1" in told
    assert files(prompts) == before


def test_the_answers_of_both_variants_and_no_others_are_made_again(prompts):
    made_again = []

    def again(variants) -> Replay:
        made_again.extend(variant.id for variant in variants)
        return same(variants)

    go(tried(prompts, {NEW: RIGHT, "newer @ model": RIGHT}), again=again)
    assert made_again == [OLD, NEW]


@pytest.mark.parametrize("whose", [OLD, NEW])
def test_answers_that_were_taken_over_are_no_ground_for_a_promotion(prompts, whose):
    told = refused(replace(tried(prompts), taken={whose: 3}))
    assert (
        f"{whose}: 3 answers were taken over from an earlier experiment, seen before the bounds were declared" in told
    )
    assert "evaluateOptions: {reuse: false}" in told
    assert not go(replace(tried(prompts), taken={whose: 0})).already


def test_an_incumbent_asked_of_another_provider_is_refused(prompts):
    one = tried(prompts, {NEW: RIGHT, "new @ elsewhere": RIGHT})
    bounds = one.state.acceptance.model_copy(update={"incumbent": OLD})
    one = change(one, plan=one.state.plan.model_copy(update={"acceptance": bounds}))
    assert "may be the provider's and not the prompt's" in refused(one, "new @ elsewhere")
    assert not go(one).already


def test_an_incumbent_that_is_not_released_is_refused_unless_asked_for_and_the_line_says_so(prompts):
    one = tried(prompts)
    path = copied(prompts, "screen/terse-v2", "screen/straw-v1", more="Say no.")
    straw = load_prompt(str(path)).ref
    choices = tuple(
        c.model_copy(update={"screen": str(path)}) if c.label == "old" else c for c in one.state.plan.prompts
    )
    variants = tuple(v.model_copy(update={"screen": straw}) if v.prompt == "old" else v for v in one.state.variants)
    one = change(one, variants=variants, plan=one.state.plan.model_copy(update={"prompts": choices}))
    assert "the prompts of the incumbent old @ model are not released" in refused(one)
    assert "against screen/straw-v1 (not released): " in go(one, unreleased_incumbent=True).effect


def test_an_incumbent_released_under_its_id_with_another_hash_is_not_released(prompts):
    one = tried(prompts)
    other = tuple(
        v.model_copy(update={"screen": v.screen.model_copy(update={"sha256": "0" * 64})}) if v.prompt == "old" else v
        for v in one.state.variants
    )
    assert "are not released" in refused(change(one, variants=other))


def test_an_answer_that_a_fault_of_the_service_replaced_is_still_lacking(prompts):
    one = saying(
        tried(prompts, {NEW: ["u", *RIGHT[1:]]}),
        lambda cell: {"fault": Fault.RATE_LIMITED} if cell.assessment.outcome == "undetermined" else {},
    )
    assert "1 of 400 answers are lacking for a fault of a service" in refused(one)


@pytest.mark.parametrize(("looks", "words"), [(1, "1 look at these"), (7, "7 looks at these"), (None, "not known")])
def test_the_line_says_how_often_the_messages_were_looked_at(prompts, looks, words):
    assert words in go(tried(prompts), looks=looks).effect
