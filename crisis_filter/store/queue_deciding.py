"""A reader's answer: what becomes of the item, the message's decision, and who is told.

A person's decision is final for every detector. Reading row, decision, route, item, note, webhooks and audit are written in one transaction.
A blind answer never lowers anything: it is counted, and where it finds more than the record says, an alert is raised at once.
"""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, Row, select

from crisis_filter.schema import OUTCOMES
from crisis_filter.store.opening import Store
from crisis_filter.store.queue import find
from crisis_filter.store.queue_effects import Case, ReadingRules, escalate, read
from crisis_filter.store.queue_records import Answer, Decided, QueueError, may
from crisis_filter.store.queue_viewing import standing
from crisis_filter.store.records import Actor
from crisis_filter.store.tables import messages, readings

__all__ = ["ReadingRules", "decide"]


def decide(
    connection: Connection,
    store: Store,
    actor: Actor,
    item_id: str,
    answer: Answer,
    *,
    rules: ReadingRules,
    now_ms: int,
) -> Decided:
    """Take a reader's answer.

    Saying the same twice changes nothing. Saying something else later is for a supervisor, and is a reading of its own. An answer that comes
    after the claim ran out counts as long as nobody else has the item.

    Args:
        connection: in a transaction that writes.
        store: whose keys seal the note.
        actor: the reader, with the scope `review`.
        item_id: of the item.
        answer: what they say.
        rules: what the policy says of items that are sent on.
        now_ms: milliseconds since 1970.

    Raises:
        QueueError: `scope`, `not_found`, `not_claimed`, `taken`, `decided`, `changed`, `no_revision`, `no_queue`, `no_reason`, `other_action`.
    """
    may(actor, "review")
    seen = find(connection, actor, item_id)
    # Whoever supersedes locks the message first as well.
    message = connection.execute(select(messages).where(messages.c.id == seen.message_id).with_for_update()).one()
    item = find(connection, actor, item_id, lock=True)
    shown = standing(connection, item.message_id, item.revision)
    case = Case(connection, store, actor, answer, rules, item, message, shown, now_ms)
    mine = item.claimed_by == actor.id and item.state != "done"
    if not mine and _said_before(case):
        outcome = None if item.blind else standing(connection, message.id, message.revision).outcome
        return Decided(
            item_id=item.id,
            message_id=message.id,
            state=item.state,
            revision=message.revision,
            outcome=outcome,
            again=True,
        )
    _refuse(case, mine=mine)
    done = escalate(case) if answer.action == "escalate" else read(case)
    store.crash("queue:decide")
    return done


def _said_before(case: Case) -> bool:
    """Whether the last reading of the item is this reader's, and says what the answer says."""
    last = _last_reading(case)
    if last is None or last.reader != case.actor.id:
        return False
    if case.answer.action == "escalate" or last.action == "escalate":
        return bool(case.answer.action == last.action == "escalate" and case.item.queue == case.answer.to)
    if case.answer.action == "accept":
        same = last.action == "accept" and last.revision == case.answer.revision
    else:
        answer = case.answer
        same = (last.outcome, last.reason) == (answer.outcome, answer.reason)
        same = same and sorted(json.loads(last.categories)) == sorted(answer.categories)
    return bool(same)


def _last_reading(case: Case) -> Row[Any] | None:
    wanted = select(readings).where(readings.c.item_id == case.item.id)
    return case.connection.execute(wanted.order_by(readings.c.read_ms.desc(), readings.c.id.desc()).limit(1)).first()


def _refuse(case: Case, *, mine: bool) -> None:
    """Refuse what does not fit.

    Raises:
        QueueError: why.
    """
    item, answer, action = case.item, case.answer, case.answer.action
    if item.state == "done" and (item.blind or action == "escalate" or "supervise" not in case.actor.scopes):
        raise QueueError("decided")
    if item.state != "done" and not mine:
        raise QueueError("taken" if item.state == "claimed" else "not_claimed")
    if item.blind != (action == "answer"):
        raise QueueError("other_action")
    if action == "accept" and not answer.revision == item.revision == case.message.revision:
        raise QueueError("changed")
    if action == "override" and item.state != "done":
        _require_seen(case)
    if action == "override" and answer.reason is None and case.action == "override" and _was_determined(case):
        raise QueueError("no_reason")
    if answer.to is not None and case.rules.queues is not None and answer.to not in case.rules.queues:
        raise QueueError("no_queue")


def _require_seen(case: Case) -> None:
    """Refuse an override of something else than its reader saw, or of what may be. Who says as much as stands, or more, does no harm.

    Raises:
        QueueError: why.
    """
    said, _ = case.said
    if case.answer.revision is not None:
        if case.answer.revision != case.item.revision:
            raise QueueError("changed")
    elif case.item.revision > 1 and OUTCOMES.index(said) > OUTCOMES.index(case.shown.outcome):
        raise QueueError("no_revision")


def _was_determined(case: Case) -> bool:
    """Whether an override contradicts: a first verdict on what nobody could tell, or a name for a crisis without one, needs no reason."""
    unnamed = json.loads(case.shown.categories) == ["unspecified"] and case.answer.outcome == "crisis"
    return case.shown.outcome != "undetermined" and not unnamed
