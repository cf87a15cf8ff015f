"""A store with messages in its queue, and people who read them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from sqlalchemy import Connection, Row, select, update

from crisis_filter.schema import Assessment, Disposition, Evidence, Fault, Finding, Outcome, Provenance, Urgency
from crisis_filter.store.conclude import conclude
from crisis_filter.store.endpoints import register
from crisis_filter.store.intake import accept
from crisis_filter.store.opening import Store
from crisis_filter.store.queue import next_item
from crisis_filter.store.queue_deciding import ReadingRules, decide
from crisis_filter.store.queue_records import Answer, Decided, Item, View
from crisis_filter.store.queue_viewing import view
from crisis_filter.store.records import Actor, Received, Scope
from crisis_filter.store.tables import decisions, items, messages, outbox, routes

T = TypeVar("T")
NOW = 1_900_000_000_000
MINUTE = 60_000
CLAIM = 10 * MINUTE
RULES = ReadingRules(
    queues=frozenset({"act-now", "clinical", "senior"}), raised_queue="act-now", leads_on=frozenset({"r"})
)
TEXT = "i have the pills here and i cannot go on"


def reader(name: str = "anna", *more: Scope, tenant: str = "clinic") -> Actor:
    """Somebody who reads, texts included."""
    return Actor(id=name, tenant=tenant, scopes=frozenset({"review", "text", *more}), origin="test")


def crisis(*categories: str, note: str | None = None) -> Answer:
    """An override: a crisis after all."""
    return Answer(action="override", outcome="crisis", categories=categories, reason="detector_missed", note=note)


def cleared() -> Answer:
    """An override: no crisis."""
    return Answer(action="override", outcome="no_crisis", reason="figure_of_speech")


def blind(outcome: Outcome, *categories: str) -> Answer:
    """What a blind reader says."""
    return Answer(action="answer", outcome=outcome, categories=categories)


@dataclass
class Scene:
    """What tests do to a queue."""

    store: Store
    now: int = NOW
    count: itertools.count[int] = field(default_factory=itertools.count)

    def put(
        self,
        outcome: Outcome = "crisis",
        *,
        urgency: Urgency = "urgent",
        queue: str = "clinical",
        score: float | None = 0.9,
        due: int | None = 60 * MINUTE,
        fault: Fault = Fault.TIMEOUT,
        second: bool = False,
        text: str = TEXT,
        tenant: str = "clinic",
        rule: str = "r",
        subject: str | None = "+1-555-0100",
        category: str = "suicide",
    ) -> str:
        """One message that a detector has decided; gives its id."""
        row = Received(
            tenant=tenant, source="portal", external_id=f"m{next(self.count)}", subject=subject, text=text, locale="en"
        )
        (accepted,) = self.write(lambda c: accept(c, self.store, [row], now_ms=self.now))
        found = Finding(category=category, severity="severe", evidence=(Evidence(quote=text[:6], start=0, end=6),))
        said = Assessment(
            id=accepted.message_id,
            outcome=outcome,
            score=score,
            score_source=None if score is None else "engine",
            findings=(found,) if outcome == "crisis" else (),
            fault=fault if outcome == "undetermined" else None,
            disposition=Disposition(queue=queue, urgency=urgency, rule=rule),
            provenance=Provenance(detector="scripted", version="0"),
        )
        self.write(
            lambda c: conclude(
                c,
                self.store,
                accepted.message_id,
                said,
                to_person=outcome != "no_crisis",
                due_ms=None if due is None or outcome == "no_crisis" else self.now + due,
                second_reading=second,
                now_ms=self.now,
            )
        )
        return accepted.message_id

    def write(self, function: Callable[[Connection], T]) -> T:
        return self.store.write(function)

    def read(self, function: Callable[[Connection], T]) -> T:
        return self.store.read(function)

    def take(self, who: Actor | None = None, queues: list[str] | None = None, claim: int = CLAIM) -> Item | None:
        """The next item of a reader."""
        return self.write(lambda c: next_item(c, who or reader(), queues=queues, claim_ms=claim, now_ms=self.now))

    def taken(self, who: Actor | None = None, queues: list[str] | None = None) -> Item:
        """The same where one has to be there."""
        item = self.take(who, queues)
        assert item is not None
        return item

    def open(self, item: Item | str, who: Actor | None = None) -> View:
        """An item, opened."""
        name = item if isinstance(item, str) else item.id
        return self.write(lambda c: view(c, self.store, who or reader(), name, now_ms=self.now))

    def decide(self, item: Item | str, answer: Answer, who: Actor | None = None) -> Decided:
        """An answer."""
        name = item if isinstance(item, str) else item.id
        return self.write(lambda c: decide(c, self.store, who or reader(), name, answer, rules=RULES, now_ms=self.now))

    def row(self, item: Item | str) -> Row:
        """An item's row."""
        name = item if isinstance(item, str) else item.id
        return self.read(lambda c: c.execute(select(items).where(items.c.id == name)).one())

    def items_of(self, message_id: str) -> dict[str, Row]:
        """The items of a message, by kind."""
        rows = self.read(lambda c: c.execute(select(items).where(items.c.message_id == message_id)).all())
        return {row.kind: row for row in rows}

    def message(self, message_id: str) -> Row:
        """A message's row."""
        return self.read(lambda c: c.execute(select(messages).where(messages.c.id == message_id)).one())

    def listen(self, tenant: str = "clinic") -> None:
        """Somebody who is told of everything."""
        self.write(
            lambda c: register(
                c,
                self.store.keys,
                endpoint_id=f"e-{tenant}",
                tenant=tenant,
                url="https://example.org/hook",
                kinds=["*"],
                secrets=["whsec_x"],
                now_ms=self.now,
            )
        )

    def told(self, kind: str) -> list[Row]:
        """What they are told of one kind."""
        return self.read(
            lambda c: list(c.execute(select(outbox).where(outbox.c.kind == kind).order_by(outbox.c.id)).all())
        )

    def set(self, message_id: str, **values: object) -> None:
        """Change the alert of a message."""
        self.write(
            lambda c: c.execute(
                update(items).where(items.c.message_id == message_id, items.c.kind == "alert").values(**values)
            )
        )


def newest(scene: Scene, message_id: str) -> tuple[object, ...]:
    """By whom, outcome and categories of what stands, and whether its route leads to a person."""
    wanted = (
        select(decisions.c.by, decisions.c.outcome, decisions.c.categories, routes.c.to_person)
        .join(messages, (messages.c.id == decisions.c.message_id) & (messages.c.revision == decisions.c.revision))
        .join(routes, (routes.c.message_id == messages.c.id) & (routes.c.revision == messages.c.revision))
        .where(messages.c.id == message_id)
    )
    row = scene.read(lambda c: c.execute(wanted).one())
    return row.by, row.outcome, json.loads(row.categories), row.to_person
