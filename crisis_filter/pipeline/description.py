"""The frozen description of a `CrisisFilter`; may be sent to a worker."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr

from crisis_filter.backends.spec import BackendSpec, parse_backend
from crisis_filter.schema import Record

LOCAL = "local"
DEFAULT_ENGINE = "starter-v1"
DEFAULT_POLICY = "default-v3"


class FilterSpec(Record):
    """Everything needed to open a filter; carries no open resource."""

    backend: str = LOCAL
    """`local`, `openai:MODEL`, `langchain:PROVIDER:MODEL`, `scripted:FILE` or `recorded:FILE`."""
    base_url: str | None = None
    """Root of an OpenAI-compatible server, such as `http://127.0.0.1:8080/v1`."""
    api_key: SecretStr | None = None
    azure_endpoint: str | None = None
    azure_api_version: str | None = None
    model_reported: str | None = None
    """What the server must say it is; a negative from anything else is `model_drift`."""
    attempt_timeout_s: float | None = Field(default=None, gt=0.0)
    """Seconds one request may take; `None` takes the backend's default."""
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
    engine_threads: int = Field(default=1, ge=1)
    deadline_s: float | None = Field(default=None, gt=0.0)
    """Total seconds for one message; `None` takes the policy's."""
    attempts: int | None = Field(default=None, ge=1, le=10)
    """Most requests for one call of a stage; `None` takes the backend's default."""

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
        )
