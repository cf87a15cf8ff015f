"""Taxonomy folders: the released ones load, broken ones say where they are broken."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from crisis_filter.assets import find
from crisis_filter.errors import AssetError
from crisis_filter.taxonomy.load import load_taxonomy
from tests.strategies import CATEGORIES


def test_clinical_v1_has_the_eight_categories_in_order():
    """The order is part of the contract with answers and engines."""
    assert load_taxonomy("clinical-v1").ids == CATEGORIES


@pytest.mark.parametrize("name", ["clinical-v1", "mindguard-v1", "oxideshield-v1"])
def test_every_released_page_is_complete(name):
    """Each category has both sides, a whole ladder, near misses with reasons, and sources."""
    taxonomy = load_taxonomy(name)
    for page in taxonomy.categories:
        assert page.includes
        assert page.excludes
        assert {n.present for n in page.near_misses} == {True, False}, page.id
        assert page.masked_language, page.id
        assert page.sources, page.id


@pytest.mark.parametrize("name", ["clinical-v1", "mindguard-v1", "oxideshield-v1"])
def test_unreviewed_pages_do_not_claim_a_reviewer(name):
    """Until a clinician has signed, the list is empty."""
    assert load_taxonomy(name).reviewed_by == ()


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    target = tmp_path / "mine-v1"
    shutil.copytree(find("categories", "mindguard-v1"), target)
    edit(target / "taxonomy.yaml", id="mine-v1")
    return target


def edit(path: Path, **changes: object) -> None:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    content.update(changes)
    path.write_text(yaml.safe_dump({k: v for k, v in content.items() if v != "gone"}), encoding="utf-8")


def test_a_folder_of_ones_own_loads_by_path(copy):
    """A taxonomy is data: a path works as well as a name, and another text gives another hash."""
    before = load_taxonomy(str(copy)).sha256
    edit(copy / "taxonomy.yaml", title="Mine")
    assert load_taxonomy(str(copy)).sha256 != before


@pytest.mark.parametrize(
    ("file", "changes", "says"),
    [
        ("harm_to_others.yaml", {"definition": "gone"}, "definition"),
        ("harm_to_others.yaml", {"surprise": 1}, "surprise"),
        ("harm_to_others.yaml", {"id": "other_name"}, "file name"),
        ("harm_to_others.yaml", {"severity": {"mild": {"definition": "x"}}}, "severity lacks"),
        ("harm_to_others.yaml", {"short": "x" * 201}, "short"),
        ("taxonomy.yaml", {"id": "mindguard-v1"}, "folder"),
        ("taxonomy.yaml", {"categories": ["harm_to_others"]}, "does not list self_harm_risk"),
        ("taxonomy.yaml", {"categories": ["harm_to_others", "self_harm_risk", "absent"]}, "absent"),
        ("taxonomy.yaml", {"categories": "all"}, "list of ids"),
        ("taxonomy.yaml", {"overlaps": [{"categories": ["a_b", "c_d"], "rule": "x"}]}, "unknown categories"),
    ],
)
def test_a_broken_page_names_file_and_field(copy, file, changes, says):
    """The message says what is wrong and where."""
    edit(copy / file, **changes)
    with pytest.raises(AssetError, match=says):
        load_taxonomy(str(copy))


@pytest.mark.parametrize("content", ["[", "- a list", "\x00"])
def test_what_is_no_mapping_is_refused(copy, content):
    """Broken YAML is an error, never an empty category."""
    (copy / "harm_to_others.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(AssetError, match="harm_to_others"):
        load_taxonomy(str(copy))


def test_an_unknown_name_lists_the_known_ones():
    """The operator sees what there is."""
    with pytest.raises(AssetError, match="clinical-v1"):
        load_taxonomy("clinical-v9")


def test_a_folder_in_the_current_one_is_found_by_its_name(copy, monkeypatch):
    """No dot is needed before the name of a folder that is there; a bundled name goes first."""
    monkeypatch.chdir(copy.parent)
    assert load_taxonomy("mine-v1").id == "mine-v1"
    shutil.copytree(copy, copy.parent / "clinical-v1")
    assert len(load_taxonomy("clinical-v1").ids) == 8


def test_a_path_that_is_not_there_is_called_a_path():
    """No list of bundled names for somebody who gave a file."""
    with pytest.raises(AssetError, match="no file or folder"):
        load_taxonomy("./absent-v1")
