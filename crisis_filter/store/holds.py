"""Legal holds: what nobody may delete until the hold is ended, by retention or at anybody's request."""

from __future__ import annotations

from typing import Literal

from sqlalchemy import ColumnElement, Connection, and_, exists, insert, or_, select, update

from crisis_filter.errors import InputError
from crisis_filter.schema import Record
from crisis_filter.store.audit import Entry, append
from crisis_filter.store.keyring import Keyring
from crisis_filter.store.records import Actor
from crisis_filter.store.tables import holds, messages

__all__ = ["Hold", "HoldKind", "end_hold", "hold", "is_held", "listed"]

HoldKind = Literal["message", "subject"]


class Hold(Record):
    """One hold. Whom a hold on a subject is about is not told: only their pseudonym is known."""

    id: str
    tenant: str
    kind: HoldKind
    message_id: str | None
    reason: str
    created_ms: int
    ended_ms: int | None


def hold(
    connection: Connection,
    keys: Keyring,
    by: Actor,
    kind: HoldKind,
    value: str,
    *,
    reason: str,
    hold_id: str,
    now_ms: int,
) -> None:
    """Hold a message, or all that a subject has written and will write; in the actor's tenant. The second time, with the same id, nothing happens.

    Args:
        connection: in a transaction.
        keys: of the store.
        by: who asks.
        kind: of what `value` is.
        value: our id of the message, or the subject's id in the clear, of which the pseudonym is kept.
        reason: such as the number of a case; 1 to 128 printable characters.
        hold_id: a new id, from `Store.new_id`.
        now_ms: the time.

    Raises:
        InputError: there is no such message, or the reason is missing or too long.
    """
    if not 0 < len(reason) <= 128 or not reason.isprintable():
        raise InputError("a hold has a reason of 1 to 128 printable characters")
    held = value
    if kind == "subject":
        held = keys.pseudonym(by.tenant, "subject", value)
    elif not connection.scalar(select(exists().where(messages.c.id == value, messages.c.tenant == by.tenant))):
        raise InputError("there is no such message to hold")
    if connection.scalar(select(exists().where(holds.c.id == hold_id))):
        return
    row = {"id": hold_id, "tenant": by.tenant, "kind": kind, "held": held, "reason": reason, "created_ms": now_ms}
    connection.execute(insert(holds).values(row))
    append(connection, Entry.of(by, "hold", f"hold:{hold_id}", reason=reason), now_ms)


def end_hold(connection: Connection, by: Actor, hold_id: str, *, now_ms: int) -> bool:
    """End a hold of the actor's tenant; gives whether there is such a one. One that was ended before keeps the time of that."""
    mine = and_(holds.c.id == hold_id, holds.c.tenant == by.tenant)
    row = connection.execute(select(holds.c.ended_ms).where(mine).with_for_update()).first()
    if row is None:
        return False
    if row.ended_ms is None:
        connection.execute(update(holds).where(mine).values(ended_ms=now_ms))
        append(connection, Entry.of(by, "hold_end", f"hold:{hold_id}"), now_ms)
    return True


def listed(connection: Connection, *, tenant: str | None = None) -> tuple[Hold, ...]:
    """All holds, or those of one tenant, the oldest first; ended ones too."""
    asked = select(holds).order_by(holds.c.created_ms, holds.c.id)
    if tenant is not None:
        asked = asked.where(holds.c.tenant == tenant)
    return tuple(
        Hold(
            id=row.id,
            tenant=row.tenant,
            kind=row.kind,
            message_id=row.held if row.kind == "message" else None,
            reason=row.reason,
            created_ms=row.created_ms,
            ended_ms=row.ended_ms,
        )
        for row in connection.execute(asked)
    )


def is_held() -> ColumnElement[bool]:
    """Whether a hold is on a row of `messages`, for the `where` of a statement."""
    on_it = or_(
        and_(holds.c.kind == "message", holds.c.held == messages.c.id),
        and_(holds.c.kind == "subject", holds.c.held == messages.c.subject_pseudonym),
    )
    return exists().where(holds.c.tenant == messages.c.tenant, holds.c.ended_ms.is_(None), on_it).correlate(messages)
