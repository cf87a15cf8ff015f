"""HTTP errors and what they mean."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crisis_filter.backends.base import Reply
from crisis_filter.backends.http_faults import fault_of, names_attack, names_danger, retry_after
from crisis_filter.errors import BackendError
from crisis_filter.schema import Fault

_AZURE = {
    "code": "content_filter",
    "message": "blocked",
    "innererror": {
        "code": "ResponsibleAIPolicyViolation",
        "content_filter_result": {
            "self_harm": {"filtered": True, "severity": "high"},
            "violence": {"filtered": False, "severity": "safe"},
            "jailbreak": {"filtered": True, "detected": True},
        },
    },
}

ERRORS: list[tuple[int, dict[str, Any], Fault, bool]] = [
    (400, {"message": "bad"}, Fault.MISCONFIGURED, False),
    (400, {"code": "context_length_exceeded"}, Fault.CONTEXT_OVERFLOW, False),
    (400, {"type": "exceed_context_size_error", "n_ctx": 10}, Fault.CONTEXT_OVERFLOW, False),
    (
        400,
        {"message": "This model's maximum context length is 9 tokens; reduce max_tokens"},
        Fault.CONTEXT_OVERFLOW,
        False,
    ),
    (413, {}, Fault.CONTEXT_OVERFLOW, False),
    (401, {"code": "invalid_api_key"}, Fault.MISCONFIGURED, False),
    (402, {}, Fault.MISCONFIGURED, False),
    (403, {}, Fault.MISCONFIGURED, False),
    (404, {"code": "model_not_found"}, Fault.MISCONFIGURED, False),
    (307, {}, Fault.MISCONFIGURED, False),
    (501, {}, Fault.MISCONFIGURED, False),
    (429, {"code": "rate_limit_exceeded"}, Fault.RATE_LIMITED, True),
    (429, {"code": "insufficient_quota"}, Fault.MISCONFIGURED, False),
    (429, {"type": "insufficient_quota"}, Fault.MISCONFIGURED, False),
    (408, {}, Fault.SERVER_ERROR, True),
    (409, {}, Fault.SERVER_ERROR, True),
    (500, {"message": "context length"}, Fault.SERVER_ERROR, True),
    (502, {}, Fault.SERVER_ERROR, True),
    (529, {"type": "overloaded_error"}, Fault.SERVER_ERROR, True),
]


@pytest.mark.parametrize(("status", "error", "fault", "retryable"), ERRORS)
@pytest.mark.parametrize("wrapped", [True, False])
def test_each_status_has_its_fault(
    status: int, error: dict[str, Any], fault: Fault, *, retryable: bool, wrapped: bool
) -> None:
    """A status and its error code give one fault and say whether another try can help, in either form of the body."""
    outcome = fault_of(status, {}, {"error": error} if wrapped else error)
    assert isinstance(outcome, BackendError)
    assert (outcome.fault, outcome.retryable) == (fault, retryable)


@pytest.mark.parametrize(
    "body", [None, "<html>", [], {"error": "text"}, {"error": None}, {"code": 7, "message": ["x"]}]
)
def test_any_body_is_survived(body: object) -> None:
    """A body of any shape still gives the fault of its status."""
    outcome = fault_of(503, {}, body)
    assert isinstance(outcome, BackendError)
    assert outcome.fault is Fault.SERVER_ERROR


def test_a_blocked_prompt_is_a_reply() -> None:
    """Azure's refusal of a prompt is a filtered reply that tells which of the known categories were blocked."""
    outcome = fault_of(400, {}, {"error": _AZURE})
    assert isinstance(outcome, Reply)
    assert (outcome.finish, outcome.fault) == ("filtered", Fault.FILTER_PROMPT)
    assert outcome.detail.endswith("blocked the prompt: self_harm high")


def test_a_blocked_prompt_without_details_is_a_reply() -> None:
    """The code alone is enough."""
    outcome = fault_of(400, {}, {"error": {"code": "content_filter"}})
    assert isinstance(outcome, Reply)
    assert outcome.detail == "the provider's filter blocked the prompt"


def test_the_server_may_say_not_to_retry() -> None:
    """`x-should-retry: false` makes a server error final."""
    outcome = fault_of(500, {"X-Should-Retry": "false"}, {})
    assert isinstance(outcome, BackendError)
    assert not outcome.retryable


_NOW = "Tue, 10 Nov 2026 10:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "2"}, 2.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "x", "retry-after": "9"}, 9.0),
        ({"retry-after-ms": "-5", "retry-after": "9"}, 9.0),
        ({"Retry-After": "86400"}, 86400.0),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "NaN"}, None),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "1e300"}, None),
        ({"Retry-After": "9" * 5000}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "Tue, 10 Nov 2026 10:00:30 GMT", "Date": _NOW}, 30.0),
        ({"Retry-After": "Tue, 10 Nov 2026 09:00:00 GMT", "Date": _NOW}, None),
        ({"Retry-After": "Tue, 10 Nov 2026 10:00:30 GMT"}, None),
        ({"Retry-After": "Tue, 10 Nov 2026 10:00:30", "Date": _NOW}, None),
        ({"Retry-After": "Tue, 10 Nov 9999999 10:00:30 GMT", "Date": _NOW}, None),
    ],
)
def test_how_long_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    """Seconds, milliseconds and dates are read; what is negative, not finite, past or absurd is ignored."""
    assert retry_after(headers) == seconds


@settings(deadline=None)  # the machine may be busy
@given(st.dictionaries(st.sampled_from(["retry-after", "retry-after-ms", "date"]), st.text()))
def test_no_header_breaks_the_reader(headers: dict[str, str]) -> None:
    """Whatever the headers hold, the wait is absent or a sane number of seconds."""
    seconds = retry_after(headers)
    assert seconds is None or 0 <= seconds <= 7 * 86400


@pytest.mark.parametrize(
    ("result", "danger", "attack"),
    [
        ({"self_harm": {"filtered": True, "severity": "High"}}, True, False),
        ({"self_harm": {"filtered": True, "severity": "low"}}, False, False),
        ({"jailbreak": {"filtered": True, "detected": True}}, False, True),
        ({"indirect_attack": {"filtered": False, "detected": True}}, False, True),
        ({"jailbreak": {"filtered": False, "detected": False}, "hate": {"severity": "high"}}, False, False),
        ("high", False, False),
        ({"self_harm": "high", "jailbreak": True}, False, False),
    ],
)
def test_what_a_filters_account_says(result: object, danger: bool, attack: bool) -> None:
    """Self-harm or violence of medium severity or more, in any case of letters; an attack on the model."""
    assert (names_danger(result), names_attack(result)) == (danger, attack)


@pytest.mark.parametrize("status", [400, 403, 500, 503])
def test_a_filters_code_counts_at_any_status(status: int) -> None:
    """Proxies in front of a provider give its refusals a status of their own."""
    reply = fault_of(status, {}, {"error": {"code": "content_filter"}})
    assert isinstance(reply, Reply)
    assert reply.fault is Fault.FILTER_PROMPT


def test_a_limit_that_is_not_to_be_retried_is_not() -> None:
    """The server says so for 429 as for 5xx."""
    error = fault_of(429, {"x-should-retry": "false"}, {})
    assert isinstance(error, BackendError)
    assert (error.fault, error.retryable) == (Fault.RATE_LIMITED, False)
