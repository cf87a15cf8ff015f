"""Deciding: verdict, route, queue item and what is to be told are written in one transaction, or none of them is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, select, update

from crisis_filter.errors import Fault, StoreError
from crisis_filter.schema import Assessment
from crisis_filter.store.decision_rows import (
    Told,
    decision_row,
    disposed,
    item_row,
    listeners,
    of_the_service,
    outbox_rows,
    require_a_person,
    route_row,
    text_row,
)
from crisis_filter.store.incidents import incidents_for
from crisis_filter.store.opening import Store
from crisis_filter.store.records import Concluded
from crisis_filter.store.statements import insert_rows, plain_in, update_in
from crisis_filter.store.tables import decisions, items, messages, outbox, routes, texts
from crisis_filter.store.writer import Bulk

__all__ = ["CONCLUDE", "Judged", "Known", "conclude", "conclude_all", "standing_of", "tell"]


@dataclass(frozen=True, slots=True)
class Judged:
    """A first decision of a detector.

    Attributes:
        message_id: ours.
        assessment: triaged. Its own id is not looked at.
        to_person: whether anybody reads the queue it goes to.
        due_ms: until when somebody must have looked, since 1970.
        second_reading: whether it is drawn for a blind second reading.
        now_ms: milliseconds since 1970.
    """

    message_id: str
    assessment: Assessment = field(repr=False)
    to_person: bool
    due_ms: int | None
    second_reading: bool
    now_ms: int


class Known(NamedTuple):
    """What a decision needs of its message."""

    id: str
    tenant: str
    state: str
    revision: int
    subject: str | None
    """The pseudonym of whoever wrote it."""
    gone_ms: int | None
    """Since when its text is deleted; then nothing is written that could quote it."""


@dataclass(slots=True)
class _Rows:
    decisions: list[dict[str, Any]] = field(default_factory=list)
    texts: list[dict[str, Any]] = field(default_factory=list)
    routes: list[dict[str, Any]] = field(default_factory=list)
    items: list[dict[str, Any]] = field(default_factory=list)
    outbox: list[dict[str, Any]] = field(default_factory=list)


_IDS = messages.c.id.in_(bindparam("values", expanding=True))
_STANDING = (
    select(
        messages.c.id,
        messages.c.tenant,
        messages.c.state,
        messages.c.revision,
        messages.c.subject_pseudonym,
        messages.c.text_gone_ms,
    )
    .where(_IDS)
    .order_by(messages.c.id)
    .with_for_update()
)
_DECIDED = (
    update(messages)
    .where(_IDS)
    .values(state="decided", revision=messages.c.revision + 1, judge=None, judge_until_ms=None)
)


def standing_of(connection: Connection, ids: Sequence[str]) -> dict[str, Known]:
    """Messages by their ids, locked in the order of those; unknown ids are left out."""
    return {row[0]: Known(*row) for row in plain_in(connection, _STANDING, sorted(ids))}


def conclude_all(connection: Connection, store: Store, judged: Sequence[Judged]) -> list[Concluded | StoreError]:
    """Write many decisions. Where a message is decided already, that decision stands.

    Raises:
        ValueError: an assessment was not triaged, or would send a crisis or an undetermined message to nobody.
    """
    standing = standing_of(connection, [one.message_id for one in judged])
    places: dict[str, int] = {}
    for place, one in enumerate(judged):
        if one.message_id in standing and standing[one.message_id].state == "pending":
            places.setdefault(one.message_id, place)
    results = _write(connection, store, {i: judged[place] for i, place in places.items()}, standing)
    done: list[Concluded | StoreError] = []
    for place, one in enumerate(judged):
        known = standing.get(one.message_id)
        if known is None:
            done.append(StoreError("there is no such message"))
        elif places.get(one.message_id) == place:
            done.append(results[one.message_id])
        else:
            revision = known.revision + (one.message_id in places)
            done.append(Concluded(message_id=one.message_id, revision=revision, stood=True))
    return done


CONCLUDE: Bulk[Store, Judged, Concluded] = Bulk("conclude", conclude_all)
"""For `Store.gather`."""


def conclude(
    connection: Connection,
    store: Store,
    message_id: str,
    assessment: Assessment,
    *,
    to_person: bool,
    due_ms: int | None,
    second_reading: bool,
    now_ms: int,
) -> Concluded:
    """Write one first decision, in the transaction of the connection.

    Args:
        connection: in a transaction that writes.
        store: whose keys seal the assessment.
        message_id: ours.
        assessment: triaged.
        to_person: whether anybody reads the queue it goes to.
        due_ms: until when somebody must have looked.
        second_reading: whether it is drawn for a blind second reading.
        now_ms: milliseconds since 1970.

    Raises:
        StoreError: there is no such message.
        ValueError: the assessment was not triaged, or would send a crisis or an undetermined message to nobody.
    """
    one = Judged(message_id, assessment, to_person, due_ms, second_reading, now_ms)
    (done,) = conclude_all(connection, store, [one])
    if isinstance(done, StoreError):
        raise done
    return done


def _write(
    connection: Connection, store: Store, new: dict[str, Judged], standing: dict[str, Known]
) -> dict[str, Concluded]:
    """All rows of decisions whose messages are locked and pending."""
    if not new:
        return {}
    for one in new.values():
        require_a_person(one.assessment.outcome, one.assessment.fault, to_person=one.to_person)
    faults = {
        (standing[i].tenant, fault)
        for i, one in new.items()
        if one.to_person and (fault := of_the_service(one.assessment)) is not None
    }
    latest = max(one.now_ms for one in new.values())
    incidents = incidents_for(connection, store, faults, latest) if faults else {}
    listening = listeners(connection, sorted({standing[i].tenant for i in new}))
    rows = _Rows()
    results = {i: _gather(rows, store, one, standing[i], incidents, listening) for i, one in new.items()}
    for table, made in (
        (decisions, rows.decisions),
        (texts, rows.texts),
        (routes, rows.routes),
        (items, rows.items),
        (outbox, rows.outbox),
    ):
        insert_rows(connection, table, made)
    update_in(connection, _DECIDED, sorted(new))
    return results


def _gather(
    rows: _Rows,
    store: Store,
    one: Judged,
    known: Known,
    incidents: dict[tuple[str, Fault], str],
    listening: dict[str, list[tuple[str, frozenset[str]]]],
) -> Concluded:
    """One decision's rows, put with the others'."""
    assessment, tenant, now_ms = one.assessment, known.tenant, one.now_ms
    where, revision = disposed(assessment), known.revision + 1
    fault = of_the_service(assessment)
    incident = incidents[tenant, fault] if fault is not None and one.to_person else None
    rows.decisions.append(decision_row(tenant, one.message_id, revision, assessment, now_ms))
    rows.texts.append(text_row(store, tenant, one.message_id, revision, assessment, now_ms))
    route = route_row(
        store.new_id(now_ms), tenant, one.message_id, revision, where, to_person=one.to_person, now_ms=now_ms
    )
    rows.routes.append(route)
    item = None
    for is_wanted, shown in ((one.to_person, where), (one.second_reading, None)):
        if is_wanted:
            made = item_row(
                store.new_id(now_ms),
                tenant,
                one.message_id,
                revision,
                where=shown,
                score=assessment.score,
                incident=incident if shown is not None else None,
                due_ms=one.due_ms if shown is not None else None,
                now_ms=now_ms,
            )
            rows.items.append(made)
            item = made["id"] if shown is not None else item
    if tenant in listening:
        rows.outbox += outbox_rows(store, tell(assessment, known, revision, route), listening)
    return Concluded(message_id=one.message_id, revision=revision, item_id=item, incident_id=incident)


def tell(assessment: Assessment, known: Known, revision: int, route: dict[str, Any]) -> Told:
    """What is told of a detector's decision.

    Args:
        assessment: what was said.
        known: its message.
        revision: of the decision.
        route: its row of `routes`.
    """
    return Told(
        kind=f"assessment.{assessment.outcome}",
        tenant=known.tenant,
        message_id=known.id,
        revision=revision,
        outcome=assessment.outcome,
        fault=assessment.fault.value if assessment.fault else None,
        categories=[finding.category for finding in assessment.findings],
        degraded=assessment.degraded,
        subject=known.subject,
        urgency=route["urgency"],
        queue=route["queue"],
        rule=route["rule"],
        to_person=route["to_person"],
        now_ms=route["routed_ms"],
    )
