"""Evidence is checked: where a quote stands in the message."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from crisis_filter.schema import Evidence
from crisis_filter.text.views import View, normalise


class QuoteFinder:
    """Looks quotes up in one raw text, forgiving case, white space and what `normalise` folds.

    Args:
        text: the raw text; folded once, at the first look-up.
    """

    def __init__(self, text: str) -> None:
        self._text = text

    @cached_property
    def _folded(self) -> View:
        return normalise(self._text, casefold=True)

    def find(self, quotes: Iterable[str]) -> tuple[tuple[Evidence, ...], int]:
        """Look quotes up.

        Args:
            quotes: as a model gave them; empty ones and repeats are ignored and not counted as dropped.

        Returns:
            The evidence found, ordered by place, and how many quotes occur nowhere (law 5: dropped and counted).
        """
        found: dict[tuple[int, int], Evidence] = {}
        dropped = 0
        for quote in dict.fromkeys(quotes):
            wanted = normalise(quote, casefold=True).text.strip(" \"'")
            if not wanted:
                continue
            at = self._folded.text.find(wanted)
            if at < 0:
                dropped += 1
                continue
            start, end = self._folded.starts[at], self._folded.ends[at + len(wanted) - 1]
            found[start, end] = Evidence(quote=self._text[start:end], start=start, end=end)
        return tuple(found[key] for key in sorted(found)), dropped
