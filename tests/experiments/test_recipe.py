"""Recipes, the plan that follows from one, and the prompts of the simulation."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from rapidfuzz import fuzz

from crisis_filter.datasets.near import near_copies
from crisis_filter.datasets.similarity import fingerprint
from crisis_filter.errors import AssetError, InputError
from crisis_filter.experiments.simulate.authoring import Shelf
from crisis_filter.experiments.simulate.plan import batches, plan, spread
from crisis_filter.experiments.simulate.prompts import fence_object, load_simulate_prompt, make_ready
from crisis_filter.experiments.simulate.recipe import Recipe, load_recipe
from crisis_filter.experiments.simulate.run import load_work, read_texts
from crisis_filter.taxonomy.load import load_taxonomy
from tests.experiments.playing import CONTROLS, STRATA, recipe

ROOT = Path(__file__).parent.parent.parent
WEIGHTS = st.dictionaries(st.text(max_size=3), st.floats(0.001, 1000.0), min_size=1, max_size=8)


@given(WEIGHTS, st.integers(0, 200), st.integers(0, 2**32))
def test_values_are_spread_as_their_weights_say(weights: dict[str, float], count: int, seed: int) -> None:
    """Each count is within one of its share, all together are what was asked for, and the same seed gives the same order."""
    found = spread(weights, count, np.random.default_rng(seed))
    counts, total = Counter(found), sum(weights.values())
    assert len(found) == count
    assert all(abs(counts[name] - weight / total * count) < 1 for name, weight in weights.items())
    assert found == spread(weights, count, np.random.default_rng(seed))


def test_a_plan_keeps_to_the_controls() -> None:
    """Counts by category and topic, and every share, to the message."""
    controls = {
        **CONTROLS,
        "direct": 0.25,
        "masked": 0.5,
        "mechanics": 0.75,
        "textese": 1.0,
        "emoji": 0.0,
        "lengths": [{"words": [1, 5], "share": 3}, {"words": [6, 9], "share": 1}],
        "severity": {"mild": 1, "imminent": 3},
        "subject": {"other": 1},
        "timeframe": {"recent": 0.5, "future": 0.5},
    }
    one = {
        "id": "a",
        "crisis": True,
        "count": 40,
        "categories": [["abuse"], ["abuse", "suicide"]],
        "topics": ["x", "y"],
    }
    none = {"id": "b", "crisis": False, "count": 20, "topics": ["z"], "controls": {"textese": 0.5}}
    slots = plan(recipe(strata=[one, none], controls=controls))
    assert [slot.number for slot in slots] == list(range(1, 61))
    first, second = slots[:40], slots[40:]
    assert Counter(slot.categories for slot in first) == {("abuse",): 20, ("abuse", "suicide"): 20}
    assert Counter(slot.topic for slot in first) == {"x": 20, "y": 20}
    assert Counter(slot.voice for slot in first) == {"voice-nurse": 20, "voice-driver": 20}
    assert Counter(slot.severity for slot in first) == {"mild": 10, "imminent": 30}
    assert Counter(slot.timeframe for slot in first) == {"recent": 20, "future": 20}
    assert {slot.subject for slot in first} == {"other"}
    assert Counter(slot.directness for slot in first) == {"direct": 10, "ambiguous": 30}
    assert Counter(slot.words for slot in first) == {(1, 5): 30, (6, 9): 10}
    assert [sum(getattr(s, name) for s in first) for name in ("masked", "mechanics", "textese", "emoji")] == [
        20,
        30,
        40,
        0,
    ]
    assert sum(slot.textese for slot in second) == 10
    assert {(slot.crisis, slot.categories, slot.severity, slot.subject, slot.timeframe) for slot in second} == {
        (False, (), None, None, None)
    }


def test_a_plan_is_drawn_from_its_seed() -> None:
    """The same again for the same recipe, another for another seed."""
    assert plan(recipe()) == plan(recipe())
    assert plan(recipe()) != plan(recipe(seed=8))


@given(st.integers(1, 9), st.sets(st.integers(0, 11)))
def test_batches_hold_every_open_place_once_and_never_two_kinds(size: int, left: set[int]) -> None:
    """None is larger than asked for either, and keys differ."""
    slots = [slot for at, slot in enumerate(plan(recipe())) if at in left]
    cut = batches(slots, size, attempt=2)
    assert sorted(slot.number for batch in cut for slot in batch.slots) == sorted(slot.number for slot in slots)
    assert all(1 <= len(batch.slots) <= size for batch in cut)
    assert all(len({(slot.stratum, slot.categories) for slot in batch.slots}) == 1 for batch in cut)
    assert len({batch.key for batch in cut}) == len(cut)


@given(st.lists(st.text("abC ", min_size=1, max_size=12), max_size=12), st.integers(5, 100))
def test_a_shelf_holds_no_two_that_are_alike(texts: list[str], near: float) -> None:
    """It takes a text exactly when none on it is as like as that, in the measure of `datasets.near`."""
    shelf, there = Shelf(near), []
    for text in texts:
        alike = any(fuzz.ratio(fingerprint(text), fingerprint(other)) >= near for other in there)
        taken = shelf.take(text)
        assert taken != alike
        if taken:
            there.append(text)
    assert list(near_copies(there, least=near)) == []


def test_the_recipe_after_the_paper() -> None:
    """Half of 1,800 are a crisis, 100 of each category alone and 100 mixed, with two labels or three."""
    one = load_recipe("paper-v1")
    slots = plan(one)
    assert (len(slots), sum(slot.crisis for slot in slots)) == (1800, 900)
    alone = Counter(slot.categories[0] for slot in slots if len(slot.categories) == 1)
    assert alone == dict.fromkeys(load_taxonomy("clinical-v1").ids, 100)
    assert sum(len(slot.categories) > 1 for slot in slots) == 100
    words = sorted(sum(slot.words) / 2 for slot in slots)
    assert 9 <= words[900] <= 14
    assert 16 <= sum(words) / 1800 <= 20
    load_work(one)


def test_a_recipe_is_what_it_says_and_not_how() -> None:
    """Comments and the order of keys change no hash; every value does."""
    text = (ROOT / "data/recipes/paper-v1.toml").read_text(encoding="utf-8")
    assert recipe(seed=1).sha256 != recipe(seed=2).sha256
    assert recipe(controls={**CONTROLS, "emoji": 0.26}).sha256 != recipe().sha256
    turned = dict(reversed(recipe().model_dump().items()))
    assert Recipe.model_validate(turned).sha256 == recipe().sha256
    assert "seed" in text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"strata": [{**STRATA[0], "crisis": False}]}, "a crisis has sets of categories"),
        ({"strata": [{**STRATA[2], "crisis": True}]}, "a crisis has sets of categories"),
        ({"strata": [{**STRATA[0], "categories": [[]]}]}, "a crisis has sets of categories"),
        ({"strata": [{k: v for k, v in STRATA[0].items() if k != "crisis"}]}, "Field required"),
        ({"strata": [STRATA[0], STRATA[0]]}, "ids of strata repeat"),
        ({"strata": []}, "at least 1 item"),
        ({"strata": [{**STRATA[0], "topics": []}]}, "at least 1 item"),
        ({"strata": [{**STRATA[0], "controls": {"emojis": 1}}]}, "stratum suicide: controls.emojis"),
        ({"strata": [{**STRATA[0], "controls": {"masked": 1.5}}]}, "stratum suicide: controls.masked"),
        ({"must_agree": ["severity"]}, "must_agree needs crisis and categories"),
        ({"controls": {**CONTROLS, "voices": []}}, "at least 1 item"),
        ({"controls": {**CONTROLS, "timeframe": {"past": 1}}}, "'recent', 'current' or 'future'"),
        ({"controls": {**CONTROLS, "severity": {"mild": 0}}}, "greater than 0"),
        ({"controls": {**CONTROLS, "lengths": [{"words": [9, 3], "share": 1}]}}, "the smaller first"),
        ({"near": 0}, "greater than 0"),
        ({"prompts": {"writer": "x"}}, "Extra inputs"),
    ],
)
def test_a_recipe_that_contradicts_itself_is_refused(changes: dict[str, Any], words: str) -> None:
    """With the place and what is wrong there."""
    with pytest.raises(ValidationError, match=words):
        recipe(**changes)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("id = ", "not valid TOML"),
        ('id = "x"', "controls: Field required"),
        ('id = "x"\nstrata = 3\n[controls]\nvoices = ["v"]', "strata: Input should be"),
    ],
)
def test_a_recipe_file_is_refused_by_name_and_field(tmp_path: Path, content: str, words: str) -> None:
    """So that its author finds the place."""
    path = tmp_path / "mine.toml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(AssetError, match=words) as caught:
        load_recipe(str(path))
    assert "mine.toml" in str(caught.value)


def test_categories_are_those_of_the_taxonomy() -> None:
    """The stratum and the category are named."""
    with pytest.raises(AssetError, match="stratum suicide: mindguard-v1 has no category suicide"):
        load_work(recipe(taxonomy="mindguard-v1", strata=STRATA[:1]))


@pytest.mark.parametrize("role", ["author", "rater", "adjudicator"])
@pytest.mark.parametrize("taxonomy", ["clinical-v1", "mindguard-v1", "oxideshield-v1"])
def test_the_released_prompts_fit_any_taxonomy(role: Any, taxonomy: str) -> None:
    """Each names every category."""
    known = load_taxonomy(taxonomy)
    ready = make_ready(load_simulate_prompt(f"simulate/{role}-v1", role), known)
    assert ready.prompt.id == f"simulate/{role}-v1"
    assert all(f"(`{category.id}`)" in ready.system for category in known.categories)
    assert "{{" not in ready.system
    assert "{%" not in ready.system


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("stage: rater", "stage: screen", "stage: Input should be"),
        ("stage: rater", "stage: author", "needs 'stage: rater'"),
        ("answer: rated", "answer: written", "needs 'stage: rater'"),
        ("nonce_bits: 32", "nonce_bits: 8", "nonce_bits"),
        ("variables: [taxonomy]", "variables: [taxonomy, examples]", "examples"),
        ("variables: [taxonomy]", "variables: []", "taxonomy"),
        ("{{ message }}", "{{ text }}", "message, text"),
        ("{{ taxonomy.unit }}", "{{ taxonomy.unit ", "rater-v1"),
        ("=== message ===", "", "one '=== message ===' line"),
        ("label_field: null", "label_field: {", "front matter"),
    ],
)
def test_a_malformed_prompt_is_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    """Role, nonce, variables and layout."""
    text = (ROOT / "prompts/simulate/rater-v1.md").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "rater-v1.md"
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(AssetError, match=words):
        load_simulate_prompt(str(path), "rater")


def test_a_prompt_that_asks_for_what_a_taxonomy_has_not_is_refused(tmp_path: Path) -> None:
    """When it is rendered, and by name."""
    text = (ROOT / "prompts/simulate/rater-v1.md").read_text(encoding="utf-8")
    path = tmp_path / "rater-v1.md"
    path.write_text(text.replace("taxonomy.unit", "taxonomy.weather"), encoding="utf-8")
    with pytest.raises(AssetError, match=r"simulate/rater-v1: .*weather"):
        make_ready(load_simulate_prompt(str(path), "rater"), load_taxonomy("clinical-v1"))


@given(st.recursive(st.text(), lambda inner: st.lists(inner, max_size=3)))
def test_an_object_in_a_fence_is_the_object_on_one_line(value: object) -> None:
    """And holds nothing that looks like a fence."""
    import json

    text = fence_object(value)
    assert json.loads(text) == value
    assert len(text.splitlines()) == 1
    assert not set("<>&") & set(text)


@pytest.mark.parametrize("line", ["{", "[]", '{"text": 3}', '{"id": 1}', "[" * 100_000])
def test_a_set_to_stay_away_from_is_read_strictly(tmp_path: Path, line: str) -> None:
    """The line is named, its words are not."""
    path = tmp_path / "known.jsonl"
    path.write_text(f'{{"text": "a"}}\n\n{line} \n', encoding="utf-8")
    with pytest.raises(InputError, match=r"known.jsonl: line 3: needs"):
        read_texts(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_texts(tmp_path / "absent.jsonl")


def test_the_recipe_in_the_documentation_is_one() -> None:
    """As it stands there."""
    import tomllib

    page = (ROOT / "docs/simulate.md").read_text(encoding="utf-8")
    one = Recipe.model_validate(tomllib.loads(page.split("```toml\n")[1].split("```")[0]))
    assert len(plan(one)) == 200
    load_work(one)
