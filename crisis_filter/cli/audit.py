"""`crisis-filter audit`: who looked at what and did what, and whether the rows that say so are as they were written."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from crisis_filter.cli.options import AsJson
from crisis_filter.cli.show import plain, stdout_console
from crisis_filter.cli.store_acting import operator
from crisis_filter.cli.store_options import StoreUrl, opened_engine
from crisis_filter.cli.trouble import INTERNAL, putting_out, say, told
from crisis_filter.cli.usage import Commands
from crisis_filter.errors import InputError, StoreError

if TYPE_CHECKING:
    from crisis_filter.store.audit import Action, Written
    from crisis_filter.store.opening import Engine

_SHOWN = 100

audit = typer.Typer(
    name="audit",
    cls=Commands,
    no_args_is_help=True,
    help="Who looked at what and did what, and whether the rows that say so are as they were written.",
)


@audit.command("verify")
def verify(
    store: StoreUrl,
    against: Annotated[
        str | None,
        typer.Option(metavar="SEQ:HASH", show_default=False, help="A head that audit head printed earlier."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Read every row of the audit and name the first that was edited, removed, put in or moved.

    Whoever may write to the database can make the whole chain anew. That shows only against a head that was kept elsewhere: print one with
    `audit head` every day, keep it where the owner of the database cannot change it, and name the latest one here.

    Exit status: 0 all is as it was written; 1 it is not; 2 the head given is none; 5 the store cannot be opened.
    """
    with told(), opened_engine(store) as engine:
        from crisis_filter.store.audit import Head
        from crisis_filter.store.audit_verify import verify as verified
        from crisis_filter.store.once import read_once

        kept = None if against is None else Head.parse(against)
        found = read_once(engine, lambda connection: verified(connection, kept))
        with putting_out():
            if as_json:
                typer.echo(found.model_dump_json())
            elif found.flaw is None:
                beside = "and hold against the head that was kept" if kept is not None else "(no head to hold against)"
                stdout_console().print(
                    plain(f"{found.rows:,} rows are as they were written {beside}; head {found.head}"), soft_wrap=True
                )
            else:
                words = f"row {found.flaw.seq}: {found.flaw.how.upper()}: {found.flaw.words}"
                stdout_console().print(plain(words), soft_wrap=True)
        if found.flaw is not None:
            raise typer.Exit(INTERNAL)


@audit.command("head")
def show_head(store: StoreUrl) -> None:
    """Print the end of the chain, SEQ:HASH, to be kept elsewhere.

    Exit status: 0 printed; 1 nothing was ever written, or the note of it is gone; 5 the store cannot be opened.
    """
    with told(), opened_engine(store) as engine:
        from crisis_filter.store.audit import head
        from crisis_filter.store.once import read_once

        found = read_once(engine, head)
        if found is None:
            say("the audit has no head: nothing was written, or the note of it is gone; audit verify says which")
            raise typer.Exit(INTERNAL)
        with putting_out():
            typer.echo(str(found))


@audit.command("show")
def show(
    store: StoreUrl,
    tenant: Annotated[str | None, typer.Option(show_default=False, help="Only of this tenant.")] = None,
    actor: Annotated[str | None, typer.Option(show_default=False, help="Only of this actor.")] = None,
    action: Annotated[str | None, typer.Option(show_default=False, help="Only this, such as view.")] = None,
    since: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], show_default=False, help="Only from this day on, in UTC.")
    ] = None,
    last: Annotated[
        int | None,
        typer.Option(min=1, show_default=False, help=f"Only so many, the newest (default: {_SHOWN}; with --json all)."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show rows of the audit in their order. Looking at it stands in it afterwards; with --json, hashes included, as an export."""
    with told(), opened_engine(store) as engine:
        from crisis_filter.store.audit import ACTIONS
        from crisis_filter.store.audit import show as shown
        from crisis_filter.store.once import read_once

        wanted = next((known for known in ACTIONS if known == action), None)
        if action is not None and wanted is None:
            raise InputError(f"--action is one of {', '.join(ACTIONS)}")
        _looked(engine, tenant or "all", "export" if as_json else "view")
        since_ms = None if since is None else int(since.replace(tzinfo=UTC).timestamp() * 1000)
        most = last if last is not None or as_json else _SHOWN
        with putting_out():

            def put(connection: object) -> None:
                found = shown(  # batch by batch: an audit is as long as the store is old
                    connection,  # type: ignore[arg-type]  # the library is not imported here
                    tenant=tenant,
                    actor=actor,
                    action=wanted,
                    since_ms=since_ms,
                    last=most,
                )
                for row in found:
                    typer.echo(row.model_dump_json() if as_json else _line(row))

            read_once(engine, put)


def _looked(engine: Engine, tenant: str, action: Action) -> None:
    from crisis_filter.store.audit import Entry, append
    from crisis_filter.store.once import write_once
    from crisis_filter.store.opening import now_ms

    entry = Entry.of(operator(tenant, "audit show"), action, "audit:rows")
    try:
        write_once(engine, lambda connection: append(connection, entry, now_ms()))
    except StoreError as error:
        # A damaged audit has to be looked at most of all.
        say(f"that you looked is not written down: {error}")


def _line(row: Written) -> str:
    at = datetime.fromtimestamp(row.at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    more = "  ".join(filter(None, (row.reason, row.origin)))
    result = "" if row.result == "done" else f"  {row.result.upper()}"
    return plain(f"{row.seq:>8}  {at}  {row.tenant}  {row.actor}  {row.action}{result}  {row.object}  {more}".rstrip())
