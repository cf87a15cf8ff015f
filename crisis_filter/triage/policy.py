"""The policy pack: prompts, taxonomy, thresholds, limits and routing rules, versioned and hashed together."""

from __future__ import annotations

import tomllib
from typing import Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from crisis_filter import assets
from crisis_filter.errors import AssetError
from crisis_filter.schema import OUTCOMES, UNSPECIFIED, PromptRef, Record
from crisis_filter.taxonomy.records import Taxonomy
from crisis_filter.triage.coverage import holes
from crisis_filter.triage.hours import zone
from crisis_filter.triage.protocols import load_protocols
from crisis_filter.triage.rules import Queue, Rule, Slug

__all__ = [
    "ROUTING_POLICY",
    "Languages",
    "Limits",
    "Link",
    "Policy",
    "Queue",
    "ResourcePolicy",
    "Rule",
    "Stages",
    "Thresholds",
    "Votes",
    "load_policy",
]

ROUTING_POLICY = "default-v4"
"""The newest pack with time limits, protocols and escalation: what a service that keeps a queue begins with."""


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
    format: Literal[1, 2] = 1
    """2 is for rules with time limits, protocols, escalation, hours, places, sources and the state of the service; packs older than this
    field are 1 and have none."""
    timezone: str = "UTC"
    """In which the hours of rules are, by its name in the IANA database, such as `Europe/London`."""
    protocols: str | None = None
    """Name or path of the protocol pack that the rules' protocols are in."""
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

    @field_validator("timezone")
    @classmethod
    def _there_is_such_a_zone(cls, name: str) -> str:
        zone(name)
        return name

    @model_validator(mode="after")
    def _nobody_is_routed_to_no_one(self) -> Self:
        staffed = self.staffed
        there = {queue.id for queue in self.queues}
        for rule in self.rules:
            if rule.queue not in there:
                raise ValueError(f"rule {rule.id!r} names the queue {rule.queue!r}, which does not exist")
            if rule.outcome != "no_crisis" and rule.queue not in staffed and not rule.for_empty_content:
                raise ValueError(f"rule {rule.id!r} sends {rule.outcome} to {rule.queue!r}, which nobody reads")
            if rule.escalate_to is not None:
                self._refuse_escalation(rule, there, staffed)
        for outcome in OUTCOMES:
            if not any(rule.outcome == outcome and rule.unconditional for rule in self.rules):
                raise ValueError(_hole(outcome, holes(self.rules, outcome)))
        return self

    def _refuse_escalation(self, rule: Rule, there: set[str], staffed: frozenset[str]) -> None:
        if rule.escalate_to not in there:
            raise ValueError(f"rule {rule.id!r} escalates to {rule.escalate_to!r}, which does not exist")
        if rule.escalate_to not in staffed:
            raise ValueError(f"rule {rule.id!r} escalates to {rule.escalate_to!r}, which nobody reads")
        if rule.queue not in staffed:
            raise ValueError(f"rule {rule.id!r} escalates from {rule.queue!r}, where nobody is waited for")

    @model_validator(mode="after")
    def _escalation_ends(self) -> Self:
        onward: dict[str, set[str]] = {}
        for rule in self.rules:
            if rule.escalate_to is not None:
                onward.setdefault(rule.queue, set()).add(rule.escalate_to)
        for start in onward:
            path = _way_back(start, onward)
            if path:
                raise ValueError(f"escalation goes in a circle: {' > '.join(path)}")
        return self

    @model_validator(mode="after")
    def _the_format_is_kept(self) -> Self:
        for rule in self.rules:
            if self.format == 1 and rule.new_fields:
                raise ValueError(f"rule {rule.id!r}: {rule.new_fields[0]} needs format = 2 at the top of the pack")
            if self.format == 2 and rule.queue in self.staffed and rule.within is None:
                raise ValueError(f"rule {rule.id!r} sends to people and says not within which time; add within")
            if rule.protocol is not None and self.protocols is None:
                raise ValueError(f"rule {rule.id!r} names a protocol, and the pack names no protocols to find it in")
        return self

    @property
    def staffed(self) -> frozenset[str]:
        """Ids of the queues that somebody reads."""
        return frozenset(queue.id for queue in self.queues if queue.staffed_by is not None)

    @property
    def ref(self) -> PromptRef:
        """Identity for provenance."""
        return PromptRef.of(f"{self.id}-v{self.version}", self.sha256)

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
        AssetError: when the file is missing, malformed, has a hole, or has a rule that routes somebody to no one or names a protocol that
            its protocol pack lacks; the message names the case or the rule.
    """
    path = assets.find("policies", name, ".toml")
    text = assets.read_text(path)
    try:
        policy = Policy.model_validate({**tomllib.loads(text), "sha256": assets.sha256(text.encode())})
    except tomllib.TOMLDecodeError as error:
        raise AssetError(f"{path}: not valid TOML: {error}") from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "policy"
        raise AssetError(f"{path}: {where}: {first['msg']}") from None
    _refuse_unknown_protocols(policy, str(path))
    return policy


def _refuse_unknown_protocols(policy: Policy, path: str) -> None:
    if policy.protocols is None:
        return
    known = load_protocols(policy.protocols).ids
    for rule in policy.rules:
        if rule.protocol is not None and rule.protocol not in known:
            raise AssetError(
                f"{path}: rule {rule.id!r}: {policy.protocols} has no protocol {rule.protocol!r}; there are: {', '.join(sorted(known))}"
            )


def _hole(outcome: str, found: tuple[str, ...]) -> str:
    if not found:
        return f"no rule takes every {outcome} whatever else is known of it: add one with no condition but the outcome"
    more = f" (and {len(found) - 1:,} more cases)" if len(found) > 1 else ""
    return (
        f"no rule takes every {outcome}: nothing covers '{found[0]}'{more}; add one with no condition but the outcome"
    )


def _way_back(start: str, onward: dict[str, set[str]]) -> list[str]:
    """A way from a queue back to itself, or nothing."""
    ways = [[start]]
    seen: set[str] = set()
    while ways:
        way = ways.pop()
        for following in sorted(onward.get(way[-1], ())):
            if following == start:
                return [*way, start]
            if following not in seen:
                seen.add(following)
                ways.append([*way, following])
    return []
