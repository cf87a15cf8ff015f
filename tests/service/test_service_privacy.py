"""No word of a message, no name and no key in a log, a figure, a problem, a webhook or, where texts are sealed, in the file of the store."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import traceback
from pathlib import Path

import httpx2

from crisis_filter.pipeline.description import FilterSpec
from crisis_filter.pipeline.spec import open_filter
from crisis_filter.store.keyring import Keyring
from crisis_filter.store.tables import outbox
from tests.delivery.receiver import Receiver
from tests.service.load import Program
from tests.service.running import Gate, equations, running, tell_of_everything, until
from tests.store.scenes import KEYS

CANARY = re.compile(r"qzx[a-z]+\d+qzx")
OURS = ("httpx2", "httpcore2", "asyncio")
"""Loggers of the client of these tests, which tell of its own requests."""


class Canaries:
    """Words that are nowhere else, and what each was."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self, kind: str) -> str:
        self.made += 1
        return f"qzx{kind}{self.made}qzx"


class Judge:
    """The embedded engine, but for texts that begin with a bug."""

    def __init__(self) -> None:
        self._filter = open_filter(FilterSpec(policy="default-v4"))

    async def __call__(self, message):
        if message.text.startswith("bug"):
            raise ValueError(f"could not read {message.text}")
        return await self._filter.assess(message)


def requests(canary: Canaries, item: str, message: str):
    """One request after another, for every address and many refusals: method, path, body, headers."""
    grave = f"I want to end my life tonight {canary('text')}"
    people = {"id": canary("id"), "subject": canary("subject")}
    key = {"Idempotency-Key": canary("idempotency")}
    yield "POST", "/v1/classify", {"text": grave, **people}, key
    yield "POST", "/v1/classify", {"text": canary("other"), **people}, key
    yield "POST", "/v1/classify", {"text": f"bug {canary('bug')}", **people}, {}
    yield (
        "POST",
        "/v1/classify",
        {"messages": [{"text": f"hello {canary('text')}", "id": canary("id")} for _ in range(3)]},
        {},
    )
    yield "POST", "/v1/classify", {"text": canary("text"), "include": ["evidence", canary("include")]}, {}
    for wrong in (
        {"text": [canary("text")]},
        {"text": canary("text"), canary("field"): canary("value")},
        {"text": canary("text"), "source": f"{canary('source')} !"},
        {"text": canary("text"), "locale": canary("locale")},
        {"text": canary("text"), "received_at": canary("when")},
        {"text": canary("text"), "id": canary("id") * 60},
        {"messages": [{"text": canary("text")}, {"texte": canary("text")}]},
        [canary("text")],
        canary("text"),
    ):
        yield "POST", "/v1/classify", wrong, {}
    yield "POST", "/v1/classify", {"text": canary("text")}, {"X-Deadline-Ms": canary("deadline")}
    yield "POST", "/v1/classify", {"text": canary("text")}, {"X-Deadline-Ms": "1"}
    yield "POST", "/v1/classify", {"text": canary("text")}, {"Authorization": f"Bearer {canary('key')}"}
    yield "POST", "/v1/classify", {"text": canary("text")}, {"Content-Type": f"text/{canary('kind')}"}
    yield (
        "POST",
        f"/v1/classify?{canary('query')}={canary('query')}",
        {"text": canary("text")},
        {"User-Agent": canary("agent")},
    )
    yield "POST", "/v1/moderations", {"input": [grave, canary("text")], "subject": canary("subject")}, {}
    yield "POST", "/v1/moderations", {"input": [{"type": "text", "text": canary("text")}, {"type": canary("part")}]}, {}
    guarded = {"input_type": "request", "litellm_call_id": canary("call"), "images": [canary("image")]}
    data = {"user_api_key_end_user_id": canary("user"), "headers": {canary("head"): canary("head")}}
    yield (
        "POST",
        "/beta/litellm_basic_guardrail_api",
        {**guarded, "texts": [f"bug {canary('text')}"], "request_data": data},
        {},
    )
    yield "POST", "/beta/litellm_basic_guardrail_api", {**guarded, "texts": canary("text")}, {}
    yield "GET", f"/v1/messages/{message}", None, {}
    yield "GET", f"/v1/messages/{canary('path')}", None, {}
    yield "GET", f"/v1/messages/{canary('path')}%00%ff", None, {}
    yield "GET", f"/{canary('path')}", None, {}
    yield canary("method").upper(), "/v1/classify", None, {}
    yield "POST", "/v1/queue/next", {"queues": [canary("queue")]}, {}
    yield "POST", f"/v1/queue/items/{item}/view", None, {}
    yield "POST", f"/v1/queue/items/{canary('path')}/view", None, {}
    decision = f"/v1/queue/items/{item}/decision"
    yield "POST", decision, {"action": canary("action")}, {}
    yield "POST", decision, {"action": "override", "outcome": "crisis", "categories": [canary("category")]}, {}
    yield "POST", decision, {"action": "escalate", "to": canary("queue")}, {}
    said = {"action": "override", "outcome": "no_crisis", "reason": "joke_or_quote", "note": f"a film {canary('note')}"}
    yield "POST", decision, said, {}
    yield "GET", f"/v1/queue/second-readings?days={canary('days')}", None, {}
    for path in ("/v1/queue/board", "/v1/queue/second-readings", "/v1/ledger", "/metrics", "/openapi.json", "/readyz"):
        yield "GET", path, None, {}


def send(client: httpx2.Client, method: str, path: str, body, headers) -> httpx2.Response:
    kind = {"Content-Type": "application/json", **headers}
    return client.request(method, path, content=None if body is None else json.dumps(body), headers=kind)


def hits(text: str) -> set[str]:
    return set(CANARY.findall(text.lower()))


async def test_canaries_through_every_address(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    canary = Canaries()
    async with Receiver() as receiver:
        given = {"keys": KEYS, "deliver": True, "loopback_webhooks": True, "second_readings": 0.5}
        told = await asyncio.to_thread(_everything, tmp_path, canary, receiver, given)
    assert canary.made > 60
    assert len(receiver.got) >= 5
    seen = {
        "the log": "\n".join(
            f"{record.getMessage()} {record.args!r} {_traced(record)}"
            for record in caplog.records
            if not record.name.startswith(OURS)
        ),
        "webhooks": "\n".join(f"{one.line} {one.headers} {one.body!r}" for one in receiver.got),
        **told,
    }
    assert not {name: found for name, text in seen.items() if (found := hits(text))}
    file = b"".join(path.read_bytes() for path in sorted(tmp_path.iterdir()) if path.name.startswith("store.db"))
    assert len(file) > 50_000
    for encoding in ("utf-8", "utf-16-le"):
        assert not hits(file.decode(encoding, "ignore"))


def _everything(tmp_path: Path, canary: Canaries, receiver: Receiver, given) -> dict[str, str]:
    with running(tmp_path, Judge(), **given) as service:
        tell_of_everything(service.store, receiver.url())
        client = service.client()
        first = client.post("/v1/classify", json={"text": f"I am going to kill myself {canary('text')}"}).json()[
            "results"
        ][0]
        item = client.post("/v1/queue/next", json={}).json()["item"]["id"]
        problems, answers, statuses = [], [], set()
        for method, path, body, headers in requests(canary, item, first["message_id"]):
            answer = send(client, method, path, body, headers)
            statuses.add(answer.status_code)
            head = f"{answer.status_code} {answer.headers}"
            if answer.status_code >= 400:
                problems.append(f"{head} {answer.text}")
                assert answer.json()["decision"] == "undetermined"
            elif not path.endswith(("/view", "guardrail_api")):
                # Names come back to whoever sent them, and nothing else does.
                answers.append(head + re.sub(r'"(id|model)":"qzx\w+"', "", answer.text))
        assert statuses >= {200, 400, 401, 404, 415, 422}
        assert statuses <= {200, 400, 401, 404, 409, 415, 422, 504}
        until(lambda: not service.count(outbox, outbox.c.state == "pending"))
        equations(client)
        payloads = service.store.read(lambda c: c.exec_driver_sql("SELECT payload FROM outbox").all())
        audit = service.store.read(lambda c: c.exec_driver_sql("SELECT * FROM audit").all())
        return {
            "problems": "\n".join(problems),
            "answers": "\n".join(answers),
            "figures": client.get("/metrics").text,
            "the description": client.get("/openapi.json").text,
            "outbox": repr(payloads),
            "audit": repr(audit),
        }


def _traced(record: logging.LogRecord) -> str:
    return "".join(traceback.format_exception(*record.exc_info)) if record.exc_info else ""


def test_a_process_says_nothing_of_a_message_on_its_way_out(tmp_path):
    """What lands on the standard output and error of a process, bugs and a kill of the connection included."""
    canary = Canaries()
    program = Program(f"sqlite:///{tmp_path / 'store.db'}", tmp_path, keys=KEYS)
    try:
        program.start()
        headers = {"Authorization": f"Bearer {program.key}"}
        with httpx2.Client(base_url=program.address, headers=headers, timeout=60.0, trust_env=False) as client:
            for method, path, body, more in requests(canary, "0" * 32, "0" * 32):
                send(client, method, path, body, more)
            with httpx2.Client(base_url=program.address, headers=headers, timeout=0.001, trust_env=False) as gone:
                for _ in range(5):
                    try:
                        gone.post("/v1/classify", json={"text": f"bug {canary('text')}"})
                    except httpx2.TransportError:
                        continue
        assert program.end("SIGTERM") == 0
    finally:
        program.close()
    said = program.log.read_text()
    assert not hits(said), said[:500]
    assert program.key.partition(".")[2] not in said


def test_without_keys_the_text_alone_lies_open(tmp_path):
    """Names are pseudonyms all the same."""
    canary = Canaries()
    with running(tmp_path, Gate()) as service:
        client = service.client()
        body = {"text": f"calm {canary('text')}", "id": canary("id"), "subject": canary("subject")}
        assert client.post("/v1/classify", json=body, headers={"Idempotency-Key": canary("key")}).status_code == 200
        presented = client.headers["Authorization"]
    file = b"".join(path.read_bytes() for path in sorted(tmp_path.iterdir())).decode("latin-1")
    assert {one[3:7] for one in hits(file)} == {"text"}
    assert presented.partition(".")[2] not in file


def test_the_same_name_is_another_pseudonym_under_another_key(tmp_path):
    """Whoever has the file alone cannot try names."""
    found = []
    for number, secret in enumerate((b"p" * 32, b"q" * 32)):
        folder = tmp_path / str(number)
        folder.mkdir()
        keys = Keyring(current="k1", keys={"k1": b"1" * 32}, pseudonym_key=secret)
        with running(folder, Gate(), keys=keys) as service:
            client = service.client()
            assert (
                client.post("/v1/classify", json={"text": "calm", "id": "5551234", "subject": "a"}).status_code == 200
            )
            found += service.store.read(
                lambda c: c.exec_driver_sql("SELECT external_pseudonym, subject_pseudonym FROM messages").all()
            )
    assert len({value for row in found for value in row}) == 4
