"""Promotion: a prompt that kept the bounds declared beforehand is released, with its measured effect beside it.

The line of the changelog is written first and the table of releases last: until then nothing is released, and whoever calls again after a kill in
between finds the line and only finishes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from crisis_filter import assets
from crisis_filter.experiments.changelog import in_table, line_of, put_in_table, put_released, row
from crisis_filter.experiments.comparing import compare, is_incumbent
from crisis_filter.experiments.comparison import Candidate, Comparison
from crisis_filter.experiments.plan import Acceptance, PromptChoice, rooted
from crisis_filter.experiments.promotable import PromotionError, beyond_bounds, standing
from crisis_filter.experiments.records import Experiment, Variant
from crisis_filter.experiments.released import folder_of, released_hash
from crisis_filter.experiments.replaying import Replay
from crisis_filter.experiments.systems import of_variant
from crisis_filter.prompting.prompt import load_prompt
from crisis_filter.schema import PromptRef, Record

__all__ = ["Promotion", "PromotionError", "promote"]

_README = "README.md"


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
    again: Callable[[tuple[Variant, ...]], Replay],
    *,
    date: str,
    beside: Path,
    what: str = "",
    changelog: Path | None = None,
    looks: int | None = None,
    allow_development: bool = False,
    unreleased_incumbent: bool = False,
) -> Promotion:
    """Release the prompts with which a variant differs from the incumbent.

    Args:
        experiment: with declared bounds.
        variant: the candidate.
        again: makes the answers of these variants again from the replies that were recorded; called once, when nothing else speaks against it.
        date: ISO date for the changelog.
        beside: folder of the experiment's file, from which its paths to prompts are taken.
        what: a few words on what the prompt is or changes; empty takes the experiment's description.
        changelog: file with the table; `None` takes `README.md` of the folder of prompts.
        looks: how many experiments were run on the messages so far; `None` where that is not known.
        allow_development: release on figures of development or training messages; the line then says so.
        unreleased_incumbent: take an incumbent whose prompts are not released; the line then says so.

    Returns:
        What was released, or was already.

    Raises:
        PromotionError: the experiment is none to promote from (see `promotable.standing`), its bounds leave out what matters most (see
            `promotable.beyond_bounds`), one is not kept, a prompt's file is not the one that was tried, its id is released with another hash, the incumbent is
            not released, or an answer is not the one that the recorded replies give; nothing is written.
        ConfigurationError: a file cannot be read or written, or the changelog has no table.
    """
    acceptance, incumbent = standing(experiment, variant, allow_development=allow_development)
    comparison, candidate = _compared(experiment, acceptance, incumbent, variant, looks)
    changed = _changed(variant, incumbent)
    lying, reasons = _lying(experiment, variant, changed, beside)
    reasons += [gate.words for gate in candidate.gates if not gate.passed]
    reasons += beyond_bounds(acceptance, candidate, naming="categorise" in changed)
    if not changed:
        reasons.append(f"{variant.id} asks with the prompts of {incumbent.id}, so there is nothing to release")
    released = _is_released(experiment, incumbent, beside)
    if not released and not unreleased_incumbent:
        reasons.append(
            f"the prompts of the incumbent {incumbent.id} are not released, so it may be anything; hold the new one against a released one, "
            "or add --unreleased-incumbent"
        )
    if reasons:
        raise PromotionError(reasons)
    _refuse_other_answers(experiment, again((incumbent, variant)))
    effect = line_of(comparison, candidate, experiment.state.sha256, _asked_of(experiment, variant), released=released)
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


def _refuse_other_answers(experiment: Experiment, replay: Replay) -> None:
    """Refuse answers that the recorded replies do not give.

    Raises:
        PromotionError: names the first of them.
    """
    if replay.whole:
        return
    variant, item, repeat = replay.differing[0]
    raise PromotionError(
        [
            f"{len(replay.differing):,} of {replay.cells:,} answers are not those that the recorded replies give, the first that of {variant} about "
            f"message {item} in repeat {repeat}: {experiment.name} was changed since, or the code that reads it; run it anew"
        ]
    )


def _compared(
    experiment: Experiment, acceptance: Acceptance, incumbent: Variant, variant: Variant, looks: int | None
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
    comparison = compare(systems, acceptance=acceptance, looks=looks).comparison
    return comparison, next(one for one in comparison.candidates if one.name == variant.id)


def _changed(variant: Variant, incumbent: Variant) -> dict[str, PromptRef]:
    """The prompts that the incumbent has not, by stage."""
    theirs = {ref.sha256 for ref in (incumbent.screen, incumbent.categorise) if ref is not None}
    ours = {"screen": variant.screen, "categorise": variant.categorise}
    return {stage: ref for stage, ref in ours.items() if ref is not None and ref.sha256 not in theirs}


def _lying(
    experiment: Experiment, variant: Variant, changed: dict[str, PromptRef], beside: Path
) -> tuple[list[_Lying], list[str]]:
    """The prompts as they lie there now, and why one is not what was tried."""
    found, reasons = [], []
    choice = _choice(experiment, variant, beside)
    for stage, ref in changed.items():
        name = _name(choice, stage, ref)
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


def _is_released(experiment: Experiment, variant: Variant, beside: Path) -> bool:
    """Whether all prompts of a variant are released as they were tried."""
    choice = _choice(experiment, variant, beside)
    asked = {"screen": variant.screen, "categorise": variant.categorise}
    return all(
        released_hash(ref.id, assets.find("prompts", _name(choice, stage, ref), ".md")) == ref.sha256
        for stage, ref in asked.items()
        if ref is not None
    )


def _name(choice: PromptChoice, stage: str, ref: PromptRef) -> str:
    """By which a prompt is found."""
    return (choice.screen if stage == "screen" else choice.categorise) or ref.id


def _choice(experiment: Experiment, variant: Variant, beside: Path) -> PromptChoice:
    plan = rooted(experiment.state.plan, beside)
    choice = next((one for one in plan.prompts if one.label == variant.prompt), None)
    if choice is None:
        raise PromotionError([f"{variant.id} is asked without a prompt of ours, so there is nothing to release"])
    return choice
