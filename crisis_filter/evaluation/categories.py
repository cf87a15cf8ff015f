"""Stage 2 against the labels: every message counts (flat, the headline), and those that Stage 1 took for a crisis (hierarchical).

An undetermined message names no category. Flat, as published for the VBHSF, that misses the categories that it carries, and is a true negative in
those that it does not: `CategoryRow.undetermined` says how many.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from crisis_filter.evaluation.category_records import SHOWN, Average, Averages, Categorising, CategoryRow, Cell, InScope
from crisis_filter.evaluation.matching import CRISIS, UNDETERMINED, Answers, Flags, Matched
from crisis_filter.evaluation.records import Settings
from crisis_filter.evaluation.screening import measures
from crisis_filter.stats import multilabel
from crisis_filter.stats.binary import f1, ppv, sensitivity
from crisis_filter.stats.resampling import Resampling

__all__ = ["averages", "categorising", "scoped", "why_not"]


def why_not(matched: Matched, answers: Answers) -> str:
    """Why Stage 2 cannot be evaluated; empty when it can."""
    if matched.truth is None:
        return "the labels do not say the categories of every crisis"
    if answers.said is None:
        return "this system names no categories"
    return ""


def categorising(matched: Matched, answers: Answers, settings: Settings) -> Categorising | None:
    """Stage 2 of one system; `None` where `why_not` says why."""
    truth, said = matched.truth, answers.said
    if truth is None or said is None:
        return None
    flagged = answers.outcomes == CRISIS
    inside = np.flatnonzero(flagged)
    unsettled = (answers.outcomes == UNDETERMINED)[:, np.newaxis]
    silent = (unsettled & ~truth & ~said).sum(axis=0)
    flat = multilabel.by_category(truth, said, matched.categories)
    hierarchical = multilabel.by_category(truth[inside], said[inside], matched.categories)
    clusters = matched.clusters
    within = None if clusters is None else [clusters[at] for at in inside]
    return Categorising(
        rows=tuple(
            CategoryRow(
                category=category,
                labelled=whole.positives,
                undetermined=int(unsaid),
                flat=measures(whole, settings),
                hierarchical=measures(part, settings),
            )
            for category, whole, part, unsaid in zip(matched.categories, flat, hierarchical, silent, strict=True)
        ),
        flat=averages(matched.categories, truth, said, clusters, settings),
        hierarchical=averages(matched.categories, truth[inside], said[inside], within, settings),
        in_scope=scoped(matched, answers, said, inside, settings),
        exact=multilabel.exact_match(truth[inside], said[inside], settings.level, settings.interval),
        exact_flat=multilabel.exact_match(truth, said, settings.level, settings.interval),
        hamming=multilabel.hamming_loss(truth[inside], said[inside]),
        flagged=len(inside),
        unspecified=int((flagged & ~said.any(axis=1)).sum()),
        matrix=_matrix(matched, truth, said, flagged),
    )


def scoped(
    matched: Matched, answers: Answers, said: Flags, inside: NDArray[np.intp] | None, settings: Settings
) -> InScope | None:
    """Averages over the categories that a baseline is meant for; `None` where nobody said which.

    Args:
        matched: labels and answers; labels must say the categories.
        answers: of one system.
        said: shape (messages, categories).
        inside: places of the messages that it took for a crisis, for the hierarchical averages; `None` makes none.
        settings: draws and intervals.
    """
    scope = answers.run.system.scope
    if scope is None or matched.truth is None:
        return None
    names = tuple(category for category in matched.categories if category in scope.inside)
    if not names:
        return InScope(categories=(), flat=None, hierarchical=None)
    columns = [matched.categories.index(name) for name in names]
    truth, chosen, clusters = matched.truth[:, columns], said[:, columns], matched.clusters
    flat = averages(names, truth, chosen, clusters, settings)
    if inside is None:
        return InScope(categories=names, flat=flat, hierarchical=None)
    within = None if clusters is None else [clusters[at] for at in inside]
    hierarchical = averages(names, truth[inside], chosen[inside], within, settings)
    return InScope(categories=names, flat=flat, hierarchical=hierarchical)


def averages(
    names: Sequence[str], truth: Flags, said: Flags, clusters: Sequence[str] | None, settings: Settings
) -> Averages:
    """Averages over categories with their intervals.

    Args:
        names: of the categories, at least one.
        truth: shape (messages, categories).
        said: the same shape.
        clusters: of each message; `None` takes messages for independent.
        settings: draws and intervals.
    """
    counts = multilabel.by_category(truth, said, names)
    how = Resampling(np.random.default_rng(settings.seed), settings.resamples, clusters)
    drawn = multilabel.bootstrap_averages(truth, said, how, settings.level)
    across = [
        multilabel.macro_t(values, settings.level)
        for values in (
            [sensitivity(each).estimate for each in counts],
            [ppv(each).estimate for each in counts],
            [f1(each) for each in counts],
        )
    ]
    macro = [
        Average(estimate=found.estimate, bootstrap=found.span, across=spread)
        for found, spread in zip((drawn.macro_sensitivity, drawn.macro_ppv, drawn.macro_f1), across, strict=True)
    ]
    together = measures(multilabel.micro(counts), settings)
    return Averages(
        macro_sensitivity=macro[0],
        macro_ppv=macro[1],
        macro_f1=macro[2],
        micro_sensitivity=together.sensitivity,
        micro_ppv=together.ppv,
        micro_f1=Average(estimate=together.f1, bootstrap=drawn.micro_f1.span),
    )


def _matrix(matched: Matched, truth: Flags, said: Flags, flagged: Flags) -> tuple[Cell, ...]:
    names = matched.categories
    cells = []
    for row, true in enumerate(names):
        for column, named in enumerate(names):
            if row == column:
                chosen = flagged & (truth[:, row] != said[:, row])
            else:
                chosen = flagged & truth[:, row] & said[:, column] & ~truth[:, column]
            places = np.flatnonzero(chosen)
            ids = tuple(matched.ids[at] for at in places[:SHOWN])
            cells.append(Cell(truth=true, said=named, messages=len(places), ids=ids))
    return tuple(cells)
