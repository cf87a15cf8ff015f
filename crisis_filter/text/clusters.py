"""A text cluster by cluster, as a reader sees it.

Unicode properties: Default_Ignorable_Code_Point and Bidi_Control of the Unicode Character Database (UAX #44), grapheme
clusters of UAX #29, NFKC of UAX #15.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from functools import lru_cache

import regex

# A run of plain ASCII needs no folding; its last letter is left out when something that may combine with it follows.
# Flags come first: for each of a run of them \X looks back to where the run began.
CLUSTER = regex.compile(r"\p{Regional_Indicator}{2}[\u200d\ufe0f]*+|\X")
_PIECE = regex.compile(rf"(?P<plain>[\t\n\r -~]+(?![^\x00-\x7f]))|{CLUSTER.pattern}")
HIDDEN = regex.compile(
    r"[\p{Default_Ignorable_Code_Point}\p{Bidi_Control}]|(?![\t\n\r])\p{Cc}|[\u2800\ufeff\ufff9-\ufffb]"
)
_EMOJI = regex.compile(r"\p{Extended_Pictographic}|\p{Regional_Indicator}|\p{Emoji_Modifier}|\u20e3")
_TAG_ASCII = range(0xE0020, 0xE007F)
_TAG_OFFSET = 0xE0000
_TAGS = regex.compile(r"[\U000e0000-\U000e007f]+")
_BLACK_FLAG = "\U0001f3f4"  # what such a code rides on; it says nothing where the tags are words
# Parts of the United Kingdom, and states, whose flags phones draw. Any other code may be a word that nobody sees.
_REGION_FLAG = regex.compile(
    _BLACK_FLAG
    + "\ufe0f?(?:"
    + "|".join("".join(chr(_TAG_OFFSET + ord(c)) for c in code) for code in ("gbeng", "gbnir", "gbsct", "gbwls"))
    + "|\U000e0075\U000e0073[\U000e0061-\U000e007a]{2})\U000e007f\ufe0f?"
)
# Half a flag is a letter; three halves are dealt with where a run of them is seen.
_LONE_FLAG = regex.compile(r"\p{Regional_Indicator}(?!\p{Regional_Indicator})")
_FLAG_OFFSET = 0x1F1E6 - ord("A")
# Typing software puts these in unasked, so on their own they are no reason to judge a text twice.
_COSMETIC = {ord(a): b for a, b in zip("‘’‚‛“”„‟–—‐‑´", "''''\"\"\"\"----'", strict=True)} | {ord("…"): "..."}
# Marks laid over letters: blocks of combining marks that belong to no one script; and those that spell no language.
_MARK = regex.compile(r"[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]")
_DECORATION = regex.compile(
    rf"(?![\u0300-\u0304\u0306-\u030d\u030f\u0311\u0313\u0314\u031b\u0323-\u0329\u032d\u032e\u0330\u0331]"
    rf"|[\u0342\u0345\u0358\u035c\u0361\u0483\u0484]){_MARK.pattern}"
)
# Marks beyond this many in one cluster are decoration laid over the letters, which no written language needs.
_MARKS_KEPT = 2
# A cluster longer than this is no letter of any language, and putting its marks in order would take its length squared.
_LONGEST = 64
_LETTERS_LONG = 3
_ASCII_LETTER = regex.compile(r"[A-Za-z]")
# Alphabets with capitals use no joiners, direction marks or zero-width spaces inside a word; others do.
_CASED = regex.compile(r"[\p{Lu}\p{Ll}\p{Lt}0-9]")
_UNCASED = regex.compile(r"[\p{Lo}\p{M}]")
# Signs that fold into letters and that people type for what they are: ordinals, trade marks, units, Roman numerals.
_SIGNS = regex.compile(r"[ªº™℠℡℃℉№℀℁℅℆Ω\u2160-\u217f\u3250\u3371-\u337a\u3380-\u33df\u3200-\u32ff₨]")
# French and English ordinals: a number and raised letters.
_ORDINAL = regex.compile(r"(?<=\d)[\u02b0-\u02b8\u02e1-\u02e3\u1d2c-\u1d6a\u2071\u207f]{1,3}+(?!\p{L})")
_JOINERS = regex.compile(r"[\u200c\u200d\ufe00-\ufe0f\U000e0100-\U000e01ef\u180b-\u180f]+")
_DIRECTIONS = regex.compile(r"[\u200e\u200f\u061c\u202a-\u202c\u2066-\u2069]+")


def clusters(text: str) -> Iterator[tuple[str, int, int, bool]]:
    """What a reader sees of each cluster, or of each run of plain ASCII.

    Args:
        text: the raw text.

    Yields:
        What is seen (empty for a cluster of hidden code points), start and end of its source in the raw text, and whether
        what is seen differs by more than ordinary typing makes of it.
    """
    before = ""  # the visible code point just before
    ordinal = 0  # where the last ordinal ends
    waiting = False  # a direction mark stands right behind a letter: inside a word it would be a disguise
    for match in _PIECE.finditer(text):
        start, end = match.span()
        cluster = match.group()
        if match.group("plain") is not None:
            seen, disguised = cluster, False
        elif cluster.isspace():
            seen, disguised = ("\n" if cluster in "\u2028\u2029\x0b\x0c\x85" else " "), False
        elif cluster == "\ufeff" and start == 0:
            continue
        elif _DIRECTIONS.fullmatch(cluster):
            waiting |= _CASED.match(before) is not None
            continue
        elif _LONE_FLAG.match(cluster) and not _LONE_FLAG.match(text, start - 1, start):
            seen, disguised = chr(ord(cluster[0]) - _FLAG_OFFSET), True
        elif cluster in "\u200b\u180e" and before and _parts_words(text, start, end):
            continue
        else:
            seen, disguised = _remembered(cluster) if len(cluster) <= _LETTERS_LONG else _visible(cluster)
            if disguised and (raised := _ORDINAL.match(text, start)) is not None:
                ordinal = raised.end()
            disguised &= end > ordinal
        if seen:
            disguised |= waiting and _CASED.match(seen) is not None
            waiting = False
            before = seen[-1]
        yield seen, start, end, disguised


def _parts_words(text: str, start: int, end: int) -> bool:
    """Whether a zero-width space or a vowel separator stands between two letters of a script that uses it."""
    return bool(_UNCASED.match(text, start - 1) and _UNCASED.match(text, end))


def _visible(cluster: str) -> tuple[str, bool]:
    """The cluster as a reader sees it, and whether that differs by more than ordinary typing makes of it."""
    if _EMOJI.search(cluster):  # joiners and variation selectors are part of an emoji; tags are flags of regions
        spelled = _spelled_tags(cluster)
        return (_TAGS.sub("", cluster).replace(_BLACK_FLAG, " ") + spelled, True) if spelled else (cluster, False)
    spelled = "".join(chr(ord(c) - _TAG_OFFSET) if ord(c) in _TAG_ASCII else c for c in cluster)
    bare = HIDDEN.sub("", spelled)
    if len(bare) > _LONGEST:
        return _MARK.sub("", bare), True
    folded = _folded(bare)
    kept = _without_decoration(folded)
    if kept == _composed(cluster):
        return kept, False
    hidden = bare != cluster and not (_UNCASED.match(bare) and _only_joiners(cluster, bare))
    gained = _letters(folded) != _letters(unicodedata.normalize("NFC", bare)) and not _SIGNS.match(bare)
    return kept, hidden or gained or kept != folded


# Letters come again and again. A longer cluster may be somebody's words in tags, so it is not kept.
_remembered = lru_cache(4096)(_visible)


def _only_joiners(cluster: str, bare: str) -> bool:
    """Whether only what joins or varies the letters of some scripts was hidden in the cluster."""
    return _JOINERS.sub("", cluster) == bare


def _folded(bare: str) -> str:
    """NFKC, but for a spacing accent, which would become a space."""
    plain = bare.translate(_COSMETIC)
    folded = unicodedata.normalize("NFKC", plain)
    return folded if not folded.startswith(" ") else unicodedata.normalize("NFC", plain)


def _composed(cluster: str) -> str:
    """What a text editor makes of the cluster: hidden code points may be many, letters and marks are not."""
    return unicodedata.normalize("NFC", cluster).translate(_COSMETIC)


def _letters(text: str) -> list[str]:
    return _ASCII_LETTER.findall(text)


def _without_decoration(folded: str) -> str:
    """The cluster without marks that spell nothing, and without any when there are more than languages use."""
    if len(folded) < 2:
        return folded
    apart = unicodedata.normalize("NFD", folded)
    if len(_MARK.findall(apart)) > _MARKS_KEPT:
        return _MARK.sub("", apart)
    return _DECORATION.sub("", folded)


def _spelled_tags(cluster: str) -> str:
    """Tag characters that ride on an emoji but spell no region's flag, as ASCII; else nothing."""
    if not _TAGS.search(cluster) or _REGION_FLAG.fullmatch(cluster):
        return ""
    return "".join(chr(ord(c) - _TAG_OFFSET) for c in cluster if ord(c) in _TAG_ASCII)
