"""What stands of messages: for an answer that is given again, for a person who looks, for what is judged again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from pydantic import ValidationError
from sqlalchemy import Connection, bindparam, select

from crisis_filter.errors import CrisisFilterError, Fault
from crisis_filter.schema import Assessment
from crisis_filter.store.keyring import sealing_context
from crisis_filter.store.opening import Store
from crisis_filter.store.records import Verdict
from crisis_filter.store.statements import plain_in
from crisis_filter.store.tables import decisions, messages, routes, texts

__all__ = ["assessments", "verdicts"]

_IDS = messages.c.id.in_(bindparam("values", expanding=True))
_NEWEST = (decisions.c.message_id == messages.c.id) & (decisions.c.revision == messages.c.revision)
_ROUTE = (routes.c.message_id == messages.c.id) & (routes.c.revision == messages.c.revision)
_STANDING = (
    select(
        messages.c.id,
        messages.c.state,
        messages.c.revision,
        decisions.c.by,
        decisions.c.outcome,
        decisions.c.fault,
        decisions.c.categories,
        decisions.c.score,
        routes.c.queue,
        routes.c.urgency,
        routes.c.rule,
        routes.c.to_person,
        decisions.c.decided_ms,
    )
    .select_from(messages.outerjoin(decisions, _NEWEST).outerjoin(routes, _ROUTE))
    .where(messages.c.tenant == bindparam("tenant"), _IDS)
)
_TEXTS = select(texts.c.message_id, texts.c.revision, texts.c.key_id, texts.c.body).where(
    texts.c.message_id.in_(bindparam("values", expanding=True)),
    texts.c.kind == "assessment",
    texts.c.tenant == bindparam("tenant"),
)


class _Standing(NamedTuple):
    message_id: str
    state: str
    revision: int
    by: str | None
    outcome: str | None
    fault: str | None
    categories: str | None
    score: float | None
    queue: str | None
    urgency: str | None
    rule: str | None
    to_person: bool | None
    decided_ms: int | None


def verdicts(
    connection: Connection, store: Store, tenant: str, ids: Sequence[str], *, whole: bool = False
) -> dict[str, Verdict]:
    """What stands of each message of a tenant; ids that are not the tenant's are left out.

    Args:
        connection: where to ask.
        store: whose keys open assessments.
        tenant: whose messages.
        ids: ours.
        whole: whether the assessments are wanted, quotes and reasons included.
    """
    said = assessments(connection, store, tenant, ids) if whole else {}
    found = {}
    for row in plain_in(connection, _STANDING, ids, tenant=tenant):
        one = _Standing(*row)
        fields = one._asdict()
        fields["categories"] = tuple(json.loads(one.categories or "[]"))
        fields["to_person"] = None if one.to_person is None else bool(one.to_person)
        fields["fault"] = Fault(one.fault) if one.fault else None
        found[one.message_id] = Verdict(**fields, assessment=said.get(one.message_id))
    return found


def assessments(connection: Connection, store: Store, tenant: str, ids: Sequence[str]) -> dict[str, Assessment]:
    """A detector's newest assessment of each message, under our id; none where retention or erasure took it, or it does not open."""
    newest: dict[str, tuple[int, str | None, bytes]] = {}
    for message_id, revision, key_id, body in plain_in(connection, _TEXTS, ids, tenant=tenant):
        if message_id not in newest or newest[message_id][0] < revision:
            newest[message_id] = (revision, key_id, body)
    found = {}
    for message_id, (revision, key_id, body) in newest.items():
        context = sealing_context(tenant, message_id, "assessment", revision)
        try:
            said = Assessment.model_validate_json(store.keys.open(key_id, body, context=context))
        except (CrisisFilterError, ValidationError):
            continue
        found[message_id] = said.model_copy(update={"id": message_id})
    return found
