"""Text that is read backwards: letters turned upside down, and right-to-left overrides."""

from __future__ import annotations

import regex

from crisis_filter.text.clusters import CLUSTER


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
_OVERRIDE = regex.compile(r"\u202e([^\u202c\n\r\u2029]*)")


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


def displayed(text: str) -> tuple[str, list[int]] | None:
    """The text in the order a screen shows it after right-to-left overrides (U+202E), without their marks.

    Overrides run to the next U+202C or the end of the line; deeper nesting is not followed (a simplification of UAX #9).

    Args:
        text: any text.

    Returns:
        The new text and, for each of its code points, its place in `text`; `None` when there is no override.
    """
    if "\u202e" not in text:
        return None
    places: list[int] = []
    at = 0
    for match in _OVERRIDE.finditer(text):
        places.extend(range(at, match.start()))
        clusters = [m.span() for m in CLUSTER.finditer(text, *match.span(1))]
        places.extend(place for start, end in reversed(clusters) for place in range(start, end))
        at = match.end()
    places.extend(range(at, len(text)))
    return "".join(text[place] for place in places), places
