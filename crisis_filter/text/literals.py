"""Patterns that cannot match a text are left out before they are tried: most texts hold none of the words that most patterns need.

From each pattern come clauses: sets of strings of which every match contains at least one. Nearly all of a text's patterns fail one
of their clauses, and looking strings up is a hundred times cheaper than searching. A part of a pattern that this module does not
understand says nothing, so a clause may be missing and never wrong (Cox, "Regular Expression Matching with a Trigram Index", 2012,
has the idea).
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from typing import Any

__all__ = ["Literals", "clauses"]

# The parser of `re` has no public name; its constants are the same in Python 3.11 to 3.14.
sre: Any = import_module("re._constants")
parser: Any = import_module("re._parser")

Clause = frozenset[str]

_GRAM = 3
"""Strings are looked up by three of their characters; a clause with a shorter one is left out."""
_MOST = 128
"""Strings in a clause."""
_WIDEST = 8
"""Characters of a class that are written out."""


class Literals:
    """Patterns, and what a text must hold for each of them.

    Args:
        patterns: compiled without flags; the order is kept.
    """

    def __init__(self, patterns: Sequence[re.Pattern[str]]) -> None:
        self._patterns = tuple(patterns)
        numbers: dict[Clause, int] = {}
        self._needs = tuple(
            sum({1 << numbers.setdefault(clause, len(numbers)) for clause in clauses(pattern)})
            for pattern in self._patterns
        )
        given: defaultdict[str, int] = defaultdict(int)
        for clause, number in numbers.items():
            for string in clause:
                given[string] |= 1 << number
        grams = Counter(gram for string in given for gram in _grams(string))
        index: defaultdict[str, list[tuple[str, int]]] = defaultdict(list)
        for string, bits in given.items():
            # By the three that the fewest strings share, so that few are looked at in vain.
            index[min(_grams(string), key=lambda gram: (grams[gram], gram))].append((string, bits))
        self._index = dict(index)

    def possible(self, text: str) -> Iterator[int]:
        """The places, in the order given, of the patterns that may match somewhere in a text; those left out match nowhere in it.

        Args:
            text: the string that would be searched.
        """
        held = 0
        for gram in self._index.keys() & _grams(text):
            for string, bits in self._index[gram]:
                if bits & ~held and string in text:
                    held |= bits
        return (place for place, needs in enumerate(self._needs) if needs & held == needs)

    def search(self, text: str) -> bool:
        """Whether any of the patterns matches somewhere."""
        return any(self._patterns[place].search(text) for place in self.possible(text))

    def matching(self, text: str) -> Iterator[int]:
        """The places of the patterns that match somewhere, in the order given; searched as they are asked for."""
        return (place for place in self.possible(text) if self._patterns[place].search(text))


def _grams(text: str) -> set[str]:
    return {text[at : at + _GRAM] for at in range(len(text) - _GRAM + 1)}


def clauses(pattern: re.Pattern[str]) -> frozenset[Clause]:
    """Sets of strings, each of at least three characters; every match contains, or looks at, one string of each set.

    Args:
        pattern: any; without a flag other than `re.UNICODE`, or nothing is known of it.

    Returns:
        Empty when nothing is known.
    """
    if pattern.flags & ~re.UNICODE.value:
        return frozenset()
    walk = _Walk()
    walk.sequence(parser.parse(pattern.pattern))
    return frozenset(walk.done())


class _Walk:
    """Reads a pattern from left to right: the strings that the present run may be, and the clauses of the runs before."""

    def __init__(self) -> None:
        self._runs: set[str] = {""}
        self._clauses: list[Clause] = []

    def done(self) -> list[Clause]:
        """All clauses."""
        self._close()
        return self._clauses

    def sequence(self, items: Any) -> None:
        """One after the other."""
        for kind, value in items:
            self._item(kind, value)

    def _item(self, kind: Any, value: Any) -> None:
        if kind in (sre.AT, sre.ASSERT_NOT):
            return  # of no width, so that what stands on both sides touches
        strings = _strings(kind, value)
        if strings is not None and len(strings) * len(self._runs) <= _MOST:
            self._runs = {run + string for run in self._runs for string in strings}
            return
        self._close()
        if strings is not None and len(strings) <= _MOST:
            self._runs = set(strings)
            return
        self._clauses += _inside(kind, value)

    def _close(self) -> None:
        if min(map(len, self._runs)) >= _GRAM:
            self._clauses.append(_shortest(self._runs))
        self._runs = {""}


def _shortest(strings: Iterable[str]) -> Clause:
    """Without those that hold another."""
    kept: list[str] = []
    for string in sorted(strings, key=len):
        if not any(other in string for other in kept):
            kept.append(string)
    return frozenset(kept)


def _inside(kind: Any, value: Any) -> list[Clause]:
    """What is known of an item that is no small set of strings."""
    match kind:
        case sre.SUBPATTERN if not (value[1] or value[2]):
            return _of(value[3])
        case sre.ATOMIC_GROUP:
            return _of(value)
        case sre.ASSERT:
            return _of(value[1])
        case sre.MAX_REPEAT | sre.MIN_REPEAT | sre.POSSESSIVE_REPEAT if value[0] >= 1:
            return _of(value[2])
        case sre.BRANCH:
            return _either([_of(way) for way in value[1]])
        case _:
            return []


def _of(items: Any) -> list[Clause]:
    walk = _Walk()
    walk.sequence(items)
    return walk.done()


def _either(ways: list[list[Clause]]) -> list[Clause]:
    """A match goes one of these ways: one clause of each, together."""
    if not all(ways):
        return []
    # The one that the fewest texts hold, as far as lengths tell.
    together = frozenset().union(*(max(way, key=lambda clause: (min(map(len, clause)), -len(clause))) for way in ways))
    return [_shortest(together)] if len(together) <= 4 * _MOST else []


def _strings(kind: Any, value: Any) -> set[str] | None:
    """All strings that an item matches, when they are few."""
    match kind:
        case sre.LITERAL:
            return {chr(value)}
        case sre.IN:
            return _characters(value)
        case sre.SUBPATTERN if not (value[1] or value[2]):
            return _all(value[3])
        case sre.ATOMIC_GROUP:
            return _all(value)
        case sre.BRANCH:
            ways = [_all(way) for way in value[1]]
            if any(way is None for way in ways):
                return None
            together = set().union(*(way for way in ways if way is not None))
            return together if len(together) <= _MOST else None
        case sre.MAX_REPEAT | sre.MIN_REPEAT | sre.POSSESSIVE_REPEAT if (value[0], value[1]) == (0, 1):
            once = _all(value[2])
            return None if once is None else once | {""}
        case _:
            return None


def _all(items: Any) -> set[str] | None:
    """All strings that a sequence matches, when they are few."""
    strings = {""}
    for kind, value in items:
        more = None if kind in (sre.AT, sre.ASSERT, sre.ASSERT_NOT) else _strings(kind, value)
        if more is None or len(strings) * len(more) > _MOST:
            return None
        strings = {string + end for string in strings for end in more}
    return strings


def _characters(parts: Any) -> set[str] | None:
    found: set[str] = set()
    for kind, value in parts:
        if kind is sre.LITERAL:
            found.add(chr(value))
        elif kind is sre.RANGE and value[1] - value[0] < _WIDEST:
            found |= {chr(code) for code in range(value[0], value[1] + 1)}
        else:
            return None
    return found if len(found) <= _WIDEST else None
