"""A candidate against the incumbent: either side, each category, and the messages on which they differ."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from crisis_filter.evaluation.matching import NO_CRISIS
from crisis_filter.experiments.comparison import (
    Anytime,
    Candidate,
    CategoryContrast,
    CategoryVerdict,
    Change,
    Difference,
    Flip,
    Side,
    SideContrast,
)
from crisis_filter.experiments.differing import How, difference, sign_flip_by_cluster
from crisis_filter.experiments.figures import categories_of, rate
from crisis_filter.experiments.naming import macro_f1_apart
from crisis_filter.experiments.systems import Grid
from crisis_filter.stats.paired import anytime_mcnemar, anytime_p, discordance, holm, mcnemar_exact

__all__ = ["ENOUGH", "contrast", "holm_adjusted", "verdict"]

ENOUGH = 20.0
"""The e-value at which it is valid to stop."""
_SIDES: tuple[Side, ...] = ("sensitivity", "specificity")
Chosen = NDArray[np.bool_]


def contrast(grid: Grid, incumbent: int, candidate: int, how: How, margin: float) -> Candidate:
    """Compare two systems.

    Args:
        grid: systems and messages.
        incumbent: which system is.
        candidate: which system is.
        how: intervals.
        margin: for the verdicts by category.

    Returns:
        The contrast without gates, its p-values not yet adjusted. No p-values but anytime-valid ones where the grid is not complete: whoever may stop
        when they like what they see needs another test.
    """
    chosen = (grid.crisis, ~grid.crisis)
    return Candidate(
        name=grid.systems[candidate].name,
        incumbent=grid.systems[incumbent].name,
        sides=tuple(_side(grid, incumbent, candidate, side, of, how) for side, of in zip(_SIDES, chosen, strict=True)),
        categories=tuple(_category(grid, incumbent, candidate, name, how, margin) for name in categories_of(grid)),
        macro_f1=macro_f1_apart(grid, incumbent, candidate, how),
        flips=tuple(_flips(grid, incumbent, candidate)),
    )


def holm_adjusted(candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """The candidates with p-values adjusted for their number, each side by itself."""
    adjusted: dict[tuple[int, int], float] = {}
    for at in range(len(_SIDES)):
        there = [(number, p) for number, one in enumerate(candidates) if (p := one.sides[at].p) is not None]
        for (number, _), p in zip(there, holm([p for _, p in there]), strict=True):
            adjusted[number, at] = p
    return tuple(
        one.model_copy(
            update={
                "sides": tuple(
                    side.model_copy(update={"p_adjusted": adjusted.get((number, at))})
                    for at, side in enumerate(one.sides)
                )
            }
        )
        for number, one in enumerate(candidates)
    )


def verdict(whole: Difference, decided: Difference, margin: float) -> CategoryVerdict | None:
    """Whether a loss larger than the margin can be ruled out.

    Args:
        whole: over all messages, undetermined as wrong.
        decided: over those that the incumbent decided: one that was out of order proves nothing for the candidate.
        margin: 0 to 1.

    Returns:
        The verdict; `None` without messages.
    """
    if not whole.messages:
        return None
    if whole.low > -margin and decided.messages and decided.low > -margin:
        return "holds"
    return "worse" if whole.high < 0.0 else "too few to tell"


def _side(grid: Grid, incumbent: int, candidate: int, side: Side, chosen: Chosen, how: How) -> SideContrast:
    ours, theirs = grid.right(incumbent)[chosen], grid.right(candidate)[chosen]
    messages = len(ours)
    table = discordance(ours[:, 0], theirs[:, 0])
    told = grid.complete and messages > 0
    apart = theirs.sum(axis=1).astype(np.int64) - ours.sum(axis=1).astype(np.int64)
    p, by_cluster = sign_flip_by_cluster(apart, grid.clusters_of(chosen))
    return SideContrast(
        side=side,
        messages=messages,
        only_incumbent=table.first_only,
        only_candidate=table.second_only,
        mcnemar_p=mcnemar_exact(table.first_only, table.second_only) if told else None,
        difference=_difference(grid, incumbent, candidate, chosen, how),
        decided=_difference(grid, incumbent, candidate, chosen & _decided(grid, incumbent), how),
        p=p if told else None,
        by_cluster=by_cluster,
        p_adjusted=None,
        anytime=_anytime(ours[:, 0], theirs[:, 0]),
    )


def _difference(grid: Grid, incumbent: int, candidate: int, chosen: Chosen, how: How) -> Difference:
    ours, theirs = (grid.right(at)[chosen].mean(axis=1) for at in (incumbent, candidate))
    found = difference(theirs, ours, grid.clusters_of(chosen), how)
    return Difference(estimate=found.estimate, low=found.low, high=found.high, level=how.level, messages=found.n)


def _decided(grid: Grid, incumbent: int) -> Chosen:
    """Messages of which no answer of the incumbent is undetermined."""
    found: Chosen = grid.undetermined(incumbent).sum(axis=1) == 0
    return found


def _category(grid: Grid, incumbent: int, candidate: int, category: str, how: How, margin: float) -> CategoryContrast:
    chosen = np.array([category in item.categories for item in grid.items], dtype=np.bool_)
    ours, theirs = (rate(grid, grid.right(at), grid.undetermined(at), chosen, how) for at in (incumbent, candidate))
    whole = _difference(grid, incumbent, candidate, chosen, how)
    decided = _difference(grid, incumbent, candidate, chosen & _decided(grid, incumbent), how)
    return CategoryContrast(
        category=category,
        messages=ours.messages,
        incumbent=ours,
        candidate=theirs,
        difference=whole,
        decided=decided,
        margin=margin,
        verdict=verdict(whole, decided, margin),
    )


def _anytime(ours: Chosen, theirs: Chosen) -> Anytime:
    """The look over one repeat, in the order of the messages."""
    flips: Chosen = theirs[np.not_equal(ours, theirs)]
    better = int(flips.sum())
    now = anytime_mcnemar(better, len(flips) - better)
    p = float(anytime_p(flips)[-1]) if len(flips) else 1.0
    greatest = min(max(1.0, now, 1.0 / p), sys.float_info.max)
    stop = greatest >= ENOUGH
    if stop:
        words = f"The evidence has reached {greatest:,.3g}; from {ENOUGH:g} on it is valid to stop and to say that they differ."
    elif len(flips):
        words = f"The evidence has been {greatest:,.3g} at most; below {ENOUGH:g} it is not valid to stop and to say that they differ."
    else:
        words = "They have not differed yet, so there is no evidence that they do."
    return Anytime(e_value=now, greatest=greatest, p=p, stop=stop, words=words)


def _flips(grid: Grid, incumbent: int, candidate: int) -> Iterator[Flip]:
    ours, theirs = grid.right(incumbent), grid.right(candidate)
    for at, item in enumerate(grid.items):
        before, after = grid.answers(incumbent, at), grid.answers(candidate, at)
        if sorted(before) == sorted(after):
            continue
        gain = int(theirs[at].sum()) - int(ours[at].sum())
        change: Change = "fixed" if gain > 0 else "broken" if gain < 0 else "alike"
        cleared = (grid.outcomes[who][at] == NO_CRISIS for who in (incumbent, candidate))
        was, now = (bool(each.any()) for each in cleared)
        yield Flip(
            id=item.id,
            crisis=item.crisis,
            categories=item.categories,
            change=change,
            newly_undetermined="undetermined" in after and "undetermined" not in before,
            newly_missed=item.crisis and now and not was,
            incumbent=before,
            candidate=after,
            repeats=tuple(int(r) + 1 for r in np.flatnonzero(ours[at] != theirs[at])),
        )
