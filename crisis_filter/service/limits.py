"""How much of what one caller may use: requests a minute for a key, bytes of a body, bytes in memory for all, and time.

What is refused here is refused before it is accepted, and says so.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from crisis_filter.service.problems import Problem, problem_response

__all__ = ["BodyLimit", "BodyLimits", "Deadline", "RateLimit"]

_ResultT = TypeVar("_ResultT")
DEADLINE_HEADER = "X-Deadline-Ms"


class RateLimit:
    """Requests a minute of each key, in this process: a window that slides, so that no burst doubles at the turn of a minute.

    With several processes each counts for itself.

    Args:
        clock: seconds since 1970, for `Retry-After`; the library counts by the system's own.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._storage = MemoryStorage()
        self._limiter = SlidingWindowCounterRateLimiter(self._storage)

    def take(self, key_id: str, per_minute: int | None, *, cost: int = 1) -> None:
        """Count a request.

        Args:
            key_id: id of the key, never the key.
            per_minute: how many; `None` for no limit.
            cost: how much it counts, such as its messages.

        Raises:
            Problem: `rate_limited`, with the seconds until there is room; `too_large` where it costs more than a whole minute allows, so that coming
                again helps nobody. What is refused is not counted.
        """
        if per_minute is None:
            return
        if cost > per_minute:
            raise Problem(
                "too_large", f"This key may send {per_minute} a minute, and this is more at once. Nothing was accepted."
            )
        item = RateLimitItemPerMinute(per_minute)
        if not self._limiter.hit(item, key_id, cost=cost):
            raise Problem("rate_limited", retry_after_s=self._wait_s(item, key_id))

    def _wait_s(self, item: RateLimitItemPerMinute, key_id: str) -> float:
        return min(60.0, max(1.0, self._limiter.get_window_stats(item, key_id).reset_time - self._clock()))


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """Bytes and seconds of bodies."""

    most_bytes: int = 2_000_000
    """Of one body."""
    most_bytes_at_once: int = 64_000_000
    """Of all bodies that are held in this process, from their first byte to the end of the answer."""
    within_s: float = 15.0
    """For a body to arrive whole."""
    drain_bytes: int = 16_000_000
    """Read and thrown away after a refusal, so that a sender that only writes gets to read the answer."""
    drain_s: float = 2.0


class BodyLimit:
    """Reads a body whole before the app sees the request, and refuses one that is too large, too slow, or too much beside all others.

    Args:
        app: what is wrapped.
        limits: how much.
    """

    def __init__(self, app: ASGIApp, limits: BodyLimits | None = None) -> None:
        self._app = app
        self._limits = limits or BodyLimits()
        self.held = 0
        """Bytes of bodies in memory now."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(self, self._limits)
        try:
            try:
                declared = _declared(scope, self._limits.most_bytes)
                async with asyncio.timeout(self._limits.within_s):
                    whole = await body.read(receive, declared)
            except TimeoutError:
                await _refuse(Problem("request_timeout", headers=_CLOSE), scope, receive, send)
                return
            except Problem as problem:
                # What came so far is let go of before the rest is thrown away.
                body.let_go()
                if not body.ended and "expect" not in Headers(scope=scope):
                    # Whoever asked for leave to send has not begun.
                    await self._drain(receive)
                await _refuse(problem, scope, receive, send)
                return
            if whole is not None:
                await self._app(scope, _replay(whole, receive), send)
        finally:
            body.let_go()

    async def _drain(self, receive: Receive) -> None:
        left = self._limits.drain_bytes
        try:
            async with asyncio.timeout(self._limits.drain_s):
                while left > 0:
                    message = await receive()
                    left -= len(message.get("body", b""))
                    if message["type"] != "http.request" or not message.get("more_body"):
                        return
        except TimeoutError:
            return


_CLOSE = {"Connection": "close"}


class _Body:
    """One body on its way in, counted against all others."""

    def __init__(self, limit: BodyLimit, limits: BodyLimits) -> None:
        self._limit = limit
        self._limits = limits
        self._counted = 0
        self.ended = False
        """Whether its last byte has come."""

    async def read(self, receive: Receive, declared: int | None) -> bytes | None:
        """The whole; `None` when whoever sent it has gone.

        Raises:
            Problem: it is too large, or too much beside all others.
        """
        # Room for what is announced is taken at once, or many large bodies would all be let in and then be refused half-way.
        self._count(declared or 0)
        got = bytearray()
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return None
            self.ended = not message.get("more_body")
            got += message.get("body", b"")
            if len(got) > self._limits.most_bytes:
                got.clear()
                raise Problem("too_large", headers=_CLOSE)
            self._count(len(got) - self._counted)
            if self.ended:
                return bytes(got)

    def let_go(self) -> None:
        """Give its room back."""
        self._limit.held -= self._counted
        self._counted = 0

    def _count(self, more: int) -> None:
        if more <= 0:
            return
        if self._limit.held + more > self._limits.most_bytes_at_once:
            raise Problem("overloaded", headers=_CLOSE)
        self._limit.held += more
        self._counted += more


def _declared(scope: Scope, most: int) -> int | None:
    """The length that the header announces; `None` where it announces none.

    Raises:
        Problem: it is too large, or no number.
    """
    text = Headers(scope=scope).get("content-length")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()):
        raise Problem("bad_request", headers=_CLOSE)
    # A number of very many digits is not read as one.
    if len(text) > 18 or int(text) > most:
        raise Problem("too_large", headers=_CLOSE)
    return int(text)


def _replay(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def again() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


async def _refuse(problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
    await problem_response(problem)(scope, receive, send)


@dataclass(frozen=True, slots=True)
class Deadline:
    """Until when an answer is wanted.

    Attributes:
        ends_s: by `clock`.
        clock: seconds that only grow, such as `time.monotonic`.
    """

    ends_s: float
    clock: Callable[[], float]

    @classmethod
    def of(cls, header: str | None, most_s: float, clock: Callable[[], float]) -> Deadline:
        """Of the header `X-Deadline-Ms`: whole milliseconds from now, at most the operator's; `None` takes the operator's.

        Raises:
            Problem: `invalid_request` where it is no whole number above 0.
        """
        if header is None:
            return cls(clock() + most_s, clock)
        if not (header.isascii() and header.isdigit() and len(header) <= 9 and int(header) > 0):
            raise Problem("invalid_request", f"`{DEADLINE_HEADER}` has to be a whole number of milliseconds above 0.")
        return cls(clock() + min(most_s, int(header) / 1000), clock)

    @property
    def left_s(self) -> float:
        """Never below 0."""
        return max(0.0, self.ends_s - self.clock())

    async def hold(self, work: Awaitable[_ResultT]) -> _ResultT:
        """Wait for work that goes on even when nobody waits for it any more.

        Raises:
            Problem: `deadline_passed`; the work itself is not stopped, for what was taken in gets its decision.
        """
        task = asyncio.ensure_future(work)
        task.add_done_callback(_look_away)
        done, _ = await asyncio.wait({task}, timeout=self.left_s)
        if not done:
            raise Problem("deadline_passed")
        return task.result()


def _look_away(task: asyncio.Future[_ResultT]) -> None:
    """Take note of an error that nobody waits for any more, or the loop would log it with its words."""
    if not task.cancelled():
        task.exception()
