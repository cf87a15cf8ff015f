"""Connections of the fast lane, against a server that says any bytes at any time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import SocketTimeoutError

from crisis_filter.backends.client import LONGEST_BODY, LONGEST_ERROR
from crisis_filter.backends.wire.capture import Road
from crisis_filter.backends.wire.connection import Answered, Connection, Connections
from crisis_filter.errors import BackendError, Fault

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"
REQUEST = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nbody"

Speak = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Raw:
    """A server whose every connection is spoken to by the test."""

    def __init__(self, speak: Speak) -> None:
        self.connections = 0
        self.gone = asyncio.Event()
        self._speak = speak

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._speak(reader, writer)
        finally:
            self.gone.set()
            writer.close()


@contextlib.asynccontextmanager
async def connected(speak: Speak) -> AsyncIterator[tuple[Connections, Raw]]:
    raw = Raw(speak)
    server = await asyncio.start_server(raw.serve, "127.0.0.1", 0)
    connections = Connections(Road("127.0.0.1", server.sockets[0].getsockname()[1], None))
    try:
        yield connections, raw
    finally:
        await connections.aclose()
        server.close()
        await server.wait_closed()
        await asyncio.sleep(0)


async def asked(reader: asyncio.StreamReader) -> None:
    await reader.readuntil(b"body")


def answering(*responses: bytes) -> Speak:
    """Each request gets the next response."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for response in responses:
            await asked(reader)
            writer.write(response)
            await writer.drain()
        await reader.read()

    return speak


async def exchange(connections: Connections, seconds: float = 5.0) -> Answered | BackendError:
    return await connections.exchange(REQUEST, asyncio.get_running_loop().time() + seconds)


CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nh\r\n1;x=y\r\ni\r\n0\r\ntrailer: t\r\n\r\n"


@pytest.mark.parametrize(
    "response",
    [
        OK,
        CHUNKED,
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
        b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + CHUNKED,
    ],
)
async def test_a_connection_is_used_again(response: bytes) -> None:
    """When its response was read to the end; whatever came before the real one is passed over."""
    async with connected(answering(response, response, response)) as (connections, raw):
        for _ in range(3):
            answered = await exchange(connections)
            assert isinstance(answered, Answered)
            assert (answered.status, answered.body) == (200, b"hi")
        assert raw.connections == 1


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nhi",
        b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nhi",
        OK + b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\nunasked",
    ],
)
async def test_a_connection_that_cannot_be_trusted_is_not_used_again(response: bytes) -> None:
    """It is to be closed, or something came that nobody asked for: that must not become the next request's answer."""
    async with connected(answering(response, OK)) as (connections, raw):
        for _ in range(2):
            answered = await exchange(connections)
            await asyncio.sleep(0.02)
            assert isinstance(answered, Answered)
            assert answered.body == b"hi"
        assert raw.connections == 2


@pytest.mark.parametrize(
    ("rest", "later"),
    [
        (b"garbage", b""),
        (b"HTTP/1.1 200 OK\r\ncontent-le", b"ngth: 7\r\n\r\nunasked"),
        (b"HTTP/1.1 200 OK\r\n", b"\r\n"),
    ],
)
async def test_the_rest_of_something_else_is_no_answer(rest: bytes, later: bytes) -> None:
    """A piece of another response behind one, and its end when the next request has been sent: an error at worst."""
    async with connected(answering(OK + rest, later + OK, OK)) as (connections, _):
        for _ in range(3):
            outcome = await exchange(connections)
            assert isinstance(outcome, BackendError) or outcome.body in (b"hi", b"")


async def test_what_is_said_before_it_is_asked_is_no_answer() -> None:
    """A response that lies ready when the connection opens, or comes while it is idle."""
    late = asyncio.Event()

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked(reader)
        writer.write(OK)
        await asyncio.sleep(0.03)
        writer.write(OK.replace(b"hi", b"no"))
        await writer.drain()
        late.set()
        await reader.read()

    async with connected(speak) as (connections, raw):
        for _ in range(2):
            late.clear()
            answered = await exchange(connections)
            await late.wait()
            await asyncio.sleep(0.02)
            assert isinstance(answered, Answered)
            assert answered.body == b"hi"
        assert raw.connections == 2


@pytest.mark.parametrize(
    ("response", "kept"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\nto the end", b"to the end"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", b""),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    ],
)
async def test_bodies_without_a_length(response: bytes, kept: bytes) -> None:
    """Read until the server closes, or none at all."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked(reader)
        writer.write(response)
        await writer.drain()

    async with connected(speak) as (connections, _):
        answered = await exchange(connections)
        assert isinstance(answered, Answered)
        assert answered.body == kept


@pytest.mark.parametrize(
    "response",
    [
        b"",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhi",
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 2_000 + b"\r\n",
        b"HTTP/2 200\r\n\r\n",
    ],
)
async def test_no_whole_response(response: bytes) -> None:
    """An error and no exception, and the connection is gone."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked(reader)
        writer.write(response)
        await writer.drain()

    async with connected(speak) as (connections, _):
        outcome = await exchange(connections)
        assert isinstance(outcome, BackendError)
        assert (outcome.fault, outcome.retryable) == (Fault.BROKEN_REPLY, True)
        assert not connections._open
        assert not connections._idle


@pytest.mark.parametrize(
    ("status", "length", "fits"),
    [
        (200, LONGEST_BODY, True),
        (200, LONGEST_BODY + 1, False),
        (500, LONGEST_ERROR, True),
        (500, LONGEST_ERROR + 1, False),
        (302, LONGEST_ERROR + 1, False),
    ],
)
async def test_the_length_of_a_body_is_bounded(status: int, length: int, fits: bool) -> None:
    """An error's more than an answer's."""
    head = b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n" % (status, length)
    async with connected(answering(head + b"x" * length)) as (connections, _):
        outcome = await exchange(connections)
        assert isinstance(outcome, Answered) is fits
        assert bool(connections._idle) is fits


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\n", OK[:-1], b"HTTP/1.1 100 Continue\r\n\r\n"])
@pytest.mark.parametrize("how", ["cancelled", "late"])
async def test_a_response_that_was_not_read_takes_its_connection_with_it(begun: bytes, how: str) -> None:
    """Or the next request would be given it."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked(reader)
        writer.write(begun)
        await reader.read()

    async with connected(speak) as (connections, raw):
        if how == "late":
            outcome = await exchange(connections, 0.1)
            assert isinstance(outcome, BackendError)
            assert outcome.fault is Fault.TIMEOUT
        else:
            task = asyncio.create_task(exchange(connections))
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await asyncio.wait_for(raw.gone.wait(), 2)
        assert not connections._open
        assert not connections._idle


async def test_an_early_answer_to_a_request_that_is_still_being_sent() -> None:
    """It counts; the connection does not go on."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 413 Too Long\r\ncontent-length: 2\r\n\r\nno")
        await writer.drain()
        await asyncio.sleep(0.2)

    async with connected(speak) as (connections, _):
        long = REQUEST.replace(b": 4", b": 80000000").replace(b"body", b"x" * 80_000_000)
        outcome = await connections.exchange(long, asyncio.get_running_loop().time() + 5)
        assert isinstance(outcome, Answered)
        assert outcome.status == 413
        assert not connections._idle


async def test_idle_connections_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the server does it at the wrong moment."""
    monkeypatch.setattr("crisis_filter.backends.wire.connection._IDLE_S", 0.05)
    async with connected(answering(OK, OK)) as (connections, raw):
        await exchange(connections)
        assert len(connections._idle) == 1
        await asyncio.wait_for(raw.gone.wait(), 2)
        assert isinstance(await exchange(connections), Answered)
        assert raw.connections == 2
        assert len(connections._open) == 1


async def test_a_connection_that_the_server_closed_is_not_used() -> None:
    """While it was idle."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked(reader)
        writer.write(OK)
        await writer.drain()

    async with connected(speak) as (connections, raw):
        for _ in range(3):
            assert isinstance(await exchange(connections), Answered)
            await asyncio.sleep(0.02)
        assert raw.connections == 3
        assert len(connections._open) <= 1


async def test_as_many_connections_as_requests_at_once() -> None:
    """And no more than that, however often they are used."""
    async with connected(answering(*[OK] * 50)) as (connections, raw):
        for _ in range(10):
            outcomes = await asyncio.gather(*(exchange(connections) for _ in range(8)))
            assert all(isinstance(outcome, Answered) for outcome in outcomes)
        assert raw.connections == 8


async def test_a_time_out_between_the_head_and_its_reader_ends_the_wait() -> None:
    """The head has come, nobody has looked at it yet, and the connection ends at that very moment."""
    async with connected(answering(OK[:-1])) as (connections, _):
        received = Connection.data_received

        def ending(self: Connection, data: bytes) -> None:
            received(self, data)
            if data:
                self.end(SocketTimeoutError())

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(Connection, "data_received", ending)
            outcome = await asyncio.wait_for(exchange(connections), 2)
        assert isinstance(outcome, BackendError)
        assert not connections._open


@pytest.mark.parametrize("begun", [b"", OK[:-1]])
async def test_closing_ends_what_waits(begun: bytes) -> None:
    """With an error, not never; for a response as for the rest of one."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked(reader)
        writer.write(begun)
        await reader.read()

    async with connected(silent) as (connections, _):
        waiting = asyncio.create_task(exchange(connections))
        await asyncio.sleep(0.05)
        await connections.aclose()
        outcome: Any = await asyncio.wait_for(waiting, 2)
        assert outcome.fault is Fault.BROKEN_REPLY
