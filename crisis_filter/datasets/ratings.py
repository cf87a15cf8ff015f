"""What raters said, read from files of one line for each rater and item."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from crisis_filter.errors import InputError
from crisis_filter.schema import Severity, Subject, Timeframe

__all__ = ["CLOSED", "OWN", "RatingLine", "by_item", "read_ratings", "refuse_too_few"]

CLOSED: dict[str, tuple[str, ...]] = {
    "severity": get_args(Severity),
    "subject": get_args(Subject),
    "timeframe": get_args(Timeframe),
}
"""Fields that take one of a closed set of words."""
OWN = ("id", "rater", "crisis", "categories")
"""Fields that every line has."""


@dataclass(frozen=True, slots=True)
class RatingLine:
    """What one rater said of one item."""

    id: str
    rater: str
    crisis: bool | None
    categories: frozenset[str] | None
    fields: Mapping[str, str | int | bool | None]
    cluster: str | int | bool | None
    place: str


def read_ratings(
    path: Path, categories: tuple[str, ...], extra: tuple[str, ...], cluster: str | None
) -> Iterator[RatingLine]:
    """The ratings of a file.

    Raises:
        InputError: naming file and line, never a value: it may hold a message.
    """
    try:
        content = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: cannot be read as UTF-8 text ({type(error).__name__}). Name a JSON Lines file"
        ) from None
    for number, line in enumerate(content.split("\n"), start=1):
        if line.strip():
            try:
                yield _rating(_object(line), categories, extra, cluster, f"{path}: line {number}")
            except ValueError as error:
                raise InputError(f"{path}: line {number}: {error}") from None


def _object(line: str) -> dict[str, object]:
    """The object on a line."""

    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        if len(dict(pairs)) != len(pairs):
            raise KeyError
        return dict(pairs)

    try:
        value = json.loads(line, object_pairs_hook=once)
    except KeyError:
        raise ValueError("a field occurs twice; keep one of them") from None
    except (ValueError, RecursionError):
        raise ValueError("not valid JSON; write one object a line") from None
    if not isinstance(value, dict):
        raise ValueError("not a JSON object; write one object a line")  # noqa: TRY004  # told as one kind of trouble
    return value


def _rating(
    row: dict[str, object], categories: tuple[str, ...], extra: tuple[str, ...], cluster: str | None, place: str
) -> RatingLine:
    """The rating in an object.

    Raises:
        ValueError: what is wrong and what to do.
    """
    crisis, named = row.get("crisis"), row.get("categories")
    if "crisis" not in row or not (crisis is None or isinstance(crisis, bool)):
        raise ValueError("'crisis' must be true or false, or null where the rater gave no answer")
    if named is None and crisis is False:
        named = []
    if not (named is None or isinstance(named, list)):
        raise ValueError("'categories' must be a list of ids, or null where the rater gave no answer")
    if not all(isinstance(each, str) and each in categories for each in named or ()):
        raise ValueError(f"unknown category; there are {', '.join(categories)}. Mend it, or choose another --taxonomy")
    if crisis is False and named:
        raise ValueError("'crisis' is false, yet categories are named; mend one of them")
    for name, words in CLOSED.items():
        if not (row.get(name) is None or row[name] in words):
            raise ValueError(f"'{name}' must be one of {', '.join(words)}, or null")
    return RatingLine(
        id=str(_plain_value(row, "id", needed=True)),
        rater=str(_plain_value(row, "rater", needed=True)),
        crisis=crisis,
        categories=None if named is None else frozenset(map(str, named)),
        fields={name: _plain_value(row, name) for name in (*CLOSED, *extra)},
        cluster=_plain_value(row, cluster, needed=True) if cluster is not None else None,
        place=place,
    )


def _plain_value(row: dict[str, object], name: str, *, needed: bool = False) -> str | int | bool | None:
    """A field that holds one word, whole number, true or false."""
    value = row.get(name)
    if needed and (value in (None, "") or isinstance(value, bool)):
        raise ValueError(f"'{name}' is missing; every line needs one")
    if not (value is None or isinstance(value, str | int)):
        raise ValueError(f"'{name}' must be a word, a whole number, true, false or null")
    return value


def by_item(ratings: Sequence[RatingLine]) -> dict[str, dict[str, RatingLine]]:
    """For each id, in order, what each rater said.

    Raises:
        InputError: a rater has rated an item twice, or an item belongs to two clusters.
    """
    found: dict[str, dict[str, RatingLine]] = {}
    for one in ratings:
        item = found.setdefault(one.id, {})
        if one.rater in item:
            raise InputError(
                f"{one.place}: this rater has rated this id before ({item[one.rater].place}). "
                "Keep one of the two, or name the raters apart"
            )
        if item and (first := next(iter(item.values()))).cluster != one.cluster:
            raise InputError(f"{one.place}: the cluster of this id is not that of {first.place}. Mend one of them")
        item[one.rater] = one
    return found


def refuse_too_few(
    found: Mapping[str, Mapping[str, RatingLine]], raters: tuple[str, ...], extra: tuple[str, ...]
) -> None:
    """Refuse what nothing can be said of.

    Raises:
        InputError: fewer than two raters, no item that two have rated, or a field that no line has.
    """
    if len(raters) < 2:
        raise InputError("fewer than two raters (field 'rater') in all files together. Add the ratings of another")
    if all(len(item) < 2 for item in found.values()):
        raise InputError("no id is rated by two raters. Use the same ids for the same messages in all files")
    for name in extra:
        if all(one.fields[name] is None for item in found.values() for one in item.values()):
            raise InputError(f"no line has the field {name!r}. Mend the name after --field")
