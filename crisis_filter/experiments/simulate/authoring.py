"""From a plan to candidates: the author is asked for open places until they are filled or the tries are used up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from rapidfuzz import fuzz, process

from crisis_filter.datasets.private import private_data
from crisis_filter.datasets.similarity import fingerprint
from crisis_filter.errors import InputError
from crisis_filter.experiments.simulate.answers import Written
from crisis_filter.experiments.simulate.asking import Asker, Pace, ask_each
from crisis_filter.experiments.simulate.journal import Journal, Text, Trouble, Wrote
from crisis_filter.experiments.simulate.plan import Batch, Slot, batches
from crisis_filter.experiments.simulate.recipe import Recipe
from crisis_filter.schema import Record

__all__ = ["Candidate", "Gathered", "Shelf", "author_of", "gather", "write_all"]


class Candidate(Record):
    """A message that fills its place."""

    id: str
    slot: Slot
    text: str
    author: str
    """Backend, prompt with the beginning of its hash, and batch."""


class Shelf:
    """Messages that are there, to tell which new ones are copies of them or nearly.

    Args:
        near: likeness, above 0 to 100, from which two messages are near-copies, as in `datasets.near`.
        texts: what is there from the beginning.
    """

    def __init__(self, near: float, texts: Iterable[str] = ()) -> None:
        self._near = near
        self._there = [fingerprint(text) for text in texts]

    def take(self, text: str) -> bool:
        """Put a message on the shelf unless one like it stands there; whether it was put."""
        folded = fingerprint(text)
        if process.extractOne(folded, self._there, scorer=fuzz.ratio, score_cutoff=self._near) is not None:
            return False
        self._there.append(folded)
        return True


@dataclass(slots=True)
class Gathered:
    """What has come of the author's answers so far."""

    candidates: dict[int, Candidate] = field(default_factory=dict)
    """By number of the place."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Messages that fill no place: `near_copy`, `blank`, `private_data` (what looks like it), `stray` (nobody asked for it);
    and `missing`, asked for and not written."""
    refused: Counter[str] = field(default_factory=Counter)
    """Messages that the author or a provider's filter would not have, by what they were to show."""
    next: tuple[Batch, ...] = ()
    """What is to be asked now; empty when all is filled or the tries are used up."""


def author_of(wrote: Wrote) -> str:
    """Who wrote a batch: backend, prompt with the beginning of its hash, and batch."""
    return f"{wrote.backend}/{wrote.prompt.id}@{wrote.prompt.sha256[:12]}/{wrote.key}"


def gather(recipe: Recipe, slots: Sequence[Slot], journal: Journal, against: Iterable[str]) -> Gathered:
    """Fill places from the journal, in the order of batches and not of their arrival: the same whenever and in whatever order they came.

    Args:
        recipe: gives batch, tries and likeness.
        slots: the plan.
        journal: what was written and what went wrong.
        against: messages to stay away from besides.

    Raises:
        InputError: the journal has a batch that the recipe does not ask for.
    """
    found, shelf = Gathered(), Shelf(recipe.near, against)
    wrote = {one.key: one for one in journal.wrote.records}
    faulty = {one.key: one for one in journal.troubles.records if one.who == "author" and one.replied}
    for attempt in range(1, recipe.tries + 1):
        asked = batches([slot for slot in slots if slot.number not in found.candidates], recipe.batch, attempt)
        found.next = tuple(batch for batch in asked if batch.key not in wrote and batch.key not in faulty)
        if found.next:
            return found
        for batch in asked:
            if batch.key in wrote:
                _fill(found, shelf, batch, wrote[batch.key], journal.state.salt)
            elif faulty[batch.key].finish in ("refused", "filtered"):
                found.refused[batch.slots[0].label] += len(batch.slots)
    return found


def _fill(found: Gathered, shelf: Shelf, batch: Batch, wrote: Wrote, salt: str) -> None:
    slots = {slot.number: slot for slot in batch.slots}
    if set(wrote.slots) != set(slots):
        raise InputError(
            f"candidates.jsonl: batch {wrote.key} is not the one that the recipe asks for; restore the file"
        )
    texts: dict[int, str] = {}
    for one in wrote.texts:
        if one.slot in slots and one.slot not in texts:
            texts[one.slot] = one.text
        else:
            found.dropped["stray"] += 1
    for number, slot in slots.items():
        text = texts.get(number)
        if number in wrote.declined:
            found.refused[slot.label] += 1
        elif text is None:
            found.dropped["missing"] += 1
        elif not text.strip():
            found.dropped["blank"] += 1
        elif any(private_data(text)):
            found.dropped["private_data"] += 1
        elif not shelf.take(text):
            found.dropped["near_copy"] += 1
        else:
            made = sha256(f"{salt}/{number}".encode()).hexdigest()[:16]
            found.candidates[number] = Candidate(id=made, slot=slot, text=text, author=author_of(wrote))


async def write_all(
    recipe: Recipe,
    slots: Sequence[Slot],
    journal: Journal,
    asker: Asker[Written],
    pace: Pace,
    against: Sequence[str] = (),
) -> Gathered:
    """Ask the author until nothing is open, or a request got no reply.

    Returns:
        What there is; `next` is not empty when requests got no reply and the run has to be started again.
    """
    notes: Mapping[str, str] = {stratum.id: stratum.note for stratum in recipe.strata}

    async def ask(batch: Batch) -> Trouble | None:
        values = {"slots": batch.slots, "note": notes[batch.slots[0].stratum]}
        reply = await asker.ask(batch.key, messages=len(batch.slots), **values)
        if isinstance(reply, Trouble):
            journal.troubles.append(reply)
            return reply
        assert reply.answer is not None  # noqa: S101  # a trouble otherwise
        journal.wrote.append(
            Wrote(
                key=batch.key,
                slots=tuple(slot.number for slot in batch.slots),
                texts=tuple(Text(slot=one.number, text=one.text) for one in reply.answer.messages),
                declined=reply.answer.declined,
                **asker.provenance(reply),
            )
        )
        return None

    while True:
        found = gather(recipe, slots, journal, against)
        if not found.next:
            return found
        if not await ask_each(found.next, ask, pace):
            return gather(recipe, slots, journal, against)
