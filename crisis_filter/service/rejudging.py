"""Judging again what an outage left open, once whatever failed works again; a few first, to see whether it does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from crisis_filter.errors import FAULTS, Fault
from crisis_filter.schema import Assessment, Message
from crisis_filter.service.routing import Router
from crisis_filter.store.opening import Store
from crisis_filter.store.records import Rejudgeable
from crisis_filter.store.rejudge import SUPERSEDE, Rejudged, rejudge_candidates
from crisis_filter.triage.rejudge import Standing, standing_after

__all__ = ["HEALED", "Rejudging"]

HEALED = frozenset(fault for fault in Fault if FAULTS[fault].rejudge == "healed")
"""Faults that the service caused, which the same detector may settle when it works again."""
_TRY = 2
_MOST = 64


class Rejudging:
    """Looks for what may be judged again.

    Args:
        store: open.
        assess: judges a message, and raises nothing.
        router: gives an assessment its place.
        worker: this process's name.
        lease_ms: for how long nobody else tries a message again, whatever comes of it.
    """

    def __init__(
        self,
        store: Store,
        assess: Callable[[Message], Awaitable[Assessment]],
        router: Router,
        *,
        worker: str,
        lease_ms: int = 120_000,
    ) -> None:
        self._store = store
        self._assess = assess
        self._router = router
        self._worker = worker
        self._lease_ms = lease_ms
        self.settled = 0
        """Messages whose new assessment took the place of the old."""

    async def again(self) -> bool:
        """Judge again what is most urgent first; gives whether there is more to do at once.

        Where the first two fail as before, the others are left for the next time: whatever failed has not healed.

        Raises:
            StoreError: the store does not answer.
        """
        if not await self._some(_TRY):
            return False
        return await self._some(_MOST)

    async def _some(self, limit: int) -> bool:
        """Judge so many again; gives whether any got a verdict, though the old one may stand."""
        take = partial(
            rejudge_candidates,
            store=self._store,
            faults=HEALED,
            worker=self._worker,
            limit=limit,
            now_ms=self._store.clock(),
            lease_ms=self._lease_ms,
        )
        found = await asyncio.wrap_future(self._store.submit(take))
        return any(await asyncio.gather(*(self._one(one) for one in found)))

    async def _one(self, old: Rejudgeable) -> bool:
        work = old.work
        new = await self._assess(work.message)
        routed = self._router.route(new, locale=work.message.locale, source=work.source, received_ms=work.received_ms)
        said = routed.assessment.model_copy(update={"id": old.assessment.id})
        if standing_after(old.assessment, said, Standing(opened=old.opened)) is not said:
            # It answered, so whatever failed has healed; what stands, stands for people.
            return said.fault is None
        one = Rejudged(
            message_id=work.message.id,
            revision=old.revision,
            assessment=said,
            to_person=routed.to_person,
            due_ms=routed.due_ms,
            now_ms=self._store.clock(),
        )
        concluded = await asyncio.wrap_future(self._store.gather(SUPERSEDE, one))
        self.settled += not concluded.stood
        return not concluded.stood
