"""Messages that are nearly copies of one another, found over a whole set."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from rapidfuzz import fuzz, process

from crisis_filter.datasets.similarity import fingerprint

__all__ = ["CONTAINED", "NEAR", "REORDERED", "Near", "copies", "near_copies"]

NEAR = 80.0
"""Likeness, 0 to 100, at which two messages count as near-copies: about one letter in five differs."""
CONTAINED = 76.5
"""The same where one message is the other and goes on: a whole message and something over half its length again."""
REORDERED = 95.0
"""The same for two messages whose words were sorted first: sorted, short messages on one matter look alike when they are not."""
_AT_ONCE = 250
_RANGE = "a likeness must lie above 0 and not above 100"


@dataclass(frozen=True, slots=True)
class Near:
    """Two messages by their places, the first before the second."""

    first: int
    second: int
    likeness: float
    """0 to 100: twice the length of the longest common subsequence, by the lengths of both (normalised indel similarity)."""
    how: Literal["nearly", "contained", "reordered"] = "nearly"
    """Whether one is nearly the other, or wholly in it, or of nearly the same words; of these the likeness is that of the words, sorted."""


def near_copies(texts: Sequence[str], *, least: float = NEAR) -> Iterator[Near]:
    """Every pair of texts that are at least so alike, after case, white space and compatibility forms are folded.

    Every pair of like lengths is looked at: two seconds for ten thousand short messages on two cores, and four times that for twice as many.

    Args:
        texts: of messages, in any order.
        least: likeness from which a pair counts, above 0 and up to 100.

    Raises:
        ValueError: `least` is out of range.
    """
    return _pairs([fingerprint(text) for text in texts], least)


def copies(texts: Sequence[str], *, least: float = NEAR) -> Iterator[Near]:
    """Every pair that is nearly the same text, or of which one stands letter by letter in the other, or has the same words in any order.

    The first by `least`, the second from `CONTAINED`, the third from `REORDERED`; each pair once.

    Args:
        texts: of messages, in any order.
        least: as in `near_copies`.

    Raises:
        ValueError: `least` is out of range.
    """
    if not 0 < least <= 100:
        raise ValueError(_RANGE)
    folded = [fingerprint(text) for text in texts]
    found = set()
    for pair in _pairs(folded, min(least, CONTAINED)):
        lengths = len(folded[pair.first]), len(folded[pair.second])
        # The longest common subsequence, as a share of the shorter text; the likeness was rounded.
        whole = pair.likeness * sum(lengths) >= 0.99 * 200 * min(lengths)
        if pair.likeness >= least or whole:
            found.add((pair.first, pair.second))
            yield pair if pair.likeness >= least else replace(pair, how="contained")
    for pair in _pairs([" ".join(sorted(text.split())) for text in folded], REORDERED):
        if (pair.first, pair.second) not in found:
            yield replace(pair, how="reordered")


def _pairs(folded: Sequence[str], least: float) -> Iterator[Near]:
    if not 0 < least <= 100:
        raise ValueError(_RANGE)
    order = sorted(range(len(folded)), key=lambda at: len(folded[at]))
    lengths = [len(folded[at]) for at in order]
    found = []
    for start in range(0, len(order), _AT_ONCE):
        rows = order[start : start + _AT_ONCE]
        # Two texts have at most the shorter one in common, so a much longer one cannot be alike; one more for what rounding may take.
        longest = lengths[start + len(rows) - 1] * (200 / least - 1) + 1
        columns = order[start : bisect_right(lengths, longest)]
        likeness = process.cdist(
            [folded[at] for at in rows],
            [folded[at] for at in columns],
            scorer=fuzz.ratio,
            score_cutoff=least,
            dtype=np.float32,
            workers=-1,
        )
        for row, column in zip(*np.nonzero(np.triu(likeness, 1)), strict=True):
            first, second = sorted((rows[row], columns[column]))
            found.append(Near(first, second, round(float(likeness[row, column]), 1)))
    yield from sorted(found, key=lambda pair: (pair.first, pair.second))
