"""An app behind the real server, on loopback, and raw connections to it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterable
from typing import Any

import uvicorn


@contextlib.asynccontextmanager
async def served(app: Any) -> AsyncIterator[int]:
    """Run an app; gives the port."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_config=None, lifespan="off", ws="none", loop="asyncio", http="httptools")
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign]
    task = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        async with asyncio.timeout(5):
            while not server.started:  # noqa: ASYNC110  # it has no event to wait for
                await asyncio.sleep(0.005)
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        server.force_exit = True
        await task


async def raw(port: int, head: str, body: Iterable[bytes] = (), *, within_s: float = 20.0) -> tuple[int, str, bytes]:
    """Send a request by hand, and read until the server closes or the answer ends. Status 0: closed without an answer."""
    async with asyncio.timeout(within_s):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(head.replace("\n", "\r\n").encode() + b"\r\n\r\n")
            with contextlib.suppress(ConnectionError):
                for piece in body:
                    writer.write(piece)
                    await writer.drain()
            try:
                top = (await reader.readuntil(b"\r\n\r\n")).decode()
            except (asyncio.IncompleteReadError, ConnectionError):
                return 0, "", b""
            length = next((int(h.split(":")[1]) for h in top.lower().splitlines() if h.startswith("content-length")), 0)
            return int(top.split()[1]), top.lower(), await reader.readexactly(length)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
