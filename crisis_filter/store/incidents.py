"""Outages: messages that one fault of the service left undetermined lie together, so that a person sees one thing and not a thousand."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, bindparam, func, select, update

from crisis_filter.errors import Fault
from crisis_filter.schema import Record
from crisis_filter.store.opening import Store
from crisis_filter.store.records import new_id
from crisis_filter.store.statements import change, each, insert_new
from crisis_filter.store.tables import incidents, items

__all__ = ["Incident", "heal", "incidents_for", "open_incidents"]


class Incident(Record):
    """One outage, as one tenant saw it."""

    id: str
    tenant: str
    fault: Fault
    opened_ms: int
    last_ms: int
    """When the last message came under it."""
    healed_ms: int | None
    waiting: int
    """Items under it that nobody has taken yet."""


_OPEN = select(incidents.c.id).where(
    incidents.c.tenant == bindparam("tenant"), incidents.c.fault == bindparam("fault"), incidents.c.healed_ms.is_(None)
)
_LAST = (
    update(incidents)
    .where(incidents.c.id == bindparam("incident"), incidents.c.last_ms < bindparam("now"))
    .values(last_ms=bindparam("now"))
)


def incidents_for(
    connection: Connection, store: Store, wanted: Collection[tuple[str, Fault]], now_ms: int
) -> dict[tuple[str, Fault], str]:
    """The open incident of each tenant and fault, opened where there is none.

    Args:
        connection: in a transaction that writes.
        store: where ids come from.
        wanted: tenants with faults.
        now_ms: milliseconds since 1970.
    """
    found: dict[tuple[str, Fault], str] = {}
    for tenant, fault in sorted(wanted):
        place = {"tenant": tenant, "fault": fault.value}
        known = each(connection, _OPEN, **place)
        if not known:
            made = {"id": new_id(now_ms, store.entropy), **place, "opened_ms": now_ms, "last_ms": now_ms}
            insert_new(connection, incidents, [made])
            known = each(connection, _OPEN, **place)
        else:
            change(connection, _LAST, incident=known[0][0], now=now_ms)
        found[tenant, fault] = known[0][0]
    return found


def open_incidents(connection: Connection, tenant: str | None = None) -> tuple[Incident, ...]:
    """Those that are not healed, the oldest first; of one tenant, or of all where `tenant` is `None`."""
    waiting = (
        select(func.count())
        .select_from(items)
        .where(items.c.incident_id == incidents.c.id, items.c.state == "waiting")
        .scalar_subquery()
    )
    wanted = select(incidents, waiting.label("waiting")).where(incidents.c.healed_ms.is_(None))
    if tenant is not None:
        wanted = wanted.where(incidents.c.tenant == tenant)
    rows = connection.execute(wanted.order_by(incidents.c.opened_ms, incidents.c.id)).mappings()
    return tuple(Incident(**{**row, "fault": Fault(row["fault"])}) for row in rows)


def heal(connection: Connection, incident_id: str, now_ms: int) -> bool:
    """Close an incident: what fails from now on is another. Its items stay where they are. False where it was not open."""
    closing = update(incidents).where(incidents.c.id == incident_id, incidents.c.healed_ms.is_(None))
    return connection.execute(closing.values(healed_ms=now_ms)).rowcount == 1
