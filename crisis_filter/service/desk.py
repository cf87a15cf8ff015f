"""The desk: takes messages in, has them judged and puts down what was said. One for each process.

A message is stored before anything else is done with it, and what is stored gets its decision whatever becomes of whoever asked: the work
belongs to the desk. Where the process dies, the leases of its messages run out and another desk, or the same one started anew, goes on.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from crisis_filter.errors import CrisisFilterError, Fault, StoreBusy, StoreClosed, StoreError, StoreUnavailable
from crisis_filter.schema import Assessment, Message, Provenance
from crisis_filter.service.routing import Routed, Router
from crisis_filter.store.conclude import CONCLUDE, Judged
from crisis_filter.store.idempotency import Replay, RequestKey
from crisis_filter.store.intake import ACCEPT, arrival, pending, renew
from crisis_filter.store.opening import Store
from crisis_filter.store.records import Accepted, Concluded, Received, Work

__all__ = ["Desk", "DeskLimits", "Handled", "Overloaded", "Stopping", "Undecided"]

_log = logging.getLogger(__name__)
_LEAST_S = 0.05

Assess = Callable[[Message], Awaitable[Assessment]]


class Overloaded(CrisisFilterError):  # noqa: N818  # what it is, as with the store
    """More is in work than the limits allow; nothing was taken in. Ask again later."""


class Stopping(Overloaded):
    """It is ending and takes nothing more."""


class Undecided(StoreUnavailable):
    """The store took the messages in and went away; they are decided when it is back."""


@dataclass(frozen=True, slots=True)
class DeskLimits:
    """How much is taken on at once."""

    most_waiting: int = 2_000
    """Messages in work; a request that would go above is refused before anything of it is taken in."""
    places: int = 256
    """Messages that are judged at once; the others wait in the order in which they came."""
    lease_ms: int = 30_000
    """For how long a message is this desk's, from when it was taken in or last held on to; `Desk.renew` is to be called some times in that time.
    What a dead process left is taken over after it."""
    take_over: int = 64
    """Messages of dead workers that are taken over at once."""


@dataclass(frozen=True, slots=True)
class Handled:
    """One message with its decision.

    Attributes:
        message_id: ours.
        assessment: with its disposition; its id is the sender's. `None` where the message came before and has its decision, which the
            store knows.
        accepted: how it was taken in.
    """

    message_id: str
    assessment: Assessment | None = field(repr=False)
    accepted: Accepted


class Desk:
    """Accept, judge, conclude.

    Args:
        store: open.
        assess: judges a message, and raises nothing.
        router: gives an assessment its place.
        worker: this desk's name among those that share the store.
        drawn: whether a message is drawn for a blind second reading: of its tenant, its id and what was said.
        limits: how much at once.
        clock: milliseconds since 1970.
    """

    def __init__(
        self,
        store: Store,
        assess: Assess,
        router: Router,
        *,
        worker: str,
        drawn: Callable[[str, str, Assessment], bool] = lambda _tenant, _id, _assessment: False,
        limits: DeskLimits | None = None,
    ) -> None:
        self._store = store
        self._assess = assess
        self._router = router
        self._drawn = drawn
        self.worker = worker
        self.limits = limits or DeskLimits()
        self._places = asyncio.Semaphore(self.limits.places)
        self._waiting = 0
        self._tasks: set[asyncio.Task[Handled]] = set()
        self._held: set[str] = set()
        """Ids of messages that are taken in and not decided."""
        self._closing = False
        self._refused_at = 0.0
        self.met: Callable[[Assessment], None] = lambda _: None
        """Is told of every assessment that was put down."""
        self.full = False
        """Whether the store could not take in what came last: it may be read all the same."""

    @property
    def waiting(self) -> int:
        """Messages in work."""
        return self._waiting

    @property
    def closing(self) -> bool:
        """Whether it takes nothing more."""
        return self._closing

    async def receive(
        self, rows: Sequence[Received], key: RequestKey | None = None, written: Sequence[int] | None = None
    ) -> tuple[Handled, ...] | Replay:
        """Take messages in and decide them.

        Args:
            rows: at least one.
            key: of the request, where it carries one.
            written: when each was written, in milliseconds since 1970: time limits count from there, and rules look at its hour. `None` takes now, as
                does whoever takes a message over from a worker that died.

        Returns:
            For each its decision, in order; or the ids of a request that was done before.

        Raises:
            Overloaded: nothing was taken in; `Stopping` where it is for good.
            IdempotencyConflict: the key was used for another request; nothing was taken in.
            IdempotencyInFlight: the same request is still at work.
            Undecided: all was taken in, and the store does not answer any more.
            StoreError: the store does not answer, or refuses.
        """
        if self._closing:
            raise Stopping("it is ending")
        if self._waiting + len(rows) > self.limits.most_waiting:
            raise Overloaded("too many messages are in work")
        self._waiting += len(rows)
        left = len(rows)
        try:
            now = self._store.clock()
            coming = arrival(self._store, rows, now_ms=now, worker=self.worker, lease_ms=self.limits.lease_ms, key=key)
            try:
                taken = await asyncio.wrap_future(self._store.gather(ACCEPT, coming))
            except StoreUnavailable:
                self.full = True
                raise
            self.full = False
            if isinstance(taken, Replay):
                return taken
            tasks = []
            for row, accepted, since in zip(rows, taken, written or [now] * len(rows), strict=True):
                task = asyncio.create_task(self._handled(row, accepted, since))
                left -= 1  # the task counts itself down
                self._tasks.add(task)
                task.add_done_callback(self._done)
                tasks.append(task)
        finally:
            self._waiting -= left
        # Whoever asked may go away; what was taken in is decided all the same.
        try:
            return tuple([await asyncio.shield(task) for task in tasks])
        except (StoreBusy, StoreClosed, StoreUnavailable) as error:
            raise Undecided(str(error)) from None

    def _done(self, task: asyncio.Task[Handled]) -> None:
        self._tasks.discard(task)
        self._waiting -= 1
        if not task.cancelled() and (error := task.exception()) is not None:
            # It stays pending in the store, and is taken over when its lease has run out.
            _log.error("a message was taken in and could not be decided yet: %s", type(error).__name__)

    async def _handled(self, row: Received, accepted: Accepted, received_ms: int) -> Handled:
        if accepted.decided:
            return Handled(accepted.message_id, None, accepted)
        flags = row.flags | ({"duplicate_id"} if accepted.duplicate == "other_text" else frozenset())
        message = Message(id=accepted.message_id, text=row.text, locale=row.locale, flags=flags)
        work = Work(message=message, tenant=row.tenant, source=row.source, received_ms=received_ms)
        routed, concluded = await self._decided(work)
        if concluded.stood:
            # Another decision was there first, and may say something else.
            return Handled(accepted.message_id, None, accepted)
        said = routed.assessment
        return Handled(
            accepted.message_id,
            said if row.external_id is None else said.model_copy(update={"id": row.external_id}),
            accepted,
        )

    async def _decided(self, work: Work) -> tuple[Routed, Concluded]:
        """Judge one message and put it down."""
        self._held.add(work.message.id)
        try:
            return await self._judged(work)
        finally:
            self._held.discard(work.message.id)

    async def _judged(self, work: Work) -> tuple[Routed, Concluded]:
        message = work.message
        async with self._places:
            try:
                assessment = await self._assess(message)
            except Exception as error:  # noqa: BLE001  # whatever judges, a message that was taken in gets its place
                assessment = _of_a_bug(message, error)
        routed = self._router.route(assessment, locale=message.locale, source=work.source, received_ms=work.received_ms)
        one = Judged(
            message_id=message.id,
            assessment=routed.assessment,
            to_person=routed.to_person,
            due_ms=routed.due_ms,
            second_reading=self._drawn(work.tenant, message.id, routed.assessment),
            now_ms=self._store.clock(),
        )
        concluded = await asyncio.wrap_future(self._store.gather(CONCLUDE, one))
        if not concluded.stood:
            self.met(routed.assessment)
        return routed, concluded

    async def renew(self) -> int:
        """Hold on to what is in work, however long it waits for its place; gives how many messages that are.

        Raises:
            StoreError: the store does not answer; leases hold some minutes longer.
        """
        held = sorted(self._held)
        if held:
            longer = partial(
                renew, worker=self.worker, ids=held, now_ms=self._store.clock(), lease_ms=self.limits.lease_ms
            )
            await asyncio.wrap_future(self._store.submit(longer))
        return len(held)

    async def take_over(self) -> int:
        """Judge messages that nobody judges: of workers that died, or that the store had taken in when it went away.

        Returns:
            How many.

        Raises:
            StoreError: the store does not answer.
        """
        room = self.limits.most_waiting - self._waiting
        limit = min(self.limits.take_over, room)
        if limit < 1 or self._closing:
            return 0
        now, lease = self._store.clock(), self.limits.lease_ms
        found = await asyncio.wrap_future(
            self._store.submit(
                lambda connection: pending(
                    connection, self._store, worker=self.worker, limit=limit, now_ms=now, lease_ms=lease
                )
            )
        )
        self._waiting += len(found)
        try:
            results = await asyncio.gather(*(self._decided(work) for work in found), return_exceptions=True)
        finally:
            self._waiting -= len(found)
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, StoreError):
                raise result
        return len(found)

    def refuse(self) -> None:
        """Take nothing more."""
        if not self._closing:
            self._closing, self._refused_at = True, time.monotonic()

    async def drain(self, seconds: float) -> int:
        """Take nothing more, and end what is in work.

        Args:
            seconds: how long to wait for it, from when the desk began to take nothing more.

        Returns:
            Messages that are left pending in the store, for whoever takes them over.
        """
        self.refuse()
        if self._tasks:
            left = seconds - (time.monotonic() - self._refused_at)
            await asyncio.wait(self._tasks, timeout=max(_LEAST_S, left))
        return len(self._tasks)


def _of_a_bug(message: Message, error: Exception) -> Assessment:
    """What is said of a message where judging itself failed; of the error its type alone."""
    from crisis_filter.assets import package_version

    return Assessment(
        id=message.id,
        outcome="undetermined",
        fault=Fault.INTERNAL,
        fault_detail=type(error).__name__,
        flags=tuple(sorted(message.flags)),
        provenance=Provenance(detector="none", version=package_version()),
    )
