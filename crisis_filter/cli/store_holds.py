"""`crisis-filter store hold`, `store release` and `store holds`: what nobody may delete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from crisis_filter.cli.options import AsJson
from crisis_filter.cli.show import plain
from crisis_filter.cli.store_acting import SubjectFrom, Tenant, operator, subject_in
from crisis_filter.cli.store_options import KeysFile, StoreUrl, opened_store
from crisis_filter.cli.trouble import putting_out, say, told
from crisis_filter.errors import InputError

if TYPE_CHECKING:
    from crisis_filter.store.opening import Store


def hold(
    url: StoreUrl,
    reason: Annotated[str, typer.Option(show_default=False, help="Such as the number of the case.")],
    keys: KeysFile = None,
    tenant: Tenant = "default",
    subject_from: SubjectFrom = None,
    message: Annotated[str | None, typer.Option(show_default=False, help="Our id of a message.")] = None,
) -> None:
    """Put a legal hold on a message, or on all that a person has written and will write; prints its id.

    Exit status: 0 done; 2 neither or both were named, or there is no such message; 5 the store cannot be opened.
    """
    with told():
        subject = subject_in(subject_from)
        if (subject is None) == (message is None):
            raise InputError("name --message ID or --subject-from FILE")
        with opened_store(url, keys) as opened:
            made = _hold(opened, tenant, subject, message, reason)
        with putting_out():
            typer.echo(made)


def _hold(opened: Store, tenant: str, subject: str | None, message: str | None, reason: str) -> str:
    from crisis_filter.store.holds import HoldKind
    from crisis_filter.store.holds import hold as held

    made, by = opened.new_id(), operator(tenant, "store hold")
    kind: HoldKind = "message" if subject is None else "subject"
    value = subject if subject is not None else str(message)
    opened.write(
        lambda connection: held(
            connection, opened.keys, by, kind, value, reason=reason, hold_id=made, now_ms=opened.clock()
        )
    )
    return made


def release(
    hold_id: Annotated[str, typer.Argument(metavar="HOLD", show_default=False, help="Its id; holds shows it.")],
    url: StoreUrl,
    keys: KeysFile = None,
    tenant: Tenant = "default",
) -> None:
    """End a legal hold.

    Exit status: 0 done, or it was ended before; 2 there is no such hold; 5 the store cannot be opened.
    """
    with told(), opened_store(url, keys) as opened:
        from crisis_filter.store.holds import end_hold

        by = operator(tenant, "store release")
        if not opened.write(lambda connection: end_hold(connection, by, hold_id, now_ms=opened.clock())):
            raise InputError("there is no such hold of this tenant")
        say("released")


def list_holds(url: StoreUrl, keys: KeysFile = None, tenant: Tenant = "default", as_json: AsJson = False) -> None:
    """Show the legal holds of a tenant, the oldest first."""
    with told(), opened_store(url, keys) as opened:
        from crisis_filter.store.holds import listed

        found = opened.read(lambda connection: listed(connection, tenant=tenant))
        with putting_out():
            for each in found:
                state = "on" if each.ended_ms is None else "ended"
                what = each.message_id or "a person"
                line = plain(f"{each.id}  {state}  {what}  {each.reason}")
                typer.echo(each.model_dump_json() if as_json else line)
        if not found:
            say("there are no holds")
