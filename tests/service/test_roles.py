"""Who may do what: every address for every kind of key, against a table that is read by people; and of another tenant's things nothing is told."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from crisis_filter.store.api_keys import revoke
from crisis_filter.store.opening import now_ms
from crisis_filter.store.records import SCOPES, Actor
from tests.service.running import Gate, problem, results, running

TABLE = Path(__file__).with_name("roles.csv")
NOBODY = ("no key", "wrong key", "expired", "revoked")
KEYS = (*NOBODY, *SCOPES, "all")
UNKNOWN = "0" * 32
BODIES = {
    "/v1/classify": {"text": "calm"},
    "/v1/moderations": {"input": "calm"},
    "/beta/litellm_basic_guardrail_api": {"texts": ["calm"], "input_type": "request"},
    "/v1/queue/next": {},
    "/v1/queue/items/{item_id}/decision": {"action": "accept", "revision": 1},
}
"""A good body of each address that takes one."""


def rows():
    with TABLE.open(newline="", encoding="utf-8") as file:
        return {(row["method"], row["path"]): row for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with running(tmp_path_factory.mktemp("roles"), Gate()) as service:
        yield service


@pytest.fixture(scope="module")
def clients(service):
    now = service.store.clock()
    revoked = service.key()
    by = Actor(id="tests", tenant="clinic")
    service.store.write(lambda c: revoke(c, by, revoked.partition(".")[0], now_ms=now))
    good = service.key()
    wrong = good[:-1] + ("A" if good[-1] != "A" else "B")
    expired = service.key(now_ms=now - 10_000, expires_ms=now - 5_000)
    return {
        "no key": service.bearer(None),
        "wrong key": service.bearer(wrong),
        "expired": service.bearer(expired),
        "revoked": service.bearer(revoked),
        **{scope: service.client(scope) for scope in SCOPES},
        "all": service.client(),
    }


def described(service):
    """What the description names, and what is there besides."""
    schema = service.bearer(None).get("/openapi.json").json()
    told = {(method.upper(), path) for path, methods in schema["paths"].items() for method in methods}
    return told | {("GET", "/openapi.json")}


def ask(client, method, path, **ids):
    url = path.format(item_id=ids.get("item", UNKNOWN), message_id=ids.get("message", UNKNOWN))
    return client.request(method, url, json=BODIES.get(path))


def test_every_address_has_its_row(service):
    assert set(rows()) == described(service)
    inner = {
        (method, route.path)
        for route in service.server.app.router.routes
        if hasattr(route, "methods") and route.methods
        for method in route.methods - {"HEAD", "OPTIONS"}
    }
    assert inner <= set(rows()), "an address that the description does not name"


@pytest.mark.parametrize(("method", "path"), rows())
def test_the_table_holds(clients, method, path):
    seen = {name: str(ask(clients[name], method, path).status_code) for name in KEYS}
    row = rows()[method, path]
    assert seen == {name: row[name] for name in KEYS}


@pytest.mark.parametrize(("method", "path"), [one for one, row in rows().items() if row["no key"] == "401"])
def test_nobody_learns_why_a_key_opens_nothing(clients, method, path):
    """No key, a wrong one, one that ended and one that was taken back: the same status, head and body."""
    answers = [ask(clients[name], method, path) for name in NOBODY]
    odd = clients["no key"]
    for header in ("Basic Zm9vOmJhcg==", "Bearer", "Bearer a b", "Bearer " + "a" * 600, "bearer ' or 1=1", "Token x"):
        url = path.format(item_id=UNKNOWN, message_id=UNKNOWN)
        answers.append(odd.request(method, url, json=BODIES.get(path), headers={"Authorization": header}))
    for answer in answers:
        problem(answer, 401, "unauthenticated")
        assert answer.headers["www-authenticate"] == "Bearer"
    assert len({answer.content for answer in answers}) == 1


def test_another_tenants_things_are_as_if_they_were_not_there(service):
    ours, theirs = service.client(tenant="north"), service.client(tenant="south")
    (said,) = results(ours.post("/v1/classify", json={"id": "shared", "text": "crisis"}))
    item = ours.post("/v1/queue/next", json={}).json()["item"]["id"]
    asked = 0
    for method, path in rows():
        if "{" not in path:
            continue
        asked += 1
        other = ask(theirs, method, path, item=item, message=said["message_id"])
        unknown = ask(theirs, method, path)
        problem(other, 404, "not_found")
        assert other.content == unknown.content
        assert {k: v for k, v in other.headers.items() if k != "date"} == {
            k: v for k, v in unknown.headers.items() if k != "date"
        }
        assert ask(ours, method, path, item=item, message=said["message_id"]).status_code != 404
    assert asked == 5
    # The same id and text of another tenant's is another message.
    (twin,) = results(theirs.post("/v1/classify", json={"id": "shared", "text": "crisis"}))
    assert twin["message_id"] != said["message_id"]
    assert theirs.post("/v1/queue/next", json={}).json()["item"]["message_id"] == twin["message_id"]
    assert theirs.get("/v1/queue/board").json()["lines"][0]["held"] == 1
    ledger = theirs.get("/v1/ledger").json()["equations"]
    assert next(one["left"] for one in ledger if one["words"].startswith("received")) == 1


def test_a_key_that_is_taken_back_opens_nothing_soon_after(tmp_path):
    """Five seconds at the most, by the service's clock."""
    ahead = [0]
    with running(tmp_path, Gate(), clock=lambda: now_ms() + ahead[0]) as service:
        key = service.key()
        client = service.bearer(key)
        assert client.get("/v1/ledger").status_code == 200
        by, now = Actor(id="tests", tenant="clinic"), service.store.clock()
        service.store.write(lambda c: revoke(c, by, key.partition(".")[0], now_ms=now))
        ahead[0] = 5_000
        problem(client.get("/v1/ledger"), 401, "unauthenticated")
