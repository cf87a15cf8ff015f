"""A configured filter with fault servers in the place of its endpoints."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import SecretStr

from crisis_filter.backends.spec import BackendSpec
from crisis_filter.pipeline.description import LOCAL, FilterSpec

MODEL = "drill"
_KEY = SecretStr("drill")


def prompted_links(spec: FilterSpec) -> int:
    """How many language models a filter asks; two for one that has none, since a drill needs somebody to fail."""
    if spec.backend == LOCAL:
        return 2
    return 1 + sum(1 for link in spec.fallbacks or () if isinstance(link, BackendSpec))


def replaced(spec: FilterSpec, urls: Sequence[str], deadline_s: float) -> FilterSpec:
    """The filter with each language model replaced by the OpenAI protocol at an address.

    What the operator said of retries, time-outs, prompts, policy, taxonomy and engine stays; so does the embedded engine as the last
    link where there was one. Every address is held to its model's name.

    Args:
        spec: the configured filter.
        urls: as many as `prompted_links(spec)`.
        deadline_s: for one message, in place of the configured one.
    """
    local = spec.backend == LOCAL
    others = [link for link in spec.fallbacks or () if isinstance(link, BackendSpec)] if not local else []
    patterns = others or [BackendSpec(kind="openai", model=MODEL)] * (len(urls) - 1)
    fallbacks: list[BackendSpec | str] = [
        BackendSpec(
            kind="openai",
            model=MODEL,
            base_url=url,
            api_key=_KEY,
            temperature=link.temperature,
            seed=link.seed,
            attempts=link.attempts,
            attempt_timeout_s=link.attempt_timeout_s,
            model_reported=MODEL,
        )
        for link, url in zip(patterns, urls[1:], strict=True)
    ]
    # A filter without named fallbacks has the engine behind it by default.
    if local or spec.fallbacks is None or LOCAL in spec.fallbacks:
        fallbacks.append(LOCAL)
    return spec.model_copy(
        update={
            "backend": f"openai:{MODEL}",
            "base_url": urls[0],
            "api_key": _KEY,
            "azure_endpoint": None,
            "azure_api_version": None,
            "model_reported": MODEL,
            "fallbacks": tuple(fallbacks),
            "deadline_s": deadline_s,
        }
    )
