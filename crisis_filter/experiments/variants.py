"""The columns of an experiment: every prompt with every provider that takes one, and how each is opened."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr, ValidationError

from crisis_filter import assets
from crisis_filter.baselines.offline import NAMES as OFFLINE
from crisis_filter.baselines.registry import KNOWN, BaselineSpec
from crisis_filter.errors import ConfigurationError
from crisis_filter.experiments.plan import Plan, PromptChoice, ProviderChoice
from crisis_filter.experiments.records import PromptText, Variant
from crisis_filter.experiments.released import refuse_changed
from crisis_filter.pipeline.chain import engine_folder
from crisis_filter.pipeline.description import DEFAULT_ENGINE, DEFAULT_POLICY, LOCAL, FilterSpec
from crisis_filter.prompting.prompt import Prompt, load_prompt
from crisis_filter.prompting.render import render
from crisis_filter.schema import PromptRef
from crisis_filter.settings import key_of
from crisis_filter.taxonomy.load import load_taxonomy
from crisis_filter.taxonomy.maps import load_map
from crisis_filter.taxonomy.records import Taxonomy
from crisis_filter.triage.policy import Link, Policy, load_policy

__all__ = ["Column", "Columns", "columns"]

_BASELINE = "baseline:"
_OF_THE_SPEC = (
    "base_url",
    "temperature",
    "seed",
    "attempts",
    "attempt_timeout_s",
    "deadline_s",
    "model_reported",
)
_OF_THE_BASELINE = ("base_url", "model", "temperature", "attempts", "attempt_timeout_s", "deadline_s")


@dataclass(frozen=True, slots=True)
class Column:
    """A variant and what opens it."""

    variant: Variant
    spec: FilterSpec | BaselineSpec
    """Of our filter, or of somebody else's guardrail."""
    provider: ProviderChoice


@dataclass(frozen=True, slots=True)
class Columns:
    """All variants of a plan."""

    columns: tuple[Column, ...]
    prompts: tuple[PromptText, ...]
    taxonomy: Taxonomy
    policy: Policy


def columns(plan: Plan, *, keys: bool = True) -> Columns:
    """The variants of a plan, each prompt with each provider that takes one.

    Args:
        plan: with paths that need no folder.
        keys: whether keys are looked for; a replay needs none.

    Raises:
        ConfigurationError: a prompt, provider, engine, policy or key is missing or wrong, or a prompt's file was changed after it was released.
    """
    policy = load_policy(plan.policy or DEFAULT_POLICY)
    taxonomy = load_taxonomy(plan.taxonomy or policy.stages.taxonomy)
    loaded = {choice.label: _pair(choice, policy) for choice in plan.prompts}
    made = tuple(_columns(plan, policy, taxonomy, loaded, keys=keys))
    ids = [column.variant.id for column in made]
    if len(set(ids)) != len(ids):
        raise ConfigurationError("two variants have the same id; give prompts and providers labels without '@'")
    seen: dict[str, str] = {}
    for column in made:
        first = seen.setdefault(column.variant.fingerprint, column.variant.id)
        if first != column.variant.id:
            raise ConfigurationError(
                f"{first} and {column.variant.id} are the same but for their names; evaluateOptions.repeat shows how answers vary"
            )
    texts: dict[str, PromptText] = {}
    for pair in loaded.values():
        for prompt in pair:
            ready = render(prompt, taxonomy)
            texts[prompt.sha256] = PromptText(id=prompt.id, sha256=prompt.sha256, system=ready.system, user=prompt.user)
    return Columns(made, tuple(texts.values()), taxonomy, policy)


def _pair(choice: PromptChoice, policy: Policy) -> tuple[Prompt, Prompt]:
    found = []
    for stage, name in (("screen", choice.screen), ("categorise", choice.categorise or policy.stages.categorise)):
        prompt = load_prompt(name)
        if prompt.stage != stage:
            raise ConfigurationError(f"prompt {prompt.id} is for the stage {prompt.stage!r}, not {stage!r}")
        refuse_changed(prompt, assets.find("prompts", name, ".md"))
        found.append(prompt)
    return found[0], found[1]


def _columns(
    plan: Plan,
    policy: Policy,
    taxonomy: Taxonomy,
    loaded: Mapping[str, tuple[Prompt, Prompt]],
    *,
    keys: bool,
) -> Iterator[Column]:
    for provider in plan.providers:
        shared = {"endpoint": _endpoint(provider), "policy": policy.ref.sha256, "taxonomy": taxonomy.ref.sha256}
        if not provider.takes_prompts:
            yield Column(
                variant=_variant(provider.label, None, provider, None, shared),
                spec=_baseline(provider, keys=keys)
                if provider.id.startswith(_BASELINE)
                else _spec(plan, provider, None, keys=keys),
                provider=provider,
            )
            continue
        for choice in plan.prompts:
            pair = loaded[choice.label]
            yield Column(
                variant=_variant(f"{choice.label} @ {provider.label}", choice.label, provider, pair, shared),
                spec=_spec(plan, provider, choice, keys=keys),
                provider=provider,
            )


def _variant(
    name: str,
    prompt: str | None,
    provider: ProviderChoice,
    pair: tuple[Prompt, Prompt] | None,
    shared: Mapping[str, str],
) -> Variant:
    refs: tuple[PromptRef | None, PromptRef | None] = (pair[0].ref, pair[1].ref) if pair else (None, None)
    whole = {**shared, "prompts": [ref.sha256 for ref in refs if ref is not None]}
    return Variant(
        id=name,
        prompt=prompt,
        provider=provider.label,
        screen=refs[0],
        categorise=refs[1],
        fingerprint=_hash(whole),
        price=provider.price,
    )


def _endpoint(provider: ProviderChoice) -> str:
    """Hash of what shapes a provider's answers; not its key, nor what it asks for them."""
    # Neither do timeouts: one that was met is a fault, and what is no fault does not depend on them.
    settings = provider.model_dump(
        mode="json", exclude={"label", "price", "api_key_env", "attempt_timeout_s", "deadline_s"}
    )
    kind, _, path = provider.id.partition(":")
    if provider.id == LOCAL:
        folder = engine_folder(provider.engine or DEFAULT_ENGINE)
        settings["engine"] = assets.file_sha256(folder / "engine.json")
    if kind in ("scripted", "recorded"):
        settings["id"] = f"{kind}:{assets.file_sha256(assets.find('', path))}"
    if kind == _BASELINE.removesuffix(":"):
        # Its labels are read as ours by a map, and another map reads the same reply another way.
        settings["map"] = _map(provider.label, path)
    return _hash(settings)


def _map(label: str, name: str) -> str:
    """Hash of the map of a baseline."""
    known = (*KNOWN, *OFFLINE)
    if name not in known:
        raise ConfigurationError(f"provider {label}: there is no baseline {name!r}. There are: {', '.join(known)}")
    return load_map(name).sha256


def _spec(plan: Plan, provider: ProviderChoice, choice: PromptChoice | None, *, keys: bool) -> FilterSpec:
    given: dict[str, Any] = {name: value for name in _OF_THE_SPEC if (value := getattr(provider, name)) is not None}
    if provider.options:
        raise ConfigurationError(f"provider {provider.label}: options are for a baseline")
    if provider.id == LOCAL:
        # Evidence is left out where there is no time for it, so it would differ from one run to the next.
        given |= {
            "engine": provider.engine or DEFAULT_ENGINE,
            "engine_threshold": provider.threshold,
            "evidence": False,
        }
    elif provider.engine is not None or provider.threshold is not None:
        raise ConfigurationError(f"provider {provider.label}: engine and threshold are for local")
    elif keys:
        link = Link(backend=provider.id, base_url=provider.base_url, api_key_env=provider.api_key_env)
        given["api_key"] = key_of(link)
    if choice is not None:
        given |= {"screen_prompt": choice.screen, "categorise_prompt": choice.categorise}
    try:
        return FilterSpec.model_validate(
            {
                "backend": provider.id,
                "policy": plan.policy or DEFAULT_POLICY,
                "taxonomy": plan.taxonomy,
                # What is compared is the provider, and not what stands in for it.
                "fallbacks": None if provider.id == LOCAL else (),
                **given,
            }
        )
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise ConfigurationError(
            f"provider {provider.label}: {'.'.join(map(str, first['loc']))}: {first['msg']}"
        ) from None


def _baseline(provider: ProviderChoice, *, keys: bool) -> BaselineSpec:
    if provider.engine is not None or provider.threshold is not None or provider.seed is not None:
        raise ConfigurationError(f"provider {provider.label}: engine, threshold and seed are not for a baseline")
    name = provider.id.removeprefix(_BASELINE)
    # A replay asks nobody, and what is never sent needs no secret.
    key: SecretStr | None = SecretStr("none")
    if keys:
        link = Link(backend=f"openai:{name}", base_url=provider.base_url, api_key_env=provider.api_key_env)
        key = key_of(link)
    given = {field: value for field in _OF_THE_BASELINE if (value := getattr(provider, field)) is not None}
    try:
        return BaselineSpec.model_validate(
            {"name": name, "api_key": key, "options": {k: str(v) for k, v in provider.options.items()}, **given}
        )
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise ConfigurationError(
            f"provider {provider.label}: {'.'.join(map(str, first['loc']))}: {first['msg']}"
        ) from None


def _hash(value: object) -> str:
    return assets.sha256(json.dumps(value, sort_keys=True).encode())
