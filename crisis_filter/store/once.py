"""One transaction by itself, for commands that need neither keys nor a writer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from crisis_filter.store.engines import shown
from crisis_filter.store.opening import reading
from crisis_filter.store.upgrading import in_our_words
from crisis_filter.store.writer import WRITES

__all__ = ["read_once", "write_once"]

T = TypeVar("T")


def read_once(engine: Engine, function: Callable[[Connection], T]) -> T:
    """Run a function that writes nothing; it sees one moment's state.

    Raises:
        StoreUnavailable: the database cannot be reached.
        StoreError: it refused.
    """
    try:
        with reading(engine) as connection:
            return function(connection)
    except SQLAlchemyError as error:
        raise in_our_words(error, shown(engine.url)) from None


def write_once(engine: Engine, function: Callable[[Connection], T]) -> T:
    """Run a function and commit. It is not tried again: after an error it may or may not have happened.

    Raises:
        StoreUnavailable: the database cannot be reached.
        StoreError: it refused.
    """
    try:
        with engine.connect().execution_options(**WRITES) as connection, connection.begin():
            return function(connection)
    except SQLAlchemyError as error:
        raise in_our_words(error, shown(engine.url)) from None
