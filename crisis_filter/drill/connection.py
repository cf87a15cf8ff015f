"""One connection to the fault server: requests in, responses out in the way their act says."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Protocol, cast

from crisis_filter.drill.http import HttpRequest, RequestReader, Response, UnreadableError, head_of

_PIECE = b" " * 65536
# So that what was sent before a reset arrives before it.
_RESET_AFTER_S = 0.02
_ENDING = frozenset({"close", "cut", "garbage", "refuse", "reset", "unfinished_chunks"})
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Site(Protocol):
    """What a connection needs of the server."""

    drip_s: float
    """Seconds between two bytes of a dripping body."""

    def arrived(self, request: HttpRequest, connection: Connection) -> None:
        """Take a request; the response comes by `Connection.respond`, now or later."""
        ...

    def opened(self, connection: Connection) -> None:
        """A client has connected."""
        ...

    def lost(self, connection: Connection) -> None:
        """The connection is gone."""
        ...


class Connection(asyncio.Protocol):
    """Answers the requests of one client in the order they come."""

    def __init__(self, server: Site) -> None:
        self._server = server
        self._reader = RequestReader()
        self._busy = False
        self._keep_alive = True
        self._transport: asyncio.Transport | None = None
        self._sending: asyncio.Task[None] | None = None
        self._timers: list[asyncio.TimerHandle] = []
        self._writable = asyncio.Event()
        self._writable.set()

    @property
    def sending(self) -> asyncio.Task[None] | None:
        """The task of a response that takes a while."""
        return self._sending

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        self._transport = cast("asyncio.Transport", transport)
        self._server.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """The client is gone: what was under way for it ends."""
        self._transport = None
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        if self._sending is not None:
            self._sending.cancel()
        self._server.lost(self)

    def pause_writing(self) -> None:
        """The client reads slower than is sent."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        """More of a request."""
        self._reader.feed(data)
        self._next()

    def eof_received(self) -> bool:
        """The client has hung up: what it still waits for is dropped."""
        return False

    def _next(self) -> None:
        if self._busy or self._transport is None:
            return
        try:
            request = self._reader.take()
        except UnreadableError as error:
            self._busy, self._keep_alive = True, False
            self.respond(Response(b'{"error": {"message": "no HTTP request that is read here"}}', error.status))
            return
        if request is None:
            if self._reader.waits_for_leave():
                self._transport.write(_CONTINUE)
            return
        self._busy, self._keep_alive = True, request.keep_alive
        self._server.arrived(request, self)

    def later(self, delay_s: float, what: Callable[[], None]) -> None:
        """Do something after a delay, unless the client has gone by then."""
        loop = asyncio.get_running_loop()
        self._timers = [timer for timer in self._timers if timer.when() > loop.time()]
        self._timers.append(loop.call_later(delay_s, what))

    def respond(self, response: Response) -> None:
        """Send the response to the request that is waiting; nothing happens when the client has gone."""
        transport = self._transport
        if transport is None:
            return
        if response.act in _ENDING:
            self._keep_alive = False
            self._end_badly(response, transport)
            return
        if response.act == "hang":
            return
        head = head_of(response, keep_alive=self._keep_alive)
        transport.write(head if response.act in ("drip", "hang_body") else head + response.body)
        if response.act == "drip":
            self._sending = asyncio.get_running_loop().create_task(self._drip(response.body))
        elif response.padding:
            self._sending = asyncio.get_running_loop().create_task(self._pad(response.padding))
        elif response.act != "hang_body":
            self._done()

    def _end_badly(self, response: Response, transport: asyncio.Transport) -> None:
        """Send what the act leaves of a response, and end the connection."""
        head, body = head_of(response, keep_alive=True), response.body
        match response.act:
            case "garbage":
                transport.write(body)
            case "cut":
                transport.write(head + body[:-1])
            case "unfinished_chunks":
                transport.write(head + f"{len(body):x}\r\n".encode() + body + b"\r\n")
            case "reset":
                transport.write(head + body[: len(body) // 2])
                self.later(_RESET_AFTER_S, self.reset)
                return
            case "refuse":
                self.reset()
                return
            case _:
                pass
        transport.close()

    def reset(self) -> None:
        """End the connection with a TCP reset."""
        if self._transport is None:
            return
        own = self._transport.get_extra_info("socket")
        if own is not None:
            own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def _done(self) -> None:
        if self._transport is None:
            return
        self._busy = False
        if self._keep_alive:
            self._next()
        else:
            self._transport.close()

    async def _drip(self, body: bytes) -> None:
        for byte in body:
            if self._transport is None or self._transport.is_closing():
                return
            self._transport.write(bytes((byte,)))
            await asyncio.sleep(self._server.drip_s)
        self._done()

    async def _pad(self, size: int) -> None:
        # Writing to a client that has gone is only warned of, again and again.
        while size > 0 and self._transport is not None and not self._transport.is_closing():
            piece = _PIECE[:size]
            self._transport.write(piece)
            size -= len(piece)
            await self._writable.wait()
        self._done()
