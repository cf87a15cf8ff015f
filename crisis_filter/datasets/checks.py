"""Whether a data set keeps its splits apart."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from crisis_filter.datasets.reading import load, read_manifest
from crisis_filter.datasets.records import Labelled, Manifest, Split
from crisis_filter.datasets.similarity import fingerprint, shingles
from crisis_filter.errors import AssetError


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
