"""`crisis-filter queue`: reading what waits, from a terminal."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crisis_filter.cli.options import AsJson
from crisis_filter.cli.queue_acting import (
    As,
    ClaimMinutes,
    ItemId,
    PolicyName,
    Queues,
    at,
    decide_by_id,
    opened_item,
    policy_of,
    protocols_of,
    rules_of,
    said,
    take,
)
from crisis_filter.cli.queue_answers import draft, note_in, refuse_unknown
from crisis_filter.cli.queue_figures import export, show_second_readings
from crisis_filter.cli.show import stdout_console
from crisis_filter.cli.store_acting import Tenant
from crisis_filter.cli.store_options import KeysFile, StoreUrl
from crisis_filter.cli.trouble import putting_out, say, told
from crisis_filter.cli.usage import Commands
from crisis_filter.cli.wording import counted

if TYPE_CHECKING:
    from crisis_filter.store.queue_records import Decided, View

queue = typer.Typer(
    name="queue",
    cls=Commands,
    no_args_is_help=True,
    help="Read what waits for a person: the most urgent first, one at a time.",
)


@queue.command("board")
def show_queue(
    store: StoreUrl, who: As, keys: KeysFile = None, tenant: Tenant = "default", as_json: AsJson = False
) -> None:
    """Show how the queue stands: counts, longest waits, outages, and how much each reader has read. No message.

    Exit status: 0 done; 5 the store cannot be opened.
    """
    with at(store, keys, who, tenant, "board", "supervise") as (opened, actor):
        from crisis_filter.cli.queue_show import show_board
        from crisis_filter.store.queue_board import board

        found = opened.read(partial(board, actor=actor, now_ms=opened.clock()))
        with putting_out():
            if as_json:
                typer.echo(found.model_dump_json())
            else:
                show_board(found, stdout_console())


@queue.command("incidents")
def show_outages(
    store: StoreUrl, who: As, keys: KeysFile = None, tenant: Tenant = "default", as_json: AsJson = False
) -> None:
    """Show outages: how many messages each left undetermined, how many are left, how many are likely crises."""
    with at(store, keys, who, tenant, "incidents", "supervise") as (opened, actor):
        from crisis_filter.cli.queue_show import show_incidents
        from crisis_filter.store.queue_incidents import incident_lines

        now = opened.clock()
        found = opened.read(partial(incident_lines, tenant=actor.tenant, now_ms=now))
        with putting_out():
            for line in found if as_json else ():
                typer.echo(line.model_dump_json())
            if not as_json:
                show_incidents(found, stdout_console(), now)
                if not found:
                    typer.echo("no outage is open, and none has anything left")


@queue.command("next")
def take_next(
    store: StoreUrl,
    who: As,
    keys: KeysFile = None,
    tenant: Tenant = "default",
    queues: Queues = None,
    claim_minutes: ClaimMinutes = 10,
    as_json: AsJson = False,
) -> None:
    """Take the most urgent item, or the one that you hold already. Nobody else gets it for a while.

    Exit status: 0 done, also where nothing waits; 5 the store cannot be opened.
    """
    with at(store, keys, who, tenant, "next", "review") as (opened, actor):
        from crisis_filter.cli.queue_show import show_item

        item = take(opened, actor, queues, claim_minutes)
        with putting_out():
            if as_json:
                typer.echo("null" if item is None else item.model_dump_json())
            elif item is None:
                typer.echo("nothing waits that you may have")
            else:
                typer.echo(item.id)
                show_item(item, stdout_console(), opened.clock())


@queue.command("show")
def show_one(
    item: ItemId,
    store: StoreUrl,
    who: As,
    keys: KeysFile = None,
    tenant: Tenant = "default",
    policy: PolicyName = None,
    text: Annotated[bool, typer.Option("--text", help="Uncover the words of the message.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="All of it as JSON, with the words.")] = False,
) -> None:
    """Open an item that you hold: the message, covered unless --text, and what was said of it. Opening is in the audit.

    Exit status: 0 done; 4 it is not yours; 5 the store cannot be opened.
    """
    with at(store, keys, who, tenant, "show", "review", "text") as (opened, actor):
        from crisis_filter.cli.queue_show import show_item, show_view

        found = opened_item(opened, actor, item)
        protocol = protocols_of(policy_of(policy))
        with putting_out():
            if as_json:
                typer.echo(_dumped(found))
                return
            console = stdout_console()
            disposition = found.assessment.disposition if found.assessment else None
            show_item(found.item, console, opened.clock())
            show_view(found, console, open_text=text, protocol=protocol(disposition.protocol if disposition else None))


@queue.command("decide")
def decide_one(
    item: ItemId,
    says: Annotated[
        str,
        typer.Argument(
            metavar="ANSWER", show_default=False, help="accept, crisis, not-crisis, undetermined or escalate."
        ),
    ],
    store: StoreUrl,
    who: As,
    keys: KeysFile = None,
    tenant: Tenant = "default",
    policy: PolicyName = None,
    category: Annotated[
        list[str] | None, typer.Option(show_default=False, help="Kind of a crisis; may be repeated.")
    ] = None,
    reason: Annotated[
        str | None, typer.Option(show_default=False, help="Why, where the answer is another than was said.")
    ] = None,
    to: Annotated[str | None, typer.Option(show_default=False, help="Queue, of escalate.")] = None,
    revision: Annotated[
        int | None,
        typer.Option(
            show_default=False, help="Of the decision that you saw; needed where the item was judged more than once."
        ),
    ] = None,
    note_from: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            show_default=False,
            help="File with a note, sealed like the text; - for the standard input. It is no option itself, because command lines are kept.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Answer an item that you hold. Your word is final for every detector.

    Exit status: 0 done, also where you had said the same before; 2 the answer is none; 4 refused; 5 configuration.
    """
    with told():
        answer = draft(says, category, reason, to, note_in(note_from))
        with at(store, keys, who, tenant, "decide", "review", "text") as (opened, actor):
            pack = policy_of(policy)
            refuse_unknown(pack, answer)
            answered = decide_by_id(opened, actor, rules_of(pack), item, answer, revision)
            with putting_out():
                if as_json:
                    typer.echo(answered.model_dump_json(exclude={"raised"}))
                else:
                    typer.echo(_done(answered))


@queue.command("release")
def give_back(item: ItemId, store: StoreUrl, who: As, keys: KeysFile = None, tenant: Tenant = "default") -> None:
    """Give an item back unread, so that nobody has to wait for your time with it to run out.

    Exit status: 0 done; 4 it is not yours; 5 the store cannot be opened.
    """
    with at(store, keys, who, tenant, "release", "review") as (opened, actor):
        from crisis_filter.store.queue import release

        opened.write(partial(release, actor=actor, item_id=item, now_ms=opened.clock()))
        say("given back")


@queue.command("work")
def work_through(
    store: StoreUrl,
    who: As,
    keys: KeysFile = None,
    tenant: Tenant = "default",
    policy: PolicyName = None,
    queues: Queues = None,
    claim_minutes: ClaimMinutes = 10,
    rest_after: Annotated[int, typer.Option(min=0, help="Propose a pause after so many items; 0 never does.")] = 20,
) -> None:
    """Read one item after the other by single keys; without a terminal, a line for each key. The words stay covered until you ask.

    Exit status: 0 you stopped, or nothing is left; 5 configuration.
    """
    with at(store, keys, who, tenant, "work", "review", "text") as (opened, actor):
        from crisis_filter.cli.queue_work import Keyboard, Lines, Reader, work
        from crisis_filter.store.queue import release
        from crisis_filter.taxonomy.load import load_taxonomy

        pack = policy_of(policy)
        rules = rules_of(pack)
        at_terminal = sys.stdin.isatty() and sys.stdout.isatty()
        reader = Reader(
            take=lambda: take(opened, actor, queues, claim_minutes),
            open=lambda one: opened_item(opened, actor, one.id),
            say=lambda one, seen, answer: said(opened, actor, rules, one, seen, answer),
            give_back=lambda one: opened.write(partial(release, actor=actor, item_id=one.id, now_ms=opened.clock())),
            clock=opened.clock,
            categories=load_taxonomy(pack.stages.taxonomy).ids,
            queues=[one.id for one in pack.queues if one.staffed_by is not None],
            protocol=protocols_of(pack),
            rest_after=rest_after,
        )
        with putting_out():
            done = work(reader, Keyboard() if at_terminal else Lines(), stdout_console())
        say(f"{counted(done, 'item')} decided")


queue.command("second-readings")(show_second_readings)
queue.command("export")(export)


def _done(answered: Decided) -> str:
    if answered.again:
        return "you had said the same before; nothing was changed"
    return "sent on" if answered.state == "waiting" else "decided"


def _dumped(found: View) -> str:
    # A text may hold half of a surrogate pair.
    return json.dumps(found.model_dump(mode="python"), default=str, ensure_ascii=True)
