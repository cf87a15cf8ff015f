"""Words, pairs of words and pieces of words as numbered buckets: the second opinion beside the network, which spells where the network reads.

A bucket is a hash, so there is no list of words to ship; what collides shares a weight.

References:
    K. Weinberger et al., "Feature Hashing for Large Scale Multitask Learning", ICML 2009, doi:10.1145/1553374.1553516.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

SHORTEST, LONGEST = 2, 5
"""Letters of a piece of a word; the word's edges count as one each."""


def grams(words: Sequence[str]) -> Iterator[str]:
    """Every word, every pair of neighbours, and every piece of each word with its edges marked by a space."""
    before = None
    for word in words:
        yield f"w{word}"
        if before is not None:
            yield f"b{before} {word}"
        before = word
        edged = f" {word} "
        for size in range(SHORTEST, LONGEST + 1):
            for start in range(len(edged) - size + 1):
                yield edged[start : start + size]


def bucketed(words: Sequence[str], buckets: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Which buckets the grams of some words fall into, and 1 + ln of how often.

    Args:
        words: folded, as `wordpiece.words` gives them.
        buckets: how many there are.

    Returns:
        Two arrays of one length, at least 1: the last entry has the value 0, so that a text without words has one as well.
    """
    counts = Counter(zlib.crc32(gram.encode("utf-8", "surrogatepass")) % buckets for gram in grams(words))
    numbers = np.fromiter((*counts.keys(), 0), np.int64, len(counts) + 1)
    values = np.fromiter((*counts.values(), 1), np.float32, len(counts) + 1)
    values = np.log(values) + 1
    values[-1] = 0.0
    return numbers, values.astype(np.float32)
