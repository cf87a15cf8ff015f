"""The rate that a server lets through, learnt from its refusals, where nobody knows its limit.

What a token bucket lets through between two moments at which it was empty is its rate times the time between them, whatever it
holds; and a 429 says that it is empty. So the rate is measured, not guessed. Afterwards the pace follows the curve of CUBIC (RFC 9438)
about that rate: a little below it at first, then flat, then up in search of more.
"""

from __future__ import annotations

from crisis_filter.batch.rate_bucket import Bucket

__all__ = ["Pace"]

_BELOW = 0.02
"""How far below the measured rate the curve begins, as a share of it."""
_FLAT_S = (6.0, 30.0)
"""Seconds until it is back at that rate, at least and at most; after twice as long it is as far above. A rate that was measured in a short
time is a rough one, and soon tried again."""
_FLAT = 6.0
"""The same as a multiple of the time of measuring."""
_GUESSED = 1.1
_LEAST_S = 1.0
_LEAST_PASSED = 20
# A single odd measurement must not stop the run.
_STEEPEST_CUT = 0.5
_BURST_S = 0.1


class Pace:
    """One server's rate. Says nothing until the server refused something.

    Times are seconds on one clock that never goes back.
    """

    __slots__ = ("_bucket", "_curve", "_flat", "_lately", "_measured", "_passed", "_since")

    def __init__(self) -> None:
        self._since: float | None = None
        """When the server's bucket was last known to be empty."""
        self._passed = 0
        self._lately: list[tuple[float, int]] = []
        """Before the first refusal: the last two seconds or so, by what had passed at two moments."""
        self._curve, self._flat = 0.0, _FLAT_S[0]
        self._measured: float | None = None
        self._bucket: Bucket | None = None

    def rate(self, now: float) -> float | None:
        """Requests a second by the curve; `None` while nothing was measured."""
        if self._measured is None:
            return None
        place = (now - self._curve - self._flat) / self._flat
        return self._measured * (1 + _BELOW * place**3)

    def wait(self, now: float) -> float:
        """Seconds until one more may go; 0 at once."""
        rate = self.rate(now)
        if self._bucket is None or rate is None:
            return 0.0
        self._bucket.fill(now)
        self._bucket.rate, self._bucket.most = rate, max(1.0, rate * _BURST_S)
        return self._bucket.wait(1.0, now)

    def take(self) -> None:
        """One goes."""
        if self._bucket is not None:
            self._bucket.take(1.0)

    def give_back(self) -> None:
        """One did not go."""
        if self._bucket is not None:
            self._bucket.give(1.0)

    def passed(self, now: float) -> None:
        """One was let through, as is known at `now`."""
        self._passed += 1
        if self._since is not None:
            return
        if not self._lately:
            self._lately.append((now, 0))
        elif now - self._lately[-1][0] >= _LEAST_S:
            self._lately = [self._lately[-1], (now, self._passed)]

    def refused(self, now: float, until: float) -> None:
        """The first 429 of a round trip.

        Args:
            now: when it came.
            until: when sending begins again.
        """
        if self._since is None:
            # Rather too much than too little: one more refusal will say so soon, and nothing else would in a long time.
            begun, before = self._lately[0] if self._lately else (now, 0)
            if now - begun > 0 and self._passed > before:
                self._measure(_GUESSED * (self._passed - before), max(now - begun, _LEAST_S), now)
            self._since, self._passed = now, 0
        elif now - self._since >= _LEAST_S and self._passed >= _LEAST_PASSED:
            self._measure(self._passed, now - self._since, now)
            self._since, self._passed = now, 0
        elif self._passed == 0:
            self._since = now  # empty still, or down
        if self._bucket is not None:
            self._bucket.hold(until)

    def _measure(self, passed: float, seconds: float, now: float) -> None:
        rate = passed / seconds
        if self._measured is not None:
            rate = max(rate, _STEEPEST_CUT * self._measured)
        self._measured, self._curve = rate, now
        self._flat = min(_FLAT_S[1], max(_FLAT_S[0], _FLAT * seconds))
        if self._bucket is None:
            self._bucket = Bucket(rate, max(1.0, rate * _BURST_S), now)
