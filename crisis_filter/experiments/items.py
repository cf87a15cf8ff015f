"""The labelled messages of an experiment: read, drawn and put in order."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from crisis_filter.assets import file_sha256
from crisis_filter.datasets.reading import UNKNOWN, load, read_manifest, read_rows
from crisis_filter.datasets.records import Labelled
from crisis_filter.errors import AssetError, InputError
from crisis_filter.experiments.plan import Tests
from crisis_filter.experiments.records import Item
from crisis_filter.schema import Message

__all__ = ["Data", "Part", "part_of", "read_data", "text_sha256"]

_NOT_SAID = "not said"
_MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Data:
    """What an experiment asks about."""

    name: str
    sha256: tuple[str, ...]
    """Of the files."""
    labelled_by: str
    items: tuple[Item, ...]
    """In the order in which they are asked about, which is random, so that a look at a part is a look at a sample."""
    messages: Mapping[str, Message] = field(repr=False)
    """By id."""


@dataclass(frozen=True, slots=True)
class Part:
    """A file of a data set, by what the manifest beside it says."""

    data_set: str
    """Its id; empty where the manifest has none."""
    splits: tuple[str, ...]
    """What the file is for; empty where the manifest says nothing of it."""


def part_of(path: Path) -> Part | None:
    """The part of a data set that a file is: one that the manifest beside it lists by its name or its SHA-256.

    Read loosely, for a manifest that we would not load locks its files all the same.

    Returns:
        `None` for a folder, a file that is not there, and one that no manifest lists.

    Raises:
        InputError: the manifest or the file cannot be read, so nobody knows.
    """
    beside = path.parent / _MANIFEST
    if not path.is_file() or not beside.is_file():
        return None
    try:
        said = json.loads(beside.read_text(encoding="utf-8"))
        digest = file_sha256(path)
    except AssetError as error:
        raise InputError(str(error)) from None
    except (OSError, ValueError, RecursionError):
        raise InputError(f"{beside}: cannot be read, so nobody knows what {path.name} is for; restore it") from None
    parts = said.get("parts") if isinstance(said, dict) else None
    listed = [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []
    mine = [part for part in listed if part.get("file") == path.name or part.get("sha256") == digest]
    if not mine:
        return None
    return Part(str(said.get("id", "")), tuple(dict.fromkeys(split for part in mine for split in _splits(part))))


def _splits(part: Mapping[str, Any]) -> list[str]:
    """One, or all of those that share a file."""
    several = part.get("splits")
    return [str(part["split"])] if "split" in part else list(map(str, several)) if isinstance(several, dict) else []


def read_data(tests: Tests, known: Sequence[str]) -> Data:
    """The labelled messages that a plan names.

    Args:
        tests: which, with paths that need no folder.
        known: ids of the taxonomy's categories.

    Raises:
        InputError: no such file or split, a row without text or label, two rows of one id, an unknown category, a file that its data set has
            for another split; names file and row, never what it holds.
    """
    path = Path(tests.data)
    part = part_of(path)
    if part is not None and set(part.splits) - {tests.split}:
        raise InputError(
            f"{path}: is for {' and '.join(part.splits)} in the data set {part.data_set}, not for {tests.split} alone; say so, or name the folder"
        )
    try:
        if path.is_dir():
            manifest = read_manifest(path)
            rows = load(path, tests.split)
            files = [path / part.file for part in manifest.parts if part.split == tests.split]
            name, labelled_by = f"{manifest.id} {tests.split}", manifest.labelled_by
            if tests.labelled_by is not None:
                raise InputError(f"{path}: a data set says in its manifest who labelled it; leave labelled_by out")
        else:
            rows, files = read_rows(path), [path]
            name, labelled_by = f"{path.name} ({tests.split})", tests.labelled_by or _NOT_SAID
        hashes = tuple(map(file_sha256, files))
    except AssetError as error:  # the messages are the input here, and no part of the set-up
        raise InputError(f"tests.data: {error}") from None
    _refuse(path, rows, known)
    chosen = _drawn(rows, tests)
    return Data(
        name=name,
        sha256=hashes,
        labelled_by=labelled_by,
        items=tuple(map(_item, chosen)),
        messages={row.id: Message(id=row.id, text=row.text) for row in chosen},
    )


def text_sha256(text: str) -> str:
    """Hex digest of a text in UTF-8."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _item(row: Labelled) -> Item:
    return Item(
        id=row.id,
        crisis=row.crisis,
        categories=tuple(sorted(row.categories)),
        cluster=None if row.author == UNKNOWN else row.author,
        text_sha256=text_sha256(row.text),
    )


def _refuse(path: Path, rows: Sequence[Labelled], known: Sequence[str]) -> None:
    seen: set[str] = set()
    for number, row in enumerate(rows, start=1):
        if row.id in seen:
            raise InputError(f"{path}: row {number} has the id of a row before it; give each its own")
        seen.add(row.id)
        if not set(row.categories) <= set(known):
            raise InputError(f"{path}: row {number} names an unknown category; there are {', '.join(known)}")


def _drawn(rows: Sequence[Labelled], tests: Tests) -> list[Labelled]:
    """The messages asked about, in a random order that the seed decides; half of them crises, as far as there are."""
    order = np.random.default_rng(tests.seed).permutation(len(rows))
    shuffled = [rows[at] for at in order]
    if tests.limit is None or tests.limit >= len(shuffled):
        return shuffled
    crises = sum(row.crisis for row in shuffled)
    others = len(shuffled) - crises
    wanted = min(crises, max(tests.limit // 2, tests.limit - others))
    left = {True: wanted, False: tests.limit - wanted}
    chosen = []
    for row in shuffled:
        if left[row.crisis] > 0:
            left[row.crisis] -= 1
            chosen.append(row)
    return chosen
