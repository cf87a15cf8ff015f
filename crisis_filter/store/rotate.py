"""Sealing again what lies under an old key, or open, while the store is in use; batch by batch, so that it can be stopped and gone on with."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from sqlalchemy import Connection, func, or_, select, tuple_, update

from crisis_filter.errors import ConfigurationError
from crisis_filter.store.audit import Entry, append
from crisis_filter.store.keyring import Keyring, SealError, sealing_context
from crisis_filter.store.opening import Store
from crisis_filter.store.records import Actor
from crisis_filter.store.tables import endpoints, texts

__all__ = ["Rotated", "keys_in_use", "reseal_endpoints", "reseal_texts", "rotate"]

Place = tuple[str, str, int]
"""Message, kind and revision of a text."""
_KEY = (texts.c.message_id, texts.c.kind, texts.c.revision)


@dataclass(slots=True)
class Rotated:
    """What a rotation came to.

    Attributes:
        resealed: bodies that lie under the current key now and did not before.
        unopened: places of what does not open and was left as it is, as `message/kind/revision` or `endpoint/id`.
        after: of the last text that was looked at; the next batch begins behind it.
    """

    resealed: int = 0
    unopened: list[str] = field(default_factory=list)
    after: Place | None = None


def keys_in_use(connection: Connection) -> dict[str | None, int]:
    """How many bodies lie under each key, and open under `None`. Reads every row."""
    found: Counter[str | None] = Counter()
    for table in (texts, endpoints):
        for key_id, count in connection.execute(select(table.c.key_id, func.count()).group_by(table.c.key_id)):
            found[key_id] += count
    return dict(found)


def reseal_texts(connection: Connection, keys: Keyring, after: Place | None, limit: int) -> Rotated:
    """Seal the next texts under the current key.

    Args:
        connection: in a transaction that writes.
        keys: with the current key and all that were used before.
        after: where the batch before ended; `None` for the first.
        limit: most texts.

    Returns:
        What was done; `after` is `None` when no text is left.
    """
    asked = select(texts).where(or_(texts.c.key_id.is_(None), texts.c.key_id != keys.current))
    if after is not None:
        asked = asked.where(tuple_(*_KEY) > tuple_(*after))
    done, rows = Rotated(), connection.execute(asked.order_by(*_KEY).limit(limit).with_for_update()).all()
    for row in rows:
        done.after = (row.message_id, row.kind, row.revision)
        context = sealing_context(row.tenant, row.message_id, row.kind, row.revision)
        try:
            key_id, body = keys.seal(keys.open(row.key_id, row.body, context=context), context=context)
        except SealError:
            done.unopened.append(f"{row.message_id}/{row.kind}/{row.revision}")
            continue
        place = tuple_(*_KEY) == tuple_(*done.after)
        connection.execute(update(texts).where(place).values(key_id=key_id, body=body))
        done.resealed += 1
    if len(rows) < limit:
        done.after = None
    return done


def reseal_endpoints(connection: Connection, keys: Keyring) -> Rotated:
    """Seal the secrets of all endpoints under the current key; they are few."""
    done = Rotated()
    asked = select(endpoints).where(or_(endpoints.c.key_id.is_(None), endpoints.c.key_id != keys.current))
    for row in connection.execute(asked.with_for_update()).all():
        context = sealing_context(row.tenant, row.id, "endpoint")
        try:
            key_id, body = keys.seal(keys.open(row.key_id, row.secrets, context=context), context=context)
        except SealError:
            done.unopened.append(f"endpoint/{row.id}")
            continue
        connection.execute(update(endpoints).where(endpoints.c.id == row.id).values(key_id=key_id, secrets=body))
        done.resealed += 1
    return done


def rotate(store: Store, actor: Actor, *, limit: int = 500) -> Rotated:
    """Bring everything under the store's current key. Others may read and write meanwhile, if they know that key too.

    A batch is a transaction. After a stop the next call does what is left, and nothing twice.

    Args:
        store: open, with the current key and the old ones.
        actor: who asks, for the audit.
        limit: texts in one transaction; others wait so long.

    Raises:
        ConfigurationError: the store has no key that seals.
        StoreUnavailable: the database is gone.
    """
    keys = store.keys
    if keys.current is None:
        raise ConfigurationError("there is no key to seal under: make one with crisis-filter store keygen FILE")
    total = store.write(lambda connection: reseal_endpoints(connection, keys), point="rotate")
    after: Place | None = None
    while True:
        begun = after
        done = store.write(lambda connection: reseal_texts(connection, keys, begun, limit), point="rotate")  # noqa: B023  # run at once
        total.resealed += done.resealed
        total.unopened += done.unopened
        after = done.after
        if after is None:
            break
    entry = Entry.of(actor, "rotate", f"key:{keys.current}", result="failed" if total.unopened else "done")
    store.write(lambda connection: append(connection, entry, store.clock()))
    return total
