"""Systems compared on the same labelled messages: an incumbent, and the candidates that would take its place. No model is called."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from crisis_filter import assets
from crisis_filter.errors import ConfigurationError
from crisis_filter.experiments.comparison import (
    Candidate,
    Comparison,
    Measured,
    Settings,
    SystemFigures,
)
from crisis_filter.experiments.contrast import contrast, holm_adjusted
from crisis_filter.experiments.differing import How
from crisis_filter.experiments.figures import figures
from crisis_filter.experiments.gates import LEVEL, gates
from crisis_filter.experiments.looks import FREE
from crisis_filter.experiments.plan import Acceptance
from crisis_filter.experiments.systems import Grid, System, grid
from crisis_filter.stats.resampling import FEW_CLUSTERS

__all__ = ["MARGIN", "Compared", "compare", "declared", "is_incumbent", "refuse_other_incumbent"]

MARGIN = 0.05
"""For the verdicts by category, where nobody names one."""
_MANY_FAULTS = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """A comparison, and the answers that it was made of."""

    comparison: Comparison
    grid: Grid


def compare(
    systems: Sequence[System],
    *,
    acceptance: Acceptance | None = None,
    settings: Settings | None = None,
    looks: int | None = None,
    common: bool = False,
) -> Compared:
    """Compare systems on the same messages.

    Args:
        systems: at least two, the incumbent first, with names that differ.
        acceptance: bounds for every candidate; they were declared by the caller, who answers for the first system being its incumbent.
        settings: intervals and margin; `None` takes 95%, `MARGIN`, 2,000 draws from seed 0.
        looks: how many experiments were run on the messages so far; `None` where that is not known.
        common: keep to messages that all systems were to judge.

    Raises:
        InputError: see `systems.grid`.
    """
    chosen = settings or Settings(level=0.95, margin=MARGIN, resamples=2000, seed=0)
    brought = grid(systems, common=common)
    how = How(chosen.level, chosen.resamples, chosen.seed)
    others = range(1, len(systems))
    found = tuple(figures(brought, at, how) for at in range(len(systems)))
    candidates = holm_adjusted([contrast(brought, 0, at, how, chosen.margin) for at in others])
    if acceptance is not None:
        candidates = _gated(brought, acceptance, candidates, How(LEVEL, chosen.resamples, chosen.seed))
    first = systems[0].asked
    measured = Measured(
        name=first.name,
        sha256=first.sha256,
        split=first.split,
        labelled_by=first.labelled_by,
        messages=len(brought.items),
        crises=int(brought.crisis.sum()),
        left_out=brought.left_out,
        repeats=brought.repeats,
        clusters=None if brought.clusters is None else len(set(brought.clusters)),
        complete=brought.complete,
        exploration=first.split in FREE,
        looks=looks,
    )
    return Compared(
        Comparison(
            version=assets.package_version(),
            settings=chosen,
            measured=measured,
            systems=found,
            candidates=candidates,
            acceptance=acceptance,
            warnings=tuple(_warnings(brought, measured, found, gated=acceptance is not None)),
        ),
        brought,
    )


def is_incumbent(system: System, acceptance: Acceptance) -> bool:
    """Whether bounds name a system as the one to be replaced: by its variant's id or prompt, or by its own name."""
    variant = system.variant
    names = {system.name} if variant is None else {system.name, variant.id, variant.prompt}
    return acceptance.incumbent in names


def declared(systems: Sequence[System]) -> Acceptance | None:
    """The bounds of an experiment, where the first system is their incumbent and all others are candidates of the same folder.

    Returns:
        The bounds, or `None` where there are none, or where they are about something else: another folder, or the same prompt asked of
        another provider while the bounds name a prompt.
    """
    first = systems[0]
    acceptance = first.state.acceptance if first.state is not None else None
    if acceptance is None or not is_incumbent(first, acceptance) or len(systems) < 2:
        return None
    for other in systems[1:]:
        if other.state is None or first.state is None or other.state.sha256 != first.state.sha256:
            return None
        if first.variant is not None and acceptance.incumbent != first.variant.id and other.provider != first.provider:
            return None
    return acceptance


def refuse_other_incumbent(systems: Sequence[System], acceptance: Acceptance) -> None:
    """Refuse bounds that name another incumbent.

    Raises:
        ConfigurationError: the first system is none that they name.
    """
    if not is_incumbent(systems[0], acceptance):
        raise ConfigurationError(
            f"the bounds name {acceptance.incumbent!r} as the incumbent, and the first system is {systems[0].name!r}; name the incumbent first"
        )


def _gated(brought: Grid, acceptance: Acceptance, candidates: Sequence[Candidate], how: How) -> tuple[Candidate, ...]:
    """The candidates with their gates, judged at the level of gates whatever is shown."""
    margin = acceptance.category_margin or MARGIN
    found = []
    for at, candidate in enumerate(candidates, start=1):
        judged = contrast(brought, 0, at, how, margin)
        passed = gates(acceptance, figures(brought, at, how), judged, complete=brought.complete)
        found.append(candidate.model_copy(update={"gates": passed, "passed": all(gate.passed for gate in passed)}))
    return tuple(found)


def _warnings(brought: Grid, measured: Measured, found: Sequence[SystemFigures], *, gated: bool) -> Iterator[str]:
    """What a reader must know before believing a figure."""
    yield from _about_answers(brought, measured, found)
    if measured.exploration:
        yield f"{measured.split} messages are for trying things out: this is exploration, and no p-value here is a claim"
    elif measured.split is None:
        yield "nobody said what these messages are for; if prompts were tuned on them, no p-value here is a claim"
    if measured.labelled_by == "not said":
        yield "nobody said who gave the labels"
    if measured.looks is not None and measured.looks > 1 and not measured.exploration:
        yield f"these messages have been looked at by {measured.looks} experiments; the more look, the likelier one of them is lucky"
    if measured.clusters is not None and measured.clusters < FEW_CLUSTERS:
        yield (
            f"the messages come from {measured.clusters} cluster{'s' * (measured.clusters != 1)} only, such as authors: figures hold for further messages from the same ones, "
            "and p-values count messages as independent"
        )
    if gated and len(brought.systems) > 2:
        yield (
            f"{len(brought.systems) - 1} candidates are held against the same bounds, which are not made stricter for their number; "
            "the more are tried, the likelier one passes by luck"
        )


def _about_answers(brought: Grid, measured: Measured, found: Sequence[SystemFigures]) -> Iterator[str]:
    if not brought.complete:
        asked = max(system.repeats for system in brought.systems)
        repeats = f"the first {brought.repeats} of {asked} repeats of " if brought.repeats < asked else ""
        yield (
            f"not every answer is in: compared on {repeats}the {measured.messages:,} messages that every system has judged there; "
            "of p-values only those stand that allow an early look"
        )
    elif measured.left_out:
        yield f"{measured.left_out:,} messages that not every system was to judge are left out"
    if len({system.repeats for system in brought.systems}) > 1:
        yield f"systems were asked unequally often; the first {brought.repeats} of their repeats are compared"
    if any(system.state is None for system in brought.systems) and any(system.state for system in brought.systems):
        yield "a file of answers does not say which texts they were given to; messages are matched by id"
    for one in found:
        if one.taken:
            yield f"{one.name}: {one.taken:,} of {one.answers:,} answers taken over from an earlier experiment, seen before this one began"
        answers = one.crises.answers + one.others.answers
        failed = one.crises.undetermined + one.others.undetermined
        if failed == answers:
            yield f"{one.name} answered nothing: all {answers:,} answers are undetermined ({_named(one)}); no rate of it means anything"
        elif failed >= _MANY_FAULTS * answers:
            yield f"{one.name} is undetermined in {failed:,} of {answers:,} answers ({_named(one)}); its rates tell of faults as much as of judgement"


def _named(one: SystemFigures) -> str:
    return ", ".join(f"{fault.replace('_', ' ')} {count:,}" for fault, count in one.faults.items())
