"""Forgetting a person: their texts and whatever leads back to them. That there was a message, and what was decided of it, stays.

Gone are the texts, the assessments' quotes and reasons, the readers' notes, the pseudonyms and the MAC of the text, also where webhooks
and kept requests repeat them. Left are the verdict, the route and who read it, under our own id, which leads to nobody; so every
equation of the ledger holds as before. The audit is never changed, and therefore never names a person: it tells of the erasure.

Copies elsewhere are not reached: backups, what receivers of webhooks keep, files that were exported.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, delete, func, select, update

from crisis_filter.errors import InputError
from crisis_filter.schema import Record
from crisis_filter.store.audit import Entry, Result, append_many
from crisis_filter.store.holds import is_held
from crisis_filter.store.keyring import Keyring
from crisis_filter.store.opening import Store
from crisis_filter.store.records import Actor, Entropy
from crisis_filter.store.statements import each_in
from crisis_filter.store.tables import audit, holds, idempotency, items, messages, outbox, texts

__all__ = ["Erased", "erase", "scrub"]

_HASH_BYTES = 32
_PATIENCE_S = 0.1


class Erased(Record):
    """What became of a request to forget somebody."""

    erasure: str
    """Names the request in the audit; file it with the request itself."""
    done: bool
    """Whether it was carried out. Otherwise nothing was changed, and one of the lists below says why."""
    messages: int = 0
    texts: int = 0
    """0 also where the database was lost at the commit, and the request, made again, found itself done."""
    pending: tuple[str, ...] = ()
    """Messages that are not judged yet: without their text nobody could. In a few seconds they are. One that is judged once more is erased all the
    same: of a text that is gone nothing is written that could quote it."""
    unread: tuple[str, ...] = ()
    """Messages that wait for a person who has not read them yet. Also named where they were erased all the same."""
    held: tuple[str, ...] = ()
    """Messages under a legal hold."""
    unknown: tuple[str, ...] = ()
    """Ids asked for that are no messages of this tenant."""


def erase(
    connection: Connection,
    keys: Keyring,
    by: Actor,
    *,
    erasure: str,
    now_ms: int,
    subject: str | None = None,
    message_ids: Sequence[str] = (),
    reason: str | None = None,
    also_unread: bool = False,
    entropy: Entropy = secrets.token_bytes,
) -> Erased:
    """Forget a subject, or single messages, in the actor's tenant: all of it or nothing. Either way the audit tells of it.

    An item that a person has not read yet is somebody who may need help now, so it holds the request up unless `also_unread` says
    otherwise. Such an item then stays in its queue, with its verdict and urgency, until a person closes it.

    Args:
        connection: in a transaction that writes.
        keys: of the store.
        by: who asks.
        erasure: a new id for the request, from `Store.new_id`.
        now_ms: the time.
        subject: the person's id in the clear, as it came in with the messages.
        message_ids: our ids, instead.
        reason: for the audit; never the person's name or id.
        also_unread: whether items that nobody has read hold it up.
        entropy: where the values come from that take the place of pseudonyms.

    Raises:
        InputError: neither or both of subject and messages are given.
    """
    if (subject is None) == (not message_ids):
        raise InputError("either a subject or messages are erased")
    if (before := _told_before(connection, by, erasure, now_ms)) is not None:
        return before
    pseudonym = None if subject is None else keys.pseudonym(by.tenant, "subject", subject)
    found, unknown = _found(connection, by.tenant, pseudonym, message_ids)
    ids = list(found)
    told = Erased(
        erasure=erasure,
        done=False,
        pending=_those(connection, ids, messages.c.state != "decided"),
        unread=_unread(connection, ids),
        held=_those(connection, ids, is_held()),
        unknown=unknown,
    )
    refused = bool(told.pending or told.held or told.unknown or (told.unread and not also_unread))
    result: Result = "refused" if refused else "done"
    entries = [Entry.of(by, "erase", f"erasure:{erasure}", reason=reason, result=result)]
    if not refused:
        told = told.model_copy(
            update={"done": True, "messages": len(ids), "texts": _forget(connection, found, entropy, now_ms)}
        )
        _forget_requests(connection, by.tenant, ids, entropy)
        if pseudonym is not None:
            ended = (holds.c.tenant == by.tenant, holds.c.held == pseudonym, holds.c.ended_ms.is_not(None))
            connection.execute(delete(holds).where(*ended))
        entries += [Entry.of(by, "erase", f"message:{message_id}") for message_id in ids]
    append_many(connection, entries, now_ms)
    return told


def scrub(
    store: Store,
    *,
    vacuum: bool = False,
    tries: int = 20,
    sleep: Callable[[float], object] = time.sleep,
) -> bool:
    """Bring what was deleted off the disk as far as a database can; to be called after a commit of `erase` or a sweep.

    SQLite overwrites what it deletes; here its log is emptied too, which has to wait until nobody reads what is in it. A page that was
    split may keep a copy of a row in its unused part: `vacuum` writes the whole file anew, for which there has to be room once more, and
    nobody can write meanwhile. PostgreSQL keeps deleted rows until they are vacuumed, and its log until it is recycled.

    Args:
        store: open.
        vacuum: whether to write the file anew, or on PostgreSQL to vacuum the tables.
        tries: how often others are waited for, a fifth of a second each.
        sleep: for tests.

    Returns:
        Whether it was done; `False` where others were in the way all the time.
    """
    if store.engine.dialect.name == "postgresql":
        if vacuum:
            with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.exec_driver_sql("VACUUM texts, messages, outbox, idempotency, holds")
        return True
    raw = store.engine.raw_connection()
    try:
        return _scrub_sqlite(raw, vacuum, tries, sleep)
    finally:
        raw.close()


def _scrub_sqlite(raw: Any, vacuum: bool, tries: int, sleep: Callable[[float], object]) -> bool:
    cursor, vacuumed = raw.cursor(), not vacuum
    (patience,) = cursor.execute("PRAGMA busy_timeout").fetchone()
    # While a checkpoint waits for readers nobody writes, so it waits often and briefly.
    cursor.execute(f"PRAGMA busy_timeout={int(1000 * _PATIENCE_S)}")
    try:
        for left in range(tries, 0, -1):
            with suppress(sqlite3.OperationalError):
                if not vacuumed:
                    cursor.execute("VACUUM")
                    vacuumed = True
                if cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0:
                    return True
            if left > 1:
                sleep(_PATIENCE_S)
        return False
    finally:
        cursor.execute(f"PRAGMA busy_timeout={patience}")
        cursor.close()


def _found(
    connection: Connection, tenant: str, pseudonym: str | None, message_ids: Sequence[str]
) -> tuple[dict[str, frozenset[str]], tuple[str, ...]]:
    """The messages, each with its pseudonyms, locked; and the ids that are none. What was erased before is left out."""
    asked = select(messages.c.id, messages.c.external_pseudonym, messages.c.subject_pseudonym, messages.c.erased_ms)
    asked = asked.where(messages.c.tenant == tenant).order_by(messages.c.id).with_for_update()
    if pseudonym is not None:
        rows = list(connection.execute(asked.where(messages.c.subject_pseudonym == pseudonym)))
    else:
        rows = list(each_in(connection, asked.where(_AMONG), sorted(set(message_ids))))
    known = {row.id for row in rows}
    found = {
        row.id: frozenset(filter(None, (row.external_pseudonym, row.subject_pseudonym)))
        for row in rows
        if row.erased_ms is None
    }
    return found, tuple(sorted(set(message_ids) - known))


def _told_before(connection: Connection, by: Actor, erasure: str, now_ms: int) -> Erased | None:
    """What was done already, where the answer to the commit was lost and the same is run once more."""
    then = select(audit.c.object, audit.c.result).where(audit.c.tenant == by.tenant, audit.c.at_ms == now_ms)
    told = {row.object: row.result for row in connection.execute(then.where(audit.c.action == "erase"))}
    if told.get(f"erasure:{erasure}") != "done":
        return None
    return Erased(erasure=erasure, done=True, messages=sum(each.startswith("message:") for each in told))


def _those(connection: Connection, ids: Sequence[str], condition: ColumnElement[bool]) -> tuple[str, ...]:
    return tuple(row.id for row in each_in(connection, select(messages.c.id).where(_AMONG, condition), ids))


def _unread(connection: Connection, ids: Sequence[str]) -> tuple[str, ...]:
    asked = select(items.c.message_id).where(
        items.c.message_id.in_(bindparam("values", expanding=True)), items.c.state.in_(("waiting", "claimed"))
    )
    return tuple(sorted({row.message_id for row in each_in(connection, asked, ids)}))


def _forget(connection: Connection, found: Mapping[str, frozenset[str]], entropy: Entropy, now_ms: int) -> int:
    """Texts, pseudonyms, and pseudonyms in what webhooks tell. Gives how many texts were deleted."""
    ids = sorted(found)
    if not ids:
        return 0
    gone = connection.execute(_TEXTS_OF, [{"m": i} for i in ids]).rowcount
    connection.execute(
        _FORGOTTEN,
        [{"m": i, "x": entropy(_HASH_BYTES).hex(), "t": entropy(_HASH_BYTES).hex(), "now": now_ms} for i in ids],
    )
    for row in list(each_in(connection, _TOLD, ids)):
        cleared = json.dumps(_without(json.loads(row.payload), found[row.message_id]), separators=(",", ":"))
        connection.execute(update(outbox).where(outbox.c.id == row.id).values(payload=cleared))
    return gone


def _forget_requests(connection: Connection, tenant: str, ids: Iterable[str], entropy: Entropy) -> None:
    """The hash of a request's body can be guessed at, where the text is short. Another takes its place, so that the same request is refused now."""
    wanted = frozenset(ids)
    kept = select(idempotency.c.key_hash, idempotency.c.message_ids).where(idempotency.c.tenant == tenant)
    with_them = [row.key_hash for row in connection.execute(kept) if wanted & set(json.loads(row.message_ids))]
    for key_hash in with_them:
        this = (idempotency.c.tenant == tenant, idempotency.c.key_hash == key_hash)
        connection.execute(update(idempotency).where(*this).values(body_hash=entropy(_HASH_BYTES).hex()))


def _without(value: Any, pseudonyms: frozenset[str]) -> Any:
    """A JSON value with `null` for each of these strings."""
    if isinstance(value, dict):
        return {name: _without(part, pseudonyms) for name, part in value.items()}
    if isinstance(value, list):
        return [_without(part, pseudonyms) for part in value]
    return None if isinstance(value, str) and value in pseudonyms else value


_AMONG = messages.c.id.in_(bindparam("values", expanding=True))
_TEXTS_OF = delete(texts).where(texts.c.message_id == bindparam("m"))
_TOLD = select(outbox.c.id, outbox.c.message_id, outbox.c.payload).where(
    outbox.c.message_id.in_(bindparam("values", expanding=True))
)
# Drawn for each message, so that nothing shows any more which were of one person.
_FORGOTTEN = (
    update(messages)
    .where(messages.c.id == bindparam("m"))
    .values(
        external_pseudonym=bindparam("x"),
        subject_pseudonym=None,
        text_mac=bindparam("t"),
        erased_ms=bindparam("now"),
        text_gone_ms=func.coalesce(messages.c.text_gone_ms, bindparam("now")),
    )
)
