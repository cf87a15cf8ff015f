"""Data sets of labelled messages: a folder with a manifest, one JSON Lines file for each split, and the checks they must pass."""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationError, model_validator

from crisis_filter import assets
from crisis_filter.errors import AssetError
from crisis_filter.schema import Record, Severity, Subject, Timeframe

Split = Literal["training", "development", "validation", "test"]


class Labelled(Record):
    """One message with its reference labels."""

    id: str = Field(min_length=1)
    text: str = Field(min_length=1, repr=False)
    crisis: bool
    """Whether anybody in the message is in crisis."""
    categories: tuple[str, ...]
    """Category ids; empty exactly when `crisis` is false."""
    severity: Severity | None
    """`None` when not a crisis."""
    subject: Subject | None
    """Whose crisis; `None` when not a crisis."""
    timeframe: Timeframe | None
    """When; `None` when not a crisis."""
    kind: str
    """How the message is told: `direct`, `masked`, `idiom`, ..."""
    author: str
    """Who wrote it. Messages of one author are one cluster, not independent."""

    @model_validator(mode="after")
    def _labels_agree(self) -> Self:
        if self.crisis != bool(self.categories):
            raise ValueError("a crisis has categories and nothing else has")
        if len({self.crisis, *(v is not None for v in (self.severity, self.subject, self.timeframe))}) != 1:
            raise ValueError("severity, subject and timeframe belong to a crisis")
        return self


class Part(Record):
    """One file of a data set."""

    file: str = Field(pattern=r"^[A-Za-z0-9._-]+$")
    split: Split
    rows: int = Field(ge=0)
    crisis: int = Field(ge=0)
    """Rows that are a crisis."""
    categories: dict[str, int]
    """Rows in each category; a row may count in several."""
    authors: dict[str, int]
    """Rows by each author."""
    sha256: str
    """Of the file's bytes."""


class Manifest(Record):
    """What `manifest.json` says."""

    id: str
    licence: str
    labelled_by: str
    """Who gave the labels, in words that stand wherever a figure from them stands (law 8)."""
    parts: tuple[Part, ...]


def describe(path: Path, split: Split, rows: Sequence[Labelled]) -> Part:
    """The manifest's entry for one file."""
    return Part(
        file=path.name,
        split=split,
        rows=len(rows),
        crisis=sum(row.crisis for row in rows),
        categories=dict(sorted(Counter(c for row in rows for c in row.categories).items())),
        authors=dict(sorted(Counter(row.author for row in rows).items())),
        sha256=assets.file_sha256(path),
    )


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a data set.

    Raises:
        AssetError: when it is missing or malformed.
    """
    path = folder / "manifest.json"
    try:
        return Manifest.model_validate_json(assets.read_text(path))
    except ValidationError as error:
        raise AssetError(f"{path}: {error.error_count()} fields are missing or wrong") from None


def read_rows(path: Path) -> tuple[Labelled, ...]:
    """The messages of one file, in order.

    Raises:
        AssetError: when a line is not a labelled message; names the line, never its text.
    """
    rows = []
    for number, line in enumerate(assets.read_text(path).removesuffix("\n").split("\n"), start=1):
        try:
            rows.append(Labelled.model_validate_json(line))
        except ValidationError as error:
            raise AssetError(f"{path}: line {number} has {error.error_count()} fields missing or wrong") from None
    return tuple(rows)


def load(folder: Path, split: Split) -> tuple[Labelled, ...]:
    """All messages of one split, their files checked against the manifest.

    Args:
        folder: the data set.
        split: which of its splits.

    Returns:
        The messages in file order; never empty.

    Raises:
        AssetError: when the split does not exist, or a file is missing, malformed or altered.
    """
    parts = [part for part in read_manifest(folder).parts if part.split == split]
    if not parts:
        raise AssetError(f"{folder}: there is no split {split!r}")
    rows: list[Labelled] = []
    for part in parts:
        path = folder / part.file
        if assets.file_sha256(path) != part.sha256:
            raise AssetError(f"{path}: its SHA-256 is not the one in the manifest; restore the file")
        found = read_rows(path)
        if describe(path, part.split, found) != part:
            raise AssetError(f"{path}: its counts are not those in the manifest")
        rows += found
    return tuple(rows)


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


def check(folder: Path, *, near: float = 0.6) -> Manifest:
    """Check a whole data set: hashes, counts, unique ids, no text and no near-copy in two splits.

    Args:
        folder: the data set.
        near: two messages of different splits whose 5-character shingles have at least this Jaccard index are near-copies.

    Returns:
        The manifest.

    Raises:
        AssetError: naming the first trouble by id, never by text.
    """
    manifest = read_manifest(folder)
    splits = sorted({part.split for part in manifest.parts})
    rows = [(split, row) for split in splits for row in load(folder, split)]
    for what, keys in (("id", [row.id for _, row in rows]), ("text", [fingerprint(row.text) for _, row in rows])):
        seen: dict[str, str] = {}
        for key, (_, row) in zip(keys, rows, strict=True):
            if key in seen:
                raise AssetError(f"{folder}: {row.id} and {seen[key]} have the same {what}")
            seen[key] = row.id
    _no_near_copies(folder, rows, near)
    return manifest


def _no_near_copies(folder: Path, rows: Sequence[tuple[Split, Labelled]], near: float) -> None:
    """Compare each message with those of larger splits that share a shingle with it."""
    sizes = Counter(split for split, _ in rows)
    holders: defaultdict[str, list[int]] = defaultdict(list)
    cut = [shingles(row.text) for _, row in rows]
    for split, _ in sizes.most_common():
        mine = [place for place, (own, _) in enumerate(rows) if own == split]
        for place in mine:
            shared = Counter(other for shingle in cut[place] for other in holders.get(shingle, ()))
            for other, common in shared.items():
                if common >= near * (len(cut[place]) + len(cut[other]) - common):
                    first, second = rows[place], rows[other]
                    raise AssetError(
                        f"{folder}: {first[1].id} ({first[0]}) and {second[1].id} ({second[0]}) are near-copies"
                    )
        for place in mine:
            for shingle in cut[place]:
                holders[shingle].append(place)
