"""Reading a data set: its manifest, and files that must be what the manifest says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from crisis_filter import assets
from crisis_filter.datasets.records import Labelled, Manifest, Part, Split
from crisis_filter.errors import AssetError


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
