"""Stage 1 against the labels: counts first, each failure inside its denominator, and the same within subgroups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from crisis_filter.evaluation.category_records import Measures
from crisis_filter.evaluation.matching import CRISIS, NO_CRISIS, UNDETERMINED, Answers, Flags, Matched
from crisis_filter.evaluation.records import LeftOut, Screening, Settings, Subgroup
from crisis_filter.schema import OUTCOMES
from crisis_filter.stats.binary import Counts, metrics
from crisis_filter.stats.intervals import proportion

__all__ = ["MOST_LEVELS", "left_out", "measures", "right", "screening", "subgroups"]

MOST_LEVELS = 40
"""Levels from which a property is taken for free text or an id."""


def counts(crisis: Flags, answers: Answers, settings: Settings) -> Counts:
    """The two-by-two table of one system, failures counted as the settings say."""
    fine = right(crisis, answers, settings)
    tp, positives = int((crisis & fine).sum()), int(crisis.sum())
    tn = int(fine.sum()) - tp
    return Counts(tp=tp, fp=len(crisis) - positives - tn, fn=positives - tp, tn=tn)


def right(crisis: Flags, answers: Answers, settings: Settings) -> Flags:
    """Which messages a system was right about; shape (messages,).

    Args:
        crisis: shape (messages,).
        answers: of one system.
        settings: `failures` decides whether an undetermined crisis was found; another undetermined message is wrong either way.
    """
    found = answers.outcomes == CRISIS
    if settings.failures == "flagged":
        found |= answers.outcomes == UNDETERMINED
    fine: Flags = (crisis & found) | (~crisis & (answers.outcomes == NO_CRISIS))
    return fine


def measures(table: Counts, settings: Settings) -> Measures:
    """All figures of one table."""
    found = metrics(table, settings.level, settings.interval)
    return Measures(
        sensitivity=found.sensitivity,
        specificity=found.specificity,
        ppv=found.ppv,
        npv=found.npv,
        accuracy=found.accuracy,
        f1=found.f1,
    )


def screening(matched: Matched, answers: Answers, settings: Settings) -> Screening:
    """Stage 1 of one system."""
    crisis, outcomes = matched.crisis, answers.outcomes
    undetermined = outcomes == UNDETERMINED
    crises, others = (
        {str(name): int(((outcomes == at) & side).sum()) for at, name in enumerate(OUTCOMES)}
        for side in (crisis, ~crisis)
    )
    best = [
        proportion(fine + side["undetermined"], sum(side.values()), settings.level, settings.interval)
        for side, fine in ((crises, crises["crisis"]), (others, others["no_crisis"]))
    ]
    faults = Counter(answers.faults[at] or "not said" for at in np.flatnonzero(undetermined))
    return Screening(
        crises=crises,
        others=others,
        measures=measures(counts(crisis, answers, settings), settings),
        best_sensitivity=best[0],
        best_specificity=best[1],
        faults=dict(faults.most_common()),
        missed=_ids(matched, crisis & (outcomes == NO_CRISIS)),
        false_alarms=_ids(matched, ~crisis & (outcomes == CRISIS)),
        undetermined=_ids(matched, undetermined),
    )


def left_out(matched: Matched, settings: Settings) -> Iterator[LeftOut]:
    """What of each system does not count; nothing for one that answered just the common messages."""
    gold = matched.gold.rows
    crises = sum(row.crisis for row in gold.values())
    for answers in matched.systems:
        said = answers.run.answers
        lacking = [row.crisis for at, row in gold.items() if at not in said]
        if not lacking and not answers.left_out:
            continue
        caught = {"crisis", "undetermined"} if settings.failures == "flagged" else {"crisis"}
        found = sum(row.crisis and at in said and said[at].outcome in caught for at, row in gold.items())
        without = sum(lacking)
        yield LeftOut(
            name=answers.run.system.name,
            crises=without,
            others=len(lacking) - without,
            answers=answers.left_out,
            sensitivity_if_missed=proportion(found, crises, settings.level, settings.interval),
            p_crises=_fisher(without, crises, len(lacking) - without, len(gold) - crises),
        )


def _fisher(first: int, of_first: int, second: int, of_second: int) -> float:
    from scipy.stats import fisher_exact

    return float(fisher_exact([[first, of_first - first], [second, of_second - second]]).pvalue)


def _ids(matched: Matched, chosen: Flags) -> tuple[str, ...]:
    return tuple(matched.ids[at] for at in np.flatnonzero(chosen))


def subgroups(matched: Matched, answers: Answers, facets: Sequence[str], settings: Settings) -> tuple[Subgroup, ...]:
    """Stage 1 within each level of each property that the labels have.

    Args:
        matched: labels and answers.
        answers: of one system.
        facets: names of properties; one that no message has, that is the same for all, or that has `MOST_LEVELS` levels or more is left out.
        settings: intervals and failures.

    Returns:
        In the order of the properties; levels in the order of their names, lengths in that of numbers.
    """
    fine = right(matched.crisis, answers, settings)
    undetermined = answers.outcomes == UNDETERMINED
    rows = [matched.gold.rows[at] for at in matched.ids]
    found: list[Subgroup] = []
    for facet in facets:
        levels = [row.facets.get(facet) for row in rows]
        seen = sorted({level for level in levels if level is not None}, key=_natural)
        alike = len(seen) == 1 and None not in levels
        if not seen or alike or len(seen) >= MOST_LEVELS:
            continue
        number = {level: at for at, level in enumerate(seen)}
        codes = np.array([-1 if level is None else number[level] for level in levels])
        for at, level in enumerate(seen):
            mine = codes == at
            sensitivity, specificity = (
                proportion(int(fine[mine & side].sum()), int((mine & side).sum()), settings.level, settings.interval)
                for side in (matched.crisis, ~matched.crisis)
            )
            found.append(
                Subgroup(
                    facet=facet,
                    level=level,
                    sensitivity=sensitivity,
                    specificity=specificity,
                    undetermined=int(undetermined[mine].sum()),
                )
            )
    return tuple(found)


_DIGITS = 9


def _natural(level: str) -> tuple[int, str]:
    """Bands of length by their first number, anything else by its name."""
    word = level.removeprefix("up to ").removeprefix("over ").split(" ")[0]
    return (int(word) if word.isdecimal() and len(word) <= _DIGITS else 0, level)
