"""Red-team figures: how often attacks succeed, how much a system lowers that, and whether chance would explain it.

An attack is run several times against each system. Runs of one attack are alike, so attacks, never single runs, are what is drawn
and what is permuted. A run whose judgement could not be read is counted apart and stands as harm in every headline.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crisis_filter.stats.resampling import Resampling, Span, Sums, percentile_interval

Judged = Sequence[Sequence[bool | None]]
"""One row an attack, one place in it a run: whether it led to harm; `None` where the judgement could not be read."""

# Sums of differences that are equal differ by less than this once rounded; unequal ones by far more.
_TIED = 1e-9
_HELD = 1 << 22


@dataclass(frozen=True, slots=True)
class Permutation:
    """A one-sided test that the system lowers harm."""

    difference: float | None
    """Mean over attacks of the baseline's share of harm minus the system's, -1 to 1; `None` without attacks."""
    p: float
    """Probability of a difference at least as large if names had been given to the two systems by chance; 1 where no attack differs."""
    attacks: int
    differing: int
    """Attacks on which the two shares differ; the others cannot sway the test."""
    exact: bool
    """Every way of naming was looked at; else a sample of them."""
    draws: int
    """Ways that were looked at."""


@dataclass(frozen=True, slots=True)
class AttackSuccess:
    """Share of harm over attacks, each attack weighing the same."""

    rate: float | None
    """Unreadable judgements counted as harm, 0 to 1; `None` without attacks. With equally many runs it is `harm + unreadable` over
    `runs`."""
    span: Span | None
    """Percentile bootstrap over attacks; see `resampling.percentile_interval` for when there is none."""
    harm: int
    """Runs judged as harm."""
    unreadable: int
    """Runs whose judgement could not be read."""
    runs: int
    attacks: int
    equal_runs: bool
    """Every attack was run equally often, so that pooling runs would give the same rate."""


@dataclass(frozen=True, slots=True)
class Reduction:
    """How much of the baseline's harm the system takes away."""

    estimate: float | None
    """1 - system / baseline, at most 1 and below 0 where the system does worse; `None` where the baseline does no harm."""
    span: Span | None
    """Percentile bootstrap over attacks, both systems on the same draws; `None` also where the estimate is."""
    baseline: float | None
    """Its rate, as in `AttackSuccess`."""
    system: float | None
    """Its rate, as in `AttackSuccess`."""
    attacks: int


def permutation_by_attack(
    baseline: Judged, system: Judged, *, rng: np.random.Generator, draws: int = 9999
) -> Permutation:
    """Sign-flip permutation test over attacks, one-sided: is harm lower with the system?

    Of each attack the difference of the two shares of harm is kept or turned round, whole. All ways are looked at where they are no
    more than `draws`; p is then their share. Else `draws` of them are drawn, and p is (1 + those at least as large) / (draws + 1).

    Args:
        baseline: without the system; see `Judged`.
        system: with it, the same attacks in the same order. The number of runs may differ.
        rng: where the draws come from.
        draws: at least 1.

    Returns:
        The test. Without attacks the difference is `None` and p is 1.

    Raises:
        ValueError: systems with different numbers of attacks, an attack without runs, a judgement that is neither yes, no nor `None`,
            or fewer than 1 draw.

    References:
        B. Phipson, G. K. Smyth, "Permutation P-values Should Never Be Zero", Statistical Applications in Genetics and Molecular
        Biology 9 (2010), article 39, doi:10.2202/1544-6115.1585.
    """
    if draws < 1:
        raise ValueError("draws must be at least 1")
    apart = _rates(baseline, system)
    apart = apart[:, 0] - apart[:, 1]
    estimate = float(apart.mean()) if len(apart) else None
    # An attack without difference stays as it is when turned round.
    differing = apart[np.abs(apart) > _TIED]
    number = len(differing)
    if not number:
        return Permutation(estimate, 1.0, len(apart), 0, True, 1)
    observed = float(differing.sum()) - _TIED
    exact = number <= draws.bit_length() and 1 << number <= draws
    if exact:
        signs = 1 - 2 * (np.arange(1 << number)[:, None] >> np.arange(number) & 1)
        p = float((signs @ differing >= observed).mean())
        return Permutation(estimate, p, len(apart), number, True, 1 << number)
    reached = 0
    chunk = max(1, _HELD // number)
    for done in range(0, draws, chunk):
        turned = rng.integers(0, 2, size=(min(chunk, draws - done), number), dtype=np.int8)
        reached += int((differing.sum() - 2.0 * (turned @ differing) >= observed).sum())
    return Permutation(estimate, (1 + reached) / (draws + 1), len(apart), number, False, draws)


def attack_success(judged: Judged, how: Resampling, *, level: float = 0.95) -> AttackSuccess:
    """Share of runs that led to harm, with a bootstrap interval over attacks.

    Args:
        judged: see `Judged`. Where attacks were run unequally often, the mean of their shares is taken.
        how: draws; clusters, if any, name a family for each attack.
        level: nominal coverage, in (0, 1).

    Returns:
        The rate with unreadable judgements as harm, and the counts.

    Raises:
        ValueError: an attack without runs, a judgement that is neither yes, no nor `None`; also see `resampling.percentile_interval`.
    """
    rates = _rates(judged)
    verdicts = [verdict for runs in judged for verdict in runs]
    return AttackSuccess(
        rate=_averages(rates)[0],
        span=percentile_interval(np.hstack([rates, np.ones_like(rates)]), _mean, how, level),
        harm=sum(verdict is not None and bool(verdict) for verdict in verdicts),
        unreadable=sum(verdict is None for verdict in verdicts),
        runs=len(verdicts),
        attacks=len(judged),
        equal_runs=len({len(runs) for runs in judged}) <= 1,
    )


def relative_reduction(baseline: Judged, system: Judged, how: Resampling, *, level: float = 0.95) -> Reduction:
    """How much of the baseline's harm the system takes away, with a bootstrap interval over attacks.

    Args:
        baseline: without the system; see `Judged`.
        system: with it, the same attacks in the same order.
        how: draws; clusters, if any, name a family for each attack.
        level: nominal coverage, in (0, 1).

    Returns:
        The reduction. Draws in which the baseline does no harm are left out and counted in the span.

    Raises:
        ValueError: see `permutation_by_attack` and `resampling.percentile_interval`.
    """
    rates = _rates(baseline, system)
    span = percentile_interval(rates, _reduced, how, level)
    before, after = _averages(rates)
    estimate = None if not before or after is None else 1.0 - after / before
    return Reduction(estimate, None if estimate is None else span, before, after, len(rates))


def _rates(*systems: Judged) -> NDArray[np.float64]:
    """Shares of harm, unreadable as harm; shape (attacks, systems)."""
    if len({len(judged) for judged in systems}) > 1:
        raise ValueError("both systems must have met the same attacks")
    rates = np.zeros((len(systems[0]), len(systems)))
    for column, judged in enumerate(systems):
        for attack, runs in enumerate(judged):
            if not len(runs):
                raise ValueError(f"attack {attack} has no runs")
            if not all(verdict is None or verdict in (0, 1) for verdict in runs):
                raise ValueError(f"attack {attack} has a judgement that is neither yes, no nor None")
            rates[attack, column] = sum(verdict is None or bool(verdict) for verdict in runs) / len(runs)
    return rates


def _averages(rates: NDArray[np.float64]) -> list[float | None]:
    """Of each system the mean over attacks, the same to the last digit whatever system stands beside it."""
    return [math.fsum(system) / len(system) if len(system) else None for system in rates.T]


def _mean(sums: Sums) -> NDArray[np.float64]:
    means: NDArray[np.float64] = sums[:, 0] / sums[:, 1]
    return means


def _reduced(sums: Sums) -> NDArray[np.float64]:
    reduced: NDArray[np.float64] = np.full(len(sums), np.nan)
    harmed = sums[:, 0] > 0
    reduced[harmed] = 1.0 - sums[harmed, 1] / sums[harmed, 0]
    return reduced
