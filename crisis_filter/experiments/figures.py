"""One system by itself: what it said by outcome, how often it was right, how far its repeats agree, and what that cost."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from crisis_filter.experiments.differing import How, mean_rate, wilson_bounds
from crisis_filter.experiments.measures import CategoryFigures, Naming, Rate, Stability, SystemFigures, Tally
from crisis_filter.experiments.systems import Grid, Judged, Said, System
from crisis_filter.schema import OUTCOMES

__all__ = ["categories_of", "figures", "names_categories", "rate"]

_OTHER = "not said"


def figures(grid: Grid, at: int, how: How) -> SystemFigures:
    """The figures of one system.

    Args:
        grid: systems and messages.
        at: which system.
        how: intervals.
    """
    system, right, undetermined = grid.systems[at], grid.right(at), grid.undetermined(at)
    everything = np.ones(len(grid.items), dtype=np.bool_)
    rows = _categories(grid, at)
    tokens, money = _cost(grid, system)
    return SystemFigures(
        name=system.name,
        source=system.source,
        variant=system.variant.id if system.variant else None,
        provider=system.provider,
        prompts=system.prompts,
        fingerprint=system.variant.fingerprint if system.variant else None,
        crises=_tally(grid, at, grid.crisis),
        others=_tally(grid, at, ~grid.crisis),
        sensitivity=rate(grid, right, undetermined, grid.crisis, how),
        specificity=rate(grid, right, undetermined, ~grid.crisis, how),
        faults=_faults(grid, system),
        undetermined=rate(grid, undetermined, undetermined, everything, how),
        naming=_naming(grid, at, how),
        stability=_stability(grid, at, how),
        answers=len(system.said),
        taken=system.taken,
        categories=tuple(row for row, _ in rows),
        macro_f1=_mean([f1 for row, f1 in rows if row.messages]),
        tokens_per_1000=tokens,
        money_per_1000=money,
    )


def rate(grid: Grid, right: Judged, undetermined: Judged, chosen: NDArray[np.bool_], how: How) -> Rate:
    """Share of right answers about some messages.

    Args:
        grid: systems and messages.
        right: which answers count, shape (messages, repeats).
        undetermined: which answers are undetermined, the same shape.
        chosen: which messages, shape (messages,).
        how: intervals.
    """
    of, doubtful = right[chosen], undetermined[chosen]
    found = mean_rate(of.mean(axis=1), grid.clusters_of(chosen), how)
    messages = len(of)
    by_repeat = of.mean(axis=0) if messages else None
    return Rate(
        estimate=found.estimate,
        low=found.low,
        high=found.high,
        level=how.level,
        messages=messages,
        repeats=grid.repeats,
        right=int(of.sum()),
        undetermined=int(doubtful.sum()),
        lowest=None if by_repeat is None else float(by_repeat.min()),
        highest=None if by_repeat is None else float(by_repeat.max()),
        if_right=float((of | doubtful).mean()) if messages else None,
    )


def categories_of(grid: Grid) -> tuple[str, ...]:
    """Categories that the labels name, in the order of their names."""
    return tuple(sorted({category for item in grid.items for category in item.categories}))


def names_categories(grid: Grid, at: int) -> bool:
    """Whether a system names categories, and the labels say which there are."""
    system = grid.systems[at]
    asks = system.variant is not None and system.variant.categorise is not None
    there = any(item.categories for item in grid.items)
    whole = all(item.categories for item in grid.items if item.crisis)
    return there and whole and (asks or any(one.categories for one in _answers(grid, system).values()))


def _tally(grid: Grid, at: int, chosen: NDArray[np.bool_]) -> Tally:
    outcomes = grid.outcomes[at][chosen]
    return Tally(**{name: int((outcomes == place).sum()) for place, name in enumerate(OUTCOMES)})


def _faults(grid: Grid, system: System) -> dict[str, int]:
    found = Counter(one.fault or _OTHER for one in _answers(grid, system).values() if one.outcome == "undetermined")
    return dict(sorted(found.items(), key=lambda each: (-each[1], each[0])))


def _answers(grid: Grid, system: System) -> Mapping[tuple[str, int], Said]:
    """The answers that are compared."""
    return {
        (item.id, repeat): system.said[item.id, repeat] for item in grid.items for repeat in range(1, grid.repeats + 1)
    }


def _naming(grid: Grid, at: int, how: How) -> Naming:
    """How many of the answers that say crisis are not whole."""
    system = grid.systems[at]
    crises = [[one for one in answers if one.outcome == "crisis"] for answers in _by_message(grid, system)]
    chosen = np.array([bool(answers) for answers in crises], dtype=np.bool_)
    said = [one for answers in crises for one in answers]
    told = all(one.categories is not None for one in said)
    shares = [fmean(not one.categories for one in answers) for answers in crises if answers] if told else []
    found = mean_rate(np.array(shares), grid.clusters_of(chosen), how) if shares else mean_rate(np.zeros(0), None, how)
    return Naming(
        crisis=len(said),
        unnamed=sum(not one.categories for one in said) if told else None,
        faulty=sum(one.fault is not None for one in said),
        share=found.estimate,
        low=found.low,
        high=found.high,
        level=how.level,
        messages=int(chosen.sum()),
    )


def _by_message(grid: Grid, system: System) -> list[list[Said]]:
    return [[system.said[item.id, repeat] for repeat in range(1, grid.repeats + 1)] for item in grid.items]


def _stability(grid: Grid, at: int, how: How) -> Stability | None:
    """How often two answers about one message differ: of all pairs of repeats, so that it does not depend on their number."""
    if grid.repeats < 2:
        return None
    outcomes = grid.outcomes[at]
    times = np.stack([(outcomes == place).sum(axis=1) for place in range(len(OUTCOMES))], axis=1)
    pairs = grid.repeats * (grid.repeats - 1)
    differing = 1.0 - (times * (times - 1)).sum(axis=1) / pairs
    total = math.fsum(differing)
    low, high = wilson_bounds(total, len(differing), how.level)
    return Stability(
        flip_rate=total / len(differing),
        low=low,
        high=high,
        level=how.level,
        unstable=int((times.max(axis=1) < grid.repeats).sum()),
        messages=len(differing),
        repeats=grid.repeats,
    )


def _categories(grid: Grid, at: int) -> list[tuple[CategoryFigures, float]]:
    """Each category of the labels with its F1, the mean over repeats; nothing where labels or system do not name any."""
    said = _answers(grid, grid.systems[at])
    if not names_categories(grid, at):
        return []
    return [_category(grid, at, said, category) for category in categories_of(grid)]


def _category(
    grid: Grid, at: int, said: Mapping[tuple[str, int], Said], category: str
) -> tuple[CategoryFigures, float]:
    carries = np.array([category in item.categories for item in grid.items], dtype=np.bool_)
    names = np.array(
        [[category in (said[item.id, r].categories or ()) for r in range(1, grid.repeats + 1)] for item in grid.items],
        dtype=np.bool_,
    )
    rightly, wrongly, carried = names[carries].sum(axis=0), names[~carries].sum(axis=0), int(carries.sum())
    tally = _tally(grid, at, carries)
    row = CategoryFigures(
        category=category,
        messages=carried,
        crisis=tally.crisis,
        undetermined=tally.undetermined,
        named=int(rightly.sum()),
        wrongly_named=int(wrongly.sum()),
    )
    return row, fmean((2.0 * rightly / (carried + rightly + wrongly)).tolist())


def _cost(grid: Grid, system: System) -> tuple[float | None, float | None]:
    """Tokens and money for 1,000 answers."""
    if not system.counts_tokens:
        return None, None
    said = list(_answers(grid, system).values())
    per = 1000.0 / len(said)
    prompt, completion = sum(one.prompt_tokens for one in said), sum(one.completion_tokens for one in said)
    if system.untold:
        money = None
    elif system.price is None:
        money = None if any(one.requests for one in said) else 0.0
    else:
        money = per * system.price.of(prompt, completion)
    return per * (prompt + completion), money


def _mean(values: list[float]) -> float | None:
    return fmean(values) if values else None
