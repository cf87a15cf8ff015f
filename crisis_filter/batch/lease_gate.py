"""The gate of one worker among several: its own places, and allowance leased from the broker of all."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable

import numpy as np

from crisis_filter.batch.lease import Ask, Grant, Leases
from crisis_filter.batch.rate import RateGate
from crisis_filter.batch.rate_bucket import Bucket
from crisis_filter.batch.rate_patience import PatiencePolicy
from crisis_filter.batch.rate_slots import SlotsPolicy
from crisis_filter.errors import ConfigurationError

__all__ = ["LeasedAllowance", "LeasedGate"]

_LOW = 0.5
"""A new block is asked for when so much of the last one is left, so that nobody has to wait for it."""
_BURST_S = 0.1
_RETRIES_S = (0.1, 0.2, 0.5, 1.0, 2.0, 2.0, 2.0, 2.0)


class LeasedAllowance:
    """An `Allowance` that is leased block by block. Belongs to one event loop; one question is under way at a time.

    Args:
        leases: the broker.
        clock: seconds on a clock that never goes back.

    Attributes:
        changed: called when there may be more than before; set by who waits.
        lost: called, with a few words of ours, when the broker cannot be reached any more; set likewise.
    """

    def __init__(self, leases: Leases, clock: Callable[[], float]) -> None:
        self.changed: Callable[[], None] = lambda: None
        self.lost: Callable[[str], None] = lambda _: None
        self._leases = leases
        self._clock = clock
        self._requests = self._tokens = 0.0
        self._block = (0.0, 0.0)
        self._good_until = -math.inf
        self._not_before = -math.inf
        self._hold_until = -math.inf
        self._pace: Bucket | None = None
        self._asking: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def rate(self) -> float | None:
        """Requests a second that this worker may send at present; `None` without a limit, or before the first lease."""
        return None if self._pace is None else self._pace.rate

    def wait(self, tokens: float, now: float) -> float:
        """Seconds after which to ask again; infinite while `changed` will tell. See `Allowance.wait`."""
        if now >= self._good_until:
            self._ask(tokens, now)
            return math.inf
        if self._requests < 1 or self._tokens < tokens:
            self._ask(tokens, now)
            return math.inf
        if self._requests <= _LOW * self._block[0] or self._tokens <= _LOW * self._block[1]:
            self._ask(0.0, now)
        return 0.0 if self._pace is None else self._pace.wait(1.0, now)

    def take(self, tokens: float) -> None:
        """Of the lease."""
        self._requests -= 1
        self._tokens -= tokens
        if self._pace is not None:
            self._pace.take(1.0)

    def settle(self, estimated: float, used: float) -> None:
        """Correct the tokens; what was used beyond the estimate is owed to the next lease."""
        self._tokens += estimated - used

    def give_back(self, tokens: float) -> None:
        """Into the lease."""
        self._requests += 1
        self._tokens += tokens

    def hold(self, until: float) -> None:
        """The broker is told, so that the other workers wait too."""
        self._hold_until = max(self._hold_until, until)
        if self._pace is not None:
            self._pace.hold(until)

    async def aclose(self) -> None:
        """Stop asking."""
        self._closed = True
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])
        await self._leases.aclose()

    def _ask(self, tokens: float, now: float) -> None:
        if self._asking is None and not self._closed:
            self._asking = asyncio.get_running_loop().create_task(self._asked(tokens, now))

    async def _asked(self, tokens: float, now: float) -> None:
        """One question, put again for a while when the broker does not answer."""
        try:
            await asyncio.sleep(max(0.0, self._not_before - now))
            grant = await self._granted(tokens)
        except ConfigurationError as error:
            self.lost(str(error))
            return
        finally:
            self._asking = None
        if grant is None:
            self.lost("the broker of rates cannot be reached")
        else:
            self.changed()

    async def _granted(self, tokens: float) -> Grant | None:
        for pause in (*_RETRIES_S, None):
            begun = self._clock()
            if begun >= self._good_until:  # what has run out is gone, but for what is owed
                self._requests, self._tokens = min(self._requests, 0.0), min(self._tokens, 0.0)
            ask = Ask(tokens=max(0.0, tokens - self._tokens), hold_s=max(0.0, self._hold_until - begun))
            try:
                grant = await self._leases.lease(ask)
            except OSError:
                if pause is not None:
                    await asyncio.sleep(pause)
                continue
            self._receive(grant, begun)
            return grant
        return None

    def _receive(self, grant: Grant, begun: float) -> None:
        """Add a block to what is left."""
        now = self._clock()
        self._requests += grant.requests
        self._tokens += grant.tokens
        if grant.requests > 0:
            self._block = (_finite(grant.requests), _finite(grant.tokens))
            # Counted from before the question, so that no lease is used after the broker has written it off.
            self._good_until = begun + grant.good_s
        self._not_before = now + grant.again_s
        if not math.isfinite(grant.rate):
            self._pace = None
        elif self._pace is None:
            self._pace = Bucket(grant.rate, max(1.0, grant.rate * _BURST_S), now)
        else:
            self._pace.fill(now)
            self._pace.rate, self._pace.most = grant.rate, max(1.0, grant.rate * _BURST_S)


class LeasedGate(RateGate):
    """A `RateGate` over leases; stops when the broker cannot be reached any more.

    Args:
        leases: the broker.
        slots: how this worker's places are given.
        patience: limits of waiting after a 429.
        rng: source of the jitter.
        clock: seconds on a clock that never goes back.
    """

    def __init__(
        self,
        leases: Leases,
        *,
        slots: SlotsPolicy,
        patience: PatiencePolicy,
        rng: np.random.Generator,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._leased = LeasedAllowance(leases, clock)
        super().__init__(self._leased, slots=slots, patience=patience, rng=rng, clock=clock)
        self._leased.changed = self.nudge
        self._leased.lost = self.stop

    async def aclose(self) -> None:
        """Give the leases up. Calling it twice does nothing."""
        await self._leased.aclose()


def _finite(value: float) -> float:
    """Without a limit nothing is counted."""
    return value if math.isfinite(value) else 0.0
