"""How many requests may be on their way at once: learnt from 429s, and from throughput where a server never says 429.

A server of the vLLM kind takes everything and lets its queue grow: more requests at once then cost latency and bring no throughput.
So the number of places climbs only while throughput climbs with it, and is tried lower from time to time. Latency alone would not
do: it rises with the batch long before throughput stops rising, and with the length of the answers.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Slots", "SlotsPolicy"]


@dataclass(frozen=True, slots=True)
class SlotsPolicy:
    """How places are given."""

    most: int = 64
    """Never more."""
    start: int | None = None
    """At first; `None` is `most`, or 16 where that is less."""
    climb: float = 1.5
    """Factor of a step up, above 1."""
    gain: float = 0.08
    """Throughput must rise by this share at a step up, or the step is taken back."""
    loss: float = 0.05
    """It may fall by this share at a step down, or the step is taken back."""
    cut: float = 0.75
    """What a 429 leaves of the places in use, below 1."""
    failing: float = 0.2
    """Share of failed requests from which places are cut too."""

    def __post_init__(self) -> None:
        """Refuse what could not work.

        Raises:
            ValueError: a figure is out of its range.
        """
        if self.most < 1 or not 1 <= (self.start or 1) <= self.most:
            raise ValueError("at least one place, and no more at first than at most")
        if self.climb <= 1 or not 0 < self.cut < 1:
            raise ValueError("climb is above 1, cut between 0 and 1")


_DOWN = 0.8
_NEAR_CEILING = 1.1
_CAREFUL = 0.05
_REMEMBERED_S = 60.0
_KEPT = 0.9
_HOLDS = (4, 8, 16, 32)
_LEAST_SAMPLE = 40
_DRIFT = 1.5
_BUSY = 0.8
_IN_USE = 0.9


@dataclass(slots=True)
class _Window:
    """One measurement, of requests sent since a moment."""

    since: float
    fresh: int = 0
    """Requests that came back; the first ones are left out, because the quick ones among many come back first."""
    done: int = 0
    failed: int = 0
    busy: int = 0
    in_flight: int = 0
    seconds: float = 0.0

    @property
    def latency(self) -> float:
        """Mean seconds of a request."""
        return max(self.seconds / self.done, 1e-9)

    @property
    def throughput(self) -> float:
        """Usable replies a second, by Little's law: counting them would err by a whole round where requests go in step."""
        return self.in_flight / self.done / self.latency * (1 - self.failed / self.done)


class Slots:
    """The places at one server.

    Args:
        policy: how they are given.
        now: seconds on a clock that never goes back.
    """

    def __init__(self, policy: SlotsPolicy, now: float) -> None:
        self._policy = policy
        self.limit = float(policy.start if policy.start is not None else min(policy.most, 16))
        self._ceiling: float | None = None
        self._window = _Window(now)
        self._base: tuple[float, float, float] | None = None
        """Places, throughput and latency to which a step is compared."""
        self._trying = 0
        """1 during a step up, -1 during one down."""
        self._next = 1
        self._hold = 0
        self._idle = 0
        self._cut_at = float("-inf")
        self._before_cuts: float | None = None
        """Places at the first cut for a 429."""

    def __int__(self) -> int:
        return max(1, int(self.limit))

    def refused(self, now: float, seconds: float, in_flight: int, needed: float = 1.0) -> bool:
        """A 429 came back.

        Args:
            now: when.
            seconds: how long its request was on its way.
            in_flight: requests on their way, this one included.
            needed: places that what passes at present takes up; not many fewer are left.

        Returns:
            Whether places were cut: not again for a request that was sent before the last cut.
        """
        if now - seconds <= self._cut_at:
            return False
        if self._before_cuts is None:
            self._before_cuts = self.limit
        self._ceiling = min(self.limit, max(float(in_flight), needed))
        self._settle(max(1.0, self._policy.cut * self._ceiling, min(self._ceiling, _KEPT * needed)), now)
        self._cut_at, self._base, self._next = now, None, 1
        return True

    def freed(self, now: float) -> None:
        """The 429s so far had nothing to do with what was sent: the places of before, and on from there."""
        if self._before_cuts is not None:
            self.limit = max(self.limit, self._before_cuts)
        self._ceiling = self._base = self._before_cuts = None
        self._next, self._hold = 1, 0
        self._settle(self.limit, now)

    def came_back(self, now: float, seconds: float, in_flight: int, *, failed: bool) -> None:
        """A request came back without a 429; the arguments are those of `refused`."""
        window = self._window
        if now - seconds < window.since:
            return  # of other times
        window.fresh += 1
        if 2 * window.fresh <= int(self):
            return
        window.done += 1
        window.in_flight += in_flight
        window.failed += failed
        window.busy += in_flight >= _IN_USE * int(self)
        window.seconds += seconds
        if window.done >= max(_LEAST_SAMPLE, int(self)):
            self._judge(window, now)

    def _judge(self, window: _Window, now: float) -> None:
        """A measurement is complete: take the step back, or keep it and take the next."""
        throughput, latency = window.throughput, window.latency
        if window.failed >= self._policy.failing * window.done:
            self._base = None
            self._settle(max(1.0, self._policy.cut * self.limit), now)
        elif window.busy < _BUSY * window.done:
            # Something else limits, so nothing can be learnt about this.
            self._settle(self.limit if not self._trying or self._base is None else self._base[0], now)
        elif self._trying:
            self._weigh(throughput, latency, now)
        else:
            self._rest(throughput, latency, now)

    def _weigh(self, throughput: float, latency: float, now: float) -> None:
        """After a step."""
        up, base = self._trying > 0, self._base
        before = base[1] if base is not None else 0.0
        least = before * (1 + self._gain()) if up else before * (1 - self._policy.loss)
        if base is None or throughput >= least:
            self._base, self._idle = (self.limit, throughput, latency), 0
            self._step(self._trying, now)
            return
        self._settle(base[0], now)
        self._next = -1 if up else 1
        self._hold = _HOLDS[min(self._idle, len(_HOLDS) - 1)]
        self._idle += 1

    def _rest(self, throughput: float, latency: float, now: float) -> None:
        """Between steps."""
        base = self._base
        drifted = base is not None and (latency > _DRIFT * base[2] or latency * _DRIFT < base[2])
        if drifted:
            self._idle, self._next = 0, -1 if base is not None and latency > base[2] else 1
        # A step is compared to what was measured last, at the same load.
        self._base = (self.limit, throughput, latency)
        self._hold -= 1
        if self._hold <= 0 or drifted:
            self._step(self._next, now)
        else:
            self._settle(self.limit, now)

    def _step(self, direction: int, now: float) -> None:
        """Try more places, or fewer; at the end of the range nothing, for a while."""
        limit = self._above(now) if direction > 0 else max(1.0, self.limit * _DOWN)
        if int(limit) == int(self):
            self._hold = _HOLDS[min(self._idle, len(_HOLDS) - 1)]
            self._idle, self._next = self._idle + 1, -direction
            self._settle(self.limit, now)
            return
        self._settle(limit, now)
        self._trying = direction

    def _above(self, now: float) -> float:
        climbed = min(float(self._policy.most), max(self.limit * self._policy.climb, self.limit + 1))
        if self._ceiling is None or now - self._cut_at > _REMEMBERED_S:
            self._ceiling = None
            return climbed
        if self.limit < self._ceiling / _NEAR_CEILING:
            return min(climbed, max(self._ceiling / _NEAR_CEILING, self.limit + 1))
        # Around where the server last refused something, carefully.
        return min(float(self._policy.most), self.limit + max(1.0, _CAREFUL * self.limit))

    def _gain(self) -> float:
        """What a step up must bring: in proportion where the step was small, and no loss where the server says 429 by itself."""
        if self._ceiling is not None:
            return -self._policy.loss
        base = self._base
        step = self.limit / base[0] - 1 if base is not None else self._policy.climb - 1
        return self._policy.gain * min(1.0, step / (self._policy.climb - 1))

    def _settle(self, limit: float, now: float) -> None:
        self.limit = limit
        self._trying = 0
        self._window = _Window(now)
