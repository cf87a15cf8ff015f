"""Evidence is checked: where a quote stands in the message."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from crisis_filter.schema import Evidence
from crisis_filter.text.views import View, normalise, readings


class QuoteFinder:
    """Looks quotes up in one raw text, forgiving case, white space and what `normalise` folds.

    A quote may come from any view of the text, so it is looked up in each reading of it.

    Args:
        text: the raw text; folded once, at the first look-up.
    """

    def __init__(self, text: str) -> None:
        self._text = text

    @cached_property
    def _readings(self) -> tuple[View, ...]:
        return tuple({view.text: view for view in readings(self._text, casefold=True)}.values())

    def _place(self, quote: str) -> tuple[int, int] | None:
        """Where in the raw text the quote stands; an empty stretch for a quote that says nothing."""
        as_read, as_written = (normalise(quote, casefold=True, glyphs=g).text.strip(" \"'") for g in (True, False))
        if not as_written:
            return 0, 0
        # A quote of a view needs no folding, and may not survive it where a mark meets a letter only in the quote.
        as_given = " ".join(quote.casefold().split())
        for view in self._readings:
            for wanted in dict.fromkeys((as_read, as_written, as_given)):
                if wanted and (at := view.text.find(wanted)) >= 0:
                    return view.source(at, at + len(wanted))
        return None

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
            place = self._place(quote)
            if place is None:
                dropped += 1
            elif place[0] < place[1]:
                start, end = place
                found[place] = Evidence(quote=self._text[start:end], start=start, end=end)
        return tuple(found[key] for key in sorted(found)), dropped
