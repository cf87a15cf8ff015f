"""The outbox: each row in one hand at a time, and marked as what became of it, whoever says so and however often."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert, select

from crisis_filter.store import outbox as box
from crisis_filter.store.endpoints import disable, register
from crisis_filter.store.opening import Store
from crisis_filter.store.tables import endpoints, outbox
from tests.store.conftest import OpenStore
from tests.store.scenes import Clock, balanced

TENANT = "north"
MINUTE = 60_000


def listening(store: Store, name: str = "e1", tenant: str = TENANT) -> None:
    given = {"tenant": tenant, "url": f"https://{name}.example.com/", "kinds": ["*"], "secrets": ["whsec_c2VjcmV0"]}
    store.write(partial(register, keys=store.keys, endpoint_id=name, now_ms=store.clock(), **given))


def put(store: Store, *names: str, to: str = "e1", tenant: str = TENANT, **more: Any) -> None:
    at = store.clock()
    row = {"tenant": tenant, "endpoint_id": to, "kind": "assessment.crisis", "payload": "{}", "state": "pending"}
    rows = [{"id": name, **row, "attempts": 0, "created_ms": at, "next_ms": at, **more} for name in names]
    store.write(lambda c: c.execute(insert(outbox), rows) and None)


def lease(store: Store, worker: str = "a", room: dict[str, int] | None = None, limit: int = 100) -> list[str]:
    room = {"e1": 100} if room is None else room
    taken = partial(box.lease, worker=worker, room=room, limit=limit, now_ms=store.clock(), lease_ms=MINUTE)
    return [row.id for row in store.write(taken)]


def look(store: Store, name: str) -> Any:
    return store.read(lambda c: c.execute(select(outbox).where(outbox.c.id == name)).one())


def test_a_lease_keeps_others_off_until_it_runs_out(store: Store, clock: Clock) -> None:
    listening(store)
    put(store, "r1", "r2", "r3")
    assert lease(store, "a", {"e1": 2}) == ["r1", "r2"]
    assert lease(store, "b") == ["r3"]
    assert lease(store, "c") == []
    clock.forward(MINUTE - 1)
    assert lease(store, "c") == []
    clock.forward(1)
    assert lease(store, "c") == ["r1", "r2", "r3"]
    assert look(store, "r1").leased_by == "c"


def test_what_is_due_longest_goes_first_and_each_endpoint_has_its_room(store: Store, clock: Clock) -> None:
    listening(store, "e1")
    listening(store, "e2")
    put(store, "late", "later")
    clock.forward(10)
    put(store, "x1", "x2", "x3", to="e2")
    put(store, "future", next_ms=clock() + 1)
    assert list(store.read(box.first_due).items()) == [("e1", clock() - 10), ("e2", clock())]
    assert lease(store, room={"e1": 5, "e2": 2}) == ["late", "later", "x1", "x2"]
    assert lease(store, room={"e2": 5}, limit=0) == []
    assert lease(store, room={"e1": 5, "e2": 0}) == []
    assert lease(store, room={"e2": 1, "e1": 1}) == ["x3"]


def test_couriers_at_the_same_time_share_without_a_row_twice(open_here: OpenStore) -> None:
    """Each with a store of its own, as processes have."""
    stores = [open_here() for _ in range(4)]
    listening(stores[0])
    names = [f"r{n:03}" for n in range(200)]
    put(stores[0], *names)
    got: list[list[str]] = [[] for _ in stores]

    def take(number: int) -> None:
        while some := lease(stores[number], f"w{number}", {"e1": 7}):
            got[number] += some

    threads = [threading.Thread(target=take, args=[n]) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # One that finds every row in others' hands stops early, so some may be left; none is there twice.
    everything = sorted(row for some in got for row in some)
    assert everything == sorted(set(everything))
    assert sorted(everything + lease(stores[0], "last", {"e1": 1000}, 1000)) == names


def test_marks(store: Store, clock: Clock) -> None:
    listening(store)
    put(store, "good", "bad", "last")
    lease(store, "a")
    now = clock()
    assert store.write(partial(box.mark_delivered, row_id="good", result="204", now_ms=now))
    assert store.write(partial(box.mark_failed, row_id="bad", worker="a", result="500", next_ms=now + 5000))
    assert store.write(partial(box.mark_dead, row_id="last", worker="a", result="timeout", now_ms=now))
    good, bad, last = (look(store, name) for name in ("good", "bad", "last"))
    assert (good.state, good.attempts, good.ended_ms, good.last_result) == ("delivered", 1, now, "204")
    assert (bad.state, bad.attempts, bad.next_ms, bad.last_result) == ("pending", 1, now + 5000, "500")
    assert (last.state, last.attempts, last.ended_ms, last.last_result) == ("dead", 1, now, "timeout")
    assert {good.leased_by, bad.leased_by, last.leased_by} == {None}
    assert store.read(box.counts) == box.Counts(pending=1, delivered=1, dead=1, oldest_pending_ms=now)
    assert balanced(store)


def test_a_mark_that_is_written_twice_counts_once(store: Store, clock: Clock) -> None:
    listening(store)
    put(store, "r1", "r2", "r3")
    lease(store, "a")
    marks = [
        partial(box.mark_delivered, row_id="r1", result="204", now_ms=clock()),
        partial(box.mark_failed, row_id="r2", worker="a", result="500", next_ms=clock() + 5000),
        partial(box.mark_dead, row_id="r3", worker="a", result="500", now_ms=clock()),
    ]
    assert [store.write(mark) for mark in marks] == [True] * 3
    assert [store.write(mark) for mark in marks] == [False] * 3
    assert [look(store, name).attempts for name in ("r1", "r2", "r3")] == [1, 1, 1]


def test_whose_lease_ran_out_may_say_that_it_was_delivered_and_nothing_else(store: Store, clock: Clock) -> None:
    listening(store)
    put(store, "r1", "r2")
    lease(store, "slow")
    clock.forward(MINUTE)
    lease(store, "other")
    assert not store.write(partial(box.mark_failed, row_id="r1", worker="slow", result="500", next_ms=0))
    assert not store.write(partial(box.mark_dead, row_id="r1", worker="slow", result="500", now_ms=clock()))
    assert look(store, "r1").leased_by == "other"
    assert store.write(partial(box.mark_delivered, row_id="r1", result="204", now_ms=clock()))
    assert not store.write(partial(box.mark_failed, row_id="r1", worker="other", result="500", next_ms=0))
    assert not store.write(partial(box.mark_dead, row_id="r1", worker="other", result="500", now_ms=clock()))
    assert look(store, "r1").state == "delivered"
    assert store.write(partial(box.mark_dead, row_id="r2", worker="other", result="500", now_ms=clock()))
    assert store.write(partial(box.mark_delivered, row_id="r2", result="204", now_ms=clock()))
    assert look(store, "r2").state == "delivered"


def test_what_is_given_back_is_due_at_once(store: Store) -> None:
    listening(store)
    put(store, "r1", "r2")
    lease(store, "a")
    store.write(partial(box.release, worker="b", row_ids=["r1"], now_ms=store.clock()))
    assert lease(store, "b") == []
    store.write(partial(box.release, worker="a", row_ids=["r1"], now_ms=store.clock()))
    assert lease(store, "b") == ["r1"]
    assert look(store, "r1").attempts == 0


def test_disabling_takes_what_waits_and_says_what_became_of_what_was_in_the_air(store: Store, clock: Clock) -> None:
    listening(store)
    put(store, "air1", "air2", "waits")
    put(store, "done", state="delivered")
    lease(store, "a", {"e1": 2})
    ending = partial(disable, tenant=TENANT, endpoint_id="e1", why="operator", now_ms=clock())
    assert store.write(ending) == 3
    assert store.write(ending) == 0
    assert store.write(partial(box.mark_delivered, row_id="air1", result="204", now_ms=clock()))
    assert store.write(partial(box.mark_failed, row_id="air2", worker="a", result="500", next_ms=clock()))
    found = {name: look(store, name) for name in ("air1", "air2", "waits", "done")}
    assert {name: (row.state, row.attempts) for name, row in found.items()} == {
        "air1": ("delivered", 1),
        "air2": ("dead", 1),
        "waits": ("dead", 0),
        "done": ("delivered", 0),
    }
    assert (found["air2"].last_result, found["waits"].last_result) == ("500", "disabled")
    assert store.read(box.first_due) == {}
    put(store, "race")
    assert lease(store) == []
    assert store.write(partial(box.bury_disabled, now_ms=clock())) == 1
    assert balanced(store)


def test_replay_is_of_ids_of_an_endpoint_or_of_all_that_is_dead_and_of_one_tenant(store: Store, clock: Clock) -> None:
    for name, tenant in (("e1", TENANT), ("e2", TENANT), ("e3", "south")):
        listening(store, name, tenant)
        ended = {"to": name, "tenant": tenant, "attempts": 8, "ended_ms": clock(), "last_result": "500"}
        put(store, f"{name}-dead", state="dead", **ended)
        put(store, f"{name}-sent", state="delivered", **ended)
        put(store, f"{name}-waits", to=name, tenant=tenant, attempts=3)

    def again(**chosen: Any) -> list[str]:
        with_ids = store.write(partial(box.replay, tenant=TENANT, now_ms=clock(), **chosen))
        chosen_now = (
            select(outbox.c.id).where(outbox.c.attempts == 0, outbox.c.state == "pending").order_by(outbox.c.id)
        )
        found = list(store.read(lambda c: c.scalars(chosen_now).all()))
        assert with_ids.replayed == len(found)
        store.write(lambda c: c.execute(delete(outbox).where(outbox.c.id.in_(found))) and None)
        return found

    assert again(row_ids=["e1-sent", "e1-waits", "e3-dead", "none"]) == ["e1-sent"]
    assert again(endpoint_id="e2") == ["e2-dead"]
    assert again() == ["e1-dead"]
    assert again() == []
    assert look(store, "e3-dead").state == "dead"
    assert look(store, "e2-waits").attempts == 3


def test_what_is_dead_is_seen_the_latest_first(store: Store, clock: Clock) -> None:
    listening(store)
    listening(store, "e2")
    for number in range(5):
        put(store, f"r{number}", state="dead", ended_ms=clock() + number, last_result="500", attempts=8)
    put(store, "x", to="e2", state="dead", ended_ms=clock(), last_result="410", attempts=1)
    seen = partial(box.dead, tenant=TENANT)
    assert [row.id for row in store.read(partial(seen, limit=2))] == ["r4", "r3"]
    assert [row.last_result for row in store.read(partial(seen, endpoint_id="e2"))] == ["410"]
    assert store.read(partial(box.dead, tenant="south")) == []
    assert store.read(partial(box.counts, tenant="south")) == box.Counts()


class Play:
    """Two couriers, and what a test knows of what they hold."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store, self.clock, self.made = store, clock, 0
        self.hands: dict[str, dict[str, int]] = {"a": {}, "b": {}}
        self.delivered: set[str] = set()

    def put(self, worker: str, number: int) -> None:
        put(self.store, f"r{self.made}")
        self.made += 1

    def lease(self, worker: str, number: int) -> None:
        now = self.clock()
        held = {row for hand in self.hands.values() for row, until in hand.items() if until > now}
        got = lease(self.store, worker, {"e1": number})
        assert not held & set(got)
        self.hands[worker].update(dict.fromkeys(got, now + MINUTE))

    def deliver(self, worker: str, number: int) -> None:
        for row in self._one(worker, number):
            self.store.write(partial(box.mark_delivered, row_id=row, result="204", now_ms=self.clock()))
            self.delivered.add(row)

    def fail(self, worker: str, number: int) -> None:
        for row in self._one(worker, number):
            mark = partial(box.mark_failed, row_id=row, worker=worker, result="500", next_ms=self.clock() + 5000)
            self.store.write(mark)

    def give_up(self, worker: str, number: int) -> None:
        for row in self._one(worker, number):
            self.store.write(partial(box.mark_dead, row_id=row, worker=worker, result="500", now_ms=self.clock()))

    def kill(self, worker: str, number: int) -> None:
        self.hands[worker].clear()

    def wait(self, worker: str, number: int) -> None:
        self.clock.forward(number * 20_000)

    def bury(self, worker: str, number: int) -> None:
        self.store.write(partial(box.bury, endpoint_id="e1", now_ms=self.clock()))

    def replay(self, worker: str, number: int) -> None:
        self.store.write(partial(box.replay, tenant=TENANT, now_ms=self.clock()))
        for hand in self.hands.values():
            hand.update(dict.fromkeys(hand, 0))

    def _one(self, worker: str, number: int) -> list[str]:
        hand = self.hands[worker]
        chosen = sorted(hand)[number % len(hand) :][:1] if hand else []
        for row in chosen:
            del hand[row]
        return chosen


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["put", "lease", "lease", "deliver", "fail", "give_up", "kill", "wait", "bury", "replay"]),
        st.sampled_from(["a", "b"]),
        st.integers(0, 5),
    ),
    max_size=40,
)


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_any_order_of_steps_keeps_each_row_in_one_state_and_one_hand(sqlite_store: Store, steps: Any) -> None:
    """Kills, time, disabling and replay: nothing lost, nothing in two hands, what was delivered stays so."""
    sqlite_store.write(lambda c: c.execute(delete(outbox)) and c.execute(delete(endpoints)) and None)
    listening(sqlite_store)
    play = Play(sqlite_store, sqlite_store.clock)
    for step, worker, number in [("put", "a", 0), ("put", "a", 0), *steps]:
        getattr(play, step)(worker, number)
    found = {row.id: row for row in sqlite_store.read(lambda c: c.execute(select(outbox)).all())}
    assert set(found) == {f"r{number}" for number in range(play.made)}
    for name, row in found.items():
        assert row.state in ("pending", "delivered", "dead")
        assert (row.state == "delivered") == (name in play.delivered)
        assert (row.ended_ms is None) == (row.state == "pending")
    assert balanced(sqlite_store)


@pytest.fixture
def sqlite_store(sqlite_url: str, clock: Clock) -> Any:
    from crisis_filter.store.opening import open_store
    from tests.store.scenes import KEYS

    with open_store(sqlite_url, keys=KEYS, clock=clock) as opened:
        yield opened
