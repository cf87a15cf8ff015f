"""Verdict, route, queue item and what is told of it are there together, once, and nobody grave goes to nobody."""

from __future__ import annotations

import json
from concurrent.futures import wait
from typing import Any

import pytest
from sqlalchemy import insert

from crisis_filter.errors import Fault, StoreError
from crisis_filter.schema import Assessment
from crisis_filter.store.conclude import CONCLUDE, Judged
from crisis_filter.store.incidents import heal, open_incidents
from crisis_filter.store.opening import Store
from crisis_filter.store.records import Verdict
from crisis_filter.store.tables import decisions, endpoints, incidents, items, messages, outbox, routes, texts
from crisis_filter.store.verdicts import verdicts
from tests.store.conftest import OpenStore
from tests.store.scenes import (
    OTHER_KEYS,
    START,
    Clock,
    balanced,
    crisis,
    decided,
    quiet,
    received,
    rows,
    taken,
    undetermined,
)

CANARY = "canary-7f3a words"


def one(store: Store, number: int = 0, **fields: Any) -> str:
    (accepted,) = taken(store, received(number, **fields))
    return accepted.message_id


def verdict(store: Store, message_id: str, tenant: str = "north") -> Verdict:
    return store.read(lambda c: verdicts(c, store, tenant, [message_id], whole=True))[message_id]


def listen(store: Store, made: str, *kinds: str, tenant: str = "north", disabled: int | None = None) -> None:
    row = {"id": made, "tenant": tenant, "url": "https://x.example/", "kinds": json.dumps(kinds), "secrets": b"[]"}
    store.write(lambda c: c.execute(insert(endpoints).values(**row, created_ms=0, disabled_ms=disabled)))


def test_a_crisis_is_written_whole(store: Store) -> None:
    message_id = one(store)
    done = decided(store, message_id, crisis(), due_ms=START + 900_000)
    assert (done.revision, done.stood, done.incident_id) == (1, False, None)
    found = verdict(store, message_id)
    assert (found.state, found.revision, found.by, found.outcome) == ("decided", 1, "detector", "crisis")
    assert (found.categories, found.score, found.queue, found.urgency) == (("suicide",), 0.9, "crisis", "urgent")
    assert (found.rule, found.to_person, found.decided_ms) == ("a-crisis", True, START)
    assert found.assessment == crisis().model_copy(update={"id": message_id})
    ((item, kind, state, queue, rank, due, score, blind, revision),) = rows(
        store, items, "id", "kind", "state", "queue", "rank", "due_ms", "score", "blind", "revision"
    )
    assert (item, kind, state, queue, rank) == (done.item_id, "alert", "waiting", "crisis", 1)
    assert (due, score, bool(blind), revision) == (START + 900_000, 0.9, False, 1)
    assert rows(store, messages, "state", "judge", "judge_until_ms", "revision") == [("decided", None, None, 1)]
    assert balanced(store)


def test_not_a_crisis_makes_no_item(store: Store) -> None:
    message_id = one(store)
    assert decided(store, message_id, quiet()).item_id is None
    assert rows(store, items) == []
    assert (verdict(store, message_id).outcome, verdict(store, message_id).to_person) == ("no_crisis", False)
    assert balanced(store)


def test_a_pending_message_has_no_verdict(store: Store) -> None:
    found = verdict(store, one(store))
    assert (found.state, found.revision, found.outcome, found.assessment) == ("pending", 0, None, None)


def test_another_tenants_message_is_not_there(store: Store) -> None:
    message_id = one(store)
    decided(store, message_id, crisis())
    assert store.read(lambda c: verdicts(c, store, "south", [message_id], whole=True)) == {}


def test_what_does_not_open_is_left_out_and_the_verdict_stays(open_here: OpenStore) -> None:
    store = open_here()
    message_id = one(store)
    decided(store, message_id, crisis())
    found = verdict(open_here(keys=OTHER_KEYS), message_id)
    assert (found.outcome, found.assessment) == ("crisis", None)


def test_the_first_decision_stands(store: Store) -> None:
    message_id = one(store)
    decided(store, message_id, crisis())
    again = decided(store, message_id, quiet())
    assert (again.stood, again.revision) == (True, 1)
    assert verdict(store, message_id).outcome == "crisis"
    assert len(rows(store, decisions)) == len(rows(store, routes)) == len(rows(store, items)) == 1
    assert balanced(store)


def test_of_two_in_one_transaction_one_stands(open_here: OpenStore) -> None:
    """And of many, over two processes' writers."""
    stores = [open_here(), open_here()]
    ids = [one(stores[0], number) for number in range(10)]
    judged = [Judged(i, a, p, None, False, START) for i in ids for a, p in ((crisis(), True), (quiet(), False))]
    futures = [stores[n % 2].gather(CONCLUDE, each) for n, each in enumerate(judged * 2)]
    wait(futures, timeout=60)
    results = [future.result() for future in futures]
    assert sum(not done.stood for done in results) == 10
    assert {done.revision for done in results} == {1}
    assert len(rows(stores[0], decisions)) == 10
    assert balanced(stores[0])


def test_a_message_that_is_not_there(store: Store) -> None:
    with pytest.raises(StoreError, match="no such message"):
        decided(store, "0" * 32, quiet())


def test_nobody_grave_goes_to_nobody(store: Store) -> None:
    """Empty content alone may be set aside; it is counted."""
    first, second, third = (one(store, number) for number in range(3))
    for assessment in (crisis(), undetermined(Fault.TIMEOUT), undetermined(Fault.INJECTION_SUSPECTED)):
        with pytest.raises(ValueError, match="may not be routed to nobody"):
            decided(store, first, assessment, to_person=False)
    assert verdict(store, first).state == "pending"
    decided(store, second, undetermined(Fault.EMPTY_CONTENT), to_person=False)
    decided(store, third, undetermined(Fault.EMPTY_CONTENT), to_person=True)
    assert [row[0] for row in rows(store, items, "message_id")] == [third]
    assert balanced(store)


def test_an_assessment_without_a_disposition_is_no_decision(store: Store) -> None:
    message_id = one(store)
    with pytest.raises(ValueError, match="not triaged"):
        decided(store, message_id, quiet(disposition=None))
    assert verdict(store, message_id).state == "pending"


@pytest.mark.parametrize("assessment", [crisis(), quiet(), undetermined()])
def test_a_second_reading_is_blind(store: Store, assessment: Assessment) -> None:
    """Nothing of the item tells what the detector said."""
    decided(store, one(store), assessment, second_reading=True, due_ms=START + 5)
    columns = ("kind", "queue", "urgency", "rank", "score", "blind", "due_ms", "incident_id", "state")
    found = [row for row in rows(store, items, *columns) if row[0] == "second_reading"]
    assert [(*row[:5], bool(row[5]), *row[6:]) for row in found] == [
        ("second_reading", "second_reading", "routine", 3, None, True, None, None, "waiting")
    ]
    assert balanced(store)


def test_receivers_are_told_what_they_want_to_hear(store: Store) -> None:
    listen(store, "all", "*")
    listen(store, "grave", "assessment.crisis", "assessment.undetermined")
    listen(store, "off", "*", disabled=1)
    listen(store, "theirs", "*", tenant="south")
    ids = [one(store, number) for number in range(3)]
    for message_id, assessment in zip(ids, (crisis(), quiet(), undetermined()), strict=True):
        decided(store, message_id, assessment)
        decided(store, message_id, assessment)
    told = [(e, k) for _, e, k in rows(store, outbox, "id", "endpoint_id", "kind")]
    kinds = [f"assessment.{x}" for x in ("crisis", "no_crisis", "undetermined")]
    assert sorted(told) == [*(("all", k) for k in kinds), ("grave", kinds[0]), ("grave", kinds[2])]
    assert balanced(store)


def test_a_payload_says_what_was_decided_and_no_word_of_the_text(store: Store) -> None:
    listen(store, "all", "*")
    said = crisis(fault=Fault.STAGE_CONFLICT, degraded=True)
    message_id = one(store, text=CANARY, subject="canary person", external_id="canary id")
    decided(store, message_id, said)
    ((made, payload, state, next_ms),) = rows(store, outbox, "id", "payload", "state", "next_ms")
    ((subject,),) = rows(store, messages, "subject_pseudonym")
    assert json.loads(payload) == {
        "id": made,
        "kind": "assessment.crisis",
        "message_id": message_id,
        "revision": 1,
        "outcome": "crisis",
        "categories": ["suicide"],
        "urgency": "urgent",
        "queue": "crisis",
        "rule": "a-crisis",
        "to_person": True,
        "fault": "stage_conflict",
        "degraded": True,
        "subject": subject,
        "decided_at": "2023-11-14T22:13:20.000Z",
    }
    assert (state, next_ms) == ("pending", START)
    for private in ("canary", "I write", "They say so"):
        assert private not in payload


def test_quotes_and_reasons_lie_sealed(store: Store) -> None:
    decided(store, one(store), crisis())
    lying = dict(rows(store, texts, "kind", "body"))
    assert b"They say so" not in lying["assessment"]
    assert "They say so" not in repr(rows(store, decisions))


def test_half_of_a_surrogate_pair_in_a_quote_loses_nothing_else(store: Store) -> None:
    finding = crisis().findings[0].model_copy(update={"rationale": "half \ud83d of a pair"})
    message_id = one(store)
    decided(store, message_id, crisis(findings=(finding,)))
    said = verdict(store, message_id).assessment
    assert said is not None
    assert said.findings[0].rationale == "half \ufffd of a pair"


def test_an_outage_is_one_incident(store: Store, clock: Clock) -> None:
    def fail(number: int, fault: Fault = Fault.TIMEOUT, **fields: Any) -> str | None:
        return decided(store, one(store, number, **fields), undetermined(fault)).incident_id

    first = fail(0)
    clock.forward(5000)
    assert first is not None
    assert fail(1) == first
    assert fail(2, Fault.SERVER_ERROR) not in {None, first}
    assert fail(3, tenant="south") not in {None, first}
    assert fail(4, Fault.INJECTION_SUSPECTED) is None  # the text's own
    assert fail(5, Fault.REFUSAL_FIELD) is None  # another model may settle it, healing does not
    assert decided(store, one(store, 6), crisis(fault=Fault.TIMEOUT)).incident_id is None  # it has a verdict
    found = {i.id: i for i in store.read(lambda c: open_incidents(c, "north"))}
    assert (found[first].opened_ms, found[first].last_ms, found[first].waiting) == (START, START + 5000, 2)
    assert len(found) == 2
    assert store.write(lambda c: heal(c, first, clock()))
    assert not store.write(lambda c: heal(c, first, clock()))
    assert fail(7) not in {None, first}
    assert len(rows(store, incidents)) == 4
    assert balanced(store)


def test_many_at_once_open_one_incident(open_here: OpenStore) -> None:
    stores = [open_here(), open_here()]
    ids = [one(stores[0], number) for number in range(40)]
    futures = [
        stores[n % 2].gather(CONCLUDE, Judged(i, undetermined(), True, None, False, START)) for n, i in enumerate(ids)
    ]
    assert len({future.result(30).incident_id for future in futures}) == 1
    assert len(rows(stores[0], incidents)) == 1
