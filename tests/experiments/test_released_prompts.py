"""A prompt that was changed after its release is refused with both hashes, wherever it lies."""

from __future__ import annotations

import json

import pytest

from crisis_filter.errors import AssetError, ConfigurationError
from crisis_filter.experiments.released import RELEASED, folder_of, read_released, refuse_changed, released_hash
from crisis_filter.prompting.prompt import load_prompt
from tests.experiments.candidates import BUNDLED, copied


def test_a_prompt_that_is_as_released_or_not_released_passes(tmp_path):
    refuse_changed(load_prompt("screen/reasoned-v2"), BUNDLED / "screen/reasoned-v2.md")
    mine = copied(tmp_path)
    refuse_changed(load_prompt(str(mine)), mine)
    assert released_hash("screen/mine-v1", mine) is None


def test_a_changed_prompt_under_a_released_id_is_refused_with_both_hashes(tmp_path):
    mine = copied(tmp_path)
    before = load_prompt(str(mine))
    (tmp_path / RELEASED).write_text(json.dumps({before.id: before.sha256}))
    assert released_hash(before.id, mine) == before.sha256
    refuse_changed(before, mine)
    copied(tmp_path, more="One more line.")
    after = load_prompt(str(mine))
    with pytest.raises(ConfigurationError) as caught:
        refuse_changed(after, mine)
    assert before.sha256 in str(caught.value)
    assert after.sha256 in str(caught.value)


def test_a_bundled_id_means_the_bundled_prompt_everywhere(tmp_path):
    mine = copied(tmp_path, becomes="screen/terse-v2", more="One more line.")
    changed = load_prompt(str(mine))
    with pytest.raises(ConfigurationError, match=changed.sha256):
        refuse_changed(changed, mine)
    # Not even a table of one's own makes it another prompt.
    (tmp_path / RELEASED).write_text(json.dumps({changed.id: changed.sha256}))
    with pytest.raises(ConfigurationError, match=str(released_hash("screen/terse-v2"))):
        refuse_changed(changed, mine)


def test_changed_examples_are_a_changed_prompt(tmp_path):
    mine = copied(tmp_path)
    (tmp_path / RELEASED).write_text(json.dumps({"screen/mine-v1": load_prompt(str(mine)).sha256}))
    examples = mine.with_suffix(".examples.yaml")
    examples.write_text(examples.read_text() + "# another line\n")
    with pytest.raises(ConfigurationError, match="never changes"):
        refuse_changed(load_prompt(str(mine)), mine)


@pytest.mark.parametrize(
    ("path", "prompt_id", "folder"),
    [
        ("own/screen/x-v1.md", "screen/x-v1", "own"),
        ("own/x-v1.md", "x-v1", "own"),
        ("own/x-v1.md", "screen/x-v1", "own"),
        ("own/screen/other.md", "screen/x-v1", "own/screen"),
    ],
)
def test_the_folder_of_prompts_is_found_by_the_id(tmp_path, path, prompt_id, folder):
    assert folder_of(tmp_path / path, prompt_id) == (tmp_path / folder).resolve()


@pytest.mark.parametrize(
    "text",
    ["[]", "{", '{"a": 1}', '{"a": "zz"}', '{"a": "' + "0" * 64 + '", "a": "' + "1" * 64 + '"}', "[" * 100_000],
)
def test_a_damaged_table_of_releases_refuses_everything(tmp_path, text):
    (tmp_path / RELEASED).write_text(text)
    with pytest.raises(AssetError, match="restore it"):
        read_released(tmp_path)
