"""Whether an experiment, and the bounds that it declares, are such that a prompt may be promoted by them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from crisis_filter.errors import CrisisFilterError
from crisis_filter.experiments.comparison import Candidate, SideContrast
from crisis_filter.experiments.looks import FREE
from crisis_filter.experiments.plan import Acceptance
from crisis_filter.experiments.records import Experiment, Variant
from crisis_filter.experiments.running import unanswered

__all__ = ["WIDEST", "PromotionError", "beyond_bounds", "standing"]

WIDEST = 0.2
"""The widest margin of sensitivity or macro F1 that a promotion takes for a bound."""


class PromotionError(CrisisFilterError):
    """A prompt is refused.

    Args:
        reasons: each a sentence or a gate's words; at least one.
    """

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__("not promoted: " + " | ".join(reasons))
        self.reasons = tuple(reasons)


def standing(
    experiment: Experiment, variant: Variant, *, allow_development: bool = False
) -> tuple[Acceptance, Variant]:
    """The bounds of an experiment and the incumbent that they name.

    Args:
        experiment: to promote from.
        variant: the candidate.
        allow_development: whether development or training messages will do.

    Raises:
        PromotionError: the messages are those of development or training, an answer is lacking or a fault of the service stands in its place, there are
            no bounds, the incumbent is not there, is the candidate itself or asked of another provider, or answers of either were taken over from an
            earlier experiment; all reasons at once.
    """
    state = experiment.state
    reasons = list(_unfinished(experiment))
    split = state.plan.tests.split
    if split in FREE and not allow_development:
        reasons.insert(
            0,
            f"the messages are those of {split}, on which prompts are tried out; promote from validation, or add --allow-development",
        )
    incumbent = None
    if state.acceptance is None:
        reasons.append("the experiment declares no bounds; name them under acceptance before it is run")
    else:
        incumbent = _incumbent(experiment, variant, state.acceptance)
        reasons += _about_incumbent(variant, incumbent, state.acceptance)
    reasons += _taken(experiment, [one for one in (incumbent, variant) if one is not None])
    if reasons or state.acceptance is None or incumbent is None:
        raise PromotionError(reasons)
    return state.acceptance, incumbent


def beyond_bounds(acceptance: Acceptance, contrast: Candidate, *, naming: bool) -> tuple[str, ...]:
    """Why a candidate may not be promoted though it keeps what was declared: bounds that leave open what matters most.

    Args:
        acceptance: the bounds.
        contrast: against the incumbent, at `LEVEL`.
        naming: whether the prompt that names categories is another than the incumbent's.

    Returns:
        A sentence for each reason; none where missed crises, and categories if they are named anew, are bound.
    """
    found = []
    if not _tight(acceptance.sensitivity_margin) and not acceptance.sensitivity_at_least:
        found.append(
            "no declared bound keeps crises from being missed; declare sensitivity_margin of at most "
            f"{WIDEST:g}, or sensitivity_at_least above 0, before the experiment is run"
        )
    found += [
        f"sensitivity is shown to be lower than the incumbent's, by {side.difference.estimate:+.3f} on {side.messages:,} messages, and no "
        f"sensitivity_margin of at most {WIDEST:g} allows for it"
        for side in contrast.sides
        if side.side == "sensitivity" and not _tight(acceptance.sensitivity_margin) and _lower(side)
    ]
    # Where no macro F1 can be made, categories that are named at all are the most that can be asked for.
    wanted, bound = "macro_f1_margin", acceptance.macro_f1_margin
    if contrast.macro_f1 is None:
        wanted, bound = "unnamed_at_most", acceptance.unnamed_at_most
    if naming and not _tight(bound):
        found.append(
            f"the prompt that names categories is another, and no declared bound is about naming; declare {wanted} of at most {WIDEST:g} "
            "before the experiment is run"
        )
    return tuple(found)


def _lower(side: SideContrast) -> bool:
    """Whether an interval lies wholly below 0, over all messages or over those that the incumbent decided."""
    return any(one.messages and one.high < 0.0 for one in (side.difference, side.decided))


def _tight(margin: float | None) -> bool:
    return margin is not None and margin <= WIDEST


def _unfinished(experiment: Experiment) -> Iterator[str]:
    state = experiment.state
    expected = len(state.variants) * len(state.items) * state.repeats
    if not experiment.complete:
        yield f"the experiment has {len(experiment.cells):,} of {expected:,} answers; finish it first"
    if lacking := sum(map(unanswered, experiment.cells.values())):
        yield (
            f"{lacking:,} of {expected:,} answers are lacking for a fault of a service; run the same command again, and only those are asked about"
        )


def _incumbent(experiment: Experiment, variant: Variant, acceptance: Acceptance) -> Variant | None:
    """The variant of that id, or the one with that prompt and the candidate's provider."""
    for one in experiment.state.variants:
        if one.id == acceptance.incumbent:
            return one
    there = (one for one in experiment.state.variants if one.prompt == acceptance.incumbent)
    return next((one for one in there if one.provider == variant.provider), None)


def _about_incumbent(variant: Variant, incumbent: Variant | None, acceptance: Acceptance) -> Iterator[str]:
    if incumbent is None:
        yield f"the incumbent {acceptance.incumbent!r} is not in the experiment, or not with this provider"
    elif incumbent.id == variant.id:
        yield f"{variant.id} is the incumbent itself"
    elif incumbent.provider != variant.provider:
        yield (
            f"the incumbent is asked of {incumbent.provider} and {variant.id} of {variant.provider}, so what differs may be the provider's and not the "
            "prompt's"
        )


def _taken(experiment: Experiment, variants: Sequence[Variant]) -> Iterator[str]:
    for one in variants:
        if count := experiment.taken.get(one.id, 0):
            yield (
                f"{one.id}: {count:,} answers were taken over from an earlier experiment, seen before the bounds were declared; run it anew with "
                "evaluateOptions: {reuse: false}"
            )
