"""From an HTTP error of a provider to our fault, without a word of the provider's message."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import Any

from crisis_filter.backends.base import Reply
from crisis_filter.backends.parse import unanswered
from crisis_filter.errors import BackendError
from crisis_filter.schema import Fault

__all__ = ["error_object", "fault_of", "names_attack", "names_danger", "retry_after"]

# Longer than this is taken for a mistake of the server's.
_LONGEST_RETRY_AFTER_S = 7 * 86400.0
_FILTER_CODES = {"content_filter", "content_policy_violation", "responsibleaipolicyviolation", "invalid_prompt"}
_QUOTA_CODES = {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "account_deactivated"}
_CONTEXT_CODES = {"context_length_exceeded", "exceed_context_size_error", "request_too_large"}
_CONTEXT_WORDS = (
    "context length",
    "context window",
    "context size",
    "maximum context",
    "prompt is too long",
    "too many tokens",
)
_AZURE_CATEGORIES = ("self_harm", "violence", "sexual", "hate")
_AZURE_SEVERITIES = ("low", "medium", "high")


def fault_of(status: int, headers: Mapping[str, str], body: object) -> BackendError | Reply[Any]:
    """What an HTTP status outside 2xx means.

    Args:
        status: the status code, 300 to 599.
        headers: of the response, names in any case.
        body: the decoded JSON body, or anything else; read for codes, never copied.

    Returns:
        A `filtered` reply when the provider's filter blocked the prompt, since that says something of the message;
        otherwise the error, not raised, so that it carries no chain of exceptions.
    """
    error = error_object(body)
    codes = _codes(error)
    result = _filter_result(error)
    if codes & _FILTER_CODES or (status < 500 and result):
        reply = unanswered("filtered", Fault.FILTER_PROMPT, _filter_detail(result))
        return replace(reply, danger=names_danger(result), attack=names_attack(result))
    wanted = _lower(headers).get("x-should-retry", "").strip().lower() != "false"
    if status == 413 or (status < 500 and (codes & _CONTEXT_CODES or _speaks_of_context(error))):
        return BackendError(Fault.CONTEXT_OVERFLOW, f"HTTP {status}", retryable=False)
    if status == 429:
        if codes & _QUOTA_CODES:
            return BackendError(Fault.MISCONFIGURED, "HTTP 429, the quota is used up", retryable=False)
        return BackendError(Fault.RATE_LIMITED, "HTTP 429", retryable=wanted, retry_after_s=retry_after(headers))
    if status in (408, 409, 425) or (status >= 500 and status != 501):
        return BackendError(Fault.SERVER_ERROR, f"HTTP {status}", retryable=wanted, retry_after_s=retry_after(headers))
    return BackendError(Fault.MISCONFIGURED, f"HTTP {status}", retryable=False)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds a server asks to wait, from `retry-after-ms` or `Retry-After` (seconds or an HTTP date).

    A date is read against the `Date` of the same response, so that no clock of ours takes part.

    Returns:
        `None` when nothing usable is said: absent, negative, not finite, a date in the past or without a `Date` beside
        it, more than seven days.
    """
    known = _lower(headers)
    milliseconds = _number(known.get("retry-after-ms"))
    said = (
        milliseconds / 1000 if milliseconds is not None else None,
        _number(known.get("retry-after")),
        _until(known.get("retry-after"), known.get("date")),
    )
    return next((s for s in said if s is not None and 0 <= s <= _LONGEST_RETRY_AFTER_S), None)


def error_object(body: object) -> Mapping[str, Any]:
    """The `error` member of a body, or the body itself when it is an object, or an empty one."""
    if not isinstance(body, Mapping):
        return {}
    inner = body.get("error")
    return inner if isinstance(inner, Mapping) else body


def _codes(error: Mapping[str, Any]) -> set[str]:
    inner = error.get("innererror")
    found = [error.get("code"), error.get("type"), inner.get("code") if isinstance(inner, Mapping) else None]
    return {code.lower() for code in found if isinstance(code, str)}


def _speaks_of_context(error: Mapping[str, Any]) -> bool:
    message = error.get("message")
    return isinstance(message, str) and any(words in message[:500].lower() for words in _CONTEXT_WORDS)


def _filter_result(error: Mapping[str, Any]) -> Mapping[str, Any]:
    """Azure's account of its filter, wherever it put it."""
    for place in (error, error.get("innererror")):
        if isinstance(place, Mapping):
            for name in ("content_filter_result", "content_filter_results"):
                result = place.get(name)
                if isinstance(result, Mapping) and result:
                    return result
    return {}


def names_danger(result: object) -> bool:
    """Whether a filter's account says that it found self-harm or violence of medium or high severity.

    Args:
        result: Azure's `content_filter_result(s)` object; anything else is `False`.
    """
    entries = [result.get(name) for name in ("self_harm", "violence")] if isinstance(result, Mapping) else []
    return any(isinstance(e, Mapping) and str(e.get("severity")).lower() in ("medium", "high") for e in entries)


def names_attack(result: object) -> bool:
    """Whether a filter's account says that the prompt holds an attack on the model.

    Args:
        result: Azure's `content_filter_result(s)` object; anything else is `False`.
    """
    entries = [result.get(name) for name in ("jailbreak", "indirect_attack")] if isinstance(result, Mapping) else []
    return any(isinstance(e, Mapping) and True in (e.get("filtered"), e.get("detected")) for e in entries)


def _filter_detail(result: Mapping[str, Any]) -> str:
    """What was blocked, in words of a closed list."""
    blocked = []
    for category in _AZURE_CATEGORIES:
        entry = result.get(category)
        if isinstance(entry, Mapping) and entry.get("filtered") is True:
            severity = entry.get("severity")
            blocked.append(f"{category} {severity}" if severity in _AZURE_SEVERITIES else category)
    return "the provider's filter blocked the prompt" + (f": {', '.join(blocked)}" if blocked else "")


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _number(value: str | None) -> float | None:
    try:
        number = float(value) if value is not None else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _until(then: str | None, now: str | None) -> float | None:
    if then is None or now is None:
        return None
    try:
        return (parsedate_to_datetime(then) - parsedate_to_datetime(now)).total_seconds()
    except (ValueError, TypeError, OverflowError):  # not dates, one of them without a zone, out of range
        return None
