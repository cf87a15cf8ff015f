"""Reading a slow or blocking source without holding up the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

ItemT = TypeVar("ItemT")


@dataclass(frozen=True, slots=True)
class _End:
    """No more items, and why."""

    error: BaseException | None


class Exhausted(Exception):  # noqa: N818  # an end, no error
    """The source has no more items. An item may be anything, so no value can say so."""


class Feed(Generic[ItemT]):
    """Iterates over a source in a thread of its own, at most `ahead` items beyond what was taken.

    The thread is a daemon: a source that blocks for ever, such as an idle pipe, does not keep the program alive.

    Args:
        source: any iterable; iterated over in the thread.
        ahead: items to read beyond those taken, at least 1.
    """

    def __init__(self, source: Iterable[ItemT], ahead: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._items: asyncio.Queue[ItemT | _End] = asyncio.Queue()
        self._demand = threading.Semaphore(ahead)
        self._stopped = False
        threading.Thread(target=self._read, args=(source,), daemon=True, name="crisis-filter-feed").start()

    async def take(self) -> ItemT:
        """The next item.

        Raises:
            Exhausted: there is none.
            Exception: whatever iterating over the source raised, after all items before it.
        """
        item = await self._items.get()
        if isinstance(item, _End):
            self._items.put_nowait(item)  # the end stays the end
            raise item.error or Exhausted
        self._demand.release()
        return item

    def stop(self) -> None:
        """Read no further."""
        self._stopped = True
        self._demand.release()

    def _read(self, source: Iterable[ItemT]) -> None:
        error: BaseException | None = None
        try:
            for item in source:
                self._demand.acquire()
                if self._stopped:
                    return
                self._post(item)
        except BaseException as caught:  # noqa: BLE001  # raised where the items are taken
            error = caught
        self._post(_End(error))

    def _post(self, item: ItemT | _End) -> None:
        try:
            self._loop.call_soon_threadsafe(self._items.put_nowait, item)
        except RuntimeError:
            self._stopped = True  # the loop is closed: nobody takes any more
