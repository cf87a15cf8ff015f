"""What a comparison says: systems beside one another on the same messages, candidates against an incumbent, and whether bounds are kept.

Rates count an undetermined answer as wrong on either side, inside the denominator; how many there were stands beside every rate. Where a
message was judged several times, each of its answers weighs the same, and messages, never answers, are what is independent. No text of a
message is in here.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from crisis_filter.datasets.records import Split
from crisis_filter.experiments.measures import CategoryFigures, Naming, Rate, Stability, SystemFigures, Tally
from crisis_filter.experiments.plan import Acceptance
from crisis_filter.schema import Outcome, Record

__all__ = [
    "Anytime",
    "Candidate",
    "CategoryContrast",
    "CategoryFigures",
    "CategoryVerdict",
    "Change",
    "Comparison",
    "Difference",
    "Flip",
    "Gate",
    "Measured",
    "Naming",
    "Rate",
    "Settings",
    "Side",
    "SideContrast",
    "Stability",
    "SystemFigures",
    "Tally",
]

Side = Literal["sensitivity", "specificity"]
"""Among the crises; among the others."""
CategoryVerdict = Literal["holds", "worse", "too few to tell"]
"""`holds`: the interval of the difference lies above minus the margin. `worse`: it lies wholly below 0. Else there are too few messages."""
Change = Literal["fixed", "broken", "alike"]
"""Whether the candidate is right in more, fewer or as many of the answers about a message."""


class Settings(Record):
    """What was chosen, so that the same figures can be made again."""

    level: float
    """Coverage of the intervals that are shown; gates have their own, in `Gate.level`."""
    margin: float
    """For the verdicts by category: the loss of sensitivity that would still be borne, 0 to 1."""
    resamples: int
    """Bootstrap draws; used only where messages form clusters."""
    seed: int
    """Of the draws."""


class Measured(Record):
    """The labelled messages that are compared on."""

    name: str
    """Data set and split, or file."""
    sha256: tuple[str, ...]
    """Of the files with the labels."""
    split: Split | None
    """What the messages are for; `None` where nobody said."""
    labelled_by: str
    """Who gave the labels; stands wherever a figure from them stands."""
    messages: int = Field(ge=0)
    crises: int = Field(ge=0)
    left_out: int = Field(ge=0)
    """Messages that not every system has judged in every repeat, and that no figure here counts."""
    repeats: int = Field(ge=1)
    """How often each system judged each message, as far as is compared: where not every answer is in, the first repeats that all have."""
    clusters: int | None = None
    """Groups of messages that are not independent, such as those of one author; `None` where all stand alone."""
    complete: bool
    """Whether every experiment has all its answers. If not, there are no p-values but those that allow an early look."""
    exploration: bool
    """Whether the messages are for trying things out (development, training): then no p-value is a claim."""
    looks: int | None = None
    """How many experiments have been run on the messages so far; `None` where nobody counts."""


class Difference(Record):
    """The candidate's rate less the incumbent's on the same messages: above 0 the candidate is better."""

    estimate: float | None
    """-1 to 1; `None` without messages."""
    low: float
    """Tango's score bound, with what the systems differ by over all repeats as its discordant counts; where messages form clusters the bound
    of a bootstrap over whole clusters, if that lies further out. -1 without messages."""
    high: float
    level: float
    messages: int


class Anytime(Record):
    """The look that may be taken after every message: over the first repeat, in the order of the experiment."""

    e_value: float
    """Evidence now that the systems differ; 1 is none."""
    greatest: float
    """The greatest it has been."""
    p: float
    """1 over the greatest, at most 1: valid however often one looks."""
    stop: bool
    """Whether the greatest has reached 20, so that it is valid to stop and say that they differ."""
    words: str
    """The same as a sentence."""


class SideContrast(Record):
    """Candidate against incumbent on one side."""

    side: Side
    messages: int
    only_incumbent: int
    """Of the first repeat: messages that the incumbent alone has right; `b` of McNemar's test."""
    only_candidate: int
    """Of the first repeat: messages that the candidate alone has right; `c`."""
    mcnemar_p: float | None
    """Exact, two-sided, of the first repeat; `None` where an experiment is not complete, or there is no message."""
    difference: Difference
    """Over all repeats."""
    decided: Difference
    """The same over the messages that the incumbent decided in every repeat: its faults are no argument for the candidate. What the candidate
    leaves undetermined counts as wrong here too."""
    p: float | None
    """Sign-flip test of the difference over all repeats, exact, two-sided: McNemar's for one repeat. `None` as `mcnemar_p`."""
    by_cluster: bool
    """Whether whole clusters were flipped for `p`; else messages count as independent."""
    p_adjusted: float | None
    """`p` after Holm over the candidates of this comparison."""
    anytime: Anytime


class CategoryContrast(Record):
    """Sensitivity among the messages that carry one category."""

    category: str
    messages: int
    incumbent: Rate
    candidate: Rate
    difference: Difference
    decided: Difference
    """As in `SideContrast`."""
    margin: float
    verdict: CategoryVerdict | None
    """`None` without messages: undefined, not kept. `holds` needs both differences."""


class Flip(Record):
    """One message on which the answers of the two systems are not alike."""

    id: str
    crisis: bool
    """By the labels."""
    categories: tuple[str, ...]
    change: Change
    newly_undetermined: bool
    """The candidate is undetermined in some repeat, the incumbent in none."""
    newly_missed: bool = False
    """A crisis that the candidate takes for none in some repeat, the incumbent in none; what was undetermined before may be among them."""
    incumbent: tuple[Outcome, ...]
    """One for each repeat."""
    candidate: tuple[Outcome, ...]
    repeats: tuple[int, ...]
    """Numbers of the repeats, from 1, in which one of the two is right and the other wrong."""


class Gate(Record):
    """One declared bound, and whether it is kept."""

    name: str
    """The field of `Acceptance`, such as `sensitivity_margin`."""
    bound: float
    value: float | None
    """The estimate that is judged, in the unit of the bound; `None` where it cannot be judged."""
    judged: float | None
    """What was held against the bound: the end of the interval that is unfavourable, or the estimate where the bound is for that."""
    low: float | None
    high: float | None
    level: float
    """Of the interval; that of the gates never follows `Settings.level`."""
    messages: int
    passed: bool
    """Never true where it cannot be judged."""
    words: str
    """A sentence with figure, bound and reason."""


class Candidate(Record):
    """One candidate against the incumbent."""

    name: str
    incumbent: str
    sides: tuple[SideContrast, ...]
    """Sensitivity, specificity; a side without messages is there and undefined."""
    categories: tuple[CategoryContrast, ...]
    """In the order of their names; those of the labels."""
    macro_f1: Difference | None
    """Of the mean F1 of the categories, end to end; see `naming.macro_f1_apart`. `None` where either system names none, or the labels do not say
    which."""
    flips: tuple[Flip, ...]
    """In the order of the messages."""
    gates: tuple[Gate, ...] = ()
    passed: bool | None = None
    """Whether all gates are passed; `None` where none was declared."""


class Comparison(Record):
    """The whole comparison."""

    version: str
    """Of this package."""
    settings: Settings
    measured: Measured
    systems: tuple[SystemFigures, ...]
    """The incumbent first."""
    candidates: tuple[Candidate, ...]
    acceptance: Acceptance | None = None
    """The bounds behind the gates."""
    warnings: tuple[str, ...] = ()
    """What a reader must know before believing a figure."""
