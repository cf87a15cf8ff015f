"""What TCP can do to a connection, under the names and with the attributes that Toxiproxy gives its toxics.

Times are in milliseconds, but the slicer's delay, which is in microseconds; a rate is in kilobytes of 1,000 bytes a second. A toxic passes
on the pieces of one direction of one connection: `upstream` from client to server, `downstream` back. It is put on a share of the
connections, `toxicity`, drawn when a client connects.

Source: the documentation of Toxiproxy, https://github.com/Shopify/toxiproxy#toxics.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from crisis_filter.errors import ConfigurationError

Stream = Literal["upstream", "downstream"]
_TICK_S = 0.1


@dataclass(frozen=True, slots=True)
class Piece:
    """Some bytes on their way."""

    data: bytes = field(repr=False)
    at: float
    """When they arrived, on the event loop's clock in seconds."""


class Pipe:
    """Between two toxics: pieces in order, few enough that a slow end slows the other one down."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Piece | None] = asyncio.Queue(maxsize=16)

    async def put(self, piece: Piece) -> None:
        """Pass a piece on; waits while the pipe is full."""
        await self._queue.put(piece)

    async def end(self) -> None:
        """Nothing more will come."""
        await self._queue.put(None)

    async def pieces(self) -> AsyncIterator[Piece]:
        """What comes, up to the end."""
        while (piece := await self._queue.get()) is not None:
            yield piece


@dataclass(frozen=True, slots=True)
class Link:
    """One proxied connection as its toxics see it."""

    rng: np.random.Generator = field(repr=False)
    left: asyncio.Event
    """Set when the client has gone."""
    reset: Callable[[], None]
    """Ends both sides with a TCP reset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Toxic:
    """Base of all toxics.

    Raises:
        ConfigurationError: a number is negative, or the toxicity above 1.
    """

    stream: Stream = "downstream"
    toxicity: float = 1.0
    """Share of the connections that it is put on, 0 to 1."""

    def __post_init__(self) -> None:
        for each in dataclasses.fields(self):
            value = getattr(self, each.name)
            if isinstance(value, int | float) and not 0 <= value < float("inf"):
                raise ConfigurationError(f"{type(self).__name__.lower()}: {each.name} must be zero or more")
        if self.toxicity > 1:
            raise ConfigurationError(f"{type(self).__name__.lower()}: toxicity is from 0 to 1")
        if self.stream not in ("upstream", "downstream"):
            raise ConfigurationError(f"{type(self).__name__.lower()}: stream is upstream or downstream")

    async def pipe(self, inbox: Pipe, outbox: Pipe, link: Link) -> None:  # noqa: ARG002
        """Pass pieces on until the end; this one changes nothing."""
        async for piece in inbox.pieces():
            await outbox.put(piece)
        await outbox.end()


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency(Toxic):
    """Every piece comes later by `latency`, give or take `jitter`."""

    latency: float = 0.0
    jitter: float = 0.0

    async def pipe(self, inbox: Pipe, outbox: Pipe, link: Link) -> None:
        """Hold each piece back for as long as it has not been on its way."""
        loop = asyncio.get_running_loop()
        async for piece in inbox.pieces():
            delay_s = max(0.0, self.latency + self.jitter * float(link.rng.uniform(-1.0, 1.0))) / 1000
            await asyncio.sleep(max(0.0, piece.at + delay_s - loop.time()))
            await outbox.put(Piece(piece.data, piece.at + delay_s))
        await outbox.end()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bandwidth(Toxic):
    """At most `rate` kilobytes a second; 0 lets nothing through."""

    rate: float = 0.0

    async def pipe(self, inbox: Pipe, outbox: Pipe, link: Link) -> None:
        """Pass on what a tenth of a second may carry, and wait for as long as that takes."""
        if self.rate == 0:
            await Timeout().pipe(inbox, outbox, link)
            return
        at_once = max(1, int(self.rate * 1000 * _TICK_S))
        loop = asyncio.get_running_loop()
        async for piece in inbox.pieces():
            for start in range(0, len(piece.data), at_once):
                part = piece.data[start : start + at_once]
                await asyncio.sleep(len(part) / (self.rate * 1000))
                await outbox.put(Piece(part, loop.time()))
        await outbox.end()


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowClose(Toxic):
    """The end of the connection comes `delay` later."""

    delay: float = 0.0

    async def pipe(self, inbox: Pipe, outbox: Pipe, link: Link) -> None:  # noqa: ARG002
        """Pass all on, wait, end."""
        async for piece in inbox.pieces():
            await outbox.put(piece)
        await asyncio.sleep(self.delay / 1000)
        await outbox.end()


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeout(Toxic):
    """Nothing gets through, and the connection ends after `timeout`; with 0 it lasts as long as the client does."""

    timeout: float = 0.0

    async def pipe(self, inbox: Pipe, outbox: Pipe, link: Link) -> None:
        """Swallow everything, then end."""
        swallowing = asyncio.ensure_future(_swallow(inbox))
        try:
            if self.timeout:
                await asyncio.sleep(self.timeout / 1000)
            else:
                await link.left.wait()
        finally:
            swallowing.cancel()
            await asyncio.gather(swallowing, return_exceptions=True)
        await outbox.end()


async def _swallow(inbox: Pipe) -> None:
    async for _ in inbox.pieces():
        pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Slicer(Toxic):
    """Pieces are cut into smaller ones of `average_size` bytes, give or take `size_variation`, `delay` microseconds apart."""

    average_size: int = 1
    size_variation: int = 0
    delay: float = 0.0

    async def pipe(self, inbox: Pipe, outbox: Pipe, link: Link) -> None:
        """Cut, pass on, wait."""
        least = self.average_size - self.size_variation
        most = self.average_size + self.size_variation
        async for piece in inbox.pieces():
            start = 0
            while start < len(piece.data):
                size = max(1, int(link.rng.integers(least, most, endpoint=True)))
                await outbox.put(Piece(piece.data[start : start + size], piece.at))
                await asyncio.sleep(self.delay / 1_000_000)
                start += size
        await outbox.end()


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitData(Toxic):
    """The connection ends after `bytes` bytes."""

    bytes: int = 0

    async def pipe(self, inbox: Pipe, outbox: Pipe, link: Link) -> None:  # noqa: ARG002
        """Pass on what is left of the limit, then end."""
        left = self.bytes
        if left > 0:
            async for piece in inbox.pieces():
                await outbox.put(Piece(piece.data[:left], piece.at))
                left -= len(piece.data)
                if left <= 0:
                    break
        await outbox.end()


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetPeer(Toxic):
    """A TCP reset `timeout` after the first byte."""

    timeout: float = 0.0

    async def pipe(self, inbox: Pipe, outbox: Pipe, link: Link) -> None:
        """Wait for the first piece, then for the time, then reset both sides."""
        async for _ in inbox.pieces():
            await asyncio.sleep(self.timeout / 1000)
            link.reset()
            break
        await outbox.end()


TOXICS: dict[str, type[Toxic]] = {
    "latency": Latency,
    "bandwidth": Bandwidth,
    "slow_close": SlowClose,
    "timeout": Timeout,
    "slicer": Slicer,
    "limit_data": LimitData,
    "reset_peer": ResetPeer,
}
"""By the name that Toxiproxy gives them."""


def parse_toxic(given: str) -> Toxic:
    """A toxic from `NAME:ATTRIBUTE=VALUE,...`, such as `latency:latency=100,jitter=10,toxicity=0.5,stream=upstream`.

    Raises:
        ConfigurationError: the name or an attribute is unknown, or a value no number in range.
    """
    name, _, rest = given.partition(":")
    kind = TOXICS.get(name)
    if kind is None:
        raise ConfigurationError(f"toxics are {', '.join(TOXICS)}")
    types = {each.name: each.type for each in dataclasses.fields(kind)}
    values: dict[str, object] = {}
    for part in filter(None, rest.split(",")):
        key, _, value = part.partition("=")
        if key not in types:
            raise ConfigurationError(f"{name} has the attributes {', '.join(types)}")
        values[key] = value if key == "stream" else _number(value, whole=types[key] == "int", place=f"{name}: {key}")
    make: Callable[..., Toxic] = kind
    return make(**values)


def _number(value: str, *, whole: bool, place: str) -> float:
    try:
        return int(value) if whole else float(value)
    except ValueError:
        raise ConfigurationError(f"{place} must be a {'whole ' if whole else ''}number") from None
