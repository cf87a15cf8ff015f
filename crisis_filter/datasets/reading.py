"""Reading a data set: its manifest, and files that must be what the manifest says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError, field_validator, model_validator

from crisis_filter import assets
from crisis_filter.datasets.objects import Entry, read_lines
from crisis_filter.datasets.records import Labelled, Manifest, Part, Rating, Split
from crisis_filter.errors import AssetError, InputError
from crisis_filter.schema import Severity, Subject, Timeframe

UNKNOWN = "unknown"
"""The author of a row that names none."""

# What is said of a kind of trouble; any other is "is wrong".
_WRONG = {
    "missing": "is missing",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be a text",
    "string_too_short": "is empty",
    "string_unicode": "has characters that are no text",
    "tuple_type": "must be a list",
}
_NAMED = 6
_TABLES = (".csv", ".tsv", ".parquet", ".xlsx", ".xls", ".ods")


class _Own(Labelled):
    """A row of a file that no manifest vouches for: it says the label, and may be silent on what nobody was asked.

    Null is as good as missing. `crisis` has no default here either.
    """

    categories: tuple[str, ...] = ()
    """Empty exactly when `crisis` is false, so a crisis has to name them."""
    severity: Severity | None = None
    subject: Subject | None = None
    timeframe: Timeframe | None = None
    author: str = UNKNOWN

    @field_validator("categories", mode="before")
    @classmethod
    def _none_named(cls, given: object) -> object:
        return () if given is None else given

    @field_validator("author", mode="before")
    @classmethod
    def _not_known(cls, given: object) -> object:
        return UNKNOWN if given is None or (isinstance(given, str) and not given.strip()) else given

    @model_validator(mode="after")
    def _labels_agree(self) -> Self:
        if self.crisis != bool(self.categories):
            raise ValueError("a crisis has categories and nothing else has")
        if not self.crisis and any(v is not None for v in (self.severity, self.subject, self.timeframe)):
            raise ValueError("severity, subject and timeframe belong to a crisis")
        return self


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
    if not path.exists():
        what = "file" if folder.is_dir() else "folder"
        raise AssetError(
            f"{path}: cannot be read: there is no such {what}; the folder of a data set has a manifest.json"
        )
    try:
        return Manifest.model_validate_json(assets.read_text(path))
    except ValidationError as error:
        raise AssetError(f"{path}: {error.error_count()} fields are missing or wrong") from None


def refuse_table(path: Path) -> None:
    """Refuse a table before it is called broken JSON; one that is not there is left to the reader, which says so.

    Raises:
        InputError: the name is that of a table; says what to do.
    """
    if Path(path.name.lower().removesuffix(".gz")).suffix in _TABLES and path.exists():
        raise InputError(f"{path}: only JSON Lines are read here; turn the table into JSON Lines, one object a row")


def read_rows(path: Path) -> tuple[Labelled, ...]:
    """The messages of one JSON Lines file of anybody's, in order and never none; a byte-order mark and blank lines are taken.

    A row needs `id`, `text` and `crisis`, and a crisis its `categories`. `severity`, `subject` and `timeframe` that are missing are
    `None`, of a crisis too, and an author who is missing or blank is `UNKNOWN`. The files of a manifest say all of it: see `load`.

    Raises:
        AssetError: when there is none, or a line is not a labelled message or has a key twice; names line and fields, never what they hold.
            Also when the file is a table.
    """
    return _read(path, _Own)


def _read(path: Path, kind: type[Labelled]) -> tuple[Labelled, ...]:
    try:
        refuse_table(path)
        rows = tuple(_labelled(entry, kind) for entry in read_lines(path))
    except InputError as error:
        raise AssetError(str(error)) from None
    if not rows:
        raise AssetError(f"{path}: there are no messages")
    return rows


def _labelled(entry: Entry, kind: type[Labelled]) -> Labelled:
    try:
        return kind.model_validate(entry.fields)
    except ValidationError as error:
        wrong = list(dict.fromkeys(_wrong(dict(one)) for one in error.errors(include_input=False, include_url=False)))
        more = [f"and {len(wrong) - _NAMED} more"] if len(wrong) > _NAMED else []
        raise InputError(f"{entry.file}: line {entry.number}: {'; '.join(wrong[:_NAMED] + more)}") from None


def _wrong(error: dict[str, Any]) -> str:
    """One trouble with a row, in words of ours."""
    kind, place = error["type"], error["loc"]
    if kind == "extra_forbidden":
        # Its name is of the file's making, and may be a message.
        within = _jq(place[:-1])
        return f"a field that is not known{' in ' + within if within else ''}; there are {_known(place)}"
    if kind == "value_error":
        return str(error["ctx"]["error"])
    if kind == "literal_error":
        return f"{_jq(place)} must be one of {error['ctx']['expected'].replace(chr(39), '')}"
    return f"{_jq(place)} {_WRONG.get(kind, 'is wrong')}"


def _known(place: tuple[int | str, ...]) -> str:
    return ", ".join((Rating if len(place) > 1 else Labelled).model_fields)


def _jq(place: tuple[int | str, ...]) -> str:
    """A field as `jq` names it, such as `ratings[0].crisis`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place).removeprefix(".")


def load(folder: Path, split: Split) -> tuple[Labelled, ...]:
    """All messages of one split, their files checked against the manifest; no row leaves out a label or its author.

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
        found = _read(path, Labelled)
        if describe(path, part.split, found) != part:
            raise AssetError(f"{path}: its counts are not those in the manifest")
        rows += found
    return tuple(rows)
