"""What author, rater and adjudicator must fill in."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, create_model, model_validator

from crisis_filter.schema import Severity, Subject, Timeframe
from crisis_filter.taxonomy.answers import Answer
from crisis_filter.taxonomy.records import Taxonomy

__all__ = ["Adjudicated", "Rated", "Written", "WrittenMessage", "adjudicated_model", "rated_model"]


class WrittenMessage(BaseModel):
    """One message of the author's."""

    model_config = Answer.model_config

    number: Annotated[int, Field(description="Number of the message in the request.")]
    text: Annotated[str, Field(description="The message itself, as it would be sent.", repr=False)]


class Written(Answer):
    """What the author wrote."""

    messages: Annotated[tuple[WrittenMessage, ...], Field(description="One for each number that is not declined.")]
    declined: Annotated[tuple[int, ...], Field(description="Numbers that you do not write; usually empty.")]


class Labelling(Answer):
    """Labels of one message; the made models close `categories` over a taxonomy."""

    reasoning: Annotated[str, Field(description="One to three sentences, before any label.", repr=False)]
    crisis: Annotated[bool, Field(description="Is at least one category present?")]
    categories: Annotated[tuple[str, ...], Field(description="Every category present; empty when not a crisis.")]
    severity: Annotated[Severity | None, Field(description="Highest of all; null when not a crisis.")]
    subject: Annotated[Subject | None, Field(description="Whose crisis; null when not a crisis.")]
    timeframe: Annotated[Timeframe | None, Field(description="When; null when not a crisis.")]

    @model_validator(mode="after")
    def _labels_agree(self) -> Self:
        if self.crisis != bool(self.categories) or len(set(self.categories)) != len(self.categories):
            raise ValueError("a crisis has categories, each once, and nothing else has")
        if len({self.crisis, *(v is not None for v in (self.severity, self.subject, self.timeframe))}) != 1:
            raise ValueError("severity, subject and timeframe belong to a crisis")
        return self


class Rated(Labelling):
    """What a rater says of one message."""

    sure: Annotated[bool, Field(description="false when careful colleagues could differ about crisis or categories.")]


class Adjudicated(Labelling):
    """What somebody decides between two ratings."""

    contested: Annotated[bool, Field(description="true when readers of good will can go on to differ.")]


def rated_model(taxonomy: Taxonomy) -> type[Rated]:
    """The answer model of a rater; the same object for the same ids."""
    made = _closed(Rated, taxonomy.ids)
    assert issubclass(made, Rated)  # noqa: S101  # it was made from it
    return made


def adjudicated_model(taxonomy: Taxonomy) -> type[Adjudicated]:
    """The answer model of the adjudicator; the same object for the same ids."""
    made = _closed(Adjudicated, taxonomy.ids)
    assert issubclass(made, Adjudicated)  # noqa: S101  # it was made from it
    return made


@cache
def _closed(base: type[Labelling], ids: tuple[str, ...]) -> type[Labelling]:
    described = Field(description=base.model_fields["categories"].description)
    fields: dict[str, Any] = {"categories": (tuple[Literal[ids], ...], described)}  # type: ignore[valid-type]
    return create_model(base.__name__, __base__=base, **fields)
