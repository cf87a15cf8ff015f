"""Labelled messages as token numbers and targets, with light noise for training."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

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
_LOOKS = {"a": "4", "e": "3", "i": "1", "o": "0", "s": "5", "t": "7", "l": "1", "b": "8"}
_EMOJI = ("🙏", "😅", "😭", "❤️", "👍", "😊", "🥺", "🤦", "😂", "🙃")


@dataclass(frozen=True, slots=True)
class Example:
    """One text with its targets."""

    text: str = field(repr=False)
    targets: Floats
    """0 or 1 for each label, then for each aside; NaN where nobody can say."""


Aside = Literal["severe", "imminent", "other"]
"""What else may be learned of a crisis: that it is severe or worse, that it is imminent, that it is (also) somebody else's."""


def examples(rows: Sequence[Labelled], labels: Sequence[str], asides: Sequence[Aside] = ()) -> list[Example]:
    """Targets in the order of `labels`, whose first is the one for any crisis, and then of `asides`, which only a crisis has."""
    return [
        Example(
            row.text,
            np.array(
                [row.crisis, *(label in row.categories for label in labels[1:]), *(_aside(row, a) for a in asides)],
                np.float32,
            ),
        )
        for row in rows
    ]


def _aside(row: Labelled, aside: Aside) -> float:
    told = row.subject if aside == "other" else row.severity
    if told is None:
        return math.nan
    return float(
        told in {"severe": ("severe", "imminent"), "imminent": ("imminent",), "other": ("other", "both")}[aside]
    )


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


def _disguise(text: str, rng: np.random.Generator) -> str:
    """Some longer words with digits and signs for letters, or with a letter starred out."""
    out = []
    for word in text.split(" "):
        if len(word) < 4 or not word.isalpha() or rng.random() < 0.6:
            out.append(word)
        elif rng.random() < 0.7:
            out.append("".join(_LOOKS.get(c.lower(), c) if rng.random() < 0.6 else c for c in word))
        else:
            at = int(rng.integers(1, len(word) - 1))
            out.append(f"{word[:at]}*{word[at + 1 :]}")
    return " ".join(out)


def _stretch(text: str, rng: np.random.Generator) -> str:
    """One word with a vowel drawn out."""
    words = text.split(" ")
    at = int(rng.integers(len(words)))
    places = [i for i, c in enumerate(words[at]) if c.lower() in "aeiouy"]
    if places:
        i = places[int(rng.integers(len(places)))]
        words[at] = words[at][:i] + words[at][i] * int(rng.integers(2, 5)) + words[at][i + 1 :]
    return " ".join(words)


def noised(text: str, rng: np.random.Generator, strength: float) -> str:
    """A text as a hurried thumb might have sent it, or somebody who hides words. `strength` from 0 (unchanged) to 1 scales every chance."""
    kinds = ("short", "typo", "marks", "case", "emoji", "disguise", "stretch")
    chance = dict(zip(kinds, rng.random(len(kinds)) / max(strength, 1e-9), strict=True))
    if chance["short"] < 0.3:
        text = _shorten(text, rng)
    if chance["disguise"] < 0.08:
        text = _disguise(text, rng)
    if chance["stretch"] < 0.05:
        text = _stretch(text, rng)
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
    return Example(f"{first.text} {second.text}", np.fmax(first.targets, second.targets))


def buried(item: Example, around: Sequence[Example], rng: np.random.Generator) -> Example:
    """A message somewhere between one to three others, as in a long one about many things; every label of any of them."""
    others = [around[int(i)] for i in rng.integers(len(around), size=int(rng.integers(1, 4)))]
    others.insert(int(rng.integers(len(others) + 1)), item)
    return Example(" ".join(o.text for o in others), np.fmax.reduce([o.targets for o in others]))


def epoch(
    items: Sequence[Example], rng: np.random.Generator, *, strength: float, joins: float, burials: float = 0.0
) -> list[Example]:
    """The examples of one pass in random order, each noised.

    A share `joins` of them have a second one attached, and a share `burials` stand among ordinary ones.
    """
    ordinary = [item for item in items if not item.targets[0]]
    out = []
    for place in rng.permutation(len(items)):
        item = items[place]
        drawn = rng.random()
        if drawn < joins:
            other = items[int(rng.integers(len(items)))]
            item = joined(item, other) if rng.random() < 0.5 else joined(other, item)
        elif drawn < joins + burials and ordinary:
            item = buried(item, ordinary, rng)
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
