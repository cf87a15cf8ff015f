"""Reading the body of a request: one JSON document, strictly, and yet no message is lost for a broken byte inside it.

Bytes that are no UTF-8, and halves of surrogate pairs, stay within the one text that holds them: it is repaired and flagged, which forbids a
negative, and the other messages of the request are read as they are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from email.message import Message as Header
from typing import Any, NoReturn

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.datastructures import Headers

from crisis_filter.service.problems import Problem

__all__ = ["JsonRequest", "StrictRoute", "read_json"]

_CHARSETS = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})
_BOM = b"\xef\xbb\xbf"


def read_json(body: bytes) -> object:
    """One JSON document. Bytes that are no UTF-8 become lone surrogates, as `surrogateescape` makes them.

    Raises:
        Problem: `invalid_json` for anything that is no JSON document, one nested too deep to read, a name that comes twice in an object (of two
            texts one would be dropped unseen), and `NaN` or `Infinity`.
    """
    text = body.removeprefix(_BOM).decode("utf-8", "surrogateescape")
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_refuse, parse_float=_number)
    except (ValueError, RecursionError):
        raise Problem("invalid_json") from None


class JsonRequest(Request):
    """A request whose JSON is read by `read_json`."""

    async def json(self) -> Any:
        """The document in the body."""
        return read_json(await self.body())


class StrictRoute(APIRoute):
    """A route whose body is read by `read_json`, and refused with 415 where it does not call itself JSON.

    Use as `APIRouter(route_class=StrictRoute)`.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Of the usual handler, the same with another request."""
        handle, takes_body = super().get_route_handler(), self.body_field is not None

        async def strictly(request: Request) -> Response:
            reading = JsonRequest(request.scope, request.receive)
            if takes_body and await reading.body() and not _is_json(reading.headers):
                raise Problem("unsupported_media_type")
            return await handle(reading)

        return strictly


def _is_json(headers: Headers) -> bool:
    given = headers.get("content-type", "")
    if given == "application/json":
        return True  # as nearly everybody writes it; reading a header takes as long as reading a message
    header = Header()
    header["content-type"] = given
    kind, charset = header.get_content_subtype(), header.get_content_charset("utf-8")
    return (
        header.get_content_maintype() == "application"
        and (kind == "json" or kind.endswith("+json"))
        and charset in _CHARSETS
    )


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name comes twice")
    return found


def _number(written: str) -> float:
    """To JSON 2.0 is a whole number."""
    value = float(written)
    return int(value) if value.is_integer() else value


def _refuse(_: str) -> NoReturn:
    raise ValueError("no JSON number")
