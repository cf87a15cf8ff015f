from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crisis_filter.assets import find
from crisis_filter.datasets.checks import check
from crisis_filter.datasets.reading import UNKNOWN, load, read_rows
from crisis_filter.datasets.records import Manifest
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


@pytest.fixture(scope="module")
def starter() -> Manifest:
    """The manifest of the starter set, checked."""
    return check(STARTER)


def test_the_starter_set_passes_its_checks(starter: Manifest) -> None:
    """Hashes, counts and ids are right, and no text or near-copy stands in two splits."""
    assert {part.split for part in starter.parts} == {"training", "development", "test"}


def test_no_author_writes_for_two_splits(starter: Manifest) -> None:
    """Authors are clusters, so each belongs to one split."""
    seen: dict[str, str] = {}
    for part in starter.parts:
        for author in part.authors:
            assert seen.setdefault(author, part.split) == part.split


def test_the_starter_set_uses_the_categories_of_the_taxonomy(starter: Manifest) -> None:
    """Every split has every category of the taxonomy and no other."""
    for part in starter.parts:
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
        (row(2, "where is my refill, please? it's 3 days"), "near-copies"),
        (row(2, "where is my refill, please? that was days"), "near-copies"),
        (row(2, "please? where is my refill,"), "near-copies"),
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
        {"categories": None},
        {"crisis": False},
        {"crisis": False, "categories": []},
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


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"crisis": "private"}, r"line 1: crisis must be true or false$"),
        ({"severity": "private"}, r"line 1: severity must be one of mild, moderate, severe or imminent$"),
        ({"crisis": False, "categories": []}, "severity, subject and timeframe belong to a crisis"),
        ({"categories": []}, "a crisis has categories and nothing else has"),
        ({"categories": ...}, "a crisis has categories and nothing else has"),
        ({"categories": "private"}, "categories must be a list"),
        ({"categories": ["abuse", 7]}, r"categories\[1\] must be a text"),
        ({"text": ""}, "text is empty"),
        ({"text": None, "author": 3}, "text must be a text; author must be a text"),
        ({"id": ...}, "id is missing"),
        ({"private": "private"}, "a field that is not known; there are id, text, crisis"),
        ({"ratings": [{"rater": "A", "crisis": 1}]}, r"ratings\[0\].crisis must be true or false"),
        (
            {"ratings": [{"rater": "A", "crisis": True, "private": 1}]},
            r"not known in ratings\[0\]; there are rater, crisis",
        ),
        (
            dict.fromkeys(("crisis", "categories", "author", "kind", "stratum", "language", "mechanics", "text"), 7),
            "; and 2 more$",
        ),
        ({"text": "private \ud83d"}, "half of a surrogate pair"),
    ],
)
def test_an_error_names_the_wrong_fields_and_no_value(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    """A name that no row has is the file's own making, and is not shown either."""
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps(without(row(1, "private words", "abuse"), change)), encoding="utf-8")
    with pytest.raises(AssetError, match=words) as caught:
        read_rows(path)
    assert "private" not in str(caught.value)


def without(given: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """The row with these changes; `...` takes a field away."""
    return {name: value for name, value in (given | change).items() if value is not ...}


@pytest.mark.parametrize("gone", [..., None])
def test_a_file_of_ones_own_may_leave_out_what_nobody_said(tmp_path: Path, gone: object) -> None:
    """Missing or null: whose, when and how bad, and who wrote it; of what is no crisis also the categories."""
    unsaid = dict.fromkeys(("severity", "subject", "timeframe", "author"), gone)
    path = tmp_path / "x.jsonl"
    rows = [without(row(1, "one", "abuse"), unsaid), without(row(2, "two"), unsaid | {"categories": gone})]
    path.write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
    crisis, other = read_rows(path)
    assert (crisis.crisis, crisis.categories, other.crisis, other.categories) == (True, ("abuse",), False, ())
    assert {(one.severity, one.subject, one.timeframe, one.author) for one in (crisis, other)} == {
        (None, None, None, UNKNOWN)
    }


@pytest.mark.parametrize("author", ["", "  ", None])
def test_an_author_who_is_blank_is_not_known(tmp_path: Path, author: str | None) -> None:
    """As tables have it that were turned into JSON Lines."""
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps(row(1, "one", author=author)), encoding="utf-8")
    assert [one.author for one in read_rows(path)] == ["unknown"]


@pytest.mark.parametrize("name", ["id", "text", "crisis"])
@pytest.mark.parametrize("value", [..., None])
def test_what_every_row_must_say(tmp_path: Path, name: str, value: object) -> None:
    """Above all no label is "not crisis" by being forgotten."""
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps(without(row(1, "private words"), {name: value})), encoding="utf-8")
    with pytest.raises(AssetError, match=f"line 1: {name} (is missing|must be)"):
        read_rows(path)


@pytest.mark.parametrize(
    ("given", "change", "words"),
    [
        (row(2, "two"), {"severity": ...}, "line 2: severity is missing"),
        (row(2, "two"), {"categories": ...}, "line 2: categories is missing"),
        (row(2, "two"), {"author": ...}, "line 2: author is missing"),
        (row(2, "two"), {"author": None}, "line 2: author must be a text"),
        (row(2, "two", "abuse"), {"severity": ..., "subject": ...}, "line 2: severity is missing; subject is missing"),
        (row(2, "two", "abuse"), {"timeframe": None}, "severity, subject and timeframe belong to a crisis"),
    ],
)
def test_a_set_with_a_manifest_leaves_nothing_out(
    make: Callable[..., Path], given: dict[str, Any], change: dict[str, Any], words: str
) -> None:
    """What figures are measured on says all of every row, though a file of one's own need not."""
    made = make(training=[row(1, "one"), without(given, change)])
    with pytest.raises(AssetError, match=words):
        load(made, "training")


@pytest.mark.parametrize("ending", [".csv", ".CSV", ".tsv", ".csv.gz", ".xlsx", ".parquet"])
def test_a_table_is_called_a_table(tmp_path: Path, ending: str) -> None:
    """Not JSON that is broken."""
    path = tmp_path / f"mine{ending}"
    path.write_bytes(b"id,text,crisis\n1,private,1\n")
    with pytest.raises(AssetError, match="only JSON Lines are read here; turn the table into JSON Lines") as caught:
        read_rows(path)
    assert str(path) in str(caught.value)
    path.unlink()
    with pytest.raises(AssetError, match="there is no such file"):
        read_rows(path)


@pytest.mark.parametrize("data", ["", "\n \n", "\ufeff"])
def test_a_file_without_messages_is_refused(tmp_path: Path, data: str) -> None:
    """A split is never empty."""
    path = tmp_path / "x.jsonl"
    path.write_text(data, encoding="utf-8")
    with pytest.raises(AssetError, match="there are no messages"):
        read_rows(path)


def test_a_field_that_stands_twice_is_refused(tmp_path: Path) -> None:
    """Which of the two labels holds nobody knows; nor in a rating."""
    path = tmp_path / "x.jsonl"
    good = json.dumps(row(1, "private words", "abuse"))
    for bad in (
        good.replace('"crisis": true', '"crisis": false, "crisis": true'),
        good[:-1] + ', "ratings": [{"a": 1, "a": 1}]}',
    ):
        path.write_text(f"{good}\n\n{bad}\n", encoding="utf-8")
        with pytest.raises(AssetError, match="line 3: has an object with the same key twice") as caught:
            read_rows(path)
        assert "private" not in str(caught.value)


@pytest.mark.parametrize("wrap", ["\ufeff{}\n{}\n", "\n{}\n\n  \n{}\n\n", "{}\r\n{}", "\ufeff{}\r\n\r\n{}\r\n"])
def test_byte_order_marks_blank_lines_and_line_ends_are_taken(tmp_path: Path, wrap: str) -> None:
    """They are what editors leave, and say nothing."""
    path = tmp_path / "x.jsonl"
    rows = [row(1, "one\u2028more"), row(2, "two", "abuse")]
    path.write_bytes(wrap.format(*(json.dumps(one, ensure_ascii=False) for one in rows)).encode())
    assert [one.text for one in read_rows(path)] == ["one\u2028more", "two"]


def test_a_malformed_manifest_is_refused(tmp_path: Path) -> None:
    """A manifest with missing fields, or none at all, is an error."""
    with pytest.raises(AssetError, match="cannot be read"):
        check(tmp_path)
    (tmp_path / "manifest.json").write_text("{}", encoding="utf-8")
    with pytest.raises(AssetError, match="missing or wrong"):
        check(tmp_path)
