"""Which words moved the engine's score: each word of the telling passage is left out in turn and the rest is scored again.

Leaving out was measured against what costs nothing, the share of each token in the pooled last layer, and follows the score twice as
well (docs/decisions/0006-evidence.md). It says what moved this engine, not what a clinician would point at.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from crisis_filter.local.engine import LocalEngine, Probabilities

PASSAGE_WORDS = 24
"""Words of the passage that is looked at word by word; a longer text is first searched for the passage that scores highest alone."""
_STRIDE = PASSAGE_WORDS // 2
_SHARE = 0.25
_LEAST = 0.1
_MOST_WORDS = 8
_MOST_PHRASES = 3
_WORD = re.compile(r"\S+")


@dataclass(frozen=True, slots=True)
class Moved:
    """A passage of a text and what each of its words did to each score."""

    text: str = field(repr=False)
    spans: tuple[tuple[int, int], ...]
    """Where each word stands in `text`, at least one: first code point, and the one after its last."""
    drops: NDArray[np.float64] = field(repr=False)
    """Shape (words, labels): by how much the logit of a label falls without the word; below zero where it rises."""
    logits: NDArray[np.float64] = field(repr=False)
    """Shape (labels,): of the passage as it stands."""

    def phrases(self, label: int) -> tuple[str, ...]:
        """The phrases that moved one label, in the order of the text.

        Where no word matters by itself it is the whole passage if that has the label (at a half or more), else nothing.

        At most eight words, none with less than a quarter of the strongest word's effect, joined where at most one word lies between, and the three
        strongest of them. A phrase that occurs earlier in the text too grows until it is the first of its kind, so that looking it up
        finds this place.
        """
        drops = self.drops[:, label]
        if drops.max() < _LEAST:
            return (self._quote(0, len(self.spans) - 1),) if self.logits[label] >= 0 else ()
        strong = np.argsort(-drops, kind="stable")[:_MOST_WORDS]
        chosen = sorted(int(i) for i in strong if drops[i] >= max(_LEAST, _SHARE * drops.max()))
        groups: list[list[int]] = []
        for place in chosen:
            if groups and place - groups[-1][-1] <= 2:
                groups[-1].append(place)
            else:
                groups.append([place])
        groups.sort(key=lambda group: -float(drops[group].sum()))
        return tuple(self._quote(group[0], group[-1]) for group in sorted(groups[:_MOST_PHRASES]))

    def _quote(self, first: int, last: int) -> str:
        folded = self.text.casefold()
        while True:
            start, end = self.spans[first][0], self.spans[last][1]
            quote = self.text[start:end]
            earlier = folded.find(quote.casefold())
            if earlier in (-1, start) or (first == 0 and last == len(self.spans) - 1):
                return quote
            first, last = max(0, first - 1), min(len(self.spans) - 1, last + 1)


def moving_words(engine: LocalEngine, text: str, *, go_on: Callable[[], bool] = lambda: True) -> Moved | None:
    """Find the passage of a text that scores highest as a crisis, and leave out its words one by one.

    The cost is bounded by the length of the text: about two readings of it, and 25 of a passage of 24 words.

    Args:
        engine: gives the scores.
        text: one text; without any word there is nothing to find.
        go_on: asked before every run; once it says no the search ends.

    Returns:
        The passage, or `None` when there was no word or the search was ended.

    Raises:
        EngineError: as `LocalEngine.predict`.
    """
    spans = [match.span() for match in _WORD.finditer(text)]
    if len(spans) > PASSAGE_WORDS:
        starts = [*range(0, len(spans) - PASSAGE_WORDS, _STRIDE), len(spans) - PASSAGE_WORDS]
        passages = [spans[start : start + PASSAGE_WORDS] for start in starts]
        rows = _scored(engine, [text[p[0][0] : p[-1][1]] for p in passages], go_on)
        if rows is None:
            return None
        spans = passages[int(np.argmax(rows[:, 0]))]
    if not spans:
        return None
    start, end = spans[0][0], spans[-1][1]
    without = [text[start:first] + text[last:end] for first, last in spans]
    rows = _scored(engine, [text[start:end], *without], go_on)
    if rows is None:
        return None
    logits = _logits(rows)
    return Moved(text, tuple(spans), logits[0] - logits[1:], logits[0])


def _scored(engine: LocalEngine, texts: Sequence[str], go_on: Callable[[], bool]) -> Probabilities | None:
    rows = []
    for text in texts:
        if not go_on():
            return None
        rows.append(engine.score(text))
    return np.stack(rows)


def _logits(probabilities: Probabilities) -> NDArray[np.float64]:
    inside = np.clip(probabilities.astype(np.float64), 1e-7, 1 - 1e-7)
    logits: NDArray[np.float64] = np.log(inside / (1 - inside))
    return logits
