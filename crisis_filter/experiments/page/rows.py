"""The matrix: a row for each message, a box for each variant, and in the box what each of its answers was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from crisis_filter.evaluation.report.words import category_words, clean, counted
from crisis_filter.experiments.page.answers import Box, box
from crisis_filter.experiments.page.columns import first_answer
from crisis_filter.experiments.records import Experiment, Item

_DIFFER, _WRONG, _UNDETERMINED, _UNSTABLE = "d", "w", "u", "s"
KINDS = (
    (_DIFFER, "on which variants differ"),
    (_WRONG, "with a wrong answer"),
    (_UNDETERMINED, "with an undetermined answer"),
    (_UNSTABLE, "whose repeats differ"),
)
"""What rows can be shown for, by the letter that marks them."""


@dataclass(frozen=True, slots=True)
class Row:
    """One message."""

    anchor: str
    id: str
    label: str
    marks: str
    """Letters of `KINDS`, parted by spaces; on paper a row without any is left out."""
    categories: str
    """Numbers of the page's categories, parted by spaces."""
    boxes: tuple[Box, ...]
    text: str | None
    """`None` where no text was asked for, or there is none."""


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that belong together."""

    title: str
    rows: tuple[Row, ...]


def anchors(experiment: Experiment) -> dict[str, str]:
    """Where each message stands on the page."""
    return {item.id: f"m{place}" for place, item in enumerate(experiment.state.items, 1)}


def category_names(experiment: Experiment) -> tuple[str, ...]:
    """Every category that a label names."""
    return tuple(sorted({name for item in experiment.state.items for name in item.categories}))


def groups(experiment: Experiment, texts: Mapping[str, str] | None) -> tuple[Group, ...]:
    """Crises first, and of either kind those first on which the variants differ; groups without a message are left out."""
    places = {name: str(place) for place, name in enumerate(category_names(experiment))}
    where = anchors(experiment)
    made = [(item, _row(experiment, item, where[item.id], places, texts)) for item in experiment.state.items]
    found = []
    for crisis, words in ((True, ("crisis", "crises")), (False, ("other message", "other messages"))):
        for differ, end in ((True, "on which variants differ"), (False, "on which all variants agree")):
            rows = tuple(
                row
                for item, row in sorted(made, key=_order)
                if item.crisis == crisis and (_DIFFER in row.marks.split()) == differ
            )
            if rows:
                found.append(Group(f"{counted(len(rows), *words)} {end}", rows))
    return tuple(found)


def _order(both: tuple[Item, Row]) -> tuple[int, str]:
    """What has more to look at first, then by id."""
    return -len(both[1].marks), both[0].id


def _row(
    experiment: Experiment, item: Item, anchor: str, places: Mapping[str, str], texts: Mapping[str, str] | None
) -> Row:
    boxes = tuple(
        box(
            item,
            [experiment.cells.get((variant.id, item.id, at)) for at in range(1, experiment.state.repeats + 1)],
            reasons=texts is not None,
        )
        for variant in experiment.state.variants
    )
    label = "not crisis"
    if item.crisis:
        label = f"crisis: {', '.join(map(category_words, item.categories)) or 'kind not said'}"
    return Row(
        anchor=anchor,
        id=clean(item.id),
        label=label,
        marks=" ".join(_marks(experiment, item, boxes)),
        categories=" ".join(places[name] for name in item.categories),
        boxes=boxes,
        text=None if texts is None else texts.get(item.id),
    )


def _marks(experiment: Experiment, item: Item, boxes: Sequence[Box]) -> list[str]:
    firsts = [first_answer(experiment, variant.id, item.id) for variant in experiment.state.variants]
    said = {one.outcome for one in firsts if one is not None}
    applies = (
        (_DIFFER, len(said) > 1),
        (_WRONG, any(one.wrong for one in boxes)),
        (_UNDETERMINED, any(one.undetermined for one in boxes)),
        (_UNSTABLE, any(one.unstable for one in boxes)),
    )
    return [letter for letter, holds in applies if holds]
