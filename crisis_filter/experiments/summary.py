"""Counts of an experiment by variant: what was found, missed, and left undetermined. No rate; comparisons have those, with intervals."""

from __future__ import annotations

from collections import Counter

from pydantic import Field

from crisis_filter.experiments.records import Cell, Experiment, Item, Spent, Variant
from crisis_filter.schema import UNSPECIFIED, Record

__all__ = ["Counts", "Summary", "VariantCounts", "summary_of"]


class Counts(Record):
    """Answers about messages of one kind, over all repeats."""

    answers: int = Field(ge=0)
    right: int = Field(ge=0)
    wrong: int = Field(ge=0)
    undetermined: int = Field(ge=0)


class VariantCounts(Record):
    """One variant."""

    id: str
    expected: int
    """Answers that the plan asks for."""
    crises: Counts
    """Right: said to be a crisis."""
    others: Counts
    """Right: said to be none."""
    faults: dict[str, int]
    """Undetermined answers by fault, the most frequent first."""
    said_crisis: int = Field(ge=0)
    """Answers that say crisis, rightly or not."""
    unnamed: int = Field(ge=0)
    """Of those, answers that name no category but `unspecified`."""
    faulty: int = Field(ge=0)
    """Of those, answers that carry a fault beside the crisis."""
    unstable: int
    """Messages whose repeats do not all have the same outcome."""
    prompt_tokens: int
    """Of the answers, whoever paid for them."""
    completion_tokens: int
    taken: int = Field(ge=0)
    """Answers that were taken over from an earlier experiment."""
    spent: Spent
    """Asked and paid in this folder."""

    @property
    def answers(self) -> int:
        """How many there are."""
        return self.crises.answers + self.others.answers


class Summary(Record):
    """All variants."""

    name: str
    sha256: str
    data: str
    labelled_by: str
    messages: int
    crises: int
    repeats: int
    complete: bool
    variants: tuple[VariantCounts, ...]


def summary_of(experiment: Experiment) -> Summary:
    """The counts of an experiment, finished or not."""
    state = experiment.state
    return Summary(
        name=experiment.name,
        sha256=state.sha256,
        data=state.data,
        labelled_by=state.labelled_by,
        messages=len(state.items),
        crises=sum(item.crisis for item in state.items),
        repeats=state.repeats,
        complete=experiment.complete,
        variants=tuple(_variant(experiment, variant) for variant in state.variants),
    )


def _variant(experiment: Experiment, variant: Variant) -> VariantCounts:
    state = experiment.state
    pairs = [
        (item, cell)
        for item in state.items
        for repeat in range(1, state.repeats + 1)
        if (cell := experiment.cells.get((variant.id, item.id, repeat))) is not None
    ]
    outcomes: dict[str, set[str]] = {}
    for item, cell in pairs:
        outcomes.setdefault(item.id, set()).add(cell.assessment.outcome)
    faults = Counter(
        cell.assessment.fault.value
        for _, cell in pairs
        if cell.assessment.outcome == "undetermined" and cell.assessment.fault is not None
    )
    crises = [cell.assessment for _, cell in pairs if cell.assessment.outcome == "crisis"]
    return VariantCounts(
        id=variant.id,
        expected=len(state.items) * state.repeats,
        crises=_counts([p for p in pairs if p[0].crisis]),
        others=_counts([p for p in pairs if not p[0].crisis]),
        faults=dict(faults.most_common()),
        said_crisis=len(crises),
        unnamed=sum(all(finding.category == UNSPECIFIED for finding in one.findings) for one in crises),
        faulty=sum(one.fault is not None for one in crises),
        unstable=sum(len(said) > 1 for said in outcomes.values()),
        prompt_tokens=sum(cell.assessment.provenance.prompt_tokens for _, cell in pairs),
        completion_tokens=sum(cell.assessment.provenance.completion_tokens for _, cell in pairs),
        taken=experiment.taken.get(variant.id, 0),
        spent=experiment.spent[variant.id],
    )


def _counts(pairs: list[tuple[Item, Cell]]) -> Counts:
    undetermined = sum(cell.assessment.outcome == "undetermined" for _, cell in pairs)
    wrong = sum(
        cell.assessment.outcome != "undetermined" and (cell.assessment.outcome == "crisis") != item.crisis
        for item, cell in pairs
    )
    return Counts(answers=len(pairs), right=len(pairs) - wrong - undetermined, wrong=wrong, undetermined=undetermined)
