"""The environment, read once. Nothing else in the package looks at it."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import Any

from pydantic import AliasChoices, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from crisis_filter.backends.spec import BackendSpec, parse_backend
from crisis_filter.errors import ConfigurationError
from crisis_filter.pipeline.description import DEFAULT_POLICY, LOCAL, FilterSpec, cascaded
from crisis_filter.triage.policy import Link, load_policy

_OF_AN_ENDPOINT = {"api_key", "base_url", "azure_endpoint", "azure_api_version"}
NOBODY = "none"
"""As a fallback: nobody is asked, the engine neither."""


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
    prevalence: float | None = None
    evidence: bool | None = None
    clearing: str | None = None
    sample: float | None = None
    sample_seed: int | None = None
    places: int | None = None
    deadline_s: float | None = None
    attempts: int | None = None


def filter_spec(**given: Any) -> FilterSpec:
    """A filter's description: arguments over environment over defaults.

    Args:
        **given: fields of `FilterSpec`; those that are `None` count as not given. `fallbacks` holds texts: `local`, a link in the
            form that `parse_link` reads, or `none` alone for nobody.

    Raises:
        ConfigurationError: a value is out of range or a field unknown; names the field, never the value.
    """
    try:
        settings = Settings().model_dump(exclude_none=True)
        explicit = {name: value for name, value in given.items() if value is not None}
        chosen = _cascaded(_one_address(settings, explicit) | explicit)
        if str(chosen.get("backend", "")).startswith("langchain:"):
            # Keys and addresses meant for OpenAI must not travel to another provider, which reads its own variables.
            for name in {"api_key", "base_url", "azure_endpoint"} - explicit.keys():
                chosen.pop(name, None)
        return FilterSpec.model_validate(_chained(chosen, explicit.keys()))
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False, include_url=False)
        )
    raise ConfigurationError(f"settings: {problems}")


def policy_or(given: str | None, otherwise: str) -> str:
    """The policy that was given, else that of the environment, else another."""
    return given or Settings().policy or otherwise


def _cascaded(chosen: dict[str, Any]) -> dict[str, Any]:
    try:
        return cascaded(chosen)
    except ValueError as error:
        raise ConfigurationError(f"backend: {error}") from None


def _chained(chosen: dict[str, Any], explicit: Collection[str]) -> dict[str, Any]:
    """What was chosen, with the links of its chain made whole: those given, else those of the policy pack.

    A pack's chain counts only where nobody names a backend.

    Raises:
        ConfigurationError: a link is malformed, the variable with its key is not set, or an address was given that the pack's
            chain would pass over.
    """
    given = chosen.pop("fallbacks", None)
    links = [parse_link(text) for text in given or () if text.strip() != NOBODY]
    chain = () if "backend" in chosen else load_policy(chosen.get("policy", DEFAULT_POLICY)).chain
    if chain:
        if beside := sorted(_OF_AN_ENDPOINT & set(explicit)):
            raise ConfigurationError(
                f"{', '.join(beside)}: the policy pack has a chain of its own, so messages would not go there; name a backend as well, "
                "or leave it out"
            )
        # Keys and addresses that lie around in the environment belong to other endpoints than the pack's.
        chosen = {name: value for name, value in chosen.items() if name not in _OF_AN_ENDPOINT}
        own = chain[0].model_dump(exclude={"api_key_env"}, exclude_none=True)
        chosen |= own | ({} if (key := key_of(chain[0])) is None else {"api_key": key})
        if given is None:
            given, links = (), list(chain[1:])
    return chosen if given is None else chosen | {"fallbacks": tuple(map(_link_spec, links))}


def _link_spec(link: Link) -> BackendSpec | str:
    if link.backend == LOCAL:
        return LOCAL
    settings = link.model_dump(exclude={"backend", "api_key_env"})
    return parse_backend(link.backend, **settings, api_key=key_of(link))


def key_of(link: Link) -> SecretStr | None:
    """The key of a link: from the variable it names, or the public endpoint's own; `None` where it has none.

    Raises:
        ConfigurationError: the variable that it names is not set.
    """
    public = link.backend.startswith("openai:") and link.base_url is None and link.azure_endpoint is None
    name = link.api_key_env or ("OPENAI_API_KEY" if public else None)
    if name is None:
        return None
    key = os.environ.get(name)  # noqa: TID251  # this is the module that reads it
    if not key and link.api_key_env:
        raise ConfigurationError(f"{link.backend}: the variable {name}, which holds its key, is not set")
    return SecretStr(key) if key else None


def parse_link(text: str) -> Link:
    """Read a link in its short form: a backend, then `name=value` of `Link`'s other fields, with spaces between.

    Example: `openai:MODEL base_url=http://127.0.0.1:8080/v1 api_key_env=SECOND_KEY`.

    Raises:
        ConfigurationError: a field is unknown or its value not valid; names the field, never the value.
    """
    backend, *settings = text.split() or [""]
    if not backend:
        raise ConfigurationError(f"fallback: empty; name a backend, local, or {NOBODY}")
    fields = dict(setting.partition("=")[::2] for setting in settings)
    try:
        return Link.model_validate({**fields, "backend": backend})
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise ConfigurationError(f"fallback: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


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
