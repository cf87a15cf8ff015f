"""Gold labels and answers brought together: one row a message, the same rows for every system."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crisis_filter.errors import InputError
from crisis_filter.evaluation.gold import Gold
from crisis_filter.evaluation.runs import Run
from crisis_filter.schema import OUTCOMES

__all__ = ["CRISIS", "NO_CRISIS", "UNDETERMINED", "Answers", "Matched", "match"]

_PLACES = {outcome: place for place, outcome in enumerate(OUTCOMES)}
CRISIS, UNDETERMINED, NO_CRISIS = _PLACES["crisis"], _PLACES["undetermined"], _PLACES["no_crisis"]
"""Outcomes as `Answers.outcomes` has them."""
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """One system's answers, in the order of the messages."""

    run: Run
    left_out: int
    """Answers about messages that are not among the common ones."""
    outcomes: NDArray[np.int8]
    """Shape (messages,)."""
    said: Flags | None
    """Shape (messages, categories): which were named; `None` for a system that names none."""
    scores: NDArray[np.float64]
    """Shape (messages,), `nan` where there is none."""
    sources: tuple[str, ...]
    """Where scores came from, each once."""
    faults: tuple[str | None, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Matched:
    """Labels and answers of the same messages."""

    gold: Gold
    left_out: int
    """Labelled messages that are not among the common ones."""
    ids: tuple[str, ...]
    crisis: Flags
    """Shape (messages,)."""
    categories: tuple[str, ...]
    truth: Flags | None
    """Shape (messages, categories); `None` where some crisis has no known category."""
    clusters: tuple[str, ...] | None
    systems: tuple[Answers, ...]


def match(gold: Gold, runs: Sequence[Run], categories: Sequence[str], *, common: bool = False) -> Matched:
    """Bring labels and answers together.

    Args:
        gold: the labels.
        runs: the systems, with names that differ.
        categories: ids, in the order of the columns.
        common: keep to the messages that are labelled and that every system answered, and count the others; else any other is an error.

    Raises:
        InputError: an answer without a label, a label without an answer, no message in common, two systems of one name.
    """
    names = [run.system.name for run in runs]
    if len(set(names)) != len(names):
        raise InputError("two systems have the same name; give each its own, as in NAME=FILE")
    for run in runs:
        if run.system.sha256 in gold.sha256:
            raise InputError(f"{run.system.file}: is the file of the labels; name what a system said")
    if not common:
        for run in runs:
            _refuse_odd(gold, run)
    ids = tuple(at for at in gold.rows if all(at in run.answers for run in runs))
    if not ids:
        raise InputError("no message is labelled and answered by every system; use the same ids in all files")
    rows = [gold.rows[at] for at in ids]
    truth = (
        None if any(row.categories is None for row in rows) else _marked((r.categories or () for r in rows), categories)
    )
    return Matched(
        gold=gold,
        left_out=len(gold.rows) - len(ids),
        ids=ids,
        crisis=np.array([row.crisis for row in rows], dtype=np.bool_),
        categories=tuple(categories),
        truth=truth,
        # A message that stands alone is a cluster by itself.
        clusters=tuple(row.cluster or f"alone {row.id}" for row in rows) if gold.cluster_by else None,
        systems=tuple(_answers(run, ids, categories) for run in runs),
    )


def _refuse_odd(gold: Gold, run: Run) -> None:
    advice = "or keep to the messages that all have with --common"
    if extra := [answer.place for at, answer in run.answers.items() if at not in gold.rows]:
        raise InputError(f"{extra[0]}: no label for this id, {_more(len(extra))}; add labels, {advice}")
    if lacking := [row.place for at, row in gold.rows.items() if at not in run.answers]:
        raise InputError(
            f"{run.system.file}: no answer for {len(lacking)} of {len(gold.rows)} labelled messages, the first at {lacking[0]}; assess them, {advice}"
        )


def _more(several: int) -> str:
    return f"nor for {several - 1} more of this run" if several > 1 else "the only one of this run"


def _answers(run: Run, ids: Sequence[str], categories: Sequence[str]) -> Answers:
    found = [run.answers[at] for at in ids]
    # One that names any is a system that names them; a row without the field then names none.
    named = any(answer.categories is not None for answer in found)
    return Answers(
        run=run,
        left_out=len(run.answers) - len(found),
        outcomes=np.array([_PLACES[answer.outcome] for answer in found], dtype=np.int8),
        said=_marked((answer.categories or () for answer in found), categories) if named else None,
        scores=np.array([np.nan if answer.score is None else answer.score for answer in found], dtype=np.float64),
        sources=tuple(sorted({answer.source for answer in found if answer.source is not None})),
        faults=tuple(answer.fault for answer in found),
    )


def _marked(sets: Iterable[Iterable[str]], categories: Sequence[str]) -> Flags:
    at = {category: column for column, category in enumerate(categories)}
    rows = [[at[category] for category in each] for each in sets]
    marked = np.zeros((len(rows), len(categories)), dtype=np.bool_)
    for row, columns in enumerate(rows):
        marked[row, columns] = True
    return marked
