"""Any chat model that LangChain knows, through `init_chat_model` and `with_structured_output`.

`with_structured_output` only shapes the request. What it parsed is never looked at: the raw message is read by the same
strict reader as everywhere. It is given the JSON schema and not the answer model, because with a model class some providers
validate inside the call and raise exceptions that carry the answer. One gap remains: a provider that answers by tool call
hands over arguments it has parsed itself, so a repeated key in them cannot be seen.

LangSmith tracing and inherited callbacks are off for our calls whatever the environment or the host says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

import numpy as np
from langchain.chat_models import BaseChatModel, init_chat_model
from langsmith import tracing_context
from pydantic import BaseModel

from crisis_filter.backends.base import AnswerT, Reply, Request
from crisis_filter.backends.chat_message import outcome_of_error, reply_of_message
from crisis_filter.backends.dialect import prepare, rejected_feature, strict_schema
from crisis_filter.backends.http_faults import error_object
from crisis_filter.backends.retrying import Ask, RetryPolicy, Tally, persist
from crisis_filter.backends.silence import guard_loggers
from crisis_filter.backends.spec import BackendSpec
from crisis_filter.errors import BackendError, ConfigurationError
from crisis_filter.schema import Fault

__all__ = ["Failed", "LangChainBackend", "Method", "messages_of"]

Method = Literal["json_schema", "default", "plain"]
"""How the shape is asked for: by JSON schema, in the provider's default way (often a tool call), by the prompt alone."""
_NEXT: dict[Method, Method] = {"json_schema": "default", "default": "plain"}
_ROLES = {"user": "human", "assistant": "ai"}
# Packages that the integrations log through; some of them log whole requests at DEBUG.
_LOGGERS = (
    "anthropic", "boto3", "botocore", "cohere", "fireworks", "google", "google_genai", "groq", "huggingface_hub", "instructor",
    "langchain", "langchain_core", "langsmith", "mistralai", "ollama", "openai", "together", "urllib3",
)  # fmt: skip
# What integrations call the same thing, best name first.
_SETTING_NAMES = {
    "cap": ("max_tokens", "max_output_tokens", "num_predict"),
    "timeout": ("timeout", "request_timeout", "default_request_timeout"),
    "max_retries": ("max_retries",),
    "temperature": ("temperature",),
    "seed": ("seed",),
}


class LangChainBackend:
    """A chat model of any provider whose LangChain package is installed.

    Args:
        spec: of kind `langchain`, with `PROVIDER:MODEL` as its model.
        rng: source of the jitter between attempts.

    Raises:
        ConfigurationError: the provider is unknown, its package is not installed, or it lacks a key or setting.
    """

    def __init__(self, spec: BackendSpec, rng: np.random.Generator) -> None:
        provider, _, self._model_name = spec.model.partition(":")
        self._loggers = (*_LOGGERS, f"langchain_{provider}")
        guard_loggers(*self._loggers)
        self._provider = provider
        self._spec = spec
        self._rng = rng
        self._policy = RetryPolicy(attempts=spec.attempts, attempt_timeout_s=spec.attempt_timeout_s)
        self._method: Method = "json_schema"
        self._dropped: frozenset[str] = frozenset()
        self._models: dict[tuple[int, frozenset[str]], BaseChatModel] = {}
        self._fields = self._known_fields()

    @property
    def name(self) -> str:
        """`langchain:PROVIDER:MODEL`."""
        return self._spec.name

    async def complete(self, request: Request[AnswerT]) -> Reply[AnswerT]:
        """Answer one request; see `Backend.complete`. The score is always `None`."""

        async def send(ask: Ask, tally: Tally) -> Reply[AnswerT] | BackendError:
            return await self._send(request, ask, tally)

        guard_loggers(*self._loggers)
        return await persist(send, request, self._policy, self._rng, name=self.name)

    async def aclose(self) -> None:
        """Drop the models; LangChain has no way to close their connections."""
        self._models.clear()

    async def _send(self, request: Request[AnswerT], ask: Ask, tally: Tally) -> Reply[AnswerT] | BackendError:
        if request.raw or request.extra:
            return BackendError(Fault.MISCONFIGURED, "only the openai backend sends this request", retryable=False)
        while True:
            method: Method = "plain" if request.plain else self._method
            dropped = self._dropped
            came = await self._ask(request, ask, method, tally)
            if came is None:
                self._method = _NEXT[method]
            elif isinstance(came, Reply | BackendError):
                return came
            elif (
                isinstance(came.outcome, Reply)
                or came.outcome.fault is not Fault.MISCONFIGURED
                or not self._step_down(came.status, came.body, method, dropped)
            ):
                return came.outcome

    async def _ask(
        self, request: Request[AnswerT], ask: Ask, method: Method, tally: Tally
    ) -> Reply[AnswerT] | BackendError | Failed | None:
        """One request and what came of it, counted; `None` where this model does not know the method."""
        runnable = self._runnable(self._model(ask.max_output_tokens), request, method)
        if runnable is None:
            return None
        tally.requests += 1
        try:
            with tracing_context(enabled=False):
                # an empty list, or the callbacks of a chain that the host runs us in would be inherited
                result = await runnable.ainvoke(messages_of(request, ask, method), config={"callbacks": []})
        except Exception as error:  # noqa: BLE001  # providers' exceptions have no common base
            status, body = getattr(error, "status_code", None), getattr(error, "body", None)
            return Failed(outcome_of_error(error), status, body)
        raw = result.get("raw") if isinstance(result, dict) else result
        reply, used = reply_of_message(raw, request)
        tally.prompt_tokens += used.prompt_tokens
        tally.completion_tokens += used.completion_tokens
        return reply

    def _step_down(self, status: object, body: object, method: Method, dropped: frozenset[str]) -> bool:
        """Give up what the server refused; false when it refused nothing that can be given up."""
        feature = rejected_feature(status, body) if isinstance(status, int) else None
        # a refused tool call names no response format
        tools = (
            isinstance(status, int) and status in (400, 422, 501) and "tool" in str(error_object(body))[:500].lower()
        )
        if feature in ("temperature", "seed") and feature not in dropped:
            self._dropped = self._dropped | {feature}
        elif (feature == "response_format" or tools) and method in _NEXT:
            if self._method == method:  # else another call found it out meanwhile
                self._method = _NEXT[method]
        else:
            return False
        return True

    def _runnable(self, model: BaseChatModel, request: Request[Any], method: Method) -> Any:
        """What to invoke, or `None` when this model does not know the method."""
        if method == "plain":
            return model
        answer: type[BaseModel] = request.answer
        schema = {"title": answer.__name__, "description": "The answer.", **strict_schema(answer)}
        options: dict[str, Any] = {"method": "json_schema"} if method == "json_schema" else {}
        if self._provider in ("openai", "azure_openai"):
            options["strict"] = True
        try:
            return model.with_structured_output(schema, include_raw=True, **options)
        except (ValueError, TypeError, NotImplementedError):
            return None

    def _model(self, cap: int) -> BaseChatModel:
        """The model with an output limit; made once for each limit in use."""
        key = (cap, self._dropped)
        if key not in self._models:
            wanted: dict[str, Any] = {
                "cap": cap,
                "timeout": self._spec.attempt_timeout_s,
                "max_retries": 0,
                "temperature": self._spec.temperature,
                "seed": self._spec.seed,
            }
            settings = {}
            for setting, value in wanted.items():
                name = next((n for n in _SETTING_NAMES[setting] if n in self._fields), None)
                if name is not None and value is not None and setting not in self._dropped:
                    settings[name] = value
            self._models[key] = init_chat_model(
                self._model_name, model_provider=self._provider, **settings, **self._address()
            )
        return self._models[key]

    def _address(self) -> dict[str, Any]:
        """Where to, and with which key; what is not given is left to the provider's package."""
        spec = self._spec
        found: dict[str, Any] = {}
        if spec.base_url is not None:
            found["base_url"] = spec.base_url
            if self._provider == "openai":
                found["api_key"] = "none"
        if spec.azure_endpoint is not None:
            found["azure_endpoint"] = spec.azure_endpoint
        if spec.azure_api_version is not None:
            found["api_version"] = spec.azure_api_version
        if spec.api_key is not None:
            found["api_key"] = spec.api_key.get_secret_value()
        return found

    def _known_fields(self) -> frozenset[str]:
        """Names of the settings that the provider's class takes; opening it once shows that it can be opened."""
        try:
            model = init_chat_model(self._model_name, model_provider=self._provider, **self._address())
        except ImportError as error:
            named = re.search(r"requires the ([\w-]+) package", str(error))
            package = named.group(1) if named else f"langchain-{self._provider}"
            problem = f"needs the package {package}: pip install {package}"
        except Exception as error:  # noqa: BLE001  # a missing key shows differently in each provider's class
            if "Unsupported provider" in str(error):
                problem = "is unknown; langchain.chat_models.init_chat_model documents the known ones"
            else:
                problem = f"cannot be opened ({type(error).__name__}): check its key and settings"
        else:
            if self._heeds_the_address(model):
                fields = type(model).model_fields
                return frozenset(fields) | {f.alias for f in fields.values() if f.alias}
            problem = "does not go to the address given as --base-url: its messages would go elsewhere"
        raise ConfigurationError(f"langchain provider {self._provider!r} {problem}")

    def _heeds_the_address(self, model: BaseChatModel) -> bool:
        """Whether a client that is OpenAI's underneath goes where it was told to; some makers' classes take the address and go to their own.

        Of any other client it cannot be seen.
        """
        goes = getattr(getattr(model, "root_async_client", None), "base_url", None)
        if self._spec.base_url is None or goes is None:
            return True
        return _host(self._spec.base_url) == _host(str(goes))


def _host(address: str) -> tuple[str | None, int | None]:
    parts = urlsplit(address)
    return parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


@dataclass(frozen=True, slots=True)
class Failed:
    """What came in the place of a message."""

    outcome: Reply[Any] | BackendError
    status: object
    """The HTTP status, where it was one."""
    body: object = field(repr=False)


def messages_of(request: Request[AnswerT], ask: Ask, method: Method) -> list[tuple[str, str]]:
    """What is sent, as pairs of role and text."""
    system = prepare(request.answer, request.system, "plain")[0] if method == "plain" else request.system
    user = f"{request.user}\n\n{ask.reminder}" if ask.reminder else request.user
    turns = [(_ROLES[turn.role], turn.content) for turn in request.turns]
    return [*([("system", system)] if system else []), *turns, ("human", user)]
