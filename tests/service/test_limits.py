"""What one caller may use; what is refused is refused before it is accepted."""

from __future__ import annotations

import asyncio
import gc
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.responses import JSONResponse

from crisis_filter.service.limits import BodyLimit, BodyLimits, Deadline, RateLimit
from crisis_filter.service.problems import Contained, Problem
from tests.service.served import raw, served

MB = 1_000_000


class Echo:
    """Says how much came, and remembers that it was asked."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.begun = asyncio.Event()
        self.go = asyncio.Event()
        self.go.set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = bytearray()
        while True:
            message = await receive()
            body += message["body"]
            if not message["more_body"]:
                break
        self.asked.append(len(body))
        self.begun.set()
        await self.go.wait()
        await JSONResponse({"bytes": len(body)})(scope, receive, send)


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def pieces(total: int, size: int = 65_536, chunked: bool = False) -> Any:
    for at in range(0, total, size):
        piece = b"x" * min(size, total - at)
        yield b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece
    if chunked:
        yield b"0\r\n\r\n"


HEAD = "POST / HTTP/1.1\nHost: x\n"


@pytest.mark.parametrize("total", [0, 1, 999, MB])
@pytest.mark.parametrize("chunked", [False, True])
async def test_what_fits_arrives_whole(total, chunked):
    echo = Echo()
    limit = BodyLimit(echo, BodyLimits(most_bytes=MB))
    async with served(limit) as port:
        head = HEAD + ("Transfer-Encoding: chunked" if chunked else f"Content-Length: {total}")
        status, _, body = await raw(port, head, pieces(total, chunked=chunked))
    assert (status, json.loads(body)["bytes"], limit.held) == (200, total, 0)


@pytest.mark.parametrize("total", [MB + 1, 10 * MB, 100 * MB])
@pytest.mark.parametrize("chunked", [False, True])
async def test_what_is_too_large_is_refused_closed_and_never_held(total, chunked):
    """Whoever sends a body of 1, 10 or 100 MB: a 413 that says undetermined, or a closed connection; the app is not asked."""
    echo = Echo()
    limit = BodyLimit(echo, BodyLimits(most_bytes=MB))
    async with served(Contained(limit)) as port:
        before = resident()
        head = HEAD + ("Transfer-Encoding: chunked" if chunked else f"Content-Length: {total}")
        status, top, body = await raw(port, head, pieces(total, chunked=chunked))
        grown = resident() - before
    assert status in ((413,) if total <= 10 * MB else (413, 0))
    if status:
        assert "connection: close" in top
        assert json.loads(body)["decision"] == "undetermined"
    assert (echo.asked, limit.held) == ([], 0)
    assert grown < 40 * MB


async def test_a_client_that_waits_for_leave_is_refused_at_once():
    async with served(BodyLimit(Echo(), BodyLimits(most_bytes=10, drain_s=5.0))) as port:
        status, _, _ = await raw(port, HEAD + "Expect: 100-continue\nContent-Length: 11", within_s=2.0)
    assert status == 413


@pytest.mark.parametrize("length", ["-1", "1e3", "0x10", "9" * 40, "9" * 18])
async def test_an_odd_length_is_refused(length):
    """Most never get past the server's own parser."""
    echo = Echo()
    sent = await asgi(BodyLimit(echo, BodyLimits(drain_s=0.01)), [], headers=[(b"content-length", length.encode())])
    assert sent[0]["status"] in {400, 413}
    assert echo.asked == []


async def asgi(app: Any, messages: list[dict[str, Any]], headers: Any = ()) -> list[dict[str, Any]]:
    """Serve one request by hand; after the messages nothing more comes."""
    sent: list[dict[str, Any]] = []
    coming = iter(messages)

    async def receive() -> dict[str, Any]:
        for message in coming:
            return message
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/", "headers": list(headers), "query_string": b""}
    async with asyncio.timeout(5):
        await app(scope, receive, send)
    return sent


@settings(deadline=None)
@given(st.lists(st.integers(0, 40), max_size=12), st.integers(1, 100))
async def test_no_way_to_cut_a_body_gets_more_through(sizes, most):
    echo = Echo()
    limit = BodyLimit(echo, BodyLimits(most_bytes=most, drain_s=0.0))
    cut = [{"type": "http.request", "body": b"x" * n, "more_body": i < len(sizes) - 1} for i, n in enumerate(sizes)]
    sent = await asgi(limit, cut or [{"type": "http.request", "body": b"", "more_body": False}])
    total = sum(sizes)
    assert sent[0]["status"] == (200 if total <= most else 413)
    assert echo.asked == ([total] if total <= most else [])
    assert limit.held == 0


async def test_a_body_that_never_ends_is_given_up():
    echo = Echo()
    limit = BodyLimit(echo, BodyLimits(within_s=0.05))
    sent = await asgi(limit, [{"type": "http.request", "body": b"x", "more_body": True}])
    assert (sent[0]["status"], json.loads(sent[1]["body"])["code"]) == (408, "request_timeout")
    assert (echo.asked, limit.held) == ([], 0)


async def test_whoever_goes_away_is_not_answered():
    echo = Echo()
    limit = BodyLimit(echo)
    gone = [{"type": "http.request", "body": b"x", "more_body": True}, {"type": "http.disconnect"}]
    assert await asgi(limit, gone) == []
    assert (echo.asked, limit.held) == ([], 0)


async def test_all_bodies_together_have_a_limit_too():
    """By what they announce, so that none is let in to be refused half-way; room comes back with the answer."""
    echo = Echo()
    echo.go.clear()
    limit = BodyLimit(echo, BodyLimits(most_bytes=100, most_bytes_at_once=150, drain_s=0.0))
    whole = [{"type": "http.request", "body": b"x" * 100, "more_body": False}]
    length = [(b"content-length", b"100")]
    first = asyncio.create_task(asgi(limit, whole, length))
    await echo.begun.wait()
    second = await asgi(limit, whole, length)
    assert (second[0]["status"], json.loads(second[1]["body"])["code"]) == (503, "overloaded")
    assert (b"retry-after", b"1") in second[0]["headers"]
    echo.go.set()
    assert (await first)[0]["status"] == 200
    assert limit.held == 0
    assert (await asgi(limit, whole, length))[0]["status"] == 200


def test_a_key_gets_its_number_and_then_waits():
    limit = RateLimit()
    for _ in range(5):
        limit.take("a", 5)
    with pytest.raises(Problem) as caught:
        limit.take("a", 5)
    assert caught.value.code == "rate_limited"
    assert caught.value.retry_after_s is not None
    assert 1 <= caught.value.retry_after_s <= 60
    limit.take("b", 5)


def test_no_limit_is_none():
    limit = RateLimit()
    for _ in range(1_000):
        limit.take("a", None)


def test_what_is_refused_is_not_counted():
    limit = RateLimit()
    limit.take("a", 10, cost=8)
    for _ in range(3):
        with pytest.raises(Problem) as caught:
            limit.take("a", 10, cost=3)
        assert caught.value.code == "rate_limited"
    limit.take("a", 10, cost=2)


def test_what_no_minute_allows_is_not_told_to_come_again():
    with pytest.raises(Problem) as caught:
        RateLimit().take("a", 10, cost=11)
    assert caught.value.code == "too_large"


@pytest.mark.parametrize(("header", "left"), [(None, 30.0), ("500", 0.5), ("1", 0.001), ("60000", 30.0)])
def test_a_deadline_is_the_callers_and_never_beyond_the_operators(header, left):
    assert Deadline.of(header, 30.0, lambda: 100.0).left_s == pytest.approx(left)


@pytest.mark.parametrize("header", ["", "0", "-1", "1.5", "soon", "9" * 10, "٣"])
def test_a_deadline_that_is_none_is_refused(header):
    with pytest.raises(Problem) as caught:
        Deadline.of(header, 30.0, lambda: 0.0)
    assert caught.value.code == "invalid_request"


async def test_work_goes_on_when_its_deadline_has_passed():
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    async def work() -> str:
        await asyncio.sleep(0.05)
        done.set()
        return "said"

    with pytest.raises(Problem) as caught:
        await Deadline.of("5", 30.0, loop.time).hold(work())
    assert caught.value.code == "deadline_passed"
    async with asyncio.timeout(2):
        await done.wait()
    assert await Deadline.of("2000", 30.0, loop.time).hold(work()) == "said"


async def test_an_error_after_the_deadline_is_logged_nowhere(caplog):
    loop = asyncio.get_running_loop()

    async def work() -> None:
        await asyncio.sleep(0.02)
        raise ValueError("canary")

    with pytest.raises(Problem):
        await Deadline.of("1", 30.0, loop.time).hold(work())
    await asyncio.sleep(0.05)
    gc.collect()
    assert "canary" not in caplog.text
    with pytest.raises(ValueError, match="canary"):
        await Deadline.of("2000", 30.0, loop.time).hold(work())
