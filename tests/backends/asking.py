"""What the tests of backends ask, and for what answer."""

from __future__ import annotations

import json
from typing import Annotated, Any, cast

import numpy as np
from langchain_openai import ChatOpenAI
from langchain_openai.chat_models._client_utils import _cached_async_httpx_client
from pydantic import BaseModel, ConfigDict, Field

from crisis_filter.backends.base import Request
from crisis_filter.backends.langchain import LangChainBackend
from crisis_filter.backends.openai import OpenAIBackend
from crisis_filter.backends.spec import BackendSpec, parse_backend
from crisis_filter.taxonomy.answers import ScreenTerse

NONCE = "c0ffee"


class Verdict(BaseModel):
    """A small answer model of the kind the stages use."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    nonce: str
    reasoning: Annotated[str, Field(repr=False)]
    crisis: bool
    confidence: Annotated[float, Field(ge=0.0, le=1.0, strict=False)]


def asking(user: str = "message", **changes: Any) -> Request[Verdict]:
    """A request for a `Verdict`."""
    settings: dict[str, Any] = {"nonce": NONCE, "deadline_s": 10.0, "max_output_tokens": 64, "purpose": "screen"}
    nonce = changes.get("nonce", NONCE)
    return Request(system="Judge the message.", user=f"<{nonce}> {user}", answer=Verdict, **{**settings, **changes})


def small(user: str = "I feel fine today.", **changes: Any) -> Request[ScreenTerse]:
    """A request that a tiny model answers quickly."""
    settings: dict[str, Any] = {"nonce": NONCE, "deadline_s": 60.0, "max_output_tokens": 40, "purpose": "screen"}
    system = 'Answer with the nonce and whether the message shows a crisis: {"nonce": "...", "crisis": false}'
    return Request(
        system=system, user=f"Nonce: {NONCE}. Message: {user}", answer=ScreenTerse, **{**settings, **changes}
    )


def verdict(**changes: Any) -> str:
    """A valid answer as JSON text."""
    return json.dumps({"nonce": NONCE, "reasoning": "calm", "crisis": False, "confidence": 0.5, **changes})


class Lane:
    """Which backends are opened; the fixture `lane` runs a test over both."""

    openai: type[OpenAIBackend] = OpenAIBackend
    langchain: type[LangChainBackend] = LangChainBackend


def open_spec(spec: BackendSpec) -> OpenAIBackend:
    """The backend of a description, on the lane that is tested."""
    return Lane.openai(spec, np.random.default_rng(0))


def open_openai(url: str, **settings: object) -> OpenAIBackend:
    """The backend for a server on the loopback."""
    return open_spec(parse_backend("openai:fault-1", base_url=url, **settings))


async def close_langchain(backend: LangChainBackend) -> None:
    """Close it, and the connections that LangChain keeps in a cache, where nobody closes them before the event loop is closed."""
    await cast("ChatOpenAI", backend._model(64)).root_async_client.close()
    _cached_async_httpx_client.cache_clear()
    await backend.aclose()
