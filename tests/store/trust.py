"""A store with messages of several people, for the tests of what guards them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import Table, delete, func, insert, select, update

from crisis_filter.schema import Assessment, Disposition, Evidence, Fault, Finding, Provenance, Screening
from crisis_filter.store.conclude import conclude
from crisis_filter.store.engines import make_engine, store_url
from crisis_filter.store.intake import accept
from crisis_filter.store.keyring import Keyring, sealing_context
from crisis_filter.store.opening import Store, open_store
from crisis_filter.store.records import SCOPES, Actor, Received
from crisis_filter.store.tables import endpoints, items, metadata, outbox, readings, texts

_NUMBERS = count()
CANARY = "canary7731"
PHONE = "+1-555-0100-7731"
TEXT = f"{CANARY} i cannot go on"
DAY = 24 * 3600 * 1000
NOW = 1_900_000_000_000
LEAD = Actor(id="lead", tenant="clinic", scopes=frozenset(SCOPES), origin="test")


def ring(*ids: str, current: str | None = None) -> Keyring:
    """A ring whose keys are made from their ids."""
    return Keyring(
        current=current or (ids[-1] if ids else None),
        keys={key_id: key_id.encode().ljust(32, b"-") for key_id in ids},
        pseudonym_key=b"p" * 32,
    )


@dataclass
class Clock:
    """A clock that tests set."""

    now: int = NOW

    def __call__(self) -> int:
        return self.now


@dataclass
class World:
    """What tests do to a store."""

    store: Store
    clock: Clock
    count: int = field(default=0)
    url: str = ""

    def receive(self, text: str = TEXT, *, subject: str | None = PHONE, tenant: str = "clinic") -> str:
        """One message, pending."""
        self.count += 1
        row = Received(tenant=tenant, source="portal", external_id=f"m{self.count}", subject=subject, text=text)
        (accepted,) = self.store.write(
            lambda c: accept(c, self.store, [row], now_ms=self.clock(), worker="w", lease_ms=60_000)
        )
        return accepted.message_id

    def decide(self, message_id: str, outcome: str = "crisis", *, second_reading: bool = False) -> None:
        """What a detector said of it, with a reason in its own words."""
        crisis = outcome == "crisis"
        finding = Finding(
            category="suicide", rationale=f"{CANARY} why", evidence=(Evidence(quote=CANARY, start=0, end=10),)
        )
        assessment = Assessment(
            id=message_id,
            outcome=outcome,  # type: ignore[arg-type]  # one of them
            findings=(finding,) if crisis else (),
            fault=Fault.TIMEOUT if outcome == "undetermined" else None,
            screen=Screening(rationale=f"{CANARY} because"),
            disposition=Disposition(queue="crisis" if crisis else "none", urgency="urgent", rule="r"),
            provenance=Provenance(detector="scripted", version="0"),
        )
        self.store.write(
            lambda c: conclude(
                c,
                self.store,
                message_id,
                assessment,
                to_person=outcome != "no_crisis",
                due_ms=None,
                second_reading=second_reading,
                now_ms=self.clock(),
            )
        )

    def message(self, outcome: str = "crisis", *, read: bool = True, **given: str | None) -> str:
        """One message, decided and, unless told otherwise, read."""
        message_id = self.receive(**given)  # type: ignore[arg-type]  # by name
        self.decide(message_id, outcome)
        if read:
            self.read(message_id)
        return message_id

    def read(self, message_id: str) -> None:
        """A person reads its item and leaves a note."""

        def written(c):
            row = c.execute(select(items).where(items.c.message_id == message_id)).first()
            if row is None:
                return
            c.execute(update(items).where(items.c.id == row.id).values(state="done", done_ms=self.clock()))
            c.execute(
                insert(readings).values(
                    id=f"r{row.id}"[:64],
                    tenant=row.tenant,
                    item_id=row.id,
                    message_id=message_id,
                    revision=row.revision,
                    reader="anna",
                    action="accept",
                    outcome="crisis",
                    categories="[]",
                    blind=False,
                    read_ms=self.clock(),
                )
            )
            context = sealing_context(row.tenant, message_id, "note", row.revision)
            key_id, body = self.store.keys.seal(f"{CANARY} note".encode(), context=context)
            c.execute(
                insert(texts).values(
                    message_id=message_id,
                    kind="note",
                    revision=row.revision,
                    tenant=row.tenant,
                    key_id=key_id,
                    body=body,
                    written_ms=self.clock(),
                )
            )

        self.store.write(written)

    def endpoint(self, tenant: str = "clinic") -> str:
        """Somebody who is told of every crisis."""

        def written(c):
            key_id, body = self.store.keys.seal(b'["whsec_x"]', context=sealing_context(tenant, "e1", "endpoint"))
            c.execute(
                insert(endpoints).values(
                    id="e1",
                    tenant=tenant,
                    url="https://example.org/hook",
                    kinds='["assessment.crisis"]',
                    secrets=body,
                    key_id=key_id,
                    created_ms=self.clock(),
                )
            )

        self.store.write(written)
        return "e1"

    def delivered(self) -> None:
        """All webhooks arrive."""
        self.store.write(lambda c: c.execute(update(outbox).values(state="delivered", ended_ms=self.clock())))

    def rows(self, table: Table, *where: object) -> int:
        """How many rows a table has."""
        return self.store.read(lambda c: c.scalar(select(func.count()).select_from(table).where(*where)) or 0)  # type: ignore[arg-type]

    def texts(self, message_id: str) -> int:
        """How many texts of a message are left."""
        return self.rows(texts, texts.c.message_id == message_id)


def disk(folder: Path) -> bytes:
    """Every byte of every file of a store."""
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file())


def _empty(url: str) -> None:
    engine = make_engine(store_url(url))
    with engine.begin() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(delete(table))
    engine.dispose()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.system)])
def open_world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., World]]:
    """Opens a new store as often as it is called, and closes the one before: a server has few connections."""
    opened: list[World] = []
    server_url = ""

    def make(keys: Keyring | None = None) -> World:
        nonlocal server_url
        if opened:
            opened.pop().store.close()
        if request.param == "sqlite":
            path = tmp_path_factory.mktemp("store") / "store.db"
            shutil.copy(request.getfixturevalue("empty_sqlite"), path)
            url = f"sqlite:///{path}"
        else:
            # To make a database takes a server's disk longer than a test takes.
            server_url = server_url or request.getfixturevalue("postgres").make(f"world_{next(_NUMBERS)}", "template")
            url = server_url
            _empty(url)
        time = Clock()
        opened.append(World(open_store(url, keys=keys or ring("a"), clock=time), time, url=url))
        return opened[-1]

    yield make
    for world in opened:
        world.store.close()


@pytest.fixture
def world(open_world: Callable[..., World]) -> World:
    return open_world()
