"""One account's limits for several workers: a broker leases allowance in blocks of about a second.

So a worker asks once for some hundreds of requests, the limit holds over all of them, and nobody has to know how many there are. What
was leased counts as used, for of a worker that was killed nobody could say otherwise; a lease runs out after a few seconds, and what
a silent worker does not ask for the others get.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from crisis_filter.batch.rate_bucket import Bucket, Limits

__all__ = ["Ask", "Broker", "BrokerLeases", "Grant", "Leases"]


@dataclass(frozen=True, slots=True)
class Ask:
    """What a worker says to the broker."""

    tokens: float = 0.0
    """The least that it needs at once, for a request that is larger than a block; 0 for a usual block."""
    hold_s: float = 0.0
    """Seconds for which the server wants no requests from anybody; 0 when it did not say so."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What the broker answers."""

    requests: float
    """That may be sent; infinite where there is no limit on them; 0 when there is nothing at the moment."""
    tokens: float
    """The same of tokens."""
    good_s: float
    """Seconds, from when it was asked for, until which they may be used."""
    again_s: float
    """Seconds before which it makes no sense to ask again."""
    rate: float
    """Requests a second at which to send them; infinite where there is no limit on them."""


class Leases(Protocol):
    """The broker, from a worker's side."""

    async def lease(self, ask: Ask) -> Grant:
        """Ask for a block.

        Raises:
            OSError: the broker cannot be reached.
            ConfigurationError: it does not know us.
        """
        ...

    async def aclose(self) -> None:
        """Give everything back. Calling it twice does nothing."""
        ...


_HEAD_START = 1.25
"""A worker may send faster than its share by so much, or a short stall would never be made up for."""
_GAP = 0.125
"""Blocks' time between two questions of a worker, so that small parts do not become many questions."""
_LEAST_WAIT_S = 0.02
# Of the arithmetic; owed to the next lease.
_REST = 1e-9


@dataclass(slots=True)
class _Worker:
    seen: float
    credit: float
    """Blocks that it may have."""
    income: float = 0.0
    """Blocks a second that it was granted lately."""
    waiting: bool = False
    """Whether it got less than its credit the last time."""


class Broker:
    """Holds an account's limits and leases them out; pure but for its clock, and for one thread.

    Over any span of `t` seconds no more is granted than the limits allow in `t`, and one block besides; and nothing besides in the
    time after its making, for it begins empty.

    Args:
        limits: of the account; `share` applies, `burst_s` does not.
        block_s: seconds' worth of the limits in a block for all workers together, above 0.
        good_s: seconds for which a lease is good, and after which a silent worker is forgotten; at least `block_s`.
        clock: seconds on a clock that never goes back.

    Raises:
        ValueError: `block_s` or `good_s` is out of its range.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        block_s: float = 1.0,
        good_s: float = 3.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not 0 < block_s <= good_s:
            raise ValueError("block_s is above 0 and no longer than good_s")
        self._clock = clock
        self._block_s = block_s
        self._good_s = good_s
        now = clock()
        self._requests = _bucket(limits.requests_per_minute, limits.share, block_s, now)
        self._tokens = _bucket(limits.tokens_per_minute, limits.share, block_s, now)
        self._workers: dict[str, _Worker] = {}
        self._held_until = -math.inf

    @property
    def workers(self) -> int:
        """Those that asked lately."""
        self._forget(self._clock())
        return len(self._workers)

    def lease(self, worker: str, ask: Ask) -> Grant:
        """One block for a worker, or as much of it as there is.

        Args:
            worker: who asks; the same name each time.
            ask: what it says.
        """
        now = self._clock()
        self._forget(now)
        known = self._workers.get(worker)
        if known is None:
            known = self._workers[worker] = _Worker(now, credit=_GAP)
        passed, known.seen = max(now - known.seen, _LEAST_WAIT_S), now
        part = self._part(known)
        known.credit = min(1.0, known.credit + part * passed)
        if ask.hold_s > 0:
            self._held_until = max(self._held_until, now + ask.hold_s)
        requests, tokens = self._taken(known, ask, now) if now >= self._held_until else (0.0, 0.0)
        given = max(_blocks(self._requests, requests), _blocks(self._tokens, tokens))
        known.credit -= given
        known.income += (given / passed - known.income) * (1 - math.exp(-passed / self._block_s))
        again_s = max(_LEAST_WAIT_S, _GAP * self._block_s, self._held_until - now)
        rate = math.inf if self._requests is None else _HEAD_START * part * self._requests.most
        return Grant(requests, tokens, self._good_s, again_s, rate)

    def forget(self, worker: str) -> None:
        """A worker has gone; the others share from now on what it would have asked for."""
        self._workers.pop(worker, None)

    def _part(self, known: _Worker) -> float:
        """Blocks a second for a worker: its share, or what the others leave where that is more."""
        others = sum(one.income for one in self._workers.values() if one is not known)
        return max(1 / (len(self._workers) * self._block_s), 1 / self._block_s - others)

    def _taken(self, known: _Worker, ask: Ask, now: float) -> tuple[float, float]:
        """What a worker gets of both; nothing where it would not do for one request."""
        # One in debt waits for nothing that is there.
        waiting = [one.credit for one in self._workers.values() if one.waiting and one is not known and one.credit > 0]
        # Whoever happens to ask first must not take what others wait for.
        share = known.credit / (known.credit + sum(waiting)) if known.credit > 0 else 0.0
        first = known.credit >= max(waiting, default=0.0)
        requests = tokens = math.inf
        if self._requests is not None:
            level = self._requests.fill(now)
            requests = math.floor(min(level * share, known.credit * self._requests.most) + _REST)
            requests = 1.0 if requests < 1 <= level + _REST and first else float(requests)
        if self._tokens is not None:
            level = self._tokens.fill(now)
            tokens = min(level * share, known.credit * self._tokens.most)
            tokens = min(level, max(tokens, ask.tokens)) if first else tokens
        enough = requests >= 1 and tokens > 0
        known.waiting = not enough or share < 1
        if not enough:
            return 0.0, 0.0
        if self._requests is not None:
            self._requests.take(requests)
        if self._tokens is not None:
            self._tokens.take(tokens)
        return requests, tokens

    def _forget(self, now: float) -> None:
        self._workers = {name: one for name, one in self._workers.items() if now - one.seen <= self._good_s}


class BrokerLeases:
    """A broker of the same process and thread, as a worker sees it."""

    def __init__(self, broker: Broker, worker: str) -> None:
        self._broker = broker
        self._worker = worker

    async def lease(self, ask: Ask) -> Grant:
        """Ask for a block."""
        return self._broker.lease(self._worker, ask)

    async def aclose(self) -> None:
        """Be forgotten."""
        self._broker.forget(self._worker)


def _bucket(per_minute: float | None, share: float, block_s: float, now: float) -> Bucket | None:
    if per_minute is None:
        return None
    rate = per_minute / 60 * share
    return Bucket(rate, max(1.0, rate * block_s), now, level=0.0)


def _blocks(bucket: Bucket | None, units: float) -> float:
    """Units as blocks."""
    return 0.0 if bucket is None else units / bucket.most
