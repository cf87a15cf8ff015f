"""What a journal amounts to: messages with labels, messages set aside, and counts. Pure, but for writing the two files."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from pydantic import Field

from crisis_filter.datasets.records import Labelled, Rating
from crisis_filter.experiments.lines import write_whole
from crisis_filter.experiments.simulate.adjudication import disputed, pairs
from crisis_filter.experiments.simulate.authoring import Candidate, Gathered
from crisis_filter.experiments.simulate.journal import Journal, Labels, Ruling
from crisis_filter.experiments.simulate.plan import Slot
from crisis_filter.experiments.simulate.rating import RATERS
from crisis_filter.experiments.simulate.recipe import Recipe
from crisis_filter.schema import Record

__all__ = ["Intention", "SetAside", "Summary", "draw_up"]

Reason = Literal["contested", "unrated", "undecided"]


class SetAside(Record):
    """One message without labels that hold, as `set-aside.jsonl` has it."""

    id: str
    reason: Reason
    """`contested`: it can be read either way; `unrated`, `undecided`: no complete answer in all tries."""
    text: str = Field(repr=False)
    stratum: str
    author: str
    ratings: tuple[Rating, ...]
    """Of the raters that gave a complete answer."""
    adjudication: str = Field(default="", repr=False)
    """Why it is contested."""


class Intention(Record):
    """What the author of a message was asked for, as `intentions.jsonl` has it; kept apart from what was rated."""

    id: str
    slot: Slot
    as_intended: bool | None
    """Whether crisis and categories came out as asked for; `None` for a message without labels."""


class Summary(Record):
    """Counts of a run so far; messages unless said otherwise."""

    recipe: str
    done: bool
    """Whether nothing is left to ask. A run that is not done was stopped or got no replies, and goes on when it is started again."""
    asked: int
    written: int
    """Candidates that fill a place."""
    unfilled: dict[str, int]
    """Places without a candidate, by what they were to show."""
    dropped: dict[str, int]
    refused: dict[str, int]
    """By what they were to show; those of every try."""
    faults: dict[str, dict[str, int]]
    """Requests without a complete answer, refusals included, by who was asked and fault."""
    outside_length: int
    """Candidates shorter or longer than asked for; they are kept."""
    rated: dict[str, int]
    disputed: int
    """Rated twice, with different labels or in doubt."""
    decided: int
    """Of these, those that the adjudicator decided."""
    set_aside: dict[str, int]
    pending: int
    """Candidates that wait for a rating or a decision."""
    messages: int
    crisis: int
    categories: dict[str, int]
    """Messages in each category; one may count in several."""
    not_as_intended: int
    """Messages whose labels are not what the author was asked for."""


def draw_up(recipe: Recipe, slots: Sequence[Slot], journal: Journal, found: Gathered) -> Summary:
    """Write `messages.jsonl`, `set-aside.jsonl` and `intentions.jsonl` from the journal, and count.

    All are sorted by id, so that their order says nothing either.

    Raises:
        ConfigurationError: a file cannot be written.
    """
    kept: list[Labelled] = []
    aside: list[SetAside] = []
    pending = 0
    candidates = sorted(found.candidates.values(), key=lambda one: one.id) if not found.next else []
    view = _View(recipe, journal)
    for candidate in candidates:
        row = view.row(candidate)
        if isinstance(row, Labelled):
            kept.append(row)
        elif row is not None:
            aside.append(row)
        else:
            pending += 1
    labels = {one.id: one for one in kept}
    intentions = [_intention(one, labels.get(one.id)) for one in candidates]
    files: dict[str, Sequence[Record]] = {"messages": kept, "set-aside": aside, "intentions": intentions}
    for name, lines in files.items():
        write_whole(journal.folder / f"{name}.jsonl", "".join(f"{one.model_dump_json()}\n" for one in lines))
    filled = found.candidates
    faults: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for trouble in journal.troubles.records:
        faults[trouble.who][trouble.fault.value] += 1
    return Summary(
        recipe=recipe.id,
        done=not found.next and not pending,
        asked=len(slots),
        written=len(filled),
        unfilled=_counted(slot.label for slot in slots if slot.number not in filled),
        dropped=_counted(found.dropped.elements()),
        refused=_counted(found.refused.elements()),
        faults={who: _counted(counts.elements()) for who, counts in sorted(faults.items())},
        outside_length=sum(not _in_band(one) for one in filled.values()),
        rated={name: len(journal.ratings[who].records) for who, name in RATERS.items()},
        disputed=len(view.disputed),
        decided=len(view.rulings),
        set_aside=_counted(one.reason for one in aside),
        pending=pending if not found.next else len(filled),
        messages=len(kept),
        crisis=sum(one.crisis for one in kept),
        categories=_counted(name for one in kept for name in one.categories),
        not_as_intended=sum(one.as_intended is False for one in intentions),
    )


class _View:
    """The journal by message."""

    def __init__(self, recipe: Recipe, journal: Journal) -> None:
        self._recipe = recipe
        self._by = {who: {one.id: one for one in lines.records} for who, lines in journal.ratings.items()}
        self._pairs = pairs(journal)
        self.disputed = disputed(recipe, journal)
        self.rulings: Mapping[str, Ruling] = {one.id: one for one in journal.rulings.records}
        self._tries = {who: journal.tries(who) for who in ("rater_a", "rater_b", "adjudicator")}

    def row(self, candidate: Candidate) -> Labelled | SetAside | None:
        """What a candidate has become; `None` while somebody has still to be asked."""
        key = candidate.id
        if key not in self._pairs:
            unrated = [who for who in RATERS if key not in self._by[who]]
            spent = all(self._tries[who][key] >= self._recipe.tries for who in unrated)
            return self._aside(candidate, "unrated") if spent else None
        first, _ = self._pairs[key]
        if key not in self.disputed:
            return self._kept(candidate, first)
        ruling = self.rulings.get(key)
        if ruling is None:
            return (
                self._aside(candidate, "undecided") if self._tries["adjudicator"][key] >= self._recipe.tries else None
            )
        return self._aside(candidate, "contested") if ruling.contested else self._kept(candidate, ruling)

    def _kept(self, candidate: Candidate, labels: Labels) -> Labelled:
        slot, ruling = candidate.slot, self.rulings.get(candidate.id)
        return Labelled(
            id=candidate.id,
            text=candidate.text,
            crisis=labels.crisis,
            categories=tuple(sorted(labels.categories)),
            severity=labels.severity,
            subject=labels.subject,
            timeframe=labels.timeframe,
            author=candidate.author,
            stratum=slot.stratum,
            directness=slot.directness if slot.crisis else None,
            masked=slot.masked,
            ratings=self._ratings(candidate.id),
            adjudication=ruling.reasoning if ruling else "",
        )

    def _aside(self, candidate: Candidate, reason: Reason) -> SetAside:
        ruling = self.rulings.get(candidate.id)
        return SetAside(
            id=candidate.id,
            reason=reason,
            text=candidate.text,
            stratum=candidate.slot.stratum,
            author=candidate.author,
            ratings=self._ratings(candidate.id),
            adjudication=ruling.reasoning if ruling else "",
        )

    def _ratings(self, key: str) -> tuple[Rating, ...]:
        said = (self._by[who].get(key) for who in RATERS)
        fields = set(Rating.model_fields)
        return tuple(Rating.model_validate(one.model_dump(include=fields)) for one in said if one is not None)


def _intention(candidate: Candidate, row: Labelled | None) -> Intention:
    slot = candidate.slot
    same = None if row is None else (row.crisis, set(row.categories)) == (slot.crisis, set(slot.categories))
    return Intention(id=candidate.id, slot=slot, as_intended=same)


def _in_band(candidate: Candidate) -> bool:
    fewest, most = candidate.slot.words
    return fewest <= len(candidate.text.split()) <= most


def _counted(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))
