"""A request that comes twice under one key is done once, whatever happens in between."""

from __future__ import annotations

from concurrent.futures import wait

import pytest

from crisis_filter.errors import Fault, IdempotencyConflict, IdempotencyInFlight
from crisis_filter.store.idempotency import KEPT_MS, Replay, expire, recall, request_key
from crisis_filter.store.intake import ACCEPT, arrival, pending
from crisis_filter.store.opening import Store
from crisis_filter.store.rejudge import supersede
from crisis_filter.store.tables import idempotency, messages
from crisis_filter.store.verdicts import verdicts
from tests.store.conftest import OpenStore
from tests.store.scenes import START, Clock, balanced, crisis, decided, quiet, received, rows, taken, undetermined

BODY, OTHER_BODY = b'{"text": "one"}', b'{"text": "two"}'


def send(store: Store, *numbers: int, key: str = "key", body: bytes = BODY, tenant: str = "north"):
    made = request_key(tenant, key, body, store.new_id())
    coming = [received(number, tenant=tenant) for number in numbers]
    now = store.clock()
    return store.gather(ACCEPT, arrival(store, coming, now_ms=now, worker="w1", lease_ms=1000, key=made))


def test_the_same_again_is_answered_from_what_was_decided(store: Store) -> None:
    first = send(store, 0, 1).result(20)
    ids = tuple(one.message_id for one in first)
    with pytest.raises(IdempotencyInFlight):
        send(store, 0, 1).result(20)
    decided(store, ids[0], crisis())
    with pytest.raises(IdempotencyInFlight):
        send(store, 0, 1).result(20)
    decided(store, ids[1], quiet())
    assert send(store, 0, 1).result(20) == Replay(ids)
    found = store.read(lambda c: verdicts(c, store, "north", ids, whole=True))
    assert [found[i].outcome for i in ids] == ["crisis", "no_crisis"]
    assert [found[i].assessment.id for i in ids] == list(ids)
    assert len(rows(store, messages)) == 2


def test_another_body_is_a_conflict_and_stores_nothing(store: Store) -> None:
    send(store, 0).result(20)
    with pytest.raises(IdempotencyConflict):
        send(store, 5, body=OTHER_BODY).result(20)
    assert len(rows(store, messages)) == 1


def test_keys_are_a_tenants_own(store: Store) -> None:
    send(store, 0).result(20)
    assert len(send(store, 0, tenant="south", body=OTHER_BODY).result(20)) == 1


def test_a_key_that_nobody_used(store: Store) -> None:
    key = request_key("north", "key", BODY, "me")
    assert store.read(lambda c: recall(c, key)) is None
    store.gather(ACCEPT, arrival(store, [received()], now_ms=START, worker="w1", lease_ms=1, key=key)).result(20)
    assert store.read(lambda c: recall(c, key)) is None, "and its own"


def test_fifty_at_once_are_one(open_here: OpenStore) -> None:
    """Row 63 of the fault catalogue, over two processes' writers: one is taken in, all others are told that it is at work."""
    stores = [open_here(), open_here()]
    futures = [send(stores[n % 2], 0) for n in range(50)]
    futures += [send(stores[n % 2], 0, body=OTHER_BODY) for n in range(10)]
    wait(futures, timeout=60)
    won = [future for future in futures[:50] if future.exception() is None]
    assert len(won) == 1
    assert {type(future.exception()) for future in futures[:50] if future not in won} == {IdempotencyInFlight}
    assert {type(future.exception()) for future in futures[50:]} == {IdempotencyConflict}
    (one,) = won[0].result()
    decided(stores[0], one.message_id, quiet())
    again = [send(stores[n % 2], 0) for n in range(10)]
    assert {future.result(20) for future in again} == {Replay((one.message_id,))}
    assert balanced(stores[0])


def test_a_messages_first_id_is_what_a_later_request_is_answered_with(store: Store) -> None:
    """Its message came before, under another key or none."""
    (known,) = taken(store, received(0))
    decided(store, known.message_id, quiet())
    first = send(store, 0, 1, key="other").result(20)
    assert first[0].message_id == known.message_id
    decided(store, first[1].message_id, quiet())
    assert send(store, 0, 1, key="other").result(20) == Replay((known.message_id, first[1].message_id))


def test_a_request_whose_worker_died_is_finished_by_another(store: Store, clock: Clock) -> None:
    """Nothing has to expire: the key is there exactly when the messages are, and they are taken over."""
    (one,) = send(store, 0).result(20)
    clock.forward(2000)
    (work,) = store.write(lambda c: pending(c, store, worker="w2", limit=9, now_ms=clock(), lease_ms=1000))
    assert work.message.id == one.message_id
    decided(store, one.message_id, quiet())
    assert send(store, 0).result(20) == Replay((one.message_id,))


def test_a_second_run_of_the_request_itself_is_no_repetition(store: Store) -> None:
    """As after a commit whose answer was lost."""
    key = request_key("north", "key", BODY, "me")
    coming = arrival(store, [received()], now_ms=START, worker="w1", lease_ms=1, key=key)
    assert store.gather(ACCEPT, coming).result(20) == store.gather(ACCEPT, coming).result(20)


def test_an_undetermined_is_answered_by_what_took_its_place_and_never_the_reverse(store: Store) -> None:
    (one,) = send(store, 0).result(20)
    decided(store, one.message_id, undetermined())

    def outcome() -> str | None:
        (message_id,) = send(store, 0).result(20).message_ids
        return store.read(lambda c: verdicts(c, store, "north", [message_id]))[message_id].outcome

    def again(assessment, *, to_person: bool, revision: int) -> bool:
        return store.write(
            lambda c: supersede(
                c, store, one.message_id, assessment, revision=revision, to_person=to_person, due_ms=None, now_ms=START
            )
        ).stood

    assert outcome() == "undetermined"
    assert not again(quiet(), to_person=False, revision=1)
    assert outcome() == "no_crisis"
    assert again(undetermined(Fault.SERVER_ERROR), to_person=True, revision=2)
    assert outcome() == "no_crisis"


def test_keys_are_kept_for_a_day_at_the_least(store: Store, clock: Clock) -> None:
    send(store, 0, key="old").result(20)
    clock.forward(KEPT_MS)
    send(store, 1, key="new").result(20)
    assert store.write(lambda c: expire(c, clock() - KEPT_MS, 10)) == 0
    clock.forward(1)
    assert store.write(lambda c: expire(c, clock() - KEPT_MS, 10)) == 1
    assert len(rows(store, idempotency)) == 1


def test_neither_key_nor_body_lies_there(store: Store) -> None:
    send(store, 0, key="canary-key", body=b"canary-body").result(20)
    assert "canary" not in repr(rows(store, idempotency))
