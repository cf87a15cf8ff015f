"""What raters said: files of one line for each rater and item, rows that carry their ratings, and whole data sets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from crisis_filter import assets
from crisis_filter.datasets.objects import Entry, kind_of, read_lines
from crisis_filter.datasets.reading import read_manifest, refuse_table
from crisis_filter.errors import AssetError, InputError
from crisis_filter.schema import Severity, Subject, Timeframe

__all__ = ["CLOSED", "OWN", "RatingLine", "RatingsFound", "Wanted", "by_item", "read_ratings", "refuse_too_few"]

CLOSED: dict[str, tuple[str, ...]] = {
    "severity": get_args(Severity),
    "subject": get_args(Subject),
    "timeframe": get_args(Timeframe),
}
"""Fields that take one of a closed set of words."""
OWN = ("id", "rater", "crisis", "categories")
"""Fields that every line has."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to read of every rating."""

    categories: tuple[str, ...]
    """Ids that may occur."""
    extra: tuple[str, ...] = ()
    """Fields to compare besides `CLOSED`."""
    cluster: str | None = None
    """Field that says which items belong together; of the row where ratings stand in a row."""


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


@dataclass(frozen=True, slots=True)
class RatingsFound:
    """The ratings of one file or data set."""

    lines: tuple[RatingLine, ...]
    unrated: int = 0
    """Rows of a data set that carry no rating, in the splits that were taken."""
    splits: tuple[str, ...] = ()
    """Those that were taken, in the order of the manifest; empty for a file."""


def read_ratings(path: Path, wanted: Wanted, splits: Sequence[str] = ()) -> RatingsFound:
    """The ratings of a file or of a data set.

    Args:
        path: JSON Lines with one line for each rater and item, or with rows whose `ratings` are a list; or a folder with a manifest,
            whose files are such rows.
        wanted: what to read.
        splits: of a folder, which ones; none takes every split that has a rating.

    Raises:
        InputError: naming file and line, never a value: it may hold a message. Of a folder also when a file is not the one that the
            manifest describes, or a split does not exist or has no rating.
    """
    if path.is_dir():
        return _of_folder(path, wanted, splits)
    if splits:
        raise InputError(f"{path}: a file has no splits; name the folder of a data set, or leave out --split")
    return _of_file(path, wanted)


def _of_folder(folder: Path, wanted: Wanted, splits: Sequence[str]) -> RatingsFound:
    try:
        parts = read_manifest(folder).parts
        names = tuple(dict.fromkeys(part.split for part in parts))
        if unknown := [name for name in splits if name not in names]:
            raise InputError(f"{folder}: there is no split {', '.join(unknown)}. There are: {', '.join(names)}")
        taken: dict[str, list[RatingsFound]] = {name: [] for name in names if name in splits or not splits}
        for part in parts:
            if part.split in taken:
                file = folder / part.file
                if assets.file_sha256(file) != part.sha256:
                    raise InputError(f"{file}: its SHA-256 is not the one in the manifest; restore the file")
                taken[part.split].append(_of_file(file, wanted, nested=True))
    except AssetError as error:  # the data is the input here
        raise InputError(str(error)) from None
    rated = {name: files for name, files in taken.items() if any(file.lines for file in files)}
    without = [name for name in taken if name not in rated]
    if without and (splits or not rated):
        raise InputError(f"{folder}: no row of {', '.join(without)} has ratings. Name splits whose messages were rated")
    return RatingsFound(
        lines=tuple(line for files in rated.values() for file in files for line in file.lines),
        unrated=sum(file.unrated for files in rated.values() for file in files),
        splits=tuple(rated),
    )


def _of_file(path: Path, wanted: Wanted, *, nested: bool = False) -> RatingsFound:
    """The ratings of one file.

    Args:
        path: of JSON Lines.
        wanted: what to read.
        nested: whether the rows carry their ratings; otherwise the rows tell.
    """
    refuse_table(path)
    entries = list(read_lines(path))
    if not nested and not any("ratings" in entry.fields for entry in entries):
        return RatingsFound(tuple(_line(entry, entry.fields, wanted) for entry in entries))
    lines: list[RatingLine] = []
    unrated = 0
    for entry in entries:
        if "rater" in entry.fields:
            raise InputError(
                f"{path}: line {entry.number}: has a 'rater' of its own, and other rows carry 'ratings'; give two files"
            )
        found = [_line(entry, fields, wanted, number) for number, fields in enumerate(_nested(entry, wanted), start=1)]
        unrated += not found
        lines += found
    return RatingsFound(tuple(lines), unrated)


def _nested(entry: Entry, wanted: Wanted) -> Iterator[dict[str, object]]:
    """The ratings in a row, each as a line of its own would have it."""
    ratings = entry.fields.get("ratings")
    if not (ratings is None or (isinstance(ratings, list) and all(isinstance(one, dict) for one in ratings))):
        what = "other things than objects" if isinstance(ratings, list) else kind_of(ratings)
        raise entry.wrong("ratings", f"holds {what}", "give a list of objects, one a rater")
    shared = [name for name in ("id", wanted.cluster) if name is not None and name in entry.fields]
    for one in ratings or ():
        yield one | {name: entry.fields[name] for name in shared}


def _line(entry: Entry, fields: Mapping[str, object], wanted: Wanted, number: int | None = None) -> RatingLine:
    place = f"{entry.file}: line {entry.number}" + ("" if number is None else f", rating {number}")
    try:
        return _rating(fields, wanted, place)
    except ValueError as error:
        raise InputError(f"{place}: {error}") from None


def _rating(row: Mapping[str, object], wanted: Wanted, place: str) -> RatingLine:
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
    if not all(isinstance(each, str) and each in wanted.categories for each in named or ()):
        raise ValueError(
            f"unknown category; there are {', '.join(wanted.categories)}. Mend it, or choose another --taxonomy"
        )
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
        fields={name: _plain_value(row, name) for name in (*CLOSED, *wanted.extra)},
        cluster=_plain_value(row, wanted.cluster, needed=True) if wanted.cluster is not None else None,
        place=place,
    )


def _plain_value(row: Mapping[str, object], name: str, *, needed: bool = False) -> str | int | bool | None:
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
