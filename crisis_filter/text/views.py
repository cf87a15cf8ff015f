"""Canonical views of a text: the raw one, and others where a reader may see something else in it.

A word can be hidden from a reader of code points and stay plain to a reader of glyphs: a soft hyphen inside it, fullwidth
letters, tag characters, letters of another script. So every view is judged and the highest risk wins. Every view keeps a
map back to the raw text, because evidence is reported in raw offsets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import regex

from crisis_filter.text.clusters import clusters
from crisis_filter.text.confusables import unmasked
from crisis_filter.text.enclosed import bared
from crisis_filter.text.spelled import joined
from crisis_filter.text.turned import displayed, turned_back

ViewName = Literal["raw", "normalised", "displayed"]

_SURROGATE = re.compile("[\ud800-\udfff]")
_SPACES = regex.compile(r"\s+")
_PLAIN = regex.compile(r"[\t\n\r -~]*+")


@dataclass(frozen=True, slots=True)
class View:
    """One reading of a message, with the way back to the raw text."""

    name: ViewName
    text: str = field(repr=False)
    starts: tuple[int, ...] = field(repr=False)
    """For each code point of `text`, the raw offset where its source begins. Falling where letters were turned back."""
    ends: tuple[int, ...] = field(repr=False)
    """For each code point of `text`, the raw offset after its source."""

    def source(self, start: int, end: int) -> tuple[int, int]:
        """The stretch of the raw text that `text[start:end]` was made from; `start` below `end`."""
        return min(self.starts[start:end]), max(self.ends[start:end])


class _Draft:
    """A view in the making: a text, and for each of its code points where in the raw text it came from."""

    def __init__(self, text: str) -> None:
        self.disguised = False
        if _PLAIN.fullmatch(text):
            self.text = text
            self.starts: list[int] = list(range(len(text)))
            self.ends: list[int] = list(range(1, len(text) + 1))
            return
        pieces: list[str] = []
        self.starts, self.ends = [], []
        for seen, start, end, disguised in clusters(text):
            pieces.append(seen)
            self.disguised |= disguised
            if len(seen) == end - start:  # one for one, where it can be: a run of plain text above all
                self.starts.extend(range(start, end))
                self.ends.extend(range(start + 1, end + 1))
            else:
                self.starts.extend([start] * len(seen))
                self.ends.extend([end] * len(seen))
        self.text = "".join(pieces)

    def take(self, text: str, places: list[int]) -> None:
        """Become another text, made from the code points at these places of the present one."""
        self.text = text
        self.starts = [self.starts[at] for at in places]
        self.ends = [self.ends[at] for at in places]

    def read_glyphs(self) -> None:
        """Undo what hides words by the look, the turn or the spacing of their letters."""
        for undo in (bared, turned_back, joined, unmasked):
            if (change := undo(self.text)) is not None:
                self.take(*change)
                self.disguised = True

    def tidy(self) -> None:
        """One space for white space, none at the ends."""
        text = " ".join(self.text.split())
        if text == self.text:
            return
        start = len(self.text) - len(self.text.lstrip())
        end = len(self.text.rstrip())
        places: list[int] = []
        for space in _SPACES.finditer(self.text, start, end):
            places.extend(range(start, space.start() + 1))
            start = space.end()
        places.extend(range(start, end))
        self.take(text, places)

    def casefold(self) -> None:
        """Fold case; one code point may become several."""
        folded = self.text.casefold()
        if len(folded) == len(self.text) and self.text.isascii():
            self.text = folded
            return
        self.take(folded, [at for at, letter in enumerate(self.text) for _ in letter.casefold()])

    def view(self, name: ViewName) -> View:
        """The finished view."""
        return View(name, self.text, tuple(self.starts), tuple(self.ends))


def mended(text: str) -> str:
    """The text with unpaired surrogates as U+FFFD, so that it can be encoded; every other code point keeps its place."""
    return _SURROGATE.sub("\ufffd", text)


def normalise(text: str, *, casefold: bool = False, glyphs: bool = True) -> View:
    """The normalised view.

    Tag characters become the ASCII they shadow, default-ignorable and bidi and control code points go (joiners inside an
    emoji stay), compatibility forms fold by NFKC, stacked and struck-through marks go, white space becomes one space.
    Then words are read as they look: letters in boxes, turned letters, look-alikes of other scripts, letters set apart.

    Args:
        text: the raw text.
        casefold: also fold case, for looking a quote up.
        glyphs: also read words as they look, which depends on the whole text; without it a piece of a text normalises to
            a piece of the normalised text.

    Returns:
        A view whose text is empty when nothing visible was in `text`.
    """
    return _draft(text, casefold=casefold, glyphs=glyphs).view("normalised")


def _draft(text: str, *, casefold: bool = False, glyphs: bool = True) -> _Draft:
    draft = _Draft(text)
    if glyphs:
        draft.read_glyphs()
    draft.tidy()
    if casefold:
        draft.casefold()
    return draft


def as_displayed(text: str, *, casefold: bool = False) -> View | None:
    """The text in the order a screen shows it, normalised; `None` where no right-to-left override changes the order."""
    change = displayed(text)
    if change is None:
        return None
    shown, places = change
    view = normalise(shown, casefold=casefold)
    source: dict[tuple[int, int], tuple[int, int]] = {}
    for start, end in zip(view.starts, view.ends, strict=True):
        if (start, end) not in source:
            source[start, end] = min(places[start:end]), max(places[start:end]) + 1
    spans = [source[span] for span in zip(view.starts, view.ends, strict=True)]
    return View("displayed", view.text, tuple(start for start, _ in spans), tuple(end for _, end in spans))


def readings(text: str, *, casefold: bool) -> Iterator[View]:
    """Every way `QuoteFinder` may look a quote up, the fullest first."""
    yield normalise(text, casefold=casefold)
    yield normalise(text, casefold=casefold, glyphs=False)
    if (shown := as_displayed(text, casefold=casefold)) is not None:
        yield shown


def views(text: str) -> tuple[View, ...]:
    """The views of a text that deserve a judgement of their own, raw first.

    The normalised view is left out when it differs from the raw one by no more than what people and phones put in unasked:
    white space, Unicode composition, typographic quotes and dashes, the joiners and direction marks that a script needs,
    symbols such as a raised 2. A view as displayed is made only where a right-to-left override reverses letters.

    Returns:
        No view when nothing visible is in the text, else one to three.
    """
    draft = _draft(text)
    if not draft.text:
        return ()
    raw = View("raw", text, tuple(range(len(text))), tuple(range(1, len(text) + 1)))
    found = [raw, draft.view("normalised")] if draft.disguised else [raw]
    shown = as_displayed(text)
    if shown is not None and shown.text != draft.text:
        found.append(shown)
    return tuple(found)
