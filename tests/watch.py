"""Hears every log record of a test run, and knows the words that may not be in one."""

from __future__ import annotations

import json
import logging

CANARIES = ("canary7731", "heron5520")
# Shorter texts turn up by chance.
_SHORTEST = 12
_PIECE = 24


class Watch(logging.Handler):
    """Collects the lines of every logger and the words of the messages that were judged, from one look to the next."""

    def __init__(self) -> None:
        super().__init__(logging.NOTSET)
        self._formatter = logging.Formatter("%(message)s")
        # Most lines are the same ones again.
        self._lines: set[tuple[str, str]] = set()
        self._words: set[str] = set()
        self._before: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.add((record.name, self._formatter.format(record)))

    def remember(self, words: str | None) -> None:
        """Words that must not be logged: as they are, and pieces of them."""
        if words is None or len(words) < _SHORTEST:
            return
        self._words.add(words)
        if len(words) > 2 * _PIECE:
            middle = len(words) // 2
            self._words |= {words[:_PIECE], words[middle : middle + _PIECE], words[-_PIECE:]}

    def heard(self) -> set[str]:
        """Names of the loggers that gave away words of this test or the one before; the next look begins anew."""
        words, lines = self._words | self._before, self._lines
        self._before, self._words, self._lines = self._words, set(), set()
        if not lines:
            return set()
        # As they are, and as JSON and `repr` escape them.
        looked_for = {*CANARIES, *words, *(json.dumps(w)[1:-1] for w in words), *(repr(w)[1:-1] for w in words)}
        return {name for name, line in lines if any(word in line for word in looked_for)}
