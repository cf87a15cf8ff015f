"""Declared bounds held against measured figures.

A candidate passes when every bound is kept. Each is judged by itself at the full level and none is made stricter for their number: to pass
wrongly a candidate would have to pass the very bound that it breaks, so more bounds never make a wrong pass likelier (intersection-union).
A bound that cannot be judged is not passed.

References:
    R. L. Berger, "Multiparameter hypothesis testing and acceptance sampling", Technometrics 24 (1982), 295-300.
"""

from __future__ import annotations

from collections.abc import Iterator

from crisis_filter.experiments.comparison import (
    Candidate,
    CategoryContrast,
    Difference,
    Gate,
    Naming,
    Rate,
    Side,
    SideContrast,
    SystemFigures,
)
from crisis_filter.experiments.contrast import verdict
from crisis_filter.experiments.plan import Acceptance

__all__ = ["LEVEL", "gates"]

LEVEL = 0.95
"""Two-sided coverage of the intervals that gates are judged by, so that each end is passed wrongly at most once in 40."""
_INCOMPLETE = "the experiment is not complete, and bounds are for a finished one"


def gates(acceptance: Acceptance, candidate: SystemFigures, contrast: Candidate, *, complete: bool) -> tuple[Gate, ...]:
    """Hold a candidate against the bounds that were declared.

    Args:
        acceptance: the bounds.
        candidate: its figures, with intervals at `LEVEL`.
        contrast: against the incumbent, at `LEVEL`.
        complete: whether all answers are in.

    Returns:
        A gate for each bound that is there, in the order of `Acceptance`.
    """
    return tuple(
        gate
        if complete
        else gate.model_copy(update={"passed": False, "words": f"{gate.name}: not passed, because {_INCOMPLETE}."})
        for gate in (
            *_about_outcomes(acceptance, candidate, contrast),
            *_about_the_rest(acceptance, candidate, contrast),
        )
    )


def _about_outcomes(acceptance: Acceptance, candidate: SystemFigures, contrast: Candidate) -> Iterator[Gate]:
    sides: dict[Side, SideContrast] = {one.side: one for one in contrast.sides}
    if (bound := acceptance.sensitivity_at_least) is not None:
        yield _least("sensitivity_at_least", bound, candidate.sensitivity, "crisis")
    if (bound := acceptance.specificity_at_least) is not None:
        yield _least("specificity_at_least", bound, candidate.specificity, "message that is no crisis")
    if (bound := acceptance.sensitivity_margin) is not None:
        yield _margin("sensitivity_margin", bound, sides["sensitivity"])
    if (bound := acceptance.specificity_margin) is not None:
        yield _margin("specificity_margin", bound, sides["specificity"])
    if (bound := acceptance.category_margin) is not None:
        yield _categories(bound, contrast.categories)
    if (bound := acceptance.undetermined_at_most) is not None:
        yield _undetermined(bound, candidate.undetermined)


def _about_the_rest(acceptance: Acceptance, candidate: SystemFigures, contrast: Candidate) -> Iterator[Gate]:
    if (bound := acceptance.flip_rate_at_most) is not None:
        yield _flips(bound, candidate)
    if (bound := acceptance.money_per_1000_at_most) is not None:
        yield _money(bound, candidate)
    if (bound := acceptance.macro_f1_margin) is not None:
        yield _macro_f1(bound, contrast.macro_f1)
    if (bound := acceptance.unnamed_at_most) is not None:
        yield _unnamed(bound, candidate.naming)


def _gate(
    name: str,
    bound: float,
    words: str,
    *,
    messages: int,
    passed: bool = False,
    value: float | None = None,
    judged: float | None = None,
    interval: tuple[float, float] | None = None,
) -> Gate:
    low, high = interval or (None, None)
    told = f"{name}: {'passed' if passed else 'not passed'}; {words}."
    return Gate(
        name=name,
        bound=bound,
        value=value,
        judged=judged,
        low=low,
        high=high,
        level=LEVEL,
        messages=messages,
        passed=passed,
        words=told,
    )


def _least(name: str, bound: float, rate: Rate, what: str) -> Gate:
    if rate.estimate is None:
        return _gate(name, bound, f"it cannot be judged, because there is no {what}", messages=0)
    words = (
        f"{rate.right:,} of {rate.answers:,} answers right, {rate.undetermined:,} undetermined among the wrong; the lower end of the interval, "
        f"{rate.low:.3f}, must be at least {bound:g}"
    )
    return _gate(
        name,
        bound,
        words,
        messages=rate.messages,
        passed=rate.low >= bound,
        value=rate.estimate,
        judged=rate.low,
        interval=(rate.low, rate.high),
    )


def _margin(name: str, bound: float, side: SideContrast) -> Gate:
    whole, decided = side.difference, side.decided
    if not whole.messages:
        return _gate(
            name, bound, f"it cannot be judged, because there is no message to tell {side.side} from", messages=0
        )
    if not decided.messages:
        return _gate(
            name,
            bound,
            f"it cannot be judged, because the incumbent decided none of {whole.messages:,} messages: faults prove nothing",
            messages=whole.messages,
            value=whole.estimate,
            interval=(whole.low, whole.high),
        )
    worst = min(whole.low, decided.low)
    words = (
        f"difference to the incumbent {whole.estimate:+.3f} on {whole.messages:,} messages; the lower end of its interval, {worst:+.3f}"
        f"{' (where the incumbent decided)' if decided.low < whole.low else ''}, must lie above {-bound:g}"
    )
    return _gate(
        name,
        bound,
        words,
        messages=whole.messages,
        passed=verdict(whole, decided, bound) == "holds",
        value=whole.estimate,
        judged=worst,
        interval=(whole.low, whole.high),
    )


def _categories(bound: float, rows: tuple[CategoryContrast, ...]) -> Gate:
    name = "category_margin"
    there = [row for row in rows if row.messages]
    if not there:
        return _gate(name, bound, "it cannot be judged, because the labels name no category", messages=0)
    worst = min(there, key=lambda row: min(row.difference.low, row.decided.low))
    failing = [
        f"{row.category.replace('_', ' ')} ({told}, {row.messages:,} messages)"
        for row in there
        if (told := verdict(row.difference, row.decided, bound)) != "holds"
    ]
    words = (
        f"not kept for {', '.join(failing)}" if failing else f"kept for all {len(there)} categories"
    ) + f"; in each the lower end of the interval of the difference must lie above {-bound:g}"
    return _gate(
        name,
        bound,
        words,
        messages=sum(row.messages for row in there),
        passed=not failing,
        value=worst.difference.estimate,
        judged=min(worst.difference.low, worst.decided.low),
        interval=(worst.difference.low, worst.difference.high),
    )


def _undetermined(bound: float, rate: Rate) -> Gate:
    words = f"{rate.undetermined:,} of {rate.answers:,} answers undetermined; the upper end of the interval, {rate.high:.3f}, must be at most {bound:g}"
    return _gate(
        "undetermined_at_most",
        bound,
        words,
        messages=rate.messages,
        passed=rate.estimate is not None and rate.high <= bound,
        value=rate.estimate,
        judged=rate.high,
        interval=(rate.low, rate.high),
    )


def _flips(bound: float, candidate: SystemFigures) -> Gate:
    found, messages = candidate.stability, candidate.undetermined.messages
    if found is None:
        words = "it cannot be judged with one repeat; ask for more with evaluateOptions: {repeat: 3}"
        return _gate("flip_rate_at_most", bound, words, messages=messages)
    words = (
        f"two answers about one message differ with a chance of {found.flip_rate:.4f} ({found.unstable:,} of {messages:,} messages are unstable "
        f"over {found.repeats} repeats); the upper end of the interval, {found.high:.4f}, must be at most {bound:g}"
    )
    return _gate(
        "flip_rate_at_most",
        bound,
        words,
        messages=messages,
        passed=found.high <= bound,
        value=found.flip_rate,
        judged=found.high,
        interval=(found.low, found.high),
    )


def _money(bound: float, candidate: SystemFigures) -> Gate:
    name, messages, cost = "money_per_1000_at_most", candidate.undetermined.messages, candidate.money_per_1000
    if cost is None:
        words = "it cannot be judged without a price (price: {input: ..., output: ...}) and a server that says how many tokens a reply took"
        return _gate(name, bound, words, messages=messages)
    return _gate(
        name,
        bound,
        f"1,000 answers cost {cost:.4g}, which must be at most {bound:g}",
        messages=messages,
        passed=cost <= bound,
        value=cost,
        judged=cost,
    )


def _macro_f1(bound: float, found: Difference | None) -> Gate:
    name = "macro_f1_margin"
    if found is None or found.estimate is None:
        words = "it cannot be judged, because a system names no categories, or the labels do not say which"
        return _gate(name, bound, words, messages=0)
    if found.low <= -1.0:
        words = "it cannot be judged, because a category has so few messages that one draw in 100 lacks it"
        return _gate(name, bound, words, messages=found.messages, value=found.estimate)
    return _gate(
        name,
        bound,
        f"macro F1 differs from the incumbent's by {found.estimate:+.3f} on {found.messages:,} messages; the lower end of its interval, "
        f"{found.low:+.3f}, must lie above {-bound:g}",
        messages=found.messages,
        passed=found.low > -bound,
        value=found.estimate,
        judged=found.low,
        interval=(found.low, found.high),
    )


def _unnamed(bound: float, found: Naming) -> Gate:
    name = "unnamed_at_most"
    if found.share is None:
        words = "it cannot be judged, because no answer says crisis, or nothing is told of categories"
        return _gate(name, bound, words, messages=0)
    return _gate(
        name,
        bound,
        f"{found.unnamed or 0:,} of {found.crisis:,} answers that say crisis name no category; the upper end of the interval, {found.high:.3f}, "
        f"must be at most {bound:g}",
        messages=found.messages,
        passed=found.high <= bound,
        value=found.share,
        judged=found.high,
        interval=(found.low, found.high),
    )
