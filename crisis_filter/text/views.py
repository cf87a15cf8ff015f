"""Canonical views of a text: the raw one, and a normalised one when it says something else.

A word can be hidden from a reader of code points and stay plain to a reader of glyphs: a soft hyphen inside it, fullwidth
letters, tag characters. So both views are judged and the higher risk wins. Every view keeps a map back to the raw text,
because evidence is reported in raw offsets.

Unicode properties: Default_Ignorable_Code_Point and Bidi_Control of the Unicode Character Database (UAX #44), grapheme
clusters of UAX #29, NFKC of UAX #15.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import regex

ViewName = Literal["raw", "normalised"]

# A run of plain ASCII needs no folding; its last letter is left out when something that may combine with it follows.
_CLUSTER = regex.compile(r"(?P<plain>[\t\n\r -~]+(?![^\x00-\x7f]))|\X")
_HIDDEN = regex.compile(r"[\p{Default_Ignorable_Code_Point}\p{Bidi_Control}]|(?![\t\n\r])\p{Cc}|\u2800|\ufeff")
_EMOJI = regex.compile(r"\p{Extended_Pictographic}|\p{Regional_Indicator}|\p{Emoji_Modifier}|\u20e3")
_TAG_ASCII = range(0xE0020, 0xE007F)
_TAG_OFFSET = 0xE0000
# Typing software puts these in unasked, so on their own they are no reason to judge a text twice.
_COSMETIC = {ord(a): b for a, b in zip("‘’‚‛“”„‟–—‐‑´`", "''''\"\"\"\"----''", strict=True)} | {ord("…"): "..."}
# Marks beyond this many in one cluster are decoration laid over the letters, which no written language needs.
_MARKS_KEPT = 2


@dataclass(frozen=True, slots=True)
class View:
    """One reading of a message, with the way back to the raw text."""

    name: ViewName
    text: str = field(repr=False)
    starts: tuple[int, ...] = field(repr=False)
    """For each code point of `text`, the raw offset where its source begins."""
    ends: tuple[int, ...] = field(repr=False)
    """For each code point of `text`, the raw offset after its source."""


def _visible(cluster: str) -> str:
    """The cluster as a reader sees it: tag characters spelled out, hidden code points gone, letters folded by NFKC."""
    if _EMOJI.search(cluster):  # joiners and variation selectors are part of an emoji; tags are flags of regions
        return cluster
    spelled = "".join(chr(ord(c) - _TAG_OFFSET) if ord(c) in _TAG_ASCII else c for c in cluster)
    folded = unicodedata.normalize("NFKC", _HIDDEN.sub("", spelled)).translate(_COSMETIC)
    base = [c for c in folded if not unicodedata.combining(c)]
    marks = len(folded) - len(base)
    return folded if marks <= _MARKS_KEPT else unicodedata.normalize("NFC", "".join(base))


def _spelled_tags(cluster: str) -> str:
    """Tag characters that ride on an emoji but spell no region flag, as ASCII; else nothing."""
    if cluster.startswith("\U0001f3f4"):  # black flag: the only base a valid tag sequence has
        return ""
    return "".join(chr(ord(c) - _TAG_OFFSET) for c in cluster if ord(c) in _TAG_ASCII)


def _readings(match: regex.Match[str]) -> Iterator[tuple[str, int, int]]:
    """What a reader sees of a cluster or of each letter of a plain run, with its place in the raw text."""
    start, end = match.span()
    plain = match.group("plain")
    if plain is not None:
        yield from ((letter, at, at + 1) for at, letter in enumerate(plain, start))
        return
    cluster = match.group()
    yield _visible(cluster) + (_spelled_tags(cluster) if _EMOJI.search(cluster) else ""), start, end


def mended(text: str) -> str:
    """The text with unpaired surrogates as U+FFFD, so that it can be encoded; every other code point keeps its place."""
    return regex.sub(r"[\ud800-\udfff]", "\ufffd", text)


def normalise(text: str, *, casefold: bool = False) -> View:
    """The normalised view.

    Tag characters become the ASCII they shadow, default-ignorable and bidi and control code points go (joiners inside an
    emoji stay), compatibility forms fold by NFKC, stacked marks go, white space becomes one space.

    Args:
        text: the raw text.
        casefold: also fold case, for looking a quote up.

    Returns:
        A view whose text is empty when nothing visible was in `text`.
    """
    out: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for match in _CLUSTER.finditer(text):
        for seen, start, end in _readings(match):
            for letter in seen.casefold() if casefold else seen:
                char = " " if letter.isspace() else letter
                if char == " " and (not out or out[-1] == " "):
                    continue
                out.append(char)
                starts.append(start)
                ends.append(end)
    if out and out[-1] == " ":
        for column in (out, starts, ends):
            column.pop()
    return View("normalised", "".join(out), tuple(starts), tuple(ends))


def views(text: str) -> tuple[View, ...]:
    """The views of a text that deserve a judgement of their own, raw first.

    The normalised view is left out when it differs from the raw one by no more than white space, Unicode composition and
    the typographic quotes, dashes and dots that phones put in.

    Returns:
        No view when nothing visible is in the text, else one or two.
    """
    normal = normalise(text)
    if not normal.text.strip():
        return ()
    spots = tuple(range(len(text)))
    raw = View("raw", text, spots, tuple(i + 1 for i in spots))
    plain = " ".join(unicodedata.normalize("NFC", text).translate(_COSMETIC).split())
    return (raw,) if plain == unicodedata.normalize("NFC", normal.text) else (raw, normal)
