"""What a look at a data set finds, in sets with one thing wrong at a time."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from crisis_filter.assets import find
from crisis_filter.cli.app import app
from crisis_filter.datasets.inspection import inspect
from crisis_filter.datasets.near import near_copies
from crisis_filter.datasets.private import private_data
from crisis_filter.datasets.reading import read_rows
from crisis_filter.datasets.similarity import fingerprint
from crisis_filter.errors import AssetError
from tests.datasets.making import folder, row
from tests.strategies import CATEGORIES

CRISIS = row(1, "i want to be dead tonight", "suicide", author="a")
PLAIN = row(2, "can i move my appointment to friday", author="b")


@pytest.mark.parametrize(
    ("training", "test", "kind", "weight"),
    [
        ([CRISIS], [{**PLAIN, "id": "t-1"}], "same_id", "error"),
        ([CRISIS], [{**CRISIS, "id": "t-9", "text": "I want to be DEAD tonight", "author": "c"}], "same_text", "error"),
        ([CRISIS], [row(3, "i want to be dead tonite", "suicide", author="c")], "near_copy", "error"),
        ([CRISIS, row(3, "i want to be dead tonite", "suicide", author="a")], [PLAIN], "near_copy_within", "warning"),
        ([CRISIS], [row(3, "where is my lab report", author="a")], "author_in_two_splits", "error"),
        ([CRISIS], [row(3, "reach me at (555) 010-4477", author="b")], "private_data", "warning"),
        ([CRISIS], [row(3, "my horse is unwell", "horses", author="b")], "category", "error"),
    ],
)
def test_one_thing_wrong(tmp_path, training, test, kind, weight):
    """Each is found, weighed, and told by ids and splits alone."""
    found = inspect(folder(tmp_path, training=training, test=test), known=CATEGORIES)
    assert [(p.kind, p.weight) for p in found.problems] == [(kind, weight)]
    assert found.clean == (weight == "warning")
    told = found.problems[0].detail
    assert ("t-" in told) or kind == "author_in_two_splits"
    assert not any(one["text"].lower() in told.lower() for one in (*training, *test))


def test_a_clean_set(tmp_path):
    """Two splits by two authors; what was set aside may be like anything."""
    aside = row(3, "i want to be dead tonite", "suicide", author="a")
    found = inspect(folder(tmp_path, training=[CRISIS], test=[PLAIN], aside=[aside]), known=CATEGORIES)
    assert found.clean
    assert [p.kind for p in found.problems] == ["near_copy_within"]
    test = found.splits[1]
    assert (test.split, test.rows, test.crisis, test.characters.mean, test.others.rows) == ("test", 1, 0, 35.0, 1)
    assert test.others.mechanics is None


def test_a_file_without_a_manifest(tmp_path):
    """One's own rows can be looked at as they are."""
    file = tmp_path / "mine.jsonl"
    file.write_text(json.dumps(CRISIS) + "\n" + json.dumps(PLAIN | {"mechanics": True}) + "\n", encoding="utf-8")
    found = inspect(file)
    assert (found.name, found.splits[0].rows, found.splits[0].single) == ("mine.jsonl", 2, {"suicide": 1})
    assert found.splits[0].others.mechanics == 1
    file.write_text('{"text": "MARKER"}\n', encoding="utf-8")
    with pytest.raises(AssetError, match="line 1") as caught:
        inspect(file)
    assert "MARKER" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("call +44 7700 900123", ["phone"]),
        ("07700900123", ["phone", "number"]),
        ("mail me: ann@example.org", ["email", "link"]),
        ("see www.example.org", ["link"]),
        ("account 123456789", ["number"]),
        ("im at 12 Oak Lane", ["address"]),
        ("This is Anna Smith", ["name"]),
        ("Dr. Anna Smith said so", ["name"]),
        ("bp 120/80 at 10:30 on 12.11.2026, peak flow 410 410 430", []),
        ("its a 2 hr drive each way", []),
        ("i'm Anna", []),
        ("", []),
    ],
)
def test_private_data(text, kinds):
    """Forms that give somebody away, and their harmless neighbours."""
    assert list(private_data(text)) == kinds


def test_near_copies_are_found_over_the_edges_of_blocks():
    """Every pair once, in order, whatever stands between them."""
    filler = [f"message number {n} about {chr(97 + n % 26) * 9}" for n in range(1001)]
    many = ["the very same words as there", *(f"{hash(one)}" for one in filler), "The very same  words as there"]
    pairs = list(near_copies(many, least=99))
    assert [(pair.first, pair.second, pair.likeness) for pair in pairs if pair.first == 0] == [(0, 1002, 100.0)]
    with pytest.raises(ValueError, match="least"):
        list(near_copies(["a"], least=0))


def test_the_simulated_set_is_clean():
    """No error, and the numbers that its card names."""
    found = inspect(find("data", "simulated-v1"), known=CATEGORIES)
    assert found.clean
    counts = {split.split: (split.rows, split.crisis) for split in found.splits}
    assert counts["test"] == (1800, 900)
    assert counts["test-hard"] == (900, 300)
    assert counts["validation"] == counts["development"] == (900, 450)
    assert counts["training"][0] >= 8000
    assert counts["multilingual"][0] >= 200
    test = found.splits[0]
    assert test.single == dict.fromkeys((*sorted(CATEGORIES), "mixed"), 100) or set(test.single.values()) == {100}
    assert not any(p.kind == "private_data" for p in found.problems)


def test_ids_say_nothing():
    """A simulated message's id is no number, and tells neither split nor label nor author."""
    rows = read_rows(find("data", "simulated-v1") / "test.jsonl")
    assert all(len(one.id) == 10 and set(one.id) <= set("0123456789abcdef") for one in rows)
    assert len({fingerprint(one.text) for one in rows}) == len(rows)


def test_the_command(tmp_path):
    """0 where it is clean, 2 where it is not or cannot be read; JSON where asked; never a text."""
    runner = CliRunner()
    clean = runner.invoke(app, ["data", "check", str(folder(tmp_path, training=[CRISIS], test=[PLAIN]))])
    assert (clean.exit_code, "0 errors" in clean.stdout) == (0, True)
    bad = folder(tmp_path, training=[CRISIS], test=[{**PLAIN, "id": "t-1"}])
    as_json = runner.invoke(app, ["data", "check", str(bad), "--json"])
    assert (as_json.exit_code, json.loads(as_json.stdout)["problems"][0]["kind"]) == (2, "same_id")
    assert runner.invoke(app, ["data", "check", str(tmp_path / "nothing.jsonl")]).exit_code == 2
    odd = runner.invoke(app, ["data", "check", str(bad), "--taxonomy", "nothing-v1"])
    assert odd.exit_code == 5
    for one in (CRISIS, PLAIN):
        assert one["text"] not in clean.output + as_json.output


@pytest.mark.parametrize("label", ["false", "no", "0", 0, 0.0, None])
def test_no_word_or_number_is_read_as_a_label(tmp_path, label):
    """Only true and false are; anything else must not become "not crisis"."""
    file = tmp_path / "mine.jsonl"
    file.write_text(json.dumps(PLAIN | {"crisis": label}) + "\n", encoding="utf-8")
    with pytest.raises(AssetError, match="line 1"):
        inspect(file)
