"""Opening an item: the message, and what was said of it unless it is a blind one. Whoever opens is in the audit."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import ValidationError
from sqlalchemy import Connection, Row, select, update

from crisis_filter.errors import StoreError
from crisis_filter.schema import Assessment
from crisis_filter.store.audit import Entry, append
from crisis_filter.store.keyring import SealError, Sealing, sealing_context
from crisis_filter.store.opening import Store
from crisis_filter.store.queue import find, readings_of, shown
from crisis_filter.store.queue_records import Earlier, QueueError, View, may
from crisis_filter.store.records import Actor
from crisis_filter.store.tables import decisions, items, messages, readings, texts

__all__ = ["opened_message", "standing", "view"]

TextState = Literal["there", "gone", "sealed"]


def view(connection: Connection, store: Store, actor: Actor, item_id: str, *, now_ms: int) -> View:
    """Open an item that the actor holds; a supervisor may open any that is not blind.

    Args:
        connection: in a transaction that writes: that it was opened is written down.
        store: whose keys open the text.
        actor: with the scopes `review` and `text`.
        item_id: of the item.
        now_ms: milliseconds since 1970.

    Raises:
        QueueError: `scope`, `not_found`, `not_claimed`, `taken`.
    """
    may(actor, "review", "text")
    row = find(connection, actor, item_id)
    mine = row.state == "claimed" and row.claimed_by == actor.id
    if not mine and ("supervise" not in actor.scopes or row.blind):
        raise QueueError("taken" if row.state == "claimed" else "not_claimed")
    message = connection.execute(select(messages).where(messages.c.id == row.message_id)).one()
    text, state = opened_message(connection, store, message)
    if mine and row.opened_ms is None:
        connection.execute(update(items).where(items.c.id == row.id).values(opened_ms=now_ms))
    append(connection, Entry.of(actor, "view", f"item:{row.id}", reason=None if mine else "supervise"), now_ms)
    told = View(item=shown(row), text=text, text_state=state, locale=message.locale)
    return told if row.blind else _with_what_was_said(connection, store, row, message, told)


def standing(connection: Connection, message_id: str, revision: int) -> Row[Any]:
    """The row of one decision.

    Raises:
        StoreError: there is none.
    """
    wanted = select(decisions).where(decisions.c.message_id == message_id, decisions.c.revision == revision)
    row = connection.execute(wanted).first()
    if row is None:
        raise StoreError("an item shows a decision that is not there")
    return row


def opened_message(connection: Connection, store: Store, message: Row[Any]) -> tuple[str | None, TextState]:
    """The text of a message, and whether it is there.

    Args:
        connection: where to look.
        store: whose keys open it.
        message: its row of `messages`; id and tenant are looked at.
    """
    try:
        plain = _opened(connection, store, message.tenant, message.id, "message", 0)
        return (None, "gone") if plain is None else (plain.decode("utf-8", "surrogatepass"), "there")
    except (SealError, UnicodeDecodeError):
        return None, "sealed"


def _opened(
    connection: Connection, store: Store, tenant: str, message_id: str, kind: Sealing, revision: int
) -> bytes | None:
    row = connection.execute(
        select(texts.c.key_id, texts.c.body).where(
            texts.c.message_id == message_id, texts.c.kind == kind, texts.c.revision == revision
        )
    ).first()
    if row is None:
        return None
    return store.keys.open(row.key_id, row.body, context=sealing_context(tenant, message_id, kind, revision))


def _with_what_was_said(connection: Connection, store: Store, row: Row[Any], message: Row[Any], told: View) -> View:
    decision = standing(connection, row.message_id, row.revision)
    said = {
        "outcome": decision.outcome,
        "by": decision.by,
        "fault": decision.fault,
        "categories": tuple(json.loads(decision.categories)),
        "assessment": _assessment(connection, store, message, row.revision),
        # A blind reading that changed nothing stays unknown to the first reader, or the two would not be independent.
        "earlier": _earlier(connection, store, message, blind_too=decision.by == "person"),
    }
    return told.model_copy(update=said)


def _assessment(connection: Connection, store: Store, message: Row[Any], revision: int) -> Assessment | None:
    """Of the newest decision of a detector, up to the one that the item shows."""
    newest = (
        select(decisions.c.revision)
        .where(decisions.c.message_id == message.id, decisions.c.by == "detector", decisions.c.revision <= revision)
        .order_by(decisions.c.revision.desc())
        .limit(1)
    )
    found = connection.scalar(newest)
    if found is None:
        return None
    try:
        plain = _opened(connection, store, message.tenant, message.id, "assessment", found)
        return None if plain is None else Assessment.model_validate_json(plain)
    except (SealError, ValidationError):
        return None


def _earlier(connection: Connection, store: Store, message: Row[Any], *, blind_too: bool) -> tuple[Earlier, ...]:
    found = connection.execute(
        select(readings).where(readings_of(message.id)).order_by(readings.c.read_ms, readings.c.id)
    )
    return tuple(
        Earlier(
            action=row.action,
            outcome=row.outcome,
            categories=tuple(json.loads(row.categories)),
            reason=row.reason,
            read_ms=row.read_ms,
            note=_note(connection, store, message, number),
        )
        for number, row in enumerate(found, start=1)
        if blind_too or not row.blind
    )


def _note(connection: Connection, store: Store, message: Row[Any], number: int) -> str | None:
    try:
        plain = _opened(connection, store, message.tenant, message.id, "note", number)
        return None if plain is None else plain.decode("utf-8", "surrogatepass")
    except (SealError, UnicodeDecodeError):
        return None
