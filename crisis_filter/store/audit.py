"""Who looked at what, decided, exported, erased: rows that are only ever added, each chained to the one before by its hash.

Whoever edits, removes, inserts or moves a row breaks the chain, and `audit_verify.verify` names the row. Somebody with the right to write to
the database can compute a whole chain anew, or take rows off its end and set the head back. No database can notice that of itself: the
head (`crisis-filter audit head`) has to be kept somewhere else now and then, and the chain held against it (`audit verify --against`).

The hash of a row is SHA-256 over the hash before it, a line feed, and the JSON list of seq, tenant, at_ms, actor, action, object, reason,
origin, result, in ASCII without spaces. Before the first row stand 64 zeros.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any, Literal, Self, get_args

from pydantic import Field
from sqlalchemy import Connection, Select, bindparam, delete, func, insert, select, update

from crisis_filter.errors import InputError, StoreError
from crisis_filter.schema import Record
from crisis_filter.store.records import Actor
from crisis_filter.store.statements import insert_new
from crisis_filter.store.tables import audit, facts

__all__ = [
    "ACTIONS",
    "GENESIS",
    "Action",
    "Entry",
    "Head",
    "Result",
    "Written",
    "append",
    "append_many",
    "digest",
    "floor",
    "head",
    "let_go",
    "show",
]

Action = Literal[
    "view",
    "search",
    "claim",
    "release",
    "decide",
    "escalate",
    "settle",
    "rejudge",
    "export",
    "replay",
    "login",
    "access_refused",
    "break_glass",
    "key_create",
    "key_revoke",
    "endpoint_create",
    "endpoint_change",
    "endpoint_disable",
    "policy_change",
    "setting_change",
    "hold",
    "hold_end",
    "erase",
    "sweep",
    "rotate",
]
Result = Literal["done", "refused", "failed"]
ACTIONS: tuple[Action, ...] = get_args(Action)
GENESIS = "0" * 64
"""What stands before the first row."""
_HEAD, _FLOOR = "audit_head", "audit_floor"
_WORDS = r"^[^\x00-\x1f\x7f]+$"
_BATCH = 2000
_JSON = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode
_LOST = "the note of where the audit ends is gone: crisis-filter audit verify says more"


class Entry(Record):
    """One thing that somebody did. Never a text, never an id in the clear."""

    actor: str = Field(min_length=1, max_length=128, pattern=_WORDS)
    tenant: str = Field(min_length=1, max_length=128, pattern=_WORDS)
    action: Action
    object: str = Field(max_length=256, pattern=r"^[a-z_]+:[!-~]+$")
    """`kind:id`, such as `message:` and its id of ours. No pseudonym of a person: that row could not be erased."""
    reason: str | None = Field(default=None, max_length=128, pattern=_WORDS)
    origin: str | None = Field(default=None, max_length=128, pattern=_WORDS)
    """Where from: an address, or the name of a command."""
    result: Result = "done"

    @classmethod
    def of(cls, actor: Actor, action: Action, what: str, *, reason: str | None = None, result: Result = "done") -> Self:
        """What this actor did in its own tenant.

        Raises:
            ValueError: the object is no `kind:id`, or the reason is too long.
        """
        return cls(
            actor=actor.id,
            tenant=actor.tenant,
            action=action,
            object=what,
            reason=reason,
            origin=actor.origin,
            result=result,
        )


class Head(Record):
    """The end of a chain: how many rows it has come to, and the hash of the last."""

    seq: int = Field(ge=0)
    hash: str = Field(pattern=r"^[0-9a-f]{64}$")

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """From `SEQ:HASH`.

        Raises:
            InputError: it is none.
        """
        seq, _, hashed = text.strip().partition(":")
        try:
            return cls(seq=int(seq), hash=hashed)
        except ValueError:
            raise InputError("a head is SEQ:HASH, as audit head prints it") from None


class Written(Record):
    """One row of the audit."""

    seq: int
    tenant: str
    at_ms: int
    actor: str
    action: str
    object: str
    reason: str | None
    origin: str | None
    result: str
    previous: str
    hash: str


def append(connection: Connection, entry: Entry, now_ms: int) -> Head:
    """Add one row, in the caller's transaction: it is there exactly when what it tells of happened.

    Returns:
        The head after it.

    Raises:
        StoreError: the head of the chain is missing; `audit verify` says more.
    """
    return append_many(connection, [entry], now_ms)


def append_many(connection: Connection, entries: Sequence[Entry], now_ms: int) -> Head:
    """Add rows in their order. On PostgreSQL others who append wait until this transaction ends, so it comes last in it.

    Raises:
        StoreError: the head of the chain is missing.
    """
    last = _locked_head(connection)
    rows: list[dict[str, object]] = []
    for entry in entries:
        row: dict[str, object] = {"seq": last.seq + 1, "at_ms": now_ms, **entry.model_dump()}
        hashed = digest(last.hash, [row[name] for name in _HASHED])
        rows.append({**row, "previous": last.hash, "hash": hashed})
        last = Head(seq=last.seq + 1, hash=hashed)
    if rows:
        connection.execute(_INSERT, rows)
        connection.execute(_ADVANCE, {"head": str(last)})
    return last


def digest(previous: str, values: Sequence[object]) -> str:
    """The hash of a row.

    Args:
        previous: the hash before it.
        values: seq, tenant, at_ms, actor, action, object, reason, origin, result.
    """
    return hashlib.sha256(f"{previous}\n{_JSON(list(values))}".encode()).hexdigest()


def head(connection: Connection) -> Head | None:
    """The end of the chain as the store has noted it; `None` where nothing was ever written, or the note is gone."""
    return _fact(connection, _HEAD)


def floor(connection: Connection) -> Head:
    """The last row that retention let go; 0 and `GENESIS` where it let none go."""
    return _fact(connection, _FLOOR) or Head(seq=0, hash=GENESIS)


def let_go(connection: Connection, before_ms: int, actor: Actor, now_ms: int, limit: int) -> int:
    """Delete the oldest rows and say so in a new one; the chain then begins behind them.

    Args:
        connection: in a transaction.
        before_ms: rows from this time on stay, and so does every row behind the first of them.
        actor: who asks; the row that tells of it is written in their tenant.
        now_ms: the time.
        limit: most rows.

    Returns:
        How many were deleted.
    """
    last = floor(connection)
    oldest = connection.execute(select(audit.c.seq, audit.c.at_ms, audit.c.hash).order_by(audit.c.seq).limit(limit))
    gone = last
    for row in oldest:
        if row.at_ms >= before_ms:
            break
        gone = Head(seq=row.seq, hash=row.hash)
    if gone == last:
        return 0
    append(connection, Entry.of(actor, "sweep", f"audit:{gone}"), now_ms)
    insert_new(connection, facts, [{"name": _FLOOR, "value": str(gone)}])
    connection.execute(update(facts).where(facts.c.name == _FLOOR).values(value=str(gone)))
    return connection.execute(delete(audit).where(audit.c.seq <= gone.seq)).rowcount


def show(
    connection: Connection,
    *,
    tenant: str | None = None,
    actor: str | None = None,
    action: Action | None = None,
    since_ms: int | None = None,
    last: int | None = None,
) -> Iterator[Written]:
    """Rows in their order, read in batches.

    Args:
        connection: for reading.
        tenant: only of this tenant.
        actor: only of this actor.
        action: only this.
        since_ms: only from this time on.
        last: only so many, the newest.
    """
    asked = select(audit)
    for column, value in ((audit.c.tenant, tenant), (audit.c.actor, actor), (audit.c.action, action)):
        if value is not None:
            asked = asked.where(column == value)
    if since_ms is not None:
        asked = asked.where(audit.c.at_ms >= since_ms)
    after = 0
    if last is not None:
        newest = asked.with_only_columns(audit.c.seq).order_by(audit.c.seq.desc()).limit(last).subquery()
        first = connection.scalar(select(func.min(newest.c.seq)))
        if first is None:
            return
        after = first - 1
    for row in in_batches(connection, asked, after):
        yield Written.model_validate(row._asdict())


def in_batches(connection: Connection, asked: Select[Any], after: int) -> Iterator[Any]:
    """Rows behind a place, however many: no batch holds more than a few thousand of them."""
    while True:
        rows = connection.execute(asked.where(audit.c.seq > after).order_by(audit.c.seq).limit(_BATCH)).all()
        yield from rows
        if len(rows) < _BATCH:
            return
        after = rows[-1].seq


_INSERT = insert(audit)
_LOCKED = select(facts.c.value).where(facts.c.name == _HEAD).with_for_update()
_ADVANCE = update(facts).where(facts.c.name == _HEAD).values(value=bindparam("head"))
_HASHED = ("seq", "tenant", "at_ms", "actor", "action", "object", "reason", "origin", "result")


def _fact(connection: Connection, name: str) -> Head | None:
    return _noted(connection.scalar(select(facts.c.value).where(facts.c.name == name)))


def _noted(value: str | None) -> Head | None:
    """A note that somebody has spoilt is as good as none."""
    try:
        return None if value is None else Head.parse(value)
    except InputError:
        return None


def _locked_head(connection: Connection) -> Head:
    value = connection.scalar(_LOCKED)
    if value is None and connection.scalar(select(audit.c.seq).limit(1)) is not None:
        value = connection.scalar(_LOCKED)  # another may have written the first rows meanwhile
        if value is None:
            raise StoreError(_LOST)
    if value is None:
        insert_new(connection, facts, [{"name": _HEAD, "value": str(Head(seq=0, hash=GENESIS))}])
        value = connection.scalar(_LOCKED)
    noted = _noted(value)
    if noted is None:
        raise StoreError(_LOST)
    return noted
