"""Outages as people work through them: one line for each, the likely crises first, closed when nothing is left of it."""

from __future__ import annotations

from sqlalchemy import Connection, case, func, or_, select

from crisis_filter.errors import Fault
from crisis_filter.schema import Record
from crisis_filter.store.incidents import heal
from crisis_filter.store.tables import incidents, items

__all__ = ["LIKELY", "IncidentLine", "close_incidents", "incident_lines"]

LIKELY = 0.5
"""Score at or above which an undetermined message counts as a likely crisis."""


class IncidentLine(Record):
    """One outage on the board."""

    id: str
    fault: Fault
    opened_ms: int
    last_ms: int
    """When the last message came under it."""
    healed_ms: int | None
    messages: int
    """All that ever came under it."""
    left: int
    """Items that nobody has decided yet, held ones included."""
    likely: int
    """Of those left, with a score of at least the limit."""
    unscored: int
    """Of those left, without a score: nothing is known of them."""
    overdue: int
    """Of those left, past their time."""


def incident_lines(
    connection: Connection, tenant: str, *, now_ms: int, likely: float = LIKELY
) -> tuple[IncidentLine, ...]:
    """Outages that are open or have something left, the oldest first.

    Args:
        connection: where to ask.
        tenant: whose.
        now_ms: milliseconds since 1970.
        likely: score from which on a message counts as a likely crisis, 0 to 1.
    """
    left = items.c.state.in_(("waiting", "claimed"))
    counted = (
        select(
            incidents,
            func.count(items.c.id).label("messages"),
            func.sum(case((left, 1), else_=0)).label("left"),
            func.sum(case((left & (items.c.score >= likely), 1), else_=0)).label("likely"),
            func.sum(case((left & items.c.score.is_(None), 1), else_=0)).label("unscored"),
            func.sum(case((left & (items.c.due_ms <= now_ms), 1), else_=0)).label("overdue"),
        )
        .select_from(incidents.outerjoin(items, items.c.incident_id == incidents.c.id))
        .where(incidents.c.tenant == tenant)
        .group_by(*incidents.c)
        .having(or_(incidents.c.healed_ms.is_(None), func.sum(case((left, 1), else_=0)) > 0))
        .order_by(incidents.c.opened_ms, incidents.c.id)
    )
    rows = connection.execute(counted).mappings()
    wanted = [name for name in IncidentLine.model_fields if name != "fault"]
    return tuple(IncidentLine(fault=Fault(row["fault"]), **{name: row[name] for name in wanted}) for row in rows)


def close_incidents(connection: Connection, *, now_ms: int, quiet_ms: int) -> tuple[str, ...]:
    """Close outages of which nothing is left and that nothing came under for a while. Gives their ids.

    Args:
        connection: in a transaction that writes.
        now_ms: milliseconds since 1970.
        quiet_ms: for how long nothing may have come under it; while the fault lasts, one outage stays one.
    """
    left = select(items.c.id).where(items.c.incident_id == incidents.c.id, items.c.state.in_(("waiting", "claimed")))
    over = (
        select(incidents.c.id)
        .where(incidents.c.healed_ms.is_(None), incidents.c.last_ms + quiet_ms <= now_ms, ~left.exists())
        .order_by(incidents.c.id)
    )
    return tuple(made for made in connection.scalars(over).all() if heal(connection, made, now_ms))
