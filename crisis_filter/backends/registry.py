"""From a description to an open backend, loading only the library it needs."""

from __future__ import annotations

from typing import assert_never

import numpy as np

from crisis_filter.backends.base import Backend
from crisis_filter.backends.expecting import Expecting
from crisis_filter.backends.gate import Gate
from crisis_filter.backends.spec import BackendSpec
from crisis_filter.errors import ConfigurationError

__all__ = ["open_backend", "open_fast", "require_key"]


def open_backend(spec: BackendSpec, rng: np.random.Generator | None = None) -> Backend:
    """Open the backend a spec describes. No request is sent.

    A backend that speaks HTTP keeps connections, so it belongs to one event loop.

    Args:
        spec: which, and how.
        rng: source of the jitter between attempts; a fresh one when not given.

    Raises:
        ConfigurationError: a key, a provider's package or a file is missing or wrong; the message says what to do.
    """
    backend = _open(spec, rng if rng is not None else np.random.default_rng())
    return backend if spec.model_reported is None else Expecting(backend, spec.model_reported)


def open_fast(spec: BackendSpec, rng: np.random.Generator | None = None, *, gate: Gate | None = None) -> Backend:
    """As `open_backend`, over the fast lane where a backend has one: for many messages at a small part of the cost.

    Args:
        spec: which, and how.
        rng: source of the jitter between attempts; a fresh one when not given.
        gate: asked before every HTTP request of a backend that has a fast lane, whichever lane the request takes.

    Raises:
        ConfigurationError: as `open_backend`.
    """
    backend: Backend
    drawn = rng if rng is not None else np.random.default_rng()
    if spec.kind == "openai":
        require_key(spec)
        from crisis_filter.backends.wire.client import WireBackend

        backend = WireBackend(spec, drawn, gate)
    elif spec.kind == "langchain":
        from crisis_filter.backends.wire.langchain import WireLangChainBackend

        backend = WireLangChainBackend(spec, drawn, gate)
    else:
        return open_backend(spec, drawn)
    return backend if spec.model_reported is None else Expecting(backend, spec.model_reported)


def _open(spec: BackendSpec, rng: np.random.Generator) -> Backend:
    match spec.kind:
        case "openai":
            require_key(spec)
            from crisis_filter.backends.openai import OpenAIBackend

            return OpenAIBackend(spec, rng)
        case "langchain":
            from crisis_filter.backends.langchain import LangChainBackend

            return LangChainBackend(spec, rng)
        case "scripted":
            from crisis_filter.backends.scripted import Scripted

            return Scripted.read(spec.path or "")
        case "recorded":
            from crisis_filter.backends.recorded import Recorded

            return Recorded(spec.path or "")
        case _:
            assert_never(spec.kind)


def require_key(spec: BackendSpec) -> None:
    """See that an endpoint that wants a key has one.

    Raises:
        ConfigurationError: it has none; names the variable to set.
    """
    if spec.api_key is not None and spec.api_key.get_secret_value():
        return
    if spec.azure_endpoint is not None:
        raise ConfigurationError("the Azure endpoint needs a key: set AZURE_OPENAI_API_KEY")
    if spec.base_url is None:
        raise ConfigurationError(
            "the public OpenAI endpoint needs a key: set OPENAI_API_KEY, or give the address of another server"
        )
