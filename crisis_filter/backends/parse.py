"""The strict reader of answers, shared by every backend.

An answer is one JSON object and nothing else but white space. Nothing is repaired: a code fence, a second object, a
repeated key, a NaN or a comma too many makes the reply `malformed`, and what is not complete and valid is no answer.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from pydantic import ValidationError

from crisis_filter.backends.base import AnswerT, Finish, Reply, Request
from crisis_filter.schema import Fault

__all__ = [
    "Unread",
    "all_written",
    "claims",
    "claims_true",
    "load_object",
    "parse_answer",
    "read_answer",
    "server_model",
    "stated",
    "unanswered",
]

_LONGEST_MODEL = 200
# What models put around a name or a value: quotes of every kind, escaped as often as may be, and Markdown's asterisks.
_MARKS = r"""[\s\\"'`*\u2018-\u201e\u00ab\u00bb]*"""
# A number that goes on is none of them: `10`, and the hotline in "in a crisis: 1-800".
_YES, _NO = r"true|yes|1(?:\.0+)?(?![-., ]?\d)", r"false|no|0"
_ESCAPE = re.compile(r"(?<!\\)\\++(?:u([0-9a-fA-F]{4})|[nrt])")


def unanswered(
    finish: Finish, fault: Fault, detail: str, *, text: str | None = None, model: str | None = None
) -> Reply[Any]:
    """A reply that holds no answer."""
    return Reply(finish=finish, fault=fault, detail=detail, text=text, model=model)


def parse_answer(text: str | None, request: Request[AnswerT]) -> Reply[AnswerT]:
    """Read what a model wrote.

    Args:
        text: the answer as sent; `None` when there was none.
        request: gives the answer model and the nonce to find.

    Returns:
        `answered` only for one JSON object that validates strictly and echoes the nonce. Otherwise `malformed` with
        `EMPTY_REPLY`, `BAD_JSON` or `SCHEMA`, `refused` with `REFUSAL_PROSE` when the text holds no `{` at all, or
        `mismatched` with `NONCE_MISMATCH` when the nonce is wrong or is all that is missing. `text` is kept as sent.
        Where a plain text is asked for, any text that is not blank is the answer.
    """
    read = read_answer(text, request)
    if isinstance(read, Unread):
        return unanswered(read.finish, read.fault, read.detail, text=text)
    return Reply(finish="answered", answer=read, text=text)


@dataclass(frozen=True, slots=True)
class Unread:
    """Why a text is no answer."""

    finish: Finish
    fault: Fault
    detail: str


def read_answer(text: str | None, request: Request[AnswerT]) -> AnswerT | Unread:
    """The answer in what a model wrote, or why there is none; as `parse_answer`, without the reply around it."""
    if text is None or not text.strip():
        return Unread("malformed", Fault.EMPTY_REPLY, "the answer is empty")
    if request.plain:
        return request.answer.model_validate({"text": text})
    if "{" not in text:
        return Unread("refused", Fault.REFUSAL_PROSE, "the answer is prose without an object")
    if load_object(text) is None:
        return Unread("malformed", Fault.BAD_JSON, "the answer is not one JSON object")
    try:
        answer = request.answer.model_validate_json(text, strict=True)
    except ValidationError as error:
        places = [e["loc"] for e in error.errors(include_input=False, include_context=False, include_url=False)]
        if all(place == ("nonce",) for place in places):
            return Unread("mismatched", Fault.NONCE_MISMATCH, "the answer holds no nonce")
        return Unread("malformed", Fault.SCHEMA, f"{len(places)} fields do not fit the answer model")
    if getattr(answer, "nonce", None) != request.nonce:
        return Unread("mismatched", Fault.NONCE_MISMATCH, "the answer echoes another nonce")
    return answer


def load_object(text: str) -> dict[str, Any] | None:
    """The text as one JSON object with distinct keys and finite numbers, or `None` when it is anything else."""
    try:
        value = _STRICT.decode(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def claims_true(text: str | None, field: str | None) -> bool:
    """Whether `"field": true` stands anywhere in the text: in a whole object, a nested, a repeated, a cut or a misspelt one.

    Any quotes do or none, escaped ones too, and any case; `1` and `yes` count as `true`; `=` and `>` count as the colon.
    Nothing is repaired by this, since it can only raise: a faulty answer that says `true` counts as a positive, and is not
    asked for again, because a second answer must not be able to take it back.
    """
    return True in stated(text, field)


def claims(text: str | None, request: Request[Any]) -> bool:
    """Whether what a model wrote, in whatever shape, says a positive to this request: by its boolean, or by its choice of words."""
    return claims_true(text, request.claimed) or (request.choice is not None and request.choice.claims(text))


def stated(text: str | None, field: str | None) -> frozenset[bool]:
    """The values that a text gives a boolean anywhere, read as leniently as `claims_true` does; empty when it gives none."""
    if not text or not field:
        return frozenset()
    pair = re.compile(
        rf"(?<!\w){re.escape(field)}{_MARKS}[:=>\uff1a]+{_MARKS}(?:({_YES})|(?:{_NO}))(?!\w)", re.IGNORECASE
    )
    unescaped = _ESCAPE.sub(lambda escape: chr(int(escape[1], 16)) if escape[1] else " ", text)
    return frozenset(pair_found[1] is not None for view in (text, unescaped) for pair_found in pair.finditer(view))


def all_written(*parts: object) -> str | None:
    """All that a model wrote, in whatever fields, as the `text` of a reply that holds no answer.

    Args:
        parts: texts as they are; objects and lists, which become JSON; anything else is left out.

    Returns:
        One part a line, or `None` for nothing.
    """
    kept = (json.dumps(p, ensure_ascii=False, default=str) if isinstance(p, Mapping | list) else p for p in parts if p)
    return "\n".join(part for part in kept if isinstance(part, str)) or None


def server_model(name: object) -> str | None:
    """The model that a server names, fit for any output: at most 200 characters, U+FFFD for each that cannot be printed."""
    if not isinstance(name, str):
        return None
    name = name[:_LONGEST_MODEL]
    return name if name.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in name)


def _distinct(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    for key, value in pairs:
        if key in seen:
            raise ValueError("repeated key")
        seen[key] = value
    return seen


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError("number out of range")
    return value


# Making one takes longer than reading an answer with it.
_STRICT = json.JSONDecoder(object_pairs_hook=_distinct, parse_constant=_no_constant, parse_float=_finite)
