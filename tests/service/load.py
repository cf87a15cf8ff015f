"""Load on a service that may go away at any moment, and what has to be there afterwards."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx2
from sqlalchemy import func, select

from crisis_filter.store.keyring import Keyring
from crisis_filter.store.opening import open_store
from crisis_filter.store.tables import decisions, items, messages, outbox, routes
from tests.service.running import count, make_key, tell_of_everything, until
from tests.store.scenes import balanced

ROOT = Path(__file__).parent.parent.parent
WORDS = ("crisis", "calm", "else", "calm")
SAID = {"crisis": "crisis", "calm": "no_crisis", "else": "undetermined"}
AHEAD_MS = 400_000
"""By which the clock of each next process is on: longer than any lease."""


class Program:
    """Services in processes of their own, one after another on one port and one store."""

    def __init__(self, url: str, folder: Path, *, keys: Keyring | None = None, **order: Any) -> None:
        self.url, self.keys, self.log = url, keys, folder / "log"
        # Held for as long as the program lives, or somebody else could get the port while a service is dead.
        self._held = socket.socket()
        self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._held.bind(("127.0.0.1", 0))
        self.port = int(self._held.getsockname()[1])
        self._order = {"url": url, "port": self.port, "log": str(self.log), "keys": keys is not None, **order}
        self.starts = 0
        self.heard = "nothing"
        self._program = subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / "serving_process.py")],
            env={**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with open_store(url, keys=keys) as store:
            self.key = make_key(store)
            tell_of_everything(store, "https://example.org/hook")

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, *, answering: bool = True) -> int:
        ahead = AHEAD_MS * self.starts
        self.starts += 1
        pid = int(self._ask(start={**self._order, "ahead_ms": ahead}))
        if answering:
            self.await_ready()
        return pid

    def await_ready(self) -> None:
        """Wait until it takes messages; where it does not, say what it says."""
        try:
            until(self.ready)
        except AssertionError:
            raise AssertionError(f"not ready: {self.heard}; {self.log.read_text()[-2000:]}") from None

    def end(self, name: str) -> Any:
        return self._ask(end=name)

    def ready(self) -> bool:
        try:
            answer = httpx2.get(f"{self.address}/readyz", timeout=20.0, trust_env=False)
        except httpx2.TransportError as error:
            self.heard = repr(error)
            return False
        self.heard = answer.text
        return answer.status_code == 200

    def _ask(self, **order: Any) -> Any:
        assert self._program.stdin is not None
        assert self._program.stdout is not None
        self._program.stdin.write(json.dumps(order) + "\n")
        self._program.stdin.flush()
        return json.loads(self._program.stdout.readline())

    def close(self) -> None:
        assert self._program.stdin is not None
        assert self._program.stdout is not None
        self._program.stdin.close()
        self._program.wait(60)
        self._program.stdout.close()
        self._held.close()


class Load:
    """Sixteen connections, each with one message at a time, until it is answered.

    Attributes:
        begun: numbers of the messages that were sent, answered or not.
        acknowledged: number ► our id and the outcome, of every success.
        seen: statuses.
        wrong: statuses that may not be, with what they said.
    """

    def __init__(self, program: Program, *, connections: int = 16, pause_s: float = 0.0, keys: bool = True) -> None:
        self._program, self._pause_s, self._keys = program, pause_s, keys
        self._connections = connections
        self._numbers = itertools.count()
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.begun: set[int] = set()
        self.acknowledged: dict[int, tuple[str, str]] = {}
        self.seen: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Load:
        self._stop.clear()
        self._threads = [threading.Thread(target=self._send) for _ in range(self._connections)]
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> None:
        """Send nothing more; what is under way is waited for at the end."""
        self._stop.set()

    def __exit__(self, *_: object) -> None:
        self.stop()
        for thread in self._threads:
            thread.join(120)
            assert not thread.is_alive()

    def _client(self) -> contextlib.closing[http.client.HTTPConnection]:
        # The plainest client: sixteen of them share the cores with the service.
        return contextlib.closing(http.client.HTTPConnection("127.0.0.1", self._program.port, timeout=60.0))

    def _send(self) -> None:
        with self._client() as client:
            while not self._stop.is_set():
                with self._lock:
                    number = next(self._numbers)
                    self.begun.add(number)
                while not self._one(client, number) and not self._stop.is_set():
                    time.sleep(0.02)
                time.sleep(self._pause_s)

    def _one(self, client: http.client.HTTPConnection, number: int) -> bool:
        """Send one message; whether it was acknowledged."""
        body = {"id": f"m{number}", "text": f"{WORDS[number % 4]} number {number}", "subject": f"p{number % 9}"}
        headers = {"Authorization": f"Bearer {self._program.key}", "Content-Type": "application/json"}
        if self._keys:
            headers["Idempotency-Key"] = f"k{number}"
        try:
            client.request("POST", "/v1/classify", json.dumps(body), headers)
            answer = client.getresponse()
            told = json.loads(answer.read())
        except (OSError, http.client.HTTPException):
            client.close()  # the next request opens it anew
            self._note("no answer")
            return False
        self._note(str(answer.status))
        if answer.status == 200:
            (said,) = told["results"]
            with self._lock:
                self.acknowledged[number] = (said["message_id"], said["outcome"])
            return True
        later = answer.status in (409, 503) and answer.getheader("Retry-After") is not None
        if not (later or answer.status == 504) or told["decision"] != "undetermined":
            self.wrong.append(f"{answer.status} {told['code']}")
        return False

    def _note(self, what: str) -> None:
        with self._lock:
            self.seen[what] += 1

    def finish(self) -> None:
        """Send again whatever nobody answered, until it is."""
        with self._client() as client:
            for number in sorted(self.begun - set(self.acknowledged)):
                until(lambda number=number: self._one(client, number))  # type: ignore[misc]


def check(program: Program, load: Load) -> int:
    """Everything acknowledged is there, once, as it was said, and all is decided; gives how many messages there are."""
    assert not load.wrong, load.wrong[:5]
    with open_store(program.url, keys=program.keys) as store:
        until(lambda: not count(store, messages, messages.c.state == "pending"))
        assert balanced(store)

        def read(statement: Any) -> list[Any]:
            return list(store.read(lambda connection: connection.execute(statement).all()))

        there = {row[0] for row in read(select(messages.c.id))}
        outcome = {row[0]: row[1] for row in read(select(decisions.c.message_id, decisions.c.outcome))}
        for table in (decisions, routes):
            assert len(read(select(table.c.message_id))) == len(there), f"{table.name}: one for each message"
        twice = select(items.c.message_id).where(items.c.kind == "alert").group_by(items.c.message_id)
        assert not read(twice.having(func.count() > 1))
        decided = outbox.c.kind.startswith(
            "assessment."
        )  # where the clock runs on, items that nobody reads are told of as well
        once = select(outbox.c.message_id).where(decided).group_by(outbox.c.message_id)
        assert not read(once.having(func.count() > 1))
        told, alerts = count(store, outbox, decided), count(store, items, items.c.kind == "alert")
    for number, (message_id, said) in load.acknowledged.items():
        assert message_id in there, "an acknowledged message is lost"
        assert said == outcome[message_id] == SAID[WORDS[number % 4]]
    assert len({one for one, _ in load.acknowledged.values()}) == len(load.acknowledged)
    assert alerts == sum(one != "no_crisis" for one in outcome.values())
    assert told == len(there), "each decision is told of once"
    return len(there)
