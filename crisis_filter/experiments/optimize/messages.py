"""The messages of a search: development to choose by, training to learn from, and no other split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from crisis_filter.datasets.reading import load, read_manifest, read_rows
from crisis_filter.datasets.records import Labelled, Split
from crisis_filter.errors import AssetError, InputError
from crisis_filter.experiments.items import Data, read_data
from crisis_filter.experiments.looks import FREE, is_locked
from crisis_filter.experiments.optimize.feedback import Case
from crisis_filter.experiments.plan import Tests

__all__ = ["Cases", "development", "refuse_overlap", "training", "training_tests"]

_ONLY = "optimize sees training and development only"


@dataclass(frozen=True, slots=True)
class Cases:
    """Messages of one split."""

    data: Data
    cases: tuple[Case, ...]
    """In the order of `data.items`."""


def development(tests: Tests, known: Sequence[str]) -> Cases:
    """The messages that decide: those of the plan's `tests`.

    Raises:
        InputError: they are of another split than development, or not of both kinds; see `read_data`.
    """
    if tests.split != "development":
        raise InputError(f"tests.split is {tests.split!r}: {_ONLY}, and chooses by development; name that split")
    found = _cases(tests, known, "tests.data")
    if len({case.item.crisis for case in found.cases}) == 1:
        raise InputError(f"{tests.data}: {found.data.name} needs messages of both kinds, crises and others")
    return found


def training(tests: Tests, known: Sequence[str]) -> Cases:
    """The messages that a reflection model is shown.

    Raises:
        InputError: they are of a locked split; see `read_data`.
    """
    if is_locked(tests.split):
        raise InputError(f"--training names the split {tests.split!r}: {_ONLY}")
    return _cases(tests, known, "--training")


def training_tests(given: str | None, tests: Tests, *, limit: int, seed: int) -> Tests:
    """Which messages to learn from.

    Args:
        given: `DATA:SPLIT`, `DATA` alone for its training split, or `None` for the training split of the plan's data set.
        tests: the plan's.
        limit: take so many, half of them crises as far as there are.
        seed: decides which.

    Raises:
        InputError: the plan's data is a file, which has no training split, and nothing was given.
    """
    if given is None:
        if not Path(tests.data).is_dir():
            raise InputError(
                f"{tests.data}: a file has no training split; name messages to learn from: --training FILE"
            )
        given = tests.data
    data, _, split = given.rpartition(":")
    if not data or split not in get_args(Split):
        data, split = given, "training"
    place = str(Path(data).expanduser().resolve())
    return Tests.model_validate({"data": place, "split": split, "limit": limit, "seed": seed})


def refuse_overlap(learned: Cases, deciding: Cases) -> None:
    """Refuse to choose by messages that were learned from.

    Raises:
        InputError: names the ids.
    """
    texts = {case.item.text_sha256 for case in deciding.cases}
    ids = {case.item.id for case in deciding.cases}
    both = [case.item.id for case in learned.cases if case.item.text_sha256 in texts or case.item.id in ids]
    if both:
        raise InputError(
            f"{len(both)} of the messages to learn from are among those to choose by, the first is {both[0]}: keep them apart"
        )


def _cases(tests: Tests, known: Sequence[str], place: str) -> Cases:
    path = Path(tests.data)
    _refuse_locked(path, place)
    data = read_data(tests, known)
    rows = _rows(path, tests.split)
    return Cases(data, tuple(Case(item, data.messages[item.id], rows[item.id]) for item in data.items))


def _rows(path: Path, split: Split) -> dict[str, Labelled]:
    try:
        found = load(path, split) if path.is_dir() else read_rows(path)
    except AssetError as error:
        raise InputError(str(error)) from None
    return {row.id: row for row in found}


def _refuse_locked(path: Path, place: str) -> None:
    """Refuse the file of a locked split, whatever the plan calls it."""
    if path.is_dir() or not (path.parent / "manifest.json").exists():
        return
    try:
        parts = read_manifest(path.parent).parts
    except AssetError:
        return
    split = next((part.split for part in parts if part.file == path.name), None)
    if split is not None and split not in FREE:
        raise InputError(f"{place}: {path} is the split {split!r} of its data set: {_ONLY}")
