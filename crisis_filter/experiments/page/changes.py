"""Verdicts that changed: each variant against the first one, by id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from crisis_filter.evaluation.report.interactive import MOST_IDS, Ids, Listed
from crisis_filter.evaluation.report.words import clean, counted
from crisis_filter.experiments.page.columns import first_answer
from crisis_filter.experiments.page.rows import anchors
from crisis_filter.experiments.page.wording import is_right
from crisis_filter.experiments.records import Experiment, Item, Variant
from crisis_filter.schema import Outcome

_KINDS = {
    "broken": "broken: right before, wrong now",
    "unsure": "newly undetermined",
    "sure": "from undetermined to wrong",
    "fixed": "fixed: wrong or undetermined before, right now",
}


@dataclass(frozen=True, slots=True)
class Shift:
    """One variant against the first."""

    title: str
    gist: str
    lists: tuple[Ids, ...]


def shifts(experiment: Experiment) -> tuple[Shift, ...]:
    """A shift for each variant but the first; none where there is one variant."""
    first, *others = experiment.state.variants
    where = anchors(experiment)
    return tuple(_shift(experiment, place, first, other, where) for place, other in enumerate(others))


def change(before: Outcome, now: Outcome, crisis: bool) -> str | None:
    """`broken`, `unsure`, `sure` or `fixed`; `None` where neither verdict is better than the other."""
    if now == before:
        return None
    if now == "undetermined":
        return "unsure"
    if is_right(now, crisis):
        return "fixed"
    return "sure" if before == "undetermined" else "broken"


def _shift(experiment: Experiment, place: int, first: Variant, other: Variant, where: Mapping[str, str]) -> Shift:
    found: dict[tuple[bool, str], list[Item]] = {}
    both = 0
    for item in sorted(experiment.state.items, key=lambda one: one.id):
        before, now = (first_answer(experiment, variant.id, item.id) for variant in (first, other))
        if before is None or now is None:
            continue
        both += 1
        kind = change(before.outcome, now.outcome, item.crisis)
        if kind is not None:
            found.setdefault((item.crisis, kind), []).append(item)
    lists = []
    for crisis, side in ((True, "Crises"), (False, "Others")):
        for kind, words in _KINDS.items():
            those = found.get((crisis, kind), [])
            if those:
                listed = tuple(Listed(clean(item.id), where[item.id]) for item in those[:MOST_IDS])
                key = f"changed-{place}-{int(crisis)}-{kind}"
                title = f"{side}, {words}: {len(those):,}"
                lists.append(Ids(key, title, listed, len(those) - len(listed)))
    counts = {
        crisis: ", ".join(
            f"{len(found.get((crisis, kind), [])):,} {words.split(':')[0]}" for kind, words in _KINDS.items()
        )
        for crisis in (True, False)
    }
    gist = f"On {counted(both, 'message')} that both judged. Crises: {counts[True]}. Others: {counts[False]}."
    return Shift(f"{clean(other.id)} against {clean(first.id)}", gist, tuple(lists))
