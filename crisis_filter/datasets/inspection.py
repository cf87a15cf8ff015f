"""Everything that can be said of a data set without a model: counts, language, balance, and what is wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from crisis_filter.datasets.features import Spread, has_emoji, has_textese, sentences, spread, vocabulary, words
from crisis_filter.datasets.near import NEAR
from crisis_filter.datasets.problems import Problem, problems, unlisted
from crisis_filter.datasets.reading import load, read_manifest, read_rows
from crisis_filter.datasets.records import Labelled
from crisis_filter.errors import AssetError
from crisis_filter.schema import Record

__all__ = ["Half", "Inspection", "Problem", "SplitReport", "inspect"]

_SHARED_BY = 3


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
    """The ten commonest with their counts, without those of fewer than three messages, which may tell who wrote them."""
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
        path: the folder or the file; the split of a file is called as the file is, without its ending.
        known: ids of categories that may occur; `None` takes any.
        near: likeness, 0 to 100, from which two messages are near-copies.

    Raises:
        AssetError: a file is missing, malformed or not the one that the manifest describes; names file and line.
    """
    found: dict[str, tuple[Labelled, ...]]
    loose: tuple[Problem, ...] = ()
    if path.is_dir():
        manifest = read_manifest(path)
        found = {split: load(path, split) for split in dict.fromkeys(part.split for part in manifest.parts)}
        name, labelled_by = manifest.id, manifest.labelled_by
        loose = tuple(unlisted(path, manifest))
    elif not path.exists():
        raise AssetError(f"{path}: there is no such file or folder")
    else:
        found = {Path(path.name.removesuffix(".gz")).stem: read_rows(path)}
        name, labelled_by = path.name, "not said"
    if not found:
        raise AssetError(f"{path}: there are no messages")
    return Inspection(
        name=name,
        labelled_by=labelled_by,
        splits=tuple(_split(split, rows) for split, rows in found.items()),
        problems=(*loose, *problems(found, known, near)),
    )


def _split(split: str, rows: Sequence[Labelled]) -> SplitReport:
    texts = [row.text for row in rows]
    crises = [row for row in rows if row.crisis]
    said = vocabulary(texts)
    messages = Counter(word for text in texts for word in set(words(text)))
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
        top_words=tuple((word, count) for word, count in said.top if messages[word] >= _SHARED_BY),
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
