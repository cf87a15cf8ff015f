"""Answer models, made from a taxonomy: what a language model must fill in, reasoning before the label.

All fields are required, nothing is open-ended where a small model could run on, and unknown fields are refused: so the
JSON schema is strict in OpenAI's sense. Stage 2 has one object for each category rather than a list of names.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from crisis_filter.schema import Severity, Subject, Timeframe
from crisis_filter.taxonomy.records import Taxonomy

AnswerKind = Literal["screen_reasoned", "screen_terse", "categorise_reasoned"]


class Answer(BaseModel):
    """Base of answer models: closed, strict about types, silent about its input."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    nonce: Annotated[str, Field(description="The nonce of this request, copied exactly.", repr=False)]


class ScreenReasoned(Answer):
    """Stage 1, reasoning first."""

    reasoning: Annotated[str, Field(description="Two or three sentences, before any verdict.", repr=False)]
    quotes: Annotated[
        tuple[str, ...],
        Field(description="Up to three short exact quotes that matter most; empty when none.", repr=False),
    ]
    subject: Annotated[Subject, Field(description="Whose crisis it would be.")]
    timeframe: Annotated[Timeframe, Field(description="When.")]
    crisis: Annotated[bool, Field(description="Is at least one category present?")]
    confidence: Annotated[float, Field(ge=0.0, le=1.0, description="Probability, 0 to 1, that this is a crisis.")]


class ScreenTerse(Answer):
    """Stage 1, verdict only."""

    crisis: Annotated[bool, Field(description="Is at least one category present?")]


class CategoryAnswer(BaseModel):
    """Stage 2, one category."""

    model_config = Answer.model_config

    rationale: Annotated[str, Field(description="One or two sentences; empty when nothing bears on it.", repr=False)]
    quotes: Annotated[
        tuple[str, ...], Field(description="Up to three short exact quotes; empty when absent.", repr=False)
    ]
    present: Annotated[bool, Field(description="Is this category present?")]
    severity: Annotated[Severity | None, Field(description="null when absent.")]
    subject: Annotated[Subject | None, Field(description="null when absent.")]
    timeframe: Annotated[Timeframe | None, Field(description="null when absent.")]


class Categorised(Answer):
    """Stage 2; the made model has one `CategoryAnswer` field for each category of the taxonomy."""

    def by_category(self) -> dict[str, CategoryAnswer]:
        """Category id to answer, in the taxonomy's order."""
        return {name: value for name, value in self if isinstance(value, CategoryAnswer)}


def answer_model(kind: AnswerKind, taxonomy: Taxonomy) -> type[Answer]:
    """The answer model of a kind for a taxonomy; the same object for the same ids."""
    if kind == "screen_reasoned":
        return ScreenReasoned
    if kind == "screen_terse":
        return ScreenTerse
    return _categorised(taxonomy.ids)


@cache
def _categorised(ids: tuple[str, ...]) -> type[Categorised]:
    fields: dict[str, Any] = dict.fromkeys(ids, (CategoryAnswer, ...))
    return create_model("Categorised", __base__=Categorised, **fields)
