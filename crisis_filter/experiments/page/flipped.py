"""The messages on which a candidate and the incumbent are not alike, by id."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from crisis_filter.evaluation.report.interactive import Listed, Texts
from crisis_filter.evaluation.report.words import category_words, clean, counted
from crisis_filter.experiments.comparison import Candidate, Comparison, Flip
from crisis_filter.experiments.page.figures import outcome_words

_KINDS: tuple[tuple[str, str, Callable[[Flip], bool]], ...] = (
    ("missed", "newly missed: said to be none", lambda one: one.newly_missed),
    ("broken", "broken: right in fewer answers", lambda one: one.change == "broken"),
    ("unsure", "newly undetermined", lambda one: one.newly_undetermined),
    ("fixed", "fixed: right in more answers", lambda one: one.change == "fixed"),
    (
        "alike",
        "right equally often, but not alike",
        lambda one: one.change == "alike" and not (one.newly_undetermined or one.newly_missed),
    ),
)


@dataclass(frozen=True, slots=True)
class Flipped:
    """One message."""

    id: Listed
    label: str
    incumbent: tuple[str, str]
    """Signs, words."""
    candidate: tuple[str, str]
    repeats: str


@dataclass(frozen=True, slots=True)
class FlipList:
    """Messages of one kind."""

    title: str
    rows: tuple[Flipped, ...]
    more: int
    """Not shown."""


@dataclass(frozen=True, slots=True)
class Flips:
    """One candidate."""

    title: str
    lists: tuple[FlipList, ...]


def flips(comparison: Comparison, texts: Texts) -> tuple[Flips, ...]:
    """Of every candidate; a message that is broken and newly missed, say, stands in both lists."""
    several = comparison.measured.repeats > 1
    return tuple(
        Flips(f"{clean(one.name)} against {clean(one.incumbent)}", tuple(_lists(place, one, texts, several=several)))
        for place, one in enumerate(comparison.candidates)
    )


def _lists(place: int, candidate: Candidate, texts: Texts, *, several: bool) -> Iterator[FlipList]:
    for crisis, side in ((True, "Crises"), (False, "Others")):
        for kind, words, fits in _KINDS:
            those = [one for one in candidate.flips if one.crisis == crisis and fits(one)]
            if those:
                ids = texts.listed(f"flips-{place}-{int(crisis)}-{kind}", words, tuple(o.id for o in those), len(those))
                shown = those[: len(ids.ids)]
                rows = tuple(_row(one, at, several=several) for one, at in zip(shown, ids.ids, strict=True))
                yield FlipList(f"{side}, {words}: {counted(len(those), 'message')}", rows, ids.more)


def _row(one: Flip, at: Listed, *, several: bool) -> Flipped:
    label = ", ".join(map(category_words, one.categories)) or "kind not said"
    return Flipped(
        id=at,
        label=f"crisis: {label}" if one.crisis else "not crisis",
        incumbent=outcome_words(one.incumbent),
        candidate=outcome_words(one.candidate),
        repeats=", ".join(map(str, one.repeats)) if several else "",
    )
