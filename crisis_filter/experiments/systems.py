"""Who is compared: variants of experiments and plain files of answers, brought to the same messages and repeats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from crisis_filter.datasets.records import Split
from crisis_filter.errors import InputError
from crisis_filter.evaluation.gold import Gold
from crisis_filter.evaluation.matching import CRISIS, NO_CRISIS, UNDETERMINED
from crisis_filter.evaluation.runs import Run
from crisis_filter.experiments.items import text_sha256
from crisis_filter.experiments.plan import Price
from crisis_filter.experiments.records import Cell, Experiment, Item, State, Variant
from crisis_filter.schema import OUTCOMES, UNSPECIFIED, Outcome, PromptRef

__all__ = ["Asked", "Grid", "Judged", "Said", "System", "grid", "of_run", "of_variant", "on_items"]

Judged = NDArray[np.bool_]
"""Shape (messages, repeats)."""
_PLACES = {outcome: place for place, outcome in enumerate(OUTCOMES)}


@dataclass(frozen=True, slots=True)
class Said:
    """One answer."""

    outcome: Outcome
    fault: str | None
    """Of an undetermined one, or beside a crisis."""
    categories: frozenset[str] | None
    """`None` where nothing is told of them; `unspecified` is not among them."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    requests: int = 0


@dataclass(frozen=True, slots=True)
class Asked:
    """The messages behind a system's answers."""

    name: str
    sha256: tuple[str, ...]
    split: Split | None
    labelled_by: str
    items: tuple[Item, ...]
    """In the order of the experiment."""


@dataclass(frozen=True, slots=True, eq=False)
class System:
    """One system and everything it said."""

    name: str
    source: str
    provider: str
    asked: Asked
    repeats: int
    said: Mapping[tuple[str, int], Said] = field(repr=False)
    """By item and repeat; what is missing was not asked yet."""
    variant: Variant | None = None
    prompts: tuple[PromptRef, ...] = ()
    price: Price | None = None
    counts_tokens: bool = True
    """Whether answers say what they took."""
    untold: int = 0
    """Replies whose server did not say how many tokens they took."""
    taken: int | None = None
    """Answers that were taken over from an earlier experiment; `None` for a file."""
    state: State | None = field(default=None, repr=False)
    """Of the experiment; `None` for a file."""

    @property
    def complete(self) -> bool:
        """Whether every message was judged in every repeat."""
        return len(self.said) == len(self.asked.items) * self.repeats


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Systems on the same messages, each judged equally often."""

    items: tuple[Item, ...]
    repeats: int
    systems: tuple[System, ...]
    outcomes: tuple[NDArray[np.int8], ...]
    """For each system, shape (messages, repeats), as in `evaluation.matching`."""
    crisis: NDArray[np.bool_]
    """Shape (messages,)."""
    clusters: tuple[str, ...] | None
    left_out: int
    complete: bool

    def right(self, system: int) -> Judged:
        """Which answers of a system are right; an undetermined one never is."""
        outcomes, crisis = self.outcomes[system], self.crisis[:, None]
        fine: Judged = (crisis & (outcomes == CRISIS)) | (~crisis & (outcomes == NO_CRISIS))
        return fine

    def undetermined(self, system: int) -> Judged:
        """Which answers of a system are undetermined."""
        found: Judged = self.outcomes[system] == UNDETERMINED
        return found

    def answers(self, system: int, message: int) -> tuple[Outcome, ...]:
        """What a system said of a message, repeat by repeat."""
        return tuple(OUTCOMES[place] for place in self.outcomes[system][message])

    def clusters_of(self, chosen: NDArray[np.bool_]) -> tuple[str, ...] | None:
        """The clusters of some messages."""
        return None if self.clusters is None else tuple(self.clusters[at] for at in np.flatnonzero(chosen))


def of_variant(experiment: Experiment, variant: Variant) -> System:
    """A variant of an experiment."""
    state = experiment.state
    said = {
        (item, repeat): _said(cell) for (name, item, repeat), cell in experiment.cells.items() if name == variant.id
    }
    return System(
        name=variant.id,
        source=experiment.name,
        provider=variant.provider,
        asked=Asked(state.data, state.data_sha256, state.plan.tests.split, state.labelled_by, state.items),
        repeats=state.repeats,
        said=said,
        variant=variant,
        prompts=tuple(ref for ref in (variant.screen, variant.categorise) if ref is not None),
        price=variant.price,
        untold=experiment.spent[variant.id].untold,
        taken=experiment.taken.get(variant.id, 0),
        state=state,
    )


def of_run(run: Run, gold: Gold, split: Split | None = None) -> System:
    """A file of answers with labels that go with it.

    Raises:
        InputError: an answer without a label.
    """
    if odd := next((answer.place for at, answer in run.answers.items() if at not in gold.rows), None):
        raise InputError(f"{odd}: no label for this id; add labels, or name those that belong to this file")
    rows = gold.rows.values()
    items = tuple(
        Item(
            id=row.id,
            crisis=row.crisis,
            categories=tuple(sorted(row.categories or ())),
            cluster=row.cluster,
            text_sha256="" if row.text is None else text_sha256(row.text),
        )
        for row in rows
    )
    asked = Asked(gold.name, gold.sha256, split, gold.labelled_by, items)
    return _run(run, asked)


def on_items(run: Run, asked: Asked) -> System:
    """A file of answers about the messages of an experiment, whose labels then hold.

    Raises:
        InputError: an answer about another message.
    """
    there = {item.id for item in asked.items}
    if odd := next((answer.place for at, answer in run.answers.items() if at not in there), None):
        raise InputError(f"{odd}: this id is not among the messages of {asked.name}; compare what judged the same ones")
    return _run(run, asked)


def _run(run: Run, asked: Asked) -> System:
    said = {(at, 1): Said(answer.outcome, answer.fault, answer.categories) for at, answer in run.answers.items()}
    system = run.system
    return System(
        name=system.name,
        source=system.file,
        provider=system.detector,
        asked=asked,
        repeats=1,
        said=said,
        counts_tokens=False,
    )


def grid(systems: Sequence[System], *, common: bool = False) -> Grid:
    """Bring systems together.

    Args:
        systems: at least one, the incumbent first, with names that differ.
        common: keep to the messages that all were to judge; else it is an error where those differ.

    Returns:
        The messages that every system has judged in every repeat that is compared, in the order of the incumbent's, and of repeats as many as
        every system has. Where answers are lacking those are the first ones in which no message is lost, so that what was shown of them by a
        look stays: runs ask about all messages before they ask again.

    Raises:
        InputError: systems that judged other messages, or messages with other texts or labels, named by the first id that differs; no message
            that all have judged; two systems of one name.
    """
    names = [system.name for system in systems]
    if len(set(names)) != len(names):
        raise InputError("two systems have the same name; name each once")
    first = systems[0]
    for other in systems[1:]:
        _refuse_other(first, other, common=common)
    items = _judged(first.asked.items, systems, 1)
    repeats = 1
    while repeats < min(system.repeats for system in systems) and items == _judged(items, systems, repeats + 1):
        repeats += 1
    asked = range(1, repeats + 1)
    if not items:
        raise InputError(
            "no message has been judged by every system; finish the experiments, or name the same messages"
        )
    wanted = {item.id for system in systems for item in system.asked.items}
    together = any(item.cluster is not None for item in items)
    return Grid(
        items=items,
        repeats=repeats,
        systems=tuple(systems),
        outcomes=tuple(
            np.array([[_PLACES[s.said[item.id, r].outcome] for r in asked] for item in items], dtype=np.int8)
            for s in systems
        ),
        crisis=np.array([item.crisis for item in items], dtype=np.bool_),
        # A message that stands alone is a cluster by itself.
        clusters=tuple(item.cluster or f"alone {item.id}" for item in items) if together else None,
        left_out=len(wanted) - len(items),
        complete=all(system.complete for system in systems),
    )


def _judged(items: Sequence[Item], systems: Sequence[System], repeat: int) -> tuple[Item, ...]:
    """Those that every system has judged in a repeat."""
    return tuple(item for item in items if all((item.id, repeat) in system.said for system in systems))


def _refuse_other(first: System, other: System, *, common: bool) -> None:
    ours, theirs = ({item.id: item for item in each.asked.items} for each in (first, other))
    both = f"{first.name} and {other.name}"
    for at, item in ours.items():
        if at not in theirs:
            if common:
                continue
            raise InputError(
                f"{both} did not judge the same messages: {at!r} is only among those of {first.name}; compare what all judged with --common"
            )
        one = theirs[at]
        if item.text_sha256 and one.text_sha256 and item.text_sha256 != one.text_sha256:
            raise InputError(f"{both} did not judge the same messages: {at!r} has another text")
        if item.crisis != one.crisis or item.categories != one.categories:
            raise InputError(f"{both} were not given the same labels: {at!r} has others")
    if not common and (extra := next((at for at in theirs if at not in ours), None)):
        raise InputError(
            f"{both} did not judge the same messages: {extra!r} is only among those of {other.name}; compare what all judged with --common"
        )


def _said(cell: Cell) -> Said:
    one = cell.assessment
    how = one.provenance
    return Said(
        outcome=one.outcome,
        fault=one.fault.value if one.fault is not None else None,
        categories=frozenset(finding.category for finding in one.findings) - {UNSPECIFIED},
        prompt_tokens=how.prompt_tokens,
        completion_tokens=how.completion_tokens,
        requests=how.attempts,
    )
