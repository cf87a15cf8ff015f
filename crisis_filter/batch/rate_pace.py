"""The rate that a server lets through, learnt from its refusals, where nobody knows its limit.

What a token bucket lets through between two moments at which it was empty is its rate times the time between them, whatever it
holds; and a 429 says that it is empty. So the rate is measured, not guessed. Afterwards the pace follows the curve of CUBIC (RFC 9438)
about that rate: a little below it at first, then flat, then up in search of more. Refusals that come by chance are told from those of a
limit in `rate_chance`.
"""

from __future__ import annotations

from typing import Literal

from crisis_filter.batch.rate_bucket import Bucket
from crisis_filter.batch.rate_chance import Chance

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
_LEAST_GUESSED = 10
# A single odd measurement must not stop the run.
_STEEPEST_CUT = 0.5
_LEAST_TESTED_S = 2.0
"""Seconds of measuring before a test: what was on its way at their beginning counts for little then."""
_BURST_S = 0.1
_ALONE = 40
"""Requests: a refusal below the measured rate that comes after more than these is paused for, and changes nothing else."""
_TESTED = 0.85
_LEAST_OF_BEST = 0.25
"""Of the greatest rate that was measured, what a test sends at most."""


class Pace:
    """One server's rate. Says nothing until the server refused something.

    Times are seconds on one clock that never goes back.
    """

    __slots__ = (
        "_all",
        "_best",
        "_bucket",
        "_chance",
        "_curve",
        "_flat",
        "_guessed",
        "_lately",
        "_measured",
        "_passed",
        "_refused_at",
        "_since",
    )

    def __init__(self) -> None:
        self._since: float | None = None
        """When the server's bucket was last known to be empty."""
        self._passed = 0
        self._all = 0
        """Passed since the beginning."""
        self._lately: list[tuple[float, int]] = []
        """The last two seconds or so, by what had passed at two moments."""
        self._best = 0.0
        """The greatest rate that was measured."""
        self._refused_at = -_ALONE
        """How many had passed at the last refusal."""
        self._curve, self._flat = 0.0, _FLAT_S[0]
        self._measured: float | None = None
        self._guessed = False
        """Whether that is only a guess."""
        self._bucket: Bucket | None = None
        self._chance = Chance()

    @property
    def chance(self) -> bool:
        """Whether refusals are known that have nothing to do with the rate."""
        return self._chance.known

    def rate(self, now: float) -> float | None:
        """Requests a second by the curve; `None` while nothing was measured."""
        if self._chance.testing is not None:
            return self._chance.testing
        if self._measured is None:
            return None
        return self._measured * (1 + _BELOW * self._place(now) ** 3)

    def wait(self, now: float) -> float:
        """Seconds until one more may go; 0 at once."""
        rate = self.rate(now)
        if rate is None:
            self._bucket = None
            return 0.0
        if self._bucket is None:
            self._bucket = Bucket(rate, max(1.0, rate * _BURST_S), now)
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

    def passed(self, now: float, seconds: float) -> None:
        """One was let through, as is known at `now`; it was `seconds` on its way."""
        testing, known = self._chance.testing, self._chance.known
        self._chance.passed(now, now - seconds, low=self._low(now))
        if testing is not None and not known and self._chance.testing is None:
            self._decided(now)
        self._passed += 1
        self._all += 1
        if not self._lately:
            self._lately.append((now, self._all - 1))
        elif now - self._lately[-1][0] >= _LEAST_S:
            since, before = self._lately[0]
            self._lately = [self._lately[-1], (now, self._all)]
            if self._chance.known and not self._low(now):
                self._chance.look(now, _TESTED * (self._all - before) / (now - since))

    def by_chance(self, now: float, seconds: float) -> bool:
        """Whether a 429 that came back after `seconds` has nothing to do with the rate, as far as is known."""
        known = self._chance.known
        chance = self._chance.refused(now, now - seconds, low=self._low(now))
        if self._chance.known and not known:
            self._decided(now)
        return chance

    def _decided(self, now: float) -> None:
        """After a test: nothing is known of the rate any more, or a limit it is, and on from the rate that passed."""
        self._curve = now
        if self._chance.known:
            self._since, self._passed = None, 0
            self._measured = self._bucket = None

    def refused(self, now: float, until: float) -> Literal["lower", "alone", "test"]:
        """The first 429 of a round trip that is a sign of the rate.

        Args:
            now: when it came.
            until: when sending begins again.

        Returns:
            Whether the rate is to be lower; or the refusal came alone, below the rate that was measured, and another one must say so;
            or a test begins, of whether refusals have to do with the rate at all.
        """
        alone = self._low(now) and self._all - self._refused_at > _ALONE
        self._refused_at = self._all
        if self._suspect(now):
            said: Literal["lower", "alone", "test"] = "test"
        elif alone:
            said = "alone"
        else:
            said = "lower"
            self._empty(now)
        if self._bucket is not None:
            self._bucket.hold(until)
        return said

    def _empty(self, now: float) -> None:
        """The server's bucket is empty: measure, where it was so before."""
        if self._since is None:
            # Rather too much than too little: one more refusal will say so soon, and nothing else would in a long time.
            begun, before = self._lately[0] if self._lately else (now, 0)
            if self._passed >= _LEAST_GUESSED and now > begun:
                self._measure(_GUESSED * (self._all - before), max(now - begun, _LEAST_S), now)
                self._guessed = True
            self._since, self._passed = now, 0
        elif now - self._since >= _LEAST_S and self._passed >= _LEAST_PASSED:
            self._best = max(self._best, self._measure(self._passed, now - self._since, now))
            self._since, self._passed = now, 0
        elif self._passed == 0:
            self._since = now  # empty still, or down

    def _place(self, now: float) -> float:
        """On the curve: -1 at its beginning, 0 at the rate that was measured."""
        return (now - self._curve - self._flat) / self._flat

    def _low(self, now: float) -> bool:
        return self._measured is not None and not self._guessed and self._place(now) <= 0

    def _suspect(self, now: float) -> bool:
        """Whether a test begins; at a rate that surely passes, if there is a limit."""
        rate = self.rate(now)
        if rate is not None and self._since is not None and now - self._since >= _LEAST_TESTED_S:
            rate = min(rate, max(1.0, self._passed) / (now - self._since))
            rate = min(_TESTED * max(rate, self._best), 2 * rate)
            if rate < _LEAST_OF_BEST * self._best:
                rate = None  # too slow to learn anything by, and for as long as it lasts
        else:
            rate = None
        return self._chance.suspect(now, rate, low=self._low(now))

    def _measure(self, passed: float, seconds: float, now: float) -> float:
        rate = passed / (1 - self._chance.share) / seconds
        if self._measured is not None:
            rate = max(rate, _STEEPEST_CUT * self._measured)
        self._measured, self._curve, self._guessed = rate, now, False
        self._flat = _FLAT_S[0] if self._chance.known else min(_FLAT_S[1], max(_FLAT_S[0], _FLAT * seconds))
        if self._bucket is None:
            self._bucket = Bucket(rate, max(1.0, rate * _BURST_S), now)
        return rate
