"""The frozen description of a `CrisisFilter`; may be sent to a worker."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, SecretStr, model_validator

from crisis_filter.backends.spec import BackendSpec, parse_backend
from crisis_filter.schema import Record

LOCAL = "local"
DEFAULT_ENGINE = "standard-v1"
DEFAULT_POLICY = "default-v3"
_CASCADE = "cascade:"


def cascaded(given: dict[str, Any]) -> dict[str, Any]:
    """Fields of `FilterSpec` with the short form of a cascade written out; others as they are.

    Raises:
        ValueError: the short form does not begin with the engine or names nothing after it.
    """
    backend = given.get("backend")
    if not isinstance(backend, str) or not backend.strip().startswith(_CASCADE):
        return given
    first, _, rest = backend.strip().removeprefix(_CASCADE).partition(",")
    rest = rest.strip()
    if first.strip() != LOCAL or not rest or rest.startswith(_CASCADE):
        raise ValueError("a cascade is the engine and a language model: cascade:local,openai:MODEL")
    return {**given, "backend": rest, "cascade": True}


class FilterSpec(Record):
    """Everything needed to open a filter; carries no open resource."""

    backend: str = LOCAL
    """`local`, `openai:MODEL`, `langchain:PROVIDER:MODEL`, `scripted:FILE` or `recorded:FILE`. `cascade:local,BACKEND` is short for one of the others
    with `cascade`."""
    cascade: bool = False
    """Whether the embedded engine looks first: it lets the likeliest crises be asked about first, and with `clearing` leaves some messages out."""
    clearing: str | None = None
    """Path of the clearing threshold that the operator has validated, for a cascade; `None` clears nothing."""
    sample: float = Field(default=0.02, ge=0.0, le=1.0)
    """Share of what a cascade would clear that is asked about all the same."""
    sample_seed: int = Field(default=0, ge=0)
    """Decides which; the same seed draws the same messages again."""
    places: int | None = Field(default=None, ge=1)
    """Texts that a language model may be asked about at once; of those that wait the likeliest crisis goes next, as a cascade's engine sees it.
    `None` lets none wait."""
    base_url: str | None = None
    """Root of an OpenAI-compatible server, such as `http://127.0.0.1:8080/v1`."""
    api_key: SecretStr | None = None
    azure_endpoint: str | None = None
    azure_api_version: str | None = None
    model_reported: str | None = None
    """What the server must say it is; a negative from anything else is `model_drift`."""
    attempt_timeout_s: float | None = Field(default=None, gt=0.0)
    """Seconds one request may take; `None` takes the backend's default."""
    temperature: float | None = Field(default=None, ge=0.0, le=2.0)
    """Of the language model; `None` takes the backend's default."""
    seed: int | None = None
    """Of the language model's draws, where its server takes one; `None` takes the backend's default."""
    fallbacks: tuple[BackendSpec | Literal["local"], ...] | None = None
    """Who is asked when `backend` does not answer, in this order. `local`, which comes last, is the embedded engine; it may only
    raise. `None` means the engine, for `openai` and `langchain`, where it knows the taxonomy; `()` means nobody."""
    policy: str = DEFAULT_POLICY
    """Name of a bundled policy pack, or a path."""
    taxonomy: str | None = None
    """Name or path; `None` takes the policy's."""
    screen_prompt: str | None = None
    """Name or path; `None` takes the policy's."""
    categorise_prompt: str | None = None
    """Name or path; `None` takes the policy's."""
    engine: str = DEFAULT_ENGINE
    """Name of a bundled engine, or the path of an engine folder."""
    engine_threshold: float | None = Field(default=None, gt=0.0, lt=1.0)
    """Probability from which the engine says crisis, at most the one that it was released with; `None` takes the policy's."""
    engine_threads: int = Field(default=1, ge=1)
    prevalence: float | None = Field(default=None, gt=0.0, lt=1.0)
    """Share of crises among the messages, for `Assessment.score_at_prevalence`; nothing else depends on it."""
    evidence: bool = True
    """Whether a crisis that the engine finds comes with the words that moved its score."""
    deadline_s: float | None = Field(default=None, gt=0.0)
    """Total seconds for one message; `None` takes the policy's."""
    attempts: int | None = Field(default=None, ge=1, le=10)
    """Most requests for one call of a stage; `None` takes the backend's default."""

    @model_validator(mode="before")
    @classmethod
    def _read_the_short_form(cls, given: Any) -> Any:
        return cascaded(given) if isinstance(given, dict) else given

    @model_validator(mode="after")
    def _a_cascade_ends_at_a_language_model(self) -> FilterSpec:
        if self.cascade and self.backend == LOCAL:
            raise ValueError("a cascade needs a language model after the engine: cascade:local,openai:MODEL")
        if self.clearing is not None and not self.cascade:
            raise ValueError("a clearing threshold is for a cascade: cascade:local,openai:MODEL")
        return self

    def backend_spec(self) -> BackendSpec:
        """The language model's part of this description.

        Raises:
            ConfigurationError: the backend is unknown or incomplete.
        """
        return parse_backend(
            self.backend,
            base_url=self.base_url,
            api_key=self.api_key,
            azure_endpoint=self.azure_endpoint,
            azure_api_version=self.azure_api_version,
            attempts=self.attempts,
            model_reported=self.model_reported,
            attempt_timeout_s=self.attempt_timeout_s,
            temperature=self.temperature,
            seed=self.seed,
        )
