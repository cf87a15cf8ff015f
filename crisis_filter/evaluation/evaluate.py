"""Labels and runs in, an evaluation out; everything from stored records, so that anybody can make the figures again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from crisis_filter.assets import package_version
from crisis_filter.evaluation.categories import categorising, why_not
from crisis_filter.evaluation.comparing import category_pairs, gaps, pairs, ranking_gaps, together
from crisis_filter.evaluation.flagging import flagging
from crisis_filter.evaluation.gold import FACETS, Gold
from crisis_filter.evaluation.matching import Answers, Matched, match
from crisis_filter.evaluation.prevalences import PREVALENCES, at_prevalences
from crisis_filter.evaluation.records import Evaluation, GoldSet, LeftOut, Settings, SystemReport
from crisis_filter.evaluation.runs import Run
from crisis_filter.evaluation.scores import scores
from crisis_filter.evaluation.screening import MOST_LEVELS, left_out, screening, subgroups
from crisis_filter.stats.resampling import FEW_CLUSTERS

__all__ = ["evaluate"]

# Below this a difference is not put down to chance.
_UNLIKE = 0.01
# Below this many of a class a Wilson interval is wider than 0.3 around one half.
_FEW = 30


def evaluate(
    gold: Gold,
    runs: Sequence[Run],
    categories: Sequence[str],
    settings: Settings,
    *,
    common: bool = False,
    facets: Sequence[str] = (),
    prevalences: Sequence[float] = PREVALENCES,
) -> Evaluation:
    """Evaluate systems on the same messages.

    Args:
        gold: the labels.
        runs: one for each system, at least one; the first is named first in every pair.
        categories: ids of the taxonomy, in its order.
        settings: intervals, draws, and how failures count.
        common: keep to the messages that are labelled and that every system answered.
        facets: more properties to make subgroups of.
        prevalences: shares of crises at which predictive values are told, in (0, 1).

    Returns:
        The evaluation. A figure that is undefined is `None` there, with the reason beside it where it is not the counts.

    Raises:
        InputError: labels and answers that do not go together; see `matching.match`.
        ValueError: a level or prevalence out of range.
    """
    matched = match(gold, runs, categories, common=common)
    missing = tuple(left_out(matched, settings)) if common else ()
    named = [(answers, answers.said) for answers in matched.systems if answers.said is not None]
    return Evaluation(
        version=package_version(),
        settings=settings,
        gold=GoldSet(
            name=gold.name,
            files=gold.files,
            sha256=gold.sha256,
            labelled_by=gold.labelled_by,
            messages=len(matched.ids),
            crises=int(matched.crisis.sum()),
            categories=() if matched.truth is None else matched.categories,
            clusters=None if matched.clusters is None else len(set(matched.clusters)),
            cluster_by=gold.cluster_by,
            left_out=matched.left_out,
        ),
        systems=tuple(
            _system(matched, answers, settings, (*FACETS, *facets), prevalences) for answers in matched.systems
        ),
        pairs=pairs(matched, settings),
        category_pairs=category_pairs(matched, named, settings),
        gaps=(*ranking_gaps(matched, settings), *gaps(matched, named, settings)),
        together=together(matched, settings),
        left_out=missing,
        warnings=tuple(_warnings(matched, missing, facets)),
    )


def _system(
    matched: Matched, answers: Answers, settings: Settings, facets: Sequence[str], prevalences: Sequence[float]
) -> SystemReport:
    first = screening(matched, answers, settings)
    return SystemReport(
        system=answers.run.system,
        screening=first,
        categorising=categorising(matched, answers, settings),
        no_categories=why_not(matched, answers),
        flagging=flagging(matched, answers, settings),
        subgroups=subgroups(matched, answers, tuple(dict.fromkeys(facets)), settings),
        scores=scores(matched, answers, settings),
        prevalences=at_prevalences(first, prevalences, settings),
    )


def _warnings(matched: Matched, missing: Sequence[LeftOut], asked: Sequence[str]) -> Iterator[str]:
    """What makes figures doubtful."""
    crises, messages = int(matched.crisis.sum()), len(matched.ids)
    for one, several, n in (
        ("crisis", "crises", crises),
        ("message that is not a crisis", "messages that are not a crisis", messages - crises),
    ):
        if not n:
            yield f"the labels have no {several}: half of the figures are undefined"
        elif n < _FEW:
            yield f"only {n} {one if n == 1 else several}: the intervals are wide, and averages over categories mean little"
    for each in missing:
        found = each.sensitivity_if_missed
        if each.crises or each.others:
            yield (
                f"{each.name} has no answer for some labelled messages (crises: {each.crises}, others: {each.others}), which are left out; "
                f"were those crises missed, its sensitivity would be {found.count} of {found.nobs}"
            )
        if each.p_crises < _UNLIKE:
            yield f"{each.name} lacks answers for crises and others unlike by chance (p {each.p_crises:.2g}): what is left is no fair sample"
    yield from _twins(matched)
    yield from _grouped(matched, asked)
    for answers in matched.systems:
        yield from answers.run.warnings


def _grouped(matched: Matched, asked: Sequence[str]) -> Iterator[str]:
    """What is doubtful of clusters and subgroups."""
    if matched.clusters is not None:
        for what, side in (("crises", matched.crisis), ("other messages", ~matched.crisis)):
            clusters = len({matched.clusters[at] for at in np.flatnonzero(side)})
            if 0 < clusters < FEW_CLUSTERS:
                yield f"the {what} come from {clusters} clusters, which are few: intervals from resamples are too narrow"
        yield "Wilson intervals and tests of pairs take messages for independent, and are too narrow where clusters are alike"
    for facet in asked:
        levels = {matched.gold.rows[at].facets.get(facet) for at in matched.ids} - {None}
        if len(levels) >= MOST_LEVELS:
            yield f"the field {facet} has {len(levels)} values, too many to make subgroups of"


def _twins(matched: Matched) -> Iterator[str]:
    """Systems that are one file."""
    seen: dict[str, str] = {}
    for answers in matched.systems:
        system = answers.run.system
        if (first := seen.setdefault(system.sha256, system.name)) != system.name:
            yield f"{first} and {system.name} are the same file"
