"""Outcomes, faults and labels in words and signs; never a colour alone."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from crisis_filter.evaluation.report.words import category_words, clean
from crisis_filter.schema import Outcome, PromptRef

SIGNS: Mapping[Outcome, str] = MappingProxyType({"crisis": "●", "undetermined": "?", "no_crisis": "○"})
NAMES: Mapping[Outcome, str] = MappingProxyType(
    {"crisis": "crisis", "undetermined": "undetermined", "no_crisis": "not crisis"}
)
KEY = "● crisis, ○ not crisis, ? undetermined"
NO_PROOF = (
    "This is a measurement on one set of messages, and no proof that a prompt or a model is fit for use. It holds for these messages and these "
    "labels alone."
)
_DIGITS = 12


def is_right(outcome: Outcome, crisis: bool) -> bool:
    """Whether an answer agrees with the label; undetermined never does."""
    return outcome == ("crisis" if crisis else "no_crisis")


def verdict(outcome: Outcome, crisis: bool, fault: str | None = None) -> str:
    """An answer in words that tell whether it is right: `not crisis: missed`, `undetermined: timeout`."""
    if outcome == "undetermined":
        return f"{NAMES[outcome]}: {fault_words(fault)}" if fault else NAMES[outcome]
    if is_right(outcome, crisis):
        return NAMES[outcome]
    return f"{NAMES[outcome]}: {'missed' if crisis else 'false alarm'}"


def fault_words(fault: str) -> str:
    """`rate_limited` as `rate limited`."""
    return category_words(fault)


def by_fault(faults: Mapping[str, int]) -> str:
    """`timeout 3, schema 1`, the most frequent first; `none` for none."""
    ordered = sorted(faults.items(), key=lambda one: (-one[1], one[0]))
    return ", ".join(f"{fault_words(fault)} {count:,}" for fault, count in ordered) or "none"


def prompt_words(ref: PromptRef) -> str:
    """Id and the beginning of the digest."""
    return f"{clean(ref.id)} {clean(ref.sha256)[:_DIGITS]}"


def labels(data: str, labelled_by: str) -> str:
    """The sentence that stands wherever a figure from the labels stands."""
    return f"Labels of {clean(data)}: {clean(labelled_by)}"


def score_words(score: float) -> str:
    """Three digits; one below 1 is never shown as 1."""
    return ">0.999" if 0.9995 <= score < 1 else f"{score:.3f}"
