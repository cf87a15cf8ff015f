from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crisis_filter.assets import find
from crisis_filter.datasets.checks import check
from crisis_filter.datasets.reading import load, read_rows
from crisis_filter.datasets.similarity import fingerprint, shingles, similarity
from crisis_filter.errors import AssetError
from crisis_filter.taxonomy.load import load_taxonomy
from tests.datasets.making import folder, row

STARTER = find("data", "starter-v1")


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Path]:
    """Writes a data set with a true manifest."""

    def _make(**splits: list[dict[str, Any]]) -> Path:
        return folder(tmp_path, **splits)

    return _make


def test_the_starter_set_passes_its_checks() -> None:
    """Hashes, counts and ids are right, and no text or near-copy stands in two splits."""
    assert {part.split for part in check(STARTER).parts} == {"training", "development", "test"}


def test_no_author_writes_for_two_splits() -> None:
    """Authors are clusters, so each belongs to one split."""
    seen: dict[str, str] = {}
    for part in check(STARTER).parts:
        for author in part.authors:
            assert seen.setdefault(author, part.split) == part.split


def test_the_starter_set_uses_the_categories_of_the_taxonomy() -> None:
    """Every split has every category of the taxonomy and no other."""
    for part in check(STARTER).parts:
        assert set(part.categories) == set(load_taxonomy("clinical-v1").ids)


def test_an_altered_file_is_refused(tmp_path: Path) -> None:
    """One changed label stops the split from loading."""
    folder = Path(shutil.copytree(STARTER, tmp_path / "set"))
    path = folder / "test.jsonl"
    path.write_text(path.read_text(encoding="utf-8").replace('"mild"', '"severe"', 1), encoding="utf-8")
    with pytest.raises(AssetError, match="SHA-256"):
        load(folder, "test")


def test_counts_that_are_not_the_files_are_refused(make: Callable[..., Path]) -> None:
    """A manifest that miscounts is as wrong as one that misses a hash."""
    folder = make(training=[row(1, "one")])
    path = folder / "manifest.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"rows":1', '"rows":2'), encoding="utf-8")
    with pytest.raises(AssetError, match="counts"):
        load(folder, "training")


def test_a_split_that_does_not_exist_is_refused(make: Callable[..., Path]) -> None:
    """Asking for a split without files is an error, not an empty list."""
    with pytest.raises(AssetError, match="no split"):
        load(make(training=[row(1, "one")]), "test")


@pytest.mark.parametrize(
    ("second", "what"),
    [
        (row(1, "something else entirely"), "id"),
        (row(2, "  Where IS my refill, please? "), "text"),
        (row(2, "where is my refill, pleasee?"), "near-copies"),
    ],
)
def test_copies_between_splits_are_found(make: Callable[..., Path], second: dict[str, Any], what: str) -> None:
    """One id twice, one text twice (case and space aside) or a near-copy across splits is named by id, without text."""
    folder = make(training=[row(1, "where is my refill, please?")], test=[second])
    with pytest.raises(AssetError, match=what) as caught:
        check(folder)
    assert "refill" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"categories": []},
        {"severity": None},
        {"crisis": False},
        {"text": ""},
        {"surprise": 1},
    ],
)
def test_a_row_that_contradicts_itself_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    """Labels must agree with each other; the error names the line and never shows the text."""
    path = tmp_path / "x.jsonl"
    good = row(1, "private words", "abuse")
    path.write_text(json.dumps(good) + "\n" + json.dumps(good | change) + "\n", encoding="utf-8")
    with pytest.raises(AssetError, match="line 2") as caught:
        read_rows(path)
    assert "private" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_malformed_manifest_is_refused(tmp_path: Path) -> None:
    """A manifest with missing fields, or none at all, is an error."""
    with pytest.raises(AssetError, match="cannot be read"):
        check(tmp_path)
    (tmp_path / "manifest.json").write_text("{}", encoding="utf-8")
    with pytest.raises(AssetError, match="missing or wrong"):
        check(tmp_path)


@given(st.text(), st.text())
def test_similarity_is_a_similarity(first: str, second: str) -> None:
    """It is symmetric, between 0 and 1, and 1 for texts that differ in case and space only."""
    a, b = shingles(first), shingles(second)
    assert similarity(a, b) == similarity(b, a)
    assert 0.0 <= similarity(a, b) <= 1.0
    assert similarity(a, shingles(f"  {fingerprint(first)} ")) == 1.0
