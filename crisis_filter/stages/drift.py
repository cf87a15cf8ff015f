"""Categories that survive schema drift.

A malformed, cut or mismatched answer is never repaired and never clears anybody. But where it marks a category as present,
dropping that would be a silent negative of our own making. So the objects in it are searched, leniently and one way only:
what is found can raise and do nothing else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any, TypeVar, get_args

from crisis_filter.backends.parse import claims_true
from crisis_filter.schema import SEVERITIES, UNSPECIFIED, Severity, Subject, Timeframe
from crisis_filter.stages.base import Named

_WordT = TypeVar("_WordT", bound=str)

# A name before an object, its quotes perhaps escaped because the answer is a string inside something else.
_NAMED_OBJECT = re.compile(r'\\*"(?P<name>[^"\\{}]{1,60})\\*"\s*:\s*\{')
# An answer has eight objects; a hostile one may have any number of any length, and each costs time.
_MOST_PARTS = 200
_LONGEST_PART = 8_000


def drifted_categories(text: str, known: tuple[str, ...]) -> tuple[Named, ...]:
    """Categories that a faulty Stage 2 answer marks as present, with whatever of their fields is valid.

    Args:
        text: the answer as sent.
        known: the taxonomy's category ids, in order.

    Returns:
        In the taxonomy's order; last `unspecified`, when a category the taxonomy does not have was marked. When a category is
        marked twice, the graver one.
    """
    found: dict[str, Named] = {}
    for name, part in islice(_marked(text), _MOST_PARTS):
        named = _named(name if name in known else UNSPECIFIED, part)
        if named.category not in found or _grade(named) > _grade(found[named.category]):
            found[named.category] = named
    return tuple(found[name] for name in (*known, UNSPECIFIED) if name in found)


def _marked(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every named object that says it is present, whole or cut, wherever it stands; a cut one has no other fields."""
    decoder = json.JSONDecoder()
    for match in islice(_NAMED_OBJECT.finditer(text), _MOST_PARTS):
        start = match.end() - 1
        segment = text[start : start + _LONGEST_PART].partition("}")[0]
        try:
            part, _ = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            part = {}
        if part.get("present") is True or claims_true(segment, "present"):
            yield match.group("name"), part


def _named(category: str, part: dict[str, Any]) -> Named:
    quotes = part.get("quotes")
    rationale = part.get("rationale")
    return Named(
        category=category,
        severity=_word(part.get("severity"), SEVERITIES),
        subject=_word(part.get("subject"), get_args(Subject)) or "unclear",
        timeframe=_word(part.get("timeframe"), get_args(Timeframe)) or "unclear",
        quotes=tuple(q for q in quotes if isinstance(q, str)) if isinstance(quotes, list) else (),
        rationale=rationale if isinstance(rationale, str) and rationale else None,
    )


def _word(value: object, known: tuple[_WordT, ...]) -> _WordT | None:
    return next((word for word in known if word == value), None)


def _grade(named: Named) -> int:
    severity: Severity | None = named.severity
    return -1 if severity is None else SEVERITIES.index(severity)
