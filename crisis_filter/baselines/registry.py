"""From a name to an open baseline."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

import numpy as np
from pydantic import Field, SecretStr, ValidationError

from crisis_filter.backends.base import Backend
from crisis_filter.backends.moderation import PINNED_MODEL, Moderation, ModerationSpec
from crisis_filter.backends.registry import open_backend, require_key
from crisis_filter.backends.spec import BackendSpec
from crisis_filter.baselines import (
    gpt_oss_safeguard,
    granite_guardian,
    llama_guard,
    nemoguard,
    openai_moderation,
    safety_lines,
)
from crisis_filter.baselines.asking import Format, asking
from crisis_filter.baselines.base import Baseline, about
from crisis_filter.baselines.detector import Detector
from crisis_filter.baselines.offline import NAMES as OFFLINE_NAMES
from crisis_filter.baselines.offline import open_offline
from crisis_filter.baselines.options import Choices, identity, settled
from crisis_filter.errors import ConfigurationError
from crisis_filter.schema import Record
from crisis_filter.taxonomy.load import load_taxonomy
from crisis_filter.taxonomy.maps import TaxonomyMap, load_map

__all__ = ["KNOWN", "MODERATION", "BaselineSpec", "Known", "open_baseline"]

MODERATION = "openai-moderation"
SpecT = TypeVar("SpecT", bound=BackendSpec)

Make = Callable[[Mapping[str, str], float, TaxonomyMap], Format]
"""From options, the deadline in seconds and the map to a format."""


class BaselineSpec(Record):
    """Everything a worker needs to open a baseline; carries no open resource and may be sent to another process."""

    name: str = Field(min_length=1)
    """A name of `KNOWN`, or of an offline package."""
    base_url: str | None = None
    """Root of an OpenAI-compatible server; `None` for OpenAI's own moderation endpoint and for offline packages."""
    api_key: SecretStr | None = None
    model: str | None = None
    """As the server calls it; `None` takes the baseline's usual name."""
    options: dict[str, str] = Field(default_factory=dict)
    """Settings of this baseline, each with a closed set of values."""
    attempts: int = Field(default=3, ge=1, le=10)
    """Most requests for one question."""
    attempt_timeout_s: float = Field(default=60.0, gt=0.0)
    deadline_s: float = Field(default=120.0, gt=0.0)
    """Seconds for one message, retries and waits included."""
    temperature: float = Field(default=0.0, ge=0.0, le=2.0)


@dataclass(frozen=True, slots=True)
class Known:
    """A baseline that is asked over the network."""

    model: str
    """What its server calls it, unless told otherwise."""
    options: Choices
    make: Make | None
    """`None` for a moderation endpoint."""


def _with_taxonomy(make: Callable[..., Format]) -> Make:
    return lambda options, deadline_s, labels: make(options, deadline_s, load_taxonomy(labels.taxonomy))


def _stock(options: Mapping[str, str], deadline_s: float, _: TaxonomyMap) -> Format:
    return llama_guard.stock(options, deadline_s)


_CUSTOM = _with_taxonomy(llama_guard.custom)
_SAFEGUARD = _with_taxonomy(gpt_oss_safeguard.safeguard)
_QWEN, _MINDGUARD = safety_lines.QWEN_OPTIONS, safety_lines.MINDGUARD_OPTIONS

KNOWN: Mapping[str, Known] = MappingProxyType(
    {
        MODERATION: Known(PINNED_MODEL, openai_moderation.OPTIONS, None),
        "nemoguard-8b": Known("nvidia/llama-3.1-nemoguard-8b-content-safety", nemoguard.OPTIONS, nemoguard.nemoguard),
        "llama-guard-3-8b": Known("meta-llama/Llama-Guard-3-8B", llama_guard.OPTIONS, _stock),
        "llama-guard-3-1b": Known("meta-llama/Llama-Guard-3-1B", llama_guard.OPTIONS, _stock),
        "llama-guard-3-custom": Known("meta-llama/Llama-Guard-3-8B", llama_guard.CUSTOM_OPTIONS, _CUSTOM),
        "gpt-oss-safeguard-20b": Known("openai/gpt-oss-safeguard-20b", gpt_oss_safeguard.OPTIONS, _SAFEGUARD),
        "gpt-oss-safeguard-120b": Known("openai/gpt-oss-safeguard-120b", gpt_oss_safeguard.OPTIONS, _SAFEGUARD),
        "qwen3guard-gen": Known("Qwen/Qwen3Guard-Gen-8B", _QWEN, safety_lines.qwen3guard),
        "mindguard-4b": Known("swordhealth/MindGuard-4B", _MINDGUARD, safety_lines.mindguard),
        "mindguard-8b": Known("swordhealth/MindGuard-8B", _MINDGUARD, safety_lines.mindguard),
        "granite-guardian-4.1": Known(
            "ibm-granite/granite-guardian-4.1-8b",
            granite_guardian.OPTIONS,
            _with_taxonomy(granite_guardian.granite_4_1),
        ),
        "granite-guardian-3.3": Known(
            "ibm-granite/granite-guardian-3.3-8b",
            granite_guardian.OPTIONS,
            _with_taxonomy(granite_guardian.granite_3_3),
        ),
    }
)
"""Every baseline that is asked over the network, by name."""


def open_baseline(
    spec: BaselineSpec,
    rng: np.random.Generator | None = None,
    through: Callable[[Backend], Backend] | None = None,
    through_moderation: Callable[[Moderation], Moderation] | None = None,
) -> Baseline:
    """Open the baseline a spec describes. No request is sent.

    Args:
        spec: which, and how.
        rng: source of the jitter between attempts; a fresh one when not given.
        through: wraps the language model that is asked, to record or to replay.
        through_moderation: the same for a moderation endpoint.

    Raises:
        ConfigurationError: the name, an option or a value is unknown, or an address, a key or a package is missing.
    """
    known = KNOWN.get(spec.name)
    if known is None:
        return _offline(spec)
    options = settled(spec.options, known.options, spec.name)
    rng = rng if rng is not None else np.random.default_rng()
    labels = load_map(spec.name)
    if known.make is None:
        moderation = _moderation(spec, known, rng)
        moderation = through_moderation(moderation) if through_moderation is not None else moderation
        ask = openai_moderation.moderating(moderation, spec.deadline_s)
        return Detector(about(spec.name, labels), ask, moderation.aclose)
    speaks = known.make(options, spec.deadline_s, labels)
    if spec.base_url is None:
        raise ConfigurationError(
            f"baseline {spec.name} needs the address of a server that runs its model: --base-url (docs/baselines.md)"
        )
    backend = open_backend(_described(BackendSpec, spec, known), rng)
    backend = through(backend) if through is not None else backend
    return Detector(
        about(spec.name, labels, (*speaks.prompts, *identity(options))), asking(backend, speaks), backend.aclose
    )


def _offline(spec: BaselineSpec) -> Baseline:
    found = open_offline(spec.name, spec.options)
    if found is None:
        raise ConfigurationError(
            f"there is no baseline {spec.name!r}. There are: {', '.join((*KNOWN, *OFFLINE_NAMES))}"
        )
    if spec.base_url is not None or spec.model is not None:
        raise ConfigurationError(f"baseline {spec.name} runs in this process: it takes no address and no model")
    return found


def _moderation(spec: BaselineSpec, known: Known, rng: np.random.Generator) -> Moderation:
    from crisis_filter.backends.openai_moderation import OpenAIModeration  # loads what other baselines do without

    described = _described(ModerationSpec, spec, known)
    require_key(described)
    return OpenAIModeration(described, rng)


def _described(kind: type[SpecT], spec: BaselineSpec, known: Known) -> SpecT:
    """The spec of the endpoint that a baseline is asked through.

    Raises:
        ConfigurationError: a value is out of range; names the field, never the value.
    """
    fields = {
        "kind": "openai",
        "model": spec.model or known.model,
        "base_url": spec.base_url,
        "api_key": spec.api_key,
        "temperature": spec.temperature,
        "attempts": spec.attempts,
        "attempt_timeout_s": spec.attempt_timeout_s,
    }
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        # Pydantic's own words before a message of ours.
        problem = f"{'.'.join(map(str, first['loc']))}: {first['msg'].removeprefix('Value error, ')}"
    raise ConfigurationError(f"baseline {spec.name}: {problem}")
