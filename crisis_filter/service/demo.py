"""The service for a demonstration: on the loopback, over a store in a temporary folder, with a key and a receiver of webhooks of its own."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import secrets
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crisis_filter import assets
from crisis_filter.delivery.signing import new_secret
from crisis_filter.errors import AssetError, ConfigurationError, CrisisFilterError
from crisis_filter.pipeline.description import FilterSpec
from crisis_filter.schema import Record
from crisis_filter.service.demo_receiver import Receiver
from crisis_filter.service.server import Server
from crisis_filter.service.spec import ServiceSpec
from crisis_filter.store.api_keys import create, draw
from crisis_filter.store.audit import Entry, append
from crisis_filter.store.endpoints import register
from crisis_filter.store.key_files import make_keys
from crisis_filter.store.opening import Connection, Store
from crisis_filter.store.records import Actor, Scope
from crisis_filter.triage.policy import Policy

__all__ = ["KINDS", "Caller", "Demo", "DemoMessage", "demo_messages", "open_demo"]

POLICY = "default-v4"
SECOND_READINGS = 0.1
"""Share of "not crisis" that is drawn; a fiftieth of so few messages would mostly be none."""
KINDS = ("assessment.crisis", "assessment.undetermined")
"""What the receiver is told of."""
_HOST = "127.0.0.1"
_TENANT = "default"
_SCOPES: tuple[Scope, ...] = ("classify", "review", "supervise", "text")
_START_S = 60.0
_END_S = 15.0
_DRAIN_S = 5.0
_ANSWER_S = 60.0


class DemoMessage(Record):
    """One of the fictional messages."""

    id: str
    source: str
    subject: str
    text: str


def demo_messages() -> tuple[DemoMessage, ...]:
    """The messages of `data/demo-v1`, in order.

    Raises:
        AssetError: they are not there, or not as they should be.
    """
    path = assets.find("data", "demo-v1") / "messages.jsonl"
    try:
        return tuple(DemoMessage.model_validate_json(line) for line in assets.read_text(path).splitlines())
    except ValueError:
        raise AssetError(f"{path}: not as it was released") from None


class Caller:
    """A client of the service, as anybody could write it.

    Args:
        port: of this machine.
        key: an API key.
    """

    def __init__(self, port: int, key: str) -> None:
        self._port = port
        self._key = key

    def ask(self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> Any:
        """One request and its JSON; `None` for an answer without content.

        Raises:
            CrisisFilterError: the service refused, or did not answer.
        """
        given = {"Authorization": f"Bearer {self._key}", **(headers or {})}
        content = None
        if body is not None:
            given["Content-Type"] = "application/json"
            content = json.dumps(body, ensure_ascii=False).encode()
        connection = http.client.HTTPConnection(_HOST, self._port, timeout=_ANSWER_S)
        try:
            connection.request(method, path, content, given)
            answer = connection.getresponse()
            read = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise CrisisFilterError(f"the service does not answer to {path}: {type(error).__name__}") from None
        finally:
            connection.close()
        if answer.status >= http.client.BAD_REQUEST:
            raise CrisisFilterError(f"the service answers {answer.status} to {path}")
        return json.loads(read) if read else None


@dataclass(frozen=True, slots=True)
class Demo:
    """The service, running.

    Attributes:
        url: its root.
        key: an API key that may do everything.
        store: address of the store.
        keys: file of the store's keys.
        policy: whose queues and protocols hold.
        receiver: of its webhooks.
        caller: a client.
        running: whether the service still answers.
    """

    url: str
    key: str = field(repr=False)
    store: str
    keys: Path
    policy: Policy
    receiver: Receiver
    caller: Caller
    running: Callable[[], bool]


@contextmanager
def open_demo(messages: Sequence[DemoMessage], port: int) -> Iterator[Demo]:
    """A service for as long as the context lasts. Afterwards nothing of it is left.

    Args:
        messages: of which no webhook may hold a word.
        port: where it listens; 0 takes a free one.

    Raises:
        ConfigurationError: the port is taken, or the folder cannot be written.
        StoreError: the store cannot be made.
    """
    with (
        _listening(port) as listening,
        tempfile.TemporaryDirectory(prefix="crisis-filter-demo-", ignore_cleanup_errors=True) as folder,
        Receiver([one.text for one in messages]) as receiver,
    ):
        place, port = Path(folder), listening.getsockname()[1]
        keys, url = place / "keys.toml", f"sqlite:///{place / 'store.db'}"
        make_keys(keys, entropy=secrets.token_bytes)
        spec = ServiceSpec(
            store=url,
            keys=str(keys),
            # Everything is said here: what the environment holds for other commands could send messages elsewhere.
            judging=FilterSpec(policy=POLICY),
            host=_HOST,
            port=port,
            second_readings=SECOND_READINGS,
            loopback_webhooks=True,
            drain_s=_DRAIN_S,
            notice_s=0.0,
        )
        server = Server(spec)
        key = _furnished(server.service.store, receiver)
        with _running(server, listening) as running:
            yield Demo(
                url=f"http://{_HOST}:{port}",
                key=key,
                store=url,
                keys=keys,
                policy=server.service.policy,
                receiver=receiver,
                caller=Caller(port, key),
                running=running,
            )


def _furnished(store: Store, receiver: Receiver) -> str:
    """Make a key and register the receiver; gives the key."""
    by, new, now = Actor(id="operator:demo", tenant=_TENANT, origin="crisis-filter demo"), draw(), store.clock()
    endpoint, secret = store.new_id(), new_secret()

    def furnish(connection: Connection) -> None:
        create(connection, by, new, tenant=_TENANT, name="demo", scopes=_SCOPES, now_ms=now)
        register(
            connection,
            store.keys,
            endpoint_id=endpoint,
            tenant=_TENANT,
            url=receiver.url,
            kinds=KINDS,
            secrets=[secret],
            now_ms=now,
        )
        append(connection, Entry.of(by, "endpoint_create", f"endpoint:{endpoint}"), now)

    store.write(furnish)
    receiver.secret = secret
    return new.presented


@contextmanager
def _running(server: Server, listening: socket.socket) -> Iterator[Callable[[], bool]]:
    """The server in a thread of its own, since whoever follows the tour asks it and waits; its end is awaited."""
    failed: list[BaseException] = []

    def serve() -> None:
        try:
            asyncio.run(server.serve(listening))
        except BaseException as error:  # noqa: BLE001  # told by whoever waits for it
            failed.append(error)

    thread = threading.Thread(target=serve, name="service", daemon=True)
    thread.start()
    try:
        deadline = time.monotonic() + _START_S
        while not server.started:
            if not thread.is_alive() or time.monotonic() > deadline:
                kind = type(failed[0]).__name__ if failed else "TimeoutError"
                raise CrisisFilterError(f"the service did not start: {kind}")
            time.sleep(0.02)
        yield thread.is_alive
    finally:
        server.stop()
        thread.join(_END_S)


@contextmanager
def _listening(port: int) -> Iterator[socket.socket]:
    try:
        opened = socket.create_server((_HOST, port))
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else "it cannot be had"
        raise ConfigurationError(f"--port {port}: {why}; --port 0 takes a free one") from None
    with opened:
        yield opened
