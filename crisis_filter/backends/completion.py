"""Reading a body of the OpenAI chat protocol: from bytes to a reply, one check after the other."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict

from pydantic_core import from_json

from crisis_filter.backends.base import AnswerT, Reply, Request
from crisis_filter.backends.http_faults import names_attack, names_danger
from crisis_filter.backends.logprobs import probability_at, probability_true
from crisis_filter.backends.parse import Unread, all_written, read_answer, server_model
from crisis_filter.backends.window import whole
from crisis_filter.errors import BackendError
from crisis_filter.schema import Fault

__all__ = ["Completion", "read_completion", "reply_of", "written_in"]


@dataclass(frozen=True, slots=True)
class Completion:
    """The parts of a chat completion that matter here, as received."""

    choices: tuple[Mapping[str, Any], ...] = field(repr=False)
    filtered: tuple[object, ...] = field(default=(), repr=False)
    """What a provider's filter says of the prompt and of each choice, whether or not it blocked anything; nothing where it says nothing."""
    model: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0


def read_completion(body: bytes, *, raw: bool = False) -> Completion | BackendError:
    """The envelope of a body that came with HTTP 200.

    Args:
        body: as received.
        raw: whether a raw prompt was completed: the choices hold `text` in the place of a message.

    Returns:
        `BROKEN_REPLY`, retryable, for anything that is no chat completion: HTML, an error object, a body that was cut.
    """
    try:
        whole = _loaded(body)
    except (ValueError, RecursionError):
        return BackendError(Fault.BROKEN_REPLY, "the body is not JSON", retryable=True)
    if not isinstance(whole, dict) or whole.get("error") or not isinstance(whole.get("choices"), list):
        return BackendError(Fault.BROKEN_REPLY, "the body is no chat completion", retryable=True)
    choices = tuple([_as_chat(c) if raw else c for c in whole["choices"] if isinstance(c, dict)])
    accounts = [c.get("content_filter_results") for c in choices]
    usage = whole.get("usage")
    return Completion(
        choices=choices,
        filtered=tuple([a for a in (*_accounts(whole.get("prompt_filter_results")), *accounts) if a]),
        model=server_model(whole.get("model")),
        prompt_tokens=_count(usage, "prompt_tokens"),
        completion_tokens=_count(usage, "completion_tokens"),
    )


def _loaded(body: bytes) -> Any:
    """As `json.loads`; what the faster reader does not take, such as half of a surrogate pair, is left to that."""
    try:
        return from_json(body)
    except ValueError:
        return json.loads(body)


def reply_of(completion: Completion, request: Request[AnswerT]) -> Reply[AnswerT]:
    """What a completion says, checked in this order: filter, refusal, length, shape, how it ended, the answer itself."""
    content = _only_text(completion.choices)
    answer = None if content is None else read_answer(content, request)
    noted = _Noted(
        model=completion.model,
        danger=any(map(names_danger, completion.filtered)),
        attack=any(map(names_attack, completion.filtered)),
        prompt_tokens=completion.prompt_tokens,
        completion_tokens=completion.completion_tokens,
    )
    if content is None or answer is None or isinstance(answer, Unread):
        why = answer if isinstance(answer, Unread) else _fault(completion)
        text = written_in(completion.choices)
        return Reply(finish=why.finish, fault=why.fault, detail=why.detail, text=text, **noted)
    score = _score(content, completion.choices[0], request)
    reply = Reply(finish="answered", answer=answer, text=content, score=score, **noted)
    return whole(reply, request, completion.prompt_tokens)


class _Noted(TypedDict):
    model: str | None
    danger: bool
    attack: bool
    prompt_tokens: int
    completion_tokens: int


def _only_text(choices: Sequence[Mapping[str, Any]]) -> str | None:
    """The text of a completion that ended of itself and holds one text and nothing else; `None` for every other."""
    if len(choices) != 1 or choices[0].get("finish_reason") != "stop":
        return None
    message = _message(choices[0])
    if message.get("refusal") or message.get("tool_calls") or message.get("function_call"):
        return None
    content = message.get("content")
    return content if isinstance(content, str) and content else None


def _fault(completion: Completion) -> Unread:
    """What keeps a completion without one text that ended of itself from holding an answer."""
    ends = [choice.get("finish_reason") for choice in completion.choices]
    messages = [_message(choice) for choice in completion.choices]
    if "content_filter" in ends:
        return Unread("filtered", Fault.FILTER_FINISH, "the provider's filter cut the answer")
    if any(message.get("refusal") for message in messages):
        return Unread("refused", Fault.REFUSAL_FIELD, "the model refused")
    if "length" in ends:
        return Unread("truncated", Fault.TRUNCATED, "the output limit was reached")
    if not any(_text(message) for message in messages):
        return Unread("malformed", Fault.EMPTY_REPLY, "no choice holds text")
    if len(messages) > 1:
        return Unread("malformed", Fault.BAD_JSON, "more than one choice")
    if messages[0].get("tool_calls") or messages[0].get("function_call"):
        return Unread("malformed", Fault.EMPTY_REPLY, "a tool call instead of an answer")
    if not isinstance(messages[0].get("content"), str):
        return Unread("malformed", Fault.EMPTY_REPLY, "the content is not text")
    return Unread("malformed", Fault.BROKEN_REPLY, "the answer did not end of itself")


def _score(content: str, choice: Mapping[str, Any], request: Request[Any]) -> float | None:
    logprobs = choice.get("logprobs")
    tokens = logprobs.get("content") if isinstance(logprobs, Mapping) else None
    if not tokens:
        return None
    if request.label_field is not None:
        return probability_true(tokens, content, request.label_field)
    if request.choice is not None:
        return probability_at(tokens, content, request.choice.place(content), request.choice.yes, request.choice.no)
    return None


def _as_chat(choice: Mapping[str, Any]) -> Mapping[str, Any]:
    """A choice of a completed raw prompt in the shape of a chat's, its log-probabilities too."""
    return {**choice, "message": {"content": choice.get("text")}, "logprobs": _as_content(choice.get("logprobs"))}


def _as_content(logprobs: object) -> object:
    """The older shape of log-probabilities, lists side by side, as a list of tokens; what has another shape as it is."""
    if not isinstance(logprobs, Mapping) or "tokens" not in logprobs:
        return logprobs
    columns = [logprobs.get(name) for name in ("tokens", "token_logprobs", "top_logprobs")]
    tokens, values, tops = (column if isinstance(column, list) else [] for column in columns)
    if not len(tokens) == len(values) == len(tops):
        return None
    return {
        "content": [
            {"token": token, "logprob": value, "top_logprobs": _alternatives(top)}
            for token, value, top in zip(tokens, values, tops, strict=True)
        ]
    }


def _alternatives(top: object) -> Sequence[Mapping[str, Any]]:
    return [{"token": token, "logprob": value} for token, value in top.items()] if isinstance(top, Mapping) else []


def written_in(choices: Iterable[Mapping[str, Any]]) -> str | None:
    """All that the model wrote in these choices, so that a positive is kept wherever it stands; `None` for nothing."""
    messages = [_message(choice) for choice in choices]
    thoughts = ("reasoning_content", "reasoning")
    return all_written(
        *(_text(message) for message in messages),
        *(arguments for message in messages for arguments in _arguments(message)),
        *(message.get(name) for message in messages for name in thoughts),
    )


def _message(choice: Mapping[str, Any]) -> Mapping[str, Any]:
    message = choice.get("message")
    return message if isinstance(message, Mapping) else {}


def _text(message: Mapping[str, Any]) -> str | None:
    """The text of a message; parts of a list are joined so that a positive in them is kept."""
    content = message.get("content")
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, Mapping)]
        return "\n".join(part for part in parts if isinstance(part, str)) or None
    return content if isinstance(content, str) and content else None


def _arguments(message: Mapping[str, Any]) -> Iterator[object]:
    """The arguments of all tool calls as they came; servers send them as text, some as an object."""
    calls = message.get("tool_calls")
    parts = [(call.get("function"), call.get("custom")) for call in _mappings(calls)]
    for function in _mappings([message.get("function_call"), *(part for pair in parts for part in pair)]):
        yield function.get("arguments")
        yield function.get("input")


def _mappings(values: object) -> list[Mapping[str, Any]]:
    return [value for value in values if isinstance(value, Mapping)] if isinstance(values, list) else []


def _accounts(results: object) -> list[object]:
    """Of Azure's list of results by prompt, the results."""
    return [entry.get("content_filter_results") for entry in _mappings(results)]


def _count(usage: object, name: str) -> int:
    value = usage.get(name) if isinstance(usage, Mapping) else None
    return value if isinstance(value, int) and value >= 0 else 0
