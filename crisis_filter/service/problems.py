"""Every answer that is no success: `application/problem+json` (RFC 9457), which says `decision: undetermined` and nothing of what was sent.

A caller that reads nothing but the decision never takes a refusal for "not crisis".
"""

from __future__ import annotations

import logging
import math
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import PurePath
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, get_args

from fastapi import FastAPI, HTTPException
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from crisis_filter.errors import (
    IdempotencyConflict,
    IdempotencyInFlight,
    StoreBusy,
    StoreClosed,
    StoreError,
    StoreUnavailable,
)

__all__ = [
    "PROBLEMS",
    "Contained",
    "Problem",
    "ProblemBody",
    "ProblemCode",
    "documented",
    "install",
    "problem_response",
]

MEDIA_TYPE = "application/problem+json"
ProblemCode = Literal[
    "invalid_json",
    "invalid_request",
    "bad_request",
    "unauthenticated",
    "forbidden",
    "not_found",
    "method_not_allowed",
    "request_timeout",
    "conflict",
    "idempotency_in_flight",
    "idempotency_conflict",
    "too_large",
    "unsupported_media_type",
    "rate_limited",
    "internal",
    "overloaded",
    "stopping",
    "store_unavailable",
    "deadline_passed",
]


class Kind(NamedTuple):
    """One kind of problem."""

    status: int
    title: str
    detail: str


PROBLEMS: Mapping[ProblemCode, Kind] = MappingProxyType(
    {
        "invalid_json": Kind(422, "Not JSON", "The body is not one JSON document that can be read."),
        "invalid_request": Kind(
            422, "Not as documented", "Something in the request is not as documented; see `errors`."
        ),
        "bad_request": Kind(400, "Bad request", "The request cannot be read."),
        "unauthenticated": Kind(401, "No valid key", "Send `Authorization: Bearer` and a valid API key."),
        "forbidden": Kind(403, "Not allowed", "This key may not do that."),
        "not_found": Kind(404, "Not found", "There is nothing here that this key can see."),
        "method_not_allowed": Kind(405, "Method not allowed", "`Allow` names the methods that this address has."),
        "request_timeout": Kind(408, "Too slow", "The body did not arrive in time. Nothing was accepted."),
        "conflict": Kind(409, "Conflict", "Somebody else was first; look again."),
        "idempotency_in_flight": Kind(409, "Still at work", "The same request is still at work; ask again soon."),
        "idempotency_conflict": Kind(
            422, "Key used before", "This Idempotency-Key came with another request; take another."
        ),
        "too_large": Kind(413, "Too large", "The body is larger than this service takes. Nothing was accepted."),
        "unsupported_media_type": Kind(415, "Not JSON", "Send `Content-Type: application/json`, in UTF-8."),
        "rate_limited": Kind(429, "Too many requests", "This key sends more than it may. Nothing was accepted."),
        "internal": Kind(500, "Our mistake", "Something went wrong here. What came of the request is not known."),
        "overloaded": Kind(503, "Overloaded", "More waits here than can be done in time. Nothing was accepted."),
        "stopping": Kind(503, "Stopping", "This process is ending and takes nothing more. Nothing was accepted."),
        "store_unavailable": Kind(
            503, "Store unavailable", "What is sent cannot be kept now, so nothing was accepted."
        ),
        "deadline_passed": Kind(504, "Too late", "No verdict came in time. What was taken in is decided all the same."),
    }
)
"""What goes with each code. No word of these comes from a request."""

_BY_STATUS: Mapping[int, ProblemCode] = MappingProxyType(
    {
        400: "bad_request",
        401: "unauthenticated",
        403: "forbidden",
        404: "not_found",
        405: "method_not_allowed",
        408: "request_timeout",
        409: "conflict",
        413: "too_large",
        415: "unsupported_media_type",
        422: "invalid_request",
        429: "rate_limited",
        503: "overloaded",
        504: "deadline_passed",
    }
)
_OF_THE_STORE: tuple[tuple[type[StoreError], ProblemCode], ...] = (
    (StoreBusy, "overloaded"),
    (StoreClosed, "stopping"),
    (StoreUnavailable, "store_unavailable"),
    (IdempotencyConflict, "idempotency_conflict"),
    (IdempotencyInFlight, "idempotency_in_flight"),
)
_COME_AGAIN: Mapping[ProblemCode, float] = MappingProxyType(
    {"idempotency_in_flight": 1, "rate_limited": 1, "overloaded": 1, "stopping": 2, "store_unavailable": 5}
)
"""Seconds in `Retry-After` where nobody names any."""
_HEADERS = frozenset({"allow", "connection", "retry-after", "www-authenticate"})
"""Of another's error, what may go out."""
_MOST_ERRORS = 20
_TAGS = frozenset({"one", "many"})
"""Names of alternatives of ours, which are no place in a body."""
_MESSAGES = MappingProxyType(
    {
        "missing": "is missing",
        "extra_forbidden": "holds a field that is not known",
        "string_type": "has to be a string",
        "string_unicode": "holds half of a surrogate pair",
        "string_too_short": "is too short",
        "string_too_long": "is too long",
        "string_pattern_mismatch": "has not the documented form",
        "too_short": "holds too few",
        "too_long": "holds too many",
        "literal_error": "is none of the documented words",
        "bool_type": "has to be true or false",
        "int_type": "has to be a whole number",
        "tuple_type": "has to be an array",
        "list_type": "has to be an array",
        "model_type": "has to be an object",
        "model_attributes_type": "has to be an object",
        "timezone_aware": "needs its time zone",
    }
)
_LOG = logging.getLogger(__name__)


class Place(BaseModel):
    """One thing that is not as documented. It names places that the documentation has and never what was sent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    where: str
    """Path to the field, such as `body.messages.3.text`; of a field that is not known, the object that holds it."""
    what: str
    code: str
    """Short word for it."""


class ProblemBody(BaseModel):
    """The body of every answer that is no success."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: str
    """`urn:crisis-filter:problem:CODE`."""
    title: str
    status: int
    detail: str
    code: ProblemCode
    decision: Literal["undetermined"] = "undetermined"
    """Whoever reads nothing else takes no refusal for a negative."""
    errors: tuple[Place, ...] = Field(default=())


class Problem(HTTPException):
    """A refusal on purpose.

    Args:
        code: which.
        detail: in fixed words of ours, instead of the usual ones; never a word of the request.
        retry_after_s: seconds until another try makes sense; `None` takes the kind's own, where it has one.
        errors: what is not as documented.
        headers: besides those that belong to the problem.
    """

    def __init__(
        self,
        code: ProblemCode,
        detail: str | None = None,
        *,
        retry_after_s: float | None = None,
        errors: Sequence[Place] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        kind = PROBLEMS[code]
        super().__init__(kind.status, kind.title, headers=dict(headers or {}))
        self.code: ProblemCode = code
        self.words = detail or kind.detail
        self.retry_after_s = retry_after_s
        self.errors = tuple(errors)


def problem_response(problem: Problem) -> Response:
    """The answer for a problem, with `Retry-After` where coming again helps."""
    kind = PROBLEMS[problem.code]
    headers = {k: v for k, v in (problem.headers or {}).items() if k.lower() in _HEADERS}
    wait = problem.retry_after_s if problem.retry_after_s is not None else _COME_AGAIN.get(problem.code)
    if wait is not None:
        headers.setdefault("Retry-After", str(max(1, math.ceil(wait))))
    if kind.status == 401:
        headers.setdefault("WWW-Authenticate", "Bearer")
    body = ProblemBody(
        type=f"urn:crisis-filter:problem:{problem.code}",
        title=kind.title,
        status=kind.status,
        detail=problem.words,
        code=problem.code,
        errors=problem.errors,
    )
    content = body.model_dump(exclude=None if problem.errors else {"errors"})
    return JSONResponse(content, kind.status, headers, MEDIA_TYPE)


def documented(*codes: ProblemCode) -> dict[int | str, dict[str, Any]]:
    """For `responses=` of a route: the statuses of these problems, each with the schema of its body.

    `invalid_json`, `invalid_request` and `internal` belong to every route and are always in it.
    """
    found: dict[int | str, dict[str, Any]] = {}
    for code in sorted({*codes, "invalid_json", "invalid_request", "internal"}, key=get_args(ProblemCode).index):
        kind = PROBLEMS[code]
        words = f"{kind.detail} (`{code}`)"
        if kind.status in found:
            found[kind.status]["description"] += " " + words
        else:
            found[kind.status] = {"description": words, "content": {MEDIA_TYPE: {"schema": _schema()}}}
    return found


def _schema() -> dict[str, Any]:
    """Of a problem's body, with nothing to be looked up elsewhere: given as `model`, FastAPI would document `application/json` too."""
    schema = ProblemBody.model_json_schema()
    places = schema.pop("$defs")["Place"]
    schema["properties"]["errors"]["items"] = places
    return schema


def install(app: FastAPI, also: Mapping[type[Exception], ProblemCode] = MappingProxyType({})) -> None:
    """Give an app the handlers, so that each of its errors is a problem. Wrap the whole in `Contained` besides.

    Args:
        app: whose errors.
        also: further errors of ours, and what they are for whoever asked.
    """
    for raised, code in also.items():
        app.add_exception_handler(raised, _always(code))
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(StarletteHTTPException, _on_http)
    for error, _ in _OF_THE_STORE:
        app.add_exception_handler(error, _on_store)
    app.add_exception_handler(Exception, _on_bug)


def _always(code: ProblemCode) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def answer(_: Request, __: Exception) -> Response:
        return problem_response(Problem(code))

    return answer


async def _on_validation(_: Request, error: Exception) -> Response:
    found = error.errors() if isinstance(error, RequestValidationError) else []
    if any(one["type"] == "json_invalid" for one in found):
        return problem_response(Problem("invalid_json"))
    return problem_response(Problem("invalid_request", errors=[_where(one) for one in found[:_MOST_ERRORS]]))


async def _on_http(_: Request, error: Exception) -> Response:
    if isinstance(error, Problem):
        return problem_response(error)
    status = error.status_code if isinstance(error, StarletteHTTPException) else 500
    code = _BY_STATUS.get(status, "bad_request" if 400 <= status < 500 else "internal")
    headers = error.headers if isinstance(error, StarletteHTTPException) else None
    return problem_response(Problem(code, headers=headers))


async def _on_store(_: Request, error: Exception) -> Response:
    for kind, code in _OF_THE_STORE:
        if isinstance(error, kind):
            return problem_response(Problem(code))
    return problem_response(Problem("internal"))


async def _on_bug(_: Request, __: Exception) -> Response:
    return problem_response(Problem("internal"))


def _where(error: Mapping[str, Any]) -> Place:
    """One error of a validation, without the value, without the name of a field that is not ours, and in our words."""
    kind, place = str(error["type"]), [part for part in error["loc"] if part not in _TAGS]
    if kind == "extra_forbidden":
        # Its last part is a name that the sender made up.
        place = place[:-1]
    known = kind if kind in _MESSAGES else "invalid"
    return Place(where=".".join(map(str, place)), what=_MESSAGES.get(kind, "is not as documented"), code=known)


class Contained:
    """Outermost of an app: an error that nothing caught becomes a problem, and its words stay out of every log.

    A server logs an exception with its message, and a message can hold a piece of a text; here its kind and places are logged, nothing else.

    Args:
        app: what is wrapped.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def noting(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception as error:  # noqa: BLE001  # whatever it is, its words go no further
            _LOG.error("internal error: %s", _places(error))
            if not begun:
                await problem_response(Problem("internal"))(scope, receive, send)


def _places(error: BaseException) -> str:
    """The kind of an exception and where it passed, without its words."""
    frames = traceback.extract_tb(error.__traceback__)[-8:]
    return f"{type(error).__name__} at " + " > ".join(f"{PurePath(f.filename).name}:{f.lineno}" for f in frames)
