"""A TCP proxy in front of any server, with toxics on its connections."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from typing import Self

import numpy as np

from crisis_filter.drill.toxics import Link, Piece, Pipe, Stream, Toxic
from crisis_filter.errors import ConfigurationError

__all__ = ["TcpProxy"]

_PIECE_BYTES = 32 * 2**10
_Side = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class TcpProxy:
    """Listens on the loopback and passes on to a server; an async context manager.

    Args:
        upstream: `HOST:PORT` of the server; an IPv6 address stands in brackets.
        toxics: in the order that a piece meets them.
        rng: draws which connections are poisoned, and the toxics' jitter and sizes.
        host: address to listen on.
        port: to listen on; 0 takes a free one.

    Raises:
        ConfigurationError: `upstream` is no address; on entering, when the port cannot be listened on.
    """

    def __init__(
        self,
        upstream: str,
        toxics: Sequence[Toxic],
        rng: np.random.Generator,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        name, _, number = upstream.rpartition(":")
        if not name or not number.isdecimal():
            raise ConfigurationError("the server behind the proxy is given as HOST:PORT")
        self._upstream = name.strip("[]"), int(number)
        self._toxics = tuple(toxics)
        self._rng = rng
        self._host = host
        self._port = port
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return self._port

    async def __aenter__(self) -> Self:
        """Listen."""
        try:
            self._server = await asyncio.start_server(self._accept, self._host, self._port, backlog=1024)
        except OSError as error:
            raise ConfigurationError(f"{self._host}:{self._port} cannot be listened on: {error.strerror}") from None
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the port and all connections."""
        if self._server is None:
            return
        self._server.close()
        links = list(self._links)
        for link in links:
            link.cancel()
        await asyncio.gather(*links, return_exceptions=True)
        await self._server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Not a coroutine: the tasks are ours, so that they can be awaited at the end.
        link = asyncio.get_running_loop().create_task(self._link((reader, writer)))
        self._links.add(link)
        link.add_done_callback(self._links.discard)

    async def _link(self, client: _Side) -> None:
        writers = [client[1]]
        chosen = [toxic for toxic in self._toxics if self._rng.random() < toxic.toxicity]
        try:
            server = await asyncio.open_connection(*self._upstream)
            writers.append(server[1])
            link = Link(self._rng, asyncio.Event(), lambda: _reset(*writers))
            forth = asyncio.ensure_future(_direction(client[0], server[1], _of("upstream", chosen), link, client=True))
            try:
                await _direction(server[0], client[1], _of("downstream", chosen), link, client=False)
            finally:
                forth.cancel()
                await asyncio.gather(forth, return_exceptions=True)
        except OSError:  # there is no server
            _reset(client[1])
        except asyncio.CancelledError:
            # What is still in a buffer for somebody who does not read would keep us here.
            for writer in writers:
                writer.transport.abort()
            raise
        finally:
            for writer in writers:
                await _close(writer)


def _of(stream: Stream, toxics: Sequence[Toxic]) -> list[Toxic]:
    return [toxic for toxic in toxics if toxic.stream == stream]


async def _direction(
    source: asyncio.StreamReader, target: asyncio.StreamWriter, toxics: Sequence[Toxic], link: Link, *, client: bool
) -> None:
    """Pass everything on from one side to the other, through the toxics, and then close the other."""
    pipes = [Pipe() for _ in range(len(toxics) + 1)]
    stages = [asyncio.ensure_future(_fill(source, pipes[0], link, client=client))]
    stages += [
        asyncio.ensure_future(toxic.pipe(before, after, link))
        for toxic, before, after in zip(toxics, pipes[:-1], pipes[1:], strict=True)
    ]
    try:
        with suppress(ConnectionError):
            async for piece in pipes[-1].pieces():
                if target.is_closing():
                    break
                target.write(piece.data)
                await target.drain()
    finally:
        for stage in stages:
            stage.cancel()
        await asyncio.gather(*stages, return_exceptions=True)
        target.close()


async def _fill(source: asyncio.StreamReader, pipe: Pipe, link: Link, *, client: bool) -> None:
    loop = asyncio.get_running_loop()
    with suppress(ConnectionError):
        while data := await source.read(_PIECE_BYTES):
            await pipe.put(Piece(data, loop.time()))
    if client:
        link.left.set()
    await pipe.end()


def _reset(*writers: asyncio.StreamWriter) -> None:
    for writer in writers:
        own = writer.get_extra_info("socket")
        with suppress(OSError):  # it has gone already
            if own is not None:
                own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
