"""Receivers of webhooks: their addresses, what they are told of, and the secrets that sign it, which lie sealed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Literal

from pydantic import Field
from sqlalchemy import Connection, RowMapping, select, update

from crisis_filter.errors import InputError
from crisis_filter.schema import OUTCOMES, Record
from crisis_filter.store.decision_rows import EVERY_KIND
from crisis_filter.store.keyring import Keyring, sealing_context
from crisis_filter.store.outbox import Leased, bury, mark_dead
from crisis_filter.store.statements import insert_new
from crisis_filter.store.tables import endpoints

__all__ = [
    "KINDS",
    "Endpoint",
    "WhyDisabled",
    "change_secret",
    "disable",
    "enable",
    "endpoint",
    "endpoints_of",
    "open_secrets",
    "refused_for_good",
    "register",
    "secrets_of",
]

KINDS = (
    *(f"{what}.{outcome}" for what in ("assessment", "review") for outcome in OUTCOMES),
    "item.escalated",
    EVERY_KIND,
)
"""What an endpoint can be told of; the last stands for all, those of later versions too."""
WhyDisabled = Literal["gone", "operator"]
"""The receiver said so (410), or somebody here did."""


class Endpoint(Record):
    """A receiver."""

    id: str
    tenant: str
    url: str = Field(repr=False)
    """May hold a secret in its path."""
    kinds: tuple[str, ...]
    created_ms: int
    disabled_ms: int | None = None
    why_disabled: WhyDisabled | None = None


def register(
    connection: Connection,
    keys: Keyring,
    *,
    endpoint_id: str,
    tenant: str,
    url: str,
    kinds: Sequence[str],
    secrets: Sequence[str],
    now_ms: int,
) -> Endpoint:
    """Write down a receiver; may be run twice. Whether its address may be reached is the caller's to have checked.

    Args:
        connection: in a transaction.
        keys: seal the secrets.
        endpoint_id: a fresh one.
        tenant: whose decisions it is told of.
        url: of the receiver.
        kinds: what it is told of; at least one.
        secrets: sign what it gets, at least one; the newest first.
        now_ms: now.

    Raises:
        InputError: there is no kind, an unknown one, or no secret.
    """
    if not kinds or not secrets:
        raise InputError("an endpoint needs something to be told of, and a secret")
    if not set(kinds) <= set(KINDS):
        # A kind that never comes would be a receiver that is never told, and nobody would notice.
        raise InputError(f"an endpoint is told of {', '.join(KINDS)}")
    told = tuple(dict.fromkeys(kinds))
    key_id, body = _sealed(keys, tenant, endpoint_id, secrets)
    row = {
        "id": endpoint_id,
        "tenant": tenant,
        "url": url,
        "kinds": json.dumps(told),
        "secrets": body,
        "key_id": key_id,
        "created_ms": now_ms,
    }
    insert_new(connection, endpoints, [row])
    return Endpoint(id=endpoint_id, tenant=tenant, url=url, kinds=told, created_ms=now_ms)


def endpoints_of(connection: Connection, tenant: str) -> list[Endpoint]:
    """All receivers of a tenant, disabled ones too, in the order in which they came."""
    found = connection.execute(
        select(endpoints).where(endpoints.c.tenant == tenant).order_by(endpoints.c.created_ms, endpoints.c.id)
    )
    return [_endpoint(row) for row in found.mappings()]


def endpoint(connection: Connection, tenant: str, endpoint_id: str) -> Endpoint:
    """One receiver.

    Raises:
        InputError: the tenant has none of this id.
    """
    return _endpoint(_row(connection, tenant, endpoint_id))


def secrets_of(connection: Connection, keys: Keyring, tenant: str, endpoint_id: str) -> tuple[str, ...]:
    """The secrets of a receiver, the newest first.

    Raises:
        InputError: the tenant has none of this id.
        SealError: the ring lacks the key they are sealed under.
    """
    row = _row(connection, tenant, endpoint_id)
    return open_secrets(keys, tenant, endpoint_id, row["key_id"], row["secrets"])


def open_secrets(keys: Keyring, tenant: str, endpoint_id: str, key_id: str | None, body: bytes) -> tuple[str, ...]:
    """Secrets as they lie in the store, opened; the newest first.

    Raises:
        SealError: the ring lacks the key they are sealed under, or they are another endpoint's.
    """
    return tuple(json.loads(keys.open(key_id, body, context=sealing_context(tenant, endpoint_id, "endpoint"))))


def change_secret(connection: Connection, keys: Keyring, tenant: str, endpoint_id: str, new: str | None) -> None:
    """Change by what an endpoint's webhooks are signed; may be run twice.

    Args:
        connection: in a transaction.
        keys: open and seal the secrets.
        tenant: whose endpoint.
        endpoint_id: which.
        new: signs first, beside the newest one so far; `None` leaves the newest alone.

    Raises:
        InputError: the tenant has no endpoint of this id.
        SealError: the ring lacks the key they are sealed under.
    """
    known = secrets_of(connection, keys, tenant, endpoint_id)
    wanted = known[:1] if new is None else (new, *[one for one in known if one != new][:1])
    key_id, body = _sealed(keys, tenant, endpoint_id, wanted)
    connection.execute(
        update(endpoints)
        .where(endpoints.c.tenant == tenant, endpoints.c.id == endpoint_id)
        .values(key_id=key_id, secrets=body)
    )


def disable(connection: Connection, tenant: str, endpoint_id: str, why: WhyDisabled, *, now_ms: int) -> int:
    """Tell a receiver nothing more. Its rows that wait are dead, and may be replayed once it is enabled again.

    Returns:
        How many rows that were; 0 for an endpoint that was disabled before.

    Raises:
        InputError: the tenant has none of this id.
    """
    _row(connection, tenant, endpoint_id)
    connection.execute(
        update(endpoints)
        .where(endpoints.c.tenant == tenant, endpoints.c.id == endpoint_id, endpoints.c.disabled_ms.is_(None))
        .values(disabled_ms=now_ms, why_disabled=why)
    )
    return bury(connection, endpoint_id, now_ms=now_ms)


def refused_for_good(connection: Connection, row: Leased, worker: str, *, now_ms: int) -> None:
    """A receiver answered that it is gone (410): that row is dead, the endpoint disabled, and with it all that waits.

    Args:
        connection: in a transaction.
        row: that it refused.
        worker: whose lease it is.
        now_ms: now.
    """
    mark_dead(connection, row.id, worker, result="410", now_ms=now_ms)
    disable(connection, row.tenant, row.endpoint_id, "gone", now_ms=now_ms)


def enable(connection: Connection, tenant: str, endpoint_id: str) -> None:
    """Tell a disabled receiver again, of what happens from now on; what is dead stays dead until it is replayed.

    Raises:
        InputError: the tenant has none of this id.
    """
    _row(connection, tenant, endpoint_id)
    connection.execute(
        update(endpoints)
        .where(endpoints.c.tenant == tenant, endpoints.c.id == endpoint_id)
        .values(disabled_ms=None, why_disabled=None)
    )


def _row(connection: Connection, tenant: str, endpoint_id: str) -> RowMapping:
    chosen = select(endpoints).where(endpoints.c.tenant == tenant, endpoints.c.id == endpoint_id)
    found = connection.execute(chosen).mappings().first()
    if found is None:
        raise InputError("there is no such endpoint")
    return found


def _endpoint(row: RowMapping) -> Endpoint:
    given = {name: row[name] for name in Endpoint.model_fields}
    return Endpoint.model_validate({**given, "kinds": tuple(json.loads(row["kinds"]))})


def _sealed(keys: Keyring, tenant: str, endpoint_id: str, secrets: Sequence[str]) -> tuple[str | None, bytes]:
    plain = json.dumps(list(secrets)).encode("ascii")
    return keys.seal(plain, context=sealing_context(tenant, endpoint_id, "endpoint"))
