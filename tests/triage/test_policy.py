"""Policy packs: what a rule may say, and that nobody is routed to no one."""

from __future__ import annotations

from pathlib import Path

import pytest

from crisis_filter.assets import find
from crisis_filter.errors import AssetError
from crisis_filter.schema import Fault
from crisis_filter.taxonomy.load import load_taxonomy
from crisis_filter.triage.policy import load_policy

DEFAULT = find("policies", "default", ".toml").read_text(encoding="utf-8")


@pytest.fixture
def pack(tmp_path: Path):
    def write(old: str = "", new: str = "") -> str:
        assert old in DEFAULT
        path = tmp_path / "mine.toml"
        path.write_text(DEFAULT.replace(old, new), encoding="utf-8")
        return str(path)

    return write


def test_the_default_pack_fits_its_taxonomy():
    """The released policy loads and names only categories that exist."""
    policy = load_policy("default")
    policy.for_taxonomy(load_taxonomy(policy.stages.taxonomy))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('staffed_by = "clinical team"\n', "", "nobody reads"),
        ('staffed_by = "triage reader"\n', "", "nobody reads"),
        ('staffed_by = "clinical team"', 'staffed_by = "  "', "staffed_by"),
        ('queue = "act-now"', 'queue = "act-later"', "does not exist"),
        (
            'id = "crisis"\noutcome = "crisis"',
            'id = "crisis"\noutcome = "crisis"\nscore_at_least = 0.1',
            "no rule takes every crisis",
        ),
        (
            'id = "undetermined"\noutcome = "undetermined"',
            'id = "undetermined"\noutcome = "undetermined"\nfaults = ["timeout"]',
            "no rule takes every undetermined",
        ),
        (
            'id = "not-crisis"\noutcome = "no_crisis"',
            'id = "not-crisis"\noutcome = "no_crisis"\nscore_at_least = 0.1',
            "no rule takes every no_crisis",
        ),
        ('id = "severe"\n', 'id = "imminent"\n', "ids repeat"),
        ("chunk_overlap = 800", "chunk_overlap = 8000", "chunk_overlap"),
        ('urgency = "soon"', 'urgency = "someday"', "urgency"),
        ("version = 1", "version = 1\nsurprise = true", "surprise"),
        ("version = 1", "version = ", "not valid TOML"),
    ],
)
def test_a_policy_with_a_hole_is_refused_when_loaded(pack, old, new, says):
    """The message names the rule or field; no crisis and no undetermined message can go to no person."""
    with pytest.raises(AssetError, match=says):
        load_policy(pack(old, new))


def test_empty_content_alone_may_be_set_aside(pack):
    """A rule for empty content and nothing else may name a queue nobody reads."""
    policy = load_policy(
        pack('faults = ["empty_content"]\nqueue = "review"', 'faults = ["empty_content"]\nqueue = "none"')
    )
    assert any(rule.queue == "none" and rule.faults == {Fault.EMPTY_CONTENT} for rule in policy.rules)


def test_empty_content_together_with_another_fault_may_not(pack):
    """The exception does not stretch."""
    with pytest.raises(AssetError, match="nobody reads"):
        load_policy(
            pack(
                'faults = ["empty_content"]\nqueue = "review"', 'faults = ["empty_content", "timeout"]\nqueue = "none"'
            )
        )


def test_a_rule_on_a_category_that_does_not_exist_is_refused(pack):
    """A misspelt category would never match, silently."""
    policy = load_policy(pack('categories = ["abuse", "neglect"]', 'categories = ["abuze", "neglect"]'))
    with pytest.raises(AssetError, match="abuze"):
        policy.for_taxonomy(load_taxonomy("clinical-v1"))


def test_another_taxonomy_keeps_the_rules_that_can_match():
    """Rules on categories that it lacks are left out; every outcome still has its rule."""
    policy = load_policy("default").for_taxonomy(load_taxonomy("mindguard-v1"), own=False)
    assert "safeguarding-other" not in {rule.id for rule in policy.rules}
    assert {"imminent", "crisis", "undetermined", "not-crisis"} <= {rule.id for rule in policy.rules}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("prompted_screen = 0.5", "prompted_screen = 0.51"),
        ("chunk_overlap = 800", "chunk_overlap = 0"),
        ("chunk_characters = 8_000", "chunk_characters = 1_000_000"),
    ],
)
def test_a_limit_that_would_switch_protection_off_is_refused(tmp_path, old, new):
    """A model that thinks a crisis likelier than not, a sentence cut in two, a piece too long to be read well."""
    text = find("policies", "default-v3", ".toml").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(AssetError, match=new.split(" = ")[0]):
        load_policy(str(path))
