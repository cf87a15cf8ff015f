"""A circuit breaker: an endpoint that is down is left alone, and one request at a time finds out whether it is back.

The pattern is Nygard's (Release It!, 2007). The libraries for it (pybreaker, purgatory, aiobreaker) count consecutive
exceptions of a wrapped function; here faults are values, a share of a window counts too, and what the message caused must not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from crisis_filter.errors import FAULTS, Fault

__all__ = ["Breaker", "BreakerPolicy", "Permit"]


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When a breaker opens, and how long it stays so."""

    consecutive: int = 5
    """Opens after this many failures in a row."""
    window: int = 20
    """How many of the last calls count, at most `window_s` seconds back."""
    window_s: float = 30.0
    share: float = 0.5
    """Opens when at least this share of a full window failed."""
    open_s: float = 2.0
    """Seconds until a probe is let through; after each probe that fails, again."""


@dataclass(slots=True)
class Permit:
    """Leave to send one request. Whoever holds it says how it went, or gives it back."""

    breaker: Breaker
    probe: bool
    _used: bool = False

    def report(self, fault: Fault | None) -> None:
        """Say how it went.

        Args:
            fault: `None` when any reply came back, be it a refusal: the endpoint works. Faults that `errors.FAULTS` does not let
                trip a breaker (a wrong key, a bug) say nothing about it.
        """
        if self._used:
            return
        self._used = True
        self.breaker.note(fault, probe=self.probe)

    def give_back(self) -> None:
        """Nothing is known of how it went, as after a cancellation. Does nothing after `report`."""
        if not self._used:
            self._used = True
            self.breaker.note(Fault.INTERNAL, probe=self.probe)


@dataclass(slots=True)
class Breaker:
    """The state of one endpoint. Belongs to one event loop.

    Args:
        policy: when to open.
        clock: seconds on a clock that never goes back.
    """

    policy: BreakerPolicy
    clock: Callable[[], float]
    fault: Fault | None = None
    """The fault that opened it last; `None` while it has never opened."""
    _row: int = 0
    _calls: deque[tuple[float, bool]] = field(default_factory=deque)
    _opened: float | None = None
    _probing: bool = False

    @property
    def state(self) -> Literal["closed", "open", "half-open"]:
        """`half-open` when a probe may be, or is, under way."""
        if self._opened is None:
            return "closed"
        due = self.clock() - self._opened >= self.policy.open_s
        return "half-open" if due or self._probing else "open"

    def admit(self) -> Permit | None:
        """Leave to send a request, or `None` while the endpoint is left alone."""
        if self._opened is None:
            return Permit(self, probe=False)
        if self._probing or self.state == "open":
            return None
        self._probing = True
        return Permit(self, probe=True)

    def note(self, fault: Fault | None, *, probe: bool) -> None:
        """Count one call. `Permit.report` calls it."""
        failed = fault is not None and FAULTS[fault].trips
        if probe:
            self._probing = False
        if fault is not None and not failed:
            return  # neither proof of life nor of death: after a probe the next call is one
        if self._opened is not None:
            # A call that was let in before the breaker opened says nothing new, only a probe does.
            if probe:
                self._settle(fault)
            return
        now = self.clock()
        self._row = self._row + 1 if failed else 0
        self._calls.append((now, failed))
        while len(self._calls) > self.policy.window or now - self._calls[0][0] > self.policy.window_s:
            self._calls.popleft()
        failures = sum(failed for _, failed in self._calls)
        full = len(self._calls) == self.policy.window
        if self._row >= self.policy.consecutive or (full and failures >= self.policy.share * self.policy.window):
            self._opened, self.fault = now, fault or self.fault or Fault.SERVER_ERROR

    def _settle(self, fault: Fault | None) -> None:
        """A probe has come back."""
        if fault is None:
            self._opened, self._row = None, 0
            self._calls.clear()
        else:
            self._opened, self.fault = self.clock(), fault
