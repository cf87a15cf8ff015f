"""What has been released never changes: a new version is a new file, and joins this table."""

from __future__ import annotations

import pytest

from crisis_filter.assets import names, root
from crisis_filter.experiments.released import read_released
from crisis_filter.experiments.simulate.prompts import Role, load_simulate_prompt
from crisis_filter.experiments.simulate.recipe import load_recipe
from crisis_filter.local.artifact import ENGINES
from crisis_filter.prompting.prompt import load_prompt
from crisis_filter.prompting.together import load_together
from crisis_filter.taxonomy.load import load_taxonomy
from crisis_filter.triage.policy import load_policy
from crisis_filter.triage.protocols import load_protocols

PROMPTS = {
    "categorise/reasoned-v1": "1b8b9d24008d93f56864574b3c18ac2dc6fd9c8f8f1f6d077fd38f403735fdb0",
    "categorise/reasoned-v2": "99d52bfb2091b595376e35900ea03824e336f2b8c24ff097e089d09298a58fe5",
    "screen/reasoned-v1": "cf78eb8c308d16fd6323ac8f053c5c3bae86685e4fed2538929ca585a8a18b46",
    "screen/reasoned-v2": "1fcf0a6b92efa1cb8f4b411df9fc6c9bdab3883687346e1e52e10e73d06664c6",
    "screen/terse-v1": "a359aa6fc79c62aa091d53777d9ac1627c2d55b85431d17fb7f24650fc4d5750",
    "screen/terse-v2": "1be6d998273ad09caacbb4ce2362ced728057371ee6d9a36478c0ee17dd02873",
}
SIMULATE: dict[Role, str] = {
    "author": "0f6658a599605065ebc4a9b78bf5132fa9dea4f19ac95feaca013b17f53c08df",
    "rater": "0f3ac016449cb984e4c2fbc4d954190d166676bd4ce608c2090f4fe6e97598bb",
    "adjudicator": "2ce43f309bf8861712edbd8676a5ce985a5cc32ba3c600e4d0133745cf9bb76e",
}
TOGETHER = {"together/screen-v1": "271211e15e70c14a3a99dc1dab28da3fd107562dc3188e29e2c4f6497d8d306d"}
RECIPES = {"paper-v1": "90ae54bb7cbe9d03eb900ccd383e75c079e67088119de981d1782abb75d54141"}
TAXONOMIES = {
    "clinical-v1": "f5d70b200658c2d83b19e85872258d6d61f205768223edddcdf9832a58362e97",
    "mindguard-v1": "a5b0d214247c2eab9ff98cf0838934551ec250d0b94dc58bab9b1eb8d3630853",
    "oxideshield-v1": "288474932de273e52f2056f5ac3d7f495bd815134673fba618b870eafbba393c",
}
POLICIES = {
    "default": "95d555aed842392e37c52aea87e738530585647c83402fbff5a8b3a0437f9dfb",
    "default-v2": "7732cac887167c2a561f1ec1df7b919ee6d04ee2a38938f63046dab0468b6ba7",
    "default-v3": "8aa57657b199cbb1341163aa9a48c7b00449addf5238a15b457d3fc1427e752c",
    "default-v4": "22c143f2be3392383cdd7080cd7b339afc3c3ad12a3e87195461fe4d87c11c29",
}
PROTOCOLS = {"protocols-v1": "d37f6977be54bf829842ba2f36b8c45283ffe567b98ba74d82f0b8d9b2c4735a"}
ENGINE_CARDS = {
    "standard-v1": "bbaec5eee5228beadbe96d46d0cf4d85f4e90249946c0e91a80e29dc94d41101",
    "starter-v1": "bf5e43f200d7d5b5148c18d58bcd3b14dd5fd8dcb13e6a4374b6a2c2786a0828",
}


@pytest.mark.parametrize("name", PROMPTS)
def test_released_prompts_keep_their_hash(name):
    """Prompt and examples together."""
    assert load_prompt(name).sha256 == PROMPTS[name]


@pytest.mark.parametrize("role", SIMULATE)
def test_released_prompts_of_the_simulation_keep_their_hash(role):
    """They have a loader of their own."""
    assert load_simulate_prompt(f"simulate/{role}-v1", role).sha256 == SIMULATE[role]


@pytest.mark.parametrize("name", TOGETHER)
def test_released_prompts_for_several_messages_keep_their_hash(name):
    """They have a loader of their own, too."""
    assert load_together(name).sha256 == TOGETHER[name]


def test_the_table_of_releases_is_the_one_here():
    """`prompts/released.json`, which `experiment promote` adds to, may grow only together with this file."""
    simulate = {f"simulate/{role}-v1": sha256 for role, sha256 in SIMULATE.items()}
    assert read_released(root() / "prompts") == {**PROMPTS, **simulate, **TOGETHER}


@pytest.mark.parametrize("name", RECIPES)
def test_released_recipes_keep_their_hash(name):
    """By what they say."""
    assert load_recipe(name).sha256 == RECIPES[name]


@pytest.mark.parametrize("name", TAXONOMIES)
def test_released_taxonomies_keep_their_hash(name):
    """All pages of a folder together."""
    assert load_taxonomy(name).sha256 == TAXONOMIES[name]


@pytest.mark.parametrize("name", POLICIES)
def test_released_policies_keep_their_hash(name):
    """A changed rule is a new version."""
    assert load_policy(name).sha256 == POLICIES[name]


@pytest.mark.parametrize("name", PROTOCOLS)
def test_released_protocols_keep_their_hash(name):
    """A changed word is a new version."""
    assert load_protocols(name).sha256 == PROTOCOLS[name]


@pytest.mark.parametrize("name", ENGINE_CARDS)
def test_released_engines_keep_their_hash(name):
    """The card holds the hash of every other file of the engine, so its own hash pins them all."""
    from crisis_filter.assets import file_sha256

    assert file_sha256(ENGINES / name / "engine.json") == ENGINE_CARDS[name]


def test_the_tables_are_complete():
    """Nothing is released that is not pinned here."""
    assert set(names("prompts", ".md")) == {*PROMPTS, *TOGETHER, *(f"simulate/{role}-v1" for role in SIMULATE)}
    assert set(names("data/recipes", ".toml")) == set(RECIPES)
    assert set(names("categories")) == set(TAXONOMIES)
    assert set(names("policies", ".toml")) - {"resources-v1"} == {*POLICIES, *PROTOCOLS}
    assert {p.name for p in ENGINES.iterdir() if p.is_dir()} == set(ENGINE_CARDS)
