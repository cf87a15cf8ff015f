"""How the queue stands, for whoever answers for it: what waits, for how long, and how much each reader has read. No message, no list."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, case, func, select

from crisis_filter.schema import Record, Urgency
from crisis_filter.store.queue import free
from crisis_filter.store.queue_incidents import IncidentLine, incident_lines
from crisis_filter.store.queue_records import may, urgency_of
from crisis_filter.store.records import Actor
from crisis_filter.store.tables import items, readings

__all__ = ["Board", "BoardLine", "ReaderLine", "board"]

_DAY = 24 * 3600 * 1000


class BoardLine(Record):
    """What is to be read in one queue at one urgency, outages apart."""

    queue: str
    urgency: Urgency
    waiting: int
    held: int
    """With a reader now."""
    overdue: int
    """Past their time, held ones included."""
    escalated: int
    longest_ms: int
    """How long the first of those that wait has waited; 0 where none waits."""


class ReaderLine(Record):
    """How much one reader has had before them: reading of crises wears people out."""

    reader: str
    read: int
    """Items, over the window."""
    crises: int
    """Of those, that they called a crisis."""
    blind: int
    holds: int
    """Items that are theirs now."""
    last_ms: int | None
    """Their last answer."""


class Board(Record):
    """How the queue of a tenant stands."""

    at_ms: int
    lines: tuple[BoardLine, ...]
    """The most urgent first."""
    incidents: tuple[IncidentLine, ...]
    blind_waiting: int
    """Second readings that wait."""
    done: int
    """Items that people decided, over the window."""
    readers: tuple[ReaderLine, ...]
    window_ms: int

    @property
    def waiting(self) -> int:
        """Alerts that nobody holds, those of outages that are left included."""
        return sum(line.waiting for line in self.lines) + sum(line.left for line in self.incidents)


def board(connection: Connection, actor: Actor, *, now_ms: int, window_ms: int = _DAY) -> Board:
    """The board of the actor's tenant.

    Args:
        connection: where to ask.
        actor: with the scope `supervise`.
        now_ms: milliseconds since 1970.
        window_ms: over which what was done is counted, up to now.

    Raises:
        QueueError: `scope`.
    """
    may(actor, "supervise")
    mine = items.c.tenant == actor.tenant
    since = now_ms - window_ms
    blind = select(func.count()).select_from(items).where(mine, items.c.kind == "second_reading", free(now_ms))
    done = select(func.count()).select_from(items).where(mine, items.c.state == "done", items.c.done_ms > since)
    return Board(
        at_ms=now_ms,
        lines=_lines(connection, mine, now_ms),
        incidents=incident_lines(connection, actor.tenant, now_ms=now_ms),
        blind_waiting=connection.scalar(blind) or 0,
        done=connection.scalar(done) or 0,
        readers=_readers(connection, actor.tenant, now_ms, since),
        window_ms=window_ms,
    )


def _counted(condition: ColumnElement[bool]) -> ColumnElement[Any]:
    return func.sum(case((condition, 1), else_=0))


def _lines(connection: Connection, mine: ColumnElement[bool], now_ms: int) -> tuple[BoardLine, ...]:
    waits = free(now_ms)
    rows = connection.execute(
        select(
            items.c.queue,
            items.c.rank,
            _counted(waits),
            _counted(~waits),
            _counted(items.c.due_ms <= now_ms),
            _counted(items.c.escalations > 0),
            func.min(case((waits, items.c.arrived_ms))),
        )
        .where(mine, items.c.kind == "alert", items.c.incident_id.is_(None), items.c.state.in_(("waiting", "claimed")))
        .group_by(items.c.queue, items.c.rank)
        .order_by(items.c.rank, items.c.queue)
    )
    return tuple(
        BoardLine(
            queue=queue,
            urgency=urgency_of(rank),
            waiting=waiting,
            held=held,
            overdue=overdue,
            escalated=escalated,
            longest_ms=0 if first is None else max(0, now_ms - first),
        )
        for queue, rank, waiting, held, overdue, escalated, first in rows
    )


def _readers(connection: Connection, tenant: str, now_ms: int, since: int) -> tuple[ReaderLine, ...]:
    read = connection.execute(
        select(
            readings.c.reader,
            func.count(),
            _counted(readings.c.outcome == "crisis"),
            _counted(readings.c.blind),
            func.max(readings.c.read_ms),
        )
        .where(readings.c.tenant == tenant, readings.c.read_ms > since)
        .group_by(readings.c.reader)
    )
    found: dict[str, dict[str, Any]] = {
        reader: {"read": count, "crises": crises, "blind": blind, "last_ms": last}
        for reader, count, crises, blind, last in read
    }
    held = connection.execute(
        select(items.c.claimed_by, func.count())
        .where(and_(items.c.tenant == tenant, items.c.state == "claimed", items.c.claim_until_ms > now_ms))
        .group_by(items.c.claimed_by)
    )
    nothing = {"read": 0, "crises": 0, "blind": 0, "last_ms": None}
    for reader, count in held:
        found.setdefault(reader, dict(nothing))["holds"] = count
    return tuple(ReaderLine(reader=reader, **{"holds": 0, **found[reader]}) for reader in sorted(found))
