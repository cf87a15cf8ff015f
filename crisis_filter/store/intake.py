"""Taking messages in: stored, text and all, before anybody is told so; and handing them out to be judged.

A message comes with the worker that is going to judge it. Where that one dies, its lease runs out and another takes the message over.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, select, update

from crisis_filter.errors import CrisisFilterError, IdempotencyConflict, IdempotencyInFlight, StoreError
from crisis_filter.schema import Message
from crisis_filter.store.idempotency import Replay, RequestKey, claim, correct, recall
from crisis_filter.store.keyring import sealing_context
from crisis_filter.store.opening import Store
from crisis_filter.store.records import Accepted, Received, Work
from crisis_filter.store.statements import each, insert_new, plain_in, update_in
from crisis_filter.store.tables import messages, texts
from crisis_filter.store.writer import Bulk

__all__ = [
    "ACCEPT",
    "Arrival",
    "accept",
    "accept_all",
    "arrival",
    "opened_text",
    "pending",
    "release",
    "renew",
    "works",
]


@dataclass(frozen=True, slots=True)
class _Row:
    """A message ready to be inserted. Its id is drawn once, so that a second run is seen to be one."""

    message: dict[str, Any] = field(repr=False)
    text: dict[str, Any] = field(repr=False)
    external_id: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Arrival:
    """What one request brings, made by `arrival`.

    Attributes:
        rows: its messages.
        key: of the request, where it carries one.
        now_ms: when it came.
    """

    rows: tuple[_Row, ...]
    key: RequestKey | None
    now_ms: int


def arrival(
    store: Store,
    rows: Sequence[Received],
    *,
    now_ms: int,
    worker: str | None,
    lease_ms: int,
    key: RequestKey | None = None,
) -> Arrival:
    """Make ids and pseudonyms and seal the texts, outside of any transaction.

    Args:
        store: whose keys are used.
        rows: the messages.
        now_ms: milliseconds since 1970.
        worker: who is going to judge them; `None` leaves them to whoever asks next.
        lease_ms: for how long nobody else may.
        key: of the request.
    """
    ids = sorted(store.new_id(now_ms) for _ in rows)  # they tell the order in which the messages came
    made = (_row(store, mine, row, now_ms, worker, lease_ms) for mine, row in zip(ids, rows, strict=True))
    return Arrival(tuple(made), key, now_ms)


def _row(store: Store, made: str, row: Received, now_ms: int, worker: str | None, lease_ms: int) -> _Row:
    keys, tenant = store.keys, row.tenant
    plain = row.text.encode("utf-8", "surrogatepass")
    key_id, body = keys.seal(plain, context=sealing_context(tenant, made, "message"))
    message = {
        "id": made,
        "tenant": tenant,
        "source": row.source,
        "external_pseudonym": keys.pseudonym(tenant, "external", made if row.external_id is None else row.external_id),
        "subject_pseudonym": None if row.subject is None else keys.pseudonym(tenant, "subject", row.subject),
        "text_mac": keys.pseudonym(tenant, "text", row.text),
        "locale": row.locale,
        "flags": json.dumps(sorted(row.flags)) if row.flags else "[]",
        "received_ms": now_ms,
        "state": "pending",
        "judge": worker,
        "judge_until_ms": now_ms + lease_ms if worker is not None else 0,
        "revision": 0,
    }
    text = {
        "message_id": made,
        "kind": "message",
        "revision": 0,
        "tenant": tenant,
        "key_id": key_id,
        "body": body,
        "written_ms": now_ms,
    }
    return _Row(message, text, row.external_id)


def accept_all(
    connection: Connection, store: Store, arrivals: Sequence[Arrival]
) -> list[tuple[Accepted, ...] | Replay | StoreError]:
    """Take in what many requests bring. For each its messages in order; or what its key was used for before.

    The same id of the sender's with the same text is stored once; with another text both are kept, the second flagged `duplicate_id`.
    """
    keyed = [(a.key, [row.message["id"] for row in a.rows]) for a in arrivals if a.key is not None]
    won = claim(connection, keyed, arrivals[0].now_ms) if keyed else frozenset()
    mine = [a for a in arrivals if a.key is None or a.key.owner in won]
    taken = _take(connection, store, [row for a in mine for row in a.rows])
    changed: dict[tuple[str, str], list[str]] = {}
    results: list[tuple[Accepted, ...] | Replay | StoreError] = []
    for a in arrivals:
        if a.key is not None and a.key.owner not in won:
            results.append(Replay(()))
            continue
        found = tuple(taken[row.message["id"]] for row in a.rows)
        if a.key is not None and any(one.duplicate == "same" for one in found):
            changed[a.key.tenant, a.key.key_hash] = [one.message_id for one in found]
        results.append(found)
    correct(connection, changed)
    for number, a in enumerate(arrivals):
        if a.key is not None and a.key.owner not in won:
            results[number] = _recalled(connection, a.key)
    return results


ACCEPT: Bulk[Store, Arrival, tuple[Accepted, ...] | Replay] = Bulk("accept", accept_all)
"""For `Store.gather`. Raises `IdempotencyConflict` or `IdempotencyInFlight` where the request's key says so."""


def accept(
    connection: Connection,
    store: Store,
    rows: Sequence[Received],
    *,
    now_ms: int,
    worker: str | None = None,
    lease_ms: int = 0,
) -> tuple[Accepted, ...]:
    """Take messages in, each with its text, in the transaction of the connection.

    Args:
        connection: in a transaction.
        store: whose keys are used.
        rows: the messages.
        now_ms: milliseconds since 1970.
        worker: who is going to judge them.
        lease_ms: for how long nobody else may.
    """
    coming = arrival(store, rows, now_ms=now_ms, worker=worker, lease_ms=lease_ms)
    taken = _take(connection, store, coming.rows)
    return tuple(taken[row.message["id"]] for row in coming.rows)


def _recalled(connection: Connection, key: RequestKey) -> Replay | StoreError:
    try:
        found = recall(connection, key)
    except (IdempotencyConflict, IdempotencyInFlight) as error:
        return error
    return found if found is not None else StoreError("the key of a request was forgotten while it was in use")


def _take(connection: Connection, store: Store, rows: Sequence[_Row]) -> dict[str, Accepted]:
    """What became of each row, by the id that was made for it."""
    ordered = sorted((row.message for row in rows), key=_place)
    taken = {row.message["id"]: Accepted(message_id=row.message["id"]) for row in rows}
    if insert_new(connection, messages, ordered) < len(rows):
        there = {row[0] for row in plain_in(connection, _THERE, list(taken))}
        for row in rows:
            if row.message["id"] not in there:
                taken[row.message["id"]] = _of_a_known_id(connection, store, row)
    new = [row.text for row in rows if taken[row.message["id"]].message_id == row.message["id"]]
    # Of a second run after a lost answer the texts are there as well.
    insert_new(connection, texts, new)
    return taken


def _place(message: dict[str, Any]) -> tuple[str, str, str]:
    return message["tenant"], message["source"], message["external_pseudonym"]


_THERE = select(messages.c.id).where(messages.c.id.in_(bindparam("values", expanding=True)))
_KNOWN = select(messages.c.id, messages.c.text_mac, messages.c.state).where(
    messages.c.tenant == bindparam("tenant"),
    messages.c.source == bindparam("source"),
    messages.c.external_pseudonym == bindparam("pseudonym"),
)


def _of_a_known_id(connection: Connection, store: Store, row: _Row) -> Accepted:
    message, mac = row.message, row.message["text_mac"]
    pseudonym, duplicate = message["external_pseudonym"], False
    # 12 digits keep apart any number of texts that one sender gives one id; all of them keep apart every two.
    for more in (mac[:12], mac, None):
        place = {"tenant": message["tenant"], "source": message["source"], "pseudonym": pseudonym}
        (known,) = each(connection, _KNOWN, **place)
        if known[1] == mac and known[0] != message["id"]:
            return Accepted(message_id=known[0], duplicate="same", decided=known[2] == "decided")
        if known[0] == message["id"]:
            return Accepted(message_id=known[0], duplicate="other_text" if duplicate else "no")
        if more is None:
            break
        duplicate = True
        pseudonym = store.keys.pseudonym(message["tenant"], "external", f"{row.external_id}#{more}")
        flags = json.dumps(sorted({*json.loads(message["flags"]), "duplicate_id"}))
        again = {**message, "external_pseudonym": pseudonym, "flags": flags}
        if insert_new(connection, messages, [again]):
            return Accepted(message_id=message["id"], duplicate="other_text")
    raise StoreError("two texts have the same mark")


def pending(
    connection: Connection, store: Store, *, worker: str, limit: int, now_ms: int, lease_ms: int
) -> tuple[Work, ...]:
    """Take over messages that nobody judges: those whose worker's lease has run out, the longest first.

    Args:
        connection: in a transaction that writes.
        store: whose keys open the texts.
        worker: who is going to judge them.
        limit: at most so many.
        now_ms: milliseconds since 1970.
        lease_ms: for how long nobody else may.

    Returns:
        The messages in the order in which they came. One whose text does not open is `unreadable`, and a person has to hear of it.
    """
    ids = [row[0] for row in each(connection, _DUE, now=now_ms, most=limit)]
    update_in(connection, _LEASE, ids, worker=worker, until=now_ms + lease_ms)
    return works(connection, store, ids)


def works(connection: Connection, store: Store, ids: Sequence[str]) -> tuple[Work, ...]:
    """Messages with their texts, in the order in which they came; ids that are unknown are left out."""
    rows = {row[0]: _Lying(*row) for row in plain_in(connection, _WORK, ids)}
    return tuple(_work(store, rows[made]) for made in sorted(rows))


def renew(connection: Connection, *, worker: str, ids: Sequence[str], now_ms: int, lease_ms: int) -> frozenset[str]:
    """Hold messages longer; gives those that are still this worker's. The others were taken over or decided."""
    held = frozenset(row[0] for row in plain_in(connection, _HELD, ids, worker=worker))
    update_in(connection, _LEASE, sorted(held), worker=worker, until=now_ms + lease_ms)
    return held


def release(connection: Connection, *, worker: str, ids: Sequence[str]) -> None:
    """Let go of messages that will not be judged here after all, so that another need not wait for the lease."""
    update_in(connection, _RELEASE, ids, worker=worker)


_IDS = messages.c.id.in_(bindparam("values", expanding=True))
_MINE = (_IDS, messages.c.state == "pending", messages.c.judge == bindparam("worker"))
_HELD = select(messages.c.id).where(*_MINE).with_for_update(skip_locked=True)
_LEASE = update(messages).where(_IDS).values(judge=bindparam("worker"), judge_until_ms=bindparam("until"))
_RELEASE = update(messages).where(*_MINE).values(judge_until_ms=0)
_DUE = (
    select(messages.c.id)
    .where(messages.c.state == "pending", messages.c.judge_until_ms < bindparam("now"))
    .order_by(messages.c.judge_until_ms)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
_OF_THE_MESSAGE = (texts.c.message_id == messages.c.id) & (texts.c.kind == "message") & (texts.c.revision == 0)
_WORK = (
    select(
        messages.c.id,
        messages.c.tenant,
        messages.c.source,
        messages.c.locale,
        messages.c.flags,
        messages.c.received_ms,
        texts.c.key_id,
        texts.c.body,
    )
    .select_from(messages.outerjoin(texts, _OF_THE_MESSAGE))
    .where(_IDS)
)


class _Lying(NamedTuple):
    id: str
    tenant: str
    source: str
    locale: str | None
    flags: str
    received_ms: int
    key_id: str | None
    body: bytes | None


def _work(store: Store, row: _Lying) -> Work:
    text = opened_text(store, row.tenant, row.id, row.key_id, row.body)
    message = Message(
        id=row.id, text=text or "", locale=row.locale, flags=frozenset(json.loads(row.flags)), unreadable=text is None
    )
    return Work(message=message, tenant=row.tenant, source=row.source, received_ms=row.received_ms)


def opened_text(store: Store, tenant: str, message_id: str, key_id: str | None, body: bytes | None) -> str | None:
    """A message's text; `None` where it is gone, or does not open."""
    if body is None:
        return None
    try:
        plain = store.keys.open(key_id, body, context=sealing_context(tenant, message_id, "message"))
        return plain.decode("utf-8", "surrogatepass")
    except (CrisisFilterError, UnicodeDecodeError):
        return None
