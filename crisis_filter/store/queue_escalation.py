"""What nobody has looked at in time goes on to somebody else: once for each step, however many processes keep the time.

Times are those that the caller gives, in UTC, so that no change of a clock on the wall moves them. Quiet hours are the policy's: it
routes by the hour, and what it routes keeps its time limit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import Field
from sqlalchemy import ColumnElement, Connection, Row, and_, func, or_, select, update

from crisis_filter.schema import URGENCIES, Record, Urgency
from crisis_filter.store.audit import Entry, append_many
from crisis_filter.store.opening import Store
from crisis_filter.store.queue import free
from crisis_filter.store.queue_records import urgency_of
from crisis_filter.store.queue_telling import Happened, tell
from crisis_filter.store.records import Actor
from crisis_filter.store.tables import decisions, items, messages, routes

__all__ = ["Escalated", "EscalationRules", "Step", "escalate_overdue"]

_CLOCK = "clock"
"""Who escalates, in the audit."""
_MOST_BY_WAITING = URGENCIES.index("urgent")
"""Waiting makes nothing an emergency: on a bad day the true ones would stand in line with everything that waits."""


class Step(Record):
    """Where an item goes when nobody has looked."""

    to: str
    after_ms: int = Field(ge=1)
    """After it came, or after the step before."""


class EscalationRules(Record):
    """What the policy says of items that nobody opens."""

    steps: Mapping[str, tuple[Step, ...]] = {}
    """By the id of the rule that routed the item, in order."""
    overdue_again_ms: int | None = Field(default=None, ge=1)
    """How long after its time limit, and after each time that this was told, an item that still nobody has opened is told of again; `None`
    tells once."""
    most: int = Field(default=12, ge=1)
    """Escalations of one item in all."""


class Escalated(Record):
    """One item that went on."""

    item_id: str
    tenant: str
    message_id: str
    queue: str
    """Where it is now: for a step over the time limit that the policy has no other queue for, where it was."""
    urgency: Urgency
    """One step more urgent than before, up to `urgent`."""
    escalations: int


def escalate_overdue(
    connection: Connection, store: Store, *, now_ms: int, limit: int, rules: EscalationRules
) -> tuple[Escalated, ...]:
    """Send on what nobody has looked at in time: alerts that wait, and those whose reader let the claim run out.

    By the steps of the rule that routed the item, the next of them at the latest when it is past its time limit, and where it is when none is
    left. Each makes it one step more urgent, up to `urgent`, is in the audit, and is told of as `item.escalated`. The time limit stays: it
    was promised, and is missed.

    Args:
        connection: in a transaction that writes.
        store: where ids come from.
        now_ms: milliseconds since 1970.
        limit: at most so many, the most urgent and then the longest overdue first.
        rules: what the policy says.
    """
    due = or_(*_at_a_step(rules, now_ms), _overdue(rules, now_ms))
    wanted = (
        select(items, routes.c.rule)
        .join(routes, and_(routes.c.message_id == items.c.message_id, routes.c.revision == items.c.revision))
        .where(items.c.kind == "alert", free(now_ms), items.c.escalations < rules.most, due)
        .order_by(items.c.rank, func.coalesce(items.c.due_ms, items.c.arrived_ms), items.c.id)
        .limit(limit)
        .with_for_update(of=items, skip_locked=True)
    )
    done = tuple(_escalate(connection, store, row, rules, now_ms) for row in connection.execute(wanted).all())
    if done:
        append_many(connection, [_entry(one) for one in done], now_ms)
    return done


def _at_a_step(rules: EscalationRules, now_ms: int) -> list[ColumnElement[bool]]:
    """Past the next step of its rule. Rules whose steps are alike are asked about together: a policy has many rules and few times."""
    alike: dict[tuple[int, int], list[str]] = {}
    for rule, steps in rules.steps.items():
        for number, step in enumerate(steps):
            alike.setdefault((number, step.after_ms), []).append(rule)
    since = func.coalesce(items.c.escalated_ms, items.c.arrived_ms)
    return [
        and_(routes.c.rule.in_(of), items.c.escalations == number, since <= now_ms - after_ms)
        for (number, after_ms), of in alike.items()
    ]


def _overdue(rules: EscalationRules, now_ms: int) -> ColumnElement[bool]:
    """Past the time limit, and not told of since. A step that is left is taken then: it was meant for an earlier limit, or a later one."""
    untold = or_(items.c.escalated_ms.is_(None), items.c.escalated_ms < items.c.due_ms)
    if rules.overdue_again_ms is not None:
        untold = or_(untold, items.c.escalated_ms + rules.overdue_again_ms <= now_ms)
    return and_(items.c.due_ms <= now_ms, untold)


def _escalate(connection: Connection, store: Store, row: Row[Any], rules: EscalationRules, now_ms: int) -> Escalated:
    steps = rules.steps.get(row.rule, ())
    queue = steps[row.escalations].to if row.escalations < len(steps) else row.queue
    rank = min(row.rank, max(_MOST_BY_WAITING, row.rank - 1))
    urgency = urgency_of(rank)
    connection.execute(
        update(items)
        .where(items.c.id == row.id)
        .values(
            state="waiting",  # whoever held it last may still answer, until another takes it
            claim_until_ms=None,
            queue=queue,
            rank=rank,
            urgency=urgency,
            escalations=row.escalations + 1,
            escalated_ms=now_ms,
        )
    )
    message = connection.execute(select(messages).where(messages.c.id == row.message_id)).one()
    decision = connection.execute(
        select(decisions).where(decisions.c.message_id == row.message_id, decisions.c.revision == row.revision)
    ).one()
    categories = json.loads(decision.categories)
    what = Happened(
        "item.escalated", decision.outcome, decision.fault, categories, urgency, queue, row.rule, to_person=True
    )
    tell(connection, store, message, what, revision=None, now_ms=now_ms)
    return Escalated(
        item_id=row.id,
        tenant=row.tenant,
        message_id=row.message_id,
        queue=queue,
        urgency=urgency,
        escalations=row.escalations + 1,
    )


def _entry(done: Escalated) -> Entry:
    actor = Actor(id=_CLOCK, tenant=done.tenant)
    return Entry.of(actor, "escalate", f"item:{done.item_id}", reason="time limit")
