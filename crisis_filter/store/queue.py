"""Who reads what next: readers take the most urgent item, hold it for a while, and nobody else gets it meanwhile.

There is no list to pick from. What is taken is one item, by this order:

1. the urgency;
2. what is past its time, then what has less than a quarter of it left;
3. the likeliest crisis, by the detector's score; one without a score stands in the middle;
4. what is due first, then what came first.

A claim that ran out counts as waiting. A reader who has read a message before is not given it again; an alert that is past its time is
given to anybody, for then nobody else has looked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, case, exists, func, literal, or_, select, update

from crisis_filter.store.audit import Entry, append
from crisis_filter.store.crash import Crash, no_crash
from crisis_filter.store.queue_records import Item, QueueError, may
from crisis_filter.store.records import Actor
from crisis_filter.store.tables import items, readings

__all__ = ["find", "free", "next_item", "readings_of", "release", "renew", "shown"]

_NEVER = 1 << 62
_UNKNOWN_SCORE = 0.5
_QUARTER = 4


def next_item(
    connection: Connection,
    actor: Actor,
    *,
    queues: Sequence[str] | None = None,
    claim_ms: int,
    now_ms: int,
    crash: Crash = no_crash,
) -> Item | None:
    """Take the next item. Who holds one already gets that one, for as long again.

    Args:
        connection: in a transaction that writes.
        actor: the reader, with the scope `review`.
        queues: only from these; `None` is all. Blind items come from any, for their own queue would tell that they are.
        claim_ms: how long it is theirs.
        now_ms: milliseconds since 1970.
        crash: for tests.

    Returns:
        The item, or `None` where nothing waits that this reader may have.

    Raises:
        QueueError: `scope`.
    """
    may(actor, "review")
    held = connection.execute(
        update(items)
        .where(_mine(actor), items.c.claim_until_ms > now_ms)
        .values(claim_until_ms=now_ms + claim_ms)
        .returning(*items.c)
    ).first()
    if held is not None:
        return shown(held)
    wanted = [items.c.tenant == actor.tenant, free(now_ms), _for(actor, now_ms)]
    if queues is not None:
        wanted.append(or_(items.c.blind, items.c.queue.in_(list(queues))))
    first = (
        select(items.c.id).where(*wanted).order_by(*_order(now_ms)).limit(1).with_for_update(skip_locked=True)
    ).cte("first")
    taken = connection.execute(
        update(items)
        .where(items.c.id.in_(select(first.c.id)))
        .values(state="claimed", claimed_by=actor.id, claim_until_ms=now_ms + claim_ms)
        .returning(*items.c)
    ).first()
    if taken is None:
        return None
    append(connection, Entry.of(actor, "claim", f"item:{taken.id}"), now_ms)
    crash("queue:claim")
    return shown(taken)


def renew(connection: Connection, actor: Actor, item_id: str, *, claim_ms: int, now_ms: int) -> Item:
    """Hold an item longer; also one whose time ran out, as long as nobody else took it.

    Raises:
        QueueError: `scope`, `not_found`, `taken`, `not_claimed`.
    """
    may(actor, "review")
    renewed = connection.execute(
        update(items)
        .where(items.c.id == item_id, _mine(actor))
        .values(claim_until_ms=now_ms + claim_ms)
        .returning(*items.c)
    ).first()
    if renewed is not None:
        return shown(renewed)
    row = find(connection, actor, item_id)
    raise QueueError("taken" if row.state == "claimed" else "not_claimed")


def release(connection: Connection, actor: Actor, item_id: str, *, now_ms: int) -> None:
    """Give an item back unread, so that nobody has to wait for the claim to run out. A supervisor may do so for another reader.

    Raises:
        QueueError: `scope`, `not_found`, `taken`, `not_claimed`.
    """
    may(actor, "review")
    allowed = items.c.tenant == actor.tenant if "supervise" in actor.scopes else _mine(actor)
    given_back = connection.execute(
        update(items)
        .where(items.c.id == item_id, allowed, items.c.state == "claimed")
        .values(state="waiting", claimed_by=None, claim_until_ms=None)
    )
    if given_back.rowcount == 1:
        append(connection, Entry.of(actor, "release", f"item:{item_id}"), now_ms)
        return
    row = find(connection, actor, item_id)
    raise QueueError("taken" if row.state == "claimed" else "not_claimed")


def find(connection: Connection, actor: Actor, item_id: str, *, lock: bool = False) -> Row[Any]:
    """The row of an item of the actor's tenant.

    Args:
        connection: where to look.
        actor: who asks.
        item_id: of the item.
        lock: whether nobody else may change it until the transaction ends.

    Raises:
        QueueError: `not_found`, also where it is another tenant's.
    """
    wanted = select(items).where(items.c.id == item_id, items.c.tenant == actor.tenant)
    row = connection.execute(wanted.with_for_update() if lock else wanted).first()
    if row is None:
        raise QueueError("not_found")
    return row


def readings_of(message_id: str) -> ColumnElement[bool]:
    """Whether a row of `readings` is of a message, for the `where` of a statement; found by its items, of which a message has two at most."""
    return readings.c.item_id.in_(select(items.c.id).where(items.c.message_id == message_id))


def shown(row: Row[Any]) -> Item:
    """An item as its reader may see it."""
    if row.blind:
        return Item(id=row.id, blind=True, arrived_ms=row.arrived_ms, claim_until_ms=row.claim_until_ms)
    return Item(**{name: getattr(row, name) for name in Item.model_fields})


def free(now_ms: int) -> ColumnElement[bool]:
    """Whether nobody holds an item that is still to be read, for the `where` of a statement."""
    return or_(items.c.state == "waiting", and_(items.c.state == "claimed", items.c.claim_until_ms <= now_ms))


def _mine(actor: Actor) -> ColumnElement[bool]:
    return and_(items.c.tenant == actor.tenant, items.c.state == "claimed", items.c.claimed_by == actor.id)


def _for(actor: Actor, now_ms: int) -> ColumnElement[bool]:
    """Whether a reader may have an item that is free."""
    others = items.alias("others")
    read = (
        exists()
        .where(
            others.c.message_id == items.c.message_id,
            readings.c.item_id == others.c.id,
            readings.c.reader == actor.id,
        )
        .correlate(items)
    )
    overdue = or_(items.c.due_ms.is_(None), items.c.due_ms <= now_ms)
    return or_(~read, and_(items.c.kind == "alert", ~items.c.blind, overdue))


def _order(now_ms: int) -> tuple[ColumnElement[Any], ...]:
    left, whole = items.c.due_ms - literal(now_ms), items.c.due_ms - items.c.arrived_ms
    pressing = case((items.c.due_ms <= now_ms, 0), (left * _QUARTER <= whole, 1), else_=2)
    return (
        items.c.rank,
        pressing,
        func.coalesce(items.c.score, _UNKNOWN_SCORE).desc(),
        func.coalesce(items.c.due_ms, _NEVER),
        items.c.arrived_ms,
        items.c.id,
    )
