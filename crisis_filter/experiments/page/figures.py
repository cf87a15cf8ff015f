"""Figures of a comparison in words: counts, rates with what was undetermined, differences with their intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from crisis_filter.evaluation.report.words import UNDEFINED, counted, level, p_value, signed
from crisis_filter.experiments.comparison import Candidate, Comparison, Difference, Rate, SideContrast
from crisis_filter.experiments.page.wording import NAMES, SIGNS, fault_words
from crisis_filter.schema import OUTCOMES, Outcome

SIDES = {"sensitivity": ("crises", "found"), "specificity": ("other messages", "cleared")}
"""What a rate is over, and what a right answer is called."""


def rate_cell(of: Rate) -> str:
    """Three lines: counts, estimate with interval, and how many were undetermined."""
    if of.estimate is None:
        return f"{UNDEFINED}\nno message"
    return f"{of.right:,} of {of.answers:,}\n{of.estimate:.3f} ({of.low:.3f} to {of.high:.3f})\nundetermined {of.undetermined:,}"


def rate_words(of: Rate) -> str:
    """`870 of 900, 0.967 (95% interval 0.953 to 0.977), 4 undetermined`."""
    if of.estimate is None:
        return f"0 of 0, {UNDEFINED}"
    return (
        f"{of.right:,} of {of.answers:,}, {of.estimate:.3f} ({level(of.level)} interval {of.low:.3f} to {of.high:.3f}), "
        f"{of.undetermined:,} undetermined"
    )


def if_right(of: Rate) -> str:
    """The rate if every undetermined answer had been right, with its counts."""
    if of.if_right is None:
        return UNDEFINED
    return f"{of.right + of.undetermined:,} of {of.answers:,}\n{of.if_right:.3f}"


def over_repeats(of: Rate) -> str:
    """The worst and the best repeat."""
    return UNDEFINED if of.lowest is None or of.highest is None else f"{of.lowest:.3f} to {of.highest:.3f}"


def difference_cell(of: Difference) -> str:
    """Two lines: estimate, then the interval; and over how many messages."""
    if of.estimate is None:
        return f"{UNDEFINED}\nno message"
    return f"{signed(of.estimate)}\n({signed(of.low)} to {signed(of.high)})\n{counted(of.messages, 'message')}"


def difference_words(of: Difference) -> str:
    """`+0.012 (95% interval +0.001 to +0.025)`."""
    if of.estimate is None:
        return UNDEFINED
    return f"{signed(of.estimate)} ({level(of.level)} interval {signed(of.low)} to {signed(of.high)})"


def p_words(p: float | None) -> str:
    """Four digits, or why there is none."""
    return "not given" if p is None else p_value(p)


def side_words(side: SideContrast, candidate: Rate, incumbent: Rate, comparison: Comparison) -> str:
    """Candidate against incumbent on one side, in a sentence or three."""
    over, right = SIDES[side.side]
    if not side.messages:
        return f"No message is among the {over}, so its {side.side} is {UNDEFINED}."
    answers = "answers about " * (comparison.measured.repeats > 1)
    said = (
        f"Of {candidate.answers:,} {answers}{over} it {right} {candidate.right:,} ({candidate.undetermined:,} undetermined), the incumbent "
        f"{incumbent.right:,} ({incumbent.undetermined:,} undetermined): {side.side} {_points(candidate)} against {_points(incumbent)}, difference "
        f"{difference_words(side.difference)}"
    )
    return f"{said}; {_tested(side, comparison)}."


def gate_words(candidate: Candidate) -> str:
    """How many declared bounds are kept, and which are not."""
    if candidate.passed is None:
        return "No bound was declared for it."
    kept = sum(gate.passed for gate in candidate.gates)
    if candidate.passed:
        return f"Passed: it keeps {'the one declared bound' if kept == 1 else f'all {kept} declared bounds'}."
    broken = ", ".join(fault_words(gate.name) for gate in candidate.gates if not gate.passed)
    return f"Not passed: it keeps {kept} of {counted(len(candidate.gates), 'declared bound')}; not {broken}."


def outcome_words(outcomes: Sequence[Outcome]) -> tuple[str, str]:
    """Signs of the repeats in their order, and the same in words."""
    if len(outcomes) == 1:
        return SIGNS[outcomes[0]], NAMES[outcomes[0]]
    count = Counter(outcomes)
    return "".join(SIGNS[one] for one in outcomes), ", ".join(
        f"{count[one]} {NAMES[one]}" for one in OUTCOMES if count[one]
    )


def _points(of: Rate) -> str:
    return UNDEFINED if of.estimate is None else f"{of.estimate:.3f}"


def _tested(side: SideContrast, comparison: Comparison) -> str:
    measured = comparison.measured
    if side.p is None:
        return f"no p-value but that of an early look, {p_value(side.anytime.p)}"
    said = f"p {p_value(side.p)}"
    if side.p_adjusted is not None and len(comparison.candidates) > 1:
        said += f", {p_value(side.p_adjusted)} after Holm for {counted(len(comparison.candidates), 'candidate')}"
    return f"{said} (exploration, no claim)" if measured.exploration else said
