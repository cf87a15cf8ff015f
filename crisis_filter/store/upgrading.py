"""Which version a database's tables are of, and bringing them to the newest."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Literal

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from crisis_filter.errors import StoreError, StoreSchemaError, StoreUnavailable
from crisis_filter.schema import Record
from crisis_filter.store.tables import metadata
from crisis_filter.store.writer import WRITES, trouble_of, without_words

__all__ = [
    "VERSION_TABLE",
    "SchemaState",
    "in_our_words",
    "inspected",
    "migration_context",
    "newest",
    "require_newest",
    "schema_state",
    "upgrade",
]

VERSION_TABLE = "crisis_filter_version"
"""Names the step that the tables are at."""
_FOLDER = Path(__file__).parent / "migrations"
_LOCK = 0x63726973
"""Of PostgreSQL's advisory locks: one process upgrades at a time."""


class SchemaState(Record):
    """What a database holds."""

    state: Literal["newest", "stale", "empty", "newer", "foreign"]
    """`newer`: by a later version of this package. `foreign`: tables, but not ours."""
    at: str | None
    """The step that its tables are at; `None` where it has none of ours."""
    newest: str
    """The newest step that this version knows."""
    damages: int = 0
    """Faults that the database itself reports, where it was asked."""


@cache
def _scripts() -> ScriptDirectory:
    return ScriptDirectory(str(_FOLDER))


def newest() -> str:
    """The newest step that this version knows."""
    head = _scripts().get_current_head()
    if head is None:
        raise StoreSchemaError("this installation holds no steps for the tables: install crisis-filter again")
    return head


def migration_context(connection: Connection) -> MigrationContext:
    """Alembic's view of a connection."""
    opts: dict[str, Any] = {"version_table": VERSION_TABLE, "target_metadata": metadata, "compare_type": True}
    return MigrationContext.configure(connection, opts=opts)


def schema_state(connection: Connection) -> SchemaState:
    """What the database holds; changes nothing."""
    names = set(inspect(connection).get_table_names())
    if VERSION_TABLE not in names:
        return SchemaState(state="foreign" if names else "empty", at=None, newest=newest())
    at = migration_context(connection).get_current_revision()
    if at is None:
        return SchemaState(state="stale" if names - {VERSION_TABLE} else "empty", at=None, newest=newest())
    if at == newest():
        return SchemaState(state="newest", at=at, newest=newest())
    known = {script.revision for script in _scripts().walk_revisions()}
    return SchemaState(state="stale" if at in known else "newer", at=at, newest=newest())


def require_newest(found: SchemaState, shown: str) -> None:
    """Refuse all but tables of this version.

    Args:
        found: what the database holds.
        shown: the address of the database without its password, as the user would type it.

    Raises:
        StoreSchemaError: says what to type.
    """
    type_this = f"type: crisis-filter db upgrade --store {shown}"
    match found.state:
        case "newest":
            return
        case "empty":
            raise StoreSchemaError(f"{shown}: holds no tables yet; {type_this}")
        case "stale":
            raise StoreSchemaError(
                f"{shown}: its tables are at {found.at}, this version needs {found.newest}; make a backup, then {type_this}"
            )
        case "newer":
            raise StoreSchemaError(
                f"{shown}: its tables are at {found.at}, of a newer crisis-filter than this one; type: pip install --upgrade crisis-filter"
            )
        case "foreign":
            raise StoreSchemaError(
                f"{shown}: holds tables of another program; give crisis-filter a database of its own"
            )


def upgrade(engine: Engine, shown: str) -> SchemaState:
    """Bring the tables to the newest step, all steps in one transaction. Does nothing where they are.

    Args:
        engine: of the database.
        shown: its address without the password.

    Raises:
        StoreSchemaError: the tables are newer, or another program's.
        StoreUnavailable: the database cannot be reached or has no room.
    """
    try:
        with engine.connect().execution_options(**WRITES) as connection, connection.begin():
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            found = schema_state(connection)
            if found.state in {"newer", "foreign"}:
                require_newest(found, shown)
            _run_steps(connection, found)
            return schema_state(connection)
    except SQLAlchemyError as error:
        raise in_our_words(error, shown) from None


def inspected(engine: Engine, shown: str) -> tuple[SchemaState, int]:
    """What a database holds, and how many faults it reports of itself: SQLite's pages, indexes and foreign keys; changes nothing.

    Args:
        engine: of the database.
        shown: its address without the password.

    Raises:
        StoreUnavailable: it cannot be reached.
        StoreError: it is no database.
    """
    try:
        with engine.connect() as connection, connection.begin():
            found = schema_state(connection)
            damages = 0
            if connection.dialect.name == "sqlite":
                told = connection.exec_driver_sql("PRAGMA integrity_check").scalars().all()
                damages = sum(line != "ok" for line in told)
                damages += len(connection.exec_driver_sql("PRAGMA foreign_key_check").all())
            return found, damages
    except SQLAlchemyError as error:
        raise in_our_words(error, shown) from None


def in_our_words(error: SQLAlchemyError, shown: str) -> StoreError:
    """An error of ours in place of the database's; `StoreUnavailable` where it cannot be reached, is locked or has no room."""
    trouble = trouble_of(error)
    return StoreUnavailable(f"{shown}: {trouble.words}") if trouble else StoreError(f"{shown}: {without_words(error)}")


def _run_steps(connection: Connection, found: SchemaState) -> None:
    context = migration_context(connection)
    steps = list(_scripts().iterate_revisions("head", found.at or "base"))
    with Operations.context(context):
        for step in reversed(steps):
            if step.module is not None and step.revision != found.at:
                step.module.upgrade()
                context.stamp(_scripts(), step.revision)
