"""A request that comes twice is done once: the key it carries is kept with the ids of its messages, in the transaction that takes them in.

So there is no key whose worker died: either nothing of the request was stored, the key neither, or its messages were, and another worker
takes them over. An answer is made again from what was decided, and so tells of a verdict that took the place of an undetermined one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, select, tuple_, update

from crisis_filter.errors import IdempotencyConflict, IdempotencyInFlight
from crisis_filter.store.statements import change, each, insert_new, plain_in
from crisis_filter.store.tables import idempotency, messages

__all__ = ["KEPT_MS", "Replay", "RequestKey", "claim", "correct", "expire", "recall", "request_key"]

KEPT_MS = 24 * 3600 * 1000
"""How long a key is kept at the least."""


@dataclass(frozen=True, slots=True)
class RequestKey:
    """The key of a request and what it was used for, both as hashes.

    Attributes:
        tenant: whose it is; tenants share no keys.
        key_hash: of the key.
        body_hash: of everything in the request that changes the answer.
        owner: an id of this very request, to tell it from a second one that carries the same.
    """

    tenant: str
    key_hash: str
    body_hash: str
    owner: str


class Replay(NamedTuple):
    """The request was done before; its messages, in its order. All are decided."""

    message_ids: tuple[str, ...]


class _Kept(NamedTuple):
    owner: str
    body_hash: str
    message_ids: tuple[str, ...]


def request_key(tenant: str, key: str, body: bytes, owner: str) -> RequestKey:
    """A request's key from the header and the body as they came."""
    hashed = sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
    return RequestKey(tenant=tenant, key_hash=hashed, body_hash=sha256(body).hexdigest(), owner=owner)


def claim(connection: Connection, wanted: Sequence[tuple[RequestKey, Sequence[str]]], now_ms: int) -> frozenset[str]:
    """Keep each key with the ids that its messages are to get, unless another request has it.

    Args:
        connection: in the transaction that takes the messages in.
        wanted: keys, each with ids.
        now_ms: milliseconds since 1970.

    Returns:
        The owners whose keys are theirs. What became of the others' `recall` tells, once the messages are in.
    """
    rows = [
        {
            "tenant": key.tenant,
            "key_hash": key.key_hash,
            "owner": key.owner,
            "body_hash": key.body_hash,
            "created_ms": now_ms,
            "message_ids": json.dumps(list(ids)),
        }
        for key, ids in wanted
    ]
    rows.sort(key=lambda row: (row["tenant"], row["key_hash"]))
    if insert_new(connection, idempotency, rows) == len(rows):
        return frozenset(key.owner for key, _ in wanted)
    kept = (_kept(connection, key) for key, _ in wanted)
    return frozenset(found.owner for found in kept if found is not None)


def recall(connection: Connection, key: RequestKey) -> Replay | None:
    """What a request's key was used for; `None` where it is new.

    Raises:
        IdempotencyConflict: for another body.
        IdempotencyInFlight: for this one, and it is still at work.
    """
    kept = _kept(connection, key)
    if kept is None or kept.owner == key.owner:
        return None
    if kept.body_hash != key.body_hash:
        raise IdempotencyConflict("the key was used before with another body")
    if plain_in(connection, _PENDING, kept.message_ids):
        raise IdempotencyInFlight("the same request is still at work")
    return Replay(kept.message_ids)


def correct(connection: Connection, changed: Mapping[tuple[str, str], Sequence[str]]) -> None:
    """Where a message had come before under another id, that one is kept instead.

    Args:
        connection: in the transaction of `claim`.
        changed: (tenant, hash of the key) ► ids.
    """
    for (tenant, key), ids in changed.items():
        change(connection, _CORRECT, t=tenant, k=key, ids=json.dumps(list(ids)))


def expire(connection: Connection, before_ms: int, limit: int) -> int:
    """Forget the oldest keys of before a time, at most so many; gives how many.

    Args:
        connection: in a transaction.
        before_ms: at the latest now less `KEPT_MS`.
        limit: at most so many.
    """
    oldest = select(idempotency.c.tenant, idempotency.c.key_hash).where(idempotency.c.created_ms < before_ms)
    found = connection.execute(oldest.order_by(idempotency.c.created_ms).limit(limit)).all()
    if found:
        keys = tuple_(idempotency.c.tenant, idempotency.c.key_hash)
        connection.execute(delete(idempotency).where(keys.in_([tuple(row) for row in found])))
    return len(found)


_CORRECT = (
    update(idempotency)
    .where(idempotency.c.tenant == bindparam("t"), idempotency.c.key_hash == bindparam("k"))
    .values(message_ids=bindparam("ids"))
)


_KEPT = select(idempotency.c.owner, idempotency.c.body_hash, idempotency.c.message_ids).where(
    idempotency.c.tenant == bindparam("tenant"), idempotency.c.key_hash == bindparam("key")
)
_PENDING = select(messages.c.id).where(
    messages.c.id.in_(bindparam("values", expanding=True)), messages.c.state == "pending"
)


def _kept(connection: Connection, key: RequestKey) -> _Kept | None:
    for owner, body_hash, ids in each(connection, _KEPT, tenant=key.tenant, key=key.key_hash):
        return _Kept(owner, body_hash, tuple(json.loads(ids)))
    return None
