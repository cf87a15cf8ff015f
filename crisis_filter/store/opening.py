"""A store: a database with its keys and its clock, opened where its tables are of this version."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Self, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from crisis_filter.errors import ConfigurationError, StoreUnavailable
from crisis_filter.store.crash import Crash, no_crash
from crisis_filter.store.engines import make_engine, make_file, require_file, shown, store_url
from crisis_filter.store.key_files import keep_to_keys, keyring_beside
from crisis_filter.store.keyring import Keyring
from crisis_filter.store.records import Entropy, new_id
from crisis_filter.store.upgrading import in_our_words, require_newest, schema_state, upgrade
from crisis_filter.store.writer import WRITES, Bulk, Writer, WriterLimits, trouble_of, without_words

__all__ = [
    "Connection",
    "Engine",
    "Store",
    "now_ms",
    "open_engine",
    "open_store",
    "reading",
]

T = TypeVar("T")
ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

_OPENINGS = 50
_BETWEEN_OPENINGS_S = 0.1


def now_ms() -> int:
    """Milliseconds since 1970 in UTC, by the machine's clock."""
    return time.time_ns() // 1_000_000


class Store:
    """An open database. Any thread may use it.

    Attributes:
        url: its address without the password.
        engine: SQLAlchemy's engine, for what writes nothing.
        keys: what texts are sealed under and pseudonyms are made by.
        clock: now, in milliseconds since 1970.
        entropy: where ids come from.
        crash: for tests.
    """

    def __init__(
        self,
        engine: Engine,
        keys: Keyring,
        *,
        clock: Callable[[], int] = now_ms,
        entropy: Entropy = secrets.token_bytes,
        limits: WriterLimits | None = None,
        crash: Crash = no_crash,
    ) -> None:
        self.url = shown(engine.url)
        self.engine, self.keys, self.clock, self.entropy, self.crash = engine, keys, clock, entropy, crash
        self._limits = limits or WriterLimits()
        self._writer: Writer[Store] = Writer(engine, self, self._limits, crash=crash)

    def __repr__(self) -> str:
        return f"Store({self.url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def waiting(self) -> int:
        """How many functions wait for the writer; near `WriterLimits.most_waiting` the next is refused."""
        return self._writer.waiting

    @property
    def alive(self) -> bool:
        """Whether anything can still be written; false once it is closed."""
        return self._writer.alive

    def new_id(self, at_ms: int | None = None) -> str:
        """An id that nothing else has."""
        return new_id(self.clock() if at_ms is None else at_ms, self.entropy)

    def submit(self, function: Callable[[Connection], T], *, point: str | None = None) -> Future[T]:
        """Hand a function to the writer; the future is done once its transaction is committed, or it failed.

        The function must be one of the connection and its own arguments, and safe to be run twice: it is run again when another in its
        transaction failed, or when the answer to a commit was lost. Functions handed over without waiting may change places.

        Args:
            function: what to run.
            point: the name of its crash points.

        Raises:
            StoreBusy: too many wait; at once, and nothing was taken.
            StoreClosed: the store is being closed.
        """
        return self._writer.submit(function, point=point)

    def gather(self, bulk: Bulk[Store, ItemT, ResultT], item: ItemT) -> Future[ResultT]:
        """Hand over one caller's part of what is done for many at once, such as `intake.ACCEPT`; raises as `submit` does."""
        return self._writer.gather(bulk, item)

    def write(self, function: Callable[[Connection], T], *, point: str | None = None) -> T:
        """Run a function in a transaction, and return when that is committed.

        Raises:
            StoreUnavailable: the database is gone or has no room.
            StoreError: the database refused.
        """
        return self.submit(function, point=point).result()

    def read(self, function: Callable[[Connection], T]) -> T:
        """Run a function that writes nothing, on a connection of its own; it sees one moment's state.

        Raises:
            StoreUnavailable: the database stayed away.
            StoreError: the database refused.
        """
        until, wait = time.monotonic() + self._limits.patience_s, self._limits.first_wait_s
        while True:
            try:
                with reading(self.engine) as connection:
                    return function(connection)
            except SQLAlchemyError as error:
                trouble = trouble_of(error)
                if trouble is None:
                    raise without_words(error) from None
                if not trouble.again or time.monotonic() >= until:
                    raise StoreUnavailable(f"{self.url}: {trouble.words}") from None
            time.sleep(wait)
            wait = min(2 * wait, self._limits.longest_wait_s)

    def close(self) -> None:
        """Do what waits, take nothing more and end. May be called twice."""
        self._writer.close()
        self.engine.dispose()


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection that sees one moment's state and, on PostgreSQL, can write nothing."""
    with engine.connect() as connection, connection.begin():
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield connection


def open_store(
    url: str,
    *,
    keys: Keyring | None = None,
    clock: Callable[[], int] = now_ms,
    entropy: Entropy = secrets.token_bytes,
    limits: WriterLimits | None = None,
    crash: Crash = no_crash,
) -> Store:
    """Open a store. An SQLite file that does not exist is made, readable by its owner alone; PostgreSQL is never changed.

    Args:
        url: as `store_url` takes it.
        keys: what texts are sealed under. `None` leaves them open, and makes pseudonyms by a key beside the SQLite file; for PostgreSQL keys
            have to be given.
        clock: now, in milliseconds since 1970.
        entropy: where ids come from.
        limits: of the writer.
        crash: for tests.

    Raises:
        StoreSchemaError: the tables are not those of this version; says what to type.
        StoreUnavailable: the database cannot be reached.
        ConfigurationError: the address is none, a driver is missing, keys are missing.
        StoreError: it is no database.
    """
    engine = open_engine(url)
    try:
        ring = keys or _keys_beside(engine.url, entropy)
        with _in_our_words(engine), engine.connect().execution_options(**WRITES) as connection, connection.begin():
            keep_to_keys(connection, ring)
    except BaseException:
        engine.dispose()
        raise
    return Store(engine, ring, clock=clock, entropy=entropy, limits=limits, crash=crash)


def open_engine(url: str, *, make: bool = True) -> Engine:
    """An engine on a database whose tables are of this version, for what needs no keys; else as `open_store`.

    Args:
        url: as `store_url` takes it.
        make: whether an SQLite file that does not exist is made.

    Raises:
        StoreSchemaError: the tables are not those of this version; says what to type.
        StoreUnavailable: the database cannot be reached.
        ConfigurationError: the address is none, or a driver is missing.
        StoreError: it is no database.
    """
    address = store_url(url)
    engine = make_engine(address)
    try:
        if make:
            make_file(address)
        else:
            require_file(address)
        for left in reversed(range(_OPENINGS)):
            try:
                with _in_our_words(engine):
                    _see_to_tables(engine)
                break
            except StoreUnavailable:
                # Of two processes that make one SQLite file, one finds it locked without having waited.
                if not left or engine.dialect.name != "sqlite":
                    raise
                time.sleep(_BETWEEN_OPENINGS_S)
    except BaseException:
        engine.dispose()
        raise
    return engine


def _see_to_tables(engine: Engine) -> None:
    with engine.connect() as connection:
        found = schema_state(connection)
    if found.state == "empty" and engine.dialect.name == "sqlite":
        found = upgrade(engine, shown(engine.url))
    require_newest(found, shown(engine.url))


@contextmanager
def _in_our_words(engine: Engine) -> Iterator[None]:
    """Turn the database's errors into ours.

    Raises:
        StoreUnavailable: it cannot be reached.
        StoreError: it refused, or is no database.
    """
    try:
        yield
    except SQLAlchemyError as error:
        raise in_our_words(error, shown(engine.url)) from None


def _keys_beside(address: URL, entropy: Entropy) -> Keyring:
    if address.get_backend_name() != "sqlite":
        raise ConfigurationError("a store on PostgreSQL needs keys: crisis-filter store keygen FILE, then --keys FILE")
    return keyring_beside(Path(str(address.database)), entropy=entropy)
