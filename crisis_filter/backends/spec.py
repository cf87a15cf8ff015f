"""Which language model to ask, and how: the frozen description from which `registry.open_backend` makes a backend."""

from __future__ import annotations

from typing import Literal, Self, get_args
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator

from crisis_filter.errors import ConfigurationError
from crisis_filter.schema import Record

__all__ = ["BackendKind", "BackendSpec", "parse_backend"]

BackendKind = Literal["openai", "langchain", "scripted", "recorded"]

_FORMS = "local, openai:MODEL, langchain:PROVIDER:MODEL, scripted:FILE, recorded:FILE"


class BackendSpec(Record):
    """Everything a worker needs to open a backend; carries no open resource and may be sent to another process."""

    kind: BackendKind
    model: str = ""
    """For `openai` the model or the Azure deployment, for `langchain` `PROVIDER:MODEL`; empty for files."""
    base_url: str | None = None
    """Root of an OpenAI-compatible API, such as `http://127.0.0.1:8080/v1`; `None` means the provider's public one."""
    api_key: SecretStr | None = None
    azure_endpoint: str | None = None
    """When set, `openai` speaks to Azure and `model` is the deployment."""
    azure_api_version: str | None = None
    path: str | None = None
    """The file of a `scripted` or `recorded` backend."""
    temperature: float = Field(default=0.0, ge=0.0, le=2.0)
    seed: int | None = 0
    """`None` sends no seed."""
    attempts: int = Field(default=3, ge=1, le=10)
    """Most requests for one call, re-asks counted. A request that only finds out what the server supports is extra."""
    attempt_timeout_s: float = Field(default=30.0, gt=0.0)
    """Seconds one request may take; the deadline of the call binds as well."""
    model_reported: str | None = None
    """What the server must say it is; a negative from anything else is `model_drift`. `None` takes any."""

    @field_validator("base_url", "azure_endpoint")
    @classmethod
    def _is_an_address(cls, address: str | None) -> str | None:
        if address is None:
            return None
        try:
            parts = urlsplit(address)
            whole = (
                parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
            )
        except ValueError:
            whole = False
        if not whole:
            raise ValueError("must be an address such as http://127.0.0.1:8080/v1")
        return address

    @field_validator("api_key")
    @classmethod
    def _fits_a_header(cls, key: SecretStr | None) -> SecretStr | None:
        if key is None:
            return None
        text = key.get_secret_value().strip()
        if not text:
            return None
        if not (text.isascii() and text.isprintable()):
            raise ValueError("holds characters that no HTTP header can carry")
        return SecretStr(text)

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> Self:
        if self.kind in ("openai", "langchain") and not self.model:
            raise ValueError(f"{self.kind} needs a model")
        if self.kind == "langchain" and not all(self.model.partition(":")[::2]):
            raise ValueError("langchain needs PROVIDER:MODEL")
        if self.kind in ("scripted", "recorded") and not self.path:
            raise ValueError(f"{self.kind} needs a file")
        return self

    @property
    def name(self) -> str:
        """`openai:MODEL`, `langchain:PROVIDER:MODEL`, `scripted` or `recorded`."""
        return f"{self.kind}:{self.model}" if self.model else self.kind


def parse_backend(text: str, **settings: object) -> BackendSpec:
    """Read the short form of a backend.

    Args:
        text: `openai:MODEL`, `langchain:PROVIDER:MODEL`, `scripted:FILE` or `recorded:FILE`. What follows the first
            colon (for langchain the second) is taken whole, so model names may hold colons and slashes.
        **settings: other fields of `BackendSpec`; those that are `None` keep their default.

    Raises:
        ConfigurationError: the kind is unknown, its model or file is missing, or a setting is out of range. The message
            names fields only, never values.
    """
    kind, _, rest = text.strip().partition(":")
    if kind not in get_args(BackendKind):
        raise ConfigurationError(f"unknown backend; known are: {_FORMS}")
    if not rest.strip():
        raise ConfigurationError(f"backend {kind!r} is incomplete; known are: {_FORMS}")
    what = {"path" if kind in ("scripted", "recorded") else "model": rest.strip()}
    given = {name: value for name, value in settings.items() if value is not None}
    try:
        return BackendSpec.model_validate({"kind": kind, **what, **given})
    except ValidationError as error:
        problems = [
            f"{'.'.join(map(str, e['loc'])) or kind}: {e['msg']}"
            for e in error.errors(include_input=False, include_url=False)
        ]
    raise ConfigurationError(f"backend settings: {'; '.join(problems)}")
