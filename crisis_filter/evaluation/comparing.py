"""Systems beside one another on the same messages: who is right where the other is not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from crisis_filter.evaluation.flagging import flag_in_every_category
from crisis_filter.evaluation.matching import Answers, Flags, Matched
from crisis_filter.evaluation.records import CategoryPair, Pair, ScoreGap, Settings, Together, Way
from crisis_filter.evaluation.scores import ranked, why_unscored
from crisis_filter.evaluation.screening import right
from crisis_filter.stats import multilabel
from crisis_filter.stats.draws import ranking_of_draws
from crisis_filter.stats.paired import bonferroni, cochran_q, discordance, holm, mcnemar_exact, paired_difference
from crisis_filter.stats.ranking import auroc_difference
from crisis_filter.stats.resampling import Resampling, Span, bootstrap_several

__all__ = ["category_pairs", "gaps", "pairs", "ranking_gaps", "together"]


def _sides(matched: Matched, settings: Settings) -> list[tuple[str, list[Flags]]]:
    """For the crises and for the others, which messages each system is right about."""
    fine = [right(matched.crisis, answers, settings) for answers in matched.systems]
    return [
        ("sensitivity", [each[matched.crisis] for each in fine]),
        ("specificity", [each[~matched.crisis] for each in fine]),
    ]


def pairs(matched: Matched, settings: Settings) -> tuple[Pair, ...]:
    """Every two systems, by exact McNemar; p-values adjusted over all pairs of one outcome. Empty for one system."""
    names = [answers.run.system.name for answers in matched.systems]
    return tuple(
        Pair.model_validate(found)
        for outcome, fine in _sides(matched, settings)
        for found in _tested(names, outcome, fine, settings)
    )


def category_pairs(
    matched: Matched, named: Sequence[tuple[Answers, Flags]], settings: Settings
) -> tuple[CategoryPair, ...]:
    """Every two systems within each category, on the messages that carry it and on the others; empty for one system.

    Args:
        matched: labels and answers; without categories in the labels there is nothing to compare.
        named: systems that name categories, with what they said. Two of them are compared by what they named, all systems by their overall flags.
        settings: level, adjustment (over the pairs of one outcome of one category, read one way) and how failures count.
    """
    truth = matched.truth
    if truth is None:
        return ()
    flags = [(answers, flag_in_every_category(truth, answers, settings)) for answers in matched.systems]
    ways: tuple[tuple[Way, Sequence[tuple[Answers, Flags]]], ...] = (("named", named), ("flag", flags))
    return tuple(
        CategoryPair.model_validate({**found, "category": category, "way": way})
        for way, systems in ways
        for at, category in enumerate(matched.categories)
        for outcome, carried in (("sensitivity", True), ("specificity", False))
        for found in _tested(
            [answers.run.system.name for answers, _ in systems],
            outcome,
            [(truth[:, at] == said[:, at])[truth[:, at] == carried] for _, said in systems],
            settings,
        )
    )


def _tested(
    names: Sequence[str], outcome: str, fine: Sequence[Flags], settings: Settings
) -> Iterator[dict[str, object]]:
    """The fields of a `Pair` for every two systems; none without messages, for a p of 1 would look like a finding.

    Args:
        names: of the systems.
        outcome: whose rate is compared.
        fine: of each system, which messages it is right about.
        settings: level and adjustment.
    """
    chosen = list(combinations(range(len(names)), 2))
    if not chosen or not len(fine[0]):
        return
    adjust = holm if settings.adjustment == "holm" else bonferroni
    counts = [discordance(fine[one], fine[two]) for one, two in chosen]
    ps = [mcnemar_exact(found.first_only, found.second_only) for found in counts]
    for (one, two), found, p, p_adjusted in zip(chosen, counts, ps, adjust(ps), strict=True):
        gap = paired_difference(found.first_only, found.second_only, found.n, settings.level)
        yield {
            "first": names[one],
            "second": names[two],
            "outcome": outcome,
            "only_first": found.first_only,
            "only_second": found.second_only,
            "messages": found.n,
            "estimate": gap.estimate,
            "low": gap.low,
            "high": gap.high,
            "p": p,
            "p_adjusted": p_adjusted,
        }


def together(matched: Matched, settings: Settings) -> tuple[Together, ...]:
    """Whether all systems are right equally often; empty for fewer than three."""
    if len(matched.systems) < 3:
        return ()
    found = []
    for outcome, fine in _sides(matched, settings):
        if len(fine[0]):
            q = cochran_q(np.stack(fine, axis=1))
            found.append(
                Together(
                    outcome=outcome, systems=q.systems, messages=q.rows, statistic=q.statistic, freedom=q.freedom, p=q.p
                )
            )
    return tuple(found)


def ranking_gaps(matched: Matched, settings: Settings) -> tuple[ScoreGap, ...]:
    """Differences of the area under the curve, of every two systems with scores of one source: DeLong, or whole clusters drawn."""
    scored = [
        (answers, ranked(matched, answers)[0]) for answers in matched.systems if why_unscored(matched, answers) is None
    ]
    found = []
    for (one, first), (two, second) in combinations(scored, 2):
        gap = auroc_difference(matched.crisis, first, second, settings.level)
        span = gap.interval
        if matched.clusters is not None:
            span = _drawn_gap(matched, first, second, settings)
        found.append(
            ScoreGap(
                first=one.run.system.name,
                second=two.run.system.name,
                figure="AUROC",
                estimate=gap.estimate,
                span=span,
            )
        )
    return tuple(found)


def _drawn_gap(
    matched: Matched, first: NDArray[np.float64], second: NDArray[np.float64], settings: Settings
) -> Span | None:
    one, two = (ranking_of_draws(matched.crisis, values, ()) for values in (first, second))
    how = Resampling(np.random.default_rng(settings.seed), settings.resamples, matched.clusters)
    return bootstrap_several(len(first), lambda drawn: one(drawn) - two(drawn), how, level=settings.level)[0]


def gaps(matched: Matched, ranked: Sequence[tuple[Answers, Flags]], settings: Settings) -> tuple[ScoreGap, ...]:
    """Differences of macro F1 (flat), from the same draws for both systems of a pair.

    Args:
        matched: labels and answers.
        ranked: systems that name categories, with what they said.
        settings: draws and level.
    """
    if matched.truth is None:
        return ()
    found = []
    for (one, said), (two, other) in combinations(ranked, 2):
        how = Resampling(np.random.default_rng(settings.seed), settings.resamples, matched.clusters)
        gap = multilabel.bootstrap_paired_averages(matched.truth, said, other, how, settings.level).macro_f1
        found.append(
            ScoreGap(
                first=one.run.system.name,
                second=two.run.system.name,
                figure="macro F1, flat",
                estimate=gap.estimate,
                span=gap.span,
            )
        )
    return tuple(found)
