"""Text that is read backwards: letters turned upside down, and right-to-left overrides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import regex

from crisis_filter.text.clusters import CLUSTER, HIDDEN


def _pairs(row: str) -> dict[str, str]:
    return {row[at]: row[at + 1] for at in range(0, len(row), 2)}


# Each sign before the one it is when turned.
_TURNED = _pairs("ɐaɔcǝeɟfƃgɓgɥhᴉiɾjʞkꞁlɯmɹrʇtʌvʍwʎy∀AƆCƎEℲF⅁G⅂LԀPᴚRΛV∩U⅄Y")
# Letters and signs that look like others on their heads, but are ordinary ones too.
_EITHER = _pairs(
    "bqdpllnuoopdqbssunxxzzıiʃlןlHHIINNOOSSXXZZMWWM00112255698896Ɩ1ᄅ2Ɛ3ㄣ4ϛ5ㄥ7𐐒BᗺBᗡD⊥T┴T"
    '..,\'\',""??!!())([]][{}}{<>><--::;;__&&˙.¿?¡!‾_؛;⅋&„"'
)
_ALL = _TURNED | _EITHER
_DEFINITE = regex.compile("[" + "".join(_TURNED) + "]")
_SIGN = "[" + regex.escape("".join(_ALL)) + "]"
_RUN = regex.compile(rf"(?<!\S){_SIGN}++(?:\s++{_SIGN}++(?!\S))*+(?!\S)")
_WORD = regex.compile(r"\S+")
# Turned letters that are sounds to a phonetician.
_SOUNDS = frozenset("ɐɓɔɟɥɯɹɾʌʍʎ")
# One turned letter may belong to a language; two kinds that make up a third of a run do not, nor do four kinds of sounds.
_KINDS = 2
_KINDS_OF_SOUNDS = 4
_SHARE = 1 / 3
_RIGHT_TO_LEFT = "\u202e"
_EMBEDDINGS = "\u202a\u202b\u202d\u202e"
_ISOLATES = "\u2066\u2067\u2068"
_ENDS_EMBEDDING, _ENDS_ISOLATE = "\u202c", "\u2069"
_STRONG = "\u200e\u200f\u061c"  # hidden, but letters to the order
_ENDS_PARAGRAPH = "\n\r\x1c\x1d\x1e\x85\u2029"


def turned_back(text: str) -> tuple[str, list[int]] | None:
    """The text with each run of upside-down words turned back, which also reverses it.

    A run is made of whole words all of whose letters can stand on their heads; enough of them must be turned letters, so
    that phonetic symbols and languages that use one such letter stay.

    Args:
        text: any text.

    Returns:
        The new text and, for each of its code points, its place in `text`; `None` when no run is upside down.
    """
    if text.isascii() or len(set(_DEFINITE.findall(text))) < _KINDS:
        return None
    spans = [span for match in _RUN.finditer(text) if (span := _upside_down(text, *match.span())) is not None]
    if not spans:
        return None
    places: list[int] = []
    chars = list(text)
    at = 0
    for start, end in spans:
        places.extend(range(at, start))
        places.extend(range(end - 1, start - 1, -1))
        chars[start:end] = [_ALL.get(c, c) for c in text[start:end]]
        at = end
    places.extend(range(at, len(text)))
    return "".join(chars[place] for place in places), places


def _upside_down(text: str, start: int, end: int) -> tuple[int, int] | None:
    """The part of a run that is upside down, if any; upright words around the run may lend it theirs at its ends."""
    if start > 0 or end < len(text):
        words = [m.span() for m in _WORD.finditer(text, start, end) if _DEFINITE.search(m.group())]
        if not words:
            return None
        start, end = words[0][0], words[-1][1]
    found = _DEFINITE.findall(text, start, end)
    letters = sum(c.isalpha() for c in text[start:end])
    kinds = set(found)
    enough = len(kinds) >= (_KINDS_OF_SOUNDS if kinds <= _SOUNDS else _KINDS) and len(found) >= letters * _SHARE
    return (start, end) if enough else None


@dataclass(slots=True)
class _Stretch:
    """What stands between a direction mark and its end, in the order of the text."""

    mark: str
    isolated: bool = False
    """Whether it is, or stands in, an isolate."""
    pieces: list[range | _Stretch] = field(default_factory=list)
    """Places of a cluster, or a stretch within."""

    @property
    def embeds(self) -> bool:
        """Whether an embedding or an override opened it."""
        return self.mark != "" and self.mark in _EMBEDDINGS

    def within(self, mark: str) -> _Stretch:
        """The stretch that this mark opens here; embeddings with nothing between them are one."""
        last = self.pieces[-1] if self.pieces else None
        if isinstance(last, _Stretch) and last.mark == mark and mark in _EMBEDDINGS:
            return last
        self.pieces.append(stretch := _Stretch(mark, self.isolated or mark in _ISOLATES))
        return stretch

    def shown(self) -> Iterator[int]:
        """The places from left to right; letters under an override run the other way, whatever holds it."""
        waiting: list[range | _Stretch] = [self]
        while waiting:
            piece = waiting.pop()
            if isinstance(piece, range):
                yield from piece
            else:
                waiting.extend(piece.pieces if piece.mark == _RIGHT_TO_LEFT else reversed(piece.pieces))


def displayed(text: str) -> tuple[str, list[int]] | None:
    """The text in the order a screen shows it after right-to-left overrides (U+202E), without hidden code points.

    An override ends at its U+202C, at the U+2069 of the isolate it stands in, or with the paragraph (UAX #9, X1 to X8,
    without the limit on depth); what is nested in it keeps its own direction. Letters that run from right to left by nature,
    and embeddings without override, stay in the order in which they are read.

    Args:
        text: any text.

    Returns:
        The new text and, for each of its code points, its place in `text`; `None` when there is no override. Time is linear
        in the length.
    """
    if _RIGHT_TO_LEFT not in text:
        return None
    whole = _Stretch("")
    opened = [whole]
    for match in CLUSTER.finditer(text):
        cluster = match.group()
        mark = cluster[0]
        if mark in _EMBEDDINGS or mark in _ISOLATES:
            opened.append(opened[-1].within(mark))
        elif mark in (_ENDS_EMBEDDING, _ENDS_ISOLATE):
            _end(mark, opened)
        elif mark in _STRONG or mark.isspace() or not HIDDEN.fullmatch(cluster):
            if mark in _ENDS_PARAGRAPH:
                del opened[1:]
            opened[-1].pieces.append(range(*match.span()))
    places = list(whole.shown())
    return "".join(text[place] for place in places), places


def _end(mark: str, opened: list[_Stretch]) -> None:
    """Close the innermost embedding, unless an isolate opened after it; or the innermost isolate and all within."""
    if mark == _ENDS_EMBEDDING:
        if opened[-1].embeds:
            opened.pop()
    elif opened[-1].isolated:
        while opened.pop().embeds:
            pass
