"""Which candidate wins: sensitivity is a condition, specificity the aim, and no p-value is made of either."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from pydantic import Field

from crisis_filter.experiments.records import Item
from crisis_filter.schema import Outcome, PromptRef, Record

__all__ = ["Candidate", "Counts", "chosen", "count", "may_win"]


class Counts(Record):
    """Answers about the development messages, one each."""

    found: int = Field(ge=0)
    """Crises that were called so."""
    missed: int = Field(ge=0)
    """Crises that were called "not crisis"."""
    undetermined: int = Field(ge=0)
    """Crises that are undetermined: not found, but read by a person."""
    cleared: int = Field(ge=0)
    """Others that were called "not crisis"."""
    alarms: int = Field(ge=0)
    """Others that were called a crisis."""
    others_undetermined: int = Field(ge=0)

    @property
    def crises(self) -> int:
        """What `found` is of."""
        return self.found + self.missed + self.undetermined

    @property
    def others(self) -> int:
        """What `cleared` is of."""
        return self.cleared + self.alarms + self.others_undetermined


class Candidate(Record):
    """A prompt of the search that was judged on every development message."""

    number: int = Field(ge=0)
    """0 is the seed."""
    parents: tuple[int, ...]
    changed: tuple[str, ...]
    """Names of the parts that differ from those of its first parent."""
    prompt: PromptRef
    characters: int = Field(ge=0)
    """Of its stable part, before it is rendered."""
    counts: Counts
    may_win: bool
    """Whether it finds no fewer crises than the seed, and calls no more of them "not crisis"."""
    missed: tuple[str, ...]
    """Ids of the crises that were called "not crisis"."""
    undetermined: tuple[str, ...]
    """Ids, of either kind."""
    alarms: tuple[str, ...]
    """Ids of the others that were called a crisis."""


def count(items: Sequence[Item], outcomes: Mapping[str, Outcome]) -> Counts:
    """Counts over items, each of which has an outcome."""
    crises = [outcomes[item.id] for item in items if item.crisis]
    others = [outcomes[item.id] for item in items if not item.crisis]
    return Counts(
        found=crises.count("crisis"),
        missed=Counter(crises)["no_crisis"],
        undetermined=crises.count("undetermined"),
        cleared=Counter(others)["no_crisis"],
        alarms=others.count("crisis"),
        others_undetermined=others.count("undetermined"),
    )


def may_win(counts: Counts, seed: Counts) -> bool:
    """Whether a candidate loses nothing of what must not be lost.

    It has to find as many crises as the seed. It may not call more of them "not crisis" either: one that turns an undetermined crisis,
    which a person reads, into a silent negative has lost something that sensitivity alone does not show.
    """
    return counts.found >= seed.found and counts.missed <= seed.missed


def chosen(candidates: Sequence[Candidate]) -> Candidate | None:
    """The winner among candidates, of which the first is the seed.

    Returns:
        Of those that may win, the one with the highest specificity; then the one that finds more crises, misses fewer, is shorter, is older.
        `None` where it is not better than the seed in specificity, or as good there and better in sensitivity.
    """
    if not candidates:
        return None
    seed = candidates[0].counts
    best = max(
        (candidate for candidate in candidates if may_win(candidate.counts, seed)),
        key=lambda c: (c.counts.cleared, c.counts.found, -c.counts.missed, -c.characters, -c.number),
    )
    better = (best.counts.cleared, best.counts.found) > (seed.cleared, seed.found)
    return best if better else None
