"""A loop whose time passes only when everybody waits, and servers of several tempers on it: minutes of a run in milliseconds."""

from __future__ import annotations

import asyncio
import selectors
from collections import deque
from dataclasses import dataclass, field

from crisis_filter.errors import BackendError

UNTOUCHED = {"seconds": 0.1, "tokens": None, "throttled": False, "retry_after_s": None, "failed": False}
"""What a gate is told of an ordinary reply, but for the estimate."""


class _Selector(selectors.DefaultSelector):
    loop: VirtualLoop

    def select(self, timeout=None):
        found = super().select(0)
        if not found:
            if timeout is None:
                raise AssertionError("everybody waits, and for nothing")
            self.loop.now += max(0.0, timeout)
        return found


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self):
        selector = _Selector()
        selector.loop = self
        self.now = 0.0
        super().__init__(selector)

    def time(self):
        return self.now


def in_virtual_time(scene, *, limit_s=3600.0):
    """Run `scene(loop)` to its end; returns what it returns and how long it took."""
    loop = VirtualLoop()
    try:
        result = loop.run_until_complete(asyncio.wait_for(scene(loop), limit_s))
        return result, loop.now
    finally:
        loop.close()


@dataclass
class Server:
    """Answers after `latency_s`, or says 429 when its bucket is empty."""

    loop: VirtualLoop
    rate: float = float("inf")
    """Requests a second."""
    holds: float | None = None
    """Requests its bucket holds; `None` is a second's worth."""
    latency_s: float = 0.2
    retry_after_s: float | None = None
    tokens_rate: float = float("inf")
    places: int | None = None
    """Requests it computes at once; others queue. `None` is no limit."""
    hard: bool = False
    """Says nothing but 429."""
    rng: object = None
    """Varies the latency when given."""
    chance: float = 0.0
    """Share of requests refused whatever the rate, as `chances` draws them."""
    chances: object = None
    asked: int = 0
    refused: int = 0
    longest_queue: int = 0
    times: list = field(default_factory=list)
    """When it let one through."""
    refusals: list = field(default_factory=list)

    def __post_init__(self):
        self.holds = self.rate if self.holds is None else self.holds
        self._level, self._tokens, self._at = self.holds, self.tokens_rate, self.loop.time()
        self._busy, self._queue = 0, deque()

    def limit(self, rate):
        """Another rate from now on."""
        self._admits(0)
        self.rate = self.holds = rate
        self._level = min(self.holds, self._level)

    def _admits(self, tokens):
        if self.chance and self.chances.random() < self.chance:
            return False
        now = self.loop.time()
        passed, self._at = now - self._at, now
        if self.rate != float("inf"):
            self._level = min(self.holds, self._level + passed * self.rate)
        if self.tokens_rate != float("inf"):
            self._tokens = min(self.tokens_rate, self._tokens + passed * self.tokens_rate)
        if self.hard or self._level < 1 or self._tokens < 0:
            return False
        self._level -= 1
        self._tokens -= tokens
        return True

    async def answer(self, tokens=0):
        """Whether it was answered; `False` is a 429, which comes soon."""
        self.asked += 1
        if not self._admits(tokens):
            self.refused += 1
            self.refusals.append(self.loop.time())
            await asyncio.sleep(min(0.02, self.latency_s))
            return False
        self.times.append(self.loop.time())
        latency = self.latency_s if self.rng is None else self.latency_s * self.rng.gamma(4.0, 0.25)
        if self.places is None:
            await asyncio.sleep(latency)
            return True
        if self._busy >= self.places:
            turn = self.loop.create_future()
            self._queue.append(turn)
            self.longest_queue = max(self.longest_queue, len(self._queue))
            await turn
        else:
            self._busy += 1
        await asyncio.sleep(latency)
        if self._queue:
            self._queue.popleft().set_result(None)
        else:
            self._busy -= 1
        return True


@dataclass
class Ran:
    """What a run came to."""

    answered: int = 0
    seconds: float = 0.0
    errors: list = field(default_factory=list)
    ended_at: list = field(default_factory=list)


async def run(loop, gate, server, *, workers, seconds, tokens=0, used=None):
    """`workers` ask without a pause for `seconds`, each again what was refused."""
    ran, end = Ran(), loop.time() + seconds

    async def work():
        while loop.time() < end:
            try:
                await gate.enter(tokens)
            except BackendError as error:
                ran.errors.append(error)
                ran.ended_at.append(loop.time())
                return
            begun = loop.time()
            answered = await server.answer(tokens if used is None else used)
            ran.answered += answered
            gate.leave(
                estimated=tokens,
                seconds=loop.time() - begun,
                tokens=tokens if used is None else used,
                throttled=not answered,
                retry_after_s=None if answered else server.retry_after_s,
                failed=False,
            )

    begun = loop.time()
    await asyncio.gather(*(work() for _ in range(workers)))
    ran.seconds = loop.time() - begun
    return ran


@dataclass
class Window(Server):
    """A limit of another kind: so many requests in each stretch of time, counted anew in the next."""

    quota: int = 100
    window_s: float = 10.0
    tells: bool = False
    """Whether it says `Retry-After`, until the stretch ends."""

    def __post_init__(self):
        super().__post_init__()
        self._counted = (-1, 0)

    def _admits(self, tokens):
        number = int(self.loop.time() // self.window_s)
        count = self._counted[1] if self._counted[0] == number else 0
        self.retry_after_s = (number + 1) * self.window_s - self.loop.time() if self.tells else None
        if count >= self.quota:
            return False
        self._counted = (number, count + 1)
        return True
