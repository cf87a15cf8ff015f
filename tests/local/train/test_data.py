from __future__ import annotations

import re

import numpy as np

from crisis_filter.assets import find
from crisis_filter.datasets.reading import load
from crisis_filter.local.artifact import VOCABULARY, bundled
from crisis_filter.local.train.data import Example, batches, buried, epoch, examples, joined, noised
from crisis_filter.local.wordpiece import WordPiece

LABELS = ("crisis", "abuse", "suicide")
ROWS = load(find("data", "starter-v1"), "development")
TOKENIZER = WordPiece((bundled() / VOCABULARY).read_text(encoding="utf-8").removesuffix("\n").split("\n"))


def test_targets_follow_the_labels() -> None:
    """The first target is any crisis, the others the categories in the order given."""
    for row, item in zip(ROWS, examples(ROWS, LABELS), strict=True):
        assert item.targets.tolist() == [row.crisis, "abuse" in row.categories, "suicide" in row.categories]


def test_noise_is_decided_by_its_generator() -> None:
    """One seed gives one result, another seed another, and strength 0 changes nothing."""
    texts = [row.text for row in ROWS]

    def once(seed: int, strength: float) -> list[str]:
        rng = np.random.default_rng(seed)
        return [noised(text, rng, strength) for text in texts]

    assert once(1, 1.0) == once(1, 1.0)
    assert once(1, 1.0) != once(2, 1.0)
    assert once(1, 0.0) == texts


def test_two_messages_joined_keep_every_label_of_either() -> None:
    """A crisis with an errand attached is a crisis."""
    crisis = Example("a", np.array([1, 1, 0], np.float32))
    errand = Example("b", np.array([0, 0, 0], np.float32))
    assert joined(errand, crisis).targets.tolist() == [1, 1, 0]
    assert joined(errand, crisis).text == "b a"


def test_an_epoch_has_every_example_once() -> None:
    """Without noise and joins an epoch is the examples in another order."""
    items = examples(ROWS, LABELS)
    out = epoch(items, np.random.default_rng(3), strength=0.0, joins=0.0)
    assert sorted(item.text for item in out) == sorted(item.text for item in items)


def test_a_buried_message_keeps_its_labels_and_its_words() -> None:
    """Among ordinary ones a crisis is a crisis, and an ordinary one ordinary."""
    rng = np.random.default_rng(4)
    crisis = Example("alpha beta", np.array([1, 1, 0], np.float32))
    around = [Example(word, np.zeros(3, np.float32)) for word in ("x", "y", "z")]
    for _ in range(20):
        found = buried(crisis, around, rng)
        assert "alpha beta" in found.text
        assert 3 <= len(found.text.split()) <= 5
        assert found.targets.tolist() == [1, 1, 0]
        assert not buried(around[0], around, rng).targets.any()


def test_every_kind_of_noise_occurs() -> None:
    """Digits for letters, a letter starred out, a vowel drawn out; none of them empties a text."""
    rng = np.random.default_rng(5)
    texts = [noised("please believe nothing happened yesterday", rng, 1.0) for _ in range(400)]
    assert any(re.search(r"[a-z][0-9][a-z]", text) for text in texts)
    assert any("*" in text for text in texts)
    assert any(re.search(r"([aeiou])\1\1", text) for text in texts)
    assert all(text.strip() for text in texts)


def test_batches_cover_every_row_and_mask_the_padding() -> None:
    """Each row comes once, its mask counts its tokens, and what is masked is padding."""
    items = examples(ROWS, LABELS)
    places: list[int] = []
    for tokens, mask, targets, group in batches(items, TOKENIZER, size=16, max_tokens=64, rng=np.random.default_rng(1)):
        places += group
        assert tokens.shape == mask.shape
        assert tokens.shape[1] <= 64
        assert (tokens[mask == 0] == TOKENIZER.pad).all()
        assert (tokens[:, 0] == TOKENIZER.classify).all()
        assert (tokens[np.arange(len(group)), mask.sum(1) - 1] == TOKENIZER.separate).all()
        assert np.array_equal(targets, np.stack([items[i].targets for i in group]))
    assert sorted(places) == list(range(len(items)))


def test_asides_are_known_of_crises_alone() -> None:
    """Severe or worse, imminent, somebody else's; NaN where there is no crisis; a known one outlives an unknown one."""
    asides = ("severe", "imminent", "other")
    for row, item in zip(ROWS, examples(ROWS, LABELS, asides), strict=True):
        told = item.targets[len(LABELS) :]
        if row.crisis and row.severity is not None and row.subject is not None:
            assert told.tolist() == [
                row.severity in ("severe", "imminent"),
                row.severity == "imminent",
                row.subject in ("other", "both"),
            ]
        else:
            assert np.isnan(told[0])
    crisis = Example("a", np.array([1, 1, 0, 1], np.float32))
    errand = Example("b", np.array([0, 0, 0, np.nan], np.float32))
    assert joined(errand, crisis).targets.tolist() == [1, 1, 0, 1]
    assert buried(crisis, [errand], np.random.default_rng(0)).targets.tolist() == [1, 1, 0, 1]
