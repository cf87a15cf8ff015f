"""A store opens where its tables are of this version; else it says what to type."""

from __future__ import annotations

import logging
import os
import sqlite3
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from sqlalchemy import delete, insert, select, text, update

from crisis_filter.errors import ConfigurationError, StoreClosed, StoreError, StoreSchemaError, StoreUnavailable
from crisis_filter.store.engines import make_engine, shown, store_url
from crisis_filter.store.opening import Store, open_store
from crisis_filter.store.tables import facts, metadata
from crisis_filter.store.upgrading import migration_context, newest, schema_state, upgrade
from tests.store.conftest import OpenStore
from tests.store.postgres import Server
from tests.store.scenes import KEYS, balanced, received, taken


def test_the_steps_come_to_the_tables_that_the_code_describes(store: Store) -> None:
    with store.engine.connect() as connection:
        assert compare_metadata(migration_context(connection), metadata) == []
        assert schema_state(connection).state == "newest"


def test_a_difference_would_be_seen(store: Store) -> None:
    """So that the test above can fail."""
    with store.engine.begin() as connection:
        connection.execute(text("ALTER TABLE messages ADD COLUMN another INTEGER"))
        assert len(compare_metadata(migration_context(connection), metadata)) == 1


def test_a_file_that_is_not_there_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    old = os.umask(0)
    try:
        with open_store(f"sqlite:///{path}") as store:
            taken(store, received())
            assert balanced(store)
            assert {p.name for p in tmp_path.iterdir()} == {"new.db", "new.db-wal", "new.db-shm", "new.db.pseudonyms"}
            assert {stat.S_IMODE(p.stat().st_mode) for p in tmp_path.iterdir()} == {0o600}
    finally:
        os.umask(old)


def test_many_at_once_make_one_file(tmp_path: Path) -> None:
    """Processes as well as threads; whoever comes second finds the tables."""
    url = f"sqlite:///{tmp_path / 'new.db'}"
    code = f"from crisis_filter.store.opening import open_store; open_store({url!r}).close()"
    children = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    with ThreadPoolExecutor(4) as pool:
        for store in pool.map(lambda _: open_store(url), range(4)):
            store.close()
    assert [child.wait(timeout=60) for child in children] == [0, 0]
    with open_store(url) as store:
        assert balanced(store)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sqlite://", "needs a file"),
        ("sqlite:///:memory:", "needs a file"),
        ("mysql://somebody@host/name", "takes sqlite"),
        ("://", "takes sqlite"),
        ("sqlite:////nowhere/at/all/store.db", "cannot be made"),
    ],
)
def test_an_address_that_is_none(url: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        open_store(url)


def test_an_address_is_shown_without_its_password() -> None:
    url = store_url("postgresql://somebody:secret@127.0.0.1:1/name")
    assert shown(url) == "postgresql://somebody:***@127.0.0.1:1/name"
    with pytest.raises(StoreUnavailable) as caught:
        open_store("postgresql://somebody:secret@127.0.0.1:1/name", keys=KEYS)
    assert "secret" not in str(caught.value)


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "letter.db"
    path.write_bytes(b"Dear all, " * 900)
    with pytest.raises(StoreError, match="DatabaseError"):
        open_store(str(path))
    assert path.read_bytes() == b"Dear all, " * 900


def test_another_programs_tables_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "theirs.db"
    with sqlite3.connect(path) as theirs:
        theirs.execute("CREATE TABLE letters (id INTEGER)")
    theirs.close()
    for attempt in (lambda: open_store(str(path)), lambda: upgrade(make_engine(store_url(str(path))), "it")):
        with pytest.raises(StoreSchemaError, match="of another program"):
            attempt()


def test_tables_of_a_newer_version_are_left_alone(open_here: OpenStore, store_address: str) -> None:
    with open_here() as store, store.engine.begin() as connection:
        connection.execute(text("UPDATE crisis_filter_version SET version_num = '9999'"))
    with pytest.raises(StoreSchemaError, match="newer crisis-filter than this one; type: pip install --upgrade"):
        open_here()
    engine = make_engine(store_url(store_address))
    with pytest.raises(StoreSchemaError, match="at 9999, of a newer"):
        upgrade(engine, "it")
    engine.dispose()


def test_stale_tables_are_refused_with_the_command_to_type(open_here: OpenStore, store_address: str) -> None:
    with open_here() as store, store.engine.begin() as connection:
        connection.execute(text("DELETE FROM crisis_filter_version"))
    with pytest.raises(StoreSchemaError) as caught:
        open_here()
    assert f"crisis-filter db upgrade --store {shown(store_url(store_address))}" in str(caught.value)
    assert isinstance(caught.value, ConfigurationError)


@pytest.mark.system
def test_an_empty_postgresql_database_is_never_filled_by_itself(postgres: Server) -> None:
    url = postgres.make("nothing_yet")
    with pytest.raises(
        StoreSchemaError, match="holds no tables yet; type: crisis-filter db upgrade --store postgresql"
    ):
        open_store(url, keys=KEYS)
    engine = make_engine(store_url(url))
    with engine.connect() as connection:
        assert schema_state(connection).state == "empty"
    with ThreadPoolExecutor(3) as pool:
        assert {found.at for found in pool.map(lambda _: upgrade(engine, url), range(3))} == {newest()}
    engine.dispose()
    open_store(url, keys=KEYS).close()


@pytest.mark.system
def test_postgresql_keeps_what_is_acknowledged_whatever_its_settings(postgres: Server) -> None:
    url = postgres.make("careless", "template")
    engine = make_engine(store_url(url))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ALTER DATABASE careless SET synchronous_commit TO off"))
    engine.dispose()
    with open_store(url, keys=KEYS) as store:
        assert store.write(lambda c: c.scalar(text("SHOW synchronous_commit"))) == "on"


@pytest.mark.system
def test_postgresql_needs_keys(postgres: Server) -> None:
    with pytest.raises(ConfigurationError, match="store keygen"):
        open_store(postgres.make("keyless", "template"))


@pytest.mark.system
def test_a_read_writes_nothing_on_postgresql(postgres_url: str) -> None:
    with open_store(postgres_url, keys=KEYS) as store:
        with pytest.raises(StoreError, match=r"25006|may only be read"):
            store.read(lambda c: c.execute(insert(facts).values(name="n", value="v")))


def test_sqlite_is_durable_and_strict(sqlite_url: str) -> None:
    with open_store(sqlite_url) as store:

        def asked(connection):
            names = ("journal_mode", "synchronous", "foreign_keys", "secure_delete", "busy_timeout")
            return {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names}

        for found in (store.read(asked), store.write(asked)):
            assert found == {
                "journal_mode": "wal",
                "synchronous": 2,
                "foreign_keys": 1,
                "secure_delete": 1,
                "busy_timeout": 10_000,
            }


def test_a_writer_on_sqlite_has_the_file_from_its_beginning(sqlite_url: str) -> None:
    """One that read first and wrote then would be turned away where another had written in between."""
    with open_store(sqlite_url) as store:

        def other_may_write(_) -> bool:
            other = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), timeout=0, isolation_level=None)
            try:
                other.execute("BEGIN IMMEDIATE")
                return True
            except sqlite3.OperationalError:
                return False
            finally:
                other.close()

        assert store.write(other_may_write) is False
        assert store.read(other_may_write) is True


def test_other_keys_for_pseudonyms_are_refused(open_here: OpenStore) -> None:
    from crisis_filter.store.keyring import Keyring

    open_here().close()
    with pytest.raises(ConfigurationError, match="pseudonyms"):
        open_here(keys=Keyring(current=None, keys={}, pseudonym_key=b"q" * 32))


def test_reads_see_one_moment(open_here: OpenStore) -> None:
    """Also while another writes."""
    store, other = open_here(), open_here()
    store.write(lambda c: c.execute(insert(facts).values(name="n", value="before")))

    def twice(connection):
        seen = [connection.scalar(select(facts.c.value).where(facts.c.name == "n"))]
        other.write(lambda c: c.execute(update(facts).where(facts.c.name == "n").values(value="after")))
        return [*seen, connection.scalar(select(facts.c.value).where(facts.c.name == "n"))]

    assert store.read(twice) == ["before", "before"]
    assert store.read(lambda c: c.scalar(select(facts.c.value).where(facts.c.name == "n"))) == "after"


def test_closed_is_closed(open_here: OpenStore) -> None:
    store = open_here()
    assert store.alive
    store.close()
    store.close()
    assert not store.alive
    with pytest.raises(StoreClosed):
        store.write(lambda c: c.execute(delete(facts)))


def test_words_of_a_row_never_come_out_in_an_error(store: Store) -> None:
    """Neither by SQLAlchemy, which would show parameters, nor by PostgreSQL, which shows the failing row."""
    canary = "canary words of a message"
    row = {"name": canary, "value": None}
    for attempt in (
        lambda: store.write(lambda c: c.execute(insert(facts).values(row))),
        lambda: store.read(lambda c: c.execute(text("SELECT no_such_thing, :value"), {"value": canary})),
    ):
        with pytest.raises(StoreError) as caught:
            attempt()
        assert canary not in str(caught.value)
        assert caught.value.__suppress_context__
    assert "secret" not in repr(store)


def test_rows_are_never_logged(store: Store, store_address: str, caplog: pytest.LogCaptureFixture) -> None:
    """Though a process logs everything: where no key seals texts, a row holds one."""
    canary = "canary words of a row"
    wanted = select(facts.c.name).where(facts.c.value == "1")
    store.write(lambda c: c.execute(insert(facts).values(name=canary, value="1")))
    engine = make_engine(store_url(store_address))
    with caplog.at_level(logging.DEBUG, logger=""), caplog.at_level(logging.DEBUG, logger="sqlalchemy.engine"):
        with engine.connect() as connection:
            assert connection.scalar(wanted) == canary
    engine.dispose()
    assert "SELECT" in caplog.text
    assert canary not in caplog.text
