"""Promotion: a prompt that kept the bounds declared beforehand is released, with its measured effect beside it.

The line of the changelog is written first and the table of releases last: until then nothing is released, and whoever calls again after a kill in
between finds the line and only finishes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from crisis_filter import assets
from crisis_filter.errors import CrisisFilterError, InputError
from crisis_filter.experiments.changelog import in_table, line_of, put_in_table, put_released, row
from crisis_filter.experiments.comparing import compare, is_incumbent
from crisis_filter.experiments.comparison import Candidate, Comparison
from crisis_filter.experiments.looks import FREE
from crisis_filter.experiments.plan import Acceptance, PromptChoice, rooted
from crisis_filter.experiments.records import Experiment, Variant
from crisis_filter.experiments.released import folder_of, released_hash
from crisis_filter.experiments.systems import of_variant
from crisis_filter.prompting.prompt import load_prompt
from crisis_filter.schema import PromptRef, Record

__all__ = ["Promotion", "PromotionError", "promote"]

_README = "README.md"


class PromotionError(CrisisFilterError):
    """A prompt is refused.

    Args:
        reasons: each a sentence or a gate's words; at least one.
    """

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__("not promoted: " + " | ".join(reasons))
        self.reasons = tuple(reasons)


class Promotion(Record):
    """What was released."""

    prompts: tuple[PromptRef, ...]
    """Those that were not released before; all of the variant's where `already`."""
    changelogs: tuple[str, ...]
    """Files that have the measured effect."""
    already: bool
    """Whether all were released before, so that nothing was done."""
    effect: str
    """The measured effect, as the changelog has it."""


@dataclass(frozen=True, slots=True)
class _Lying:
    """A prompt as it lies there now."""

    ref: PromptRef
    path: Path


def promote(
    experiment: Experiment,
    variant: Variant,
    *,
    date: str,
    what: str = "",
    beside: Path | None = None,
    changelog: Path | None = None,
    allow_development: bool = False,
) -> Promotion:
    """Release the prompts with which a variant differs from the incumbent.

    Args:
        experiment: with declared bounds.
        variant: the candidate.
        date: ISO date for the changelog.
        what: a few words on what the prompt is or changes; empty takes the experiment's description.
        beside: folder of the experiment's file, from which its paths to prompts are taken; `None` where it names prompts by id alone.
        changelog: file with the table; `None` takes `README.md` of the folder of prompts.
        allow_development: release on figures of development or training messages; the line then says so.

    Returns:
        What was released, or was already.

    Raises:
        PromotionError: the experiment is not complete or declares no bounds, a bound is not kept, a prompt's file is not the one that was tried, or its
            id is released with another hash; all reasons at once, and nothing is written.
        InputError: a path to a prompt is relative and `beside` is `None`.
        ConfigurationError: a file cannot be read or written, or the changelog has no table.
    """
    acceptance, incumbent = _refuse_undeclared(experiment, variant, allow_development=allow_development)
    comparison, candidate = _compared(experiment, acceptance, incumbent, variant)
    changed = _changed(variant, incumbent)
    lying, reasons = _lying(experiment, variant, changed, beside)
    reasons += [gate.words for gate in candidate.gates if not gate.passed]
    if not changed:
        reasons.append(f"{variant.id} asks with the prompts of {incumbent.id}, so there is nothing to release")
    if reasons:
        raise PromotionError(reasons)
    effect = line_of(comparison, candidate, experiment.state.sha256, _asked_of(experiment, variant))
    left = [one for one in lying if released_hash(one.ref.id, one.path) is None]
    for folder in dict.fromkeys(folder_of(one.path, one.ref.id) for one in left):
        mine = [one.ref for one in left if folder_of(one.path, one.ref.id) == folder]
        words = what or experiment.state.plan.description or "no words were given"
        target = changelog or folder / _README
        known = in_table(target, experiment.state.sha256)
        put_in_table(target, [row(ref.id, date, words, effect) for ref in mine if ref.id not in known])
        put_released(folder, mine)
    return Promotion(
        prompts=tuple(one.ref for one in left or lying),
        changelogs=tuple(
            dict.fromkeys(str(changelog or folder_of(one.path, one.ref.id) / _README) for one in left or lying)
        ),
        already=not left,
        effect=effect,
    )


def _refuse_undeclared(
    experiment: Experiment, variant: Variant, *, allow_development: bool
) -> tuple[Acceptance, Variant]:
    """The bounds and the incumbent that they name.

    Raises:
        PromotionError: there are none, or the experiment is none to promote from.
    """
    state, reasons = experiment.state, []
    split = state.plan.tests.split
    if split in FREE and not allow_development:
        reasons.append(
            f"the messages are those of {split}, on which prompts are tried out; promote from validation, or add --allow-development"
        )
    if not experiment.complete:
        expected = len(state.variants) * len(state.items) * state.repeats
        reasons.append(f"the experiment has {len(experiment.cells):,} of {expected:,} answers; finish it first")
    incumbent = None
    if state.acceptance is None:
        reasons.append("the experiment declares no bounds; name them under acceptance before it is run")
    else:
        incumbent = _incumbent(experiment, variant, state.acceptance)
        if incumbent is None:
            reasons.append(
                f"the incumbent {state.acceptance.incumbent!r} is not in the experiment, or not with this provider"
            )
        elif incumbent.id == variant.id:
            reasons.append(f"{variant.id} is the incumbent itself")
    if reasons or state.acceptance is None or incumbent is None:
        raise PromotionError(reasons)
    return state.acceptance, incumbent


def _incumbent(experiment: Experiment, variant: Variant, acceptance: Acceptance) -> Variant | None:
    """The variant of that id, or the one with that prompt and the candidate's provider."""
    for one in experiment.state.variants:
        if one.id == acceptance.incumbent:
            return one
    there = (one for one in experiment.state.variants if one.prompt == acceptance.incumbent)
    return next((one for one in there if one.provider == variant.provider), None)


def _compared(
    experiment: Experiment, acceptance: Acceptance, incumbent: Variant, variant: Variant
) -> tuple[Comparison, Candidate]:
    """The candidate among all that were tried against the same incumbent, so that its p-values know how many there were."""
    by_id = acceptance.incumbent == incumbent.id
    tried = [
        one
        for one in experiment.state.variants
        if one.id != incumbent.id and (by_id or one.provider == incumbent.provider)
    ]
    systems = [of_variant(experiment, one) for one in (incumbent, *tried)]
    if not is_incumbent(systems[0], acceptance):
        raise PromotionError([f"{incumbent.id} is not the incumbent that the bounds name"])
    comparison = compare(systems, acceptance=acceptance).comparison
    return comparison, next(one for one in comparison.candidates if one.name == variant.id)


def _changed(variant: Variant, incumbent: Variant) -> dict[str, PromptRef]:
    """The prompts that the incumbent has not, by stage."""
    theirs = {ref.sha256 for ref in (incumbent.screen, incumbent.categorise) if ref is not None}
    ours = {"screen": variant.screen, "categorise": variant.categorise}
    return {stage: ref for stage, ref in ours.items() if ref is not None and ref.sha256 not in theirs}


def _lying(
    experiment: Experiment, variant: Variant, changed: dict[str, PromptRef], beside: Path | None
) -> tuple[list[_Lying], list[str]]:
    """The prompts as they lie there now, and why one is not what was tried."""
    found, reasons = [], []
    choice = _choice(experiment, variant, beside)
    for stage, ref in changed.items():
        name = (choice.screen if stage == "screen" else choice.categorise) or ref.id
        path = assets.find("prompts", name, ".md")
        now = load_prompt(name)
        if now.ref != ref:
            reasons.append(
                f"{path} has the id {now.id} and the hash {now.sha256} now; the experiment tried {ref.id} with {ref.sha256}"
            )
        released = released_hash(ref.id, path)
        if released is not None and released != ref.sha256:
            reasons.append(
                f"{ref.id} is released with the hash {released}, and the experiment tried {ref.sha256}; give the new one an id of its own"
            )
        found.append(_Lying(ref, path))
    return found, reasons


def _asked_of(experiment: Experiment, variant: Variant) -> str:
    """The provider's id, so that prepared or recorded answers are not taken for a model's."""
    return next((one.id for one in experiment.state.plan.providers if one.label == variant.provider), variant.provider)


def _choice(experiment: Experiment, variant: Variant, beside: Path | None) -> PromptChoice:
    plan = experiment.state.plan
    if beside is not None:
        plan = rooted(plan, beside)
    choice = next((one for one in plan.prompts if one.label == variant.prompt), None)
    if choice is None:
        raise PromotionError([f"{variant.id} is asked without a prompt of ours, so there is nothing to release"])
    for name in (choice.screen, choice.categorise):
        # Without the folder of the file nobody knows where a relative path leads.
        if beside is None and name is not None and name != _as_found(name):
            raise InputError(f"prompt {choice.label}: its path is relative; name the file of the experiment as well")
    return choice


def _as_found(name: str) -> str:
    """The name, unless it is a path that depends on where the experiment's file lies."""
    is_path = name.endswith(".md") or name.startswith((".", "~"))
    return "" if is_path and not Path(name).is_absolute() else name
