"""What the commands of the queue share: who reads, which policy holds, and what is done to the store."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crisis_filter.cli.queue_answers import Draft
from crisis_filter.cli.store_options import opened_store, with_the_extra
from crisis_filter.cli.trouble import NOT_PASSED, say, told
from crisis_filter.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crisis_filter.store.opening import Connection, Store
    from crisis_filter.store.queue_deciding import ReadingRules
    from crisis_filter.store.queue_records import Decided, Item, View
    from crisis_filter.store.records import Actor, Scope
    from crisis_filter.triage.policy import Policy

__all__ = [
    "As",
    "ClaimMinutes",
    "Days",
    "ItemId",
    "PolicyName",
    "Queues",
    "at",
    "decide_by_id",
    "opened_item",
    "policy_of",
    "protocols_of",
    "rules_of",
    "said",
    "take",
]

_MINUTE = 60_000

As = Annotated[str, typer.Option("--as", metavar="READER", show_default=False, help="Who reads; stands in the audit.")]
Queues = Annotated[
    list[str] | None, typer.Option("--queue", show_default=False, help="Only from this queue; may be repeated.")
]
ClaimMinutes = Annotated[int, typer.Option(min=1, max=240, help="How long an item is yours.")]
PolicyName = Annotated[
    str | None,
    typer.Option("--policy", metavar="PACK", help="Policy pack with queues and protocols (default: default-v4)."),
]
ItemId = Annotated[str, typer.Argument(metavar="ITEM", show_default=False, help="Its id; next shows it.")]
Days = Annotated[int, typer.Option(min=1, max=3660, help="The last so many days.")]


@contextmanager
def at(
    url: str, keys: Path | None, who: str, tenant: str, command: str, *scopes: Scope
) -> Iterator[tuple[Store, Actor]]:
    """The store and the actor, for the length of a command; what the queue refuses is told and ends it with 4."""
    with told(), with_the_extra(), opened_store(url, keys) as opened:
        from crisis_filter.store.queue_records import QueueError
        from crisis_filter.store.records import Actor

        if not 0 < len(who) <= 128 or not who.isprintable():
            raise InputError("--as takes a name of 1 to 128 printable characters")
        actor = Actor(id=who, tenant=tenant, scopes=frozenset(scopes), origin=f"crisis-filter queue {command}")
        try:
            yield opened, actor
        except QueueError as error:
            say(f"refused: {error}")
            raise typer.Exit(NOT_PASSED) from None


def take(store: Store, actor: Actor, queues: list[str] | None, claim_minutes: int) -> Item | None:
    """The next item of a reader."""
    from crisis_filter.store.queue import next_item

    take = partial(
        next_item, actor=actor, queues=queues or None, claim_ms=claim_minutes * _MINUTE, now_ms=store.clock()
    )
    return store.write(take)


def opened_item(store: Store, actor: Actor, item_id: str) -> View:
    """An item, opened; that it was is in the audit."""
    from crisis_filter.store.queue_viewing import view

    return store.write(partial(view, store=store, actor=actor, item_id=item_id, now_ms=store.clock()))


def decide_by_id(
    store: Store, actor: Actor, rules: ReadingRules, item_id: str, draft: Draft, revision: int | None
) -> Decided:
    """Answer by the decision that the reader saw, or has answered before; the only one there is, where they do not say.

    Raises:
        QueueError: as `decide`; `no_revision` where there are several.
    """
    from crisis_filter.store.queue import find, shown
    from crisis_filter.store.queue_records import QueueError, View
    from crisis_filter.store.queue_viewing import standing

    def seen(connection: Connection) -> View:
        row = find(connection, actor, item_id)
        said: dict[str, Any] = {}
        if not row.blind:
            decision = standing(connection, row.message_id, row.revision)
            said = {"outcome": decision.outcome, "categories": tuple(json.loads(decision.categories))}
            if revision is None and row.revision > 1 and row.state != "done" and draft.says != "escalate":
                raise QueueError("no_revision")
        item = shown(row)
        if revision is not None and not row.blind:
            item = item.model_copy(update={"revision": revision})
        return View(item=item, text=None, text_state="gone", **said)

    return _answered(store, actor, rules, item_id, store.read(seen), draft)


def _answered(store: Store, actor: Actor, rules: ReadingRules, item_id: str, seen: View, draft: Draft) -> Decided:
    from crisis_filter.store.queue_deciding import decide

    try:
        answer = draft.answer(seen)
    except ValueError:
        raise InputError("the answer does not hang together: categories belong to crisis, --to to escalate") from None
    take = partial(decide, store=store, actor=actor, item_id=item_id, answer=answer, rules=rules, now_ms=store.clock())
    return store.write(take)


def said(store: Store, actor: Actor, rules: ReadingRules, item: Item, seen: View, draft: Draft) -> Decided | str:
    """An answer to what the reader has before them; in words why it was refused."""
    from crisis_filter.store.queue_records import QueueError

    try:
        return _answered(store, actor, rules, item.id, seen, draft)
    except QueueError as error:
        return f"refused: {error}"


def policy_of(name: str | None) -> Policy:
    """The policy pack of this name; that of a service without one."""
    from crisis_filter.triage.policy import ROUTING_POLICY, load_policy

    return load_policy(name or ROUTING_POLICY)


def rules_of(policy: Policy) -> ReadingRules:
    """What a policy says of items that readers send on."""
    from crisis_filter.service.rules import reading_rules

    return reading_rules(policy)


def protocols_of(policy: Policy) -> Callable[[str | None], Any]:
    """Gives the protocol of an id, or `None`."""
    from crisis_filter.triage.protocols import load_protocols

    return (lambda _: None) if policy.protocols is None else load_protocols(policy.protocols).get
