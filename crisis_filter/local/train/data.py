"""Labelled messages as token numbers and targets, with light noise for training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from crisis_filter.datasets.records import Labelled
from crisis_filter.local.wordpiece import WordPiece, spell_out

Integers = NDArray[np.int64]
Floats = NDArray[np.float32]

_SHORT = {
    "you": "u", "your": "ur", "are": "r", "to": "2", "too": "2", "for": "4", "because": "bc", "and": "n", "with": "w",
    "about": "abt", "people": "ppl", "please": "pls", "going": "goin", "nothing": "nothin", "though": "tho",
    "tonight": "2nite", "tomorrow": "tmrw", "what": "wat", "know": "kno", "really": "rly", "thanks": "thx", "before": "b4",
    "myself": "myslf", "don't": "dont", "can't": "cant", "doctor": "dr", "right": "rite",
    "appointment": "appt", "medicine": "meds", "minutes": "mins", "something": "smth", "someone": "some1", "okay": "k",
}  # fmt: skip
_EMOJI = ("🙏", "😅", "😭", "❤️", "👍", "😊", "🥺", "🤦", "😂", "🙃")


@dataclass(frozen=True, slots=True)
class Example:
    """One text with its targets."""

    text: str = field(repr=False)
    targets: Floats
    """0 or 1 for each label."""


def examples(rows: Sequence[Labelled], labels: Sequence[str]) -> list[Example]:
    """Targets in the order of `labels`, whose first is the one for any crisis."""
    return [
        Example(row.text, np.array([row.crisis, *(label in row.categories for label in labels[1:])], np.float32))
        for row in rows
    ]


def _mistype(text: str, rng: np.random.Generator) -> str:
    """About one slip in 25 letters: a letter lost, doubled, or swapped with the next."""
    out: list[str] = []
    for char in text:
        slip = rng.random() if char.isalpha() else 1.0
        if slip < 0.013:
            continue
        out.append(char)
        if slip < 0.023:
            out.append(char)
        elif slip < 0.04 and len(out) > 1 and out[-2].isalpha():
            out[-1], out[-2] = out[-2], out[-1]
    return "".join(out)


def _shorten(text: str, rng: np.random.Generator) -> str:
    return " ".join(_SHORT.get(w.lower(), w) if rng.random() < 0.5 else w for w in text.split(" "))


def noised(text: str, rng: np.random.Generator, strength: float) -> str:
    """A text as a hurried thumb might have sent it. `strength` from 0 (unchanged) to 1 scales every chance."""
    chance = dict(zip(("short", "typo", "marks", "case", "emoji"), rng.random(5) / max(strength, 1e-9), strict=True))
    if chance["short"] < 0.3:
        text = _shorten(text, rng)
    if chance["typo"] < 0.35:
        text = _mistype(text, rng)
    if chance["marks"] < 0.3:
        text = text.translate(str.maketrans("", "", ".,!?;:'’\""))  # noqa: RUF001  # both apostrophes
    if chance["case"] < 0.04:
        text = text.upper()
    if chance["emoji"] < 0.08:
        text = f"{text} {_EMOJI[int(rng.integers(len(_EMOJI)))]}"
    return text


def joined(first: Example, second: Example) -> Example:
    """Two messages sent as one: every label of either."""
    return Example(f"{first.text} {second.text}", np.maximum(first.targets, second.targets))


def epoch(items: Sequence[Example], rng: np.random.Generator, *, strength: float, joins: float) -> list[Example]:
    """The examples of one pass in random order, each noised; a share `joins` of them have a second one attached."""
    order = rng.permutation(len(items))
    out = []
    for place in order:
        item = items[place]
        if rng.random() < joins:
            other = items[int(rng.integers(len(items)))]
            item = joined(item, other) if rng.random() < 0.5 else joined(other, item)
        out.append(Example(noised(item.text, rng, strength), item.targets))
    return out


def batches(
    items: Sequence[Example], tokenizer: WordPiece, *, size: int, max_tokens: int, rng: np.random.Generator | None
) -> Iterator[tuple[Integers, Integers, Floats, list[int]]]:
    """Padded batches of similar length: tokens, mask, targets, and the places of their rows in `items`.

    Args:
        items: the examples.
        tokenizer: gives the token numbers.
        size: most rows in a batch.
        max_tokens: longer texts are cut here, `[CLS]` and `[SEP]` included. Only training cuts; the engine never does.
        rng: shuffles the batches; `None` leaves them in order of length.
    """
    coded = [
        [tokenizer.classify, *tokenizer.encode(spell_out(item.text))[: max_tokens - 2], tokenizer.separate]
        for item in items
    ]
    order = sorted(range(len(items)), key=lambda i: len(coded[i]))
    groups = [order[i : i + size] for i in range(0, len(order), size)]
    if rng is not None:
        groups = [groups[i] for i in rng.permutation(len(groups))]
    for group in groups:
        width = max(len(coded[i]) for i in group)
        tokens = np.full((len(group), width), tokenizer.pad, np.int64)
        for row, i in enumerate(group):
            tokens[row, : len(coded[i])] = coded[i]
        mask = (np.arange(width) < np.array([len(coded[i]) for i in group])[:, None]).astype(np.int64)
        yield tokens, mask, np.stack([items[i].targets for i in group]), group
