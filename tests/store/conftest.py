"""A store for each test: an SQLite file, and under the marker `system` a database on a real PostgreSQL server."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from crisis_filter.store.engines import make_engine, make_file, store_url
from crisis_filter.store.opening import Store, open_store
from crisis_filter.store.upgrading import upgrade
from tests.store.postgres import Server, with_tables
from tests.store.scenes import KEYS, Clock

_NUMBERS = count()
DATABASES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.system)]
OpenStore = Callable[..., Store]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """One server for all tests; `template` holds the tables."""
    with with_tables("template") as server:
        yield server


@pytest.fixture(scope="session")
def empty_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that holds the tables and nothing else, to be copied."""
    path = tmp_path_factory.mktemp("empty") / "empty.db"
    address = store_url(str(path))
    make_file(address)
    engine = make_engine(address)
    upgrade(engine, "empty")
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    engine.dispose()
    return path


@pytest.fixture
def sqlite_url(tmp_path: Path, empty_sqlite: Path) -> str:
    """A new SQLite store."""
    path = tmp_path / "store.db"
    shutil.copy(empty_sqlite, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgres_url(postgres: Server) -> str:
    """A new PostgreSQL store."""
    return postgres.make(f"store_{next(_NUMBERS)}", "template")


@pytest.fixture(params=DATABASES)
def store_address(request: pytest.FixtureRequest) -> str:
    """A new store on either."""
    return request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")


@pytest.fixture
def clock() -> Clock:
    """A clock that stands until it is moved."""
    return Clock()


@pytest.fixture
def open_here(store_address: str, clock: Clock) -> Iterator[OpenStore]:
    """Opens the test's store, as often as wanted; closes all in the end."""
    opened: list[Store] = []

    def opening(**options: Any) -> Store:
        made = open_store(store_address, **{"keys": KEYS, "clock": clock, **options})
        opened.append(made)
        return made

    yield opening
    for one in opened:
        one.close()


@pytest.fixture
def store(open_here: OpenStore) -> Store:
    """An open store with keys, under the test's clock."""
    return open_here()
