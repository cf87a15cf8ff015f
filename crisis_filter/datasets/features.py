"""What can be counted of the language of messages: length, sentences, chat spellings, emoji; the rows of a data paper's first table."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import regex

__all__ = ["TEXTESE", "Spread", "Vocabulary", "has_emoji", "has_textese", "sentences", "spread", "vocabulary", "words"]

_CHAT = (
    # letters and digits for words
    "u ur urs r y 2day 2moro 2mrw 2nite b4 gr8 l8 l8r m8 w8 sum1 some1 any1 every1 no1 ne1 "
    # shortened words
    "abt alot appt appts bday bf bff gf btwn convo cuz cos coz bc bcuz bcz becuz def deffo defo fave gd hw jus jst msg msgs mos obvs "
    "ppl pls plz plss rly rlly rn secs soz sori srsly sry srs tho thru thx thnx thanx tmr tmrw tmw tomoz tonite nite ty tysm tyvm vid "
    "vids wk wks wkend wks w wo w/ w/o wat wut wot wen hv hav hrs mins yrs xoxo xx xxx xo "
    # initials
    "asap asf af brb btw fr frfr fyi gtg hbu hmu idc idek idk ik ikr ily ilysm imho imo irl istg jk kms lmao lmfao lol lolz nbd np nvm "
    "ofc omfg omg rofl smh tbh tfw tmi ttyl wbu wtf wth wyd ngl "
    # run together, or as spoken, or without the apostrophe
    "aint arent cant couldnt couldve didnt doesnt dont dunno finna gimme gonna gotta hadnt hasnt havent im isnt ive kinda lemme outta "
    "shes hes shouldnt shoulda sorta thats theres theyre tryna wanna wasnt werent whats wont wouldnt woulda coulda yall youre youve goin "
    "doin feelin nothin somethin enuf luv ya yea nah hiya til shud cud wud"
)
TEXTESE = frozenset(_CHAT.split())
"""Spellings of chat. A word counts in any case of letters; a single `x`, `k`, `n` or `c` does not, for it may be a sign."""

_WORD = regex.compile(r"[\p{L}\p{N}](?:[\p{L}\p{M}\p{N}'’/]*[\p{L}\p{M}\p{N}])?/?")  # noqa: RUF001  # people type it
_SENTENCE_END = regex.compile(r"[.!?…。！？]+(?=\s|$)|\n+")  # noqa: RUF001  # of other scripts
_EMOJI = regex.compile(r"[\p{Extended_Pictographic}\p{Regional_Indicator}]")
_SIGNS = regex.compile(r"[©®™‼⁉]")  # pictographs by Unicode, and no emoji to anybody


def words(text: str) -> list[str]:
    """Words in lower case, the apostrophe inside a word kept as `'`."""
    return [word.replace("\u2019", "'") for word in _WORD.findall(text.lower())]


def sentences(text: str) -> int:
    """Stretches that end in a mark or a line break; at least 1 where there is a word."""
    return sum(bool(_WORD.search(part)) for part in _SENTENCE_END.split(text))


def has_textese(text: str) -> bool:
    """Whether any word is a chat spelling."""
    return not TEXTESE.isdisjoint(words(text))


def has_emoji(text: str) -> bool:
    """Whether any emoji stands in the text; signs such as © are none."""
    return bool(_EMOJI.search(_SIGNS.sub("", text)))


@dataclass(frozen=True, slots=True)
class Spread:
    """How a count is spread over the messages of a set."""

    n: int
    mean: float
    sd: float
    """Of the sample (n - 1); 0 for a single message."""
    median: float
    least: int
    most: int


def spread(counts: Sequence[int]) -> Spread:
    """Describe counts, one for each message.

    Raises:
        ValueError: there are none.
    """
    if not counts:
        raise ValueError("there is nothing to describe")
    return Spread(
        n=len(counts),
        mean=statistics.fmean(counts),
        sd=statistics.stdev(counts) if len(counts) > 1 else 0.0,
        median=statistics.median(counts),
        least=min(counts),
        most=max(counts),
    )


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The words of a set."""

    unique: int
    total: int
    top: tuple[tuple[str, int], ...]
    """The ten commonest, with their counts; equal counts in the order of the alphabet."""

    @property
    def type_token_ratio(self) -> float | None:
        """`unique / total`; it falls with the size of a set, so only sets of one size are comparable. `None` without words."""
        return self.unique / self.total if self.total else None


def vocabulary(texts: Iterable[str]) -> Vocabulary:
    """Count the words of a set."""
    counts = Counter(word for text in texts for word in words(text))
    top = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:10]
    return Vocabulary(unique=len(counts), total=counts.total(), top=tuple(top))
