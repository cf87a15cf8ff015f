"""Reading what a LangChain chat model gave back: its raw message, or its exception."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel

from crisis_filter.backends.base import AnswerT, Reply, Request
from crisis_filter.backends.completion import written_in
from crisis_filter.backends.http_faults import fault_of
from crisis_filter.backends.parse import all_written, parse_answer, server_model, stated, unanswered
from crisis_filter.backends.window import whole
from crisis_filter.errors import BackendError
from crisis_filter.schema import Fault

__all__ = ["Usage", "outcome_of_error", "reply_of_message"]

# Providers name the end of an answer differently; compared in lower case.
_FILTERED = {"content_filter", "content_filtered", "safety", "prohibited_content", "blocklist", "recitation", "spii",
             "guardrail_intervened", "error_toxic"}  # fmt: skip
_REFUSED = {"refusal"}
_TRUNCATED = {"length", "max_tokens", "max_output_tokens", "model_length", "model_context_window_exceeded"}
_COMPLETE = {"stop", "end_turn", "tool_use", "tool_calls", "stop_sequence", "complete", "completed", "eos"}
_END_KEYS = ("finish_reason", "stop_reason", "stopReason", "done_reason")
# Where content blocks that are no text keep what the model wrote.
_WRITTEN_KEYS = ("thinking", "reasoning", "reasoning_content", "input", "arguments", "partial_json")
_TRANSPORT = {"APIConnectionError", "ConnectError", "ConnectionError", "ReadError", "RemoteProtocolError", "WriteError",
              "ClientConnectionError", "EndpointConnectionError", "ServerDisconnectedError"}  # fmt: skip
# The integration met a body of a shape it didn't expect: HTML, an error object with status 200, no choices.
_UNREADABLE = (ValueError, TypeError, AttributeError, LookupError)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one request; zero where the provider does not say."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


def reply_of_message(raw: object, request: Request[AnswerT]) -> tuple[Reply[AnswerT], Usage]:
    """What an `AIMessage` says, checked in the same order as a completion, and what it cost."""
    metadata = _mapping(raw, "response_metadata")
    model = metadata.get("model_name") or metadata.get("model")
    usage = _mapping(raw, "usage_metadata")
    used = Usage(_count(usage.get("input_tokens")), _count(usage.get("output_tokens")))
    reply = replace(_judge(raw, metadata, request), model=server_model(model))
    return whole(reply, request, used.prompt_tokens), used


def outcome_of_error(error: Exception) -> Reply[Any] | BackendError:
    """What a provider's exception means, by its classes and HTTP status and without its words."""
    names = {cls.__name__ for cls in type(error).__mro__}
    if "LengthFinishReasonError" in names:
        text = _completion_text(getattr(error, "completion", None))
        return unanswered("truncated", Fault.TRUNCATED, "the output limit was reached", text=text)
    if "ContentFilterFinishReasonError" in names:
        return unanswered("filtered", Fault.FILTER_FINISH, "the provider's filter cut the answer")
    if "ContextOverflowError" in names:
        return BackendError(Fault.CONTEXT_OVERFLOW, "the prompt is too long", retryable=False)
    status = _status(error)
    if status is not None and 300 <= status < 600:
        response = getattr(error, "response", None)
        headers = getattr(response, "headers", None)
        known = {str(k): str(v) for k, v in headers.items()} if isinstance(headers, Mapping) else {}
        return fault_of(status, known, getattr(error, "body", None))
    if any("Timeout" in name for name in names):
        return BackendError(Fault.TIMEOUT, "one request took too long", retryable=True)
    if "ModelConnectionError" in names or names & _TRANSPORT:
        return BackendError(Fault.BROKEN_REPLY, "the connection failed", retryable=True)
    if isinstance(error, _UNREADABLE):
        return BackendError(Fault.BROKEN_REPLY, "the reply could not be read", retryable=True)
    return BackendError(Fault.INTERNAL, f"unexpected {type(error).__name__}", retryable=False)


def _judge(raw: object, metadata: Mapping[str, Any], request: Request[AnswerT]) -> Reply[AnswerT]:
    text, blocks = _text(raw)
    calls = _calls(raw)
    ends = _ends(metadata)
    extra = _mapping(raw, "additional_kwargs")
    written = all_written(text, *calls, *_other_blocks(raw), written_in([{"message": extra}]))
    unparsed = extra.get("function_call") or (extra.get("tool_calls") and not calls)
    if ends & _FILTERED:
        return unanswered("filtered", Fault.FILTER_FINISH, "the provider's filter cut the answer", text=written)
    if extra.get("refusal") or ends & _REFUSED or "refusal" in blocks:
        return unanswered("refused", Fault.REFUSAL_FIELD, "the model refused", text=written)
    if ends & _TRUNCATED:
        return unanswered("truncated", Fault.TRUNCATED, "the output limit was reached", text=written)
    if not text and not calls:
        return unanswered("malformed", Fault.EMPTY_REPLY, "the message holds no answer", text=written)
    if unparsed or len(calls) > 1 or (calls and text and _differ(text, calls[0], request.claimed)):
        return unanswered("malformed", Fault.BAD_JSON, "more than one answer", text=written)
    if request.plain and calls:
        return unanswered("malformed", Fault.EMPTY_REPLY, "a tool call instead of an answer", text=written)
    if not ends or not ends <= _COMPLETE:
        return unanswered("malformed", Fault.BROKEN_REPLY, "the answer did not end of itself", text=written)
    reply = parse_answer(calls[0] if calls else text, request)
    return reply if reply.answer is not None else replace(reply, text=written)


def _differ(prose: str, call: str, field: str | None) -> bool:
    """Whether the prose beside a call may hold another verdict than the call."""
    return "{" in prose or not stated(prose, field) <= stated(call, field)


def _ends(metadata: Mapping[str, Any]) -> set[str]:
    found = {metadata.get(key) for key in _END_KEYS}
    if not any(found):  # OpenAI's Responses API
        details = metadata.get("incomplete_details")
        found = {details.get("reason") if isinstance(details, Mapping) else metadata.get("status")}
    return {end.lower() for end in found if isinstance(end, str)}


def _text(raw: object) -> tuple[str | None, set[str]]:
    """The text of a message, and the types of its other blocks."""
    content = getattr(raw, "content", None)
    if isinstance(content, str):
        return content or None, set()
    blocks = [block for block in content if isinstance(block, Mapping)] if isinstance(content, list) else []
    texts = [text for block in content if (text := _block_text(block))] if isinstance(content, list) else []
    return "".join(texts) or None, {str(block.get("type")) for block in blocks}


def _block_text(block: object) -> str | None:
    """The text of a block, which may be text itself."""
    if isinstance(block, str):
        return block
    if (
        isinstance(block, Mapping)
        and block.get("type") in ("text", "output_text")
        and isinstance(block.get("text"), str)
    ):
        return str(block["text"])
    return None


def _other_blocks(raw: object) -> Iterator[object]:
    """What the blocks of a message hold that are no text: reasoning, and calls that may not have been parsed."""
    content = getattr(raw, "content", None)
    for block in content if isinstance(content, list) else []:
        if isinstance(block, Mapping):
            yield from (block.get(key) for key in _WRITTEN_KEYS)


def _calls(raw: object) -> list[str]:
    """The arguments of all tool calls as JSON text, those that LangChain could not parse included."""
    valid = [call.get("args") for call in getattr(raw, "tool_calls", None) or []]
    invalid = [call.get("args") for call in getattr(raw, "invalid_tool_calls", None) or []]
    return [
        args if isinstance(args, str) else json.dumps(args, ensure_ascii=False) for args in [*valid, *invalid] if args
    ]


def _status(error: Exception) -> int | None:
    """The HTTP status, wherever the provider's exception keeps it."""
    response = getattr(error, "response", None)
    botocore = response.get("ResponseMetadata", {}).get("HTTPStatusCode") if isinstance(response, Mapping) else None
    candidates = (
        getattr(error, "status_code", None),
        botocore,
        getattr(error, "code", None),
        getattr(error, "http_status", None),
    )
    return next((c for c in candidates if isinstance(c, int) and not isinstance(c, bool)), None)


def _completion_text(completion: object) -> str | None:
    choices = getattr(completion, "choices", None) or ()
    return written_in([choice.model_dump(warnings=False) for choice in choices if isinstance(choice, BaseModel)])


def _mapping(raw: object, name: str) -> Mapping[str, Any]:
    value = getattr(raw, name, None)
    return value if isinstance(value, Mapping) else {}


def _count(value: object) -> int:
    return value if isinstance(value, int) and value >= 0 else 0
