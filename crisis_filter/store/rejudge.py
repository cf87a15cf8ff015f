"""A second decision of a detector, when the service works again: it takes the place of the first, as a new revision.

Which assessments may be judged again, and which of two then stands, is the policy's to say (`triage.rejudge`), before it comes here. What no
caller may do is refused here once more: a person's decision stays, what somebody has opened is not taken from them, a crisis is
never lowered, and a fault takes nothing's place.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, or_, select, update

from crisis_filter.errors import Fault, StoreError
from crisis_filter.schema import OUTCOMES, URGENCIES, Assessment, Disposition, Outcome
from crisis_filter.store.conclude import Known, standing_of, tell
from crisis_filter.store.decision_rows import (
    BY_DETECTOR,
    BY_PERSON,
    decision_row,
    disposed,
    item_row,
    listeners,
    outbox_rows,
    require_a_person,
    route_row,
    text_row,
)
from crisis_filter.store.intake import works
from crisis_filter.store.opening import Store
from crisis_filter.store.records import Concluded, Rejudgeable
from crisis_filter.store.statements import change, insert_rows, plain_in, update_in
from crisis_filter.store.tables import decisions, items, messages, outbox, routes, texts
from crisis_filter.store.verdicts import assessments
from crisis_filter.store.writer import Bulk

__all__ = ["SUPERSEDE", "Rejudged", "rejudge_candidates", "supersede", "supersede_all"]


@dataclass(frozen=True, slots=True)
class Rejudged:
    """A decision that is to take the place of another.

    Attributes:
        message_id: ours.
        revision: of the decision whose place it takes; where another stands by now, that one stays.
        assessment: triaged.
        to_person: whether anybody reads the queue it goes to.
        due_ms: until when somebody must have looked.
        now_ms: milliseconds since 1970.
    """

    message_id: str
    revision: int
    assessment: Assessment = field(repr=False)
    to_person: bool
    due_ms: int | None
    now_ms: int


class _Alert(NamedTuple):
    """The item of a message, as it stands."""

    id: str
    state: str
    opened_ms: int | None
    rank: int
    due_ms: int | None
    queue: str
    urgency: str
    claim_until_ms: int | None


_OLD = (
    select(decisions.c.message_id, decisions.c.outcome, decisions.c.fault)
    .join(messages, (messages.c.id == decisions.c.message_id) & (messages.c.revision == decisions.c.revision))
    .where(decisions.c.message_id.in_(bindparam("values", expanding=True)))
)
_PEOPLE = select(decisions.c.message_id).where(
    decisions.c.message_id.in_(bindparam("values", expanding=True)), decisions.c.by == BY_PERSON
)
_ALERTS = (
    select(
        items.c.message_id,
        items.c.id,
        items.c.state,
        items.c.opened_ms,
        items.c.rank,
        items.c.due_ms,
        items.c.queue,
        items.c.urgency,
        items.c.claim_until_ms,
    )
    .where(items.c.message_id.in_(bindparam("values", expanding=True)), items.c.kind == "alert")
    .order_by(items.c.id)
    .with_for_update()
)
_REVISED = (
    update(messages)
    .where(messages.c.id.in_(bindparam("values", expanding=True)))
    .values(revision=messages.c.revision + 1, judge=None, judge_until_ms=None)
)
_FOLLOW = (
    update(items)
    .where(items.c.id == bindparam("item"))
    .values(
        revision=bindparam("to_revision"),
        state=bindparam("to_state"),
        queue=bindparam("to_queue"),
        urgency=bindparam("to_urgency"),
        rank=bindparam("to_rank"),
        score=bindparam("to_score"),
        due_ms=bindparam("to_due_ms"),
        done_ms=bindparam("to_done_ms"),
        # Another rule routed it now, and its steps have not been taken.
        escalations=0,
        escalated_ms=None,
    )
)


def supersede_all(connection: Connection, store: Store, rejudged: Sequence[Rejudged]) -> list[Concluded | StoreError]:
    """Put many decisions in the place of others, where nothing forbids it.

    The queue item follows: it is settled where the new verdict is "not crisis", and else shows the new one, never less urgent than before.

    Raises:
        ValueError: an assessment was not triaged, or would send a crisis or an undetermined message to nobody.
    """
    ids = sorted({one.message_id for one in rejudged})
    standing = standing_of(connection, ids)
    old = {row[0]: (row[1], row[2]) for row in plain_in(connection, _OLD, ids)}
    decided = {row[0] for row in plain_in(connection, _PEOPLE, ids)}
    alerts = {row[0]: _Alert(*row[1:]) for row in plain_in(connection, _ALERTS, ids)}
    listening = listeners(connection, sorted({known.tenant for known in standing.values()}))
    done: list[Concluded | StoreError] = []
    changed: set[str] = set()
    for one in rejudged:
        known = standing.get(one.message_id)
        if known is None or known.id not in old:
            done.append(StoreError("there is no such decision"))
            continue
        require_a_person(one.assessment.outcome, one.assessment.fault, to_person=one.to_person)
        alert = alerts.get(known.id)
        stays = known.id in changed or known.id in decided or one.revision != known.revision
        if stays or not _may(*old[known.id], one.assessment, alert):
            done.append(Concluded(message_id=known.id, revision=known.revision + (known.id in changed), stood=True))
            continue
        changed.add(known.id)
        done.append(_replace(connection, store, one, known, alert, listening))
    update_in(connection, _REVISED, sorted(changed))
    return done


SUPERSEDE: Bulk[Store, Rejudged, Concluded] = Bulk("supersede", supersede_all)
"""For `Store.gather`."""


def supersede(
    connection: Connection,
    store: Store,
    message_id: str,
    assessment: Assessment,
    *,
    revision: int,
    to_person: bool,
    due_ms: int | None,
    now_ms: int,
) -> Concluded:
    """Put one decision in the place of another, in the transaction of the connection.

    Args:
        connection: in a transaction that writes.
        store: whose keys seal the assessment.
        message_id: ours.
        assessment: triaged.
        revision: of the decision whose place it takes.
        to_person: whether anybody reads the queue it goes to.
        due_ms: until when somebody must have looked.
        now_ms: milliseconds since 1970.

    Returns:
        What stands now; `stood` where the old one stays.

    Raises:
        StoreError: there is no such decision.
        ValueError: the assessment was not triaged, or would send a crisis or an undetermined message to nobody.
    """
    one = Rejudged(message_id, revision, assessment, to_person, due_ms, now_ms)
    (done,) = supersede_all(connection, store, [one])
    if isinstance(done, StoreError):
        raise done
    return done


def _may(outcome: Outcome, fault: str | None, new: Assessment, alert: _Alert | None) -> bool:
    """Whether a new verdict may take the place of one that no person has spoken on."""
    opened = alert is not None and (alert.state in {"claimed", "done"} or alert.opened_ms is not None)
    graver = OUTCOMES.index(new.outcome) < OUTCOMES.index(outcome)
    if new.outcome == "undetermined":
        return False  # a fault takes nothing's place, and a message that nobody could judge is with a person already
    if graver:
        return True  # also while somebody reads: a person must hear of a crisis
    if opened or fault is None:
        return False
    return new.fault is None and (new.outcome == outcome or outcome == "undetermined")


def _replace(
    connection: Connection,
    store: Store,
    one: Rejudged,
    known: Known,
    alert: _Alert | None,
    listening: Mapping[str, Sequence[tuple[str, frozenset[str]]]],
) -> Concluded:
    assessment, tenant, revision, now_ms = one.assessment, known.tenant, known.revision + 1, one.now_ms
    where = disposed(assessment)
    insert_rows(connection, decisions, [decision_row(tenant, known.id, revision, assessment, now_ms)])
    if known.gone_ms is None:
        insert_rows(connection, texts, [text_row(store, tenant, known.id, revision, assessment, now_ms)])
    route = route_row(store.new_id(now_ms), tenant, known.id, revision, where, to_person=one.to_person, now_ms=now_ms)
    insert_rows(connection, routes, [route])
    item = alert.id if alert is not None else None
    if alert is not None:
        change(connection, _FOLLOW, item=alert.id, **_following(one, alert, where, revision))
    elif one.to_person:
        row = item_row(
            store.new_id(now_ms),
            tenant,
            known.id,
            revision,
            where=where,
            score=assessment.score,
            incident=None,
            due_ms=one.due_ms,
            now_ms=now_ms,
        )
        insert_rows(connection, items, [row])
        item = row["id"]
    insert_rows(connection, outbox, outbox_rows(store, tell(assessment, known, revision, route), listening))
    return Concluded(message_id=known.id, revision=revision, item_id=item)


def _following(one: Rejudged, alert: _Alert, where: Disposition, revision: int) -> dict[str, Any]:
    """What becomes of the item."""
    rank = URGENCIES.index(where.urgency)
    if not one.to_person:
        kept = {"to_queue": alert.queue, "to_urgency": alert.urgency, "to_rank": alert.rank, "to_due_ms": alert.due_ms}
        ended = {"to_state": "settled", "to_done_ms": one.now_ms}
        return {"to_revision": revision, "to_score": one.assessment.score, **kept, **ended}
    held = alert.state == "claimed" and (alert.claim_until_ms or 0) > one.now_ms
    rises = rank < alert.rank or alert.state in {"settled", "done"}
    dues = [
        due for due in (one.due_ms, None if alert.state in {"settled", "done"} else alert.due_ms) if due is not None
    ]
    return {
        "to_revision": revision,
        "to_state": alert.state if held else "waiting",
        "to_queue": alert.queue if held else where.queue,
        "to_urgency": where.urgency if rises else alert.urgency,
        "to_rank": rank if rises else alert.rank,
        "to_score": one.assessment.score,
        "to_due_ms": min(dues, default=None),
        "to_done_ms": None,
    }


_LEASED = (
    update(messages)
    .where(messages.c.id.in_(bindparam("values", expanding=True)))
    .values(judge=bindparam("worker"), judge_until_ms=bindparam("until"))
)


def rejudge_candidates(
    connection: Connection,
    store: Store,
    *,
    faults: Collection[Fault],
    worker: str,
    limit: int,
    now_ms: int,
    lease_ms: int,
    tenant: str | None = None,
    incident_id: str | None = None,
) -> tuple[Rejudgeable, ...]:
    """Take messages that a fault left without a verdict, or a crisis without a name, and that nobody has opened.

    Args:
        connection: in a transaction that writes.
        store: whose keys open texts.
        faults: those that are healed.
        worker: who judges.
        limit: at most so many.
        now_ms: milliseconds since 1970.
        lease_ms: how long nobody else takes them, whatever becomes of them: so a message that fails again is not asked about at once.
        tenant: whose; `None` is everybody's.
        incident_id: of one incident only.

    Returns:
        The most urgent first. One whose assessment or text is gone or does not open is left out, and stays with people.
    """
    newest = (decisions.c.message_id == messages.c.id) & (decisions.c.revision == messages.c.revision)
    wanted = (
        select(messages.c.id, messages.c.tenant, messages.c.revision)
        .select_from(items.join(messages, messages.c.id == items.c.message_id).join(decisions, newest))
        .where(
            items.c.kind == "alert",
            items.c.state == "waiting",
            items.c.opened_ms.is_(None),
            decisions.c.by == BY_DETECTOR,
            decisions.c.fault.in_(sorted(fault.value for fault in faults)),
            or_(messages.c.judge_until_ms.is_(None), messages.c.judge_until_ms < now_ms),
        )
        .order_by(items.c.rank, items.c.score.is_(None), items.c.score.desc(), items.c.arrived_ms, items.c.id)
        .limit(limit)
        .with_for_update(of=messages, skip_locked=True)
    )
    if tenant is not None:
        wanted = wanted.where(items.c.tenant == tenant)
    if incident_id is not None:
        wanted = wanted.where(items.c.incident_id == incident_id)
    rows = connection.execute(wanted).all()
    update_in(connection, _LEASED, [row.id for row in rows], worker=worker, until=now_ms + lease_ms)
    judged = {work.message.id: work for work in works(connection, store, [row.id for row in rows])}
    said: dict[str, Assessment] = {}
    for of in sorted({row.tenant for row in rows}):
        said |= assessments(connection, store, of, [row.id for row in rows if row.tenant == of])
    return tuple(
        Rejudgeable(work=judged[row.id], assessment=said[row.id], revision=row.revision, opened=False)
        for row in rows
        if row.id in said and not judged[row.id].message.unreadable
    )
