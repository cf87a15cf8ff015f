"""The whole service on the loopback: the real server in a thread of its own, over a real store, with keys to come in by."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
from sqlalchemy import func, select

from crisis_filter.pipeline.spec import open_filter
from crisis_filter.schema import Message
from crisis_filter.service.server import Server
from crisis_filter.service.service import Service
from crisis_filter.service.spec import ServiceSpec
from crisis_filter.store.api_keys import create, draw
from crisis_filter.store.endpoints import register
from crisis_filter.store.keyring import Keyring
from crisis_filter.store.opening import Store, now_ms, open_store
from crisis_filter.store.records import SCOPES, Actor, Scope
from crisis_filter.store.writer import WriterLimits
from crisis_filter.taxonomy.load import load_taxonomy
from crisis_filter.triage.policy import load_policy
from tests.service.desk_scenes import FirstWord

POLICY = load_policy("default-v4")
TAXONOMY = load_taxonomy(POLICY.stages.taxonomy)
PROBLEM = "application/problem+json"


class Detector:
    """What the service asks of a filter, around any judge."""

    def __init__(self, judge: Any) -> None:
        self.policy, self.taxonomy = POLICY, TAXONOMY
        self._judge = judge

    async def assess(self, message: Message) -> Any:
        return await self._judge(message)

    async def aclose(self) -> None:
        """Nothing to close."""


class Running:
    """A service that answers.

    Args:
        url: of the store.
        judge: what judges; `None` is the embedded engine.
        keys: of the store.
        limits: of its writer.
        given: of the spec.
    """

    def __init__(
        self,
        url: str,
        judge: Any = None,
        *,
        keys: Keyring | None = None,
        limits: WriterLimits | None = None,
        clock: Callable[[], int] = now_ms,
        opened: Callable[[ServiceSpec], Service] | None = None,
        **given: Any,
    ) -> None:
        def opening(spec: ServiceSpec) -> Service:
            detector: Any = open_filter(spec.judging) if judge is None else Detector(judge)
            return Service(spec, open_store(spec.store, keys=keys, limits=limits, clock=clock), detector, ())

        self.judge = judge
        spec = ServiceSpec(store=url, **{"notice_s": 0.0, "deliver": False, "second_readings": 0.0, **given})
        self.server = Server(spec, opened or opening)
        self._listening = socket.socket()
        self._listening.bind(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="service under test")
        self._clients: list[httpx2.Client] = []

    @property
    def service(self) -> Service:
        return self.server.service

    @property
    def store(self) -> Store:
        return self.server.service.store

    def _serve(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
            runner.run(self.server.serve(self._listening))

    def __enter__(self) -> Running:
        self._thread.start()
        until(lambda: self.server.started or not self._thread.is_alive())
        assert self.server.started
        return self

    def __exit__(self, *_: object) -> None:
        for client in self._clients:
            client.close()
        self.server.stop()
        self._thread.join(60)
        self._listening.close()
        assert not self._thread.is_alive()

    def key(self, *scopes: Scope, tenant: str = "clinic", **given: Any) -> str:
        """A new key; without scopes it may do everything."""
        return make_key(self.store, *scopes, tenant=tenant, **given)

    def client(self, *scopes: Scope, tenant: str = "clinic", **given: Any) -> httpx2.Client:
        """Somebody with a key."""
        return self.bearer(self.key(*scopes, tenant=tenant, **given))

    def bearer(self, key: str | None) -> httpx2.Client:
        """Somebody with that key."""
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        made = httpx2.Client(base_url=self.url, headers=headers, timeout=60.0, trust_env=False)
        self._clients.append(made)
        return made

    def in_loop(self, function: Callable[[], Any]) -> Any:
        """Call a function where the service lives."""
        done: Any = asyncio.run_coroutine_threadsafe(_called(function), self.loop)
        return done.result(60)

    def count(self, table: Any, *conditions: Any) -> int:
        """Rows."""
        return count(self.store, table, *conditions)


class Gate:
    """A judge by the first word that waits until it is let, from any thread."""

    def __init__(self, *, shut: bool = False) -> None:
        self._judge = FirstWord()
        self._open = threading.Event()
        if not shut:
            self._open.set()

    @property
    def asked(self) -> list[str]:
        return self._judge.asked

    def shut(self) -> None:
        self._open.clear()

    def let(self) -> None:
        self._open.set()

    async def __call__(self, message: Message) -> Any:
        assessed = await self._judge(message)
        while not self._open.is_set():  # noqa: ASYNC110  # another thread sets it
            await asyncio.sleep(0.005)
        return assessed


async def _called(function: Callable[[], Any]) -> Any:
    return function()


def make_key(store: Store, *scopes: Scope, tenant: str = "clinic", **given: Any) -> str:
    """A new key; without scopes it may do everything."""
    made, now = draw(), store.clock()
    by = Actor(id="tests", tenant=tenant, scopes=frozenset(SCOPES))
    wanted = {"tenant": tenant, "name": "tests", "scopes": scopes or SCOPES, "now_ms": now, **given}
    store.write(lambda connection: create(connection, by, made, **wanted))
    return made.presented


def tell_of_everything(store: Store, url: str, tenant: str = "clinic") -> None:
    """Register a receiver of all webhooks."""
    given = {
        "tenant": tenant,
        "url": url,
        "kinds": ["*"],
        "secrets": ["whsec_" + "c2VjcmV0" * 4],
        "now_ms": store.clock(),
    }
    store.write(lambda c: register(c, store.keys, endpoint_id=f"e-{tenant}", **given))


def count(store: Store, table: Any, *conditions: Any) -> int:
    """Rows of a table."""
    asked = select(func.count()).select_from(table).where(*conditions)
    return int(store.read(lambda connection: connection.execute(asked).scalar_one()))


def until(met: Callable[[], Any], seconds: float = 60.0) -> None:
    """Wait until something is so; patient, for the machine may be busy."""
    end = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < end, "it did not come to be"
        time.sleep(0.005)


def problem(response: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    """The problem that a response is; it says that nothing is decided."""
    assert (response.status_code, response.headers["content-type"]) == (status, PROBLEM), response.text
    body: dict[str, Any] = response.json()
    assert (body["status"], body["code"], body["decision"]) == (status, code, "undetermined")
    return body


def results(response: httpx2.Response) -> list[dict[str, Any]]:
    """What a classification says."""
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["results"]
    return found


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Each call in a thread of its own, all at once; their results."""
    found: list[Any] = [None] * len(calls)

    def call(place: int) -> None:
        try:
            found[place] = calls[place]()
        except Exception as error:  # noqa: BLE001  # raised below
            found[place] = error

    threads = [threading.Thread(target=call, args=(place,)) for place in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    for one in found:
        if isinstance(one, Exception):
            raise one
    return found


@contextlib.contextmanager
def running(folder: Path, judge: Any = None, **given: Any) -> Iterator[Running]:
    """A service over an SQLite file in a folder."""
    with Running(f"sqlite:///{folder / 'store.db'}", judge, **given) as service:
        yield service


def equations(client: httpx2.Client) -> dict[str, tuple[int, int]]:
    """The ledger, which has to be balanced."""
    response = client.get("/v1/ledger")
    assert response.status_code == 200, response.text
    told = response.json()
    assert told["balanced"], told
    return {one["words"]: (one["left"], one["right"]) for one in told["equations"]}
