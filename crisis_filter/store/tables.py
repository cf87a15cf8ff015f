"""The tables, as SQLAlchemy Core describes them. Times are whole milliseconds since 1970 in UTC.

Every row that belongs to somebody carries its tenant, and every query names one. Texts lie apart from what was said of them, so that they
can be sealed, withheld and erased without touching a verdict.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

__all__ = [
    "api_keys",
    "audit",
    "decisions",
    "endpoints",
    "facts",
    "holds",
    "idempotency",
    "incidents",
    "items",
    "leases",
    "messages",
    "metadata",
    "outbox",
    "readings",
    "routes",
    "texts",
]

_ID = String(64)
_NAME = String(128)
_WORD = String(32)
_HASH = String(64)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

messages = Table(
    "messages",
    metadata,
    Column("id", _ID, primary_key=True),  # ours; grows with time
    Column("tenant", _NAME, nullable=False),
    Column("source", _NAME, nullable=False),
    Column("external_pseudonym", _HASH, nullable=False),  # keyed HMAC of the sender's id of the message
    Column("subject_pseudonym", _HASH),  # keyed HMAC of whoever wrote it; null where nobody said
    Column("text_mac", _HASH, nullable=False),  # keyed HMAC of the text: the same id with another text is noticed
    Column("locale", _WORD),
    Column("flags", Text, nullable=False),  # JSON list
    Column("received_ms", BigInteger, nullable=False),
    Column("state", _WORD, nullable=False),  # pending | decided
    Column("judge", _ID),  # the worker that has it in hand, and until when
    Column("judge_until_ms", BigInteger),
    Column("revision", Integer, nullable=False),  # of its newest decision; 0 before the first
    Column("erased_ms", BigInteger),  # since when nothing of a person is left of it
    Column("text_gone_ms", BigInteger),  # since when its text is deleted, by retention or by erasure
    UniqueConstraint("tenant", "source", "external_pseudonym"),
    Index(None, "tenant", "received_ms"),
    Index(None, "tenant", "subject_pseudonym"),
)
# Only what is still to be done is looked for by state, and it is little beside what is done.
Index(
    "ix_messages_pending",
    messages.c.judge_until_ms,
    sqlite_where=messages.c.state == "pending",
    postgresql_where=messages.c.state == "pending",
)

texts = Table(
    "texts",
    metadata,
    Column("message_id", _ID, ForeignKey("messages.id"), primary_key=True),
    Column("kind", _WORD, primary_key=True),  # message | assessment | note
    Column("revision", Integer, primary_key=True),  # of the decision or reading it belongs to; 0 for the message
    Column("tenant", _NAME, nullable=False),
    Column("key_id", _WORD),  # null where it lies open
    Column("body", LargeBinary, nullable=False),
    Column("written_ms", BigInteger, nullable=False),
    Index(None, "kind", "written_ms"),
)

decisions = Table(
    "decisions",
    metadata,
    Column("message_id", _ID, ForeignKey("messages.id"), primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("tenant", _NAME, nullable=False),
    Column("by", _WORD, nullable=False),  # detector | person
    Column("outcome", _WORD, nullable=False),
    Column("fault", _WORD),
    Column("score", Float),
    Column("categories", Text, nullable=False),  # JSON list
    Column("degraded", Boolean, nullable=False),
    Column("flags", Text, nullable=False),  # JSON list
    Column("detector", Text, nullable=False),
    Column("policy", _NAME),
    Column("policy_sha256", _HASH),
    Column("decided_ms", BigInteger, nullable=False),
    Column("elapsed_ms", Float, nullable=False),
    Index(None, "tenant", "decided_ms"),
)

routes = Table(
    "routes",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("tenant", _NAME, nullable=False),
    Column("message_id", _ID, ForeignKey("messages.id"), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("rule", _NAME, nullable=False),
    Column("queue", _NAME, nullable=False),
    Column("urgency", _WORD, nullable=False),
    Column("to_person", Boolean, nullable=False),  # whether anybody reads that queue
    Column("routed_ms", BigInteger, nullable=False),
    UniqueConstraint("message_id", "revision"),
)

incidents = Table(
    "incidents",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("tenant", _NAME, nullable=False),
    Column("fault", _WORD, nullable=False),
    Column("opened_ms", BigInteger, nullable=False),
    Column("last_ms", BigInteger, nullable=False),
    Column("healed_ms", BigInteger),
    Index(None, "tenant", "opened_ms"),
)
# One open incident for a tenant and fault, however many workers notice it at once.
Index(
    "uq_incidents_open",
    incidents.c.tenant,
    incidents.c.fault,
    unique=True,
    sqlite_where=incidents.c.healed_ms.is_(None),
    postgresql_where=incidents.c.healed_ms.is_(None),
)

items = Table(
    "items",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("tenant", _NAME, nullable=False),
    Column("message_id", _ID, ForeignKey("messages.id"), nullable=False),
    Column("revision", Integer, nullable=False),  # of the decision it shows
    Column("kind", _WORD, nullable=False),  # alert | second_reading
    Column("queue", _NAME, nullable=False),
    Column("urgency", _WORD, nullable=False),
    Column("rank", Integer, nullable=False),  # of the urgency: 0 is the most urgent
    Column("score", Float),
    Column("blind", Boolean, nullable=False),  # whether what the detector said is kept from the reader
    Column("state", _WORD, nullable=False),  # waiting | claimed | done | settled
    Column("incident_id", _ID, ForeignKey("incidents.id")),
    Column("arrived_ms", BigInteger, nullable=False),
    Column("due_ms", BigInteger),
    Column("opened_ms", BigInteger),  # first time anybody had it before them
    Column("claimed_by", _NAME),
    Column("claim_until_ms", BigInteger),
    Column("escalated_ms", BigInteger),
    Column("escalations", Integer, nullable=False),
    Column("done_ms", BigInteger),
    UniqueConstraint("message_id", "kind"),
    Index(None, "tenant", "state", "queue", "rank", "due_ms"),
    Index(None, "state", "due_ms"),
    Index(None, "incident_id"),
)

readings = Table(
    "readings",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("tenant", _NAME, nullable=False),
    Column("item_id", _ID, ForeignKey("items.id"), nullable=False),
    Column("message_id", _ID, ForeignKey("messages.id"), nullable=False),
    Column("revision", Integer, nullable=False),  # of the decision that was read
    Column("reader", _NAME, nullable=False),
    Column("action", _WORD, nullable=False),  # accept | override | escalate
    Column("outcome", _WORD, nullable=False),
    Column("categories", Text, nullable=False),  # JSON list
    Column("reason", _WORD),  # why it was overridden: a closed set
    Column("blind", Boolean, nullable=False),
    Column("read_ms", BigInteger, nullable=False),
    Index(None, "tenant", "read_ms"),
    Index(None, "item_id"),
    Index(None, "message_id"),
)

endpoints = Table(
    "endpoints",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("tenant", _NAME, nullable=False),
    Column("url", Text, nullable=False),
    Column("kinds", Text, nullable=False),  # JSON list; what it is told of
    Column("secrets", LargeBinary, nullable=False),  # JSON list, the one that signs first
    Column("key_id", _WORD),  # null where the secrets lie open
    Column("created_ms", BigInteger, nullable=False),
    Column("disabled_ms", BigInteger),
    Column("why_disabled", _WORD),
    Index(None, "tenant"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", _ID, primary_key=True),  # the webhook-id, the same at every attempt
    Column("tenant", _NAME, nullable=False),
    Column("endpoint_id", _ID, ForeignKey("endpoints.id"), nullable=False),
    Column("message_id", _ID, ForeignKey("messages.id")),
    Column("revision", Integer),  # of the decision it tells of
    Column("kind", _NAME, nullable=False),
    Column("payload", Text, nullable=False),  # JSON; never a word of a text
    Column("state", _WORD, nullable=False),  # pending | delivered | dead
    Column("attempts", Integer, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("next_ms", BigInteger, nullable=False),
    Column("leased_by", _ID),
    Column("leased_until_ms", BigInteger),
    Column("ended_ms", BigInteger),
    Column("last_result", _WORD),  # an HTTP status or a word of ours
    UniqueConstraint("endpoint_id", "kind", "message_id", "revision"),
    Index(None, "tenant", "state"),
    Index(None, "message_id"),
)
Index(
    "ix_outbox_pending",
    outbox.c.endpoint_id,
    outbox.c.next_ms,
    sqlite_where=outbox.c.state == "pending",
    postgresql_where=outbox.c.state == "pending",
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("tenant", _NAME, primary_key=True),
    Column("key_hash", _HASH, primary_key=True),
    Column("owner", _ID, nullable=False),  # the request that used the key first
    Column("body_hash", _HASH, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("message_ids", Text, nullable=False),  # JSON list, in the order of the request
    Index(None, "created_ms"),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("tenant", _NAME, nullable=False),
    Column("name", _NAME, nullable=False),
    Column("secret_sha256", _HASH, nullable=False),
    Column("scopes", Text, nullable=False),  # JSON list
    Column("per_minute", Integer),
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger),
    Column("revoked_ms", BigInteger),
    Index(None, "tenant"),
)

audit = Table(
    "audit",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("tenant", _NAME, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("actor", _NAME, nullable=False),
    Column("action", _WORD, nullable=False),
    Column("object", Text, nullable=False),  # kind:id, never a text
    Column("reason", _NAME),
    Column("origin", _NAME),
    Column("result", _WORD, nullable=False),
    Column("previous", _HASH, nullable=False),
    Column("hash", _HASH, nullable=False),
    Index(None, "tenant", "at_ms"),
)

leases = Table(
    "leases",
    metadata,
    Column("name", _NAME, primary_key=True),  # what only one process does at a time
    Column("holder", _ID, nullable=False),
    Column("until_ms", BigInteger, nullable=False),
)

holds = Table(
    "holds",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("tenant", _NAME, nullable=False),
    Column("kind", _WORD, nullable=False),  # message | subject
    Column("held", _ID, nullable=False),  # the message's id, or the subject's pseudonym
    Column("reason", _NAME, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("ended_ms", BigInteger),
    Index(None, "tenant", "kind", "held"),
)

facts = Table(
    "facts",
    metadata,
    Column("name", _NAME, primary_key=True),  # audit_head | audit_floor | pseudonym_key
    Column("value", Text, nullable=False),
)
