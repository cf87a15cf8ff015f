"""Turns for something scarce: of all who wait, the one with the highest score goes next."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import count


class Turns:
    """So many places; who finds none waits, and the highest score is let in first, of equals the earliest.

    Args:
        places: at least 1.

    Raises:
        ValueError: fewer than one place.
    """

    def __init__(self, places: int) -> None:
        if places < 1:
            raise ValueError("places must be at least 1")
        self._free = places
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = count()

    @asynccontextmanager
    async def turn(self, score: float) -> AsyncGenerator[None]:
        """Wait for a place and keep it for the block. Who is cancelled while waiting takes none along."""
        if self._free:
            self._free -= 1
        else:
            place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            heapq.heappush(self._waiting, (-score, next(self._numbers), place))
            try:
                await place
            except asyncio.CancelledError:
                if place.done() and not place.cancelled():
                    self._let_in()
                raise
        try:
            yield
        finally:
            self._let_in()

    def _let_in(self) -> None:
        """Hand a place that has become free to the next who still waits."""
        while self._waiting:
            *_, place = heapq.heappop(self._waiting)
            if not place.done():
                place.set_result(None)
                return
        self._free += 1
