"""The fast lane of the OpenAI protocol: the same requests, replies and faults as `OpenAIBackend`, at a small part of its cost."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable
from typing import Any

import numpy as np
import openai

from crisis_filter.backends.base import AnswerT, Reply, Request
from crisis_filter.backends.client import LOGGERS, Refused
from crisis_filter.backends.dialect import Dialect
from crisis_filter.backends.gate import Gate
from crisis_filter.backends.openai import OpenAIBackend
from crisis_filter.backends.retrying import Ask, Tally, persist
from crisis_filter.backends.silence import guard_loggers
from crisis_filter.backends.spec import BackendSpec
from crisis_filter.backends.window import characters
from crisis_filter.backends.wire.capture import Build, building, road_of
from crisis_filter.backends.wire.lane import Lane, went
from crisis_filter.errors import BackendError

__all__ = ["WireBackend"]


class WireBackend(OpenAIBackend):
    """A chat model behind the OpenAI protocol, asked over the fast lane.

    The first request of each shape (system part, answer model, output limit, what the server was found to support) is built by the SDK
    and recorded; the others are that request with another text in it. What the recording cannot stand for goes the ordinary way, through the
    SDK: a client behind a proxy, turns and fields beside the usual, a raw prompt, a text that JSON cannot hold. Proxies and certificates are
    those that the SDK's client uses; redirects are not followed in either lane.

    Args:
        spec: of kind `openai`.
        rng: source of the jitter between attempts.
        gate: asked before every HTTP request, in both lanes; `None` lets everything through.
    """

    def __init__(self, spec: BackendSpec, rng: np.random.Generator, gate: Gate | None = None) -> None:
        super().__init__(spec, rng)
        road = road_of(self._client)
        self._lane = Lane(road, gate)

    async def complete(self, request: Request[AnswerT]) -> Reply[AnswerT]:
        """Answer one request; see `Backend.complete`."""

        async def send(ask: Ask, tally: Tally) -> Reply[AnswerT] | BackendError:
            return await self._send(request, ask, tally)

        return await persist(send, request, self._policy, self._rng, name=self.name, timed=False)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._lane.aclose()
        await super().aclose()

    async def _exchange(
        self, request: Request[AnswerT], ask: Ask, dialect: Dialect, tally: Tally
    ) -> bytes | Refused | BackendError:
        if self._lane.there and not (request.raw or request.turns or request.extra):
            scored = request.label_field is not None or request.choice is not None
            shape = (request.system, request.answer, scored, ask.max_output_tokens, dialect)
            prepared = self._lane.known(shape) or await self._lane.learn(
                shape, lambda: self._building(request, ask, dialect), ask.until
            )
            if prepared is not None:
                user = f"{request.user}\n\n{ask.reminder}" if ask.reminder else request.user
                outcome = await self._lane.send(prepared, user, ask.until, ask.max_output_tokens, tally)
                if outcome is not None:
                    return outcome
        return await self._ordinarily(request, ask, dialect, tally)

    async def _ordinarily(
        self, request: Request[AnswerT], ask: Ask, dialect: Dialect, tally: Tally
    ) -> bytes | Refused | BackendError:
        """The same request through the SDK."""
        guard_loggers(*LOGGERS)
        exchange = super()._exchange
        return await self._lane.through(
            lambda: exchange(request, ask, dialect, tally), ask.until, characters(request), ask.max_output_tokens, went
        )

    def _building(self, request: Request[Any], ask: Ask, dialect: Dialect) -> Build | None:
        """How the SDK makes requests of this shape."""
        guard_loggers(*LOGGERS)
        plain = dataclasses.replace(ask, reminder=None)

        def call(client: openai.AsyncOpenAI, text: str) -> Awaitable[object]:
            return self._post(client, self._body(dataclasses.replace(request, user=text), plain, dialect), raw=False)

        return building(self._client, call)
