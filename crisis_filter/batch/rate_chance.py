"""Refusals that have nothing to do with the rate: a gateway that loses a request now and then, and says 429 for it.

A limit refuses nothing while less is sent than it allows; chance refuses the same share of whatever is sent. Where refusals come though
the rate is no higher than one that passed before, less is sent for a moment, and a sequential test (Wald, 1945) tells which of the two it
is. After that, refusals are a sign of the rate only where there are more of them than chance brings: a cumulative sum (Page, 1954),
which is empty again as soon as the share is the usual one.
"""

from __future__ import annotations

import math

__all__ = ["Chance"]

_SUSPECTED = 3
"""Refusals below a rate that passed before, from which a test is worth its while."""
_REMEMBERED = 4000
"""Requests below such a rate after which what was counted among them counts half."""
_LIKELY = (0.0008, 0.008)
"""Share that a test expects of chance, at least and at most: half of what was seen, which may have been a clump."""
_UNLIKELY = 8.0
"""How many times smaller the share is that it expects of a limit."""
_SURE = math.log(50)
_IN_A_ROW = 3
_LONGEST_S = 120.0
"""Seconds of a test, after which it is taken for a limit."""
_TOO_MANY = (8, 0.1)
"""So many refusals, and such a share, are no longer chance but a limit far below."""
_PAUSE_S = (10.0, 320.0)
"""Between two tests, at first and at most; doubled each time."""
_LOOK = (8, 400, 4.0)
"""Refusals, requests or seconds after which a look at the share of chance ends, where chance is known."""
_LEAST, _MOST = 0.005, 0.08
"""Shares of chance that are believed."""
_KNOWN = 6000
"""Requests after which what was learnt from them counts half."""
_GONE = (3000, 0.0003)
"""After so many requests with a smaller share than this there is no chance any more."""
_ALARM = 7.0
"""Log-likelihood at which a clump is no chance; seldom reached in 20,000 requests of chance."""


def _weights(share: float, other: float) -> tuple[float, float]:
    """What one refusal and one passage add to the log-likelihood of `other` against `share`."""
    return math.log(other / share), math.log((1 - other) / (1 - share))


class Chance:
    """Which refusals of one server are a sign of the rate. At first all are.

    Times are seconds on one clock that never goes back.

    Attributes:
        testing: requests a second during a test; `None` otherwise.
    """

    def __init__(self) -> None:
        self.testing: float | None = None
        self._low = [0.0, 0.0, 0.0]
        """Of late, below a rate that passed before: requests, refusals; and refusals above it."""
        self._pause, self._not_before = _PAUSE_S[0], float("-inf")
        self._since = float("-inf")
        """Requests that were sent earlier say nothing: at the start of a test, or before the last alarm."""
        self._weights = (0.0, 0.0)
        self._sum = 0.0
        self._row = 0
        """Refusals without a passage between."""
        self._counted = [0, 0]
        """Requests and refusals of the test, or since the sum was empty."""
        self._usual: list[float] | None = None
        """Requests and refusals from which the share of chance is known; `None` while it is not."""

    @property
    def known(self) -> bool:
        """Whether there is chance, so that one refusal alone says nothing."""
        return self._usual is not None

    @property
    def share(self) -> float:
        """Share of requests that chance refuses, rather too great than too small; 0 while none is known."""
        if self._usual is None:
            return 0.0
        asked, refused = self._usual
        return min(_MOST, max(_LEAST, (refused + math.sqrt(refused) + 1) / asked))

    def passed(self, now: float, sent: float, *, low: bool) -> None:
        """One was let through.

        Args:
            now: when that is known.
            sent: when it was sent.
            low: whether the rate is no higher than one that passed before, as far as is known.
        """
        if self.testing is not None or self._usual is not None:
            if sent >= self._since:
                self._count(0, now, low=low)
        elif low:
            self._low[0] += 1

    def refused(self, now: float, sent: float, *, low: bool) -> bool:
        """One was refused; the arguments are those of `passed`.

        Returns:
            Whether by chance, as far as is known; else it is a sign of the rate.
        """
        if self.testing is None and self._usual is None:
            return False
        if sent < self._since:
            return self.testing is not None
        return self._count(1, now, low=low)

    def suspect(self, now: float, rate: float | None, *, low: bool) -> bool:
        """The first refusal of a round trip was taken for a sign of the rate.

        Args:
            now: when it came.
            rate: requests a second for a test; `None` where it is too early for one.
            low: as for `passed`.

        Returns:
            Whether a test begins.
        """
        if self._usual is not None:
            return False
        count = self._low
        count[0] += low
        count[1 if low else 2] += 1
        if count[0] >= _REMEMBERED:
            self._low = count = [each / 2 for each in count]
        share = count[1] / max(count[0], 1.0)
        if count[1] < max(_SUSPECTED, count[2]) or share > 2 * _MOST:
            return False
        if rate is None or now < self._not_before:
            return False
        expected = min(_LIKELY[1], max(_LIKELY[0], share / 2))
        self._weights = _weights(expected / _UNLIKELY, expected)
        self._begin(now)
        self.testing = rate
        return True

    def look(self, now: float, rate: float) -> None:
        """The rate is above all that passed before, and has been for long: send `rate` for a moment, to see what chance alone refuses."""
        if self._usual is not None and self.testing is None and now >= self._not_before:
            self._begin(now)
            self.testing = rate

    def _begin(self, now: float) -> None:
        self._since, self._sum, self._counted, self._row = now, 0.0, [0, 0], 0

    def _count(self, refused: int, now: float, *, low: bool) -> bool:
        self._row = self._row + 1 if refused else 0
        self._counted[0] += 1
        self._counted[1] += refused
        self._sum += self._weights[0 if refused else 1]
        if self.testing is None:
            return self._watched(now, low=low)
        return self._tested(now) if self._usual is None else self._looked(now)

    def _too_many(self) -> bool:
        asked, refused = self._counted
        # A window that is full refuses one after the other, chance seldom does.
        if self._row >= _IN_A_ROW:
            return True
        return refused >= _TOO_MANY[0] and refused >= _TOO_MANY[1] * asked

    def _looked(self, now: float) -> bool:
        asked, refused = self._counted
        if self._too_many():
            self._end(now)
            self._watch(now)
            return False
        if refused >= _LOOK[0] or asked >= _LOOK[1] or now - self._since >= _LOOK[2]:
            self._end(now)
            self._learn(asked, refused)
            self._watch(now)
        return True

    def _tested(self, now: float) -> bool:
        asked, refused = self._counted
        if self._too_many() or self._sum <= -_SURE or now - self._since > _LONGEST_S:
            self._end(now)
            return False
        if self._sum >= _SURE and refused <= _TOO_MANY[1] * asked:
            self._end(now)
            self._usual = [float(asked), float(refused)]
            self._watch(now)
        return True

    def _end(self, now: float) -> None:
        self.testing, self._low = None, [0.0, 0.0, 0.0]
        self._not_before, self._pause = now + self._pause, min(_PAUSE_S[1], 2 * self._pause)

    def _watch(self, now: float) -> None:
        if self._usual is None:
            return
        self._weights = _weights(self.share, 2 * self.share + 0.02)
        self._begin(now)

    def _watched(self, now: float, *, low: bool) -> bool:
        asked, among = self._counted
        if self._sum >= _ALARM:
            usual = low and among <= _MOST * asked
            if low and among <= 2 * _MOST * asked:
                self._learn(asked, among)
            self._watch(now)
            self._not_before = max(self._not_before, now + _PAUSE_S[0])
            return usual
        if self._sum <= 0:
            if low:
                self._learn(asked, among)
            self._sum, self._counted = 0.0, [0, 0]
        return True

    def _learn(self, asked: int, refused: int) -> None:
        """What was usual, while no limit can have had a hand in it."""
        usual = self._usual
        if usual is None:
            return
        usual[0] += asked
        usual[1] += refused
        if usual[0] >= _KNOWN:
            usual[0], usual[1] = usual[0] / 2, usual[1] / 2
        if usual[0] >= _GONE[0] and usual[1] < _GONE[1] * usual[0]:
            self._usual = None
            return
        self._weights = _weights(self.share, 2 * self.share + 0.02)
