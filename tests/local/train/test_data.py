from __future__ import annotations

import numpy as np

from crisis_filter.assets import find
from crisis_filter.datasets.reading import load
from crisis_filter.local.artifact import VOCABULARY, bundled
from crisis_filter.local.train.data import Example, batches, epoch, examples, joined, noised
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
