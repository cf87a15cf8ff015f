"""What is to be told to the receivers of webhooks: rows that wait until they are delivered or dead.

Rows are made with the decision that they tell of (`conclude`). A courier leases those that are due, sends, and marks them; one that dies
in between leaves a lease that runs out, and the row is sent again under the same id. A leased row is one whose next attempt lies at the
end of its lease, so what is due is found by one column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import Connection, Update, and_, func, select, update

from crisis_filter.schema import Record
from crisis_filter.store.tables import endpoints, outbox

__all__ = [
    "Counts",
    "Leased",
    "Replayed",
    "RowState",
    "Sent",
    "bury",
    "bury_disabled",
    "counts",
    "dead",
    "first_due",
    "lease",
    "mark_dead",
    "mark_delivered",
    "mark_failed",
    "release",
    "replay",
]

RowState = Literal["pending", "delivered", "dead"]
_DISABLED = "disabled"
"""Last result of a row that nobody wanted any more."""
_FREE: dict[str, Any] = {"leased_by": None, "leased_until_ms": None}


@dataclass(frozen=True, slots=True)
class Leased:
    """One row in a courier's hand, with its receiver."""

    id: str
    tenant: str
    endpoint_id: str
    kind: str
    payload: str = field(repr=False)
    attempts: int
    """That failed already."""
    url: str = field(repr=False)
    key_id: str | None
    secrets: bytes = field(repr=False)
    """As they lie in the store; `endpoints.open_secrets` opens them."""


class Sent(Record):
    """A row as people look at it; without its payload."""

    id: str
    tenant: str
    endpoint_id: str
    kind: str
    message_id: str | None
    state: RowState
    attempts: int
    created_ms: int
    ended_ms: int | None
    last_result: str | None


class Counts(Record):
    """How the outbox stands."""

    pending: int = 0
    delivered: int = 0
    dead: int = 0
    oldest_pending_ms: int | None = None
    """When the longest waiting one was made."""


class Replayed(Record):
    """What a replay did."""

    replayed: int
    disabled: int
    """Rows that were left, because their endpoint is disabled."""


def bury(connection: Connection, endpoint_id: str, *, now_ms: int) -> int:
    """The rows that wait for an endpoint are dead. Returns how many."""
    waiting = update(outbox).where(outbox.c.endpoint_id == endpoint_id, outbox.c.state == "pending")
    return connection.execute(_buried(waiting, now_ms)).rowcount


def bury_disabled(connection: Connection, *, now_ms: int) -> int:
    """Rows that were written while their endpoint was being disabled: dead as the others. Returns how many."""
    unwanted = select(endpoints.c.id).where(endpoints.c.disabled_ms.is_not(None))
    waiting = update(outbox).where(outbox.c.state == "pending", outbox.c.endpoint_id.in_(unwanted))
    return connection.execute(_buried(waiting, now_ms)).rowcount


def first_due(connection: Connection) -> dict[str, int]:
    """Of every enabled endpoint with rows that wait, when its first one is due; whose is due longest comes first."""
    first = (
        select(func.min(outbox.c.next_ms))
        .where(outbox.c.endpoint_id == endpoints.c.id, outbox.c.state == "pending")
        .scalar_subquery()
        .label("first_ms")
    )
    found = connection.execute(select(endpoints.c.id, first).where(endpoints.c.disabled_ms.is_(None)))
    known = {row.id: row.first_ms for row in found if row.first_ms is not None}
    return dict(sorted(known.items(), key=lambda one: one[1]))


def lease(
    connection: Connection, worker: str, room: Mapping[str, int], *, limit: int, now_ms: int, lease_ms: int
) -> list[Leased]:
    """Take rows that are due in hand. No two couriers get the same one while its lease lasts.

    Args:
        connection: in a transaction that began by writing (SQLite); rows that another holds are passed over (PostgreSQL).
        worker: the courier.
        room: how many at most for each endpoint; endpoints that are not named get none. Those named first are served first.
        limit: how many at most in all.
        now_ms: now.
        lease_ms: how long they are the courier's.

    Returns:
        Those it got, for each endpoint the ones that are due longest.
    """
    ids: list[str] = []
    for endpoint_id, most in room.items():
        wanted = min(most, limit - len(ids))
        if wanted <= 0:
            continue
        due = (
            select(outbox.c.id)
            .where(outbox.c.endpoint_id == endpoint_id, outbox.c.state == "pending", outbox.c.next_ms <= now_ms)
            .order_by(outbox.c.next_ms, outbox.c.id)
            .limit(wanted)
            .with_for_update(skip_locked=True)
        )
        ids += connection.scalars(due)
    if not ids:
        return []
    until = now_ms + lease_ms
    connection.execute(
        update(outbox)
        .where(outbox.c.id.in_(ids), outbox.c.state == "pending", outbox.c.next_ms <= now_ms)
        .values(leased_by=worker, leased_until_ms=until, next_ms=until)
    )
    got = connection.execute(
        select(outbox, endpoints.c.url, endpoints.c.key_id, endpoints.c.secrets)
        .join(endpoints, and_(endpoints.c.id == outbox.c.endpoint_id, endpoints.c.disabled_ms.is_(None)))
        .where(outbox.c.id.in_(ids), outbox.c.leased_by == worker, outbox.c.leased_until_ms == until)
    )
    named = Leased.__dataclass_fields__
    found = {row["id"]: Leased(**{name: row[name] for name in named}) for row in got.mappings()}
    return [found[row_id] for row_id in ids if row_id in found]


def release(connection: Connection, worker: str, row_ids: Sequence[str], *, now_ms: int) -> None:
    """Give back rows that were leased and not sent; they are due at once."""
    connection.execute(
        update(outbox)
        .where(outbox.c.id.in_(row_ids), outbox.c.state == "pending", outbox.c.leased_by == worker)
        .values(**_FREE, next_ms=now_ms)
    )


def mark_delivered(connection: Connection, row_id: str, *, result: str, now_ms: int) -> bool:
    """The receiver has it, whoever holds the lease by now. Returns whether that is news."""
    done = (
        update(outbox)
        .where(outbox.c.id == row_id, outbox.c.state != "delivered")
        .values(state="delivered", ended_ms=now_ms, **_tried(result), **_FREE)
    )
    return connection.execute(done).rowcount == 1


def mark_failed(connection: Connection, row_id: str, worker: str, *, result: str, next_ms: int) -> bool:
    """One more attempt failed; another follows, unless the endpoint was disabled meanwhile.

    Returns:
        Whether that is news: false where the lease ran out and another has the row.
    """
    tried = {**_tried(result), **_FREE}
    mine = update(outbox).where(outbox.c.id == row_id, outbox.c.leased_by == worker)
    again = mine.where(outbox.c.state == "pending").values(**tried, next_ms=next_ms)
    if connection.execute(again).rowcount == 1:
        return True
    return connection.execute(mine.where(outbox.c.state == "dead").values(**tried)).rowcount == 1


def mark_dead(connection: Connection, row_id: str, worker: str, *, result: str, now_ms: int) -> bool:
    """One more attempt failed, and none follows. Returns whether that is news, as `mark_failed` does."""
    died = (
        update(outbox)
        .where(outbox.c.id == row_id, outbox.c.leased_by == worker, outbox.c.state != "delivered")
        .values(state="dead", ended_ms=now_ms, **_tried(result), **_FREE)
    )
    return connection.execute(died).rowcount == 1


def replay(
    connection: Connection,
    tenant: str,
    *,
    now_ms: int,
    row_ids: Sequence[str] | None = None,
    endpoint_id: str | None = None,
) -> Replayed:
    """Send again from the first attempt on, under the same ids.

    Args:
        connection: in a transaction.
        tenant: whose rows.
        now_ms: now.
        row_ids: these, dead or delivered; `None` is all that are dead.
        endpoint_id: of this endpoint alone.
    """
    if row_ids is None:
        chosen = outbox.c.state == "dead"
    else:
        chosen = and_(outbox.c.state != "pending", outbox.c.id.in_(row_ids))
    if endpoint_id is not None:
        chosen = and_(chosen, outbox.c.endpoint_id == endpoint_id)
    mine = and_(outbox.c.tenant == tenant, chosen)
    unwanted = select(endpoints.c.id).where(endpoints.c.tenant == tenant, endpoints.c.disabled_ms.is_not(None))
    left = connection.scalar(select(func.count()).select_from(outbox).where(mine, outbox.c.endpoint_id.in_(unwanted)))
    again = connection.execute(
        update(outbox)
        .where(mine, outbox.c.endpoint_id.not_in(unwanted))
        .values(state="pending", attempts=0, next_ms=now_ms, ended_ms=None, **_FREE)
    )
    return Replayed(replayed=again.rowcount, disabled=left or 0)


def dead(connection: Connection, tenant: str, *, endpoint_id: str | None = None, limit: int = 100) -> list[Sent]:
    """The dead rows of a tenant, the latest first.

    Args:
        connection: to read from.
        tenant: whose.
        endpoint_id: of this endpoint alone.
        limit: how many at most.
    """
    chosen = [outbox.c.tenant == tenant, outbox.c.state == "dead"]
    if endpoint_id is not None:
        chosen.append(outbox.c.endpoint_id == endpoint_id)
    columns = [outbox.c[name] for name in Sent.model_fields]
    found = connection.execute(
        select(*columns).where(*chosen).order_by(outbox.c.ended_ms.desc(), outbox.c.id.desc()).limit(limit)
    )
    return [Sent.model_validate(dict(row)) for row in found.mappings()]


def counts(connection: Connection, tenant: str | None = None) -> Counts:
    """How many rows there are of each state.

    Args:
        connection: to read from.
        tenant: whose; `None` is everybody's, for metrics.
    """
    wanted = select(outbox.c.state, func.count().label("n"), func.min(outbox.c.created_ms).label("first"))
    if tenant is not None:
        wanted = wanted.where(outbox.c.tenant == tenant)
    found = {row.state: (row.n, row.first) for row in connection.execute(wanted.group_by(outbox.c.state))}
    numbers = {state: found.get(state, (0, None))[0] for state in ("pending", "delivered", "dead")}
    return Counts(**numbers, oldest_pending_ms=found.get("pending", (0, None))[1])


def _tried(result: str) -> dict[str, Any]:
    return {"attempts": outbox.c.attempts + 1, "last_result": result}


def _buried(rows: Update, now_ms: int) -> Update:
    # A row that is in the air keeps its lease, so that whoever sent it can still say what came of it.
    return rows.values(state="dead", ended_ms=now_ms, last_result=_DISABLED)
