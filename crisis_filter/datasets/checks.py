"""Whether a data set keeps its splits apart."""

from __future__ import annotations

from pathlib import Path

from crisis_filter.datasets.near import NEAR, copies
from crisis_filter.datasets.reading import load, read_manifest
from crisis_filter.datasets.records import Manifest
from crisis_filter.datasets.similarity import fingerprint
from crisis_filter.errors import AssetError


def check(folder: Path, *, near: float = NEAR) -> Manifest:
    """Check a whole data set: hashes, counts, unique ids, no text and no near-copy in two splits.

    Args:
        folder: the data set.
        near: likeness, above 0 to 100, from which two messages of different splits are near-copies, as in `datasets.near`; so are
            those of which one stands in the other, or that have the same words in another order.

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
    for pair in copies([row.text for _, row in rows], least=near):
        (one, first), (other, second) = rows[pair.first], rows[pair.second]
        if one != other:
            raise AssetError(f"{folder}: {first.id} ({one}) and {second.id} ({other}) are near-copies")
    return manifest
