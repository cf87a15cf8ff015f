"""`crisis-filter db`: the tables of a store."""

from __future__ import annotations

import typer

from crisis_filter.cli.options import AsJson
from crisis_filter.cli.show import plain, stdout_console
from crisis_filter.cli.store_options import StoreUrl, with_the_extra
from crisis_filter.cli.trouble import INTERNAL, putting_out, told
from crisis_filter.cli.usage import Commands
from crisis_filter.cli.wording import counted

db = typer.Typer(
    name="db", cls=Commands, no_args_is_help=True, help="The tables of a store: bring them up to date, or check them."
)


@db.command("upgrade")
def upgrade(store: StoreUrl, as_json: AsJson = False) -> None:
    """Bring the tables to this version: all steps in one transaction, or none. Make a backup before.

    Exit status: 0 done, or nothing was to be done; 5 the tables are of a newer version or of another program; 1 the database failed.
    """
    with told():
        with with_the_extra():
            from crisis_filter.store.engines import make_engine, make_file, shown, store_url
            from crisis_filter.store.upgrading import upgrade as bring_up

        address = store_url(store)
        make_file(address)
        engine = make_engine(address)
        try:
            found = bring_up(engine, shown(address))
        finally:
            engine.dispose()
        with putting_out():
            if as_json:
                typer.echo(found.model_dump_json())
            else:
                stdout_console().print(plain(f"the tables are at {found.at}, the newest"), soft_wrap=True)


@db.command("check")
def check(store: StoreUrl, as_json: AsJson = False) -> None:
    """Tell whether the tables are those of this version and whole; of PostgreSQL only the first, it sees to the second itself.

    Exit status: 0 both; 1 the database is damaged or cannot be reached; 5 the tables are others, with the command to type.
    """
    with told():
        with with_the_extra():
            from crisis_filter.store.engines import make_engine, require_file, shown, store_url
            from crisis_filter.store.upgrading import inspected, require_newest

        address = store_url(store)
        require_file(address)
        engine = make_engine(address)
        try:
            found, damages = inspected(engine, shown(address))
        finally:
            engine.dispose()
        require_newest(found, shown(address))
        with putting_out():
            if as_json:
                typer.echo(found.model_copy(update={"damages": damages}).model_dump_json())
            elif damages:
                stdout_console().print(
                    plain(f"DAMAGED: the database reports {counted(damages, 'fault')}; restore a backup"),
                    soft_wrap=True,
                )
            else:
                stdout_console().print(plain(f"the tables are at {found.at}, the newest, and whole"), soft_wrap=True)
        if damages:
            raise typer.Exit(INTERNAL)
