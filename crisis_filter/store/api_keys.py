"""Keys by which programs come in: shown once, kept as a hash, with scopes, revoked at a word.

The secret has 256 random bits, so one round of SHA-256 keeps it as well as a slow hash would keep a password. Whoever presents
a key hears yes or no: an unknown id, a wrong secret, a revoked and an expired key cannot be told apart, by their time neither.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from pydantic import Field
from sqlalchemy import Connection, insert, select, update

from crisis_filter.errors import InputError, StoreError
from crisis_filter.schema import Record
from crisis_filter.store.audit import Entry, append
from crisis_filter.store.records import SCOPES, Actor, Entropy, Scope
from crisis_filter.store.tables import api_keys

__all__ = ["ApiKey", "Grant", "GrantCache", "NewKey", "authenticate", "create", "draw", "listed", "revoke"]

_PRESENTED = re.compile(r"([0-9a-f]{8})\.([A-Za-z0-9_-]{43})")
_NOBODY = "0" * 64
_SECRET_BYTES = 32


class ApiKey(Record):
    """A key as it may be shown: all but its secret."""

    id: str
    tenant: str
    name: str
    scopes: tuple[Scope, ...]
    per_minute: int | None
    created_ms: int
    expires_ms: int | None
    revoked_ms: int | None


class Grant(Record):
    """What whoever presented a key may do."""

    actor: Actor
    per_minute: int | None = Field(default=None, ge=1)
    """Requests a minute; `None` where the key sets no limit of its own."""
    expires_ms: int | None = None


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made. `presented` is what its holder sends, and is nowhere kept."""

    id: str
    presented: str = field(repr=False)


def draw(entropy: Entropy = secrets.token_bytes) -> NewKey:
    """A key that opens nothing until `create` has stored it."""
    secret = base64.urlsafe_b64encode(entropy(_SECRET_BYTES)).rstrip(b"=").decode()
    key_id = entropy(4).hex()
    return NewKey(id=key_id, presented=f"{key_id}.{secret}")


def create(
    connection: Connection,
    by: Actor,
    new: NewKey,
    *,
    tenant: str,
    name: str,
    scopes: Collection[Scope],
    now_ms: int,
    per_minute: int | None = None,
    expires_ms: int | None = None,
) -> None:
    """Store a key and write that into the audit; the second time, of the same key, nothing happens.

    Args:
        connection: in a transaction.
        by: who asks.
        new: the key, from `draw`.
        tenant: whose messages it opens.
        name: of the program, for people.
        scopes: what it may do; at least one.
        now_ms: the time.
        per_minute: most requests a minute.
        expires_ms: from when on it is refused.

    Raises:
        InputError: no scope or one that is none, a name or tenant that is empty or too long, a limit below one, an end that is past.
        StoreError: another key has the same id; draw again.
    """
    if not scopes or not set(scopes) <= set(SCOPES):
        raise InputError(f"a key has at least one scope of {', '.join(SCOPES)}")
    for what, value in (("tenant", tenant), ("name", name)):
        if not 0 < len(value) <= 128 or not value.isprintable():
            raise InputError(f"the {what} of a key has 1 to 128 printable characters")
    if per_minute is not None and per_minute < 1:
        raise InputError("a key may at least ask once a minute")
    if expires_ms is not None and expires_ms <= now_ms:
        raise InputError("the key would have expired already")
    row = {
        "id": new.id,
        "tenant": tenant,
        "name": name,
        "secret_sha256": _hashed(new.presented.partition(".")[2]),
        "scopes": json.dumps(sorted(scopes)),
        "per_minute": per_minute,
        "created_ms": now_ms,
        "expires_ms": expires_ms,
    }
    there = connection.scalar(select(api_keys.c.secret_sha256).where(api_keys.c.id == new.id))
    if there is not None and there != row["secret_sha256"]:
        raise StoreError("the id of the key is taken: try again")
    if there is None:
        connection.execute(insert(api_keys).values(row))
        append(connection, _entry(by, tenant, "key_create", new.id), now_ms)


def listed(connection: Connection, *, tenant: str | None = None) -> tuple[ApiKey, ...]:
    """All keys, or those of one tenant, the oldest first; revoked ones too."""
    columns = [column for column in api_keys.c if column is not api_keys.c.secret_sha256]
    asked = select(*columns).order_by(api_keys.c.created_ms, api_keys.c.id)
    if tenant is not None:
        asked = asked.where(api_keys.c.tenant == tenant)
    return tuple(
        ApiKey.model_validate({**row._asdict(), "scopes": tuple(json.loads(row.scopes))})
        for row in connection.execute(asked)
    )


def revoke(connection: Connection, by: Actor, key_id: str, *, now_ms: int, tenant: str | None = None) -> bool:
    """Let a key open nothing more. One that was revoked before keeps the time of that.

    Args:
        connection: in a transaction.
        by: who asks.
        key_id: what stands before the dot.
        now_ms: the time.
        tenant: only where it is this tenant's.

    Returns:
        Whether there is such a key.
    """
    asked = select(api_keys.c.tenant, api_keys.c.revoked_ms).where(api_keys.c.id == key_id)
    if tenant is not None:
        asked = asked.where(api_keys.c.tenant == tenant)
    row = connection.execute(asked.with_for_update()).first()
    if row is None:
        return False
    if row.revoked_ms is None:
        connection.execute(update(api_keys).where(api_keys.c.id == key_id).values(revoked_ms=now_ms))
        append(connection, _entry(by, row.tenant, "key_revoke", key_id), now_ms)
    return True


def authenticate(connection: Connection, presented: str, now_ms: int, *, origin: str | None = None) -> Grant | None:
    """What a presented key grants; `None` where it grants nothing, without a word of why.

    Args:
        connection: for reading.
        presented: as it came; anything.
        now_ms: the time.
        origin: where from, for the audit.
    """
    parts = _PRESENTED.fullmatch(presented)
    key_id, secret = parts.groups() if parts else ("", "")
    row = connection.execute(select(api_keys).where(api_keys.c.id == key_id)).first()
    # The comparison takes its time whether there is such a key or not.
    same = hmac.compare_digest(row.secret_sha256 if row is not None else _NOBODY, _hashed(secret))
    if row is None or not same or row.revoked_ms is not None:
        return None
    if row.expires_ms is not None and row.expires_ms <= now_ms:
        return None
    # A scope that this version does not know grants nothing.
    scopes = frozenset(scope for scope in SCOPES if scope in json.loads(row.scopes))
    actor = Actor(id=f"key:{row.id}", tenant=row.tenant, scopes=scopes, origin=origin)
    return Grant(actor=actor, per_minute=row.per_minute, expires_ms=row.expires_ms)


class GrantCache:
    """Remembers for a few seconds what a key grants, so that not every request asks the store. Any thread may use it.

    A key that is revoked is refused everywhere at the latest `ttl_ms` later; one that expires, at once. Keys that grant nothing are not
    remembered, so that guesses push nobody out. Of a key only its hash is held.

    Args:
        ask: what a key grants, from the store.
        clock: now, in milliseconds since 1970.
        ttl_ms: how long an answer counts.
        most: how many are held.
    """

    def __init__(
        self, ask: Callable[[str, int], Grant | None], clock: Callable[[], int], *, ttl_ms: int = 5000, most: int = 4096
    ) -> None:
        self._ask, self._clock, self._ttl, self._most = ask, clock, ttl_ms, most
        self._held: OrderedDict[bytes, tuple[int, Grant]] = OrderedDict()
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"GrantCache({len(self._held)})"

    def recall(self, presented: str) -> Grant | None:
        """What is remembered; `None` where the store has to be asked, by `grant`, which blocks."""
        now, known = self._clock(), _fingerprint(presented)
        with self._lock:
            at, grant = self._held.get(known, (0, None))
            if grant is None:
                return None
            # A clock that was set back must not keep an answer alive.
            if not 0 <= now - at < self._ttl or (grant.expires_ms is not None and grant.expires_ms <= now):
                del self._held[known]
                return None
            return grant

    def grant(self, presented: str) -> Grant | None:
        """What a key grants, remembered or from the store.

        Raises:
            StoreError: the store does not answer; then nobody comes in whose key is not remembered.
        """
        found = self.recall(presented)
        return self.renew(presented) if found is None else found

    def renew(self, presented: str) -> Grant | None:
        """What a key grants by the store, whatever is remembered; raises as `grant` does."""
        # The time before the question: what is revoked after it counts from there on.
        at = self._clock()
        found = self._ask(presented, at)
        if found is not None:
            self._keep(_fingerprint(presented), at, found)
        else:
            with self._lock:
                self._held.pop(_fingerprint(presented), None)
        return found

    def ageing(self, presented: str) -> bool:
        """Whether what is remembered has half of its time behind it, so that asking now spares somebody a wait."""
        with self._lock:
            at, grant = self._held.get(_fingerprint(presented), (0, None))
            return grant is not None and self._clock() - at >= self._ttl // 2

    def _keep(self, known: bytes, at: int, grant: Grant) -> None:
        with self._lock:
            self._held[known] = (at, grant)
            self._held.move_to_end(known)
            while len(self._held) > self._most:
                self._held.popitem(last=False)


def _hashed(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _fingerprint(presented: str) -> bytes:
    return hashlib.sha256(presented.encode("utf-8", "surrogatepass")).digest()


def _entry(by: Actor, tenant: str, action: str, key_id: str) -> Entry:
    return Entry.model_validate(
        {"actor": by.id, "tenant": tenant, "action": action, "object": f"api_key:{key_id}", "origin": by.origin}
    )
