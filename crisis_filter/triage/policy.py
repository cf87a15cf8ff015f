"""The policy pack: prompts, taxonomy, thresholds, limits and routing rules, versioned and hashed together."""

from __future__ import annotations

import tomllib
from typing import Annotated, Self

from pydantic import Field, StringConstraints, ValidationError, field_validator, model_validator

from crisis_filter import assets
from crisis_filter.errors import AssetError
from crisis_filter.schema import (
    UNSPECIFIED,
    Fault,
    Flag,
    Outcome,
    PromptRef,
    Record,
    Severity,
    Subject,
    Timeframe,
    Urgency,
)
from crisis_filter.taxonomy.records import Taxonomy

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]


class Stages(Record):
    """Which prompts and taxonomy a language model is given."""

    screen: str
    categorise: str
    taxonomy: str


class Thresholds(Record):
    """Probabilities at or above which something is present. 0 to 1."""

    prompted_screen: float = Field(default=0.5, gt=0.0, le=0.5)
    """For scores from token log-probabilities; can only raise a printed negative. At most a half: a model that thinks a crisis
    likelier than not does not clear."""
    engine_screen: float | None = Field(default=None, gt=0.0, lt=1.0)
    """For the embedded engine; `None` takes the one the engine was released with, and none above that is taken."""


class Limits(Record):
    """How much text, and how long."""

    most_bytes: int = Field(default=1_000_000, ge=1)
    """A longer text (in UTF-8) ends as `input_too_long`."""
    chunk_characters: int = Field(default=8_000, ge=200, le=32_000)
    """Longest piece of a text that is judged at once; what a detector reads in one go, it reads less well the longer it is."""
    chunk_overlap: int = Field(default=800, ge=50)
    """Characters that a piece shares with the one before, so that no sentence is cut in both."""
    deadline_s: float = Field(default=60.0, gt=0.0)
    """Total seconds for one message, both stages."""

    @model_validator(mode="after")
    def _chunks_make_progress(self) -> Self:
        if self.chunk_overlap * 2 > self.chunk_characters:
            raise ValueError("chunk_overlap must be at most half of chunk_characters")
        return self


class Votes(Record):
    """How often a language model is asked about a text near the threshold."""

    count: int = Field(default=1, ge=1, le=9)
    """Verdicts on such a text, the first included; any positive wins. 1 asks once."""
    margin: float = Field(default=0.2, ge=0.0, le=1.0)
    """How far below `prompted_screen` a negative's score may be to count as near."""


class Languages(Record):
    """Which languages the detectors were measured in."""

    validated: tuple[str, ...] | None = None
    """BCP 47 primary tags such as `en`. A negative for a text in another language is undetermined. `None` does not ask, which
    packs older than this field mean."""


class Link(Record):
    """One endpoint of the chain."""

    backend: str
    """`openai:MODEL`, `langchain:PROVIDER:MODEL`, or `local`, which comes last and may only raise."""
    base_url: str | None = None
    api_key_env: str | None = None
    """Name of the environment variable with its key; a pack holds no secrets."""
    azure_endpoint: str | None = None
    azure_api_version: str | None = None
    model_reported: str | None = None
    """What the server must say it is; a negative from anything else is `model_drift`."""
    attempt_timeout_s: float | None = Field(default=None, gt=0.0)


class Queue(Record):
    """Where dispositions wait."""

    id: Slug
    name: str
    staffed_by: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)] | None = None
    """Who reads it; `None` is a queue that nobody reads."""


class Rule(Record):
    """When an assessment matches, where it goes. Empty conditions match everything.

    Conditions on findings (category, severity, subject, timeframe) hold when one finding meets all of them.
    """

    id: Slug
    outcome: Outcome
    categories: frozenset[str] = frozenset()
    severity_at_least: Severity | None = None
    """A finding without severity counts as `moderate`."""
    subjects: frozenset[Subject] = frozenset()
    timeframes: frozenset[Timeframe] = frozenset()
    faults: frozenset[Fault] = frozenset()
    flags: frozenset[Flag] = frozenset()
    score_at_least: float | None = Field(default=None, ge=0.0, le=1.0)
    queue: Slug
    urgency: Urgency

    @property
    def unconditional(self) -> bool:
        """Whether nothing but the outcome decides."""
        return not (self.categories or self.subjects or self.timeframes or self.faults or self.flags) and (
            self.severity_at_least is None and self.score_at_least is None
        )


class ResourcePolicy(Record):
    """Which resource pack is offered, and whether entries nobody has verified are."""

    pack: str
    serve_unverified: bool = False
    default_locale: str = "en-US"


class Policy(Record):
    """A policy pack."""

    id: Slug
    version: int = Field(ge=1)
    description: str
    stages: Stages
    thresholds: Thresholds = Thresholds()
    limits: Limits = Limits()
    votes: Votes = Votes()
    languages: Languages = Languages()
    chain: tuple[Link, ...] = ()
    """Asked in this order unless the caller names a backend; empty leaves it to the caller."""
    resources: ResourcePolicy
    queues: tuple[Queue, ...] = Field(min_length=1)
    rules: tuple[Rule, ...] = Field(min_length=1)
    sha256: str

    @field_validator("queues", "rules")
    @classmethod
    def _ids_are_unique(cls, rows: tuple[Queue, ...] | tuple[Rule, ...]) -> tuple[Queue, ...] | tuple[Rule, ...]:
        ids = [row.id for row in rows]
        if len(set(ids)) != len(ids):
            raise ValueError("ids repeat")
        return rows

    @model_validator(mode="after")
    def _nobody_is_routed_to_no_one(self) -> Self:
        staffed = {queue.id: queue.staffed_by is not None for queue in self.queues}
        for rule in self.rules:
            if rule.queue not in staffed:
                raise ValueError(f"rule {rule.id!r} names the queue {rule.queue!r}, which does not exist")
            only_empty = rule.outcome == "undetermined" and rule.faults == {Fault.EMPTY_CONTENT}
            if rule.outcome != "no_crisis" and not staffed[rule.queue] and not only_empty:
                raise ValueError(f"rule {rule.id!r} sends {rule.outcome} to {rule.queue!r}, which nobody reads")
        for outcome in ("crisis", "undetermined", "no_crisis"):
            if not any(rule.outcome == outcome and rule.unconditional for rule in self.rules):
                raise ValueError(f"no rule takes every {outcome}: add one with no condition but the outcome")
        return self

    @property
    def ref(self) -> PromptRef:
        """Identity for provenance."""
        return PromptRef(id=f"{self.id}-v{self.version}", sha256=self.sha256)

    def for_taxonomy(self, taxonomy: Taxonomy, *, own: bool = True) -> Policy:
        """This policy made ready for a taxonomy.

        Rules must name categories that exist. For another taxonomy than the policy's own, rules on categories it lacks can
        never match and are left out; the rules without conditions still take everything.

        Args:
            taxonomy: what the detector will name.
            own: whether it is the one the policy was written for.

        Raises:
            AssetError: names the rule and the category.
        """
        known = set(taxonomy.ids) | {UNSPECIFIED}
        if own:
            for rule in self.rules:
                if rule.categories - known:
                    names = ", ".join(sorted(rule.categories - known))
                    raise AssetError(f"policy {self.id}: rule {rule.id!r}: {taxonomy.id} has no category {names}")
        kept = tuple(rule for rule in self.rules if not rule.categories or rule.categories & known)
        return self.model_copy(update={"rules": kept})


def load_policy(name: str) -> Policy:
    """Load a policy pack by name (`default`) or by the path of its `.toml` file.

    Raises:
        AssetError: when the file is missing, malformed, or has a rule that routes somebody to no one.
    """
    path = assets.find("policies", name, ".toml")
    text = assets.read_text(path)
    try:
        return Policy.model_validate({**tomllib.loads(text), "sha256": assets.sha256(text.encode())})
    except tomllib.TOMLDecodeError as error:
        raise AssetError(f"{path}: not valid TOML: {error}") from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "policy"
        raise AssetError(f"{path}: {where}: {first['msg']}") from None
