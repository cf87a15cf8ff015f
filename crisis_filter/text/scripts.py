"""What a reader of English cannot read in a text: other scripts, words without spaces."""

from __future__ import annotations

import regex

_FOREIGN = regex.compile(r"(?!\p{Latin})\p{L}")
_RUN_TOGETHER = regex.compile(r"[^\W_]{41,}")


def beyond_latin(text: str) -> int:
    """How many letters are of another script than Latin."""
    return len(_FOREIGN.findall(text))


def runs_together(text: str) -> bool:
    """Whether somewhere more than 40 letters stand without a break, as in words written without spaces."""
    return _RUN_TOGETHER.search(text) is not None
