"""Labels and runs in, an evaluation out; everything from stored records, so that anybody can make the figures again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from crisis_filter.assets import package_version
from crisis_filter.evaluation.categories import categorising, why_not
from crisis_filter.evaluation.comparing import gaps, pairs, together
from crisis_filter.evaluation.gold import FACETS, Gold
from crisis_filter.evaluation.matching import Answers, Matched, match
from crisis_filter.evaluation.prevalences import PREVALENCES, at_prevalences
from crisis_filter.evaluation.records import Evaluation, GoldSet, Settings, SystemReport
from crisis_filter.evaluation.runs import Run
from crisis_filter.evaluation.scores import scores
from crisis_filter.evaluation.screening import screening, subgroups
from crisis_filter.stats.resampling import FEW_CLUSTERS

__all__ = ["evaluate"]

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
        gaps=gaps(matched, named, settings),
        together=together(matched, settings),
        warnings=tuple(_warnings(matched)),
    )


def _system(
    matched: Matched, answers: Answers, settings: Settings, facets: Sequence[str], prevalences: Sequence[float]
) -> SystemReport:
    first = screening(matched, answers, settings)
    return SystemReport(
        system=answers.run.system.model_copy(update={"left_out": answers.left_out}),
        screening=first,
        categorising=categorising(matched, answers, settings),
        no_categories=why_not(matched, answers),
        subgroups=subgroups(matched, answers, tuple(dict.fromkeys(facets)), settings),
        scores=scores(matched, answers, settings),
        prevalences=at_prevalences(first, prevalences, settings),
    )


def _warnings(matched: Matched) -> Iterator[str]:
    """What makes figures doubtful."""
    crises, messages = int(matched.crisis.sum()), len(matched.ids)
    for what, n in (("crises", crises), ("messages that are not a crisis", messages - crises)):
        if not n:
            yield f"the labels have no {what}: half of the figures are undefined"
        elif n < _FEW:
            yield f"only {n} {what}: the intervals are wide, and averages over categories mean little"
    if matched.left_out or any(answers.left_out for answers in matched.systems):
        parts = ", ".join(f"{answers.left_out} answers of {answers.run.system.name}" for answers in matched.systems)
        yield f"only the {messages} common messages count: {matched.left_out} labels and {parts} are left out"
    clusters = None if matched.clusters is None else len(set(matched.clusters))
    if clusters is not None and clusters < FEW_CLUSTERS:
        yield f"{clusters} clusters are few: intervals from resamples are too narrow"
    if matched.clusters is not None:
        yield "Wilson intervals and tests of pairs take messages for independent, and are too narrow where clusters are alike"
    for answers in matched.systems:
        yield from answers.run.warnings
