"""Is a text safely in a language that somebody has validated?

A negative is worth no more than the reader's command of the language, so a negative for a text in a language that nobody
has validated ends undetermined. The question is one-sided, and both errors cost: foreign text taken for English is a silent
negative, English taken for foreign is work for a person.

Language identifiers answer another question ("which of a hundred?") and are poor at the short, misspelt texts that people
send. English is therefore recognised by its words: a dictionary and a list of what people text, both beside this file. Of
any six words in a row, at most two letters in five may belong to words that neither list has; nor of any three, when two of
them are unknown and neither look like names nor are made of English words. The worst place decides, so one foreign sentence
on an English page is found, in capitals or letter by letter too.

What slips through: a single foreign word inside an English sentence, which can't be told from a name or a slip, two with a
capital each, and a text whose every word is also English ("no", "me die"). docs/decisions/0004-language.md has the
measurements.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING

from crisis_filter.text.words import Word, cut

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


@dataclass(frozen=True, slots=True)
class _Reading:
    """A text cut into words."""

    text: str = field(repr=False)
    words: tuple[Word, ...] = field(repr=False)

    def doubtful(self) -> Iterator[int]:
        """First words of the windows that English doesn't account for."""
        strange = [0.0, *accumulate(w.weight if w.strange else 0.0 for w in self.words)]
        weight = [0.0, *accumulate(w.weight for w in self.words)]
        foreign = [0, *accumulate(w.foreign for w in self.words)]
        plain = [0, *accumulate(w.strange and not w.excused for w in self.words)]
        for width, fewest in ((WIDE, 0), (NARROW, 2)):
            size = min(width, len(self.words))
            for start in range(len(self.words) - size + 1 if size else 0):
                end = start + size
                share = (strange[end] - strange[start]) / (weight[end] - weight[start])
                enough = plain[end] - plain[start] >= fewest
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
    reading = _Reading(*cut(text))
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
    reading = _Reading(*cut(text))
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
