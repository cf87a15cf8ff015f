"""What a cascade saved and what that may have cost, from its stored assessments."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import Field, ValidationError

from crisis_filter.errors import InputError
from crisis_filter.schema import Assessment, Record
from crisis_filter.stats.intervals import Interval, clopper_pearson, wilson

__all__ = ["CascadeReport", "Prices", "cascade_report", "read_assessments"]


class Prices(Record):
    """What a language model costs, in any currency."""

    prompt: float = Field(ge=0.0, allow_inf_nan=False)
    """For a million prompt tokens."""
    completion: float = Field(ge=0.0, allow_inf_nan=False)
    """For a million completion tokens."""

    def of(self, prompt_tokens: float, completion_tokens: float) -> float:
        """For so many tokens."""
        return (self.prompt * prompt_tokens + self.completion * completion_tokens) / 1e6


class Spent(Record):
    """What language models were asked."""

    requests: float
    prompt_tokens: float
    completion_tokens: float
    money: float | None
    """`None` where no price was given."""


class CascadeReport(Record):
    """One run of a cascade."""

    engines: tuple[str, ...]
    """SHA-256 of every engine that looked first; more than one means that runs were mixed."""
    clearings: tuple[str, ...]
    """SHA-256 of every clearing threshold in force; empty when nothing could be cleared."""
    messages: int
    cleared: Interval
    """Of all messages, those left to the engine."""
    sampled: int
    """Below the clearing threshold, and asked about at random all the same."""
    sampled_outcomes: dict[str, int]
    """What the language model said of them."""
    crises_among_cleared: Interval | None
    """Share of the cleared that the language model would not have cleared, by the sample, an undetermined one counted among them. Clopper-Pearson,
    two-sided; `None` without a sample. An alarm, and no check on a promise about crises: one crisis in a hundred cleared is one message in ten thousand
    where one in a hundred is a crisis."""
    asked: int
    """Messages that went to the language model, the sample included."""
    spent: Spent
    saved: Spent | None
    """What the cleared would have cost, each as much as the average sampled message that was no crisis, for those are like them; `None` when there is none."""

    @property
    def messages_in_doubt(self) -> int:
        """Sampled messages that the language model did not clear."""
        return self.sampled_outcomes.get("crisis", 0) + self.sampled_outcomes.get("undetermined", 0)


def read_assessments(path: Path) -> Iterator[Assessment]:
    """Stored assessments, one a line.

    Raises:
        InputError: the file cannot be read, or a line is no assessment; names file and line, never a value.
    """
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    try:
                        yield Assessment.model_validate_json(line)
                    except ValidationError:
                        raise InputError(
                            f"{path}: line {number}: is no assessment as classify --json writes them"
                        ) from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({type(error).__name__})") from None


def cascade_report(
    assessments: Sequence[Assessment], prices: Prices | None = None, *, level: float = 0.95
) -> CascadeReport:
    """Count what became of the messages of a cascade.

    Args:
        assessments: at least one, each by a cascade.
        prices: of the language model; `None` gives no money.
        level: coverage of the intervals.

    Raises:
        InputError: there is none, one comes twice, or one was made by something else than a cascade.
    """
    if not assessments:
        raise InputError("there are no assessments")
    if again := [i for i, times in Counter(a.id for a in assessments).items() if times > 1]:
        raise InputError(f"{len(again)} ids come more than once; give each run once, and runs with the same ids apart")
    steps = [(a, a.provenance.cascade) for a in assessments if a.provenance.cascade is not None]
    if len(steps) < len(assessments):
        raise InputError(
            f"{len(assessments) - len(steps)} of {len(assessments)} assessments were made by something else than a cascade"
        )
    cleared = [a for a, step in steps if step.step == "cleared"]
    sample = [a for a, step in steps if step.step == "sampled"]
    asked = [a for a, step in steps if step.step != "cleared"]
    outcomes = Counter(a.outcome for a in sample)
    doubtful = outcomes["crisis"] + outcomes["undetermined"]
    alike = [a for a in sample if a.outcome not in ("crisis", "undetermined")]
    return CascadeReport(
        engines=tuple(sorted({step.engine for _, step in steps})),
        clearings=tuple(sorted({step.clearing.sha256 for _, step in steps if step.clearing is not None})),
        messages=len(steps),
        cleared=wilson(len(cleared), len(steps), level),
        sampled=len(sample),
        sampled_outcomes=dict(outcomes),
        crises_among_cleared=clopper_pearson(doubtful, len(sample), level) if sample else None,
        asked=len(asked),
        spent=_spent(asked, 1.0, prices),
        saved=_spent(alike, len(cleared) / len(alike), prices) if alike else None,
    )


def _spent(assessments: Sequence[Assessment], share: float, prices: Prices | None) -> Spent:
    made = [a.provenance for a in assessments]
    prompt, completion = sum(p.prompt_tokens for p in made) * share, sum(p.completion_tokens for p in made) * share
    return Spent(
        requests=sum(p.attempts for p in made) * share,
        prompt_tokens=prompt,
        completion_tokens=completion,
        money=prices.of(prompt, completion) if prices is not None else None,
    )
