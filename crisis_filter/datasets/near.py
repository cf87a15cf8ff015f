"""Messages that are nearly copies of one another, found over a whole set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from rapidfuzz import fuzz, process

from crisis_filter.datasets.similarity import fingerprint

__all__ = ["NEAR", "Near", "near_copies"]

NEAR = 80.0
"""Likeness, 0 to 100, at which two messages count as near-copies: about one letter in five differs."""
_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Near:
    """Two messages by their places, the first before the second."""

    first: int
    second: int
    likeness: float
    """0 to 100: twice the length of the longest common subsequence, by the lengths of both (normalised indel similarity)."""


def near_copies(texts: Sequence[str], *, least: float = NEAR) -> Iterator[Near]:
    """Every pair of texts that are at least so alike, after case, white space and compatibility forms are folded.

    Every pair is looked at: five seconds for ten thousand short messages on two cores, and four times that for twice as many.

    Args:
        texts: of messages, in any order.
        least: likeness from which a pair counts, above 0 and up to 100.

    Raises:
        ValueError: `least` is out of range.
    """
    if not 0 < least <= 100:
        raise ValueError("least must lie above 0 and not above 100")
    folded = [fingerprint(text) for text in texts]
    for start in range(0, len(folded), _AT_ONCE):
        likeness = process.cdist(
            folded[start : start + _AT_ONCE],
            folded[start:],
            scorer=fuzz.ratio,
            score_cutoff=least,
            dtype=np.float32,
            workers=-1,
        )
        for row, column in zip(*np.nonzero(likeness), strict=True):
            if column > row:
                yield Near(start + int(row), start + int(column), round(float(likeness[row, column]), 1))
