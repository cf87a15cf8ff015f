"""When two messages are copies, or nearly."""

from __future__ import annotations

import unicodedata


def fingerprint(text: str) -> str:
    """The text with case, compatibility forms and white space folded: equal for two copies of one message."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def shingles(text: str, size: int = 5) -> frozenset[str]:
    """All runs of `size` characters of a folded text; the whole of a shorter one."""
    folded = fingerprint(text)
    return frozenset(folded[i : i + size] for i in range(max(1, len(folded) - size + 1)))


def similarity(first: frozenset[str], second: frozenset[str]) -> float:
    """Jaccard index of two sets of shingles, 0 to 1; 1 for two empty sets."""
    union = len(first | second)
    return len(first & second) / union if union else 1.0
