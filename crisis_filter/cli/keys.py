"""`crisis-filter keys`: keys by which programs come in."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, cast

import typer

from crisis_filter.cli.options import AsJson
from crisis_filter.cli.show import plain, stdout_console
from crisis_filter.cli.store_acting import operator
from crisis_filter.cli.store_options import StoreUrl, opened_engine
from crisis_filter.cli.trouble import putting_out, say, told
from crisis_filter.cli.usage import Commands
from crisis_filter.errors import InputError

if TYPE_CHECKING:
    from crisis_filter.store.api_keys import ApiKey
    from crisis_filter.store.records import Scope

_DAY_MS = 24 * 3600 * 1000

keys = typer.Typer(
    name="keys", cls=Commands, no_args_is_help=True, help="Keys by which programs come in: make, list, revoke."
)


@keys.command("create")
def create(
    store: StoreUrl,
    name: Annotated[str, typer.Option(show_default=False, help="Of the program, for people.")],
    scope: Annotated[
        list[str],
        typer.Option(
            show_default=False,
            help="classify, review, supervise, export, admin, audit or text (to see messages); may be repeated.",
        ),
    ],
    tenant: Annotated[str, typer.Option(help="Whose messages it opens.")] = "default",
    per_minute: Annotated[
        int | None, typer.Option(min=1, show_default=False, help="Most requests a minute (default: the service's).")
    ] = None,
    days: Annotated[
        int | None, typer.Option(min=1, max=36_500, show_default=False, help="How long it opens (default: for good).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and show it: once, it cannot be shown again.

    Exit status: 0 done; 2 a scope or a name is none; 5 the store cannot be opened.
    """
    with told(), opened_engine(store) as engine:
        from crisis_filter.store.api_keys import create as made
        from crisis_filter.store.api_keys import draw
        from crisis_filter.store.once import write_once
        from crisis_filter.store.opening import now_ms

        new, now, by = draw(), now_ms(), operator(tenant, "keys create")
        write_once(
            engine,
            lambda connection: made(
                connection,
                by,
                new,
                tenant=tenant,
                name=name,
                scopes=cast("list[Scope]", scope),
                now_ms=now,
                per_minute=per_minute,
                expires_ms=None if days is None else now + days * _DAY_MS,
            ),
        )
        with putting_out():
            typer.echo(json.dumps({"id": new.id, "key": new.presented}) if as_json else new.presented)
        say("keep the key: it is not shown again")


@keys.command("list")
def list_keys(
    store: StoreUrl,
    tenant: Annotated[str | None, typer.Option(show_default=False, help="Only of this tenant.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show all keys but their secrets, the oldest first."""
    with told(), opened_engine(store) as engine:
        from crisis_filter.store.api_keys import listed
        from crisis_filter.store.once import read_once
        from crisis_filter.store.opening import now_ms

        found = read_once(engine, lambda connection: listed(connection, tenant=tenant))
        with putting_out():
            for key in found:
                if as_json:
                    typer.echo(key.model_dump_json())
                else:
                    stdout_console().print(plain(_line(key, now_ms())), soft_wrap=True)
        if not found:
            say("there are no keys")


@keys.command("revoke")
def revoke(
    key: Annotated[str, typer.Argument(metavar="ID", show_default=False, help="What stands before the dot.")],
    store: StoreUrl,
) -> None:
    """Let a key open nothing more. A service that runs hears of it within five seconds.

    Exit status: 0 done, or it was revoked before; 2 there is no such key; 5 the store cannot be opened.
    """
    with told(), opened_engine(store) as engine:
        from crisis_filter.store.api_keys import revoke as revoked
        from crisis_filter.store.once import write_once
        from crisis_filter.store.opening import now_ms

        # Somebody may give the whole key; its secret goes no further.
        key_id, by = key.partition(".")[0], operator("all", "keys revoke")
        if not write_once(engine, lambda connection: revoked(connection, by, key_id, now_ms=now_ms())):
            raise InputError("there is no such key; crisis-filter keys list shows them")
        say("revoked")


def _line(key: ApiKey, now_ms: int) -> str:
    state = "revoked" if key.revoked_ms is not None else "opens"
    if state == "opens" and key.expires_ms is not None:
        days = (key.expires_ms - now_ms) / _DAY_MS
        state = f"opens for {days:,.1f} days" if days > 0 else "expired"
    limit = f", {key.per_minute:,} a minute" if key.per_minute is not None else ""
    return f"{key.id}  {state}  {key.tenant}  {key.name}  {', '.join(key.scopes)}{limit}"
