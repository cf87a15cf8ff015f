"""`crisis-filter ledger`: what came into a store, what became of it, and whether every count agrees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from crisis_filter.cli.options import AsJson
from crisis_filter.cli.show import plain, stdout_console
from crisis_filter.cli.store_options import StoreUrl, opened_engine
from crisis_filter.cli.trouble import INTERNAL, putting_out, told

if TYPE_CHECKING:
    from rich.console import Console

    from crisis_filter.store.ledger import Account


def ledger(
    store: StoreUrl,
    tenant: Annotated[
        str | None,
        typer.Option(show_default=False, help="This tenant's account alone (default: all together, then each)."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Count everything in a store where it lies, and hold each count against the others, for each tenant and in all.

    Exit status: 0 every equation holds; 1 one does not; 5 the store cannot be opened.
    """
    with told(), opened_engine(store) as engine:
        from crisis_filter.store.ledger import ledger as count
        from crisis_filter.store.opening import reading

        with reading(engine) as connection:
            found = count(connection, tenant=tenant)
        with putting_out():
            if as_json:
                typer.echo(found.model_dump_json())
            else:
                console = stdout_console()
                for account in found.accounts:
                    _show(console, account)
        if not found.balanced:
            raise typer.Exit(INTERNAL)


def _show(console: Console, account: Account) -> None:
    console.print(plain("all together" if account.tenant is None else f"tenant {account.tenant}"), soft_wrap=True)
    for equation in account.equations:
        if not equation.parts and equation.holds:
            continue  # nothing lacks anything: told in one line below
        mark = "holds" if equation.holds else "DOES NOT HOLD"
        parts = " + ".join(f"{value:,}" for value in equation.parts.values()) or f"{equation.right:,}"
        console.print(plain(f"  {mark}: {equation.words} ({equation.left:,} = {parts})"), soft_wrap=True)
    whole = sum(equation.holds for equation in account.equations if not equation.parts)
    console.print(plain(f"  holds: nothing lacks its other half ({whole:,} counts of 0)"), soft_wrap=True)
