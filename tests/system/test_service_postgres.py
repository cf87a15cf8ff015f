"""The service on PostgreSQL, which is restarted under it as by a power cut: nobody was told of a message that is not there."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from crisis_filter.store.writer import WriterLimits
from tests.service.load import Load, Program, check
from tests.service.running import Gate, Running, equations, problem, results, until
from tests.store.postgres import Server, with_tables
from tests.store.scenes import KEYS

pytestmark = pytest.mark.system
# More than the hundred a second that are wanted over all: while the database is away, nobody is answered.
RATE, CONNECTIONS = 200, 32


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server of its own, for it is restarted; `template` holds the tables."""
    with with_tables("template") as made:
        yield made


def restarted(server: Server, folder: Path, *, times: int, every_s: float) -> int:
    """A service takes some hundred messages a second while its database is restarted; gives how many there are."""
    program = Program(server.make(f"restarted_{times}", "template"), folder, keys=KEYS)
    load = Load(program, connections=CONNECTIONS, pause_s=CONNECTIONS / RATE)
    try:
        program.start()
        began = time.monotonic()
        with load:
            for _ in range(times):
                before = len(load.acknowledged)
                time.sleep(every_s / 2)
                server.restart()
                until(lambda before=before: len(load.acknowledged) > before + 20)
                time.sleep(every_s / 2)
        load.finish()
        rate = len(load.acknowledged) / (time.monotonic() - began)
        assert set(load.acknowledged) == load.begun
        found = check(program, load)
        with httpx2.Client(
            base_url=program.address, headers={"Authorization": f"Bearer {program.key}"}, timeout=60.0, trust_env=False
        ) as client:
            equations(client)
        assert program.end("SIGTERM") == 0
    finally:
        program.close()
    assert found == len(load.begun), "what came again is the same message"
    assert set(load.seen) <= {"200", "409", "503", "504"}, load.seen
    sys.stdout.write(f"{times} restarts: {found} messages, {rate:.0f} a second, {dict(load.seen)}\n")
    return found


@pytest.mark.timeout(600)
def test_restarted_three_times(server: Server, tmp_path: Path) -> None:
    assert restarted(server, tmp_path, times=3, every_s=3.0) > 100


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_restarted_twenty_times(server: Server, tmp_path: Path) -> None:
    assert restarted(server, tmp_path, times=20, every_s=10.0) > 2000


def test_a_database_that_is_gone_is_named_and_takes_nothing_in(server: Server) -> None:
    url = server.make("gone", "template")
    with Running(url, Gate(), keys=KEYS, limits=WriterLimits(patience_s=1.0)) as service:
        client = service.client()
        results(client.post("/v1/classify", json={"id": "a", "text": "crisis"}))
        server.stop()
        try:
            ready = client.get("/readyz")
            assert (ready.status_code, set(ready.json()["troubles"])) == (503, {"store"})
            refused = client.post("/v1/classify", json={"id": "b", "text": "crisis"})
            problem(refused, 503, "store_unavailable")
            assert int(refused.headers["retry-after"]) >= 1
            guarded = client.post(
                "/beta/litellm_basic_guardrail_api", json={"texts": ["calm"], "input_type": "request"}
            )
            assert guarded.status_code in (200, 503)
            assert guarded.status_code == 503 or guarded.json()["action"] == "GUARDRAIL_INTERVENED"
            assert client.get("/livez").status_code == 200
            assert client.get("/metrics").status_code == 200
        finally:
            server.start()
        until(lambda: client.get("/readyz").status_code == 200)
        (again,) = results(client.post("/v1/classify", json={"id": "b", "text": "crisis"}))
        assert again["outcome"] == "crisis"
        equations(client)


BROKEN = ("\x00", "a\x00b", "\ud800", "\U0001f600" * 20, "'; DROP TABLE messages; --", "%s %(x)s", "\\x00")


@pytest.mark.parametrize("text", BROKEN, ids=ascii)
def test_words_that_a_database_does_not_like(server: Server, text: str, broken: httpx2.Client) -> None:
    """In every field that is read: never an error of ours."""
    bodies = [
        ("/v1/classify", {"text": f"calm {text}", "id": text, "subject": text}),
        ("/v1/classify", {"text": f"calm {text}"}),
        ("/v1/classify", {"text": "calm", "source": text, "locale": text}),
        ("/v1/moderations", {"input": [text, "calm"], "model": text, "subject": text}),
        ("/v1/moderations", {"input": [text, "calm"]}),
        ("/v1/queue/next", {"queues": [text]}),
        (
            "/beta/litellm_basic_guardrail_api",
            {
                "texts": [text],
                "input_type": "request",
                "litellm_call_id": text,
                "request_data": {"user_api_key_end_user_id": text},
            },
        ),
        (f"/v1/queue/items/{'0' * 32}/decision", {"action": "escalate", "to": text, "note": text}),
        (f"/v1/queue/items/{'0' * 32}/decision", {"action": "accept", "revision": 2**70, "note": text}),
    ]
    for path, body in bodies:
        answer = broken.post(path, content=json.dumps(body), headers={"Content-Type": "application/json"})
        assert answer.status_code < 500, (path, answer.text)
    for path in ("/v1/messages/%00", "/v1/messages/a%00b", "/v1/messages/%ED%A0%80", f"/v1/messages/{'a' * 5000}"):
        assert broken.get(path).status_code in (404, 422)
        assert broken.post(f"/v1/queue/items/{path.rpartition('/')[2]}/view").status_code in (404, 422)
    equations(broken)


@pytest.fixture(scope="module")
def broken(server: Server) -> Iterator[httpx2.Client]:
    """Somebody who sends such words."""
    with Running(server.make("broken", "template"), Gate(), keys=KEYS) as service:
        yield service.client()
