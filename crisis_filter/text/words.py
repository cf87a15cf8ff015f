"""A text as words, each with what its letters say of its language."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

import regex

from crisis_filter.text.views import normalise
from crisis_filter.text.vocabulary import belongs_elsewhere, known, made

FEWEST_LONE = 3
"""Letters of other scripts, no two alike, that make a text when each stands alone."""
FEWEST_IN_TITLE, FEWEST_IN_CAPITALS = 3, 2
"""Unknown words in a row, each with a capital or all in capitals, that are too many for a name."""

# Possessive and tied to the start of a run of letters, so that no text takes more than one pass.
_ADDRESS = regex.compile(r"(?<!\S)[(<\[]?(?:(?:https?://|www\.)\S++|[^\s@]++@[^\s@.]++(?:\.[^\s@.]++)++(?!\S))")
_WORD = regex.compile(r"(?<![\p{L}\p{N}])[CcWw]/[Oo](?![\p{L}\p{N}])|[\p{L}\p{M}\p{N}]+(?:['-][\p{L}\p{M}\p{N}]+)*")
_OTHER_SCRIPT = regex.compile(r"(?!\p{Latin}|\p{Common}|\p{Inherited})\p{L}")
# One such letter can be a word: an ideograph, a syllable block, a letter with a vowel sign of its script.
_SELF_SUFFICIENT = regex.compile(r"[\p{Han}\p{Hangul}]|\p{L}(?!\p{Common}|\p{Inherited})\p{M}")
# Units and formulas: a Greek letter before or after Latin ones (microgram, beta blocker, TNF alpha).
_SYMBOL = regex.compile(r"^\p{Greek}-?(?=[A-Za-z])|(?<=[A-Za-z])-?\p{Greek}$")
_BRACKET = regex.compile(r"[()]")
_MOST_USUAL = 8192
_OPENS_SENTENCE = regex.compile(r"(?:^|[.!?:;\n])[\s\p{P}]*$")


@dataclass(frozen=True, slots=True)
class Word:
    """One word; `start` and `end` are places in the text that `cut` returns with it."""

    start: int
    end: int
    weight: float
    """Its letters; half of them for an excused word."""
    strange: bool
    """Not known to English."""
    excused: bool
    """Unknown, but written as a name or an abbreviation is, or made of English words."""
    foreign: bool
    """Written in another script than Latin."""


@dataclass(frozen=True, slots=True)
class _Found:
    """A word before what stands around it is known."""

    start: int
    text: str
    letters: int
    lone: str
    """The one letter, of another script, that is all the word has; else nothing."""
    foreign: bool
    strange: bool
    made: bool

    @property
    def capital(self) -> bool:
        return self.text[0].isupper()

    @property
    def capitals(self) -> bool:
        return self.text.isupper()


def cut(text: str) -> tuple[str, tuple[Word, ...]]:
    """Cut a text into words.

    Addresses of the web and of mail have no language and are left out. So are a few single letters of other scripts, which
    are symbols and the parts of drawn faces; from three on, or side by side, they are a word that is spelled out.

    Args:
        text: the raw text.

    Returns:
        The normalised text without addresses, and its words.
    """
    plain = _ADDRESS.sub(" ", normalise(text).text)
    found = [word for match in _WORD.finditer(plain) if (word := _examine(match)) is not None]
    if not _spelled_out(plain, found):
        found = [word for word in found if not word.lone]
    return plain, tuple(
        Word(
            word.start,
            word.start + len(word.text),
            word.letters / 2 if excused else word.letters,
            word.strange,
            excused,
            word.foreign,
        )
        for word, excused in zip(found, _excused(plain, found), strict=True)
    )


def _examine(match: regex.Match[str]) -> _Found | None:
    word = match.group()
    told = _usual.get(word)
    if told is None:
        told = _told(word)
        if told is None:
            return None
        _, _, foreign, strange, _ = told
        if not foreign and not strange and len(_usual) < _MOST_USUAL:
            _usual[word] = told
    return _Found(match.start(), word, *told)


def _told(word: str) -> tuple[int, str, bool, bool, bool] | None:
    """What a word says by itself: letters, the lone letter, foreign, strange, made. `None` without a letter."""
    latin = _SYMBOL.sub("", word, count=1)
    letters = sum(c.isalpha() for c in latin)
    if not letters:
        return None
    foreign = _OTHER_SCRIPT.findall(latin)
    lone = foreign[0] if letters == len(foreign) == 1 and not _SELF_SUFFICIENT.search(word) else ""
    strange = bool(foreign) or not known(latin.lower())
    excused = strange and not foreign and made(latin.lower())
    return letters, lone, bool(foreign), strange, excused


_usual: dict[str, tuple[int, str, bool, bool, bool]] = {}
"""Words of English that were met: people say the same few thousand. No other word is kept, for names are private."""


def _spelled_out(plain: str, found: Sequence[_Found]) -> bool:
    """Whether the single letters of other scripts are words, letter by letter. Faces repeat theirs, or hold brackets."""
    if len({word.lone for word in found if word.lone}) >= FEWEST_LONE:
        return True
    return any(
        a.lone and b.lone and a.lone != b.lone and not _BRACKET.search(plain, a.start, b.start)
        for a, b in pairwise(found)
    )


def _excused(plain: str, found: Sequence[_Found]) -> Iterator[bool]:
    """For each word whether it is unknown and yet likely in English: made of its words, or with a capital as a name has."""
    # Where every word has a capital, a capital is no sign of a name.
    sign = any(word.text[0].islower() for word in found)
    for _, run in groupby(found, key=lambda word: word.capital):
        words = list(run)
        usual = not sign or _too_many(words)
        for word in words:
            name = word.strange and word.capital and not usual
            yield word.made or (name and (word.capitals or not _opens(plain, word.start)))


def _too_many(words: Sequence[_Found]) -> bool:
    """Whether so many words in a row have capitals that they are a sentence rather than a name."""
    if any(belongs_elsewhere(word.text.lower()) for word in words):
        return True
    return _longest(words, capitals=False) >= FEWEST_IN_TITLE or _longest(words, capitals=True) >= FEWEST_IN_CAPITALS


def _longest(words: Sequence[_Found], *, capitals: bool) -> int:
    """How many unknown words follow one another; in capitals, known ones may stand between."""
    if capitals:
        runs = (list(run) for loud, run in groupby(words, key=lambda word: word.capitals) if loud)
        return max((sum(word.strange and word.letters > 1 for word in run) for run in runs), default=0)
    return max((len(list(run)) for strange, run in groupby(words, key=lambda word: word.strange) if strange), default=0)


def _opens(plain: str, start: int) -> bool:
    return bool(_OPENS_SENTENCE.search(plain[max(0, start - 20) : start]))
