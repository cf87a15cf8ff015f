"""Fuzzing the readers of answers: any bytes a server may send, and the pieces that answers are made of.

The oracle is a second reader, written without the first: it says when one text is one whole, valid answer to the request. The
strict reader may answer only then, and a whole object that says `true` for the label is never lost.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from crisis_filter.backends.base import Reply, Request
from crisis_filter.backends.completion import Completion, read_completion, reply_of
from crisis_filter.backends.parse import claims_true, parse_answer
from crisis_filter.errors import BackendError
from crisis_filter.taxonomy.answers import ScreenReasoned, ScreenTerse

NONCE = "c0ffee"
SUBJECTS = {"self", "other", "both", "unclear"}
TIMEFRAMES = {"past", "recent", "current", "future", "unclear"}
REQUESTS: tuple[Request[Any], ...] = tuple(
    Request(system="Judge.", user=f"<{NONCE}> m", answer=model, nonce=NONCE, label_field="crisis", claim="crisis")
    for model in (ScreenTerse, ScreenReasoned)
)
PIECES = (
    '{"nonce": "c0ffee", ',
    '"crisis": true',
    '"crisis": false',
    "}",
    "{",
    ", ",
    '"nonce": "c0ffee"',
    '"nonce": "other"',
    '"reasoning": "calm", ',
    '"quotes": [], ',
    '"quotes": ["x"], ',
    '"subject": "self", ',
    '"timeframe": "past", ',
    '"confidence": 0.5',
    '"confidence": 1.7',
    '"confidence": NaN',
    '"confidence": 1e999',
    '"confidence": 1',
    "```json\n",
    "\n```",
    "<think>",
    "</think>",
    "\ufeff",
    " ",
    "\n",
    "[",
    "]",
    '"',
    "\\",
    "'",
    ":",
    "true",
    "false",
    "null",
    '{"nonce": "c0ffee", "crisis": true}',
    '{"nonce": "c0ffee", "crisis": false}',
    '"cris\\u0069s": ',
    '"Crisis": "yes"',
    "crisis",
    "=",
    "\u201ccrisis\u201d: ",
    '"note": 1',
    '"a": {',
    "\ud83d",
    "\x00",
    "\u2028",
    "0",
    "1",
    "-",
    "9" * 40,
    "\\n",
    "\\u0074",
    '{"nonce": "c0ffee", "reasoning": "r", "quotes": [], "subject": "self", "timeframe": "current", "crisis": ',
    '"confidence": -0.0',
    "9" * 400,
    "\t",
    "\r\n",
    "**Crisis:** yes",
    "I cannot help with that.",
    "/* */",
    "\U0001f642",
    "\\ud800",
)
"""Picked by single bytes, so that a whole answer is a few bytes away from any other."""
LOST = "a whole object says true and nobody hears it"
ENDS = ("stop", "length", "content_filter", "tool_calls", None, "gave_up", 0, ["stop"])
EXTRAS: tuple[dict[str, Any], ...] = (
    {},
    {"refusal": "no"},
    {"refusal": ""},
    {"tool_calls": [{"function": {"arguments": '{"crisis": true}'}}]},
    {"tool_calls": []},
    {"function_call": {"arguments": {"crisis": True}}},
    {"reasoning_content": '{"crisis": true}'},
    {"reasoning": ["crisis", {"crisis": True}]},
)


def one(data: bytes) -> None:
    """Read one input. The first byte says how the rest is meant.

    Raises:
        AssertionError: a law of the readers is broken.
    """
    if not data:
        return
    how, rest = data[0], data[1:]
    request = REQUESTS[how & 1]
    match (how >> 1) & 3:
        case 0:
            check_text(rest.decode("utf-8", "surrogateescape"), request)
        case 1:
            check_text("".join(PIECES[byte % len(PIECES)] for byte in rest[:24]), request)
        case 2:
            check_body(rest, request)
        case _:
            check_body(envelope(rest), request)


def check_text(text: str, request: Request[Any]) -> None:
    """The laws of `parse_answer` and `claims_true` for one text."""
    reply = parse_answer(text, request)
    assert reply.text == text
    valid = valid_answer(text, request)
    check_answered(reply, valid)
    # No over-strictness either, where both readers agree on what a string is.
    if valid and text.isascii() and "\\" not in text:
        assert reply.answer is not None, "a plain, valid answer was refused"
    assert claims_true(text, "crisis") or True not in whole_values(text), LOST


def check_body(body: bytes, request: Request[Any]) -> None:
    """The laws of `read_completion` and `reply_of` for one body."""
    completion = read_completion(body)
    if isinstance(completion, BackendError):
        assert completion.retryable
        return
    reply = reply_of(completion, request)
    check_answered(reply, valid_answer(the_content(completion), request))
    if reply.answer is None and any(True in whole_values(text) for text in said(completion)):
        assert claims_true(reply.text, "crisis"), LOST
    assert reply.score is None or 0.0 <= reply.score <= 1.0
    assert completion.prompt_tokens >= 0
    assert completion.completion_tokens >= 0


def check_answered(reply: Reply[Any], valid: dict[str, Any] | None) -> None:
    """`answered` needs the second reader's consent, and both read the same label."""
    if reply.finish != "answered":
        assert reply.answer is None
        assert reply.fault is not None
        return
    assert isinstance(valid, dict), "answered without a whole, valid answer"
    assert reply.answer is not None
    assert reply.answer.crisis is valid["crisis"]


def the_content(completion: Completion) -> str:
    """The text of the one choice, where it ended of itself and holds nothing else; else nothing."""
    if len(completion.choices) != 1 or completion.choices[0].get("finish_reason") != "stop":
        return ""
    message = completion.choices[0].get("message")
    if not isinstance(message, dict) or any(message.get(name) for name in ("refusal", "tool_calls", "function_call")):
        return ""
    content = message.get("content")
    return content if isinstance(content, str) else ""


def said(completion: Completion) -> Iterator[str]:
    """Every text of every message: contents, their parts, arguments of tools, thoughts."""
    for choice in completion.choices:
        message = choice.get("message")
        if isinstance(message, dict):
            content = message.get("content")
            yield from texts_in([content] if isinstance(content, str) else parts_of(content))
            calls = [call.get("function") for call in dicts(message.get("tool_calls"))]
            yield from texts_in(call.get("arguments") for call in dicts([*calls, message.get("function_call")]))
            yield from texts_in([message.get("reasoning_content"), message.get("reasoning")])


def parts_of(content: object) -> list[object]:
    """The texts of a content that came in parts."""
    return [part.get("text") for part in dicts(content) if isinstance(part.get("text"), str)]


def dicts(values: object) -> list[dict[str, Any]]:
    """The objects of a list."""
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


def texts_in(values: Iterable[object]) -> Iterator[str]:
    """Texts as they are, objects and lists as JSON."""
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict | list):
            yield json.dumps(value)


class Pairs(list[tuple[str, Any]]):
    """An object as its pairs, repeated keys kept."""


def decoded(text: str) -> Any:
    """The text as JSON with objects as `Pairs`, or `None`."""
    try:
        return json.loads(text, object_pairs_hook=Pairs)
    except (ValueError, RecursionError):
        return None


def whole_values(text: str) -> set[bool]:
    """The booleans that `crisis` has anywhere in a text that is one JSON object, repeated keys included."""
    value = decoded(text) if "crisis" in text or "\\u" in text else None
    found: set[bool] = set()
    waiting: list[Any] = [value] if isinstance(value, Pairs) else []
    while waiting:
        part = waiting.pop()
        if isinstance(part, Pairs):
            found |= {inner for key, inner in part if key == "crisis" and isinstance(inner, bool)}
            waiting += [inner for _, inner in part]
        elif isinstance(part, list):
            waiting += part
    return found


def valid_answer(text: str, request: Request[Any]) -> dict[str, Any] | None:
    """The answer as a dictionary, when it is one by the letter of the schema; written without the readers."""
    pairs = decoded(text)
    if not isinstance(pairs, Pairs) or not text.strip(" \t\r\n").startswith("{"):
        return None
    answer = dict(pairs)
    fields = {"nonce", "crisis"}
    if request.answer is ScreenReasoned:
        fields |= {"reasoning", "quotes", "subject", "timeframe", "confidence"}
        confidence = answer.get("confidence")
        quotes = answer.get("quotes")
        if (
            type(confidence) not in (int, float)
            or not 0 <= confidence <= 1
            or type(quotes) is not list
            or not all(type(quote) is str for quote in quotes)
            or type(answer.get("reasoning")) is not str
            or not among(answer.get("subject"), SUBJECTS)
            or not among(answer.get("timeframe"), TIMEFRAMES)
        ):
            return None
    fits = len(pairs) == len(fields) and set(answer) == fields
    return answer if fits and answer["nonce"] == NONCE and type(answer["crisis"]) is bool else None


def among(value: object, words: set[str]) -> bool:
    """Whether a value is one of some words."""
    return isinstance(value, str) and value in words


def envelope(rest: bytes) -> bytes:
    """A chat completion whose parts are picked by bytes and whose content is made of pieces."""
    if len(rest) < 4:
        return rest
    end, extra, shape, tail = rest[0], rest[1], rest[2], rest[3:]
    content: Any = "".join(PIECES[byte % len(PIECES)] for byte in tail[:24])
    choice: dict[str, Any] = {
        "finish_reason": ENDS[end % len(ENDS)] if end >= 128 else "stop",
        "message": {"content": content, **EXTRAS[extra % len(EXTRAS) if extra >= 128 else 0]},
    }
    if shape & 1:
        choice["logprobs"] = {"content": tokens(content, tail)}
    if shape & 2:
        choice["message"]["content"] = [{"type": "text", "text": content}, content, None]
    choices: list[Any] = [choice, choice] if shape & 4 else [choice]
    if shape & 8:
        choices.append({"message": None})
    usage = {"prompt_tokens": tail[0] - 4, "completion_tokens": True} if shape & 16 else None
    return json.dumps({"choices": choices, "model": tail.decode("latin-1"), "usage": usage}).encode()


def tokens(content: str, tail: bytes) -> list[dict[str, Any]]:
    """Log-probabilities for a content cut into tokens of a few letters."""
    logprobs: tuple[Any, ...] = (-0.1, -3, 0, -(10**400), None, "x", float("-inf"), 0.0005)
    width = 1 + tail[-1] % 7
    stray = [{"token": "\ud83d", "logprob": 0}] if tail[-1] & 128 else []
    return stray + [
        {
            "token": content[at : at + width],
            "logprob": logprobs[tail[at % len(tail)] % len(logprobs)],
            "top_logprobs": [{"token": "true", "logprob": logprobs[tail[-1] % len(logprobs)]}, 7],
        }
        for at in range(0, len(content), width)
    ]
