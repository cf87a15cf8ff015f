"""What only one process of many does at a time: whoever holds the lease of that name."""

from __future__ import annotations

from sqlalchemy import Connection, delete, or_, update

from crisis_filter.store.statements import insert_new
from crisis_filter.store.tables import leases

__all__ = ["give_up", "hold"]


def hold(connection: Connection, name: str, holder: str, *, now_ms: int, for_ms: int) -> bool:
    """Take a lease, or hold it longer.

    Args:
        connection: in a transaction that writes.
        name: of what is done.
        holder: who wants to do it.
        now_ms: milliseconds since 1970.
        for_ms: for how long nobody else may.

    Returns:
        Whether the holder has it. One whose time ran out goes to whoever asks first.
    """
    until = now_ms + for_ms
    if insert_new(connection, leases, [{"name": name, "holder": holder, "until_ms": until}]):
        return True
    mine_or_free = or_(leases.c.holder == holder, leases.c.until_ms < now_ms)
    taken = connection.execute(
        update(leases).where(leases.c.name == name, mine_or_free).values(holder=holder, until_ms=until)
    )
    return taken.rowcount == 1


def give_up(connection: Connection, name: str, holder: str) -> None:
    """Let a lease go, so that another need not wait for its end."""
    connection.execute(delete(leases).where(leases.c.name == name, leases.c.holder == holder))
