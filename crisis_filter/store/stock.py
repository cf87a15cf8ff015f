"""How much there is of everything now, for metrics: of all tenants together, and of nobody in particular."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, case, func, select

from crisis_filter.schema import URGENCIES, Record, Urgency
from crisis_filter.store.tables import incidents, items, messages, outbox

__all__ = ["QueueStock", "Stock", "stock"]


class QueueStock(NamedTuple):
    """Items of one queue and urgency that nobody has decided."""

    queue: str
    urgency: Urgency
    waiting: int
    claimed: int
    overdue: int
    """Past their time, claimed ones included."""


class Stock(Record):
    """All that is not ended."""

    items: tuple[QueueStock, ...]
    oldest_s: dict[str, float]
    """By queue, how long its oldest waiting item has waited."""
    pending: int
    """Messages that are stored and not decided."""
    outbox_oldest_s: float
    """How long the oldest webhook has waited to be delivered; 0 where none waits."""
    incidents: int
    """Outages that are not over."""
    incident_messages: int
    """Items under them that nobody has decided."""


def stock(connection: Connection, *, now_ms: int) -> Stock:
    """Count what is there.

    Args:
        connection: that sees one moment's state, such as `Store.read` gives.
        now_ms: milliseconds since 1970.
    """
    waits, held = items.c.state == "waiting", items.c.state == "claimed"
    lines = connection.execute(
        select(
            items.c.queue,
            items.c.urgency,
            _number(waits),
            _number(held),
            _number(items.c.due_ms <= now_ms),
            func.min(case((waits, items.c.arrived_ms))),
        )
        .where(waits | held)
        .group_by(items.c.queue, items.c.urgency)
        .order_by(items.c.queue, items.c.urgency)
    ).all()
    oldest: dict[str, float] = {}
    for line in lines:
        if line[5] is not None:
            oldest[line[0]] = max(oldest.get(line[0], 0.0), (now_ms - line[5]) / 1000)
    is_open = incidents.c.healed_ms.is_(None)
    under = select(func.count()).select_from(items.join(incidents, incidents.c.id == items.c.incident_id))
    first = connection.scalar(select(func.min(outbox.c.created_ms)).where(outbox.c.state == "pending"))
    return Stock(
        items=tuple(QueueStock(line[0], _urgency(line[1]), *map(int, line[2:5])) for line in lines),
        oldest_s=oldest,
        pending=_count(connection, select(func.count()).select_from(messages).where(messages.c.state == "pending")),
        outbox_oldest_s=0.0 if first is None else max(0.0, (now_ms - first) / 1000),
        incidents=_count(connection, select(func.count()).select_from(incidents).where(is_open)),
        incident_messages=_count(connection, under.where(and_(is_open, waits | held))),
    )


def _number(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.sum(case((condition, 1), else_=0))


def _count(connection: Connection, asked: object) -> int:
    return int(connection.scalar(asked) or 0)  # type: ignore[call-overload]


def _urgency(name: str) -> Urgency:
    return next(urgency for urgency in URGENCIES if urgency == name)
