"""A baseline made of its parts: what its assessments share, how it is asked, what it holds open."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from crisis_filter.baselines.base import About, Ask, Clock, assess
from crisis_filter.schema import Assessment, Message

__all__ = ["Detector"]


async def _nothing_to_close() -> None:
    return None


class Detector:
    """Another's system as a detector; a `Baseline`.

    Args:
        shared: what all its assessments share.
        ask: asks the system about one text.
        close: releases what it holds open.
        clock: a monotonic clock, for `provenance.elapsed_ms`.
    """

    def __init__(
        self,
        shared: About,
        ask: Ask,
        close: Callable[[], Awaitable[None]] = _nothing_to_close,
        clock: Clock = time.monotonic,
    ) -> None:
        self._shared = shared
        self._ask = ask
        self._close = close
        self._clock = clock

    @property
    def name(self) -> str:
        """As in `provenance.detector`, without `baseline:`."""
        return self._shared.name

    async def assess(self, message: Message) -> Assessment:
        """Assess one message; see `Baseline.assess`."""
        return await assess(message, self._ask, self._shared, self._clock)

    async def aclose(self) -> None:
        """Release what it holds open."""
        await self._close()
