"""A line in which those who have to wait stand in order, and out of which anybody may step."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable

from crisis_filter.errors import BackendError

__all__ = ["Line"]

# Timers shorter than this cost more than they bring; what they would have let out goes together.
_TICK_S = 0.002
_CROWD = 64


class Line:
    """First come, first served. Belongs to one event loop; one timer for all, no task for anybody.

    Args:
        wait: seconds after which the first in line may be let in; 0 now, infinity when only a `move` of somebody else's will tell.
        take: lets one in.
        undo: one who was let in never went, because it was cancelled at that moment.
    """

    def __init__(
        self, wait: Callable[[float], float], take: Callable[[float], None], undo: Callable[[float], None]
    ) -> None:
        self._wait = wait
        self._take = take
        self._undo = undo
        self._standing: deque[tuple[asyncio.Future[None], float]] = deque()
        self._gone = 0
        self._timer: asyncio.TimerHandle | None = None
        self._ended: Callable[[], BackendError] | None = None

    def __len__(self) -> int:
        return len(self._standing) - self._gone

    async def enter(self, need: float) -> None:
        """Be let in, after all who came before.

        Args:
            need: what `wait` and `take` are asked about.

        Raises:
            BackendError: the line was ended.
        """
        if self._ended is not None:
            raise self._ended()
        if not self._standing and self._wait(need) <= 0:
            self._take(need)
            return
        future = asyncio.get_running_loop().create_future()
        self._standing.append((future, need))
        if len(self._standing) == 1:
            self.move()
        try:
            await future
        except asyncio.CancelledError:
            self._step_out(future, need)
            raise

    def move(self) -> None:
        """Let in whoever may go now; call it when something has become free."""
        while self._standing:
            future, need = self._standing[0]
            if future.done():  # stepped out
                self._standing.popleft()
                self._gone -= 1
                continue
            wait = self._wait(need)
            if wait > 0:
                self._wake(future, wait)
                return
            self._standing.popleft()
            self._take(need)
            future.set_result(None)

    def end(self, error: Callable[[], BackendError]) -> None:
        """Let nobody in any more; those who wait are told at once, each with an error of its own."""
        self._ended = error
        self._quiet()
        while self._standing:
            future, _ = self._standing.popleft()
            if not future.done():
                future.set_exception(error())
        self._gone = 0

    def _step_out(self, future: asyncio.Future[None], need: float) -> None:
        if future.cancelled():
            self._gone += 1
            if self._gone > _CROWD and 2 * self._gone > len(self._standing):
                # A long pause with short deadlines must not make the line grow.
                self._standing = deque(one for one in self._standing if not one[0].done())
                self._gone = 0
        elif future.done() and future.exception() is None:
            self._undo(need)
        self.move()

    def _wake(self, future: asyncio.Future[None], wait: float) -> None:
        self._quiet()
        if math.isfinite(wait):
            self._timer = future.get_loop().call_later(max(wait, _TICK_S), self.move)

    def _quiet(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
