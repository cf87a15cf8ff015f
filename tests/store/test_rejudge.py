"""When the service works again what it left open is judged again; nothing that a person did or reads is changed by it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import delete, insert, update

from crisis_filter.errors import Fault, StoreError
from crisis_filter.schema import Assessment, Finding
from crisis_filter.store.opening import Store
from crisis_filter.store.records import Concluded
from crisis_filter.store.rejudge import SUPERSEDE, Rejudged, rejudge_candidates, supersede
from crisis_filter.store.tables import decisions, items, messages, outbox, routes, texts
from crisis_filter.store.verdicts import verdicts
from crisis_filter.triage.rejudge import Standing, may_rejudge, standing_after
from tests.store.conftest import OpenStore
from tests.store.scenes import START, Clock, balanced, crisis, decided, quiet, received, rows, taken, undetermined
from tests.store.test_conclude import listen

UNNAMED = crisis(findings=(Finding(category="unspecified"),), fault=Fault.TIMEOUT)


def one(store: Store, assessment: Assessment, number: int = 0, **options: Any) -> str:
    (accepted,) = taken(store, received(number, **options))
    decided(store, accepted.message_id, assessment, due_ms=START + 9000)
    return accepted.message_id


def again(store: Store, message_id: str, new: Assessment, *, revision: int = 1, due_ms: int | None = None) -> Concluded:
    return store.write(
        lambda c: supersede(
            c,
            store,
            message_id,
            new,
            revision=revision,
            to_person=new.outcome != "no_crisis",
            due_ms=due_ms,
            now_ms=store.clock(),
        )
    )


def of_item(store: Store, message_id: str, **values: Any) -> tuple[Any, ...]:
    """The alert's state, queue, rank, due time and revision, after giving it values."""
    if values:
        store.write(lambda c: c.execute(update(items).where(items.c.message_id == message_id).values(**values)))
    columns = ("message_id", "state", "queue", "rank", "due_ms", "revision")
    return next(row[1:] for row in rows(store, items, *columns) if row[0] == message_id)


def by_person(store: Store, message_id: str, outcome: str) -> None:
    """A person's decision, as the queue writes it."""
    row = {"message_id": message_id, "revision": 2, "tenant": "north", "by": "person", "outcome": outcome}
    more = {
        "categories": "[]",
        "degraded": False,
        "flags": "[]",
        "detector": "person",
        "decided_ms": 1,
        "elapsed_ms": 0,
    }
    route = {"id": f"r{message_id[1:]}", "tenant": "north", "message_id": message_id, "revision": 2, "rule": "person"}
    where = {"queue": "crisis", "urgency": "urgent", "to_person": outcome != "no_crisis", "routed_ms": 1}

    def write(connection):
        connection.execute(insert(decisions).values(**row, **more))
        connection.execute(insert(routes).values(**route, **where))
        connection.execute(update(messages).where(messages.c.id == message_id).values(revision=2))

    store.write(write)


def outcome(store: Store, message_id: str) -> str | None:
    return store.read(lambda c: verdicts(c, store, "north", [message_id]))[message_id].outcome


def test_not_a_crisis_after_all_settles_the_item(store: Store, clock: Clock) -> None:
    message_id = one(store, undetermined())
    clock.forward(500)
    done = again(store, message_id, quiet())
    assert (done.stood, done.revision) == (False, 2)
    assert outcome(store, message_id) == "no_crisis"
    assert of_item(store, message_id)[0] == "settled"
    assert [row[1] for row in rows(store, decisions, "revision", "outcome")] == ["undetermined", "no_crisis"]
    assert balanced(store)


def test_a_crisis_after_all_rises_and_keeps_the_earlier_time(store: Store) -> None:
    message_id = one(store, undetermined())
    assert of_item(store, message_id) == ("waiting", "unclear", 2, START + 9000, 1)
    done = again(store, message_id, crisis(urgency="emergency"), due_ms=START + 12_000)
    assert done.item_id is not None
    assert of_item(store, message_id) == ("waiting", "crisis", 0, START + 9000, 2)
    assert balanced(store)


def test_an_item_is_never_less_urgent_than_it_was(store: Store) -> None:
    message_id = one(store, UNNAMED)
    again(store, message_id, crisis(urgency="routine"), due_ms=START + 99_000)
    assert of_item(store, message_id) == ("waiting", "crisis", 1, START + 9000, 2)


OPENED = [{"opened_ms": 1}, {"state": "claimed", "claimed_by": "r", "claim_until_ms": START + 1}]


@pytest.mark.parametrize("values", OPENED)
def test_what_somebody_has_opened_is_not_taken_from_them(store: Store, values: dict[str, Any]) -> None:
    message_id = one(store, undetermined())
    before = of_item(store, message_id, **values)
    assert again(store, message_id, quiet()).stood
    assert of_item(store, message_id) == before
    assert outcome(store, message_id) == "undetermined"


def test_a_crisis_reaches_whoever_is_reading(store: Store) -> None:
    message_id = one(store, undetermined())
    of_item(store, message_id, **OPENED[1])
    assert not again(store, message_id, crisis(urgency="emergency")).stood
    assert of_item(store, message_id) == ("claimed", "unclear", 0, START + 9000, 2)


def test_a_claim_that_ran_out_keeps_a_crisis_from_nobody(store: Store) -> None:
    message_id = one(store, undetermined())
    of_item(store, message_id, **(OPENED[1] | {"claim_until_ms": START}))
    assert not again(store, message_id, crisis(urgency="emergency")).stood
    state, queue, rank, *_ = of_item(store, message_id)
    assert (state, rank) == ("waiting", 0)
    assert queue != "unclear"


@pytest.mark.parametrize("said", ["crisis", "undetermined", "no_crisis"])
@pytest.mark.parametrize("new", [crisis(), quiet(), undetermined(Fault.SERVER_ERROR)])
def test_a_persons_decision_stays(store: Store, said: str, new: Assessment) -> None:
    message_id = one(store, undetermined())
    by_person(store, message_id, said)
    for revision in (1, 2):
        assert again(store, message_id, new, revision=revision).stood
    assert outcome(store, message_id) == said
    assert balanced(store)


STAYS = [
    (crisis(), quiet()),
    (crisis(), undetermined()),
    (crisis(), crisis(category="violence")),
    (quiet(), undetermined()),
    (quiet(), quiet()),
    (undetermined(), undetermined(Fault.SERVER_ERROR)),
    (UNNAMED, quiet()),
    (UNNAMED, undetermined()),
    (UNNAMED, UNNAMED),
]


@pytest.mark.parametrize(("old", "new"), STAYS)
def test_a_crisis_is_never_lowered_and_a_fault_takes_nothings_place(
    store: Store, old: Assessment, new: Assessment
) -> None:
    message_id = one(store, old)
    assert again(store, message_id, new).stood
    assert outcome(store, message_id) == old.outcome
    assert len(rows(store, decisions)) == 1
    assert balanced(store)


def test_a_crisis_where_none_was_seen_makes_an_item(store: Store) -> None:
    message_id = one(store, quiet())
    done = again(store, message_id, crisis(), due_ms=START + 7)
    assert done.item_id is not None
    assert of_item(store, message_id) == ("waiting", "crisis", 1, START + 7, 2)
    assert balanced(store)


def test_an_item_that_was_settled_waits_again_when_it_is_a_crisis(store: Store) -> None:
    message_id = one(store, undetermined())
    again(store, message_id, quiet())
    assert not again(store, message_id, crisis(), revision=2, due_ms=START + 7).stood
    assert of_item(store, message_id) == ("waiting", "crisis", 1, START + 7, 3)
    assert balanced(store)


def test_a_decision_that_is_not_the_newest_has_no_successor(store: Store) -> None:
    message_id = one(store, undetermined())
    again(store, message_id, quiet())
    stale = again(store, message_id, quiet())
    assert (stale.stood, stale.revision) == (True, 2)


def test_of_two_at_once_one_takes_the_place(open_here: OpenStore) -> None:
    stores = [open_here(), open_here()]
    message_id = one(stores[0], undetermined())
    new = Rejudged(message_id, 1, quiet(), False, None, START)
    results = [stores[n % 2].gather(SUPERSEDE, new) for n in range(8)]
    assert sum(not future.result(20).stood for future in results) == 1
    assert balanced(stores[0])


def test_a_pending_or_unknown_message_has_no_decision_to_replace(store: Store) -> None:
    (pending,) = taken(store, received())
    for message_id in (pending.message_id, "0" * 32):
        with pytest.raises(StoreError, match="no such decision"):
            again(store, message_id, quiet(), revision=0)


def test_receivers_hear_of_it_once(store: Store) -> None:
    listen(store, "all", "*")
    message_id = one(store, undetermined())
    again(store, message_id, crisis())
    again(store, message_id, crisis())
    told = [json.loads(payload) for _, payload in rows(store, outbox, "id", "payload")]
    assert sorted((t["revision"], t["kind"]) for t in told) == [
        (1, "assessment.undetermined"),
        (2, "assessment.crisis"),
    ]
    assert balanced(store)


def candidates(store: Store, *faults: Fault, worker: str = "w", limit: int = 99, **more: Any):
    now = store.clock()
    return store.write(
        lambda c: rejudge_candidates(
            c, store, faults=faults, worker=worker, limit=limit, now_ms=now, lease_ms=1000, **more
        )
    )


def test_candidates_are_what_healing_may_settle_and_nobody_opened(store: Store, clock: Clock) -> None:
    scored = undetermined(score=0.7, score_source="engine")
    timed = [one(store, undetermined(), 0), one(store, scored, 1)]
    unnamed = one(store, UNNAMED, 2)
    clock.forward(1)
    theirs = one(store, undetermined(), 3, tenant="south")
    other = one(store, undetermined(Fault.SERVER_ERROR), 4)
    one(store, undetermined(Fault.INJECTION_SUSPECTED), 5)
    one(store, quiet(), 6)
    opened, settled, person = (one(store, undetermined(), number) for number in (7, 8, 9))
    of_item(store, opened, opened_ms=1)
    again(store, settled, quiet())
    by_person(store, person, "undetermined")
    found = candidates(store, Fault.TIMEOUT)
    # The most urgent first, then what looks most like a crisis.
    assert [c.work.message.id for c in found] == [unnamed, timed[1], timed[0], theirs]
    assert found[1].assessment == scored.model_copy(update={"id": timed[1]})
    assert (found[1].work.message.text, found[1].revision) == ("I write to you, number 1", 1)
    assert candidates(store, Fault.TIMEOUT, worker="another") == ()
    clock.forward(1001)
    assert len(candidates(store, Fault.TIMEOUT, limit=2)) == 2
    assert [c.work.message.id for c in candidates(store, Fault.TIMEOUT, tenant="south")] == [theirs]
    (incident,) = {i for i, f in rows(store, items, "incident_id", "message_id") if f == other}
    assert [c.work.message.id for c in candidates(store, Fault.SERVER_ERROR, incident_id=incident)] == [other]
    assert candidates(store) == ()


OUTCOMES = [
    crisis(),
    UNNAMED,
    crisis(findings=(Finding(category="unspecified"),)),
    quiet(),
    undetermined(),
    undetermined(Fault.INJECTION_SUSPECTED),
    undetermined(Fault.REFUSAL_FIELD),
]


@pytest.mark.parametrize("opened", [False, True])
def test_the_store_never_takes_less_than_the_policy_lets_through(store: Store, opened: bool) -> None:
    """Whatever `triage.rejudge` lets stand, the store writes; and where a crisis, a fault or a reader forbids it, it refuses by itself."""
    number = 0
    for old in OUTCOMES:
        for new in OUTCOMES:
            number += 1
            message_id = one(store, old, number)
            if opened and old.outcome != "no_crisis":
                of_item(store, message_id, **OPENED[1])
            standing = Standing(opened=opened and old.outcome != "no_crisis")
            same = {"id": "x"}
            wanted = standing_after(old.model_copy(update=same), new.model_copy(update=same), standing, another=True)
            changed = not again(store, message_id, new).stood
            if wanted == new and new != old:
                assert changed, (old.outcome, old.fault, new.outcome, new.fault)
            if may_rejudge(old, standing, another=True) == "opened" and new.outcome != "crisis":
                assert not changed
    assert balanced(store)


def test_of_a_text_that_is_gone_no_word_is_written_again(store: Store) -> None:
    """A verdict that was on its way while somebody was erased holds quotes of them."""
    message_id = one(store, UNNAMED)
    store.write(lambda c: c.execute(delete(texts).where(texts.c.message_id == message_id)))
    store.write(lambda c: c.execute(update(messages).where(messages.c.id == message_id).values(text_gone_ms=START)))
    assert not again(store, message_id, crisis()).stood
    assert [row for row in rows(store, texts, "message_id") if row[0] == message_id] == []
    assert balanced(store)


def test_a_crisis_that_is_found_late_goes_its_own_way_of_escalation(store: Store) -> None:
    """What an outage's rule had escalated before says nothing of the crisis, whose steps nobody has taken."""
    message_id = one(store, undetermined())
    store.write(
        lambda c: c.execute(
            update(items).where(items.c.message_id == message_id).values(escalations=1, escalated_ms=START + 1)
        )
    )
    again(store, message_id, crisis(), due_ms=START + 5000)
    (row,) = rows(store, items, "message_id", "escalations", "escalated_ms")
    assert row[1:] == (0, None)
