"""The ledger holds for whatever the store does, and names what is missing or too many."""

from __future__ import annotations

import json

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import text
from typer.testing import CliRunner

from crisis_filter.cli.app import app
from crisis_filter.errors import Fault
from crisis_filter.schema import Assessment
from crisis_filter.store.idempotency import request_key
from crisis_filter.store.intake import ACCEPT, arrival, pending
from crisis_filter.store.ledger import ledger
from crisis_filter.store.opening import Store, open_store
from crisis_filter.store.rejudge import rejudge_candidates, supersede
from crisis_filter.store.tables import items
from crisis_filter.store.verdicts import verdicts
from tests.store.scenes import KEYS, Clock, balanced, crisis, decided, quiet, received, rows, taken, undetermined
from tests.store.test_conclude import listen
from tests.store.test_rejudge import by_person, of_item


def a_day(store: Store) -> list[str]:
    """Two tenants, every outcome, pending ones, one set aside, one settled, one that a person decided."""
    listen(store, "all", "*")
    said = [crisis(), quiet(), undetermined(), undetermined(Fault.EMPTY_CONTENT), quiet(), undetermined()]
    ids = []
    for number, assessment in enumerate(said):
        tenant = "south" if number == 4 else "north"
        (one,) = taken(store, received(number, tenant=tenant))
        ids.append(one.message_id)
        aside = assessment.fault is Fault.EMPTY_CONTENT or assessment.outcome == "no_crisis"
        decided(store, one.message_id, assessment, to_person=not aside, second_reading=number == 1)
    store.write(
        lambda c: supersede(c, store, ids[5], quiet(), revision=1, to_person=False, due_ms=None, now_ms=store.clock())
    )
    by_person(store, ids[2], "no_crisis")
    taken(store, received(7), received(8, tenant="south"))
    return ids


def test_a_day_balances(store: Store) -> None:
    a_day(store)
    found = store.read(ledger)
    assert found.balanced
    assert [account.tenant for account in found.accounts] == [None, "north", "south"]
    whole = {equation.words: (equation.left, equation.parts) for equation in found.accounts[0].equations}
    assert whole["received = decided + pending"] == (8, {"decided": 6, "pending": 2})
    assert whole["decided = crisis + undetermined + not crisis"][1] == {
        "crisis": 1,
        "undetermined": 1,
        "not crisis": 4,
    }
    assert whole["crisis + undetermined = routed to a person + set aside"] == (2, {"routed": 1, "set aside": 1})
    assert whole["ever routed to a person = alerts"] == (3, {"alerts": 3})
    assert whole["items = waiting + claimed + done + settled"][1] == {
        "waiting": 3,
        "claimed": 0,
        "done": 0,
        "settled": 1,
    }
    assert whole["outbox = pending + delivered + dead"][0] == 6
    alone = store.read(lambda c: ledger(c, tenant="south"))
    assert alone.accounts == (found.accounts[2],)


def test_an_empty_store_balances(store: Store) -> None:
    assert balanced(store)
    assert store.read(lambda c: ledger(c, tenant="nobody")).balanced


DAMAGES = [
    ("DELETE FROM decisions WHERE message_id = :pending OR message_id = :crisis", "received = decided + pending"),
    ("UPDATE messages SET state = 'pending' WHERE id = :crisis", "pending messages with a decision"),
    ("UPDATE messages SET state = 'decided' WHERE id = :pending", "decided messages without a decision"),
    ("UPDATE messages SET state = 'lost' WHERE id = :pending", "received = decided + pending"),
    ("UPDATE decisions SET outcome = 'fine' WHERE message_id = :crisis", "decided = crisis + undetermined"),
    ("DELETE FROM routes WHERE message_id = :quiet", "routes = decided"),
    ("DELETE FROM routes WHERE message_id = :crisis", "crisis + undetermined = routed"),
    ("UPDATE routes SET to_person = :no WHERE message_id = :crisis", "that nobody reads, but for empty ones"),
    ("UPDATE routes SET to_person = :no WHERE message_id = :crisis", "alerts whose message was routed to nobody"),
    ("DELETE FROM items WHERE message_id = :crisis", "messages routed to a person without an item"),
    ("DELETE FROM items WHERE message_id = :crisis", "ever routed to a person = alerts"),
    ("UPDATE items SET state = 'lost' WHERE message_id = :crisis", "items = waiting + claimed + done + settled"),
    ("UPDATE outbox SET state = 'lost' WHERE message_id = :crisis", "outbox = pending + delivered + dead"),
    ("DELETE FROM texts WHERE message_id = :crisis AND kind = 'message'", "messages without their text"),
    ("DELETE FROM texts WHERE message_id = :crisis AND kind = 'message'", "texts = received - deleted"),
    ("UPDATE messages SET text_gone_ms = 1 WHERE id = :crisis", "texts of messages whose text was deleted"),
]


@pytest.mark.parametrize(("damage", "words"), DAMAGES)
def test_each_damage_is_named(store: Store, damage: str, words: str) -> None:
    ids = a_day(store)
    (pending_id,) = taken(store, received(9))
    named = {"crisis": ids[0], "quiet": ids[1], "pending": pending_id.message_id, "no": False}
    with store.engine.begin() as connection:
        connection.execute(text(damage), {k: v for k, v in named.items() if f":{k}" in damage})
    found = store.read(ledger)
    assert not found.balanced
    wrong = {a.tenant: [e.words for e in a.equations if not e.holds] for a in found.accounts}
    assert any(words in each for each in wrong[None])
    assert wrong[None] == wrong["north"]
    assert wrong["south"] == []


def test_two_mistakes_do_not_make_up_for_each_other(store: Store) -> None:
    """An item too few here and one too many there."""
    ids = a_day(store)
    with store.engine.begin() as connection:
        connection.execute(
            text("UPDATE items SET message_id = :quiet WHERE message_id = :crisis"), {"quiet": ids[4], "crisis": ids[0]}
        )
    wrong = [e.words for e in store.read(ledger).accounts[0].equations if not e.holds]
    assert wrong == [
        "messages routed to a person without an item = 0",
        "alerts whose message was routed to nobody = 0",
    ]


def test_the_command_says_so_and_ends_with_1(sqlite_url: str) -> None:
    runner = CliRunner()
    with open_store(sqlite_url, keys=KEYS) as store:
        ids = a_day(store)
        told = runner.invoke(app, ["ledger", "--store", sqlite_url])
        assert told.exit_code == 0
        assert "all together" in told.stdout
        assert "  holds: received = decided + pending (8 = 6 + 2)" in told.stdout
        assert "nothing lacks its other half (8 counts of 0)" in told.stdout
        with store.engine.begin() as connection:
            connection.execute(text("UPDATE items SET state = 'lost' WHERE message_id = :i"), {"i": ids[0]})
        told = runner.invoke(app, ["ledger", "--store", sqlite_url])
        assert told.exit_code == 1
        assert "  DOES NOT HOLD: items = waiting + claimed + done + settled (4 = 2 + 0 + 0 + 1)" in told.stdout
        as_json = runner.invoke(app, ["ledger", "--store", sqlite_url, "--tenant", "south", "--json"])
        assert as_json.exit_code == 0
        assert json.loads(as_json.stdout)["accounts"][0]["tenant"] == "south"


def test_the_command_makes_no_store_where_there_is_none(tmp_path) -> None:
    for command in (["ledger"], ["db", "check"]):
        told = CliRunner().invoke(app, [*command, "--store", f"sqlite:///{tmp_path}/no.db"])
        assert (told.exit_code, list(tmp_path.iterdir())) == (5, [])
        assert "there is no such file" in told.stderr


ASSESSMENTS = st.sampled_from(
    [
        crisis(),
        crisis(urgency="emergency"),
        quiet(),
        undetermined(),
        undetermined(Fault.SERVER_ERROR),
        undetermined(Fault.EMPTY_CONTENT),
        undetermined(Fault.INJECTION_SUSPECTED),
    ]
)


class StoreMachine(RuleBasedStateMachine):
    """Any order of accepting, judging, judging again, reading and taking over; beside it a plain dictionary of what must stand."""

    folder = None

    @initialize()
    def open(self) -> None:
        import shutil
        import tempfile
        from pathlib import Path

        self.folder = Path(tempfile.mkdtemp())
        shutil.copy(self.empty, self.folder / "s.db")
        self.clock = Clock()
        self.store = open_store(str(self.folder / "s.db"), keys=KEYS, clock=self.clock)
        listen(self.store, "all", "*")
        self.stands: dict[str, str | None] = {}
        self.people: set[str] = set()
        self.opened: set[str] = set()
        self.names: dict[tuple[int, str], str] = {}

    def teardown(self) -> None:
        import shutil

        if self.folder is not None:
            self.store.close()
            shutil.rmtree(self.folder)

    @rule(numbers=st.lists(st.integers(0, 5), min_size=1, max_size=4), said=st.sampled_from("ab"), key=st.booleans())
    def accept(self, numbers: list[int], said: str, key: bool) -> None:
        store = self.store
        made = request_key("north", f"{numbers} {said}", b"", store.new_id()) if key else None
        coming = [received(number, text=said) for number in numbers]
        parcel = arrival(store, coming, now_ms=self.clock(), worker="w1", lease_ms=1000, key=made)
        future = store.gather(ACCEPT, parcel)
        if future.exception(20) is not None:
            return
        found = future.result()
        ids = [one if isinstance(one, str) else one.message_id for one in getattr(found, "message_ids", found)]
        for number, message_id in zip(numbers, ids, strict=True):
            assert self.names.setdefault((number, said), message_id) == message_id
            self.stands.setdefault(message_id, None)

    @precondition(lambda self: self.stands)
    @rule(data=st.data(), new=ASSESSMENTS, second=st.booleans())
    def judge(self, data: st.DataObject, new: Assessment, second: bool) -> None:
        message_id = data.draw(st.sampled_from(sorted(self.stands)))
        to_person = new.outcome != "no_crisis" and new.fault is not Fault.EMPTY_CONTENT
        done = decided(self.store, message_id, new, to_person=to_person, second_reading=second)
        assert done.stood == (self.stands[message_id] is not None)
        if not done.stood:
            self.stands[message_id] = new.outcome

    @precondition(lambda self: any(self.stands.values()))
    @rule(data=st.data(), new=ASSESSMENTS)
    def judge_again(self, data: st.DataObject, new: Assessment) -> None:
        message_id = data.draw(st.sampled_from(sorted(i for i, o in self.stands.items() if o)))
        before = self.stands[message_id]
        to_person = new.outcome != "no_crisis" and new.fault is not Fault.EMPTY_CONTENT
        standing = self.store.read(lambda c: verdicts(c, self.store, "north", [message_id]))[message_id]

        def write(connection):
            return supersede(
                connection,
                self.store,
                message_id,
                new,
                revision=standing.revision,
                to_person=to_person,
                due_ms=None,
                now_ms=self.clock(),
            )

        done = self.store.write(write)
        if done.stood:
            return
        assert message_id not in self.people
        assert new.outcome != "undetermined"
        assert before != "crisis" or new.outcome == "crisis"
        assert message_id not in self.opened or new.outcome == "crisis"
        self.stands[message_id] = new.outcome

    @precondition(lambda self: any(self.stands.values()))
    @rule(data=st.data(), says=st.sampled_from(["crisis", "undetermined", "no_crisis"]))
    def person(self, data: st.DataObject, says: str) -> None:
        message_id = data.draw(st.sampled_from(sorted(i for i, o in self.stands.items() if o)))
        standing = self.store.read(lambda c: verdicts(c, self.store, "north", [message_id]))[message_id]
        if standing.to_person and standing.revision == 1 and message_id not in self.people:
            of_item(self.store, message_id, state="done", done_ms=self.clock())
            by_person(self.store, message_id, says)
            self.people.add(message_id)
            self.stands[message_id] = says

    @precondition(lambda self: any(self.stands.values()))
    @rule(data=st.data())
    def open_item(self, data: st.DataObject) -> None:
        message_id = data.draw(st.sampled_from(sorted(i for i, o in self.stands.items() if o)))
        lying = {m: s for m, s, k in rows(self.store, items, "message_id", "state", "kind") if k == "alert"}
        if lying.get(message_id) == "waiting":
            of_item(self.store, message_id, opened_ms=self.clock())
            self.opened.add(message_id)

    @rule(ms=st.sampled_from([1, 999, 1001]))
    def wait(self, ms: int) -> None:
        self.clock.forward(ms)

    @rule(limit=st.integers(1, 3))
    def take_over(self, limit: int) -> None:
        now = self.clock()
        for work in self.store.write(
            lambda c: pending(c, self.store, worker="w2", limit=limit, now_ms=now, lease_ms=1000)
        ):
            assert self.stands[work.message.id] is None
            assert not work.message.unreadable

    @rule(limit=st.integers(1, 3))
    def look_for_candidates(self, limit: int) -> None:
        now = self.clock()
        asked = {"faults": [Fault.TIMEOUT], "worker": "w", "limit": limit, "now_ms": now, "lease_ms": 1000}
        for found in self.store.write(lambda c: rejudge_candidates(c, self.store, **asked)):
            message_id = found.work.message.id
            assert self.stands[message_id] == "undetermined"
            assert message_id not in self.people | self.opened

    @invariant()
    def all_is_there_and_balances(self) -> None:
        if self.folder is None:
            return
        assert balanced(self.store)
        found = self.store.read(lambda c: verdicts(c, self.store, "north", sorted(self.stands)))
        assert {i: v.outcome for i, v in found.items()} == self.stands


def test_any_order_of_everything(empty_sqlite) -> None:
    from hypothesis.stateful import run_state_machine_as_test

    StoreMachine.empty = empty_sqlite
    run_state_machine_as_test(StoreMachine, settings=settings(deadline=None, max_examples=15, stateful_step_count=25))
