"""How long to wait after a 429, and when a server that says nothing else is given up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Patience", "PatiencePolicy"]


@dataclass(frozen=True, slots=True)
class PatiencePolicy:
    """Limits of waiting."""

    give_up_s: float = 45.0
    """A server that has said nothing but 429 for this long is given up."""
    longest_s: float = 55.0
    """So is one that would have said nothing else for this long by the time it wants to be asked again; a `Retry-After` above it alone
    is enough. Seconds; at least `give_up_s`."""
    refusals: int = 100
    """So is one that refused this many requests in a row, of those that were sent after a wait."""
    first_s: float = 0.2
    """Wait where the server asks for none; it doubles with every refusal in a row."""
    doubled_s: float = 8.0
    """The longest such wait."""
    spread: float = 0.1
    """Share of a wait that is added at random, at most a second, so that several who were refused at once do not come back at once."""


class Patience:
    """What one server has refused lately.

    Args:
        policy: limits of waiting.
        rng: source of the jitter.
    """

    __slots__ = ("_policy", "_refusals", "_rng", "_since", "_waits", "until")

    def __init__(self, policy: PatiencePolicy, rng: np.random.Generator) -> None:
        self._policy = policy
        self._rng = rng
        self._since: float | None = None
        self._refusals = 0
        self._waits = 0
        self.until = float("-inf")
        """Nothing is to be sent before; on the clock of `refused`."""

    @property
    def probing(self) -> bool:
        """Whether one request at a time is enough: the server has refused again after a wait, and let nothing through since."""
        return self._waits > 1

    @property
    def refused_last(self) -> bool:
        """Whether the server has let nothing through since it last refused."""
        return self._since is not None

    def passed(self) -> None:
        """The server let one through."""
        if self._since is not None:
            self._since, self._refusals, self._waits = None, 0, 0

    def refused(self, now: float, seconds: float, retry_after_s: float | None) -> str | None:
        """A 429 came back; the wait is prolonged.

        Args:
            now: when, in seconds on a clock that never goes back.
            seconds: how long its request was on its way.
            retry_after_s: what the server asks for; `None` when it does not say.

        Returns:
            Why the server is given up, in words of ours; `None` while it is not.
        """
        limits = self._policy
        if self._since is None:
            self._since = now
        fresh = now - seconds >= self.until
        if fresh:
            self._refusals += 1
            self._waits += 1
        if fresh or retry_after_s is not None:
            wait = self._wait() if retry_after_s is None else retry_after_s
            spread = min(1.0, limits.spread * wait) * self._rng.random() if fresh else 0.0
            self.until = max(self.until, now + wait + spread)
        if retry_after_s is not None and retry_after_s > limits.longest_s:
            return f"the server asks to wait {retry_after_s:.0f} s"
        lasted = now - self._since
        if lasted >= limits.give_up_s or self.until - self._since > limits.longest_s:
            return f"nothing but 429 for {lasted:.0f} s"
        if self._refusals >= limits.refusals:
            return f"nothing but 429 for {self._refusals} requests in a row"
        return None

    def _wait(self) -> float:
        limits = self._policy
        longest = min(limits.doubled_s, limits.first_s * 2.0 ** min(self._waits - 1, 16))
        return float(longest * self._rng.uniform(0.5, 1.0))
