"""The ledger: what came in, what became of it, and whether every count agrees with every other, for each tenant and in all.

Each count is taken where it stands, from the rows themselves, all in one moment's state. Two kinds of equation stand side by side: counts that
must be equal, and counts of rows that lack their other half, which must be 0; so two mistakes cannot make up for each other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, case, exists, false, func, not_, select

from crisis_filter.errors import Fault
from crisis_filter.schema import Record
from crisis_filter.store.tables import decisions, items, messages, outbox, routes, texts

__all__ = ["Account", "Equation", "StoreLedger", "ledger"]


class Equation(Record):
    """Two counts that must be one."""

    words: str
    """What is equal to what."""
    left: int
    right: int
    parts: dict[str, int]
    """The counts of which the right side is the sum, where it is one."""

    @property
    def holds(self) -> bool:
        """Whether they are equal."""
        return self.left == self.right


class Account(Record):
    """All equations of one tenant, or of all together."""

    tenant: str | None
    """`None` for all together."""
    equations: tuple[Equation, ...]

    @property
    def balanced(self) -> bool:
        """Whether every equation holds."""
        return all(equation.holds for equation in self.equations)


class StoreLedger(Record):
    """All together first, then each tenant by name."""

    accounts: tuple[Account, ...]

    @property
    def balanced(self) -> bool:
        """Whether every equation of every account holds."""
        return all(account.balanced for account in self.accounts)


def ledger(connection: Connection, *, tenant: str | None = None) -> StoreLedger:
    """Count everything and hold each count against the others.

    Args:
        connection: that sees one moment's state, such as `Store.read` gives.
        tenant: only this one's account; `None` gives all together and each.
    """
    counts: dict[str, Counter[str]] = {}
    for name, value, of in _counted(connection, tenant):
        counts.setdefault(of, Counter())[name] += value
    if tenant is not None:
        return StoreLedger(accounts=(_account(tenant, counts.get(tenant, Counter())),))
    whole: Counter[str] = Counter()
    for each in counts.values():
        whole.update(each)
    return StoreLedger(accounts=(_account(None, whole), *(_account(of, counts[of]) for of in sorted(counts))))


def _account(tenant: str | None, n: Mapping[str, int]) -> Account:
    """The equations, from counts by name; a name that is missing counts 0."""

    def equal(words: str, left: str, *parts: str) -> Equation:
        return Equation(words=words, left=n.get(left, 0), right=sum(n.get(p, 0) for p in parts), parts=_named(n, parts))

    none = (
        ("decided messages without a decision", "undecided"),
        ("pending messages with a decision", "decided too early"),
        ("decided messages without a route", "unrouted"),
        ("crises and undetermined messages that nobody reads, but for empty ones", "routed to nobody"),
        ("messages routed to a person without an item", "without an item"),
        ("alerts whose message was routed to nobody", "item without a route"),
        ("messages without their text, though it was not deleted", "without a text"),
        ("texts of messages whose text was deleted", "text after deletion"),
    )
    return Account(
        tenant=tenant,
        equations=(
            equal("received = decided + pending", "received", "decided", "pending"),
            equal("decided = crisis + undetermined + not crisis", "decided", "crisis", "undetermined", "not crisis"),
            equal("routes = decided", "routes", "decided"),
            equal("crisis + undetermined = routed to a person + set aside", "grave", "routed", "set aside"),
            equal("ever routed to a person = alerts", "ever routed", "alerts"),
            equal("items = waiting + claimed + done + settled", "items", "waiting", "claimed", "done", "settled"),
            equal("outbox = pending + delivered + dead", "outbox", "outbox pending", "delivered", "dead"),
            equal("texts = received - deleted", "texts", "received", "less deleted"),
            *(Equation(words=f"{words} = 0", left=n.get(name, 0), right=0, parts={}) for words, name in none),
        ),
    )


def _named(n: Mapping[str, int], parts: Iterable[str]) -> dict[str, int]:
    return {part.removeprefix("outbox ").removeprefix("less "): abs(n.get(part, 0)) for part in parts}


def _counted(connection: Connection, tenant: str | None) -> Iterable[tuple[str, int, str]]:
    """(name of a count, the count, tenant)."""
    for table, joined, names in _COUNTS:
        wanted = select(table.c.tenant, *(value.label(f"c{place}") for place, value in enumerate(names.values())))
        wanted = wanted.select_from(joined).group_by(table.c.tenant)
        if tenant is not None:
            wanted = wanted.where(table.c.tenant == tenant)
        for row in connection.execute(wanted):
            yield from ((name, int(value), row[0]) for name, value in zip(names, row[1:], strict=True))


def _where(*conditions: ColumnElement[bool]) -> ColumnElement[int]:
    """How many rows meet all conditions."""
    return func.sum(case((and_(*conditions), 1), else_=0))


_said = decisions.alias("said")
_sent = routes.alias("sent")
_MESSAGES = messages.outerjoin(
    _said, and_(_said.c.message_id == messages.c.id, _said.c.revision == messages.c.revision)
).outerjoin(_sent, and_(_sent.c.message_id == messages.c.id, _sent.c.revision == messages.c.revision))
_has_decision = _said.c.message_id.is_not(None)
_has_route = _sent.c.message_id.is_not(None)
_grave = _said.c.outcome.in_(("crisis", "undetermined"))
_read = func.coalesce(_sent.c.to_person, false())
_empty = and_(_said.c.outcome == "undetermined", func.coalesce(_said.c.fault, "") == Fault.EMPTY_CONTENT.value)
_gone = messages.c.text_gone_ms.is_not(None)
_text = exists().where(texts.c.message_id == messages.c.id, texts.c.kind == "message", texts.c.revision == 0)
_ever = exists().where(routes.c.message_id == messages.c.id, routes.c.to_person)
_alert = exists().where(items.c.message_id == messages.c.id, items.c.kind == "alert")

_COUNTS: tuple[tuple[Any, Any, Mapping[str, ColumnElement[Any]]], ...] = (
    (
        messages,
        _MESSAGES,
        {
            "received": func.count(),
            "decided": _where(_has_decision),
            "pending": _where(messages.c.state == "pending"),
            "crisis": _where(_said.c.outcome == "crisis"),
            "undetermined": _where(_said.c.outcome == "undetermined"),
            "not crisis": _where(_said.c.outcome == "no_crisis"),
            "routes": _where(_has_route),
            "grave": _where(_grave),
            "routed": _where(_grave, _read),
            "set aside": _where(_grave, _has_route, not_(_read)),
            "ever routed": _where(_ever),
            "less deleted": -_where(_gone),
            "undecided": _where(messages.c.state == "decided", not_(_has_decision)),
            "decided too early": _where(messages.c.state == "pending", _has_decision),
            "unrouted": _where(_has_decision, not_(_has_route)),
            "routed to nobody": _where(_grave, not_(_read), not_(_empty)),
            "without an item": _where(_ever, not_(_alert)),
            "item without a route": _where(_alert, not_(_ever)),
            "without a text": _where(not_(_gone), not_(_text)),
            "text after deletion": _where(_gone, _text),
        },
    ),
    (texts, texts, {"texts": _where(texts.c.kind == "message")}),
    (
        items,
        items,
        {
            "items": func.count(),
            "alerts": _where(items.c.kind == "alert"),
            **{state: _where(items.c.state == state) for state in ("waiting", "claimed", "done", "settled")},
        },
    ),
    (
        outbox,
        outbox,
        {
            "outbox": func.count(),
            "outbox pending": _where(outbox.c.state == "pending"),
            "delivered": _where(outbox.c.state == "delivered"),
            "dead": _where(outbox.c.state == "dead"),
        },
    ),
)
"""The counts by name, with the table whose rows are counted and what it is joined with."""
