"""What a reader's answer writes: the reading, a person's decision with its route, an alert that is raised, an item that is sent on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, func, select, update

from crisis_filter.schema import OUTCOMES, URGENCIES, Outcome, Record, Urgency
from crisis_filter.store.audit import Action, Entry, append
from crisis_filter.store.decision_rows import BY_PERSON
from crisis_filter.store.keyring import sealing_context
from crisis_filter.store.opening import Store
from crisis_filter.store.queue import readings_of
from crisis_filter.store.queue_records import Answer, Decided, urgency_of
from crisis_filter.store.queue_telling import Happened, tell
from crisis_filter.store.queue_viewing import standing
from crisis_filter.store.records import Actor
from crisis_filter.store.statements import insert_rows
from crisis_filter.store.tables import decisions, items, messages, readings, routes, texts

__all__ = ["RAISED_BY", "Case", "ReadingRules", "escalate", "read"]

RAISED_BY = "second_reading"
"""The rule of an alert that a blind reader raised where none waited."""
_UNSCORED = 0.5
"""What an item without a score counts as, where its place in the line is sought (`store.queue`)."""
_MINUTE = 60_000
_WITHIN: Mapping[Urgency, int] = {
    "emergency": 15 * _MINUTE,
    "urgent": 4 * 60 * _MINUTE,
    "soon": 24 * 60 * _MINUTE,
    "routine": 7 * 24 * 60 * _MINUTE,
}


class ReadingRules(Record):
    """What the policy says of items that readers send on."""

    queues: frozenset[str] | None = None
    """Those that somebody reads; `None` takes any name."""
    raised_queue: str
    """Where a message goes in which a blind reader sees a crisis that the record does not have."""
    leads_on: frozenset[str] = frozenset()
    """Rules by whose escalation an item comes to another queue than that."""
    raised_urgency: Urgency = "urgent"
    """Of such a message. One that a blind reader cannot tell is one step less urgent."""
    within_ms: Mapping[Urgency, int] = _WITHIN
    """In which time somebody must look, anew."""


@dataclass(frozen=True, slots=True)
class Case:
    """One answer with what it is an answer to; the message is locked."""

    connection: Connection
    store: Store
    actor: Actor
    answer: Answer
    rules: ReadingRules
    item: Row[Any]
    message: Row[Any]
    shown: Row[Any]
    """The decision that the item shows."""
    now_ms: int

    @property
    def said(self) -> tuple[Outcome, tuple[str, ...]]:
        """The outcome and the categories that hold after this answer, as far as its reader is concerned."""
        if self.answer.outcome is None:
            return self.shown.outcome, tuple(json.loads(self.shown.categories))
        return self.answer.outcome, self.answer.categories

    @property
    def action(self) -> str:
        """`accept`, `override` or `escalate`, also of a blind answer."""
        if self.answer.action == "escalate":
            return "escalate"
        outcome, categories = self.said
        same = outcome == self.shown.outcome
        if same and (self.item.blind or sorted(categories) == sorted(json.loads(self.shown.categories))):
            return "accept"
        return "override"


def read(case: Case) -> Decided:
    """Everything but sending on."""
    _keep_reading(case)
    outcome, _ = case.said
    raised = False
    revision = case.message.revision
    if not case.item.blind:
        revision = _decide(case, case.item.queue, case.item.urgency, rule="person", to_person=outcome != "no_crisis")
    else:
        raised, revision = _raise(case)
    case.connection.execute(
        update(items)
        .where(items.c.id == case.item.id)
        .values(
            state="done",
            done_ms=case.now_ms,
            opened_ms=func.coalesce(items.c.opened_ms, case.now_ms),
            claim_until_ms=None,
        )
    )
    _audit(case, "decide")
    return Decided(
        item_id=case.item.id,
        message_id=case.message.id,
        state="done",
        revision=revision,
        outcome=None if case.item.blind else outcome,
        raised=raised,
    )


def _keep_reading(case: Case) -> None:
    connection, message = case.connection, case.message
    outcome, categories = case.said
    before = connection.scalar(select(func.count()).select_from(readings).where(readings_of(message.id)))
    row = {
        "id": case.store.new_id(case.now_ms),
        "tenant": message.tenant,
        "item_id": case.item.id,
        "message_id": message.id,
        "revision": case.item.revision,
        "reader": case.actor.id,
        "action": case.action,
        "outcome": outcome,
        "categories": json.dumps(list(categories)),
        "reason": case.answer.reason,
        "blind": case.item.blind,
        "read_ms": case.now_ms,
    }
    insert_rows(connection, readings, [row])
    if case.answer.note:
        # The number of the reading among the message's own.
        number = (before or 0) + 1
        plain = case.answer.note.encode("utf-8", "surrogatepass")
        context = sealing_context(message.tenant, message.id, "note", number)
        key_id, body = case.store.keys.seal(plain, context=context)
        place = {"message_id": message.id, "kind": "note", "revision": number, "tenant": message.tenant}
        insert_rows(connection, texts, [{**place, "key_id": key_id, "body": body, "written_ms": case.now_ms}])


def _decide(case: Case, queue: str, urgency: Urgency, *, rule: str, to_person: bool) -> int:
    """A person's decision as the newest revision, its route, and who is told. Returns the revision."""
    message, now_ms = case.message, case.now_ms
    outcome, categories = case.said
    revision: int = message.revision + 1
    fault = case.shown.fault if outcome == "undetermined" else None
    place = {"tenant": message.tenant, "message_id": message.id, "revision": revision}
    decision = {
        **place,
        "by": BY_PERSON,
        "outcome": outcome,
        "fault": fault,
        "score": None,
        "categories": json.dumps(list(categories)),
        "degraded": False,
        "flags": "[]",
        "detector": BY_PERSON,
        "policy": None,
        "policy_sha256": None,
        "decided_ms": now_ms,
        "elapsed_ms": float(max(0, now_ms - (case.item.opened_ms or now_ms))),
    }
    route = {"id": case.store.new_id(now_ms), **place, "rule": rule, "queue": queue, "urgency": urgency}
    insert_rows(case.connection, decisions, [decision])
    insert_rows(case.connection, routes, [{**route, "to_person": to_person, "routed_ms": now_ms}])
    case.connection.execute(update(messages).where(messages.c.id == message.id).values(revision=revision))
    happened = Happened(f"review.{outcome}", outcome, fault, categories, urgency, queue, rule, to_person=to_person)
    tell(case.connection, case.store, message, happened, revision=revision, now_ms=now_ms)
    return revision


def _raise(case: Case) -> tuple[bool, int]:
    """Where a blind reader finds more than the record says: their decision, and an alert. Gives whether one was raised, and the newest revision.

    An alert that waits already, for nobody could judge the message or a flag sent it to people, shows the new decision. It comes no later in
    line than before, is escalated as the rule says that it came by, where that leads on, and stays where an escalation, or whoever holds it, has
    brought it. So no detector that works again clears what a person has called a crisis, and who listens is told.
    """
    said, _ = case.said
    message, rules, now_ms = case.message, case.rules, case.now_ms
    record = standing(case.connection, message.id, message.revision)
    if OUTCOMES.index(said) >= OUTCOMES.index(record.outcome):
        return False, message.revision
    alert = case.connection.execute(
        select(items).where(items.c.message_id == message.id, items.c.kind == "alert").with_for_update()
    ).first()
    waiting = alert if alert is not None and alert.state in {"waiting", "claimed"} else None
    rank = URGENCIES.index(rules.raised_urgency) + (said == "undetermined")
    due_ms = now_ms + rules.within_ms[urgency_of(rank)]
    queue, rule, score = rules.raised_queue, RAISED_BY, None
    anew: dict[str, Any] = {"escalations": 0, "escalated_ms": None}
    if waiting is None:
        opened = {"state": "waiting", "arrived_ms": now_ms, "opened_ms": None, "claimed_by": None}
        anew |= opened | {"claim_until_ms": None, "done_ms": None}
    else:
        rank = min(rank, waiting.rank)
        due_ms = due_ms if waiting.due_ms is None else min(waiting.due_ms, due_ms)
        # A detector that saw little in it does not set a person's crisis back.
        score = waiting.score if (waiting.score or 0.0) >= _UNSCORED else None
        route = _route_of(case, waiting.revision)
        if route.rule in rules.leads_on:
            rule, anew = route.rule, {}
        if waiting.queue != route.queue or (waiting.claim_until_ms or 0) > now_ms:
            queue, anew = waiting.queue, {}
    urgency = urgency_of(rank)
    revision = _decide(case, queue, urgency, rule=rule, to_person=True)
    values: dict[str, Any] = {
        "revision": revision,
        "queue": queue,
        "urgency": urgency,
        "rank": URGENCIES.index(urgency),
        "score": score,
        "due_ms": due_ms,
        **anew,
    }
    if alert is not None:
        case.connection.execute(update(items).where(items.c.id == alert.id).values(values))
    else:
        place = {"tenant": message.tenant, "message_id": message.id, "kind": "alert", "blind": False}
        insert_rows(case.connection, items, [{"id": case.store.new_id(now_ms), **place, **values}])
    return True, revision


def _route_of(case: Case, revision: int) -> Row[Any]:
    """By which rule a revision of the message came to which queue."""
    wanted = select(routes).where(routes.c.message_id == case.message.id, routes.c.revision == revision)
    return case.connection.execute(wanted).one()


def escalate(case: Case) -> Decided:
    """Send the item on to another queue, one step more urgent."""
    _keep_reading(case)
    item, message = case.item, case.message
    rank = max(0, item.rank - 1)
    urgency = urgency_of(rank)
    case.connection.execute(
        update(items)
        .where(items.c.id == item.id)
        .values(
            state="waiting",
            queue=case.answer.to,
            rank=rank,
            urgency=urgency,
            due_ms=case.now_ms + case.rules.within_ms[urgency],
            claimed_by=None,
            claim_until_ms=None,
            opened_ms=func.coalesce(items.c.opened_ms, case.now_ms),
            escalated_ms=case.now_ms,
            escalations=items.c.escalations + 1,
        )
    )
    outcome, categories = case.said
    happened = Happened(
        "item.escalated", outcome, case.shown.fault, categories, urgency, str(case.answer.to), "person", to_person=True
    )
    tell(case.connection, case.store, message, happened, revision=None, now_ms=case.now_ms)
    _audit(case, "escalate")
    return Decided(item_id=item.id, message_id=message.id, state="waiting", revision=message.revision, outcome=outcome)


def _audit(case: Case, action: Action) -> None:
    reason = case.answer.reason or case.answer.action
    append(case.connection, Entry.of(case.actor, action, f"item:{case.item.id}", reason=reason), case.now_ms)
