"""What is accepted lies there, text and all, once; and is judged by whoever holds it."""

from __future__ import annotations

import shutil
import threading
from concurrent.futures import wait
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sqlalchemy import update

from crisis_filter.store.intake import ACCEPT, accept, arrival, pending, release, renew
from crisis_filter.store.opening import Store, open_store
from crisis_filter.store.records import Received
from crisis_filter.store.tables import messages, texts
from tests.store.conftest import OpenStore
from tests.store.scenes import KEYS, OTHER_KEYS, START, Clock, balanced, decided, quiet, received, rows, taken

CANARY = "canary-7f3a words of a message"


def due(store: Store, worker: str = "w2", limit: int = 100, lease_ms: int = 60_000):
    now = store.clock()
    return store.write(lambda c: pending(c, store, worker=worker, limit=limit, now_ms=now, lease_ms=lease_ms))


def test_a_message_lies_there_with_its_text_sealed(store: Store) -> None:
    (one,) = taken(store, received(text=CANARY, subject="+44 20 7946 0000", external_id="SM123"))
    assert (one.duplicate, one.decided) == ("no", False)
    ((message_id, body, key_id),) = rows(store, texts, "message_id", "body", "key_id")
    assert (message_id, key_id) == (one.message_id, "k1")
    everything = repr(rows(store, messages)) + repr(body)
    for private in (CANARY, "7946", "SM123"):
        assert private not in everything
    ((state, judge, until),) = rows(store, messages, "state", "judge", "judge_until_ms")
    assert (state, judge, until) == ("pending", "w1", START + 60_000)
    assert balanced(store)


def test_ids_grow_with_time(store: Store, clock: Clock) -> None:
    ids = []
    for number in range(5):
        ids.append(taken(store, received(number))[0].message_id)
        clock.forward(1)
    assert ids == sorted(ids)


def test_the_same_again_is_the_same(store: Store) -> None:
    (first,) = taken(store, received())
    for _ in range(2):
        (again,) = taken(store, received())
        assert (again.message_id, again.duplicate, again.decided) == (first.message_id, "same", False)
    decided(store, first.message_id, quiet())
    assert taken(store, received())[0].decided
    assert len(rows(store, messages)) == len(rows(store, texts)) - 1 == 1
    assert balanced(store)


def test_another_text_under_the_same_id_is_kept_as_well(store: Store) -> None:
    (first,) = taken(store, received(text="one"))
    (second,) = taken(store, received(text="two"))
    (third,) = taken(store, received(text="three"))
    assert [x.duplicate for x in (first, second, third)] == ["no", "other_text", "other_text"]
    for text, known in (("one", first), ("two", second), ("three", third)):
        (again,) = taken(store, received(text=text))
        assert (again.message_id, again.duplicate) == (known.message_id, "same")
    store.clock.forward(100_000)
    found = {work.message.text: work.message.flags for work in due(store)}
    assert found == {"one": frozenset(), "two": {"duplicate_id"}, "three": {"duplicate_id"}}
    assert balanced(store)


@pytest.mark.parametrize("differing", [{"tenant": "south"}, {"source": "sms"}, {"external_id": None}])
def test_other_tenants_and_sources_have_ids_of_their_own(store: Store, differing: dict[str, str | None]) -> None:
    accepted = taken(store, received(), received(**differing), received(**differing))
    ids = {one.message_id for one in accepted}
    assert len(ids) == (3 if "external_id" in differing else 2)
    assert len(set(rows(store, messages, "text_mac"))) == (2 if "tenant" in differing else 1)


def test_one_request_with_the_same_message_twice_and_another_text(store: Store) -> None:
    found = taken(store, received(text="a"), received(text="a"), received(text="b"), received(1))
    assert [one.duplicate for one in found] == ["no", "same", "other_text", "no"]
    assert found[0].message_id == found[1].message_id != found[2].message_id


def test_very_many_in_one_request(store: Store) -> None:
    found = taken(store, *(received(number) for number in range(1300)))
    assert len({one.message_id for one in found}) == 1300
    again = taken(store, *(received(number) for number in range(1300)))
    assert [one.message_id for one in again] == [one.message_id for one in found]
    assert taken(store) == ()


def test_the_same_from_many_at_once_is_stored_once(open_here: OpenStore) -> None:
    """By two processes' writers, each with several callers."""
    stores = [open_here(), open_here()]
    futures = []
    for number in range(60):
        for store in stores:
            coming = arrival(store, [received(number % 20)], now_ms=START, worker="w", lease_ms=1)
            futures.append(store.gather(ACCEPT, coming))
    wait(futures, timeout=60)
    results = [future.result()[0] for future in futures]
    assert len({one.message_id for one in results}) == 20
    assert sum(one.duplicate == "no" for one in results) == 20
    assert balanced(stores[0])


def test_a_second_run_of_the_same_arrival_changes_nothing(store: Store) -> None:
    """As after a commit whose answer was lost."""
    coming = arrival(store, [received(), received(1)], now_ms=START, worker="w", lease_ms=1)
    first = store.gather(ACCEPT, coming).result(20)
    assert store.gather(ACCEPT, coming).result(20) == first
    assert [one.duplicate for one in first] == ["no", "no"]
    assert balanced(store)


def test_leases_run_out_and_are_renewed(store: Store, clock: Clock) -> None:
    ids = [one.message_id for one in taken(store, *(received(n) for n in range(4)), worker="w1", lease_ms=1000)]
    assert due(store) == ()
    clock.forward(900)
    held = store.write(lambda c: renew(c, worker="w1", ids=ids[:2], now_ms=clock(), lease_ms=1000))
    assert held == set(ids[:2])
    clock.forward(200)
    assert [work.message.id for work in due(store, "w2", lease_ms=500)] == ids[2:]
    assert store.write(lambda c: renew(c, worker="w1", ids=ids, now_ms=clock(), lease_ms=1000)) == set(ids[:2])
    store.write(lambda c: release(c, worker="w2", ids=ids))
    assert [work.message.id for work in due(store, "w3")] == ids[2:]


def test_messages_that_nobody_was_named_for_are_there_at_once(store: Store) -> None:
    taken(store, *(received(n) for n in range(5)), worker=None)
    assert [len(due(store, limit=2)) for _ in range(4)] == [2, 2, 1, 0]


def test_a_decided_message_is_not_handed_out(store: Store, clock: Clock) -> None:
    one, two = taken(store, received(), received(1), worker=None)
    decided(store, one.message_id, quiet())
    clock.forward(10_000_000)
    assert [work.message.id for work in due(store)] == [two.message_id]


def test_what_is_handed_out_is_what_came_in(store: Store) -> None:
    coming = received(text="e\u0301 \0 \ud83d \u202e", flags=frozenset({"encoding_repaired"}), locale="pt-BR")
    taken(store, coming, worker=None)
    (work,) = due(store)
    assert work.message.text == coming.text
    assert (work.message.locale, work.message.flags, work.message.unreadable) == ("pt-BR", {"encoding_repaired"}, False)
    assert (work.tenant, work.source, work.received_ms) == ("north", "portal", START)
    assert coming.text not in repr(work)
    assert coming.text not in repr(coming)


@pytest.mark.parametrize("why", ["lost key", "altered", "moved", "gone"])
def test_a_text_that_does_not_open_is_unreadable_and_not_passed_over(open_here: OpenStore, why: str) -> None:
    """So that it ends with a person, as undetermined."""
    store = open_here()
    one, two = taken(store, received(), received(1), worker=None)
    with store.engine.begin() as connection:
        of_one = texts.c.message_id == one.message_id
        if why == "altered":
            connection.execute(update(texts).where(of_one).values(body=b"\x01" + bytes(60)))
        elif why == "moved":
            connection.execute(update(texts).where(of_one).values(message_id=two.message_id, revision=7))
        elif why == "gone":
            connection.execute(texts.delete().where(of_one))
    opened = open_here(keys=OTHER_KEYS) if why == "lost key" else store
    works = {work.message.id: work.message for work in due(opened)}
    assert (works[one.message_id].unreadable, works[one.message_id].text) == (True, "")
    assert works[two.message_id].unreadable is (why == "lost key")


def test_two_workers_judge_each_message_once(open_here: OpenStore) -> None:
    """Row 60 of the fault catalogue: whoever takes a message over has it alone."""
    stores = [open_here(), open_here()]
    taken(stores[0], *(received(n) for n in range(300)), worker=None)
    got: list[str] = []
    lock = threading.Lock()

    def work(store: Store, name: str) -> None:
        while works := due(store, name, limit=7):
            with lock:
                got.extend(one.message.id for one in works)
            for one in works:
                assert not decided(store, one.message.id, quiet()).stood

    threads = [threading.Thread(target=work, args=(store, f"w{n}")) for n, store in enumerate(stores * 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(got) == len(set(got)) == 300
    assert balanced(stores[0])


@pytest.mark.parametrize(
    "fields",
    [{"tenant": ""}, {"tenant": "a\0b"}, {"source": "x" * 129}, {"locale": "\0"}, {"external_id": ""}, {"unknown": 1}],
)
def test_what_the_databases_could_not_keep_is_no_message(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError) as caught:
        received(**fields)
    assert "I write to you" not in str(caught.value)


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["", "x", "x ", "\ud83d", "\0"])), max_size=12))
def test_any_ids_and_texts_in_any_order(empty_sqlite: Path, tmp_path: Path, sent: list[tuple[str, str]]) -> None:
    """One row for each id with each text; every answer names the row that holds its text."""
    for stale in tmp_path.iterdir():
        stale.unlink()
    shutil.copy(empty_sqlite, tmp_path / "s.db")
    with open_store(str(tmp_path / "s.db"), keys=KEYS, clock=lambda: START) as store:
        coming = [Received(tenant="t", source="s", external_id=i, text=text) for i, text in sent]
        half = len(coming) // 2
        found = [*taken(store, *coming[:half], worker=None), *taken(store, *coming[half:], worker=None)]
        lying = {
            work.message.id: work.message.text
            for work in store.write(lambda c: pending(c, store, worker="w", limit=100, now_ms=START + 1, lease_ms=1))
        }
        assert len(lying) == len(set(sent))
        for (_, text), one in zip(sent, found, strict=True):
            assert lying[one.message_id] == text
        places: dict[tuple[str, str], str] = {}
        for place, one in zip(sent, found, strict=True):
            assert places.setdefault(place, one.message_id) == one.message_id
        assert balanced(store)


def test_accept_runs_in_the_callers_transaction(store: Store) -> None:
    def fails(connection):
        accept(connection, store, [received()], now_ms=START)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.write(fails)
    assert rows(store, messages) == []
