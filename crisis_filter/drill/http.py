"""As much of HTTP/1.1 as the fault server needs: requests read from a buffer, responses as values, and how they go wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Literal

Act = Literal[
    "whole",
    "hang",
    "hang_body",
    "drip",
    "reset",
    "cut",
    "unfinished_chunks",
    "close",
    "garbage",
    "refuse",
    "swap",
]
"""How a response is sent. `whole`: as HTTP wants it. `hang`: never. `hang_body`: its head and nothing else. `drip`: a byte at a
time. `reset`: the first half, then a TCP reset. `cut`: all but the last byte of what was announced, then the end. `unfinished_chunks`: chunked,
without the last chunk. `close`: the connection ends without a byte. `garbage`: the body alone, without a head. `refuse`: the
connection is reset and the listener is gone for a while. `swap`: two calls that wait at once get each other's response."""

EVENT_STREAM = "text/event-stream; charset=utf-8"
LONGEST_HEAD = 64 * 2**10
"""Bytes of request line and headers beyond which a request is refused."""
LONGEST_BODY = 64 * 2**20
"""Bytes of a request's body beyond which it is refused."""
# Characters of an answer in one event of a stream.
_EVENT_CHARACTERS = 16


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP response."""

    body: bytes = field(default=b"", repr=False)
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    """Beside content type, length and connection, which are added."""
    content_type: str = "application/json"
    act: Act = "whole"
    alone: bytes = field(default=b"", repr=False)
    """With the act `swap`, the body for a call that finds no other one."""
    padding: int = 0
    """Spaces sent after the body and announced with it; never held in memory at once."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One HTTP request."""

    method: str
    path: str
    """Without the query."""
    headers: Mapping[str, str] = field(repr=False)
    """Names in lower case; of a repeated one the last counts."""
    body: bytes = field(repr=False)
    keep_alive: bool = True


class UnreadableError(Exception):
    """The bytes are no HTTP request that this server reads.

    Args:
        status: the HTTP status to answer with before the connection is closed.
    """

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status


@dataclass(frozen=True, slots=True)
class _Head:
    size: int
    method: str
    path: str
    headers: dict[str, str]
    keep_alive: bool


class RequestReader:
    """Cuts requests out of the bytes of one connection, in whatever pieces they come."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._head: _Head | None = None

    def feed(self, data: bytes) -> None:
        """Add what has arrived."""
        self._buffer += data

    def waits_for_leave(self) -> bool:
        """Whether the head is here, the body is not, and the client waits for `100 Continue`; asked once for each head."""
        head = self._head
        if head is None or head.headers.pop("expect", "").lower() != "100-continue":
            return False
        return len(self._buffer) == head.size

    def take(self) -> HttpRequest | None:
        """The next whole request, or `None` until more has arrived.

        Raises:
            UnreadableError: it is malformed or too large.
        """
        if self._head is None:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                if len(self._buffer) > LONGEST_HEAD:
                    raise UnreadableError(431)
                return None
            self._head = _parse_head(bytes(self._buffer[:end]), end + 4)
        head = self._head
        if "chunked" in head.headers.get("transfer-encoding", "").lower():
            found = _dechunk(self._buffer, head.size)
            if found is None:
                return None
            body, used = found
        else:
            used = head.size + _length(head.headers)
            if len(self._buffer) < used:
                return None
            body = bytes(self._buffer[head.size : used])
        del self._buffer[:used]
        self._head = None
        return HttpRequest(head.method, head.path, head.headers, body, head.keep_alive)


def _parse_head(raw: bytes, size: int) -> _Head:
    first, _, rest = raw.decode("latin-1").partition("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise UnreadableError(400)
    headers = {}
    for line in rest.split("\r\n"):
        name, colon, value = line.partition(":")
        if colon:
            headers[name.lower()] = value.strip()
    connection = headers.get("connection", "").lower()
    keep = connection != "close" and (words[2] != "HTTP/1.0" or connection == "keep-alive")
    return _Head(size, words[0], words[1].partition("?")[0], headers, keep)


def _length(headers: Mapping[str, str]) -> int:
    value = headers.get("content-length", "0")
    if not value.isascii() or not value.isdigit():
        raise UnreadableError(400)
    length = int(value)
    if length > LONGEST_BODY:
        raise UnreadableError(413)
    return length


def _dechunk(buffer: bytearray, start: int) -> tuple[bytes, int] | None:
    """The joined chunks and where they end; trailers are read over."""
    parts: list[bytes] = []
    total, at = 0, start
    while True:
        end = buffer.find(b"\r\n", at)
        if end < 0:
            return None
        try:
            size = int(bytes(buffer[at:end]).partition(b";")[0], 16)
        except ValueError:
            raise UnreadableError(400) from None
        total += size
        if size < 0 or total > LONGEST_BODY:
            raise UnreadableError(413 if size > 0 else 400)
        if size == 0:
            finish = end if buffer[end + 2 : end + 4] == b"\r\n" else buffer.find(b"\r\n\r\n", end)
            return None if finish < 0 or len(buffer) < finish + 4 else (b"".join(parts), finish + 4)
        at = end + 2 + size + 2
        if len(buffer) < at:
            return None
        parts.append(bytes(buffer[end + 2 : end + 2 + size]))


def head_of(response: Response, *, keep_alive: bool) -> bytes:
    """The status line and headers of a response, the empty line included."""
    more = "".join(f"{name}: {value}\r\n" for name, value in response.headers)
    if response.act == "unfinished_chunks":
        size = "transfer-encoding: chunked"
    else:
        size = f"content-length: {len(response.body) + response.padding}"
    fixed = _status_line(response.status, response.content_type, keep_alive)
    return f"{fixed}{size}\r\n{more}\r\n".encode("latin-1")


@lru_cache(maxsize=256)
def _status_line(status: int, content_type: str, keep_alive: bool) -> str:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Status"
    connection = "keep-alive" if keep_alive else "close"
    return f"HTTP/1.1 {status} {phrase}\r\ncontent-type: {content_type}\r\nconnection: {connection}\r\n"


def streamed(response: Response, *, usage: bool) -> Response:
    """The same response to a client that asked for a stream: its completion as server-sent events.

    How it is sent stays as it is, so that a body that is cut or reset becomes a stream that breaks off. What is no chat completion (an
    error, a page of HTML) is sent as to any other client, as servers do.

    Args:
        response: to a client that asked for no stream.
        usage: whether the client asked for an event with the count of tokens at the end (`stream_options.include_usage`).
    """
    body, alone = (_events(each, usage) for each in (response.body, response.alone))
    if body is None:
        return response
    kind = EVENT_STREAM if response.content_type == "application/json" else response.content_type
    return replace(response, body=body, alone=alone or b"", content_type=kind)


def _events(body: bytes, usage: bool) -> bytes | None:
    """The events of a chat completion; `None` where the body is none."""
    try:
        whole = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(whole, dict) or whole.get("object") != "chat.completion":
        return None
    fixed = {name: whole[name] for name in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
    counted: dict[str, Any] = {"usage": None} if usage else {}
    events = [
        {**fixed, **counted, "choices": [{"index": choice["index"], "logprobs": None, **part}]}
        for choice in whole["choices"]
        for part in _parts(choice)
    ]
    if usage:
        events.append({**fixed, "choices": [], "usage": whole["usage"]})
    return b"".join(b"data: %s\n\n" % data for data in (*(json.dumps(e).encode() for e in events), b"[DONE]"))


def _parts(choice: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What each event adds to a choice: who speaks, then the words piece by piece, then why it ended."""
    message = choice["message"]
    yield {"delta": {"role": message["role"], "content": None}, "finish_reason": None}
    for name in ("content", "refusal"):
        given = message.get(name)
        pieces = [given] if given else []
        if isinstance(given, str):
            pieces = [given[at : at + _EVENT_CHARACTERS] for at in range(0, len(given), _EVENT_CHARACTERS)]
        for piece in pieces:
            yield {"delta": {name: piece}, "finish_reason": None}
    calls = message.get("tool_calls")
    if calls:
        yield {"delta": {"tool_calls": [{"index": at, **call} for at, call in enumerate(calls)]}, "finish_reason": None}
    yield {"delta": {}, "finish_reason": choice["finish_reason"]}
