"""Statements that SQLite and PostgreSQL both take, compiled once and given to the driver as they are.

SQLAlchemy writes the statements. What it does besides for each of them when it executes one costs more than SQLite takes to do it, and
nothing of it is needed here: both drivers take and give strings, numbers and bytes as they are, and booleans where only truth is asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, Executable, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql import ClauseElement

__all__ = ["change", "each", "each_in", "insert_new", "insert_rows", "plain_in", "update_in"]

_MOST = 512
"""Values in one statement; SQLite takes 32,766."""


class _Made(NamedTuple):
    sql: str
    order: tuple[str, ...] | None
    """Of the parameters, where the driver takes them by place."""
    fixed: dict[str, Any]
    """Values that stand in the statement itself."""

    def given(self, parameters: dict[str, Any]) -> Any:
        whole = {**self.fixed, **parameters} if self.fixed else parameters
        return whole if self.order is None else [whole[name] for name in self.order]


_LIST = "__[POSTCOMPILE_values]"
"""What SQLAlchemy writes where a list goes."""
_DIALECTS: dict[str, Any] = {"sqlite": sqlite.dialect(), "postgresql": postgresql.psycopg.dialect()}  # type: ignore[no-untyped-call]


def _made(statement: Any, dialect: str, **options: Any) -> _Made:
    compiled = statement.compile(dialect=_DIALECTS[dialect], **options)
    order = compiled.positiontup
    fixed = {name: bound.value for name, bound in compiled.binds.items() if not bound.required}
    return _Made(str(compiled), None if order is None else tuple(order), fixed)


@lru_cache(maxsize=64)
def _insert(dialect: str, table: Table, columns: tuple[str, ...], *, new: bool) -> _Made:
    statement: Any = (postgresql if dialect == "postgresql" else sqlite).insert(table).values(dict.fromkeys(columns))
    if new:
        statement = statement.on_conflict_do_nothing()
    return _made(statement, dialect, column_keys=list(columns))._replace(fixed={})


@lru_cache(maxsize=512)
def _compiled(dialect: str, statement: ClauseElement, count: int) -> _Made:
    """With room for so many values, named `values_0` and so on; 0 where it takes no list."""
    made = _made(statement, dialect)
    if not count:
        return made
    names = tuple(f"values_{place}" for place in range(count))
    marks = ", ".join("?" if made.order is not None else f"%({name})s" for name in names)
    order = None
    if made.order is not None:
        place = made.order.index("values")
        order = (*made.order[:place], *names, *made.order[place + 1 :])
    return _Made(made.sql.replace(_LIST, marks), order, made.fixed)


def _cursor(connection: Connection, made: _Made, parameters: Any, *, many: bool = False) -> Any:
    cursor = connection.connection.cursor()
    try:
        (cursor.executemany if many else cursor.execute)(made.sql, parameters)
    except connection.dialect.loaded_dbapi.Error as error:
        cursor.close()
        raise DBAPIError.instance(
            None, None, error, connection.dialect.loaded_dbapi.Error, hide_parameters=True, dialect=connection.dialect
        ) from None
    return cursor


def insert_rows(connection: Connection, table: Table, rows: Sequence[dict[str, Any]], *, new: bool = False) -> int:
    """Insert rows, all with the same columns; none is allowed. Gives how many were inserted."""
    if not rows:
        return 0
    made, one = _insert(connection.dialect.name, table, tuple(rows[0]), new=new), len(rows) == 1
    cursor = _cursor(connection, made, made.given(rows[0]) if one else [made.given(row) for row in rows], many=not one)
    try:
        return int(cursor.rowcount)
    finally:
        cursor.close()


def insert_new(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> int:
    """Insert rows, but for those that any unique key of the table has already. Which those were is asked for afterwards.

    Args:
        connection: in a transaction.
        table: where to.
        rows: all with the same columns; none is allowed. In the order of a unique key, or two writers may wait for each other.

    Returns:
        How many were inserted.
    """
    return insert_rows(connection, table, rows, new=True)


def each(connection: Connection, statement: ClauseElement, **parameters: Any) -> list[tuple[Any, ...]]:
    """The rows of a statement, with a value for each parameter."""
    made = _compiled(connection.dialect.name, statement, 0)
    cursor = _cursor(connection, made, made.given(parameters))
    try:
        return list(cursor.fetchall())
    finally:
        cursor.close()


def change(connection: Connection, statement: ClauseElement, **parameters: Any) -> int:
    """Execute a statement that gives no rows; gives how many rows it changed."""
    made = _compiled(connection.dialect.name, statement, 0)
    cursor = _cursor(connection, made, made.given(parameters))
    try:
        return int(cursor.rowcount)
    finally:
        cursor.close()


def each_in(connection: Connection, statement: Executable, values: Sequence[str], **others: Any) -> Iterator[Any]:
    """The rows of a statement with `bindparam("values", expanding=True)`, for any number of values, with the names of their columns.

    Args:
        connection: where to ask.
        statement: asks for rows with one of the values.
        values: any number, none included.
        others: further parameters of the statement.
    """
    for padded in _padded(values):
        yield from connection.execute(statement, {"values": padded, **others})


def plain_in(
    connection: Connection, statement: ClauseElement, values: Sequence[str], **others: Any
) -> list[tuple[Any, ...]]:
    """Likewise as plain tuples, at a fifth of the cost.

    Args:
        connection: where to ask.
        statement: asks for rows with one of the values.
        values: any number, none included.
        others: further parameters of the statement.
    """
    rows: list[tuple[Any, ...]] = []
    for cursor in _over(connection, statement, values, others):
        rows += cursor.fetchall()
    return rows


def update_in(connection: Connection, statement: ClauseElement, values: Sequence[str], **others: Any) -> int:
    """Likewise for an update that gives no rows; gives how many it changed."""
    return sum(cursor.rowcount for cursor in _over(connection, statement, values, others))


def _over(
    connection: Connection, statement: ClauseElement, values: Sequence[str], others: dict[str, Any]
) -> Iterator[Any]:
    for padded in _padded(values):
        made = _compiled(connection.dialect.name, statement, len(padded))
        named = {f"values_{place}": value for place, value in enumerate(padded)}
        cursor = _cursor(connection, made, made.given({**named, **others}))
        try:
            yield cursor
        finally:
            cursor.close()


def _padded(values: Sequence[str]) -> Iterator[list[str]]:
    """In parts, each filled up with its last value to a power of two: a statement of a known length is prepared already."""
    for start in range(0, len(values), _MOST):
        part = list(values[start : start + _MOST])
        yield part + part[-1:] * ((1 << (len(part) - 1).bit_length()) - len(part))
