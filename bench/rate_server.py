"""A small HTTP server with the limits of a model endpoint: a token bucket that says 429, or places that let a queue grow.

    python -m bench.rate_server '{"rate": 200, "latency_s": 0.2}'

Prints its port. Runs until it is terminated.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Plan", "RateServer"]


@dataclass(frozen=True, slots=True)
class Plan:
    """How a server behaves."""

    rate: float | None = None
    """Requests a second; 0 refuses all, `None` is no limit."""
    tokens_rate: float | None = None
    """Tokens a second; `None` is no limit."""
    holds_s: float = 1.0
    """Seconds' worth that both buckets hold; full at first."""
    tokens: int = 100
    """What a request uses."""
    latency_s: float = 0.1
    """Of a request that is computed."""
    places: int | None = None
    """Requests that are computed at once; others queue. `None` is no limit."""
    retry_after_s: int | None = None
    """What a 429 asks for."""
    chance: float = 0.0
    """Share of requests that are refused with a 429 whatever the rate."""

    def best(self) -> float:
        """Requests a second that it can answer in the long run; infinity where only the latency limits."""
        known = [
            self.rate,
            None if self.tokens_rate is None else self.tokens_rate / self.tokens,
            None if self.places is None else self.places / self.latency_s,
        ]
        return min((one for one in known if one is not None), default=float("inf"))

    def as_dict(self) -> dict[str, Any]:
        """For the command line."""
        return dataclasses.asdict(self)


class RateServer:
    """Its state; belongs to one event loop."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.asked = self.refused = 0
        self._loop = asyncio.get_running_loop()
        self._at = self._loop.time()
        self._requests = (plan.rate or 0.0) * plan.holds_s
        self._tokens = (plan.tokens_rate or 0.0) * plan.holds_s
        self._busy = 0
        self._queue: deque[_Http] = deque()
        self._chances = np.random.default_rng(7)

    def asks(self, connection: _Http) -> None:
        """One request has come."""
        self.asked += 1
        if self._chances.random() < self.plan.chance or not self._admits():
            self.refused += 1
            connection.say(429, {})
        elif self.plan.places is not None and self._busy >= self.plan.places:
            self._queue.append(connection)
        else:
            self._compute(connection)

    def _compute(self, connection: _Http) -> None:
        self._busy += 1
        self._loop.call_later(self.plan.latency_s, self._done, connection)

    def _done(self, connection: _Http) -> None:
        self._busy -= 1
        connection.say(200, {"tokens": self.plan.tokens})
        if self._queue:
            self._compute(self._queue.popleft())

    def _admits(self) -> bool:
        plan, now = self.plan, self._loop.time()
        passed, self._at = now - self._at, now
        if plan.rate is not None:
            self._requests = min(plan.rate * plan.holds_s, self._requests + passed * plan.rate)
            if self._requests < 1:
                return False
        if plan.tokens_rate is not None:
            self._tokens = min(plan.tokens_rate * plan.holds_s, self._tokens + passed * plan.tokens_rate)
            if self._tokens < plan.tokens:
                return False
        self._requests -= 1
        self._tokens -= plan.tokens
        return True


class _Http(asyncio.Protocol):
    """One connection, one request after another, each with a body of the length it names."""

    def __init__(self, server: RateServer) -> None:
        self._server = server
        self._held = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._held += data
        head, mark, body = self._held.partition(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        if mark and len(body) >= length:
            self._held = body[length:]
            self._server.asks(self)

    def say(self, status: int, body: dict[str, Any]) -> None:
        """Answer what was asked."""
        after = self._server.plan.retry_after_s
        extra = f"retry-after: {after}\r\n" if status == 429 and after is not None else ""
        text = json.dumps(body)
        answer = f"HTTP/1.1 {status} x\r\n{extra}content-length: {len(text)}\r\n\r\n{text}"
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(answer.encode("ascii"))


async def serve(plan: Plan) -> asyncio.Server:
    """Listen on the loopback, at any free port."""
    server = RateServer(plan)
    return await asyncio.get_running_loop().create_server(lambda: _Http(server), "127.0.0.1", 0)


async def _main() -> None:
    listening = await serve(Plan(**json.loads(sys.argv[1])))
    print(listening.sockets[0].getsockname()[1], flush=True)
    await listening.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main())
