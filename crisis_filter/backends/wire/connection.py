"""Connections to one server, kept open between requests.

HTTP is read by aiohttp's own protocol and parser; its session is left out, since making and keeping its request and response objects costs
more than all the rest of a request. A connection carries one request at a time.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import ClientError, ServerDisconnectedError, SocketTimeoutError
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import EofStream, StreamReader

from crisis_filter.backends.client import LONGEST_BODY, LONGEST_ERROR
from crisis_filter.backends.wire.capture import Road
from crisis_filter.errors import BackendError
from crisis_filter.schema import Fault

__all__ = ["Answered", "Connections"]

# Servers close idle connections after five seconds and more; one that is closed as we write costs an attempt.
_IDLE_S = 4.0
# Decompressed bytes that may wait to be read.
_BUFFER = 2**18


@dataclass(frozen=True, slots=True)
class Answered:
    """A whole response."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class Connection(ResponseHandler):
    """One connection, with one timer for all its requests, set anew only when it rings."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._until = math.inf
        self._alarm: asyncio.TimerHandle | None = None
        self._body: StreamReader | None = None

    @property
    def usable(self) -> bool:
        """Whether a request may be sent: it is open, nothing is left over and nothing came unasked."""
        transport = self.transport
        return (
            transport is not None
            and not transport.is_closing()
            and not self.should_close
            and not transport.get_write_buffer_size()
        )

    def limit(self, until: float) -> None:
        """End whatever goes on at a time on the loop's clock: a request with a time-out, an idle connection by closing it."""
        self._until = until
        if self._alarm is None or self._alarm.when() > until:
            self._set_alarm()

    def end(self, error: ClientError) -> None:
        """Close it at once; whoever waits for a response is given the error."""
        self.set_exception(error)
        if self._body is not None:
            self._body.set_exception(error)
        self.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Nothing more can be expected of it."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        super().connection_lost(exc)

    def _set_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = None if math.isinf(self._until) else self._loop.call_at(self._until, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        if self._loop.time() < self._until:
            self._set_alarm()
        else:
            self.end(SocketTimeoutError())

    async def exchange(self, request: bytes, until: float) -> Answered | BackendError:
        """Send one request and read its response.

        Args:
            request: head and body.
            until: when to give up, on the loop's clock.

        Raises:
            TimeoutError: it was given up.
            ClientError: the connection or the response broke off.
            HttpProcessingError: this is no HTTP.
        """
        self.limit(until)
        self.set_response_params(read_until_eof=True, read_bufsize=_BUFFER)
        if self.transport is None:
            raise ServerDisconnectedError
        self.transport.write(request)
        message, payload = await self.read()
        while 100 <= message.code < 200 and message.code != 101:
            message, payload = await self.read()
        self._body = payload
        if self.transport is None and not payload.is_eof() and payload.exception() is None:
            raise ServerDisconnectedError  # ended before the body was waited for: nobody would wake us
        longest = LONGEST_BODY if 200 <= message.code < 300 else LONGEST_ERROR
        body = await _whole(payload, longest)
        if body is None:
            return BackendError(Fault.BROKEN_REPLY, "the body is too long", retryable=True)
        return Answered(message.code, message.headers, body)


async def _whole(payload: StreamReader, longest: int) -> bytes | None:
    """The body, or `None` where it is longer."""
    if payload.is_eof() and payload.exception() is None:
        body = payload.read_nowait()
        if payload.at_eof():
            return body if len(body) <= longest else None
        received = bytearray(body)
    else:
        received = bytearray()
    while chunk := await payload.readany():
        received += chunk
        if len(received) > longest:
            return None
    return bytes(received)


class Connections:
    """The connections to one server. Belongs to one event loop; who asks decides how many there are.

    Args:
        road: where to.
    """

    def __init__(self, road: Road) -> None:
        self._road = road
        self._open: set[Connection] = set()
        self._idle: list[Connection] = []

    async def exchange(self, request: bytes, until: float) -> Answered | BackendError:
        """Send one request over a connection of its own for the time, and read the response.

        A connection whose response was not read to its end is closed, whatever the reason, cancellation included.

        Args:
            request: head and body.
            until: when to give up, on the loop's clock; connecting counts.
        """
        connection = None
        outcome: Answered | BackendError | None = None
        try:
            connection = self._spare()
            if connection is None:
                connection = await self._connect(until)
            outcome = await connection.exchange(request, until)
        except TimeoutError:
            return BackendError(Fault.TIMEOUT, "one request took too long", retryable=True)
        except (ClientError, HttpProcessingError, OSError, EofStream):
            if asyncio.get_running_loop().time() >= until:
                return BackendError(Fault.TIMEOUT, "one request took too long", retryable=True)
            return BackendError(Fault.BROKEN_REPLY, "the connection failed", retryable=True)
        finally:
            if connection is not None:
                self._give_back(connection, whole=isinstance(outcome, Answered))
        return outcome

    async def aclose(self) -> None:
        """Close every connection, also one that waits for its response."""
        for connection in tuple(self._open):
            connection.end(ServerDisconnectedError())
        self._open.clear()
        self._idle.clear()
        await asyncio.sleep(0)  # for the transports to notice

    def _spare(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
            self._drop(connection)
        return None

    async def _connect(self, until: float) -> Connection:
        loop = asyncio.get_running_loop()
        road = self._road
        # uvloop tries addresses in turn and knows no such argument.
        eyeballs: Any = {"happy_eyeballs_delay": 0.25} if isinstance(loop, asyncio.BaseEventLoop) else {}
        try:
            async with asyncio.timeout_at(until):
                _, connection = await loop.create_connection(
                    lambda: Connection(loop),
                    road.host,
                    road.port,
                    ssl=road.tls,
                    server_hostname=road.host if road.tls is not None else None,
                    **eyeballs,
                )
        except TimeoutError:
            if loop.time() >= until:
                raise
            raise ConnectionError from None  # the system's own time-out, which is an unreachable server
        self._open.add(connection)
        return connection

    def _give_back(self, connection: Connection, *, whole: bool) -> None:
        if not (whole and connection.usable):
            self._drop(connection)
            return
        connection.limit(asyncio.get_running_loop().time() + _IDLE_S)
        self._idle.append(connection)

    def _drop(self, connection: Connection) -> None:
        self._open.discard(connection)
        connection.abort()
