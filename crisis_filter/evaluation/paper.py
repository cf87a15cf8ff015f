"""The VBHSF paper's tables from the counts behind them, and beside them what a corrected reading says.

The paper (Nelson et al.; `Published.source` has its title) prints figures and few counts. All 696 figures of its Tables 2, 3, 4, S1 and S2 and of
its macro line follow from the counts in `published/vbhsf.json` to the last printed digit. How they are made, where the paper is at
odds with itself, and why our defaults differ: docs/paper.md. Nothing can be resampled from counts: a bootstrap needs the messages.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from itertools import combinations
from typing import Literal, Self

import numpy as np
from pydantic import Field, ValidationError, model_validator

from crisis_filter.errors import AssetError
from crisis_filter.schema import Record
from crisis_filter.stats.binary import Counts, Metrics, metrics
from crisis_filter.stats.intervals import Interval, wilson
from crisis_filter.stats.multilabel import flat, macro, macro_t, micro
from crisis_filter.stats.paired import (
    CochranQ,
    PairedDifference,
    bonferroni,
    cochran_q,
    holm,
    mcnemar_exact,
    paired_difference,
)
from crisis_filter.stats.prevalence import PpvPosterior, PpvProjection, ppv_posterior, ppv_projection_paper
from crisis_filter.stats.resampling import Span

Figure = Literal["sensitivity", "specificity"]
AverageOf = Literal["sensitivity", "ppv", "f1"]

VERILY = "verily_v1"
"""The data set with categories; the other one has crisis or not alone."""
PREVALENCES = (0.005, 0.01, 0.02, 0.05)
"""Those of Tables S1 and S2."""
_PROJECTIONS: tuple[tuple[Literal["S1", "S2"], str], ...] = (("S1", VERILY), ("S2", "aegis2"))
_COMPARED: tuple[tuple[str, Figure], ...] = (
    (VERILY, "sensitivity"),
    (VERILY, "specificity"),
    ("aegis2", "sensitivity"),
)


class Cells(Record):
    """Counts of one system on one data set, and maybe one category."""

    tp: int = Field(ge=0)
    fp: int = Field(ge=0)
    fn: int = Field(ge=0)
    tn: int = Field(ge=0)

    def counts(self) -> Counts:
        """As the statistics take them."""
        return Counts(tp=self.tp, fp=self.fp, fn=self.fn, tn=self.tn)


class Categorised(Cells):
    """One category's counts over the messages that the system's first stage flagged."""

    missed_by_screen: int = Field(ge=0)
    """Messages of this category that the first stage did not flag."""


class Pattern(Record):
    """Messages that the same systems have wrong."""

    wrong: tuple[str, ...]
    """Ids of those systems, and of no other; empty where all are right."""
    messages: int = Field(ge=0)


class Together(Record):
    """Who is wrong together: one joint table out of those that give the printed tests."""

    data: str
    figure: Figure
    """`sensitivity`: over the crises. `specificity`: over the others."""
    tables_that_fit: int = Field(ge=1)
    """How many joint tables give the same tests. One of them is here, and nothing else may be read from it."""
    overlap_settled: tuple[tuple[str, str], ...]
    """Pairs of systems that share the same number of errors in every table that fits."""
    patterns: tuple[Pattern, ...]


class Published(Record):
    """The counts behind the published figures, checked against one another."""

    source: str
    made: str
    systems: dict[str, str]
    """Id to name."""
    data: dict[str, str]
    screen: dict[str, dict[str, Cells]]
    """Crisis or not, by data set and system."""
    categorise: dict[str, dict[str, Categorised]]
    """By system and category, over flagged messages."""
    flags_as_categories: dict[str, dict[str, Cells]]
    """By system and category, over all messages: crisis or not, taken for the answer in every category."""
    exact_match: dict[str, int]
    """Flagged messages with every category right, by system."""
    wrong_together: tuple[Together, ...]

    @model_validator(mode="after")
    def _add_up(self) -> Self:
        for cells in self.screen.values():
            if len({(c.tp + c.fn, c.fp + c.tn) for c in cells.values()}) != 1:
                raise ValueError("all systems judged the same messages")
        flags = self.screen[VERILY]
        for system, rows in self.categorise.items():
            if any(c.counts().n != flags[system].counts().flagged for c in rows.values()):
                raise ValueError("the second stage judged what the first flagged")
        for system, cells in self.flags_as_categories.items():
            if any(c.counts().flagged != flags[system].counts().flagged for c in cells.values()):
                raise ValueError("a flag that stands for every category is one flag")
        positives = {
            (name, c.positives, c.n) for system in self.systems for name, c in end_to_end(self, system).items()
        }
        if len(positives) != len({name for name, _, _ in positives}):
            raise ValueError("the categories are those of the messages, whoever judged them")
        for joint in self.wrong_together:
            _joint_adds_up(joint, self.screen[joint.data])
        return self


def _joint_adds_up(joint: Together, cells: dict[str, Cells]) -> None:
    for system, each in cells.items():
        wrong, messages = _errors(each, joint.figure)
        if sum(p.messages for p in joint.patterns if system in p.wrong) != wrong:
            raise ValueError("a joint table has each system's errors")
        if sum(p.messages for p in joint.patterns) != messages:
            raise ValueError("a joint table has each message once")


@dataclass(frozen=True, slots=True)
class Row:
    """A line of Table 2, 3 or 4."""

    table: Literal["2", "3", "4"]
    system: str
    data: str
    category: str | None
    """`None` for crisis or not."""
    metrics: Metrics
    """Intervals by Wilson, as the paper has them."""
    other_crises: int | None
    """Of the false positives, those that are crises of another category, where a flag stands for the category; else `None`."""
    end_to_end: Metrics | None
    """Table 4 alone: the same category over all messages, the first stage's misses counted as misses."""


@dataclass(frozen=True, slots=True)
class CategoryAverage:
    """An average over the eight categories, in one of two readings."""

    system: str
    reading: Literal["flagged", "end_to_end"]
    """`flagged`: over the messages that the first stage flagged, as the paper has it. `end_to_end`: over all messages."""
    figure: AverageOf
    macro: float | None
    spread: Span | None
    """Student's t over eight categories, as the paper has it: how far categories differ, not how sure their mean is."""
    micro: float | None


@dataclass(frozen=True, slots=True)
class Projection:
    """A cell of Table S1 or S2: positive predictive value at a prevalence."""

    table: Literal["S1", "S2"]
    system: str
    data: str
    prevalence: float
    paper: PpvProjection
    posterior: PpvPosterior | None
    """From the raw counts, with the uncertainty of both rates."""


@dataclass(frozen=True, slots=True)
class AllSystems:
    """Cochran's Q over the three systems."""

    data: str
    figure: Figure
    test: CochranQ
    tables_that_fit: int
    """Joint tables that give this Q; the errors of each system by itself do not settle it."""


@dataclass(frozen=True, slots=True)
class TwoSystems:
    """Exact McNemar test of two systems, one of three pairs."""

    data: str
    figure: Figure
    systems: tuple[str, str]
    exact: bool
    """Whether it is known how many errors the two share. If not, none is taken to be shared, which makes every p the greatest and
    the interval the widest that the counts allow."""
    p: float
    bonferroni: float
    """Times three, as the paper has it."""
    holm: float
    """Never above Bonferroni's, and as safe."""
    difference: PairedDifference
    """First system's figure minus the second's (Agresti and Min)."""


@dataclass(frozen=True, slots=True)
class Paper:
    """All that can be had from the counts."""

    facts: Published
    rows: tuple[Row, ...]
    averages: tuple[CategoryAverage, ...]
    exact_match: Interval
    """VBHSF's flagged messages with every category right."""
    wrong_labels: int
    """VBHSF's, too many and too few, over its flagged messages."""
    hamming_loss: float
    projections: tuple[Projection, ...]
    all_systems: tuple[AllSystems, ...]
    two_systems: tuple[TwoSystems, ...]


def published() -> Published:
    """The counts that come with the package.

    Raises:
        AssetError: the file is missing, or its counts do not agree with one another.
    """
    file = resources.files("crisis_filter.evaluation").joinpath("published", "vbhsf.json")
    try:
        return Published.model_validate_json(file.read_bytes())
    except (OSError, ValidationError) as error:
        raise AssetError(f"published/vbhsf.json: cannot be used ({type(error).__name__}); install again") from None


def reproduce(facts: Published, rng: np.random.Generator) -> Paper:
    """Compute the paper's figures, and the corrected ones.

    Args:
        facts: the counts.
        rng: for the draws behind the corrected predictive values; nothing else is drawn.

    Returns:
        Figures unrounded; rounded to three decimals, the paper's own are as printed.
    """
    (system, cells), *_ = facts.categorise.items()
    over_flagged = micro([c.counts() for c in cells.values()])
    wrong = over_flagged.fp + over_flagged.fn
    return Paper(
        facts=facts,
        rows=tuple(table_rows(facts)),
        averages=tuple(averages(facts)),
        exact_match=wilson(facts.exact_match[system], facts.screen[VERILY][system].counts().flagged),
        wrong_labels=wrong,
        hamming_loss=wrong / over_flagged.n,
        projections=tuple(projections(facts, rng)),
        all_systems=tuple(_all_systems(facts)),
        two_systems=tuple(pair for data, figure in _COMPARED for pair in _pairs(facts, data, figure)),
    )


def end_to_end(facts: Published, system: str) -> dict[str, Counts]:
    """Counts of each category over all 1,800 messages: what Table 3 is made of."""
    if system in facts.flags_as_categories:
        return {name: c.counts() for name, c in facts.flags_as_categories[system].items()}
    screen = facts.screen[VERILY][system].counts()
    return {
        name: flat(c.counts(), c.missed_by_screen, screen.n - screen.flagged)
        for name, c in facts.categorise[system].items()
    }


def table_rows(facts: Published) -> Iterator[Row]:
    """The lines of Tables 2, 3 and 4."""
    for system in facts.systems:
        for data, screened in facts.screen.items():
            yield Row("2", system, data, None, metrics(screened[system].counts()), None, None)
    for system in facts.systems:
        screen = facts.screen[VERILY][system]
        yield Row("3", system, VERILY, None, metrics(screen.counts()), None, None)
        for category, counts in end_to_end(facts, system).items():
            others = counts.fp - screen.fp if system in facts.flags_as_categories else None
            yield Row("3", system, VERILY, category, metrics(counts), others, None)
    for system, cells in facts.categorise.items():
        whole = end_to_end(facts, system)
        for category, cell in cells.items():
            yield Row("4", system, VERILY, category, metrics(cell.counts()), None, metrics(whole[category]))


def averages(facts: Published) -> Iterator[CategoryAverage]:
    """The macro line, over flagged messages and end to end; micro averages beside it."""
    for system, cells in facts.categorise.items():
        readings: tuple[tuple[Literal["flagged", "end_to_end"], list[Counts]], ...] = (
            ("flagged", [c.counts() for c in cells.values()]),
            ("end_to_end", [*end_to_end(facts, system).values()]),
        )
        for reading, counts in readings:
            mean, each, pooled = macro(counts), [metrics(c) for c in counts], metrics(micro(counts))
            of: tuple[tuple[AverageOf, float | None, Sequence[float | None], float | None], ...] = (
                ("sensitivity", mean.sensitivity, [m.sensitivity.estimate for m in each], pooled.sensitivity.estimate),
                ("ppv", mean.ppv, [m.ppv.estimate for m in each], pooled.ppv.estimate),
                ("f1", mean.f1, [m.f1 for m in each], pooled.f1),
            )
            for figure, estimate, values, together in of:
                yield CategoryAverage(system, reading, figure, estimate, macro_t(values), together)


def projections(facts: Published, rng: np.random.Generator) -> Iterator[Projection]:
    """The cells of Tables S1 and S2."""
    for table, data in _PROJECTIONS:
        for system in facts.systems:
            cells = facts.screen[data][system]
            found = metrics(cells.counts())
            # The paper went on with what it had printed.
            rounded = round(found.sensitivity.estimate or 0.0, 3), round(found.specificity.estimate or 0.0, 3)
            for share in PREVALENCES:
                posterior = ppv_posterior(tp=cells.tp, fn=cells.fn, tn=cells.tn, fp=cells.fp, prevalence=share, rng=rng)
                yield Projection(table, system, data, share, ppv_projection_paper(*rounded, share), posterior)


def _all_systems(facts: Published) -> Iterator[AllSystems]:
    for joint in facts.wrong_together:
        right = [[system not in p.wrong for system in facts.systems] for p in joint.patterns]
        table = np.repeat(np.array(right), [p.messages for p in joint.patterns], axis=0)
        yield AllSystems(joint.data, joint.figure, cochran_q(table), joint.tables_that_fit)


def _pairs(facts: Published, data: str, figure: Figure) -> Iterator[TwoSystems]:
    pairs = list(combinations(facts.systems, 2))
    found = []
    for pair in pairs:
        (first, messages), (second, _) = (_errors(facts.screen[data][system], figure) for system in pair)
        shared = _shared(facts, data, figure, pair)
        b, c = second - (shared or 0), first - (shared or 0)
        found.append((shared is not None, mcnemar_exact(b, c), paired_difference(b, c, messages)))
    ps = [p for _, p, _ in found]
    for pair, (exact, p, difference), times, step in zip(pairs, found, bonferroni(ps), holm(ps), strict=True):
        yield TwoSystems(data, figure, pair, exact, p, times, step, difference)


def _shared(facts: Published, data: str, figure: Figure, pair: tuple[str, str]) -> int | None:
    """How many errors two systems share, where the printed tests settle it."""
    for joint in facts.wrong_together:
        if (joint.data, joint.figure) == (data, figure) and pair in joint.overlap_settled:
            return sum(p.messages for p in joint.patterns if {*pair} <= {*p.wrong})
    return None


def _errors(cells: Cells, figure: Figure) -> tuple[int, int]:
    """Wrong answers, and the messages they are counted over."""
    return (cells.fn, cells.tp + cells.fn) if figure == "sensitivity" else (cells.fp, cells.fp + cells.tn)
