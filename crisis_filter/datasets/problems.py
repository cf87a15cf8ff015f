"""What is wrong with a data set, told by ids, splits and figures."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from crisis_filter.datasets.near import copies
from crisis_filter.datasets.private import private_data
from crisis_filter.datasets.records import Labelled, Manifest
from crisis_filter.datasets.similarity import fingerprint
from crisis_filter.schema import Record
from crisis_filter.text import normalise

__all__ = ["Problem", "problems", "unlisted"]

# Rows that nothing is ever fitted to or chosen on.
_KEPT_APART = ("test", "test-hard", "multilingual", "validation", "development")
# Rows set aside are never scored.
_ASIDE = "aside"
# Anything else may be a message that stands in the wrong field.
_ID = re.compile(r"[a-z][a-z0-9_]{0,63}")

_HOW = {"nearly": "", "contained": ", one is in the other", "reordered": ", words in another order"}

_Rows = Sequence[tuple[str, Labelled]]


class Problem(Record):
    """Something wrong with a set, by ids."""

    kind: Literal[
        "unlisted_file",
        "same_id",
        "same_text",
        "near_copy",
        "near_copy_within",
        "author_in_two_splits",
        "label_against_raters",
        "raters_differ",
        "category",
        "one_class",
        "blank_text",
        "private_data",
    ]
    weight: Literal["error", "warning"]
    detail: str
    """Ids, splits and figures; never a text."""


def unlisted(folder: Path, manifest: Manifest) -> Iterator[Problem]:
    """JSON Lines files that lie in the folder of a data set and that its manifest does not name; subfolders are not looked into."""
    named = {part.file for part in manifest.parts}
    for file in sorted(folder.iterdir()):
        if file.suffix.lower() == ".jsonl" and file.is_file() and file.name not in named:
            detail = f"{file.name} is not in the manifest; list it, or move it away"
            yield Problem(kind="unlisted_file", weight="error", detail=detail)


def problems(
    rows: Mapping[str, Sequence[Labelled]], known: Sequence[str] | None = None, near: float = 80.0
) -> Iterator[Problem]:
    """What is wrong with the rows of a set.

    Args:
        rows: of each split.
        known: ids of categories that may occur; `None` takes any.
        near: likeness, above 0 to 100, from which two messages are near-copies.

    Raises:
        ValueError: `near` is out of range.
    """
    every = [(split, row) for split, found in rows.items() for row in found]
    yield from _same(every)
    yield from _alike(every, near)
    yield from _leaks(every)
    yield from _against_raters(every)
    yield from _one_class(rows)
    for split, row in every:
        place = f"{row.id} ({split})"
        if odd := sorted(set(row.categories) - set(known)) if known is not None else []:
            detail = f"{place}: {', '.join(_shown(name) for name in odd)} not in the taxonomy"
            yield Problem(kind="category", weight="error", detail=detail)
        if not (any(map(str.isalnum, row.text)) or normalise(row.text).text.strip()):
            yield Problem(kind="blank_text", weight="warning", detail=f"{place}: nothing can be seen in the text")
        for kind in private_data(row.text):
            detail = f"{place}: looks like {kind.replace('_', ' ')}"
            yield Problem(kind="private_data", weight="warning", detail=detail)


def _shown(name: str) -> str:
    return name if _ID.fullmatch(name) else "a text that is no id"


def _same(every: _Rows) -> Iterator[Problem]:
    kinds: tuple[tuple[Literal["same_id", "same_text"], list[str]], ...] = (
        ("same_id", [row.id for _, row in every]),
        ("same_text", [fingerprint(row.text) for _, row in every]),
    )
    for kind, keys in kinds:
        seen: dict[str, str] = {}
        for key, (split, row) in zip(keys, every, strict=True):
            place = f"{row.id} ({split})"
            if key in seen:
                yield Problem(kind=kind, weight="error", detail=f"{seen[key]} and {place}")
            seen.setdefault(key, place)


def _alike(every: _Rows, near: float) -> Iterator[Problem]:
    for pair in copies([row.text for _, row in every], least=near):
        (one, first), (other, second) = every[pair.first], every[pair.second]
        if fingerprint(first.text) == fingerprint(second.text):
            continue
        detail = f"{first.id} ({one}) and {second.id} ({other}): likeness {pair.likeness:.0f}"
        detail += _HOW[pair.how]
        # What is like a row that is never scored spoils nothing.
        apart = one != other and _ASIDE not in (one, other)
        yield Problem(
            kind="near_copy" if apart else "near_copy_within", weight="error" if apart else "warning", detail=detail
        )


def _leaks(every: _Rows) -> Iterator[Problem]:
    """Authors who wrote for training and for a split that is kept apart from it."""
    splits: defaultdict[str, set[str]] = defaultdict(set)
    for split, row in every:
        splits[row.author].add(split)
    for author, where in sorted(splits.items()):
        apart = sorted(where.intersection(_KEPT_APART))
        if "training" in where and apart:
            detail = f"author {author} wrote for training and for {', '.join(apart)}"
            yield Problem(kind="author_in_two_splits", weight="error", detail=detail)


def _against_raters(every: _Rows) -> Iterator[Problem]:
    """Labels that nobody decided and that the raters' own do not give."""
    for split, row in every:
        said = {(rating.crisis, frozenset(rating.categories)) for rating in row.ratings}
        if row.adjudication.strip() or not said:
            continue
        place = f"{row.id} ({split})"
        if len(said) > 1:
            on = "crisis or not" if len({crisis for crisis, _ in said}) > 1 else "the categories"
            detail = f"{place}: raters differ on {on}, and no adjudication says why it stands as it does"
            yield Problem(kind="raters_differ", weight="error", detail=detail)
        elif said != {(row.crisis, frozenset(row.categories))}:
            on = "the categories" if {crisis for crisis, _ in said} == {row.crisis} else "crisis or not"
            detail = f"{place}: differs from all its raters on {on}, and no adjudication says why"
            yield Problem(kind="label_against_raters", weight="error", detail=detail)


def _one_class(rows: Mapping[str, Sequence[Labelled]]) -> Iterator[Problem]:
    for split, found in rows.items():
        if split != _ASIDE and len({row.crisis for row in found}) == 1:
            detail = f"{split}: every message is a crisis" if found[0].crisis else f"{split}: no message is a crisis"
            yield Problem(kind="one_class", weight="warning", detail=detail)
