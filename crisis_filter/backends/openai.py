"""Any server of the OpenAI chat protocol, Azure's included."""

from __future__ import annotations

from typing import Any

import numpy as np
import openai
from instructor.v2 import Mode, Provider, mode_registry
from pydantic import SecretStr

from crisis_filter.backends.base import AnswerT, Reply, Request
from crisis_filter.backends.completion import read_completion, reply_of
from crisis_filter.backends.dialect import Dialect, Form, prepare, rejected_feature, simpler
from crisis_filter.backends.http_faults import fault_of
from crisis_filter.backends.parse import claims_true
from crisis_filter.backends.retrying import Ask, RetryPolicy, Tally, persist
from crisis_filter.backends.silence import guard_loggers
from crisis_filter.backends.spec import BackendSpec
from crisis_filter.errors import BackendError, ConfigurationError
from crisis_filter.schema import Fault

__all__ = ["PUBLIC_BASE_URL", "OpenAIBackend"]

PUBLIC_BASE_URL = "https://api.openai.com/v1"
# Answers are a few kilobytes; log-probabilities make them a few hundred.
_LONGEST_BODY = 8 * 2**20
_LONGEST_ERROR = 2**20
# A server that is not the public one often wants no key, but the client wants some.
_NO_KEY = "none"
_LOGGERS = ("openai", "instructor")


class OpenAIBackend:
    """A chat model behind the OpenAI protocol.

    What the server does not support (JSON schemas, log-probabilities, a temperature) is found out by its own refusals and
    remembered for the life of the object.

    Args:
        spec: of kind `openai`.
        rng: source of the jitter between attempts.
    """

    def __init__(self, spec: BackendSpec, rng: np.random.Generator) -> None:
        guard_loggers(*_LOGGERS)
        # instructor loads its handlers on first use; that belongs here and not inside somebody's deadline
        for mode in (Mode.JSON_SCHEMA, Mode.JSON):
            mode_registry.get_handlers(Provider.OPENAI, mode)
        self._spec = spec
        self._rng = rng
        self._policy = RetryPolicy(attempts=spec.attempts, attempt_timeout_s=spec.attempt_timeout_s)
        self._client = _client(spec)
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

        guard_loggers(*_LOGGERS)
        return await persist(send, request, self._policy, self._rng, name=self.name)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _send(self, request: Request[AnswerT], ask: Ask, tally: Tally) -> Reply[AnswerT] | BackendError:
        """One attempt: a request, and at first the ones that find out what the server supports."""
        while True:
            dialect = self._dialect
            tally.requests += 1
            try:
                outcome = await self._post(self._body(request, ask, dialect))
            except openai.APITimeoutError:
                return BackendError(Fault.TIMEOUT, "one request took too long", retryable=True)
            except openai.APIStatusError as error:
                status, headers, body = error.status_code, error.response.headers, error.body
            except openai.APIConnectionError:
                return BackendError(Fault.BROKEN_REPLY, "the connection failed", retryable=True)
            else:
                return self._read(outcome, request, tally)
            fault = fault_of(status, headers, body)
            if isinstance(fault, Reply) or fault.fault is not Fault.MISCONFIGURED:
                return fault
            feature = rejected_feature(status, body)
            fallback = simpler(dialect, feature) if feature else None
            if fallback is None:
                return fault
            if self._dialect == dialect:  # else another call found it out meanwhile
                self._dialect = fallback

    def _body(self, request: Request[AnswerT], ask: Ask, dialect: Dialect) -> dict[str, Any]:
        system, response_format = prepare(request.answer, request.system, dialect.form)
        user = f"{request.user}\n\n{ask.reminder}" if ask.reminder else request.user
        body: dict[str, Any] = {
            "model": self._spec.model,
            "messages": [{"role": "system", "content": system}, {"role": "user", "content": user}],
            dialect.cap: ask.max_output_tokens,
        }
        if response_format is not None:
            body["response_format"] = response_format
        if dialect.temperature:
            body["temperature"] = self._spec.temperature
        if dialect.seed and self._spec.seed is not None:
            body["seed"] = self._spec.seed
        if request.label_field is not None and dialect.top_logprobs:
            body |= {"logprobs": True, "top_logprobs": dialect.top_logprobs}
        return body

    async def _post(self, body: dict[str, Any]) -> bytes | BackendError:
        async with self._client.chat.completions.with_streaming_response.create(**body) as response:
            received = bytearray()
            try:
                async for chunk in response.iter_bytes():
                    received += chunk
                    if len(received) > _LONGEST_BODY:
                        return BackendError(Fault.BROKEN_REPLY, "the body is too long", retryable=True)
            except Exception as error:  # noqa: BLE001  # the client's transport errors have no public common base
                if "Timeout" in type(error).__name__:
                    return BackendError(Fault.TIMEOUT, "one request took too long", retryable=True)
                return BackendError(Fault.BROKEN_REPLY, "the body broke off", retryable=True)
            return bytes(received)

    @staticmethod
    def _read(outcome: bytes | BackendError, request: Request[AnswerT], tally: Tally) -> Reply[AnswerT] | BackendError:
        completion = outcome if isinstance(outcome, BackendError) else read_completion(outcome)
        if isinstance(completion, BackendError):
            return completion
        tally.prompt_tokens += completion.prompt_tokens
        tally.completion_tokens += completion.completion_tokens
        reply = reply_of(completion, request)
        if reply.fault is Fault.BROKEN_REPLY and not claims_true(reply.text, request.claimed):
            return BackendError(
                Fault.BROKEN_REPLY, reply.detail, retryable=True
            )  # trouble of the server, not of the model
        return reply


def _client(spec: BackendSpec) -> openai.AsyncOpenAI:
    """The SDK's client with its own retries off, and bound to the address it was given.

    Address and key are always passed, so that the SDK looks for neither in the environment, and a redirect is not followed:
    the text goes only where the operator said.
    """
    try:
        http = openai.DefaultAsyncHttpx2Client(follow_redirects=False, event_hooks={"response": [_read_error]})
    except OSError as error:
        raise ConfigurationError(
            f"the certificates cannot be read ({type(error).__name__}): point SSL_CERT_FILE at a bundle that exists, or unset it"
        ) from None
    if spec.azure_endpoint is not None:
        return openai.AsyncAzureOpenAI(
            azure_endpoint=spec.azure_endpoint,
            azure_deployment=spec.model,
            api_version=spec.azure_api_version or "2024-10-21",
            api_key=_key(spec.api_key),
            timeout=spec.attempt_timeout_s,
            max_retries=0,
            http_client=http,
        )
    return openai.AsyncOpenAI(
        base_url=spec.base_url or PUBLIC_BASE_URL,
        api_key=_key(spec.api_key),
        timeout=spec.attempt_timeout_s,
        max_retries=0,
        http_client=http,
    )


async def _read_error(response: Any) -> None:
    """Read the body of an error before the client does, which reads it however long it is.

    Raises:
        ValueError: it is too long; the client makes a connection error of it.
    """
    if response.is_success:
        return
    received = bytearray()
    async for chunk in response.aiter_bytes():
        received += chunk
        if len(received) > _LONGEST_ERROR:
            await response.aclose()
            raise ValueError("the body of the error is too long")
    response._content = bytes(received)  # noqa: SLF001  # where a body that was read is kept; there is no public way


def _key(key: SecretStr | None) -> str:
    return key.get_secret_value() if key is not None else _NO_KEY
