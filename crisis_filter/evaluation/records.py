"""What an evaluation says: estimates with their counts and intervals, ids of what went wrong, and never a text.

Every figure is made from stored assessments and gold labels, so that anybody can make it again. Rates count a failure (an
`undetermined` outcome) inside their denominators, as wrong; beside them stand the bounds if every failure had been right.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from crisis_filter.evaluation.category_records import Categorising, Flagging, Measures, Scope
from crisis_filter.schema import Record
from crisis_filter.stats.intervals import Interval
from crisis_filter.stats.resampling import Span

Kind = Literal["assessments", "binary", "severity"]
"""What a system says of a message: a whole assessment, crisis or not, or one severity that a cut turns into crisis or not."""
Way = Literal["named", "flag"]
"""How an answer about one category is read: the categories that a system names, or its one flag, crisis or not, taken for every category."""


class GoldSet(Record):
    """The reference labels."""

    name: str
    files: tuple[str, ...]
    sha256: tuple[str, ...]
    """Of each file's bytes."""
    labelled_by: str
    """Who gave the labels, in words that stand wherever a figure from them stands (law 8)."""
    messages: int = Field(ge=0)
    crises: int = Field(ge=0)
    categories: tuple[str, ...]
    """The ids of the taxonomy, in its order; empty when Stage 2 is not evaluated."""
    clusters: int | None = None
    """How many clusters (conversations, authors) the resamples draw; `None` when messages are taken for independent."""
    cluster_by: str | None = None
    left_out: int = Field(default=0, ge=0)
    """Labelled messages without an answer from every system, left out because the common ones were asked for."""


class LeftOut(Record):
    """What of one system does not count, because the common messages were asked for."""

    name: str
    """Of the system."""
    crises: int = Field(ge=0)
    """Labelled crises without an answer of this system. Whether it was asked and failed, or never asked, nobody can tell from the files."""
    others: int = Field(ge=0)
    """Labelled messages that are no crisis, without an answer of this system."""
    answers: int = Field(ge=0)
    """Answers of this system about messages that are not labelled, or that another system lacks."""
    sensitivity_if_missed: Interval
    """Over all labelled crises, each without an answer counted as missed."""
    p_crises: float
    """Fisher's exact test that crises and others lack an answer equally often; a low one says that what is left is not a fair sample."""


class System(Record):
    """One run, and what made it."""

    name: str
    file: str
    sha256: str
    kind: Kind
    detector: str
    models: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()
    taxonomy: str = ""
    policy: str = ""
    versions: tuple[str, ...] = ()
    cut: str = ""
    """Of a severity-only system: the least severity that counts as a crisis."""
    scope: Scope | None = None
    """Of a baseline; `None` for anything else, and where no map tells."""


class Screening(Record):
    """Stage 1: crisis or not."""

    crises: dict[str, int]
    """Of the messages that are a crisis: how many of each outcome."""
    others: dict[str, int]
    """Of the messages that are not."""
    measures: Measures
    """With each failure counted as wrong: missed where it is a crisis, a false alarm where it is not."""
    best_sensitivity: Interval
    """If every failure among the crises had been found; a failure does reach a person, so this is who was told."""
    best_specificity: Interval
    """If every failure among the others had been cleared."""
    faults: dict[str, int]
    """Faults of undetermined messages."""
    missed: tuple[str, ...]
    """Ids of crises that were cleared."""
    false_alarms: tuple[str, ...]
    """Ids of messages that are no crisis and were taken for one."""
    undetermined: tuple[str, ...]
    """Ids."""


class Subgroup(Record):
    """The rates of Stage 1 within one level of one property."""

    facet: str
    level: str
    sensitivity: Interval
    specificity: Interval
    undetermined: int


class AtSensitivity(Record):
    """What false alarms a sensitivity costs."""

    target: float
    reached: float | None
    threshold: float | None
    false_positive_rate: Interval
    bootstrap: Span | None = None
    """The threshold chosen anew in every resample."""
    unreachable: bool
    """Whether only flagging everything reaches the target."""


class Point(Record):
    """One threshold: flag when the score is at least so high."""

    threshold: float
    found: int
    """Crises at or above it."""
    alarms: int
    """Other messages at or above it."""


class Bin(Record):
    """One bar of a reliability diagram."""

    low: float
    high: float
    mean: float
    """Mean score."""
    observed: Interval
    """Share of crises, of the messages in the bin."""


class Calibration(Record):
    """Whether scores can be read as probabilities, at this data's share of crises."""

    brier: float | None
    brier_span: Span | None
    brier_skill: float | None
    """Against saying the share of crises of everybody; 1 is perfect, 0 no better."""
    log_loss: float | None
    log_loss_span: Span | None
    ece: float | None
    ece_span: Span | None
    slope: float | None
    """1 is right, below 1 too sure of itself."""
    intercept: float | None
    distinct: int
    """Different scores."""
    bins: tuple[Bin, ...]
    """Of equal numbers of messages."""
    histogram: tuple[tuple[int, int], ...]
    """Crises and other messages in each of 20 equally wide bins of 0 to 1; a bin takes its lower edge, the last both."""


class Scores(Record):
    """What the scores of Stage 1 can tell, whatever threshold was used."""

    source: str
    """Where scores came from, such as `engine`."""
    crises: int
    others: int
    missing: int
    """Messages without a score; each counts as ranked wrongly in every figure here but calibration, which leaves them out."""
    auroc: float | None
    auroc_span: Span | None
    auroc_best: float | None
    """If every message without a score had been ranked rightly."""
    at: tuple[AtSensitivity, ...]
    points: tuple[Point, ...]
    """Highest threshold first; thinned."""
    calibration: Calibration | None


class Unscored(Record):
    """Why there are no figures from scores."""

    reason: str


class AtPrevalence(Record):
    """What to expect where crises are rarer than in this data."""

    prevalence: float
    ppv: float | None
    ppv_span: Span | None
    npv: float | None
    npv_span: Span | None
    per_10000: dict[str, float]
    """Of 10,000 messages: `found`, `missed`, `undetermined_crises`, `false_alarms`, `undetermined_others`, `cleared`."""


class SystemReport(Record):
    """Everything of one system."""

    system: System
    screening: Screening
    categorising: Categorising | None
    no_categories: str = ""
    """Why Stage 2 is not there."""
    flagging: Flagging | None = None
    """`None` where the labels do not say the categories of every crisis."""
    subgroups: tuple[Subgroup, ...]
    scores: Scores | Unscored
    prevalences: tuple[AtPrevalence, ...]


class Pair(Record):
    """Two systems on the same messages."""

    first: str
    second: str
    outcome: Literal["sensitivity", "specificity"]
    only_first: int
    """Messages that only the first is right about."""
    only_second: int
    messages: int
    estimate: float | None
    """Rate of the first less that of the second."""
    low: float
    """Of the Agresti-Min interval of the difference, at the level of the settings."""
    high: float
    p: float
    """Exact McNemar."""
    p_adjusted: float
    """For all pairs of this outcome."""


class CategoryPair(Pair):
    """Two systems on the same messages, in one category: those that carry it for sensitivity, the others for specificity."""

    category: str
    way: Way
    p_adjusted: float
    """For all pairs of this outcome in this category, read this way."""


class ScoreGap(Record):
    """Two systems' figures from the same draws."""

    first: str
    second: str
    figure: Literal["AUROC", "macro F1, flat"]
    estimate: float | None
    span: Span | None


class Together(Record):
    """All systems at once: Cochran's Q."""

    outcome: Literal["sensitivity", "specificity"]
    systems: int
    messages: int
    statistic: float | None
    freedom: int
    p: float


class Settings(Record):
    """What was chosen, so that the same figures can be made again."""

    level: float
    interval: Literal["wilson", "clopper_pearson", "jeffreys"]
    adjustment: Literal["holm", "bonferroni"]
    resamples: int
    seed: int
    failures: Literal["wrong", "flagged"]
    """`wrong`: an undetermined message counts against the system on either side. `flagged`: it counts as taken for a crisis, because it reaches
    a person."""


class Evaluation(Record):
    """The whole evaluation, as `--output report.json` has it."""

    version: str
    settings: Settings
    gold: GoldSet
    systems: tuple[SystemReport, ...]
    pairs: tuple[Pair, ...] = ()
    category_pairs: tuple[CategoryPair, ...] = ()
    """First the categories that systems name, then their overall flags."""
    gaps: tuple[ScoreGap, ...] = ()
    together: tuple[Together, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    """For each system that lacks an answer or has one too many."""
    warnings: tuple[str, ...] = ()
    """What a reader must know before believing a figure."""
