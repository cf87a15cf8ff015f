"""The service, opened: store, detector, desk and duties, in one process."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from crisis_filter.backends.base import Backend
from crisis_filter.backends.chain import Chain
from crisis_filter.backends.registry import open_backend, open_fast
from crisis_filter.backends.spec import BackendSpec
from crisis_filter.delivery.addresses import PORTS, Reach, networks
from crisis_filter.delivery.sending import Sender
from crisis_filter.delivery.targets import SystemResolver
from crisis_filter.delivery.worker import Courier
from crisis_filter.errors import ConfigurationError, StoreError
from crisis_filter.pipeline.chain import open_links
from crisis_filter.pipeline.filter import CrisisFilter
from crisis_filter.pipeline.garbage import seldom
from crisis_filter.pipeline.spec import open_filter
from crisis_filter.schema import Assessment
from crisis_filter.service.access import Door
from crisis_filter.service.desk import Desk, DeskLimits
from crisis_filter.service.duties import Duties, Duty
from crisis_filter.service.guardrail import Intervention
from crisis_filter.service.limits import RateLimit
from crisis_filter.service.metrics import Ages, Figures, Metrics, Waiting
from crisis_filter.service.rejudging import Rejudging
from crisis_filter.service.routing import Router
from crisis_filter.service.rules import escalation_rules, reading_rules
from crisis_filter.service.spec import ServiceSpec
from crisis_filter.service.warming import warm_up
from crisis_filter.store import outbox
from crisis_filter.store.api_keys import Grant, GrantCache, authenticate
from crisis_filter.store.audit import Entry, append_many
from crisis_filter.store.keyring import Keyring
from crisis_filter.store.leases import hold
from crisis_filter.store.opening import Store, open_store
from crisis_filter.store.queue_escalation import escalate_overdue
from crisis_filter.store.queue_incidents import close_incidents
from crisis_filter.store.queue_second import drawn
from crisis_filter.store.records import Actor
from crisis_filter.store.retention import sweep
from crisis_filter.store.stock import stock
from crisis_filter.store.writer import WriterLimits
from crisis_filter.triage.resources import load_resources

__all__ = ["Service", "open_service"]

_log = logging.getLogger(__name__)

_SELF = Actor(id="service", tenant="-", scopes=frozenset(), origin="duty")
_REPLAYING = ("scripted:", "recorded:")
_QUIET_MS = 60_000
_BATCH = 500
_PAUSE_S = 0.002


class Service:
    """Everything a process needs to answer. Belongs to one event loop; `open_service` makes one.

    Attributes:
        spec: what it was opened from.
        store: open.
        policy: whose queues and rules hold.
        taxonomy: ids of the categories.
        desk: takes messages in.
        door: lets people in.
        metrics: counts.
        plan: what the guardrail does.
        reading: what the policy says of items that readers send on.
    """

    def __init__(
        self,
        spec: ServiceSpec,
        store: Store,
        crisis_filter: CrisisFilter,
        links: Sequence[Chain],
        *,
        warm: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.spec = spec
        self._warm = warm
        self.store = store
        self.policy = crisis_filter.policy
        self.taxonomy = crisis_filter.taxonomy.ids
        self.worker = f"service-{secrets.token_hex(6)}"
        self.metrics = Metrics([queue.id for queue in self.policy.queues])
        self.plan = Intervention(crisis=spec.guardrail_crisis, undetermined=spec.guardrail_undetermined)
        self.reading = reading_rules(self.policy)
        self._filter = crisis_filter
        self._chains = tuple(links)
        router = Router(self.policy, load_resources(self.policy.resources.pack))
        self.desk = Desk(
            store,
            crisis_filter.assess,
            router,
            worker=self.worker,
            drawn=self._drawn,
            limits=DeskLimits(
                most_waiting=spec.most_waiting,
                places=spec.places,
            ),
        )
        self.desk.met = self._met
        self.metrics.watch(lambda: self.desk.waiting)
        self.door = Door(GrantCache(self._grant, store.clock), RateLimit(), spec.per_minute)
        self.rejudging = Rejudging(store, crisis_filter.assess, router, worker=self.worker)
        self._resolver = SystemResolver()
        self.courier = self._courier() if spec.deliver else None
        self.duties = Duties(store, self.worker, self._duties())
        self._delivering: asyncio.Task[None] | None = None
        self._stack = ExitStack()

    async def __aenter__(self) -> Self:
        """Begin to work."""
        self._stack.enter_context(seldom())
        if self._warm is not None:
            await self._warm()
        if self.courier is not None:
            self._delivering = asyncio.create_task(self.courier.run())
        self.duties.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take nothing more, end what is in work, and close everything."""
        left = await self.desk.drain(self.spec.drain_s)
        if left:
            _log.warning("%d messages are left pending in the store", left)
        await self.duties.stop()
        if self.courier is not None and self._delivering is not None:
            self.courier.stop()
            await asyncio.gather(self._delivering, return_exceptions=True)
        self._resolver.close()
        await self._filter.aclose()
        await asyncio.to_thread(self.store.close)
        self._stack.close()

    async def troubles(self) -> dict[str, str]:
        """What keeps it from taking messages, or from judging them by the detector that was asked for; by the name of the failing part.

        Of a chain all links have to be open circuits before it counts: one that stands in is the chain at work.
        """
        found: dict[str, str] = {}
        if self.desk.closing:
            found["service"] = "it is ending"
        try:
            async with asyncio.timeout(2.0):
                await asyncio.to_thread(
                    self.store.read, lambda connection: connection.exec_driver_sql("SELECT 1").all()
                )
        except TimeoutError:
            found["store"] = "it does not answer"
        except StoreError as error:
            found["store"] = type(error).__name__
        if self.desk.full and "store" not in found and not await self._takes():
            found["store"] = "it takes nothing in"
        for chain in self._chains:
            shut = [
                link.name for link, breaker in zip(chain.links, chain.breakers, strict=True) if breaker.state == "open"
            ]
            if shut and len(shut) == len(chain.links):
                found["detector"] = f"no endpoint answers: {', '.join(shut)}"
        if self.desk.waiting >= self.desk.limits.most_waiting:
            found["desk"] = "as much as may be is in work"
        return found

    async def _takes(self) -> bool:
        """Whether something small can be written; else nobody would be sent here again who could find out."""
        one = partial(hold, name="readiness", holder=self.worker, now_ms=self.store.clock(), for_ms=1)
        try:
            async with asyncio.timeout(2.0):
                await asyncio.wrap_future(self.store.submit(one))
        except (TimeoutError, StoreError):
            return False
        return True

    def _drawn(self, tenant: str, message_id: str, assessment: Assessment) -> bool:
        share = self.spec.second_readings if assessment.outcome == "no_crisis" else self.spec.second_alerts
        return share > 0.0 and drawn(self.store.keys, tenant, message_id, share)

    def _met(self, assessment: Assessment) -> None:
        self.metrics.assessed(assessment)
        # Few listen for "not crisis"; who does hears of it when the courier looks by itself.
        if self.courier is not None and assessment.outcome != "no_crisis":
            self.courier.wake()

    def _grant(self, presented: str, now_ms: int) -> Grant | None:
        return self.store.read(lambda connection: authenticate(connection, presented, now_ms))

    def _courier(self) -> Courier:
        reach = Reach(
            ports=PORTS | frozenset(self.spec.webhook_ports),
            networks=networks(self.spec.reach),
            loopback_http=self.spec.loopback_webhooks,
        )
        return Courier(self.store, Sender(reach, self._resolver), worker=self.worker)

    def _duties(self) -> list[Duty]:
        return [
            Duty("take over", 2.0, self._take_over),
            Duty("hold on", self.desk.limits.lease_ms / 4000, self._hold_on),
            Duty("judge again", 15.0, self.rejudging.again, alone=True),
            Duty("escalate", 5.0, self._escalate, alone=True),
            Duty("close incidents", 30.0, self._close_incidents, alone=True),
            Duty("retention", 600.0, self._sweep, alone=True),
            Duty("refused keys", 60.0, self._audit_refused),
        ]

    async def _hold_on(self) -> bool:
        await self.desk.renew()
        return False

    async def _take_over(self) -> bool:
        return await self.desk.take_over() > 0

    async def _escalate(self) -> bool:
        rules, now = escalation_rules(self.policy), self.store.clock()
        escalate = partial(escalate_overdue, store=self.store, now_ms=now, limit=_BATCH, rules=rules)
        return len(await asyncio.wrap_future(self.store.submit(escalate))) == _BATCH

    async def _close_incidents(self) -> bool:
        close = partial(close_incidents, now_ms=self.store.clock(), quiet_ms=_QUIET_MS)
        await asyncio.wrap_future(self.store.submit(close))
        return False

    async def _sweep(self) -> bool:
        clean = partial(sweep, policy=self.spec.retention, by=_SELF, now_ms=self.store.clock(), limit=_BATCH)
        return (await asyncio.wrap_future(self.store.submit(clean))).total >= _BATCH

    async def _audit_refused(self) -> bool:
        refused, now = self.door.take_refused(), self.store.clock()
        if refused:
            entries = [
                Entry(
                    actor="nobody",
                    tenant="-",
                    action="access_refused",
                    object=f"requests:{count}",
                    origin=origin,
                    result="refused",
                )
                for origin, count in sorted(refused.items())
            ]
            await asyncio.wrap_future(self.store.submit(partial(append_many, entries=entries, now_ms=now)))
        return False

    async def figures(self) -> Figures:
        """What the store says now, for the metrics."""
        now = self.store.clock()
        found = await asyncio.to_thread(self.store.read, partial(stock, now_ms=now))
        told = await asyncio.to_thread(self.store.read, outbox.counts)
        return Figures(
            items=[Waiting(*line) for line in found.items],
            oldest_s=found.oldest_s,
            pending=found.pending,
            outbox=Ages(told.pending, told.dead, found.outbox_oldest_s),
            incidents=found.incidents,
            incident_messages=found.incident_messages,
            ready=not self.desk.closing,
        )


def open_service(spec: ServiceSpec) -> Service:
    """Open a service: load the detector, open the store, connect to no endpoint yet.

    Raises:
        ConfigurationError: the backend, a policy, a key file or the store is not as it has to be.
        StoreError: the store does not answer.
    """
    if spec.judging.backend.startswith(_REPLAYING):
        raise ConfigurationError(
            "a service does not take scripted or recorded answers: nobody would have read the messages"
        )
    chains: list[Chain] = []

    def opened(links: Sequence[BackendSpec]) -> Backend:
        found = open_links(links, open_link=_opened_link)
        if isinstance(found, Chain):
            chains.append(found)
        return found

    crisis_filter = open_filter(spec.judging, opener=opened)
    keys = Keyring.from_toml(Path(spec.keys).expanduser()) if spec.keys is not None else None
    # Between two of its commits a worker leaves the others time for theirs, or one of them would starve.
    limits = WriterLimits(window_s=_PAUSE_S) if spec.workers > 1 else WriterLimits()
    warm = partial(warm_up, spec.judging, crisis_filter, _opened_link)
    return Service(spec, open_store(spec.store, keys=keys, limits=limits), crisis_filter, chains, warm=warm)


def _opened_link(link: BackendSpec) -> Backend:
    """Over the fast lane where there is one."""
    return open_fast(link, gate=None) if link.kind in ("openai", "langchain") else open_backend(link)
