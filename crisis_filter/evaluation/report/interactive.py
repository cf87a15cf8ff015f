"""What a reader of the page can open: ids behind a count, texts where they were asked for, and the threshold explorer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

from crisis_filter.evaluation.category_records import Categorising
from crisis_filter.evaluation.records import Evaluation, Scores, SystemReport
from crisis_filter.evaluation.report.ink import look
from crisis_filter.evaluation.report.scoring import scored
from crisis_filter.evaluation.report.stage_two import ALL_ERRORS, axes, categorised, hits, matrix_caption
from crisis_filter.evaluation.report.thresholds import PREVALENCE, VOLUME, how_it_ran, in_use, thin
from crisis_filter.evaluation.report.words import category_words, clean, counted, level

MOST_IDS = 200
"""In one list of the page."""
_MOST_IN_CELL = 50
_MOST_POINTS = 400
_SHADES = 5
# So that no name can end the element that the JSON stands in.
_INERT = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})


@dataclass(frozen=True, slots=True)
class Listed:
    """One id, and the place of its text on the page, or ""."""

    id: str
    anchor: str


@dataclass(frozen=True, slots=True)
class Ids:
    """A list of ids."""

    key: str
    title: str
    ids: tuple[Listed, ...]
    more: int
    """Not shown."""


@dataclass(frozen=True, slots=True)
class Square:
    """A cell of a matrix."""

    text: str
    shade: int
    """0 to 5, by the number."""
    kind: Literal["hit", "other", "errors"]
    ids: Ids | None


@dataclass(frozen=True, slots=True)
class Matrix:
    """The misclassification matrix of one system."""

    caption: str
    saids: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Square, ...]], ...]


class Texts:
    """The texts that the user asked for, and which of them the page names.

    Args:
        texts: by id; `None` when none was asked for.
    """

    def __init__(self, texts: Mapping[str, str] | None) -> None:
        self._texts = texts
        self._named: dict[str, str] = {}

    def listed(self, key: str, title: str, ids: tuple[str, ...], count: int, most: int = MOST_IDS) -> Ids:
        """A list of ids, cut where it is long."""
        shown = tuple(Listed(clean(one), self._anchor(one)) for one in ids[:most])
        return Ids(key, title, shown, max(0, count - len(shown)))

    def named(self) -> tuple[tuple[str, str, str], ...]:
        """Anchor, id and text of every message that some list names."""
        texts = self._texts or {}
        return tuple((anchor, clean(one), texts[one]) for one, anchor in self._named.items())

    def _anchor(self, one: str) -> str:
        if self._texts is None or one not in self._texts:
            return ""
        return self._named.setdefault(one, f"text-{len(self._named) + 1}")


def wrong(evaluation: Evaluation, texts: Texts) -> tuple[Ids, ...]:
    """Of each system, the ids of what went wrong in Stage 1."""
    lists = []
    for place, each in enumerate(evaluation.systems):
        name, one = clean(each.system.name), each.screening
        kinds = (
            ("missed", one.missed, ("missed crisis", "missed crises"), " (said to be none)"),
            ("undetermined", one.undetermined, ("undetermined message", "undetermined messages"), ""),
            ("alarms", one.false_alarms, ("false alarm", "false alarms"), " (no crisis, taken for one)"),
        )
        for kind, ids, words, more in kinds:
            if ids:
                title = f"{name}: {counted(len(ids), *words)}{more}"
                lists.append(texts.listed(f"ids-{kind}-{place}", title, ids, len(ids)))
    return tuple(lists)


def matrices(evaluation: Evaluation, texts: Texts) -> tuple[Matrix, ...]:
    """One for each system with Stage 2."""
    return tuple(
        _matrix(place, each, one, texts) for place, each, one in categorised(evaluation) if any(axes(one.matrix))
    )


def _matrix(place: int, report: SystemReport, one: Categorising, texts: Texts) -> Matrix:
    truths, saids = axes(one.matrix)
    cells = {(cell.truth, cell.said): cell for cell in one.matrix}
    right = hits(one)
    most = max((cell.messages for cell in one.matrix if cell.truth != cell.said), default=0)
    rows = []
    for i, truth in enumerate(truths):
        squares = []
        # The records have all errors of a category on the diagonal; here the diagonal is what was right, and they come last.
        for j, said in enumerate((*saids, truth)):
            if said == truth and j < len(saids):
                squares.append(Square(f"{right[truth]:,}" if truth in right else "-", 0, "hit", None))
                continue
            cell = cells.get((truth, said))
            kind: Literal["other", "errors"] = "errors" if j == len(saids) else "other"
            if cell is None:
                squares.append(Square("-", 0, kind, None))
                continue
            title = f"{clean(report.system.name)}, {category_words(truth)}: "
            title += "all errors" if kind == "errors" else f"said to be {category_words(said)}"
            ids = None
            if cell.ids:
                ids = texts.listed(f"cell-{place}-{i}-{j}", title, cell.ids, cell.messages, _MOST_IN_CELL)
            shade = -(-cell.messages * _SHADES // most) if kind == "other" and most else 0
            squares.append(Square(f"{cell.messages:,}", shade, kind, ids))
        rows.append((category_words(truth), tuple(squares)))
    return Matrix(matrix_caption(report), (*map(category_words, saids), ALL_ERRORS), tuple(rows))


def _explored(place: int, report: SystemReport, scores: Scores) -> dict[str, object]:
    used = in_use(report, scores)
    points = thin(scores.points, _MOST_POINTS, used)
    return {
        "name": clean(report.system.name),
        "colour": look(place).variable,
        "crises": scores.crises,
        "others": scores.others,
        "ran": how_it_ran(report),
        "used": None if used is None else points.index(scores.points[used]),
        "points": [[point.threshold, point.found, point.alarms] for point in points],
    }


def explorer(evaluation: Evaluation) -> str:
    """The data of the threshold explorer as JSON that is inert in HTML; "" without scores.

    Counts alone: the page computes rates and Wilson bounds from them.
    """
    systems = [
        _explored(place, each, scores)
        for place, each, scores in scored(evaluation)
        if scores.points and scores.crises and scores.others
    ]
    if not systems:
        return ""
    of_level = evaluation.settings.level
    quantile = NormalDist().inv_cdf((1 + of_level) / 2)
    settings = {"z": quantile, "level": level(of_level), "prevalence": PREVALENCE, "volume": VOLUME}
    return json.dumps({**settings, "systems": systems}, allow_nan=False).translate(_INERT)
