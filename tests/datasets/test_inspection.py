"""What a look at a data set finds, in sets with one thing wrong at a time."""

from __future__ import annotations

import json
from itertools import combinations

import numpy as np
import pytest
from rapidfuzz import fuzz

from crisis_filter.assets import find
from crisis_filter.datasets.inspection import inspect
from crisis_filter.datasets.near import copies, near_copies
from crisis_filter.datasets.reading import read_rows
from crisis_filter.datasets.similarity import fingerprint
from crisis_filter.errors import AssetError
from tests.datasets.making import folder, row
from tests.strategies import CATEGORIES

CRISIS = row(1, "i want to be dead tonight", "suicide", author="a")
PLAIN = row(2, "can i move my appointment to friday", author="b")
# So that every split has both classes.
TRAINING = [CRISIS, row(11, "which floor is the x-ray on", author="a")]
TEST = [PLAIN, row(12, "he hits me when he drinks", "abuse", author="b")]


def rated(number, *raters, **fields):
    """A message with the categories that each rater named; the row's own are `labels`."""
    ratings = [
        {"rater": name, "crisis": bool(said), "categories": said} for name, said in zip("ABC", raters, strict=False)
    ]
    return row(number, f"message {number * 7919}", *fields.pop("labels"), author="b", ratings=ratings, **fields)


@pytest.mark.parametrize(
    ("training", "test", "kind", "weight"),
    [
        ([], [row(1, "where is my lab report", author="b")], "same_id", "error"),
        ([], [{**CRISIS, "id": "t-9", "text": "I want to be DEAD tonight", "author": "c"}], "same_text", "error"),
        ([], [row(3, "i want to be dead tonite", "suicide", author="c")], "near_copy", "error"),
        ([], [row(3, "tonight i want to be dead", "suicide", author="c")], "near_copy", "error"),
        ([row(3, "i want to be dead tonite", "suicide", author="a")], [], "near_copy_within", "warning"),
        ([row(3, "tonight i want to be dead", "suicide", author="a")], [], "near_copy_within", "warning"),
        ([], [row(3, "where is my lab report", author="a")], "author_in_two_splits", "error"),
        ([], [row(3, "reach me at (555) 010-4477", author="b")], "private_data", "warning"),
        ([], [row(3, "my horse is unwell", "horses", author="b")], "category", "error"),
        ([], [row(3, "my horse is unwell", "My horse is unwell", author="b")], "category", "error"),
        ([], [row(3, " \t", author="b")], "blank_text", "warning"),
        ([], [row(3, "\u200b\u2060 \ufeff", author="b")], "blank_text", "warning"),
        ([], [rated(3, [], ["abuse"], labels=["abuse"])], "raters_differ", "error"),
        (
            [],
            [rated(3, ["suicide"], ["abuse"], ["abuse"], labels=["abuse"], adjudication=" ")],
            "raters_differ",
            "error",
        ),
        ([], [rated(3, ["abuse"], ["abuse"], labels=[])], "label_against_raters", "error"),
        ([], [rated(3, [], labels=["abuse"])], "label_against_raters", "error"),
        ([], [rated(3, ["abuse", "suicide"], ["suicide", "abuse"], labels=["abuse"])], "label_against_raters", "error"),
    ],
)
def test_one_thing_wrong(tmp_path, training, test, kind, weight):
    """Each is found, weighed, and told by ids and splits alone."""
    training, test = [*TRAINING, *training], [*TEST, *test]
    found = inspect(folder(tmp_path, training=training, test=test), known=CATEGORIES)
    assert [(p.kind, p.weight) for p in found.problems] == [(kind, weight)]
    assert found.clean == (weight == "warning")
    told = found.problems[0].detail
    assert ("t-" in told) or kind == "author_in_two_splits"
    assert not any(one["text"].lower() in told.lower() for one in (*training, *test) if one["text"].strip())


@pytest.mark.parametrize(
    "fine",
    [
        rated(3, ["abuse", "suicide"], ["suicide", "abuse"], labels=["abuse", "suicide"]),
        rated(3, ["suicide"], ["abuse"], labels=["abuse"], adjudication="Only the second is said."),
        rated(3, ["abuse"], ["abuse"], labels=[], adjudication="Both overlooked that it is a film."),
        rated(3, [], [], labels=[]),
        row(3, "\u2764\ufe0f", author="b"),
        row(3, "?", author="b"),
        row(3, "\u6211\u4e0d\u60f3\u6d3b", "suicide", author="b"),
    ],
)
def test_nothing_wrong(tmp_path, fine):
    """Raters who agree with the label, or somebody who decided; a text that can be seen, however short."""
    assert inspect(folder(tmp_path, training=TRAINING, test=[*TEST, fine]), known=CATEGORIES).problems == ()


@pytest.mark.parametrize(("rows", "told"), [([CRISIS], "every message"), ([PLAIN], "no message")])
def test_a_split_of_one_class(tmp_path, rows, told):
    """Half of the figures cannot be had of it; what was set aside is never scored."""
    (problem,) = inspect(folder(tmp_path, test=rows, aside=[row(3, "anything at all")])).problems
    assert (problem.kind, problem.weight, problem.detail) == ("one_class", "warning", f"test: {told} is a crisis")


def test_a_file_that_the_manifest_does_not_list(tmp_path):
    """What nobody vouches for may be taken for a part of the set; records kept in a folder below are not."""
    made = folder(tmp_path, training=TRAINING, test=TEST)
    (made / "records").mkdir()
    for name in ("records/raw.jsonl", "notes.csv"):
        (made / name).write_text("{}\n", encoding="utf-8")
    assert inspect(made).problems == ()
    for name in ("more.jsonl", "upper.JSONL"):
        (made / name).write_text("{}\n", encoding="utf-8")
    found = [(p.kind, p.weight, p.detail.split()[0]) for p in inspect(made).problems]
    assert found == [("unlisted_file", "error", "more.jsonl"), ("unlisted_file", "error", "upper.JSONL")]


def test_a_clean_set(tmp_path):
    """Two splits by two authors; what was set aside may be like anything."""
    aside = row(3, "i want to be dead tonite", "suicide", author="a")
    found = inspect(folder(tmp_path, training=TRAINING, test=TEST, aside=[aside]), known=CATEGORIES)
    assert found.clean
    assert [p.kind for p in found.problems] == ["near_copy_within"]
    test = found.splits[1]
    assert (test.split, test.rows, test.crisis, test.characters.mean, test.others.rows) == ("test", 2, 1, 30.0, 1)
    assert test.others.mechanics is None


def test_a_file_without_a_manifest(tmp_path):
    """One's own rows can be looked at as they are."""
    file = tmp_path / "mine.jsonl"
    file.write_text(json.dumps(CRISIS) + "\n" + json.dumps(PLAIN | {"mechanics": True}) + "\n", encoding="utf-8")
    found = inspect(file)
    assert (found.name, found.splits[0].rows, found.splits[0].single) == ("mine.jsonl", 2, {"suicide": 1})
    assert found.splits[0].split == "mine"
    assert found.splits[0].others.mechanics == 1
    file.write_text('{"text": "MARKER"}\n', encoding="utf-8")
    with pytest.raises(AssetError, match="line 1") as caught:
        inspect(file)
    assert "MARKER" not in str(caught.value)


@pytest.mark.parametrize("name", ["nothing.jsonl", "nothing"])
def test_a_path_where_nothing_is(tmp_path, name):
    """Said plainly, whatever was meant to be there; also of a manifest that lists nothing."""
    with pytest.raises(AssetError, match="there is no such file or folder"):
        inspect(tmp_path / name)
    with pytest.raises(AssetError, match=r"there is no such file; the folder of a data set has a manifest\.json"):
        inspect(tmp_path)
    with pytest.raises(AssetError, match="there are no messages"):
        inspect(folder(tmp_path))


def test_near_copies_are_found_over_the_edges_of_blocks():
    """Every pair once, in order, whatever stands between them."""
    filler = [f"message number {n} about {chr(97 + n % 26) * 9}" for n in range(1001)]
    many = ["the very same words as there", *(f"{hash(one)}" for one in filler), "The very same  words as there"]
    pairs = list(near_copies(many, least=99))
    assert [(pair.first, pair.second, pair.likeness) for pair in pairs if pair.first == 0] == [(0, 1002, 100.0)]
    for least in (0, 101):
        for search in (near_copies, copies):
            with pytest.raises(ValueError, match="likeness"):
                list(search(["a"], least=least))


@pytest.mark.parametrize("least", [40, 76.5, 95, 100])
def test_no_pair_is_passed_over(least):
    """Those are found, and no others, that are found where each text is held against each, whatever their lengths."""
    rng = np.random.default_rng(5)
    texts = ["".join(rng.choice(list("ab "), size=rng.integers(0, 40))) for _ in range(400)]
    folded = [fingerprint(text) for text in texts]
    alike = [(a, b) for a, b in combinations(range(400), 2) if fuzz.ratio(folded[a], folded[b]) >= least]
    assert alike
    assert [(pair.first, pair.second) for pair in near_copies(texts, least=least)] == alike


@pytest.mark.parametrize(
    ("first", "second", "found"),
    [
        ("where is my refill, please?", "where is my refill, pleasee?", (98.2, "nearly")),
        ("he hit me and the baby is crying", "the baby is crying and he hit me", (100.0, "reordered")),
        ("i cut if i eat, so mostly i dont eat", "if i eat i cut. so i dont eat", None),
        ("bp this am 128/82, after coffee tho", "BP 138/84 this am. after coffee tho", None),
        ("threw up on purpose again, and i am done", "threw up on purpose again", (76.9, "contained")),
        ("threw up on purpose again, then cried for hours", "threw up on purpose again", None),
        ("threw up on purpose again, and i am done", "threw up on purpose agape", None),
        ("", "", (100.0, "nearly")),
        ("", "help", None),
    ],
)
def test_copies_are_found_within_and_in_any_order_of_words(first, second, found):
    """Each pair once; the same words in another order are a copy, other words on the same matter are none."""
    pairs = list(copies([first, "something that is like neither of them", second]))
    assert [(p.first, p.second, p.likeness, p.how) for p in pairs] == ([(0, 2, *found)] if found else [])


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


def test_words_of_one_message_are_not_shown(tmp_path):
    """A name that only one or two have would be among the commonest of a small set."""
    texts = ["anna anna anna is here", "is anna well", "is he well"]
    (split,) = inspect(folder(tmp_path, test=[row(n, text) for n, text in enumerate(texts)])).splits
    assert split.top_words == (("is", 3),)
    assert (split.unique_words, split.total_words) == (5, 11)


def test_ids_say_nothing():
    """A simulated message's id is no number, and tells neither split nor label nor author."""
    rows = read_rows(find("data", "simulated-v1") / "test.jsonl")
    assert all(len(one.id) == 10 and set(one.id) <= set("0123456789abcdef") for one in rows)
    assert len({fingerprint(one.text) for one in rows}) == len(rows)


@pytest.mark.parametrize("label", ["false", "no", "0", 0, 0.0, None])
def test_no_word_or_number_is_read_as_a_label(tmp_path, label):
    """Only true and false are; anything else must not become "not crisis"."""
    file = tmp_path / "mine.jsonl"
    file.write_text(json.dumps(PLAIN | {"crisis": label}) + "\n", encoding="utf-8")
    with pytest.raises(AssetError, match="line 1"):
        inspect(file)
