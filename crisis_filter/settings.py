"""The environment, read once. Nothing else in the package looks at it."""

from __future__ import annotations

from typing import Any

from pydantic import AliasChoices, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from crisis_filter.errors import ConfigurationError
from crisis_filter.pipeline.spec import FilterSpec


class Settings(BaseSettings):
    """Environment variables. Those of the OpenAI client are honoured, so an existing set-up works as it is."""

    model_config = SettingsConfigDict(
        env_prefix="CRISIS_FILTER_",
        env_ignore_empty=True,
        extra="ignore",
        hide_input_in_errors=True,
        populate_by_name=True,
        frozen=True,
    )

    backend: str | None = None
    base_url: str | None = Field(
        default=None, validation_alias=AliasChoices("CRISIS_FILTER_BASE_URL", "OPENAI_BASE_URL")
    )
    api_key: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("CRISIS_FILTER_API_KEY", "OPENAI_API_KEY", "AZURE_OPENAI_API_KEY"),
    )
    azure_endpoint: str | None = Field(
        default=None, validation_alias=AliasChoices("CRISIS_FILTER_AZURE_ENDPOINT", "AZURE_OPENAI_ENDPOINT")
    )
    azure_api_version: str | None = Field(
        default=None, validation_alias=AliasChoices("CRISIS_FILTER_AZURE_API_VERSION", "OPENAI_API_VERSION")
    )
    policy: str | None = None
    taxonomy: str | None = None
    engine: str | None = None
    engine_threads: int | None = None
    deadline_s: float | None = None
    attempts: int | None = None


def filter_spec(**given: Any) -> FilterSpec:
    """A filter's description: arguments over environment over defaults.

    Args:
        **given: fields of `FilterSpec`; those that are `None` count as not given.

    Raises:
        ConfigurationError: a value is out of range or a field unknown; names the field, never the value.
    """
    try:
        settings = Settings().model_dump(exclude_none=True)
        explicit = {name: value for name, value in given.items() if value is not None}
        chosen = _one_address(settings, explicit) | explicit
        if str(chosen.get("backend", "")).startswith("langchain:"):
            # Keys and addresses meant for OpenAI must not travel to another provider, which reads its own variables.
            for name in {"api_key", "base_url", "azure_endpoint"} - explicit.keys():
                chosen.pop(name, None)
        return FilterSpec.model_validate(chosen)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False, include_url=False)
        )
    raise ConfigurationError(f"settings: {problems}")


def _one_address(settings: dict[str, Any], explicit: dict[str, Any]) -> dict[str, Any]:
    """The environment without what would send messages elsewhere than to the address that was given.

    Raises:
        ConfigurationError: two addresses stand on the same footing.
    """
    for given in (explicit, settings):
        if "base_url" in given and "azure_endpoint" in given:
            raise ConfigurationError(
                "both a base URL and an Azure endpoint are set: messages can go to one of them only"
            )
        if "base_url" in given:
            return {name: value for name, value in settings.items() if not name.startswith("azure_")}
        if "azure_endpoint" in given:
            return {name: value for name, value in settings.items() if name != "base_url"}
    return settings
