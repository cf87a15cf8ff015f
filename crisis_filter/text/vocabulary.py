"""Which words are English, and which belong to the small words of other languages."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import regex

_LISTS = Path(__file__).parent / "english"
_DRAWN_OUT = regex.compile(r"(.)\1{2,}")
_PARTS = regex.compile(r"[-\p{N}]+")
_CLITICS = frozenset({"", "s", "d", "m", "t", "ll", "ve", "re", "em", "all"})
_ORDINAL = regex.compile(r"\p{N}(?:st|nd|rd|th)")
_FEWEST_FOR_SLIP, _MOST_FOR_SLIP = 5, 20  # shorter words are one slip from too many others; longer ones cost too much
_FEWEST_IN_PART = 4  # shorter ones are syllables of many languages
_FEWEST_BEFORE_ENDING = 4
_ENDINGS = ("s", "ed", "ing", "less", "ness")


def known(word: str) -> bool:
    """Whether English has a word.

    It has the words of two lists, beside this file, in parts and after figures too, drawn out, or with one slip of the finger.

    Args:
        word: lower-case letters and digits, with apostrophes and hyphens inside.
    """
    english = _english()
    if word in english or _ORDINAL.fullmatch(word[-3:]):
        return True
    if "-" in word or any(c.isdigit() for c in word):
        return all(not part or known(part) for part in _PARTS.split(word))
    if "'" in word:
        stem, _, rest = word.partition("'")
        return (stem in english or (stem.endswith("n") and stem[:-1] in english)) and all(
            part in _CLITICS for part in rest.split("'")
        )
    return any(w in english for w in _mended(word))


def made(word: str) -> bool:
    """Whether a word may be made of English ones: with an ending, or of two written as one.

    Words of other languages fall apart into English ones too ("beaucoup"), so this excuses a word among English ones and
    makes none English.

    Args:
        word: a lower-case word that isn't `known`.
    """
    english = _english()
    return any(stem in english for stem in _stems(word)) or _compound(word, english)


def belongs_elsewhere(word: str) -> bool:
    """Whether a lower-case word is one that other languages use in many sentences and nobody has for a name."""
    return word in _elsewhere()


def _read(*names: str) -> frozenset[str]:
    lists = [(_LISTS / name).read_text(encoding="utf-8") for name in names]
    return frozenset(line for words in lists for line in words.splitlines() if not line.startswith("#"))


@lru_cache(maxsize=1)
def _english() -> frozenset[str]:
    return _read("dictionary.txt", "texting.txt")


@lru_cache(maxsize=1)
def _elsewhere() -> frozenset[str]:
    return frozenset(word for line in _read("elsewhere.txt") for word in line.split())


def _mended(word: str) -> Iterator[str]:
    """What the word may have been meant to be, were it drawn out or one slip away."""
    if (shorter := _DRAWN_OUT.sub(r"\1\1", word)) != word:
        yield shorter
        yield _DRAWN_OUT.sub(r"\1", word)
    if not _FEWEST_FOR_SLIP <= len(word) <= _MOST_FOR_SLIP:
        return
    yield from (word[:i] + word[i + 1] + word[i] + word[i + 2 :] for i in range(len(word) - 1))
    yield from (word[:i] + word[i] + word[i:] for i in range(1, len(word) - 1))
    if word.endswith("in"):
        yield word + "g"


def _stems(word: str) -> Iterator[str]:
    """The word without an ending that English puts to any word of a kind."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _FEWEST_BEFORE_ENDING:
            yield word[: -len(ending)]


def _compound(word: str, english: frozenset[str]) -> bool:
    """Whether the word is two English words written as one."""
    if len(word) > _MOST_FOR_SLIP:
        return False
    cuts = range(_FEWEST_IN_PART, len(word) - _FEWEST_IN_PART + 1)
    return any(word[:cut] in english and word[cut:] in english for cut in cuts)
