"""What is to be written: how many messages of which kind, and in which manner."""

from __future__ import annotations

import json
import tomllib
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, ValidationError, model_validator

from crisis_filter import assets
from crisis_filter.datasets.near import NEAR
from crisis_filter.errors import AssetError
from crisis_filter.schema import Record, Severity
from crisis_filter.taxonomy.records import Line, Taxonomy

__all__ = ["Controls", "Length", "Prompts", "Question", "Recipe", "Stratum", "load_recipe"]

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Weight = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
Question = Literal["crisis", "categories", "severity", "subject", "timeframe"]


class Length(Record):
    """A band of lengths."""

    words: tuple[int, int]
    """Fewest and most words, both included."""
    share: Weight
    """Weight beside the other bands."""

    @model_validator(mode="after")
    def _is_a_band(self) -> Self:
        if not 1 <= self.words[0] <= self.words[1]:
            raise ValueError("words must be two counts, the smaller first")
        return self


class Controls(Record):
    """The manner of messages. A share is of a stratum's messages, a weight stands beside the others of its table."""

    direct: Share = 0.5
    """Share that says what is the matter; the others leave it to be read from what happens."""
    masked: Share = 0.0
    """Share with code words, slang or emoji in place of plain words; where there is no crisis, in their harmless sense."""
    mechanics: Share = 0.0
    """Share with mistakes of spelling, grammar or punctuation."""
    textese: Share = 0.0
    """Share in the shorthand of text messages."""
    emoji: Share = 0.0
    lengths: tuple[Length, ...] = Field(default=(Length(words=(3, 40), share=1.0),), min_length=1)
    severity: dict[Severity, Weight] = Field(
        default={"mild": 1.0, "moderate": 1.0, "severe": 1.0, "imminent": 1.0}, min_length=1
    )
    """Of a crisis."""
    subject: dict[Literal["self", "other", "both"], Weight] = Field(default={"self": 1.0}, min_length=1)
    """Whose crisis."""
    timeframe: dict[Literal["recent", "current", "future"], Weight] = Field(default={"current": 1.0}, min_length=1)
    """When; what is past for good is no crisis."""
    voices: tuple[Line, ...] = Field(min_length=1)
    """Who writes, a line each."""


class Stratum(Record):
    """Messages of one kind."""

    id: Name
    crisis: bool
    """Never has a default."""
    count: int = Field(ge=1, le=100_000)
    categories: tuple[tuple[str, ...], ...] = ()
    """The sets of categories that its messages are to show, spread evenly; empty exactly when `crisis` is false."""
    note: str = ""
    """A word to the author on the whole stratum."""
    topics: tuple[Line, ...] = Field(min_length=1)
    """What messages are about, spread evenly."""
    controls: dict[str, Any] = Field(default={})
    """Those of `Controls` that differ from the recipe's."""

    @model_validator(mode="after")
    def _labels_agree(self) -> Self:
        if self.crisis != bool(self.categories) or not all(self.categories):
            raise ValueError("a crisis has sets of categories and nothing else has")
        return self

    @property
    def labels(self) -> tuple[tuple[str, ...], ...]:
        """The sets of categories, in which the empty set stands for no crisis."""
        return self.categories or ((),)


class Prompts(Record):
    """Names or paths of the three prompts."""

    author: str = "simulate/author-v1"
    rater: str = "simulate/rater-v1"
    adjudicator: str = "simulate/adjudicator-v1"


class Recipe(Record):
    """What is to be written, rated and decided."""

    id: Name
    taxonomy: str = "clinical-v1"
    """Name or path."""
    seed: int = Field(default=0, ge=0)
    """Of the plan and of the orders in which raters see messages."""
    batch: int = Field(default=8, ge=1, le=50)
    """Most messages that one request to the author asks for."""
    tries: int = Field(default=3, ge=1, le=10)
    """How often a message is asked for, and how often a rater or the adjudicator is asked about it, faulty answers counted."""
    near: Annotated[float, Field(gt=0.0, le=100.0)] = NEAR
    """Likeness, 0 to 100, from which a message counts as a near copy of one that is there and is thrown away."""
    must_agree: tuple[Question, ...] = Field(
        default=("crisis", "categories", "severity", "subject", "timeframe"), min_length=1
    )
    """On which of these raters must say the same; else somebody decides between them."""
    doubts: bool = True
    """Whether somebody decides as well where raters say the same and one of them is not sure."""
    prompts: Prompts = Prompts()
    controls: Controls
    strata: tuple[Stratum, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        ids = [stratum.id for stratum in self.strata]
        if len(set(ids)) != len(ids):
            raise ValueError("ids of strata repeat")
        if not {"crisis", "categories"} <= set(self.must_agree):
            raise ValueError("must_agree needs crisis and categories: they are the labels")
        for stratum in self.strata:
            try:
                self.controls_of(stratum)
            except ValidationError as error:
                first = error.errors(include_input=False, include_url=False)[0]
                place = ".".join(map(str, first["loc"]))
                raise ValueError(f"stratum {stratum.id}: controls.{place}: {first['msg']}") from None
        return self

    @property
    def sha256(self) -> str:
        """Hash of what it says, not of how its file is laid out."""
        return assets.sha256(json.dumps(self.model_dump(mode="json"), sort_keys=True).encode())

    def controls_of(self, stratum: Stratum) -> Controls:
        """The manner of one stratum."""
        return Controls.model_validate({**self.controls.model_dump(), **stratum.controls})

    def check(self, taxonomy: Taxonomy) -> None:
        """Refuse categories that the taxonomy does not have.

        Raises:
            AssetError: names stratum and category.
        """
        for stratum in self.strata:
            strangers = {name for labels in stratum.categories for name in labels} - set(taxonomy.ids)
            if strangers:
                raise AssetError(
                    f"recipe {self.id}: stratum {stratum.id}: {taxonomy.id} has no category {', '.join(sorted(strangers))}"
                )


def load_recipe(name: str) -> Recipe:
    """Load a recipe by name (`paper-v1`) or by the path of its `.toml` file.

    Raises:
        AssetError: when the file is missing or malformed; names the file and the field.
    """
    path = assets.find("data/recipes", name, ".toml")
    try:
        return Recipe.model_validate(tomllib.loads(assets.read_text(path)))
    except tomllib.TOMLDecodeError as error:
        raise AssetError(f"{path}: not valid TOML: {error}") from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise AssetError(f"{path}: {'.'.join(map(str, first['loc'])) or 'recipe'}: {first['msg']}") from None
