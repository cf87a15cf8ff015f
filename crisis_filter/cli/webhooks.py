"""`crisis-filter webhooks`: who is told of decisions, what could not be delivered, and sending it again."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from crisis_filter.cli.options import AsJson
from crisis_filter.cli.show import plain, stdout_console
from crisis_filter.cli.store_acting import operator
from crisis_filter.cli.store_options import KeysFile, StoreUrl, opened_store, with_the_extra
from crisis_filter.cli.trouble import NOT_PASSED, putting_out, say, told
from crisis_filter.cli.usage import Commands
from crisis_filter.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from crisis_filter.delivery.addresses import Reach
    from crisis_filter.delivery.sending import Answer
    from crisis_filter.store.audit import Action
    from crisis_filter.store.opening import Connection, Store
    from crisis_filter.store.outbox import Replayed

T = TypeVar("T")
_REACH = "Reach"
_LOOKUP_S = 10.0

webhooks = typer.Typer(
    name="webhooks",
    cls=Commands,
    no_args_is_help=True,
    help="Who is told of decisions, what could not be delivered, and sending it again.",
)

Tenant = Annotated[str, typer.Option(help="Whose webhooks.")]
EndpointId = Annotated[str, typer.Argument(metavar="ENDPOINT", show_default=False, help="Its id; list shows it.")]
OfEndpoint = Annotated[str | None, typer.Option("--endpoint", metavar="ENDPOINT", help="Of this endpoint alone.")]
Ports = Annotated[
    list[int] | None,
    typer.Option(
        "--allow-port", min=1, max=65535, rich_help_panel=_REACH, help="Beside 443 and 8443; may be repeated."
    ),
]
AllowedNetworks = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-network",
        metavar="CIDR",
        rich_help_panel=_REACH,
        help="An internal network that may be reached; may be repeated. The service needs the same.",
    ),
]
LoopbackHttp = Annotated[
    bool,
    typer.Option(
        "--loopback-http", rich_help_panel=_REACH, help="Take http:// to this machine, for tests and demonstrations."
    ),
]


@webhooks.command("add")
def add(
    url: Annotated[str, typer.Argument(metavar="URL", show_default=False, help="https://host/path of the receiver.")],
    store: StoreUrl,
    keys: KeysFile = None,
    tenant: Tenant = "default",
    kind: Annotated[
        list[str] | None,
        typer.Option(
            help="What it is told of: assessment.crisis, assessment.undetermined, assessment.no_crisis, review.crisis, review.undetermined, review.no_crisis, item.escalated, or * for all; may be repeated "
            "(default: assessment.crisis, assessment.undetermined, review.crisis and item.escalated)."
        ),
    ] = None,
    allow_port: Ports = None,
    allow_network: AllowedNetworks = None,
    loopback_http: LoopbackHttp = False,
    as_json: AsJson = False,
) -> None:
    """Register a receiver, and show the secret that signs what it gets: once, it cannot be shown again.

    The address is checked now and again before each sending: https, a usual port, and public addresses only.

    Exit status: 0 done; 2 the address or a kind is refused; 5 configuration.
    """
    with told(), with_the_extra():
        from crisis_filter.delivery.signing import new_secret
        from crisis_filter.store.endpoints import register

        asyncio.run(_checked(url, _reach(allow_port, allow_network, loopback_http=loopback_http)))
        with opened_store(store, keys) as opened:
            made, secret, now_ms = opened.new_id(), new_secret(), opened.clock()
            wanted = kind or ["assessment.crisis", "assessment.undetermined", "review.crisis", "item.escalated"]
            new = partial(
                register,
                keys=opened.keys,
                endpoint_id=made,
                tenant=tenant,
                url=url,
                kinds=wanted,
                secrets=[secret],
                now_ms=now_ms,
            )
            _write(opened, new, tenant, "endpoint_create", made)
            _show_secret(made, secret, as_json=as_json)


@webhooks.command("list")
def list_endpoints(store: StoreUrl, keys: KeysFile = None, tenant: Tenant = "default", as_json: AsJson = False) -> None:
    """Show the receivers of a tenant, and how the outbox stands."""
    with told(), with_the_extra():
        from crisis_filter.store.endpoints import endpoints_of
        from crisis_filter.store.outbox import counts

        with opened_store(store, keys) as opened:
            found = opened.read(lambda connection: endpoints_of(connection, tenant))
            stand = opened.read(lambda connection: counts(connection, tenant))
        with putting_out():
            if as_json:
                for each in found:
                    typer.echo(each.model_dump_json())
                return
            console = stdout_console()
            for each in found:
                state = f"disabled ({each.why_disabled})" if each.disabled_ms is not None else "enabled"
                console.print(plain(f"{each.id}  {state}  {', '.join(each.kinds)}  {each.url}"), soft_wrap=True)
            console.print(f"outbox: {stand.pending:,} pending, {stand.delivered:,} delivered, {stand.dead:,} dead")


@webhooks.command("disable")
def disable_endpoint(endpoint: EndpointId, store: StoreUrl, keys: KeysFile = None, tenant: Tenant = "default") -> None:
    """Tell a receiver nothing more. What waits for it is dead, and can be replayed once it is enabled again."""
    with told(), with_the_extra():
        from crisis_filter.store.endpoints import disable

        with opened_store(store, keys) as opened:
            end = partial(disable, tenant=tenant, endpoint_id=endpoint, why="operator", now_ms=opened.clock())
            say(f"disabled; {_write(opened, end, tenant, 'endpoint_disable', endpoint):,} that waited are dead")


@webhooks.command("enable")
def enable_endpoint(endpoint: EndpointId, store: StoreUrl, keys: KeysFile = None, tenant: Tenant = "default") -> None:
    """Tell a disabled receiver again, of what happens from now on; `replay --endpoint` sends what is dead."""
    with told(), with_the_extra():
        from crisis_filter.store.endpoints import enable

        with opened_store(store, keys) as opened:
            again = partial(enable, tenant=tenant, endpoint_id=endpoint)
            _write(opened, again, tenant, "endpoint_change", endpoint)
        say("enabled")


@webhooks.command("rotate")
def rotate(
    endpoint: EndpointId,
    store: StoreUrl,
    keys: KeysFile = None,
    tenant: Tenant = "default",
    finish: Annotated[bool, typer.Option("--finish", help="Sign by the newest secret alone.")] = False,
    as_json: AsJson = False,
) -> None:
    """Sign by a new secret and by the one before it, until the receiver knows the new one; then again with --finish."""
    with told(), with_the_extra():
        from crisis_filter.delivery.signing import new_secret
        from crisis_filter.store.endpoints import change_secret

        with opened_store(store, keys) as opened:
            new = None if finish else new_secret()
            change = partial(change_secret, keys=opened.keys, tenant=tenant, endpoint_id=endpoint, new=new)
            _write(opened, change, tenant, "endpoint_change", endpoint)
        if new is None:
            say("the newest secret alone signs now")
        else:
            _show_secret(endpoint, new, as_json=as_json)


@webhooks.command("test")
def try_endpoint(
    endpoint: EndpointId,
    store: StoreUrl,
    keys: KeysFile = None,
    tenant: Tenant = "default",
    allow_port: Ports = None,
    allow_network: AllowedNetworks = None,
    loopback_http: LoopbackHttp = False,
) -> None:
    """Send one signed webhook of the kind `webhook.test`, once, and say what the receiver answered.

    Exit status: 0 it took it; 4 it did not; 2 there is no such endpoint; 5 configuration.
    """
    with told(), with_the_extra():
        reach = _reach(allow_port, allow_network, loopback_http=loopback_http)
        with opened_store(store, keys) as opened:
            answer = asyncio.run(_try(opened, tenant, endpoint, reach))
        say(f"{'delivered' if answer.delivered else 'not delivered'}: {answer.result}")
        if not answer.delivered:
            raise typer.Exit(NOT_PASSED)


@webhooks.command("dead")
def show_dead(
    store: StoreUrl,
    keys: KeysFile = None,
    tenant: Tenant = "default",
    endpoint: OfEndpoint = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Show what was given up, the latest first."""
    with told(), with_the_extra():
        from crisis_filter.store.outbox import dead

        with opened_store(store, keys) as opened:
            found = opened.read(lambda connection: dead(connection, tenant, endpoint_id=endpoint, limit=limit))
        with putting_out():
            for each in found:
                line = f"{each.id}  {each.endpoint_id}  {each.kind}  {each.attempts} attempts  {each.last_result}"
                typer.echo(each.model_dump_json() if as_json else plain(line))
        say(f"{len(found):,} shown" if found else "nothing is dead")


@webhooks.command("replay")
def replay_rows(
    store: StoreUrl,
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", show_default=False, help="Webhooks, dead or delivered.")
    ] = None,
    keys: KeysFile = None,
    tenant: Tenant = "default",
    dead: Annotated[bool, typer.Option("--dead", help="All that are dead.")] = False,
    endpoint: OfEndpoint = None,
) -> None:
    """Send again, from the first attempt on and under the same ids.

    Exit status: 0 done; 2 nothing was named, or nothing of it can be sent again; 5 configuration.
    """
    with told(), with_the_extra():
        from crisis_filter.store.outbox import replay

        if bool(ids) == (dead or endpoint is not None):
            raise InputError("name webhooks by their ids, or give --dead or --endpoint ENDPOINT")
        with opened_store(store, keys) as opened:
            again = partial(replay, tenant=tenant, now_ms=opened.clock(), row_ids=ids or None, endpoint_id=endpoint)
            done: Replayed = _write(opened, again, tenant, "replay", endpoint or "all")
        say(f"{done.replayed:,} are sent again; {done.disabled:,} left, because their endpoint is disabled")
        if ids and done.replayed < len(set(ids)):
            raise InputError(f"{len(set(ids)) - done.replayed:,} of {len(set(ids)):,} cannot be sent again")


def _write(store: Store, change: Callable[[Connection], T], tenant: str, action: Action, endpoint: str) -> T:
    """Make a change, and write down in the same transaction that an operator made it."""
    from crisis_filter.store.audit import Entry, append

    entry = Entry.of(operator(tenant, "webhooks"), action, f"endpoint:{endpoint}")

    def both(connection: Connection) -> T:
        done = change(connection)
        append(connection, entry, store.clock())
        return done

    return store.write(both)


def _reach(ports: Sequence[int] | None, allowed: Sequence[str] | None, *, loopback_http: bool) -> Reach:
    from crisis_filter.delivery.addresses import PORTS, Reach, networks

    return Reach(ports=PORTS.union(ports or ()), networks=networks(allowed or ()), loopback_http=loopback_http)


async def _checked(url: str, reach: Reach) -> None:
    """Refuse what would be refused at each sending.

    Raises:
        TargetError: it is.
        InputError: its name is not resolved in time.
    """
    from crisis_filter.delivery.targets import SystemResolver, locate, read_url

    resolver = SystemResolver(threads=1)
    try:
        async with asyncio.timeout(_LOOKUP_S):
            await locate(read_url(url, reach), reach, resolver)
    except TimeoutError:
        raise InputError("the address of the webhook is refused: its name is not resolved in time") from None
    finally:
        resolver.close()


async def _try(store: Store, tenant: str, endpoint_id: str, reach: Reach) -> Answer:
    from crisis_filter.delivery.sending import Sender
    from crisis_filter.delivery.signing import signed
    from crisis_filter.delivery.targets import SystemResolver
    from crisis_filter.store.endpoints import endpoint, secrets_of

    to = store.read(lambda connection: endpoint(connection, tenant, endpoint_id))
    secrets = store.read(lambda connection: secrets_of(connection, store.keys, tenant, endpoint_id))
    now_ms, webhook_id = store.clock(), store.new_id()
    payload = json.dumps({"id": webhook_id, "kind": "webhook.test"}, separators=(",", ":"))
    resolver = SystemResolver(threads=1)
    try:
        headers = signed(secrets, webhook_id, payload, now_ms=now_ms)
        return await Sender(reach, resolver).send(to.url, headers, payload.encode())
    finally:
        resolver.close()


def _show_secret(endpoint_id: str, secret: str, *, as_json: bool) -> None:
    with putting_out():
        if as_json:
            typer.echo(json.dumps({"id": endpoint_id, "secret": secret}))
        else:
            typer.echo(f"endpoint  {endpoint_id}\nsecret    {secret}")
    say("keep the secret: it is not shown again")
