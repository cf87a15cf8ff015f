"""Is a text safely in a language that somebody has validated?

A negative is worth no more than the reader's command of the language, so a negative for a text in a language that nobody
has validated ends undetermined. The question is one-sided, and both errors cost: foreign text taken for English is a silent
negative, English taken for foreign is work for a person.

Language identifiers answer another question ("which of a hundred?") and are poor at the short, misspelt texts that people
send. English is therefore recognised by its words: a dictionary and a list of what people text, both beside this file. Of
any six words in a row, at most two letters in five may belong to words that neither list has; nor of any three, when two of
them are unknown and don't look like names. The worst place decides, so one foreign sentence on an English page is found.

What slips through: a single foreign word inside an English sentence, which can't be told from a name or a slip, and a text
whose every word is also English ("no", "me die"). docs/decisions/0004-language.md has the measurements.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

import regex

from crisis_filter.text.views import normalise

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

WIDE, NARROW = 6, 3
"""Words that are judged together; the whole text when it is shorter. The narrow window needs two unknown words."""
STRANGE = 0.4
"""Most of a window's letters, as a share, that may belong to words unknown to English."""
FOR_IDENTIFIER = 10
"""Words that the identifier sees at once; it is poor at fewer."""
CONFIDENT = 0.5
"""Least probability at which the identifier's word is taken."""

_LISTS = Path(__file__).parent / "english"
# Possessive and tied to the start of a run of letters, so that no text takes more than one pass.
_ADDRESS = regex.compile(r"(?<!\S)[(<\[]?(?:(?:https?://|www\.)\S++|[^\s@]++@[^\s@.]++(?:\.[^\s@.]++)++(?!\S))")
_WORD = regex.compile(r"[\p{L}\p{M}\p{N}]+(?:['-][\p{L}\p{M}\p{N}]+)*")
_OTHER_SCRIPT = regex.compile(r"(?!\p{Latin}|\p{Common}|\p{Inherited})\p{L}")
_SELF_SUFFICIENT = regex.compile(r"[\p{Han}\p{Hangul}]")  # one such letter can be a word
_OPENS_SENTENCE = regex.compile(r"(?:^|[.!?:;\n])[\s\p{P}]*$")
_DRAWN_OUT = regex.compile(r"(.)\1{2,}")
_CLITICS = frozenset({"", "s", "d", "m", "t", "ll", "ve", "re", "em", "all"})
_FEWEST_FOR_SLIP, _MOST_FOR_SLIP = 5, 20  # shorter words are one slip from too many others; longer ones cost too much


@dataclass(frozen=True, slots=True)
class _Word:
    start: int
    end: int
    weight: float
    """Its letters; half of them for an unknown word that looks like a name."""
    strange: bool
    """Not known to English."""
    name: bool
    """Unknown, and written as a name or an abbreviation is."""
    foreign: bool
    """Written in another script than Latin."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """A text cut into words."""

    text: str = field(repr=False)
    words: tuple[_Word, ...] = field(repr=False)

    def doubtful(self) -> Iterator[int]:
        """First words of the windows that English doesn't account for."""
        strange = [0.0, *accumulate(w.weight if w.strange else 0.0 for w in self.words)]
        weight = [0.0, *accumulate(w.weight for w in self.words)]
        foreign = [0, *accumulate(w.foreign for w in self.words)]
        nameless = [0, *accumulate(w.strange and not w.name for w in self.words)]
        for width, fewest in ((WIDE, 0), (NARROW, 2)):
            size = min(width, len(self.words))
            for start in range(len(self.words) - size + 1 if size else 0):
                end = start + size
                share = (strange[end] - strange[start]) / (weight[end] - weight[start])
                enough = nameless[end] - nameless[start] >= fewest
                if foreign[end] > foreign[start] or (enough and share > STRANGE):
                    yield start

    def around(self, starts: Iterable[int]) -> Iterator[str]:
        """What the identifier is shown for these words: each with its neighbours, nothing twice."""
        last = max(0, len(self.words) - FOR_IDENTIFIER)
        lead = (FOR_IDENTIFIER - NARROW) // 2
        for start in sorted({min(max(0, start - lead), last) for start in starts}):
            end = min(start + FOR_IDENTIFIER, len(self.words))
            yield self.text[self.words[start].start : self.words[end - 1].end]


def unvalidated(text: str, validated: Sequence[str]) -> bool:
    """Whether some part of a text isn't safely in a validated language, so that a negative for it may not stand.

    Time and memory are linear in the length of the text.

    Args:
        text: the raw text.
        validated: BCP 47 tags; only the primary subtag counts. One that the identifier doesn't know never matches. Other
            languages than English go by the identifier, which sends more of their short and mixed texts to a person.

    Returns:
        `False` for a text without words (empty, digits, emoji): it has no language. `True` for a word that stands alone
        and isn't English ("ayuda"), for another script, and for names without a sentence around them: what cannot be told
        isn't safely English.
    """
    tags = _primary(validated)
    reading = _read(text)
    doubtful = reading.doubtful() if "en" in tags else range(len(reading.words))
    others = tags - {"en"}
    if not others:
        return any(True for _ in doubtful)
    return not all(_among(piece, others) for piece in reading.around(doubtful))


def identify(text: str) -> str | None:
    """The language of a text, for a person to read; never a reason to clear.

    Returns:
        A BCP 47 primary subtag, or `None` for "cannot tell": no words, too short, languages mixed, or like none of those
        that the identifier knows.
    """
    reading = _read(text)
    if not reading.words:
        return None
    if next(reading.doubtful(), None) is None:
        return "en"
    tag, confidence = _identifier().classify(reading.text)
    return str(tag) if confidence >= CONFIDENT and tag not in {"en", "zxx", "und"} else None


def _primary(tags: Sequence[str]) -> frozenset[str]:
    return frozenset(tag.replace("_", "-").split("-")[0].lower() for tag in tags)


def _among(window: str, tags: frozenset[str]) -> bool:
    return sum(float(share) for tag, share in _identifier().rank(window) if tag in tags) >= CONFIDENT


@lru_cache(maxsize=1)
def _identifier() -> LanguageIdentifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


@lru_cache(maxsize=1)
def _english() -> frozenset[str]:
    lists = [(_LISTS / name).read_text(encoding="utf-8") for name in ("dictionary.txt", "texting.txt")]
    return frozenset(line for words in lists for line in words.splitlines() if not line.startswith("#"))


def _read(text: str) -> _Reading:
    """Cut a text into words; addresses of the web and of mail have no language and are left out."""
    plain = _ADDRESS.sub(" ", normalise(text).text)
    found = list(_WORD.finditer(plain))
    # Where every word has a capital, a capital is no sign of a name.
    names = any(match.group()[0].islower() for match in found)
    return _Reading(plain, tuple(word for match in found if (word := _weigh(match, names=names)) is not None))


def _weigh(match: regex.Match[str], *, names: bool) -> _Word | None:
    word = match.group()
    letters = sum(c.isalpha() for c in word)
    foreign = len(_OTHER_SCRIPT.findall(word))
    # Single letters of other scripts are symbols and the parts of drawn faces.
    if not letters or (foreign == letters == 1 and not _SELF_SUFFICIENT.search(word)):
        return None
    strange = bool(foreign) or not _known(word.lower())
    before = match.string[max(0, match.start() - 20) : match.start()]
    name = names and strange and word[0].isupper() and (word.isupper() or not _OPENS_SENTENCE.search(before))
    return _Word(match.start(), match.end(), letters / 2 if name else letters, strange, name, bool(foreign))


def _known(word: str) -> bool:
    """Whether English has a lower-case word: as listed, in parts, after figures, drawn out or with one slip of the finger."""
    english = _english()
    if word in english:
        return True
    if "-" in word or any(c.isdigit() for c in word):
        return all(not part or _known(part) for part in regex.split(r"[-\p{N}]+", word))
    if "'" in word:
        stem, _, rest = word.partition("'")
        return (stem in english or (stem.endswith("n") and stem[:-1] in english)) and all(
            part in _CLITICS for part in rest.split("'")
        )
    return _slipped(word, english)


def _slipped(word: str, english: frozenset[str]) -> bool:
    shorter = _DRAWN_OUT.sub(r"\1\1", word)
    if shorter != word and (shorter in english or _DRAWN_OUT.sub(r"\1", word) in english):
        return True
    if not _FEWEST_FOR_SLIP <= len(word) <= _MOST_FOR_SLIP:
        return False
    swapped = (word[:i] + word[i + 1] + word[i] + word[i + 2 :] for i in range(len(word) - 1))
    doubled = (word[:i] + word[i] + word[i:] for i in range(1, len(word) - 1))
    return (word.endswith("in") and word + "g" in english) or any(w in english for w in (*swapped, *doubled))
