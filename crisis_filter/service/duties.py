"""What the service does besides answering: again and again, each duty by itself, so that a failing one stops no other."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from crisis_filter.errors import StoreError
from crisis_filter.store.leases import give_up, hold
from crisis_filter.store.opening import Store

__all__ = ["Duties", "Duty"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Duty:
    """One of them.

    Attributes:
        name: of its lease and in the log.
        every_s: how long after one time the next begins.
        do: does it once; gives whether there is more to do at once.
        alone: whether one process of those that share the store does it, or each.
    """

    name: str
    every_s: float
    do: Callable[[], Awaitable[bool]]
    alone: bool = False


class Duties:
    """Runs duties until it is stopped.

    Args:
        store: keeps the leases.
        worker: this process's name.
        duties: what to do.
    """

    def __init__(self, store: Store, worker: str, duties: Sequence[Duty]) -> None:
        self._store = store
        self._worker = worker
        self._duties = tuple(duties)
        self._tasks: list[asyncio.Task[None]] = []
        self.failing: dict[str, str] = {}
        """Duties whose last time failed, with the type of the error."""

    def start(self) -> None:
        """Begin with all of them."""
        self._tasks = [asyncio.create_task(self._again_and_again(duty), name=duty.name) for duty in self._duties]

    async def stop(self) -> None:
        """End all of them; one in the middle of something is cancelled, and what it held is let go."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def _again_and_again(self, duty: Duty) -> None:
        held = False
        try:
            while True:
                more = False
                try:
                    held = not duty.alone or await self._held(duty)
                    more = held and await duty.do()
                except Exception as error:  # noqa: BLE001  # the next time may go well
                    if duty.name not in self.failing:
                        _log.error("%s failed with %s", duty.name, type(error).__name__)
                    self.failing[duty.name] = type(error).__name__
                else:
                    self.failing.pop(duty.name, None)
                await asyncio.sleep(0.0 if more else duty.every_s)
        finally:
            if duty.alone and held:
                await self._let_go(duty)

    async def _held(self, duty: Duty) -> bool:
        now = self._store.clock()
        # Longer than the pause, so that it stays where it is while all is well.
        wanted = partial(
            hold, name=duty.name, holder=self._worker, now_ms=now, for_ms=int(3000 * duty.every_s) + 30_000
        )
        return await asyncio.wrap_future(self._store.submit(wanted))

    async def _let_go(self, duty: Duty) -> None:
        try:
            await asyncio.wrap_future(self._store.submit(partial(give_up, name=duty.name, holder=self._worker)))
        except StoreError:
            _log.info("the lease of %s runs out by itself", duty.name)
