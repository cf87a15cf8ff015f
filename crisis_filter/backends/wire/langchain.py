"""The fast lane of LangChain's models that ride on the OpenAI protocol: the requests that LangChain makes, at a small part of its cost."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from langsmith import tracing_context

from crisis_filter.backends.base import AnswerT, Reply, Request
from crisis_filter.backends.client import Refused
from crisis_filter.backends.completion import read_completion, reply_of
from crisis_filter.backends.gate import Gate
from crisis_filter.backends.http_faults import fault_of
from crisis_filter.backends.langchain import Failed, LangChainBackend, Method, messages_of
from crisis_filter.backends.retrying import Ask, Tally, persist
from crisis_filter.backends.silence import guard_loggers
from crisis_filter.backends.spec import BackendSpec
from crisis_filter.backends.window import characters
from crisis_filter.backends.wire.capture import Build, building, road_of
from crisis_filter.backends.wire.lane import Lane, Went
from crisis_filter.errors import BackendError
from crisis_filter.schema import Fault

__all__ = ["WireLangChainBackend"]

_ON_THE_PROTOCOL = ("openai", "azure_openai")
_FAILED = (Fault.SERVER_ERROR, Fault.TIMEOUT, Fault.BROKEN_REPLY)


class WireLangChainBackend(LangChainBackend):
    """A LangChain chat model of `langchain-openai`, asked over the fast lane; any other as `LangChainBackend` does.

    Replies are read as the OpenAI protocol's, which is as strict and hears a provider's filter besides. What is asked for by a tool call goes the
    ordinary way.

    Args:
        spec: of kind `langchain`.
        rng: source of the jitter between attempts.
        gate: asked before every HTTP request, in both lanes; `None` lets everything through.

    Raises:
        ConfigurationError: as `LangChainBackend`.
    """

    def __init__(self, spec: BackendSpec, rng: np.random.Generator, gate: Gate | None = None) -> None:
        super().__init__(spec, rng)
        root = getattr(self._model(1024), "root_async_client", None) if self._provider in _ON_THE_PROTOCOL else None
        self._lane = Lane(road_of(root) if root is not None else None, gate)

    async def complete(self, request: Request[AnswerT]) -> Reply[AnswerT]:
        """Answer one request; see `Backend.complete`. The score is always `None`."""

        async def send(ask: Ask, tally: Tally) -> Reply[AnswerT] | BackendError:
            return await self._send(request, ask, tally)

        return await persist(send, request, self._policy, self._rng, name=self.name, timed=False)

    async def aclose(self) -> None:
        """Close the fast lane's connections and drop the models."""
        await self._lane.aclose()
        await super().aclose()

    async def _ask(
        self, request: Request[AnswerT], ask: Ask, method: Method, tally: Tally
    ) -> Reply[AnswerT] | BackendError | Failed | None:
        if self._lane.there and method != "default" and not request.turns:
            shape = (request.system, request.answer, ask.max_output_tokens, method, self._dropped)
            prepared = self._lane.known(shape) or await self._lane.learn(
                shape, lambda: self._building(request, ask, method), ask.until
            )
            if prepared is not None:
                user = f"{request.user}\n\n{ask.reminder}" if ask.reminder else request.user
                outcome = await self._lane.send(prepared, user, ask.until, ask.max_output_tokens, tally)
                if outcome is not None:
                    return _read(outcome, request, tally)
        return await self._ordinarily(request, ask, method, tally)

    async def _ordinarily(
        self, request: Request[AnswerT], ask: Ask, method: Method, tally: Tally
    ) -> Reply[AnswerT] | BackendError | Failed | None:
        """The same request through LangChain."""
        guard_loggers(*self._loggers)
        before, asked = tally.prompt_tokens + tally.completion_tokens, super()._ask

        def told(came: Reply[AnswerT] | BackendError | Failed | None) -> Went:
            if isinstance(came, Failed) and isinstance(came.outcome, BackendError):
                fault, wait = came.outcome.fault, came.outcome.retry_after_s
                throttled = fault is Fault.RATE_LIMITED
                return Went(throttled=throttled, retry_after_s=wait, failed=fault in _FAILED)
            return Went(tokens=(tally.prompt_tokens + tally.completion_tokens - before) or None)

        return await self._lane.through(
            lambda: asked(request, ask, method, tally), ask.until, characters(request), ask.max_output_tokens, told
        )

    def _building(self, request: Request[Any], ask: Ask, method: Method) -> Build | None:
        """How LangChain makes requests of this shape."""
        guard_loggers(*self._loggers)
        plain = dataclasses.replace(ask, reminder=None)

        async def call(model: Any, text: str) -> None:
            runnable = self._runnable(model, request, method)
            with tracing_context(enabled=False):
                messages = messages_of(dataclasses.replace(request, user=text), plain, method)
                await runnable.ainvoke(messages, config={"callbacks": []})

        return building(self._model(ask.max_output_tokens), call)


def _read(
    outcome: bytes | Refused | BackendError, request: Request[AnswerT], tally: Tally
) -> Reply[AnswerT] | BackendError | Failed:
    if isinstance(outcome, BackendError):
        return outcome
    if isinstance(outcome, Refused):
        return Failed(fault_of(outcome.status, outcome.headers, outcome.body), outcome.status, outcome.body)
    completion = read_completion(outcome)
    if isinstance(completion, BackendError):
        return completion
    tally.prompt_tokens += completion.prompt_tokens
    tally.completion_tokens += completion.completion_tokens
    reply = reply_of(completion, request)
    return reply if reply.score is None else dataclasses.replace(reply, score=None)
