"""From a recipe to a place for every message, and from open places to batches. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from itertools import groupby
from typing import Literal, TypeVar

import numpy as np

from crisis_filter.experiments.simulate.recipe import Recipe, Stratum
from crisis_filter.schema import Record, Severity, Subject, Timeframe

__all__ = ["Batch", "Slot", "batches", "plan", "spread"]

ValueT = TypeVar("ValueT")
Directness = Literal["direct", "ambiguous"]


class Slot(Record):
    """The place of one message: what it is to be like."""

    number: int
    """From 1, over the whole recipe."""
    stratum: str
    crisis: bool
    categories: tuple[str, ...]
    topic: str
    voice: str
    severity: Severity | None
    """`None` when not a crisis, as `subject` and `timeframe`."""
    subject: Subject | None
    timeframe: Timeframe | None
    directness: Directness
    masked: bool
    mechanics: bool
    textese: bool
    emoji: bool
    words: tuple[int, int]

    @property
    def label(self) -> str:
        """What it counts as: its categories, or the stratum when it is not a crisis."""
        return "+".join(self.categories) or self.stratum


class Batch(Record):
    """The places that one request asks the author to fill; all of one stratum and one set of categories."""

    attempt: int
    """Which of the recipe's tries."""
    number: int
    """From 1 within the try."""
    slots: tuple[Slot, ...]

    @property
    def key(self) -> str:
        """Identity within a run, such as `t1-b0003`."""
        return f"t{self.attempt}-b{self.number:04}"


def spread(weights: Mapping[ValueT, float], count: int, rng: np.random.Generator) -> list[ValueT]:
    """`count` values in a random order, each as often as its weight says.

    Whole numbers by largest remainder, so each count is within one of its exact share; ties go to the first.

    Args:
        weights: above 0, or 0 for a value that is not to occur; not all of them 0.
        count: how many, 0 or more.
        rng: gives the order.
    """
    total = math.fsum(weights.values())
    exact = [weight / total * count for weight in weights.values()]
    counts = [math.floor(value) for value in exact]
    by_remainder = sorted(range(len(exact)), key=lambda at: counts[at] - exact[at])
    for at in by_remainder[: count - sum(counts)]:
        counts[at] += 1
    values = [value for value, times in zip(weights, counts, strict=True) for _ in range(times)]
    return [values[at] for at in rng.permutation(count)]


def plan(recipe: Recipe) -> tuple[Slot, ...]:
    """A place for every message of a recipe; the same for the same recipe."""
    slots: list[Slot] = []
    for at, stratum in enumerate(recipe.strata):
        slots += _of(recipe, stratum, np.random.default_rng([recipe.seed, at]), first=len(slots) + 1)
    return tuple(slots)


def _of(recipe: Recipe, stratum: Stratum, rng: np.random.Generator, first: int) -> list[Slot]:
    controls, count = recipe.controls_of(stratum), stratum.count

    def evenly(values: Collection[ValueT]) -> list[ValueT]:
        return spread(dict.fromkeys(values, 1.0), count, rng)

    def share(part: float) -> list[bool]:
        return spread({True: part, False: 1.0 - part}, count, rng)

    severity = spread(controls.severity, count, rng)
    subject = spread(controls.subject, count, rng)
    timeframe = spread(controls.timeframe, count, rng)
    categories, topics, voices = evenly(stratum.labels), evenly(stratum.topics), evenly(controls.voices)
    direct, masked, mechanics = share(controls.direct), share(controls.masked), share(controls.mechanics)
    textese, emoji = share(controls.textese), share(controls.emoji)
    words = spread({length.words: length.share for length in controls.lengths}, count, rng)
    return [
        Slot(
            number=first + at,
            stratum=stratum.id,
            crisis=stratum.crisis,
            categories=categories[at],
            topic=topics[at],
            voice=voices[at],
            severity=severity[at] if stratum.crisis else None,
            subject=subject[at] if stratum.crisis else None,
            timeframe=timeframe[at] if stratum.crisis else None,
            directness="direct" if direct[at] else "ambiguous",
            masked=masked[at],
            mechanics=mechanics[at],
            textese=textese[at],
            emoji=emoji[at],
            words=words[at],
        )
        for at in range(count)
    ]


def batches(slots: Sequence[Slot], size: int, attempt: int) -> tuple[Batch, ...]:
    """Requests for these places: at most `size` each, and never of two kinds, so that a refusal is of one kind."""
    ordered = sorted(slots, key=lambda slot: (slot.stratum, slot.categories, slot.number))
    cut: list[tuple[Slot, ...]] = []
    for _, group in groupby(ordered, key=lambda slot: (slot.stratum, slot.categories)):
        kind = tuple(group)
        cut += [kind[at : at + size] for at in range(0, len(kind), size)]
    return tuple(Batch(attempt=attempt, number=number, slots=part) for number, part in enumerate(cut, start=1))
