"""What the store's tests write into it."""

from __future__ import annotations

from typing import Any

from crisis_filter.errors import Fault
from crisis_filter.schema import Assessment, Disposition, Evidence, Finding, PromptRef, Provenance
from crisis_filter.store.conclude import conclude
from crisis_filter.store.intake import accept
from crisis_filter.store.keyring import Keyring
from crisis_filter.store.ledger import ledger
from crisis_filter.store.opening import Store
from crisis_filter.store.records import Accepted, Concluded, Received

KEYS = Keyring(current="k1", keys={"k1": b"1" * 32}, pseudonym_key=b"p" * 32)
OTHER_KEYS = Keyring(current="k2", keys={"k2": b"2" * 32}, pseudonym_key=b"p" * 32)
START = 1_700_000_000_000
HOUR = 3_600_000


class Clock:
    """Stands until it is moved."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now

    def forward(self, ms: int) -> None:
        self.now += ms


def received(number: int = 0, **fields: Any) -> Received:
    """A message; the same number is the same message."""
    given = {
        "external_id": f"id {number}",
        "subject": f"person {number % 7}",
        "text": f"I write to you, number {number}",
    }
    return Received(**{"tenant": "north", "source": "portal", "locale": "en-US", **given, **fields})


_PROVENANCE = Provenance(
    detector="openai:some-model",
    model="some-model-1",
    version="0.1.0",
    policy=PromptRef(id="default-v1", sha256="ab" * 32),
    views=1,
    elapsed_ms=20.5,
)


def crisis(*, category: str = "suicide", urgency: str = "urgent", **fields: Any) -> Assessment:
    finding = Finding(
        category=category,
        severity="severe",
        evidence=(Evidence(quote="I write", start=0, end=7),),
        rationale="They say so.",
    )
    where = Disposition(queue="crisis", urgency=urgency, rule="a-crisis")
    given = {"score": 0.9, "score_source": "stated", "findings": (finding,), "disposition": where}
    return Assessment(**{"id": "x", "outcome": "crisis", "provenance": _PROVENANCE, **given, **fields})


def undetermined(fault: Fault = Fault.TIMEOUT, *, queue: str = "unclear", **fields: Any) -> Assessment:
    where = Disposition(queue=queue, urgency="soon", rule="an-undetermined")
    given = {"fault": fault, "disposition": where, "provenance": _PROVENANCE}
    return Assessment(**{"id": "x", "outcome": "undetermined", **given, **fields})


def quiet(**fields: Any) -> Assessment:
    where = Disposition(queue="nobody", urgency="routine", rule="no-crisis")
    given = {"score": 0.1, "score_source": "stated", "disposition": where, "provenance": _PROVENANCE}
    return Assessment(**{"id": "x", "outcome": "no_crisis", **given, **fields})


def taken(store: Store, *rows: Received, worker: str | None = "w1", lease_ms: int = 60_000) -> tuple[Accepted, ...]:
    """Accepted and committed."""
    now = store.clock()
    return store.write(lambda c: accept(c, store, rows, now_ms=now, worker=worker, lease_ms=lease_ms))


def decided(store: Store, message_id: str, assessment: Assessment, **options: Any) -> Concluded:
    """Concluded and committed."""
    to_person = options.pop("to_person", assessment.outcome != "no_crisis")
    given = {"to_person": to_person, "due_ms": None, "second_reading": False, "now_ms": store.clock(), **options}
    return store.write(lambda c: conclude(c, store, message_id, assessment, **given))


def rows(store: Store, table: Any, *columns: str) -> list[tuple[Any, ...]]:
    """What lies in a table, in the order of its first column."""
    from sqlalchemy import select

    wanted = [table.c[name] for name in columns] or list(table.c)
    return [tuple(row) for row in store.read(lambda c: c.execute(select(*wanted).order_by(wanted[0])).all())]


def balanced(store: Store) -> bool:
    """Whether the ledger holds; what does not is told."""
    found = store.read(ledger)
    wrong = [(a.tenant, e) for a in found.accounts for e in a.equations if not e.holds]
    assert not wrong, wrong
    return True
