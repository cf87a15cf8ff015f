"""Ending a run in good order when a signal asks for it."""

from __future__ import annotations

import asyncio
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from crisis_filter.cli.trouble import Stopped

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

ResultT = TypeVar("ResultT")


class Stopper:
    """Turns SIGINT, SIGTERM and SIGHUP into the end of a run.

    Outside `run` a signal raises `Stopped` at once. Inside, where an exception out of nowhere would tear some task or the
    event loop itself in two, the first signal cancels the run and only a second one raises.
    """

    def __init__(self) -> None:
        self._running: tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]] | None = None
        self._number: int | None = None
        self._others: list[int] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Take the signals over for as long as the context lasts."""
        hang_up = getattr(signal, "SIGHUP", signal.SIGTERM)  # Windows has none
        # What is ignored stays so: that is how `nohup` works.
        self._others = [n for n in {signal.SIGTERM, hang_up} if signal.getsignal(n) is not signal.SIG_IGN]
        before = {name: signal.signal(name, self._take) for name in (signal.SIGINT, *self._others)}
        try:
            yield
        finally:
            for name, handler in before.items():
                signal.signal(name, handler)

    def run(self, work: Coroutine[Any, Any, ResultT]) -> ResultT:
        """`asyncio.run` that a signal ends.

        Raises:
            Stopped: a signal came; what the run had open is closed.
        """

        async def cancellable() -> ResultT:
            task = asyncio.current_task()
            assert task is not None  # noqa: S101  # a coroutine that runs is run by a task
            self._running = asyncio.get_running_loop(), task
            try:
                return await work
            finally:
                self._running = None

        try:
            return asyncio.run(cancellable())
        except asyncio.CancelledError:
            if self._number is None:
                raise
            raise Stopped(self._number) from None

    def _take(self, number: int, _: object) -> None:
        # A terminal that closes may hang up twice; the second must not end the putting away.
        for name in self._others:
            signal.signal(name, signal.SIG_IGN)
        if self._running is None or self._number is not None:
            raise Stopped(number)
        self._number = number
        loop, task = self._running
        loop.call_soon_threadsafe(task.cancel)
