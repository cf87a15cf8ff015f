"""What receivers of webhooks are told of people's work: never a text, never a note, never who it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row

from crisis_filter.schema import Outcome, Urgency
from crisis_filter.store.decision_rows import Told, listeners, outbox_rows
from crisis_filter.store.opening import Store
from crisis_filter.store.statements import insert_new
from crisis_filter.store.tables import outbox

__all__ = ["Happened", "tell"]


@dataclass(frozen=True, slots=True)
class Happened:
    """What a person, or the time, did with an item.

    Attributes:
        kind: `review.OUTCOME` of a decision, `item.escalated`.
    """

    kind: str
    outcome: Outcome
    fault: str | None
    categories: Sequence[str]
    urgency: Urgency
    queue: str
    rule: str
    to_person: bool


def tell(
    connection: Connection, store: Store, message: Row[Any], what: Happened, *, revision: int | None, now_ms: int
) -> None:
    """Write a row for every receiver of the tenant that wants to hear of it.

    Args:
        connection: in a transaction that writes.
        store: where ids come from.
        message: the row of the message.
        what: what happened.
        revision: of the decision that is told of. `None` for what may happen to one decision several times: then nothing keeps it from being
            written twice but the transaction.
        now_ms: milliseconds since 1970.
    """
    listening = listeners(connection, [message.tenant])
    if not listening:
        return
    told = Told(
        kind=what.kind,
        tenant=message.tenant,
        message_id=message.id,
        revision=message.revision if revision is None else revision,
        outcome=what.outcome,
        fault=what.fault,
        categories=list(what.categories),
        degraded=False,
        subject=message.subject_pseudonym,
        urgency=what.urgency,
        queue=what.queue,
        rule=what.rule,
        to_person=what.to_person,
        now_ms=now_ms,
    )
    rows = outbox_rows(store, told, listening)
    insert_new(connection, outbox, [{**row, "revision": revision} for row in rows])
