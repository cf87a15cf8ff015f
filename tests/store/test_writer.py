"""One writer: many functions in one commit, each safe from the others, and nothing taken that cannot be done."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import wait
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event, func, insert, select
from sqlalchemy.exc import OperationalError

from crisis_filter.errors import StoreBusy, StoreClosed, StoreError, StoreUnavailable
from crisis_filter.store.opening import Store, open_store
from crisis_filter.store.statements import insert_new
from crisis_filter.store.tables import facts
from crisis_filter.store.writer import Bulk, WriterLimits
from tests.store.conftest import OpenStore
from tests.store.scenes import rows

ROOT = Path(__file__).parent.parent.parent
QUICK = WriterLimits(patience_s=0.4, first_wait_s=0.01, longest_wait_s=0.05)


def putting(name: str):
    return lambda connection: insert_new(connection, facts, [{"name": name, "value": "v"}])


def put_all(connection: Connection, store: Store, names: Sequence[str]) -> list[int | StoreError]:
    if "bad" in names:
        raise KeyError("bad")
    insert_new(connection, facts, [{"name": name, "value": "v"} for name in sorted(set(names))])
    return [StoreError("refused") if name == "refused" else len(names) for name in names]


PUT: Bulk[Store, str, int] = Bulk("put", put_all)


class Held:
    """Keeps the writer busy until it is let go, so that more comes together."""

    def __init__(self, store: Store) -> None:
        self.begun, self.go = threading.Event(), threading.Event()

        def hold(_: Connection) -> None:
            self.begun.set()
            self.go.wait(20)

        self.future = store.submit(hold)
        assert self.begun.wait(20)


@pytest.fixture
def commits(store: Store) -> list[int]:
    counted: list[int] = []
    event.listen(store.engine, "commit", lambda connection: counted.append(1))
    return counted


def named(store: Store) -> list[str]:
    return [name for (name,) in rows(store, facts, "name") if name != "pseudonym_key"]


def test_what_waits_is_committed_together(store: Store, commits: list[int]) -> None:
    held = Held(store)
    futures = [store.submit(putting(f"n{i:03}")) for i in range(100)]
    held.go.set()
    assert [future.result(20) for future in futures] == [1] * 100
    assert len(named(store)) == 100
    assert sum(commits) <= 3  # the held one, all the others together, and the reading above


def test_one_that_fails_takes_nobody_with_it(store: Store) -> None:
    def fails(connection: Connection) -> None:
        putting("of the failed")(connection)
        raise ZeroDivisionError

    def refused(connection: Connection) -> None:
        connection.execute(insert(facts).values(name="null", value=None))

    held = Held(store)
    good = [store.submit(putting(f"n{i}")) for i in range(5)]
    bad, wrong = store.submit(fails), store.submit(refused)
    good += [store.submit(putting(f"n{i}")) for i in range(5, 9)]
    held.go.set()
    wait([*good, bad, wrong], timeout=20)
    assert [future.result() for future in good] == [1] * 9
    assert isinstance(bad.exception(), ZeroDivisionError)
    assert type(wrong.exception()) is StoreError
    assert named(store) == [f"n{i}" for i in range(9)]


def test_a_bulk_is_run_once_for_all(store: Store) -> None:
    held = Held(store)
    futures = [store.gather(PUT, name) for name in ("a", "b", "refused", "c")]
    between = store.submit(putting("d"))
    held.go.set()
    assert [futures[i].result(20) for i in (0, 1, 3)] == [4, 4, 4]
    assert isinstance(futures[2].exception(20), StoreError)
    assert between.result(20) == 1
    assert set(named(store)) == {"a", "b", "c", "d", "refused"}


def test_a_bulk_that_one_breaks_is_run_for_each(store: Store) -> None:
    held = Held(store)
    futures = [store.gather(PUT, name) for name in ("a", "bad", "b")]
    held.go.set()
    assert (futures[0].result(20), futures[2].result(20)) == (1, 1)
    assert isinstance(futures[1].exception(20), KeyError)


def test_too_many_are_refused_at_once_and_nothing_of_them_is_taken(open_here: OpenStore) -> None:
    store = open_here(limits=WriterLimits(most_waiting=10))
    held = Held(store)
    futures = [store.submit(putting(f"n{i}")) for i in range(10)]
    assert store.waiting == 10
    for _ in range(3):
        with pytest.raises(StoreBusy):
            store.submit(putting("one too many"))
    held.go.set()
    wait(futures, timeout=20)
    store.write(putting("later"))
    assert named(store) == ["later", *(f"n{i}" for i in range(10))]


def test_closing_does_what_waits(open_here: OpenStore) -> None:
    store = open_here()
    held = Held(store)
    futures = [store.submit(putting(f"n{i}")) for i in range(700)]
    closing = threading.Thread(target=store.close)
    closing.start()
    while not store._writer._closing:
        pass
    with pytest.raises(StoreClosed):
        store.submit(putting("too late"))
    held.go.set()
    closing.join(30)
    assert all(future.result(0) == 1 for future in futures)
    assert len(named(open_here())) == 700


def test_one_that_is_cancelled_while_it_waits_is_not_run(store: Store) -> None:
    held = Held(store)
    kept, cancelled = store.submit(putting("kept")), store.submit(putting("cancelled"))
    assert cancelled.cancel()
    held.go.set()
    assert kept.result(20) == 1
    assert named(store) == ["kept"]
    held = Held(store)
    alone = store.submit(putting("alone"))
    assert alone.cancel()
    held.go.set()
    store.write(putting("last"))
    assert named(store) == ["kept", "last"]


def test_a_full_disk_is_told_and_the_store_goes_on_when_there_is_room(sqlite_url: str) -> None:
    with open_store(sqlite_url) as store:
        store.write(putting("first"))
        most = store.write(lambda c: c.exec_driver_sql("PRAGMA page_count").scalar())

        def limit(pages: int):
            return lambda c: c.exec_driver_sql(f"PRAGMA max_page_count={pages}").scalar()

        store.write(limit(most + 2))
        big = "v" * 20_000
        held = Held(store)
        futures = [
            store.submit(lambda c, i=i: insert_new(c, facts, [{"name": f"b{i}", "value": big}])) for i in range(4)
        ]
        held.go.set()
        wait(futures, timeout=20)
        for future in futures:
            assert isinstance(future.exception(), StoreUnavailable)
            assert str(future.exception()) == "the disk is full"
        assert named(store) == ["first"]
        store.write(limit(most + 10_000))
        assert store.write(lambda c: insert_new(c, facts, [{"name": "b", "value": big}])) == 1
        assert named(store) == ["b", "first"]


LIMITED = """
import resource, sys
from crisis_filter.errors import StoreUnavailable
from crisis_filter.store.opening import open_store
from tests.store.scenes import KEYS, balanced, received, taken
with open_store(sys.argv[1], keys=KEYS) as store:
    taken(store, received(0))
    most = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, most))
    kept, refused = 1, 0
    for number in range(1, 60):
        try:
            taken(store, received(number, text="w" * 9000))
            kept += 1
        except StoreUnavailable:
            refused += 1
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    taken(store, received(99))
    assert balanced(store)
    found = store.read(lambda c: c.exec_driver_sql("SELECT count(*) FROM messages").scalar())
    print(kept + 1 == found, kept > 3, refused > 3)
"""


def test_a_file_system_without_room_is_told_and_what_was_acknowledged_stays(sqlite_url: str) -> None:
    """Row 56 of the fault catalogue, by the limit on a file's size."""
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, sqlite_url], capture_output=True, text=True, timeout=60, check=False, cwd=ROOT
    )
    assert done.stdout == "True True True\n", done.stderr


def test_a_file_that_another_process_holds_is_waited_for(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crisis_filter.store.engines._BUSY_S", 0.05)
    with open_store(sqlite_url, limits=QUICK) as store:
        store.write(putting("first"))
        with_it = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
        with_it.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="another process keeps the file locked"):
            store.write(putting("second"))
        held = store.submit(putting("third"))
        with_it.execute("ROLLBACK")
        with_it.close()
        assert held.result(20) == 1
        assert named(store) == ["first", "third"]


@pytest.mark.system
def test_a_lost_connection_is_made_anew(postgres_url: str) -> None:
    """Also where it is lost inside a function, after that had written."""
    from sqlalchemy import text

    from tests.store.scenes import KEYS

    with open_store(postgres_url, keys=KEYS) as store:
        met: list[Any] = []

        def loses(connection: Connection) -> int:
            made = insert_new(connection, facts, [{"name": "lost", "value": "v"}])
            if not met:
                met.append(1)
                store.read(lambda c: c.scalar(select(func.count()).select_from(facts)))
                mine = connection.scalar(text("SELECT pg_backend_pid()"))
                with store.engine.connect() as other:
                    other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": mine})
            connection.execute(text("SELECT 1"))
            return made

        assert store.write(loses) == 1
        assert named(store) == ["lost"]


def test_a_crash_point_before_and_after_each_commit(open_here: OpenStore) -> None:
    seen: list[str] = []
    store = open_here(crash=seen.append)
    store.gather(PUT, "a").result(20)
    store.submit(putting("b"), point="other").result(20)
    assert seen == ["put:before_commit", "put:after_commit", "other:before_commit", "other:after_commit"]


def test_a_commit_whose_answer_was_lost_is_done_again_and_written_once(open_here: OpenStore) -> None:
    lost = [True, False]

    def crash(point: str) -> None:
        if point == "put:after_commit" and lost.pop():
            raise OperationalError("", None, sqlite3.OperationalError("gone"))

    store = open_here(crash=crash)
    lost.reverse()
    assert store.gather(PUT, "a").result(20) == 1
    assert lost == []
    assert named(store) == ["a"]
