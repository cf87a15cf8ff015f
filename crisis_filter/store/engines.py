"""Where a store lies, and an engine on it: what both databases are told so that they keep what they commit and show nobody a row."""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from crisis_filter.errors import ConfigurationError

__all__ = ["URL", "make_engine", "make_file", "require_file", "shown", "store_url"]

_BUSY_S = 10.0
"""How long SQLite waits for another process to end its transaction."""
_TURN_S = 0.0005
_READERS = 8
_LOGGED_AS = "crisis-filter"
"""Sets what our engines log apart from what others of the same process do."""


def store_url(url: str) -> URL:
    """The address of a store: `sqlite:///FILE` or `postgresql://USER@HOST/NAME`; a bare path is an SQLite file.

    Raises:
        ConfigurationError: it is neither, or an SQLite database without a file.
    """
    try:
        made = make_url(url if "://" in url else f"sqlite:///{url}")
    except ArgumentError:
        raise ConfigurationError("--store takes sqlite:///FILE or postgresql://USER@HOST/NAME") from None
    name = made.get_backend_name()
    if name == "sqlite":
        if not made.database or made.database == ":memory:" or made.database.startswith("file:"):
            raise ConfigurationError("--store: an SQLite store needs a file: sqlite:///FILE")
        return made.set(drivername="sqlite+pysqlite")
    if name in {"postgresql", "postgres"}:
        return made.set(drivername="postgresql+psycopg")
    raise ConfigurationError("--store takes sqlite:///FILE or postgresql://USER@HOST/NAME")


def shown(url: URL) -> str:
    """An address as the user would type it, without its password."""
    return url.set(drivername=url.get_backend_name()).render_as_string(hide_password=True)


def make_file(address: URL) -> None:
    """Make an SQLite file, readable by its owner alone, where there is none; its tables come later.

    Raises:
        ConfigurationError: it cannot be made.
    """
    if address.get_backend_name() != "sqlite":
        return
    path = Path(str(address.database))
    try:
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be made: {error.strerror}") from None


def require_file(address: URL) -> None:
    """Refuse an SQLite file that does not exist, rather than look at an empty one.

    Raises:
        ConfigurationError: it does not exist.
    """
    if address.get_backend_name() == "sqlite" and not Path(str(address.database)).is_file():
        raise ConfigurationError(f"{shown(address)}: there is no such file; --store sqlite:///FILE names one")


def make_engine(url: URL) -> Engine:
    """An engine whose connections keep what they commit, and whose errors show no values.

    Raises:
        ConfigurationError: the driver is not installed.
    """
    settings: dict[str, Any] = {"hide_parameters": True, "pool_size": _READERS, "max_overflow": _READERS}
    settings["logging_name"] = _LOGGED_AS
    # At DEBUG SQLAlchemy logs every row that it reads: texts, where no key seals them. A filter stays when somebody sets levels.
    logging.getLogger(f"sqlalchemy.engine.Engine.{_LOGGED_AS}").addFilter(_without_rows)
    try:
        if url.get_backend_name() == "sqlite":
            engine = create_engine(url, connect_args={"timeout": _BUSY_S}, **settings)
        else:
            # A server that is gone is noticed in seconds, also when it says nothing more.
            connect = {"connect_timeout": 5, "keepalives_idle": 10, "keepalives_interval": 3, "keepalives_count": 3}
            engine = create_engine(url, connect_args=connect, pool_pre_ping=True, **settings)
    except ImportError:
        raise ConfigurationError(
            "the driver for PostgreSQL is missing: pip install 'crisis-filter[service,postgres]'"
        ) from None
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _sqlite_opened)
        event.listen(engine, "begin", _sqlite_begun)
    else:
        event.listen(engine, "connect", _postgresql_opened)
    return engine


def _without_rows(record: logging.LogRecord) -> bool:
    return record.levelno > logging.DEBUG


def _sqlite_opened(raw: Any, _: object) -> None:
    raw.isolation_level = None  # the driver would begin transactions of its own, and too late
    cursor = raw.cursor()
    try:
        if cursor.execute("PRAGMA journal_mode=WAL").fetchone()[0] != "wal":
            raise ConfigurationError("--store: this file system cannot keep an SQLite store; take another folder")
        for pragma in ("synchronous=FULL", "foreign_keys=ON", "secure_delete=ON", "temp_store=MEMORY"):
            cursor.execute(f"PRAGMA {pragma}")
    finally:
        cursor.close()


def _sqlite_begun(connection: Connection) -> None:
    # A transaction that reads first and writes then would fail where another wrote in between.
    if connection.get_execution_options().get("writes"):
        _wait_for_turn(connection)
    else:
        connection.exec_driver_sql("BEGIN")


def _wait_for_turn(connection: Connection) -> None:
    """Begin to write as soon as no other process does.

    SQLite's own waiting sleeps longer each time, a tenth of a second in the end, so that of two busy processes one starves.
    """
    raw: Any = connection.connection.driver_connection
    until = time.monotonic() + _BUSY_S
    raw.execute("PRAGMA busy_timeout=0")
    try:
        while True:
            try:
                raw.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                    break
            time.sleep(_TURN_S)
    finally:
        raw.execute(f"PRAGMA busy_timeout={int(1000 * _BUSY_S)}")
    connection.exec_driver_sql("BEGIN IMMEDIATE")  # once more, for an error in SQLAlchemy's words


def _postgresql_opened(raw: Any, _: object) -> None:
    # What the role or the database says otherwise must not loosen what was acknowledged.
    with raw.cursor() as cursor:
        cursor.execute("SET synchronous_commit TO ON")
        cursor.execute("SET idle_in_transaction_session_timeout TO '60s'")
    raw.commit()
