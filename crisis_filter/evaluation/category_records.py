"""What an evaluation says of categories: which were named, how the overall flag stands to each, and what a baseline is meant for at all."""

from __future__ import annotations

from crisis_filter.schema import Record
from crisis_filter.stats.intervals import Interval
from crisis_filter.stats.resampling import Span
from crisis_filter.taxonomy.maps import Mark

SHOWN = 200
"""Most ids in one cell of a matrix."""


class Scope(Record):
    """Which of our categories a baseline is meant for, as its map in `categories/maps` says."""

    source: str
    """The map's id."""
    marks: dict[str, Mark]
    """By category, in the taxonomy's order."""

    @property
    def inside(self) -> tuple[str, ...]:
        """Those that it is meant for, directly or in part."""
        return tuple(category for category, mark in self.marks.items() if mark != "none")


class Measures(Record):
    """The figures of one two-by-two table. An estimate is `None` where nothing was counted."""

    sensitivity: Interval
    specificity: Interval
    ppv: Interval
    npv: Interval
    accuracy: Interval
    f1: float | None


class CategoryRow(Record):
    """One category of Stage 2."""

    category: str
    labelled: int
    """Messages that carry it."""
    undetermined: int = 0
    """Undetermined messages that do not carry it. They name nothing, so in `flat` they are true negatives: an outage of everything has a
    specificity of 1 in every category, and a sensitivity of 0."""
    flat: Measures
    """Over all messages, end to end: what Stage 1 missed is missed here too. This is the headline."""
    hierarchical: Measures
    """Over the messages that this system took for a crisis."""


class Average(Record):
    """An average over categories."""

    estimate: float | None
    bootstrap: Span | None = None
    """From resamples of messages or clusters: sampling error."""
    across: Span | None = None
    """Student's t over the categories' own figures, as the VBHSF paper has it: spread between categories, not sampling error."""


class Averages(Record):
    """Averages of one way of counting."""

    macro_sensitivity: Average
    macro_ppv: Average
    macro_f1: Average
    micro_sensitivity: Interval
    micro_ppv: Interval
    micro_f1: Average


class InScope(Record):
    """The same averages over the categories that a baseline is meant for, directly or in part."""

    categories: tuple[str, ...]
    """Those in scope; maybe none."""
    flat: Averages | None
    """`None` where no category is in scope."""
    hierarchical: Averages | None
    """`None` there too, and for the overall flag, which has one way of counting."""


class Cell(Record):
    """A cell of the misclassification matrix."""

    truth: str
    said: str
    messages: int
    ids: tuple[str, ...]
    """At most `SHOWN` of them."""


class Categorising(Record):
    """Stage 2: which categories."""

    rows: tuple[CategoryRow, ...]
    flat: Averages
    hierarchical: Averages
    in_scope: InScope | None = None
    """`None` for a system whose scope nobody said."""
    exact: Interval
    """Messages taken for a crisis whose categories are all right, of those."""
    exact_flat: Interval
    """All messages whose categories are all right, of all."""
    hamming: float | None
    """Wrong labels of all labels, over the messages taken for a crisis."""
    flagged: int
    unspecified: int
    """Messages taken for a crisis without a named category."""
    matrix: tuple[Cell, ...]
    """Row by row, the category that is true and the one that was said: off the diagonal, messages that carry the first, not the second, and were
    said to have the second; on it, all errors of that category. Over the messages taken for a crisis (Figure S2 of the VBHSF paper)."""


class FlagRow(Record):
    """The overall flag of one system, held against the messages labelled with one category."""

    category: str
    labelled: int
    """Messages that carry it."""
    tp: int
    """Carry it, and taken for a crisis; undetermined too, where failures count as flagged."""
    fn: int
    """Carry it, and not taken for a crisis; undetermined too, where failures count as wrong."""
    fp: int
    """Do not carry it, and taken for a crisis; undetermined too, where failures count as wrong or as flagged."""
    tn: int
    """Do not carry it, and not taken for a crisis."""
    other_crises: int
    """Of `fp`, those that are a crisis of another category: wrong here, though rightly taken for a crisis, or undetermined."""
    measures: Measures


class Flagging(Record):
    """One flag, crisis or not, taken for the answer in every category, as the VBHSF paper's Table 3 has the systems that it compares with.

    Failures count as in Stage 1. Specificity and PPV are no figures of a category: a crisis of another category is a false alarm in them.
    """

    rows: tuple[FlagRow, ...]
    averages: Averages
    """Over all categories."""
    in_scope: InScope | None = None
    """`None` for a system whose scope nobody said."""
