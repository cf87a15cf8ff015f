"""The gate of a batch run: every HTTP request passes here, so that the endpoint is kept busy and not overrun.

Four things limit at once, each in a file of its own: what the account allows (`rate_bucket`), the rate that the server's refusals
have shown (`rate_pace`; `rate_chance` for refusals that show none), the places it serves well (`rate_slots`), and waits that it asked
for (`rate_patience`). Nothing here costs a task or a timer per request; a request that nothing limits costs a few microseconds.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from crisis_filter.batch.rate_bucket import Allowance, Buckets, Limits
from crisis_filter.batch.rate_line import Line
from crisis_filter.batch.rate_pace import Pace
from crisis_filter.batch.rate_patience import Patience, PatiencePolicy
from crisis_filter.batch.rate_slots import Slots, SlotsPolicy
from crisis_filter.errors import BackendError, Fault

__all__ = ["RateFigures", "RateGate", "rate_gate"]

_SMOOTH = 0.05
_PLACES = SlotsPolicy().most
_UNKNOWN_S = 1.0


@dataclass(frozen=True, slots=True)
class RateFigures:
    """What a gate has seen; for progress and reports."""

    requests: int
    """Sent and come back, in any way."""
    refused: int
    """Of those, with a 429."""
    failed: int
    """Of those, without a usable reply for another reason."""
    tokens: int
    """Used, or estimated where the server did not say."""
    in_flight: int
    waiting: int
    """For leave to send."""
    slots: int
    """Requests that may be on their way at once."""
    rate: float | None
    """Requests a second that are let through at most; `None` where nothing is known."""
    latency_s: float | None
    """Smoothed seconds of a request that came back; `None` before the first."""
    waited_s: float
    """Seconds until sending may begin again; 0 when it may."""
    stopped: str | None
    """Why nothing is sent any more, in words of ours; `None` while the run goes on."""


class RateGate:
    """Implements `backends.gate.Gate`. Belongs to one event loop.

    Args:
        allowance: what may be sent, as far as rates are known; see `rate_gate`.
        slots: how places are given.
        patience: limits of waiting after a 429.
        rng: source of the jitter.
        clock: seconds on a clock that never goes back; the loop's timers must go at the same pace.
        queue_s: how long a request may wait for leave, in seconds, before it is better not to begin with its message; for
            `begin_message`.
    """

    def __init__(
        self,
        allowance: Allowance,
        *,
        slots: SlotsPolicy,
        patience: PatiencePolicy,
        rng: np.random.Generator,
        clock: Callable[[], float] = time.monotonic,
        queue_s: float = 2.0,
    ) -> None:
        now = clock()
        self._clock = clock
        self._allowance = allowance
        self._slots = Slots(slots, now)
        self._pace = Pace()
        self._patience = Patience(patience, rng)
        self._queue_s = queue_s
        self._requests = Line(self._wait, self._take, self._not_sent)
        self._messages = Line(self._message_wait, self._message_in, self._message_out)
        self._in_flight = self._in_work = 0
        self._done = self._refused = self._failed = self._tokens = 0
        self._latency: float | None = None
        self._stopped: str | None = None

    async def enter(self, tokens: int) -> None:
        """Wait for leave to send one request; see `Gate.enter`."""
        await self._requests.enter(tokens)

    def leave(
        self,
        *,
        estimated: int,
        seconds: float,
        tokens: int | None,
        throttled: bool,
        retry_after_s: float | None,
        failed: bool,
    ) -> None:
        """Say how a request went; see `Gate.leave`."""
        now = self._clock()
        used = 0 if throttled else estimated if tokens is None else tokens
        self._allowance.settle(estimated, used)
        self._tokens += used
        self._done += 1
        if throttled:
            self._refused += 1
            self._note_refusal(now, seconds, retry_after_s)
        else:
            self._slots.came_back(now, seconds, self._in_flight, failed=failed)
            if failed:
                self._failed += 1
            else:
                self._note_success(now, seconds)
        self._in_flight -= 1
        if len(self._requests):
            self._requests.move()

    async def begin_message(self) -> None:
        """Wait until it makes sense to begin with a message, outside of its deadline.

        A message that is begun while hundreds of requests wait for a slow rate would spend its whole deadline in `enter` and end
        as a timeout. Every `begin_message` that returned is followed by one `end_message`.

        Raises:
            BackendError: the run must stop; as `enter`.
        """
        await self._messages.enter(0)

    def end_message(self) -> None:
        """The message is done, or its assessment was cancelled."""
        self._in_work -= 1
        if len(self._messages):
            self._messages.move()

    def stop(self, why: str, fault: Fault = Fault.OVERLOAD) -> None:
        """Let nothing through any more: every `enter` and `begin_message` raises from now on, those that wait at once.

        Args:
            why: a few words of ours.
            fault: what the errors carry.
        """
        if self._stopped is not None:
            return
        self._stopped = why

        def error() -> BackendError:
            return BackendError(fault, why, retryable=False)

        self._requests.end(error)
        self._messages.end(error)

    def nudge(self) -> None:
        """There may be more allowance than before."""
        self._requests.move()

    @property
    def stopped(self) -> str | None:
        """Why nothing is sent any more; `None` while the run goes on."""
        return self._stopped

    def figures(self) -> RateFigures:
        """What has been seen so far."""
        now = self._clock()
        return RateFigures(
            requests=self._done,
            refused=self._refused,
            failed=self._failed,
            tokens=self._tokens,
            in_flight=self._in_flight,
            waiting=len(self._requests),
            slots=int(self._slots),
            rate=self._rate(now),
            latency_s=self._latency,
            waited_s=max(0.0, self._patience.until - now),
            stopped=self._stopped,
        )

    def _wait(self, tokens: float) -> float:
        if self._in_flight >= (1 if self._patience.probing else int(self._slots)):
            return math.inf
        now = self._clock()
        if now < self._patience.until:
            return self._patience.until - now
        return max(self._pace.wait(now), self._allowance.wait(tokens, now))

    def _take(self, tokens: float) -> None:
        self._in_flight += 1
        self._allowance.take(tokens)
        self._pace.take()

    def _not_sent(self, tokens: float) -> None:
        self._in_flight -= 1
        self._allowance.give_back(tokens)
        self._pace.give_back()

    def _note_success(self, now: float, seconds: float) -> None:
        self._patience.passed()
        self._pace.passed(now, seconds)
        self._latency = seconds if self._latency is None else self._latency + _SMOOTH * (seconds - self._latency)

    def _note_refusal(self, now: float, seconds: float, retry_after_s: float | None) -> None:
        # After a refusal that was taken for a sign of the rate, the next one is too: a server that is empty says so more than once.
        chance = self._pace.by_chance(now, seconds) and not self._patience.refused_last
        if chance and retry_after_s is None:
            return
        before = self._patience.until
        hopeless = self._patience.refused(now, seconds, retry_after_s)
        until = self._patience.until
        if hopeless is not None:
            self.stop(hopeless, Fault.RATE_LIMITED)
            return
        lower = not chance
        if lower and now >= before:
            said = self._pace.refused(now, until)
            lower = said == "lower"
            if said == "test":
                self._slots.freed(now)
        # One probe after another would leave one place.
        if lower and not self._patience.probing and not self._pace.chance:
            needed = (self._pace.rate(now) or 0.0) * (self._latency or 0.0)
            self._slots.refused(now, seconds, self._in_flight, needed)
        if until > before:
            self._allowance.hold(until)

    def _message_wait(self, _: float) -> float:
        now = self._clock()
        if now < self._patience.until:
            return self._patience.until - now
        return 0.0 if self._in_work < self._places(now) else math.inf

    def _message_in(self, _: float) -> None:
        self._in_work += 1

    def _message_out(self, _: float) -> None:
        self._in_work -= 1

    def _places(self, now: float) -> int:
        """Messages that may be in work: those whose requests are on their way, and those that will be soon (Little's law)."""
        latency = _UNKNOWN_S if self._latency is None else self._latency
        through = int(self._slots) / max(latency, 1e-6)
        rate = self._rate(now)
        through = through if rate is None else min(through, rate)
        return max(1, math.ceil(through * (latency + self._queue_s)))

    def _rate(self, now: float) -> float | None:
        known = [rate for rate in (self._allowance.rate, self._pace.rate(now)) if rate is not None]
        return min(known) if known else None


def rate_gate(
    limits: Limits,
    *,
    slots: SlotsPolicy | None = None,
    patience: PatiencePolicy | None = None,
    rng: np.random.Generator,
    clock: Callable[[], float] = time.monotonic,
) -> RateGate:
    """A gate for one process that has an account's limits to itself.

    Args:
        limits: what the account allows; without any the rate is learnt from the server's refusals.
        slots: how places are given; `None` takes the default, with all places from the start where the rate of requests is known.
        patience: limits of waiting after a 429; `None` takes the default.
        rng: source of the jitter.
        clock: seconds on a clock that never goes back.
    """
    if slots is None:
        known = limits.requests_per_minute is not None
        slots = SlotsPolicy(start=_PLACES) if known else SlotsPolicy()
    return RateGate(
        Buckets(limits, clock()),
        slots=slots,
        patience=patience or PatiencePolicy(),
        rng=rng,
        clock=clock,
    )
