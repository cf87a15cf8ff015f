"""Behaviours of the connection and of the HTTP response around the answer."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping
from email.utils import formatdate

from crisis_filter.drill.behaviour import Behaviour, Says
from crisis_filter.drill.http import Act, Response
from crisis_filter.drill.scene import Scene, answered, completion, failed
from crisis_filter.schema import Fault

_TEN_MEGABYTES = 10_000_000
# What a port that speaks TLS says to somebody who does not: an alert, fatal, handshake failure.
_TLS_ALERT = bytes((21, 3, 3, 0, 2, 2, 40))


def _sent(name: str, summary: str, act: Act, fault: Fault, *, lasts: bool = False) -> Behaviour:
    """The healthy answer, sent in a way that keeps it from arriving whole."""
    return Behaviour(
        name, "transport", summary, fault, lambda s: Response(completion(s, s.words()), act=act), lasts=lasts
    )


TRANSPORT_FAULTS: tuple[Behaviour, ...] = (
    _sent(
        "connect_refused",
        "the connection is reset and the port refuses connections for a while",
        "refuse",
        Fault.BROKEN_REPLY,
    ),
    _sent("closed", "the connection ends without a byte of an answer", "close", Fault.BROKEN_REPLY),
    Behaviour(
        "tls_alert",
        "transport",
        "a TLS alert instead of HTTP, as from a port that wants TLS",
        Fault.BROKEN_REPLY,
        lambda _: Response(_TLS_ALERT, act="garbage"),
    ),
    _sent("hang", "nothing comes, ever", "hang", Fault.TIMEOUT, lasts=True),
    _sent("hang_body", "the headers come and nothing after them", "hang_body", Fault.TIMEOUT, lasts=True),
    _sent("drip", "the body comes one byte at a time", "drip", Fault.TIMEOUT, lasts=True),
    _sent("reset", "a TCP reset in the middle of the body", "reset", Fault.BROKEN_REPLY),
    _sent("cut", "the body ends one byte short of its content-length", "cut", Fault.BROKEN_REPLY),
    _sent("unfinished_chunks", "a chunked body without its last chunk", "unfinished_chunks", Fault.BROKEN_REPLY),
)


def _status(
    status: int,
    fault: Fault,
    summary: str,
    *,
    name: str = "",
    code: str | None = None,
    headers: Callable[[Scene], Mapping[str, str]] | None = None,
    elsewhere: bool = True,
    kind: str = "server_error",
) -> Behaviour:
    """An HTTP error in the protocol's own form."""

    def respond(scene: Scene) -> Response:
        more = headers(scene) if headers is not None else {}
        return failed(status, f"The drill says HTTP {status}.", code=code, kind=kind, headers=more)

    return Behaviour(name or f"http_{status}", "http", summary, fault, respond, recoverable_elsewhere=elsewhere)


def _limited(name: str, summary: str, headers: Callable[[Scene], Mapping[str, str]]) -> Behaviour:
    return _status(
        429, Fault.RATE_LIMITED, summary, name=name, code="rate_limit_exceeded", kind="requests", headers=headers
    )


def _dated(scene: Scene) -> Mapping[str, str]:
    return {"date": formatdate(scene.now, usegmt=True), "retry-after": formatdate(scene.now + 2, usegmt=True)}


_STATUSES = (
    _limited("http_429", "HTTP 429 without a word on when to come back", lambda _: {}),
    _limited("http_429_seconds", "HTTP 429, Retry-After: 2", lambda _: {"retry-after": "2"}),
    _limited("http_429_a_day", "HTTP 429, Retry-After: 86400", lambda _: {"retry-after": "86400"}),
    _limited("http_429_date", "HTTP 429, Retry-After: a date two seconds away", _dated),
    _limited("http_429_negative", "HTTP 429, Retry-After: -5", lambda _: {"retry-after": "-5"}),
    _limited("http_429_nan", "HTTP 429, Retry-After: NaN", lambda _: {"retry-after": "NaN"}),
    _limited("http_429_milliseconds", "HTTP 429, retry-after-ms: 50", lambda _: {"retry-after-ms": "50"}),
    _status(
        429,
        Fault.MISCONFIGURED,
        "HTTP 429, the quota is used up: waiting does not help",
        name="http_429_quota",
        code="insufficient_quota",
        kind="insufficient_quota",
    ),
    *(
        _status(status, Fault.SERVER_ERROR, f"HTTP {status}, {words}")
        for status, words in (
            (408, "the server gave up waiting for the request"),
            (409, "the request conflicts with another one"),
            (500, "a fault inside the server"),
            (502, "a proxy got a bad answer"),
            (503, "not available now"),
            (504, "a proxy got no answer in time"),
        )
    ),
    *(
        _status(status, Fault.MISCONFIGURED, f"HTTP {status}, {words}", kind="invalid_request_error")
        for status, words in (
            (401, "the key is not valid, or no longer"),
            (403, "the key may not do this"),
            (404, "no such model or deployment"),
        )
    ),
    _status(
        400,
        Fault.CONTEXT_OVERFLOW,
        "HTTP 400, the prompt exceeds the model's window",
        name="context_length_exceeded",
        code="context_length_exceeded",
        kind="invalid_request_error",
        elsewhere=False,
    ),
)


def _azure(*, self_harm: str, jailbreak: bool) -> Response:
    """The body with which Azure says that its filter blocked the prompt."""
    result: dict[str, object] = {
        name: {"filtered": False, "severity": "safe"} for name in ("hate", "self_harm", "sexual", "violence")
    }
    if self_harm != "safe":
        result["self_harm"] = {"filtered": True, "severity": self_harm}
    result["jailbreak"] = {"filtered": jailbreak, "detected": jailbreak}
    error = {
        "message": "The prompt was blocked by the content filter of the drill.",
        "type": None,
        "param": "prompt",
        "code": "content_filter",
        "status": 400,
        "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": result},
    }
    return Response(json.dumps({"error": error}).encode(), 400)


_FILTERS = (
    Behaviour(
        "filter_prompt",
        "http",
        "HTTP 400: Azure's filter blocked the prompt, self_harm high",
        Fault.FILTER_PROMPT,
        lambda _: _azure(self_harm="high", jailbreak=False),
    ),
    Behaviour(
        "filter_jailbreak",
        "http",
        "HTTP 400: Azure's filter blocked the prompt as a jailbreak, every other category safe",
        Fault.FILTER_PROMPT,
        lambda _: _azure(self_harm="safe", jailbreak=True),
    ),
)


def _bomb(scene: Scene) -> Response:
    body = completion(scene, scene.words()) + b" " * _TEN_MEGABYTES
    return Response(gzip.compress(body, 1), headers=(("content-encoding", "gzip"),))


def _plain(scene: Scene) -> Response:
    return Response(completion(scene, scene.words()), content_type="text/plain; charset=utf-8")


def _fixed(name: str, summary: str, body: bytes, content_type: str = "application/json") -> Behaviour:
    return Behaviour(name, "http", summary, Fault.BROKEN_REPLY, lambda _: Response(body, content_type=content_type))


def _read(name: str, summary: str, fault: Fault | None, respond: Callable[[Scene], Response], says: Says) -> Behaviour:
    return Behaviour(name, "http", summary, fault, respond, says=says)


_BODIES = (
    _fixed(
        "html_200",
        "HTTP 200 with a page of HTML, as from a proxy",
        b"<!doctype html><title>Please wait</title><p>The service is busy.",
        "text/html; charset=utf-8",
    ),
    _fixed("error_200", "HTTP 200 with an error object", b'{"error": {"message": "The drill says no.", "code": 500}}'),
    _fixed("empty_200", "HTTP 200 with an empty body", b""),
    _read("gzip_bomb", "a healthy answer that unpacks to 10 MB of padding", Fault.BROKEN_REPLY, _bomb, "nothing"),
    _read(
        "oversized",
        "a healthy answer with 10 MB of padding after it",
        Fault.BROKEN_REPLY,
        lambda s: Response(completion(s, s.words()), padding=_TEN_MEGABYTES),
        "nothing",
    ),
    _read("wrong_content_type", "a healthy answer that calls itself text/plain", None, _plain, "verdict"),
)

HEALTHY = Behaviour("none", "answer", "a healthy answer", None, lambda s: answered(s, s.words()), says="verdict")
HTTP_FAULTS: tuple[Behaviour, ...] = (*_FILTERS, *_STATUSES, *_BODIES)
