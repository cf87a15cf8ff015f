"""What the tests of backends ask, and for what answer."""

from __future__ import annotations

import json
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from crisis_filter.backends.base import Request
from crisis_filter.backends.openai import OpenAIBackend
from crisis_filter.backends.spec import parse_backend
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


def open_openai(url: str, **settings: object) -> OpenAIBackend:
    """The backend for a server on the loopback."""
    return OpenAIBackend(parse_backend("openai:fault-1", base_url=url, **settings), np.random.default_rng(0))
