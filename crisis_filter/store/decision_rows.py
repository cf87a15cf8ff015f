"""The rows that one decision makes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, bindparam, select

from crisis_filter.errors import FAULTS, Fault
from crisis_filter.schema import URGENCIES, Assessment, Disposition, Outcome, Urgency
from crisis_filter.store.keyring import sealing_context
from crisis_filter.store.opening import Store
from crisis_filter.store.records import new_id
from crisis_filter.store.statements import plain_in
from crisis_filter.store.tables import endpoints
from crisis_filter.tables.flat import json_line

__all__ = [
    "BY_DETECTOR",
    "BY_PERSON",
    "EVERY_KIND",
    "SECOND_READINGS",
    "Told",
    "decision_row",
    "disposed",
    "item_row",
    "listeners",
    "of_the_service",
    "outbox_rows",
    "require_a_person",
    "route_row",
    "text_row",
]

BY_DETECTOR = "detector"
BY_PERSON = "person"
SECOND_READINGS = "second_reading"
"""Queue and rule of blind second readings: the alert's own would tell what the detector said."""
EVERY_KIND = "*"
"""In an endpoint's kinds: it is told of all."""
_LAST: Urgency = URGENCIES[-1]
_MOST_NAME = 128


def disposed(assessment: Assessment) -> Disposition:
    """Where an assessment goes.

    Raises:
        ValueError: it was not triaged, or is a baseline's.
    """
    if assessment.disposition is None:
        raise ValueError("an assessment that was not triaged cannot be stored as a decision")
    return assessment.disposition


def require_a_person(outcome: Outcome, fault: Fault | None, *, to_person: bool) -> None:
    """Refuse to send a crisis or an undetermined message to nobody; empty content alone may be set aside.

    Raises:
        ValueError: nobody would read it.
    """
    if outcome != "no_crisis" and not to_person and fault is not Fault.EMPTY_CONTENT:
        raise ValueError(f"{outcome} may not be routed to nobody")


def of_the_service(assessment: Assessment) -> Fault | None:
    """The fault of an undetermined message that the service itself caused, so that healing it settles the message."""
    fault = assessment.fault
    if assessment.outcome != "undetermined" or fault is None or FAULTS[fault].rejudge != "healed":
        return None
    return fault


def text_row(
    store: Store, tenant: str, message_id: str, revision: int, assessment: Assessment, now_ms: int
) -> dict[str, Any]:
    """The whole assessment, quotes and reasons included, sealed."""
    try:
        plain = assessment.model_dump_json().encode()
    except ValueError:  # half of a surrogate pair in a quote
        plain = json_line(assessment)[:-1]
    key_id, body = store.keys.seal(plain, context=sealing_context(tenant, message_id, "assessment", revision))
    return {
        "message_id": message_id,
        "kind": "assessment",
        "revision": revision,
        "tenant": tenant,
        "key_id": key_id,
        "body": body,
        "written_ms": now_ms,
    }


def decision_row(tenant: str, message_id: str, revision: int, assessment: Assessment, now_ms: int) -> dict[str, Any]:
    """What was decided, without a word of the text."""
    provenance = assessment.provenance
    policy = provenance.policy
    return {
        "message_id": message_id,
        "revision": revision,
        "tenant": tenant,
        "by": BY_DETECTOR,
        "outcome": assessment.outcome,
        "fault": assessment.fault.value if assessment.fault else None,
        "score": assessment.score,
        "categories": json.dumps([finding.category for finding in assessment.findings]),
        "degraded": assessment.degraded,
        "flags": json.dumps(list(assessment.flags)),
        "detector": _kept(provenance.detector),
        "policy": _kept(policy.id)[:_MOST_NAME] if policy else None,
        "policy_sha256": policy.sha256 if policy else None,
        "decided_ms": now_ms,
        "elapsed_ms": provenance.elapsed_ms,
    }


def _kept(name: str) -> str:
    """A name as both databases keep it."""
    return name.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def route_row(
    made: str, tenant: str, message_id: str, revision: int, where: Disposition, *, to_person: bool, now_ms: int
) -> dict[str, Any]:
    """Where it goes, and by which rule."""
    return {
        "id": made,
        "tenant": tenant,
        "message_id": message_id,
        "revision": revision,
        "rule": where.rule,
        "queue": where.queue,
        "urgency": where.urgency,
        "to_person": to_person,
        "routed_ms": now_ms,
    }


def item_row(
    made: str,
    tenant: str,
    message_id: str,
    revision: int,
    *,
    where: Disposition | None,
    score: float | None,
    incident: str | None,
    due_ms: int | None,
    now_ms: int,
) -> dict[str, Any]:
    """What somebody is to read; a blind second reading where `where` is `None`."""
    urgency = _LAST if where is None else where.urgency
    return {
        "id": made,
        "tenant": tenant,
        "message_id": message_id,
        "revision": revision,
        "kind": "alert" if where is not None else "second_reading",
        "queue": SECOND_READINGS if where is None else where.queue,
        "urgency": urgency,
        "rank": URGENCIES.index(urgency),
        "score": None if where is None else score,
        "blind": where is None,
        "state": "waiting",
        "incident_id": incident,
        "arrived_ms": now_ms,
        "due_ms": due_ms,
        "escalations": 0,
    }


@dataclass(frozen=True, slots=True)
class Told:
    """What a receiver of webhooks is told of a decision.

    Attributes:
        kind: `assessment.OUTCOME` of a detector's decision, `review.OUTCOME` of a person's.
        subject: the pseudonym of whoever wrote the message.
    """

    kind: str
    tenant: str
    message_id: str
    revision: int
    outcome: Outcome
    fault: str | None
    categories: Sequence[str]
    degraded: bool
    subject: str | None
    urgency: str
    queue: str
    rule: str
    to_person: bool
    now_ms: int


_LISTENERS = select(endpoints.c.id, endpoints.c.tenant, endpoints.c.kinds).where(
    endpoints.c.tenant.in_(bindparam("values", expanding=True)), endpoints.c.disabled_ms.is_(None)
)


def listeners(connection: Connection, tenants: Sequence[str]) -> dict[str, list[tuple[str, frozenset[str]]]]:
    """For each tenant its endpoints, with the kinds that each wants to hear of."""
    found: dict[str, dict[str, frozenset[str]]] = {}
    for made, tenant, kinds in plain_in(connection, _LISTENERS, tenants):
        found.setdefault(tenant, {})[made] = frozenset(json.loads(kinds))
    return {tenant: sorted(of.items()) for tenant, of in found.items()}


def outbox_rows(
    store: Store, told: Told, listening: Mapping[str, Sequence[tuple[str, frozenset[str]]]]
) -> list[dict[str, Any]]:
    """A row for each endpoint of the tenant that wants to hear of it. No text, no quote, no reason."""
    rows = []
    for endpoint, kinds in listening.get(told.tenant, ()):
        if told.kind in kinds or EVERY_KIND in kinds:
            made = new_id(told.now_ms, store.entropy)
            rows.append(
                {
                    "id": made,
                    "tenant": told.tenant,
                    "endpoint_id": endpoint,
                    "message_id": told.message_id,
                    "revision": told.revision,
                    "kind": told.kind,
                    "payload": _payload(made, told),
                    "state": "pending",
                    "attempts": 0,
                    "created_ms": told.now_ms,
                    "next_ms": told.now_ms,
                }
            )
    return rows


def _payload(made: str, told: Told) -> str:
    at = datetime.fromtimestamp(told.now_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return json.dumps(
        {
            "id": made,
            "kind": told.kind,
            "message_id": told.message_id,
            "revision": told.revision,
            "outcome": told.outcome,
            "categories": list(told.categories),
            "urgency": told.urgency,
            "queue": told.queue,
            "rule": told.rule,
            "to_person": told.to_person,
            "fault": told.fault,
            "degraded": told.degraded,
            "subject": told.subject,
            "decided_at": at.replace("+00:00", "Z"),
        },
        separators=(",", ":"),
    )
