"""The broker over a socket, for workers in other processes.

A line each way. The server begins with `leases 1 CHALLENGE`; the worker answers with a keyed hash of the challenge, so that the token
itself never travels; then each `lease` line is answered by a `grant` line. Lines are short and connections are few, or they are
closed. Whoever can read the wire can see numbers of requests and nothing else.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import math
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import astuple

from crisis_filter.batch.lease import Ask, Broker, Grant
from crisis_filter.errors import ConfigurationError

__all__ = ["TcpLeases", "serve_leases"]

_HELLO = "leases 1"
_LONGEST_LINE = 256
_MOST_WORKERS = 1024
_FIRST_LINE_S = 5.0
_ANSWER_S = 5.0
_LEAST_TOKEN = 16
# What the streams may raise when the other side is gone, slow, or says too much.
_GONE = (OSError, EOFError, TimeoutError, ValueError)


@asynccontextmanager
async def serve_leases(
    broker: Broker, token: str, *, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[tuple[str, int]]:
    """Lease to workers elsewhere while the block lasts.

    Args:
        broker: belongs to this event loop from now on.
        token: what workers must know; at least 16 characters.
        host: where to listen.
        port: 0 takes any free one.

    Yields:
        Host and port.

    Raises:
        ConfigurationError: the token is short, or the port cannot be had.
    """
    if len(token) < _LEAST_TOKEN:
        raise ConfigurationError(f"the broker's token needs at least {_LEAST_TOKEN} characters")
    desk = _Desk(broker, token)
    try:
        server = await asyncio.start_server(desk.attend, host, port, limit=_LONGEST_LINE)
    except OSError as error:
        raise ConfigurationError(f"the broker cannot listen on {host}:{port}: {error.strerror}") from None
    try:
        address = server.sockets[0].getsockname()
        yield str(address[0]), int(address[1])
    finally:
        server.close()
        await desk.close()


class _Desk:
    """The server's side of all connections."""

    def __init__(self, broker: Broker, token: str) -> None:
        self._broker = broker
        self._token = token
        self._tasks: set[asyncio.Task[None]] = set()
        self._came = 0

    async def attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One worker, until it goes."""
        task = asyncio.current_task()
        if task is None or len(self._tasks) >= _MOST_WORKERS:
            writer.close()
            return
        self._tasks.add(task)
        self._came += 1
        worker = f"{self._came}"
        try:
            with suppress(*_GONE):
                await self._serve(reader, writer, worker)
        except asyncio.CancelledError:
            pass  # the server closes
        finally:
            self._broker.forget(worker)
            self._tasks.discard(task)
            writer.close()

    async def close(self) -> None:
        """End all connections."""
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1.0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, worker: str) -> None:
        challenge = secrets.token_hex(16)
        writer.write(f"{_HELLO} {challenge}\n".encode("ascii"))
        async with asyncio.timeout(_FIRST_LINE_S):
            said = await _line(reader)
        if not hmac.compare_digest(said.encode(), _mac(self._token, challenge).encode()):
            writer.write(b"unknown\n")
            await writer.drain()
            return
        writer.write(b"welcome\n")
        while True:
            ask = _ask_of(await _line(reader))
            grant = self._broker.lease(worker, ask)
            writer.write(("grant " + _numbers(astuple(grant)) + "\n").encode("ascii"))
            await writer.drain()


class TcpLeases:
    """A broker elsewhere, as a worker sees it; connects when first asked, and again after trouble.

    Args:
        host: of the broker.
        port: of the broker.
        token: the broker's.
    """

    def __init__(self, host: str, port: int, token: str) -> None:
        self._host = host
        self._port = port
        self._token = token
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    def __repr__(self) -> str:
        return f"TcpLeases({self._host}:{self._port})"

    async def lease(self, ask: Ask) -> Grant:
        """Ask for a block; see `Leases.lease`."""
        try:
            async with asyncio.timeout(_ANSWER_S):
                reader, writer = self._streams or await self._connect()
                writer.write(("lease " + _numbers(astuple(ask)) + "\n").encode("ascii"))
                await writer.drain()
                return _grant_of(await _line(reader))
        except _GONE as error:
            self._drop()
            raise ConnectionError(f"the broker did not answer: {type(error).__name__}") from None
        except BaseException:
            self._drop()  # an answer that nobody read must not be taken for the next one's
            raise

    async def aclose(self) -> None:
        """Close the connection."""
        self._drop()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(self._host, self._port, limit=_LONGEST_LINE)
        self._streams = reader, writer
        hello, _, challenge = (await _line(reader)).rpartition(" ")
        if hello != _HELLO:
            raise ConfigurationError(f"{self._host}:{self._port} is no broker of rates of this version")
        writer.write(f"{_mac(self._token, challenge)}\n".encode("ascii"))
        if await _line(reader) != "welcome":
            raise ConfigurationError(f"the broker at {self._host}:{self._port} does not know the token")
        return reader, writer

    def _drop(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


def _mac(token: str, challenge: str) -> str:
    key = hashlib.blake2b(token.encode()).digest()
    return hashlib.blake2b(challenge.encode(), key=key, digest_size=32).hexdigest()


async def _line(reader: asyncio.StreamReader) -> str:
    """One line without its end.

    Raises:
        EOFError: the other side has gone, perhaps in the middle of it.
        ValueError: it is too long, or not ASCII.
    """
    line = await reader.readline()
    if not line.endswith(b"\n"):
        raise EOFError
    return line[:-1].decode("ascii")


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(f"{float(value):.6f}" for value in values)


def _ask_of(line: str) -> Ask:
    return Ask(*_read(line, "lease", 2, finite=True))


def _grant_of(line: str) -> Grant:
    return Grant(*_read(line, "grant", 5, finite=False))


def _read(line: str, word: str, count: int, *, finite: bool) -> list[float]:
    """Numbers that are none below zero.

    Raises:
        ValueError: the line is another.
    """
    said, *rest = line.split(" ")
    values = [float(one) for one in rest]
    odd = any(math.isnan(one) or one < 0 or (finite and math.isinf(one)) for one in values)
    if said != word or len(values) != count or odd:
        raise ValueError("another line was expected")
    return values
