"""Any server of the OpenAI chat protocol, Azure's included."""

from __future__ import annotations

from typing import Any

import numpy as np
import openai
from instructor.v2 import Mode, Provider, mode_registry

from crisis_filter.backends.base import AnswerT, Reply, Request
from crisis_filter.backends.client import LOGGERS, Refused, body_of, open_client
from crisis_filter.backends.completion import read_completion, reply_of
from crisis_filter.backends.dialect import Dialect, Form, prepare, rejected_feature, simpler
from crisis_filter.backends.http_faults import fault_of
from crisis_filter.backends.parse import claims
from crisis_filter.backends.retrying import Ask, RetryPolicy, Tally, persist
from crisis_filter.backends.silence import guard_loggers
from crisis_filter.backends.spec import BackendSpec
from crisis_filter.errors import BackendError
from crisis_filter.schema import Fault

__all__ = ["OpenAIBackend"]


class OpenAIBackend:
    """A chat model behind the OpenAI protocol.

    What the server does not support (JSON schemas, log-probabilities, a temperature) is found out by its own refusals and
    remembered for the life of the object.

    Args:
        spec: of kind `openai`.
        rng: source of the jitter between attempts.
    """

    def __init__(self, spec: BackendSpec, rng: np.random.Generator) -> None:
        guard_loggers(*LOGGERS)
        # instructor loads its handlers on first use; that belongs here and not inside somebody's deadline
        for mode in (Mode.JSON_SCHEMA, Mode.JSON):
            mode_registry.get_handlers(Provider.OPENAI, mode)
        self._spec = spec
        self._rng = rng
        self._policy = RetryPolicy(attempts=spec.attempts, attempt_timeout_s=spec.attempt_timeout_s)
        self._client = open_client(spec)
        ours = spec.azure_endpoint is None and spec.base_url is not None
        self._dialect = Dialect(cap="max_tokens" if ours else "max_completion_tokens")

    @property
    def name(self) -> str:
        """`openai:MODEL`."""
        return self._spec.name

    @property
    def form(self) -> Form:
        """How answers are asked to take their shape by now; the server's own refusals make it simpler."""
        return self._dialect.form

    async def complete(self, request: Request[AnswerT]) -> Reply[AnswerT]:
        """Answer one request; see `Backend.complete`."""

        async def send(ask: Ask, tally: Tally) -> Reply[AnswerT] | BackendError:
            return await self._send(request, ask, tally)

        guard_loggers(*LOGGERS)
        return await persist(send, request, self._policy, self._rng, name=self.name)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _send(self, request: Request[AnswerT], ask: Ask, tally: Tally) -> Reply[AnswerT] | BackendError:
        """One attempt: a request, and at first the ones that find out what the server supports."""
        while True:
            dialect = self._dialect
            outcome = await self._exchange(request, ask, dialect, tally)
            if not isinstance(outcome, Refused):
                return self._read(outcome, request, tally)
            fault = fault_of(outcome.status, outcome.headers, outcome.body)
            if isinstance(fault, Reply) or fault.fault is not Fault.MISCONFIGURED:
                return fault
            feature = rejected_feature(outcome.status, outcome.body)
            fallback = simpler(dialect, feature) if feature else None
            if fallback is None:
                return fault
            if self._dialect == dialect:  # else another call found it out meanwhile
                self._dialect = fallback

    async def _exchange(
        self, request: Request[AnswerT], ask: Ask, dialect: Dialect, tally: Tally
    ) -> bytes | Refused | BackendError:
        """One HTTP request and its response, counted; returns the body of a 2xx."""
        tally.requests += 1
        try:
            return await self._post(self._client, self._body(request, ask, dialect), raw=request.raw)
        except openai.APITimeoutError:
            return BackendError(Fault.TIMEOUT, "one request took too long", retryable=True)
        except openai.APIStatusError as error:
            return Refused(error.status_code, error.response.headers, error.body)
        except openai.APIConnectionError:
            return BackendError(Fault.BROKEN_REPLY, "the connection failed", retryable=True)

    def _body(self, request: Request[AnswerT], ask: Ask, dialect: Dialect) -> dict[str, Any]:
        body = {"model": self._spec.model, **_prompt(request, ask, dialect)}
        if dialect.temperature:
            body["temperature"] = self._spec.temperature
        if dialect.seed and self._spec.seed is not None:
            body["seed"] = self._spec.seed
        scored = request.label_field is not None or request.choice is not None
        if scored and dialect.top_logprobs:
            body |= {"logprobs": dialect.top_logprobs} if request.raw else _alternatives(dialect.top_logprobs)
        if request.extra:
            body["extra_body"] = dict(request.extra)
        return body

    @staticmethod
    async def _post(client: openai.AsyncOpenAI, body: dict[str, Any], *, raw: bool) -> bytes | BackendError:
        road = client.completions if raw else client.chat.completions
        async with road.with_streaming_response.create(**body) as response:
            return await body_of(response)

    @staticmethod
    def _read(outcome: bytes | BackendError, request: Request[AnswerT], tally: Tally) -> Reply[AnswerT] | BackendError:
        completion = outcome if isinstance(outcome, BackendError) else read_completion(outcome, raw=request.raw)
        if isinstance(completion, BackendError):
            return completion
        tally.prompt_tokens += completion.prompt_tokens
        tally.completion_tokens += completion.completion_tokens
        reply = reply_of(completion, request)
        if reply.fault is Fault.BROKEN_REPLY and not claims(reply.text, request):
            return BackendError(
                Fault.BROKEN_REPLY, reply.detail, retryable=True
            )  # trouble of the server, not of the model
        return reply


def _prompt(request: Request[AnswerT], ask: Ask, dialect: Dialect) -> dict[str, Any]:
    """What is sent of a request itself, and how much may come back."""
    user = f"{request.user}\n\n{ask.reminder}" if ask.reminder else request.user
    if request.raw:
        return {"prompt": user, "max_tokens": ask.max_output_tokens}
    system, response_format = prepare(request.answer, request.system, dialect.form)
    messages = [{"role": "system", "content": system}] if system else []
    messages += [{"role": turn.role, "content": turn.content} for turn in request.turns]
    found: dict[str, Any] = {
        "messages": [*messages, {"role": "user", "content": user}],
        dialect.cap: ask.max_output_tokens,
    }
    return found if response_format is None else {**found, "response_format": response_format}


def _alternatives(count: int) -> dict[str, Any]:
    return {"logprobs": True, "top_logprobs": count}
