"""Gold labels: which messages are a crisis, of which categories, and the properties that subgroups are made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from crisis_filter.assets import file_sha256
from crisis_filter.datasets.features import has_emoji, has_textese, words
from crisis_filter.datasets.reading import load, read_manifest
from crisis_filter.datasets.records import Labelled, Split
from crisis_filter.errors import AssetError, InputError
from crisis_filter.evaluation.rows import Row, rows
from crisis_filter.tables.formats import listed

__all__ = ["FACETS", "Gold", "GoldRow", "read_gold"]

FACETS = (
    "stratum",
    "topic",
    "kind",
    "directness",
    "masked",
    "severity",
    "subject",
    "timeframe",
    "language",
    "source",
    "textese",
    "emoji",
    "words",
)
"""Properties that make subgroups wherever the gold labels have them; the last three are counted from the text, where there is one."""
_NOT_SAID = "not said"
_PRIVATE = frozenset({"text", "id", "context", "ratings", "adjudication", "labels"})
# Fields that answers have and labels have not.
_ANSWERS = ("provenance", "outcome")
_LONGEST_LEVEL = 60
_YES_NO = {"true": "yes", "false": "no"}
_LENGTHS = ((5, "up to 5"), (12, "6 to 12"), (30, "13 to 30"))


@dataclass(frozen=True, slots=True)
class GoldRow:
    """The labels of one message."""

    id: str
    crisis: bool
    categories: frozenset[str] | None
    """`None` where the labels do not say which."""
    facets: Mapping[str, str]
    cluster: str | None
    place: str
    text: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Gold:
    """All labels of one evaluation."""

    name: str
    files: tuple[str, ...]
    sha256: tuple[str, ...]
    labelled_by: str
    rows: Mapping[str, GoldRow]
    """By id, in the order of the files."""
    cluster_by: str | None
    """`None` when messages are taken for independent."""


def read_gold(
    path: Path,
    known: Sequence[str],
    *,
    splits: Sequence[str] = (),
    facets: Sequence[str] = (),
    cluster: str | None = None,
    names: Mapping[str, str] = MappingProxyType({}),
    labelled_by: str | None = None,
) -> Gold:
    """The labels of a data set, or of one file.

    Args:
        path: a folder with a manifest, or a file with `id`, `crisis` (true or false) and, for Stage 2, `categories`; see `rows.rows`.
        known: ids of categories that may occur.
        splits: of a folder, which; needed where it has more than one.
        facets: more fields to make subgroups of, besides `FACETS`.
        cluster: field whose equal values belong together; `None` takes `conversation`, where any row has one; a row without
            is then a cluster by itself.
        names: of fields that a file calls otherwise; see `rows.rows`.
        labelled_by: who gave the labels of a file; a data set's manifest says so itself.

    Raises:
        InputError: a row without a label, an id twice, an unknown category, categories beside "not crisis", a field that is nowhere; names
            file and line, never a value.
    """
    if path.is_dir():
        name, files, given, found = _folder(path, splits)
        if names or labelled_by is not None:
            raise InputError(f"{path}: a data set names its fields, and who labelled it, in its manifest")
    else:
        if splits:
            raise InputError(f"{path}: is a file; a split is chosen from a folder with a manifest")
        name, files, given = path.name, (path,), labelled_by or _NOT_SAID
        found = rows(path, names)
    if private := _PRIVATE.intersection((*facets, cluster)):
        raise InputError(f"{min(map(str, private))!r} is no property of a message to group by; leave it out")
    wanted = (*FACETS, *(facet for facet in facets if facet not in FACETS))
    gold: dict[str, GoldRow] = {}
    for row in found:
        one = _gold(row, known, wanted, cluster)
        if (first := gold.setdefault(one.id, one)) is not one:
            raise InputError(
                f"{one.place}: has the id of {first.place.rsplit(': ', maxsplit=1)[-1]}; keep one of the two"
            )
    _refuse(gold, path, facets, cluster)
    together = cluster is not None or any(row.cluster is not None for row in gold.values())
    return Gold(
        name=name,
        files=tuple(map(str, files)),
        sha256=tuple(map(file_sha256, files)),
        labelled_by=given,
        rows=gold,
        cluster_by=(cluster or "conversation") if together else None,
    )


def _refuse(gold: Mapping[str, GoldRow], path: Path, facets: Sequence[str], cluster: str | None) -> None:
    if not gold:
        raise InputError(f"{path}: there are no labels")
    for name in facets:
        if all(name not in row.facets for row in gold.values()):
            raise InputError(f"{path}: no row has the field {name!r}; mend the name after --facet")
    without = [row.place for row in gold.values() if row.cluster is None] if cluster else []
    if without:
        raise InputError(f"{without[0]}: has no {cluster!r}, as {len(without) - 1} more; mend the name after --cluster")


def _folder(folder: Path, splits: Sequence[str]) -> tuple[str, tuple[Path, ...], str, Iterator[Row]]:
    try:
        manifest = read_manifest(folder)
        there: dict[str, Split] = {part.split: part.split for part in manifest.parts}
        if not splits and len(there) > 1:
            raise InputError(f"{folder}: choose with --split among {', '.join(there)}")
        chosen = list(dict.fromkeys(splits)) or list(there)
        if unknown := [split for split in chosen if split not in there]:
            raise InputError(f"{folder}: there is no split {unknown[0]!r}; choose among {', '.join(there)}")
        parts = [part for part in manifest.parts if part.split in chosen]
        found = [(split, row) for split in chosen for row in load(folder, there[split])]
    except AssetError as error:  # the labels are the input here, and no part of the set-up
        raise InputError(str(error)) from None
    files = tuple(folder / part.file for part in parts)
    return f"{manifest.id} {', '.join(chosen)}", files, manifest.labelled_by, _labelled(folder, found)


def _labelled(folder: Path, found: Sequence[tuple[str, Labelled]]) -> Iterator[Row]:
    for split, row in found:
        yield Row(f"{folder}: {split} {row.id}", row.model_dump(mode="json", exclude={"ratings", "adjudication"}))


def _gold(row: Row, known: Sequence[str], wanted: Sequence[str], cluster: str | None) -> GoldRow:
    if answers := [name for name in _ANSWERS if name in row.fields]:
        raise row.wrong(answers[0], "is a field of answers, not of labels; name the labels first, then the runs")
    if "crisis" not in row.fields:
        there = listed(list(row.fields))
        raise row.wrong("crisis", f"is missing; fields: {there}. If one holds the label, say --label-field crisis=NAME")
    crisis, named = row.yes_no("crisis"), row.names("categories")
    if crisis is None:
        raise row.wrong("crisis", "is empty; every row needs true or false")
    if named and not crisis:
        raise row.wrong("categories", "are named beside a message that is not a crisis; mend one of them")
    if any(category not in known for category in named or ()):
        raise row.wrong("categories", f"holds an unknown one; there are {', '.join(known)}. Choose another --taxonomy?")
    text = row.fields.get("text")
    text = text if isinstance(text, str) else None
    return GoldRow(
        id=row.id(),
        crisis=crisis,
        # A crisis without any category is one whose kind nobody said.
        categories=frozenset(named or ()) if named or not crisis else None,
        facets={name: level for name in wanted if (level := _level(row, name, text)) is not None},
        cluster=row.word(cluster or "conversation"),
        place=row.place,
        text=text,
    )


def _level(row: Row, name: str, text: str | None) -> str | None:
    """In which level of a property a message is, if in any."""
    if name in row.fields:
        word = row.word(name)
        if word is not None and len(word) > _LONGEST_LEVEL:
            # Whoever makes subgroups of a text would publish it.
            raise row.wrong(name, "holds a text and no property; leave it out, or rename it")
        return _YES_NO.get(word or "", word)
    if text is None:
        return None
    if name == "words":
        n = len(words(text))
        return next((band for most, band in _LENGTHS if n <= most), "over 30")
    if name == "textese":
        return "yes" if has_textese(text) else "no"
    if name == "emoji":
        return "yes" if has_emoji(text) else "no"
    return None
