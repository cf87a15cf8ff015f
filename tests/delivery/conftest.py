"""A store with sealed secrets, a clock in hand, and whatever a courier needs."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial

import pytest

from crisis_filter.delivery.signing import new_secret
from crisis_filter.store.endpoints import register
from crisis_filter.store.opening import Store, now_ms
from crisis_filter.store.tables import endpoints, outbox
from tests.delivery.receiver import Authority
from tests.store import conftest as stores
from tests.store.scenes import Clock

# The fixtures of the store's tests: a file, and under the marker `system` a database on a real server.
clock, open_here, store_address = stores.clock, stores.open_here, stores.store_address
empty_sqlite, sqlite_url, postgres, postgres_url = (
    stores.empty_sqlite,
    stores.sqlite_url,
    stores.postgres,
    stores.postgres_url,
)

TENANT = "north"


class Box:
    """A store's outbox as tests fill it and look at it."""

    def __init__(self, store: Store, clock: Clock, address: str) -> None:
        self.store, self.clock, self.address = store, clock, address

    def endpoint(self, url: str, *, name: str = "e1", secrets: list[str] | None = None) -> list[str]:
        """Registers a receiver and gives its secrets."""
        secrets = secrets or [new_secret()]
        given = {"tenant": TENANT, "url": url, "kinds": ["*"], "secrets": secrets, "now_ms": self.clock()}
        self.store.write(partial(register, keys=self.store.keys, endpoint_id=name, **given))
        return secrets

    def put(self, count: int = 1, *, to: str = "e1", first: int = 0, **more: object) -> list[str]:
        """Rows as a decision writes them; their ids."""
        rows = [row_for(f"{to}-{number:04}", to, self.clock(), **more) for number in range(first, first + count)]
        self.store.write(lambda connection: connection.execute(outbox.insert(), rows) and None)
        return [str(row["id"]) for row in rows]

    def rows(self) -> dict[str, dict[str, object]]:
        found = self.store.read(lambda connection: connection.execute(outbox.select()).mappings().all())
        return {row["id"]: dict(row) for row in found}

    def states(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for row in self.rows().values():
            found[str(row["state"])] = found.get(str(row["state"]), 0) + 1
        return found

    def endpoint_row(self, name: str = "e1") -> dict[str, object]:
        chosen = endpoints.select().where(endpoints.c.id == name)
        return dict(self.store.read(lambda connection: connection.execute(chosen).mappings().one()))


def row_for(row_id: str, endpoint_id: str, at_ms: int, **more: object) -> dict[str, object]:
    payload = json.dumps({"id": row_id, "kind": "assessment.crisis", "outcome": "crisis"}, separators=(",", ":"))
    row = {"id": row_id, "tenant": TENANT, "endpoint_id": endpoint_id, "kind": "assessment.crisis", "payload": payload}
    return {**row, "state": "pending", "attempts": 0, "created_ms": at_ms, "next_ms": at_ms, **more}


@pytest.fixture
def make_box(open_here: Callable[..., Store], clock: Clock, store_address: str) -> Callable[[], Box]:
    """Opens the test's store, as often as wanted. The clock stands at the real time, which signatures are held against."""
    clock.now = now_ms()
    return lambda: Box(open_here(), clock, store_address)


@pytest.fixture
def box(make_box: Callable[[], Box]) -> Box:
    return make_box()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("certificates"))
