"""The courier: takes what is due out of the outbox, sends it, and writes down what came of it.

A row is sent at least once: whoever dies between sending and marking leaves a lease that runs out, and the row goes out again under the
same id, by which a receiver knows it. A slow receiver takes up its own places and no others.
"""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
from collections import Counter
from collections.abc import Callable
from functools import partial

from crisis_filter.delivery.schedule import wait_ms
from crisis_filter.delivery.sending import Answer, Sender
from crisis_filter.delivery.signing import signed
from crisis_filter.errors import StoreClosed
from crisis_filter.store import outbox
from crisis_filter.store.endpoints import open_secrets, refused_for_good
from crisis_filter.store.keyring import SealError
from crisis_filter.store.opening import Store
from crisis_filter.store.outbox import Leased

__all__ = ["Courier", "fair_jitter"]

_log = logging.getLogger(__name__)
_SLOW_S = 2.0
_TIDY_S = 60.0

fair_jitter: Callable[[], float] = secrets.SystemRandom().random
"""A number from 0 to 1, evenly."""


class Courier:
    """Delivers what is due. Belongs to one event loop; there may be several, here and on other machines.

    Args:
        store: whose outbox; its clock and its crash points are used.
        sender: sends.
        worker: a name that no other courier has, 64 characters at most.
        jitter: gives a number from 0 to 1 for each wait.
        at_once: webhooks in the air at most.
        per_endpoint: the same to one receiver; one to a receiver that was slow or did not take the last.
        lease_s: how long a row is this courier's; well above the sender's time-out.
        idle_s: how often it looks while nobody wakes it; also how soon it sees what other processes wrote.
    """

    def __init__(
        self,
        store: Store,
        sender: Sender,
        *,
        worker: str,
        jitter: Callable[[], float] = fair_jitter,
        at_once: int = 32,
        per_endpoint: int = 4,
        lease_s: float = 60.0,
        idle_s: float = 0.5,
    ) -> None:
        self._store = store
        self._sender = sender
        self._worker = worker
        self._jitter = jitter
        self._at_once = at_once
        self._per_endpoint = per_endpoint
        self._lease_ms = round(lease_s * 1000)
        self._idle_s = idle_s
        self._tasks: set[asyncio.Task[None]] = set()
        self._in_the_air: Counter[str] = Counter()
        self._troubled: set[str] = set()
        self._awake = asyncio.Event()
        self._stopping = False
        self._tidy_at_s = -math.inf

    async def run(self) -> None:
        """Deliver until `stop`, then until what is in the air has come down. What the store or the network does never ends it."""
        try:
            while not self._stopping:
                self._awake.clear()
                await self._look()
                await self._rest()
            while self._tasks:
                await asyncio.wait(self._tasks)
        finally:
            await self._abandon()

    def stop(self) -> None:
        """Take no more in hand; `run` returns within the sender's time-out."""
        self._stopping = True
        self._awake.set()

    def wake(self) -> None:
        """Look now: something may have come to be due. Called in the loop's thread."""
        self._awake.set()

    async def deliver_due(self) -> int:
        """Send what is due now, once, and return when all of it is marked.

        Returns:
            How many were sent.

        Raises:
            StoreError: the store did not say what is due, or did not take what came of it.
        """
        sent = 0
        try:
            while True:
                sent += await self._begin()
                if not self._tasks:
                    return sent
                done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        finally:
            await self._abandon()

    async def _look(self) -> None:
        try:
            await self._begin()
        except StoreClosed:
            self.stop()
        except Exception as error:  # noqa: BLE001  # nothing else would deliver; what was leased comes to be due again
            _log.warning("the outbox cannot be read: %s", type(error).__name__)

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(self._idle_s):
                await self._awake.wait()
        except TimeoutError:
            pass

    async def _abandon(self) -> None:
        """What is in the air when everything ends at once: its lease runs out, and it is sent again."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _begin(self) -> int:
        """Lease what there is room for, and send it off. Returns how many."""
        now_ms = self._store.clock()
        await self._tidy(now_ms)
        free = self._at_once - len(self._tasks)
        due = await asyncio.to_thread(self._store.read, outbox.first_due) if free > 0 else {}
        room = {each: self._room(each) for each, at_ms in due.items() if at_ms <= now_ms}
        if not any(room.values()):
            return 0
        lease = partial(
            outbox.lease, worker=self._worker, room=room, limit=free, now_ms=now_ms, lease_ms=self._lease_ms
        )
        rows = await asyncio.wrap_future(self._store.submit(lease))
        self._store.crash("outbox:leased")
        for row in rows:
            self._in_the_air[row.endpoint_id] += 1
            task = asyncio.create_task(self._deliver(row))
            self._tasks.add(task)
            task.add_done_callback(partial(self._landed, row.endpoint_id))
        return len(rows)

    async def _tidy(self, now_ms: int) -> None:
        """Now and then: rows that were written while their endpoint was being disabled."""
        now_s = asyncio.get_running_loop().time()
        if now_s >= self._tidy_at_s:
            await asyncio.wrap_future(self._store.submit(partial(outbox.bury_disabled, now_ms=now_ms)))
            self._tidy_at_s = now_s + _TIDY_S

    def _room(self, endpoint_id: str) -> int:
        most = 1 if endpoint_id in self._troubled else self._per_endpoint
        return max(0, most - self._in_the_air[endpoint_id])

    def _landed(self, endpoint_id: str, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._in_the_air[endpoint_id] -= 1
        if self._in_the_air[endpoint_id] <= 0:
            del self._in_the_air[endpoint_id]
        self._awake.set()
        error = None if task.cancelled() else task.exception()
        if error is not None:
            _log.warning("a webhook was sent and not marked; it is sent again: %s", type(error).__name__)

    async def _deliver(self, row: Leased) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        answer = await self._sent(row)
        self._store.crash("outbox:sent")
        if answer.delivered and loop.time() - began < _SLOW_S:
            self._troubled.discard(row.endpoint_id)
        else:
            self._troubled.add(row.endpoint_id)
        await asyncio.wrap_future(self._store.submit(self._marking(row, answer)))
        self._store.crash("outbox:marked")

    async def _sent(self, row: Leased) -> Answer:
        try:
            known = open_secrets(self._store.keys, row.tenant, row.endpoint_id, row.key_id, row.secrets)
            headers = signed(known, row.id, row.payload, now_ms=self._store.clock())
            return await self._sender.send(row.url, headers, row.payload.encode())
        except SealError:
            return Answer("secrets_sealed")
        except Exception as error:  # noqa: BLE001  # whatever is wrong with one row, it has to come to an end
            _log.warning("webhook %s cannot be sent: %s", row.id, type(error).__name__)
            return Answer("internal")

    def _marking(self, row: Leased, answer: Answer) -> Callable[..., object]:
        """What is to be written down of an attempt, to be run in a transaction."""
        now_ms = self._store.clock()
        if answer.delivered:
            return partial(outbox.mark_delivered, row_id=row.id, result=answer.result, now_ms=now_ms)
        if answer.gone:
            _log.warning("endpoint %s is disabled: its receiver is gone", row.endpoint_id)
            return partial(refused_for_good, row=row, worker=self._worker, now_ms=now_ms)
        wait = wait_ms(row.attempts + 1, answer.retry_after_s, self._jitter)
        if wait is None:
            _log.warning("webhook %s to endpoint %s is dead: %s", row.id, row.endpoint_id, answer.result)
            return partial(outbox.mark_dead, row_id=row.id, worker=self._worker, result=answer.result, now_ms=now_ms)
        return partial(
            outbox.mark_failed, row_id=row.id, worker=self._worker, result=answer.result, next_ms=now_ms + wait
        )
