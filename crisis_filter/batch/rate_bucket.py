"""Token buckets: what an account may send in a minute, let out evenly.

A limit of so many requests a minute is enforced by servers over far shorter times (a bucket that refills all the while, or a window
of a second), so the allowance is let out at its rate, with little that may go at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

__all__ = ["Allowance", "Bucket", "Buckets", "Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What an endpoint allows."""

    requests_per_minute: float | None = None
    """Above 0; `None` is no limit."""
    tokens_per_minute: float | None = None
    """Of prompts and answers together, cached ones included; above 0; `None` is no limit."""
    share: float = 0.98
    """Part of each limit that is used, above 0, at most 1; the rest is for clocks and delays that differ."""
    burst_s: float = 0.25
    """Seconds' worth that may go at once after a lull: at least one request, or one request's tokens, whatever this says."""

    def __post_init__(self) -> None:
        """Refuse what lets nothing through, or everything.

        Raises:
            ValueError: a figure is out of its range.
        """
        given = [n for n in (self.requests_per_minute, self.tokens_per_minute) if n is not None]
        if any(not 0 < n < float("inf") for n in given):
            raise ValueError("a limit is above 0, or left out")
        if not 0 < self.share <= 1 or not 0 <= self.burst_s <= 60:
            raise ValueError("share is above 0 and at most 1, burst_s 0 to 60")


class Allowance(Protocol):
    """Leave to send, as far as rates go. Seconds are those of one clock that never goes back."""

    @property
    def rate(self) -> float | None:
        """Requests a second that it lets through at most; `None` where nothing is known."""
        ...

    def wait(self, tokens: float, now: float) -> float:
        """Seconds after which to ask again; 0 when a request of so many tokens may go now."""
        ...

    def take(self, tokens: float) -> None:
        """Use it for a request of so many tokens; right after a `wait` that was 0."""
        ...

    def settle(self, estimated: float, used: float) -> None:
        """A request that was let go with `estimated` tokens has used `used`."""
        ...

    def give_back(self, tokens: float) -> None:
        """A request that was let go is not sent."""
        ...

    def hold(self, until: float) -> None:
        """The server wants nothing before `until`; nothing is saved up meanwhile."""
        ...


class Bucket:
    """One allowance that refills at a rate.

    What is asked for beyond the most that it holds is let go when it is full, and owed.

    Args:
        rate: units a second, above 0.
        most: units it can hold, above 0.
        now: seconds on a clock that never goes back.
        level: units in it now; `None` is full.
    """

    __slots__ = ("_at", "level", "most", "rate")

    def __init__(self, rate: float, most: float, now: float, level: float | None = None) -> None:
        self.rate = rate
        self.most = most
        self.level = most if level is None else level
        self._at = now

    def fill(self, now: float) -> float:
        """The level at `now`, which is below zero while something is owed."""
        if now > self._at:
            level = self.level + (now - self._at) * self.rate
            self.level = min(self.most, level)
            self._at = now
        return self.level

    def wait(self, need: float, now: float) -> float:
        """Seconds until `need` may be taken; 0 at once."""
        short = (min(self.most, need)) - self.fill(now)
        # A rest of the arithmetic is no reason to wait.
        return short / self.rate if short > 1e-9 * self.most else 0.0

    def take(self, need: float) -> None:
        """Take, and owe what is not there."""
        self.level -= need

    def give(self, units: float) -> None:
        """Put back, up to what it holds."""
        self.level = min(self.most, self.level + units)

    def hold(self, until: float) -> None:
        """Empty it, and let it fill from `until` on."""
        self.level = min(self.level, 0.0)
        self._at = max(self._at, until)


class Buckets:
    """Requests and tokens of one account, for one process.

    Args:
        limits: what is allowed.
        now: seconds on a clock that never goes back; the buckets are full then.
    """

    def __init__(self, limits: Limits, now: float) -> None:
        self._requests = _bucket(limits.requests_per_minute, limits, now)
        self._tokens = _bucket(limits.tokens_per_minute, limits, now)

    @property
    def rate(self) -> float | None:
        """Requests a second; `None` without a limit on them, for what a request's tokens allow is not known."""
        return None if self._requests is None else self._requests.rate

    def wait(self, tokens: float, now: float) -> float:
        """The longer wait of the two."""
        requests = 0.0 if self._requests is None else self._requests.wait(1.0, now)
        return requests if self._tokens is None else max(requests, self._tokens.wait(tokens, now))

    def take(self, tokens: float) -> None:
        """From both."""
        if self._requests is not None:
            self._requests.take(1.0)
        if self._tokens is not None:
            self._tokens.take(tokens)

    def settle(self, estimated: float, used: float) -> None:
        """Correct the tokens; what was used beyond the estimate is owed."""
        if self._tokens is not None and used != estimated:
            self._tokens.give(estimated - used)

    def give_back(self, tokens: float) -> None:
        """Into both."""
        if self._requests is not None:
            self._requests.give(1.0)
        if self._tokens is not None:
            self._tokens.give(tokens)

    def hold(self, until: float) -> None:
        """Both."""
        for bucket in (self._requests, self._tokens):
            if bucket is not None:
                bucket.hold(until)


def _bucket(per_minute: float | None, limits: Limits, now: float) -> Bucket | None:
    if per_minute is None:
        return None
    rate = per_minute / 60 * limits.share
    return Bucket(rate, max(1.0, rate * limits.burst_s), now)
