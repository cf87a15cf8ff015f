"""Everything that can be said of a data set without a model: counts, language, balance, and what is wrong with it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from crisis_filter.datasets.features import Spread, has_emoji, has_textese, sentences, spread, vocabulary, words
from crisis_filter.datasets.near import NEAR, near_copies
from crisis_filter.datasets.private import private_data
from crisis_filter.datasets.reading import load, read_manifest, read_rows
from crisis_filter.datasets.records import Labelled, Split
from crisis_filter.datasets.similarity import fingerprint
from crisis_filter.errors import AssetError
from crisis_filter.schema import Record

__all__ = ["Half", "Inspection", "Problem", "SplitReport", "inspect"]

# Rows that nothing is ever fitted to or chosen on.
_KEPT_APART: tuple[Split, ...] = ("test", "test-hard", "multilingual", "validation", "development")


class Problem(Record):
    """Something wrong with a set, by ids."""

    kind: Literal[
        "same_id", "same_text", "near_copy", "near_copy_within", "author_in_two_splits", "private_data", "category"
    ]
    weight: Literal["error", "warning"]
    detail: str
    """Ids, splits and figures; never a text."""


class Half(Record):
    """The language of the crises of a split, or of the rest."""

    rows: int
    textese: int
    """Rows with a chat spelling, counted by code."""
    emoji: int
    """Rows with an emoji, counted by code."""
    mechanics: int | None
    """Rows in which every rater saw a slip of spelling, grammar, punctuation or capitals; `None` where nobody was asked."""
    direct: int
    ambiguous: int
    masked: int


class SplitReport(Record):
    """One split."""

    split: str
    rows: int
    crisis: int
    categories: dict[str, int]
    """Rows that carry each; a row may carry several."""
    single: dict[str, int]
    """Rows that carry that one alone; several together count as `mixed`."""
    strata: dict[str, int]
    severities: dict[str, int]
    subjects: dict[str, int]
    timeframes: dict[str, int]
    authors: dict[str, int]
    languages: dict[str, int]
    characters: Spread
    words: Spread
    sentences: Spread
    unique_words: int
    total_words: int
    top_words: tuple[tuple[str, int], ...]
    crises: Half
    others: Half


class Inspection(Record):
    """The whole set."""

    name: str
    labelled_by: str
    splits: tuple[SplitReport, ...]
    problems: tuple[Problem, ...]

    @property
    def clean(self) -> bool:
        """Whether nothing is worse than a warning."""
        return all(problem.weight != "error" for problem in self.problems)


def inspect(path: Path, *, known: Sequence[str] | None = None, near: float = NEAR) -> Inspection:
    """Look at a data set: a folder with a manifest, or one file of labelled messages in JSON Lines.

    Args:
        path: the folder or the file.
        known: ids of categories that may occur; `None` takes any.
        near: likeness, 0 to 100, from which two messages are near-copies.

    Raises:
        AssetError: a file is missing, malformed or not the one that the manifest describes; names file and line.
    """
    if path.is_dir():
        manifest = read_manifest(path)
        order = dict.fromkeys(part.split for part in manifest.parts)
        rows = {split: load(path, split) for split in order}
        name, labelled_by = manifest.id, manifest.labelled_by
    else:
        rows = {"test": read_rows(path)}
        name, labelled_by = path.name, "not said"
    if not any(rows.values()):
        raise AssetError(f"{path}: there are no messages")
    return Inspection(
        name=name,
        labelled_by=labelled_by,
        splits=tuple(_split(split, found) for split, found in rows.items() if found),
        problems=tuple(_problems(rows, known, near)),
    )


def _split(split: str, rows: Sequence[Labelled]) -> SplitReport:
    texts = [row.text for row in rows]
    crises = [row for row in rows if row.crisis]
    said = vocabulary(texts)
    return SplitReport(
        split=split,
        rows=len(rows),
        crisis=len(crises),
        categories=_counted(category for row in crises for category in row.categories),
        single=_counted(row.categories[0] if len(row.categories) == 1 else "mixed" for row in crises),
        strata=_counted(row.stratum or row.kind for row in rows),
        severities=_counted(row.severity or "" for row in crises),
        subjects=_counted(row.subject or "" for row in crises),
        timeframes=_counted(row.timeframe or "" for row in crises),
        authors=_counted(row.author for row in rows),
        languages=_counted(row.language for row in rows),
        characters=spread([len(text) for text in texts]),
        words=spread([len(words(text)) for text in texts]),
        sentences=spread([sentences(text) for text in texts]),
        unique_words=said.unique,
        total_words=said.total,
        top_words=said.top,
        crises=_half(crises),
        others=_half([row for row in rows if not row.crisis]),
    )


def _half(rows: Sequence[Labelled]) -> Half:
    asked = [row.mechanics for row in rows if row.mechanics is not None]
    return Half(
        rows=len(rows),
        textese=sum(has_textese(row.text) for row in rows),
        emoji=sum(has_emoji(row.text) for row in rows),
        mechanics=sum(asked) if len(asked) == len(rows) and rows else None,
        direct=sum(row.directness == "direct" for row in rows),
        ambiguous=sum(row.directness == "ambiguous" for row in rows),
        masked=sum(row.masked for row in rows),
    )


def _counted(values: Iterator[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items(), key=lambda item: (-item[1], item[0])))


def _problems(rows: Mapping[Split, Sequence[Labelled]], known: Sequence[str] | None, near: float) -> Iterator[Problem]:
    every = [(split, row) for split, found in rows.items() for row in found]
    yield from _same(every)
    yield from _alike(every, near)
    yield from _leaks(every)
    for split, row in every:
        for kind in private_data(row.text):
            yield Problem(kind="private_data", weight="warning", detail=f"{row.id} ({split}): looks like {kind}")
        odd = sorted(set(row.categories) - set(known)) if known is not None else []
        if odd:
            yield Problem(
                kind="category", weight="error", detail=f"{row.id} ({split}): {', '.join(odd)} not in the taxonomy"
            )


def _same(every: Sequence[tuple[Split, Labelled]]) -> Iterator[Problem]:
    for kind, keys in (
        ("same_id", [row.id for _, row in every]),
        ("same_text", [fingerprint(row.text) for _, row in every]),
    ):
        seen: dict[str, str] = {}
        for key, (split, row) in zip(keys, every, strict=True):
            place = f"{row.id} ({split})"
            if key in seen:
                yield Problem(kind=kind, weight="error", detail=f"{seen[key]} and {place}")
            seen.setdefault(key, place)


def _alike(every: Sequence[tuple[Split, Labelled]], near: float) -> Iterator[Problem]:
    for pair in near_copies([row.text for _, row in every], least=near):
        (one, first), (other, second) = every[pair.first], every[pair.second]
        if fingerprint(first.text) == fingerprint(second.text):
            continue
        detail = f"{first.id} ({one}) and {second.id} ({other}): likeness {pair.likeness:.0f}"
        # Rows set aside are never scored, so what is like them spoils nothing.
        apart = one != other and "aside" not in (one, other)
        yield Problem(
            kind="near_copy" if apart else "near_copy_within", weight="error" if apart else "warning", detail=detail
        )


def _leaks(every: Sequence[tuple[Split, Labelled]]) -> Iterator[Problem]:
    """Authors who wrote for training and for a split that is kept apart from it."""
    splits: defaultdict[str, set[Split]] = defaultdict(set)
    for split, row in every:
        splits[row.author].add(split)
    for author, where in sorted(splits.items()):
        apart = sorted(where.intersection(_KEPT_APART))
        if "training" in where and apart:
            detail = f"author {author} wrote for training and for {', '.join(apart)}"
            yield Problem(kind="author_in_two_splits", weight="error", detail=detail)
