"""How long each kind of thing is kept, and the sweep that deletes what is due.

A text that somebody may still have to read is never touched: that of a message which is being judged or waits in a queue, however old.
Nor is anything under a legal hold. Verdicts outlive their texts by years; when theirs are over too, a message goes with all that hangs
on it, so that the ledger's equations hold at every moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field
from sqlalchemy import ColumnElement, Connection, and_, bindparam, delete, exists, not_, select, update

from crisis_filter.schema import Record
from crisis_filter.store import idempotency
from crisis_filter.store.audit import Entry, append, let_go
from crisis_filter.store.holds import is_held
from crisis_filter.store.opening import Store
from crisis_filter.store.records import Actor
from crisis_filter.store.tables import decisions, items, messages, outbox, readings, routes, texts

__all__ = ["Retention", "Swept", "sweep", "sweep_all"]

_HOUR_MS = 3600 * 1000
_DAY_MS = 24 * _HOUR_MS
_SIX_YEARS = 6 * 365 + 2


class Retention(Record):
    """How long each class is kept, counted from when it was written."""

    text_days: int = Field(default=30, ge=1)
    """Messages, and the quotes and reasons of assessments."""
    note_days: int = Field(default=30, ge=1)
    """What readers wrote."""
    decision_days: int = Field(default=_SIX_YEARS, ge=1)
    """Verdicts, routes and readings, from the last thing that happened to a message."""
    audit_days: int = Field(default=_SIX_YEARS, ge=1)
    """From 45 CFR 164.316(b)(2): six years, commonly applied to logs."""
    outbox_days: int = Field(default=30, ge=1)
    """Webhooks that were delivered or given up, from then on."""
    idempotency_hours: int = Field(default=24, ge=24)
    """Keys of requests. Clients count on a day."""


class Swept(Record):
    """How many rows of each class a sweep deleted."""

    texts: int = 0
    notes: int = 0
    decisions: int = 0
    """Messages, each with its decisions and all that hangs on them."""
    outbox: int = 0
    idempotency: int = 0
    audit: int = 0

    @property
    def total(self) -> int:
        """Of all classes."""
        return self.texts + self.notes + self.decisions + self.outbox + self.idempotency + self.audit

    def __add__(self, other: Swept) -> Swept:
        mine, its = self.model_dump(), other.model_dump()
        return Swept(**{name: mine[name] + its[name] for name in mine})


def sweep(connection: Connection, policy: Retention, by: Actor, now_ms: int, limit: int) -> Swept:
    """Delete what is due, the oldest first, at most so many of each class, and say in the audit how many those were.

    Args:
        connection: in a transaction that writes.
        policy: how long each class is kept.
        by: who asks. What is swept is everybody's, whatever their tenant is.
        now_ms: the time.
        limit: of each class; more than that stays for the next call.
    """
    done = Swept(
        texts=_texts(connection, ("message", "assessment"), now_ms - policy.text_days * _DAY_MS, now_ms, limit),
        notes=_texts(connection, ("note",), now_ms - policy.note_days * _DAY_MS, now_ms, limit),
        outbox=_outbox(connection, now_ms - policy.outbox_days * _DAY_MS, limit),
        idempotency=idempotency.expire(connection, now_ms - policy.idempotency_hours * _HOUR_MS, limit),
        decisions=_messages(connection, now_ms - policy.decision_days * _DAY_MS, limit),
    )
    if done.total:
        counts = ",".join(f"{name}={count}" for name, count in done if count)
        append(connection, Entry.of(by, "sweep", f"rows:{counts}"), now_ms)
    gone = let_go(connection, now_ms - policy.audit_days * _DAY_MS, by, now_ms, limit)
    return done.model_copy(update={"audit": gone})


def sweep_all(store: Store, policy: Retention, by: Actor, *, limit: int = 500, most: int = 10_000) -> Swept:
    """Sweep batch by batch until nothing is due, at most `most` batches; others write in between.

    Raises:
        StoreUnavailable: the database is gone.
    """
    total, now = Swept(), store.clock()
    for _ in range(most):
        done = store.write(lambda connection: sweep(connection, policy, by, now, limit))
        total += done
        if not done.total:
            break
    return total


def _waits() -> ColumnElement[bool]:
    """Whether a person still has to read a row of `messages`."""
    return (
        exists()
        .where(items.c.message_id == messages.c.id, items.c.state.in_(("waiting", "claimed")))
        .correlate(messages)
    )


def _free() -> ColumnElement[bool]:
    return and_(messages.c.state == "decided", not_(_waits()), not_(is_held()))


def _texts(connection: Connection, kinds: Sequence[str], before_ms: int, now_ms: int, limit: int) -> int:
    deleted = 0
    for kind in kinds:
        due = (
            select(texts.c.message_id, texts.c.revision)
            .join(messages, messages.c.id == texts.c.message_id)
            .where(texts.c.kind == kind, texts.c.written_ms < before_ms, _free())
            .order_by(texts.c.written_ms)
            .limit(limit - deleted)
            .with_for_update(of=messages, skip_locked=True)
        )
        rows = connection.execute(due).all()
        if not rows:
            continue
        this = delete(texts).where(
            texts.c.message_id == bindparam("m"), texts.c.kind == kind, texts.c.revision == bindparam("r")
        )
        deleted += connection.execute(this, [{"m": row.message_id, "r": row.revision} for row in rows]).rowcount
        if kind == "message":
            gone = update(messages).where(messages.c.id == bindparam("m")).values(text_gone_ms=now_ms)
            connection.execute(gone, [{"m": row.message_id} for row in rows])
        if deleted >= limit:
            break
    return deleted


def _outbox(connection: Connection, before_ms: int, limit: int) -> int:
    due = (
        select(outbox.c.id)
        .where(outbox.c.state.in_(("delivered", "dead")), outbox.c.ended_ms < before_ms)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return _delete(connection, outbox.c.id, connection.scalars(due).all())


def _messages(connection: Connection, before_ms: int, limit: int) -> int:
    """Whole messages, with what hangs on them, to which nothing has happened since."""
    since = [
        exists().where(table.c.message_id == messages.c.id, column >= before_ms).correlate(messages)
        for table, column in (
            (decisions, decisions.c.decided_ms),
            (readings, readings.c.read_ms),
            (texts, texts.c.written_ms),
        )
    ]
    told = exists().where(outbox.c.message_id == messages.c.id, outbox.c.state == "pending").correlate(messages)
    due = (
        select(messages.c.id)
        .where(messages.c.received_ms < before_ms, _free(), not_(told), *(not_(one) for one in since))
        .order_by(messages.c.received_ms)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    ids = connection.scalars(due).all()
    for column in (
        readings.c.message_id,
        items.c.message_id,
        outbox.c.message_id,
        routes.c.message_id,
        texts.c.message_id,
        decisions.c.message_id,
        messages.c.id,
    ):
        _delete(connection, column, ids)
    return len(ids)


def _delete(connection: Connection, column: Any, values: Sequence[str]) -> int:
    if not values:
        return 0
    return connection.execute(delete(column.table).where(column == bindparam("v")), [{"v": v} for v in values]).rowcount
