"""`crisis-filter webhooks`: from registering a receiver to sending again what was given up."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import contextmanager

import pytest
from sqlalchemy import insert
from standardwebhooks.webhooks import Webhook
from typer.testing import CliRunner

from crisis_filter.cli.app import app
from crisis_filter.store.opening import open_store
from crisis_filter.store.tables import audit, outbox
from tests.delivery.receiver import Receiver


@pytest.fixture
def here(tmp_path):
    return tmp_path / "store.db"


@pytest.fixture
def ran(here):
    def run(*words, status=0):
        command, *more = words
        done = CliRunner().invoke(app, ["webhooks", command, *map(str, more), "--store", f"sqlite:///{here}"])
        assert done.exit_code == status, done.stderr
        return done

    return run


@contextmanager
def served(receiver):
    """A receiver in a thread, since a command has an event loop of its own."""
    begun, loop = threading.Event(), asyncio.new_event_loop()
    end = asyncio.Event()

    async def serve():
        async with receiver:
            begun.set()
            await end.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert begun.wait(10)
    try:
        yield receiver
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join()
        loop.close()


def added(ran, url):
    return json.loads(ran("add", url, "--loopback-http", "--json").stdout)


def rows_in(here, **rows):
    with open_store(str(here)) as store:
        at = store.clock()
        given = [
            {
                "id": name,
                "tenant": "default",
                "endpoint_id": to,
                "kind": "assessment.crisis",
                "payload": "{}",
                "state": state,
                "attempts": 8,
                "created_ms": at,
                "next_ms": at,
                "ended_ms": at,
                "last_result": "500",
            }
            for name, (to, state) in rows.items()
        ]
        store.write(lambda connection: connection.execute(insert(outbox), given) and None)


def test_a_receiver_is_added_tried_and_told_apart(ran, here):
    with served(Receiver()) as receiver:
        made = added(ran, receiver.url("/canary-path"))
        done = ran("test", made["id"], "--loopback-http")
        assert "delivered: 204" in done.stderr
    (got,) = receiver.got
    assert Webhook(made["secret"]).verify(got.body, got.headers) == {"id": got.id, "kind": "webhook.test"}
    listed = ran("list").stdout
    assert made["id"] in listed
    assert "assessment.crisis, assessment.undetermined" in listed
    assert made["secret"] not in listed + ran("list", "--json").stdout
    assert "0 pending" in listed
    assert "0 pending" in ran("list", "--tenant", "south").stdout


@pytest.mark.parametrize(("behaviour", "word"), [("500", "500"), ("302", "302"), ("reset", "broken")])
def test_a_receiver_that_does_not_take_it_is_told(ran, behaviour, word):
    with served(Receiver(lambda _: behaviour)) as receiver:
        made = added(ran, receiver.url())
        assert f"not delivered: {word}" in ran("test", made["id"], "--loopback-http", status=4).stderr


def test_what_may_be_sent_is_decided_by_whoever_sends(ran):
    """An endpoint that was registered with more reach than the sender has is not reached."""
    with served(Receiver()) as receiver:
        made = added(ran, receiver.url())
        assert "scheme_refused" in ran("test", made["id"], status=4).stderr
    assert receiver.accepted == 0


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/canary",
        "https://127.0.0.1/canary",
        "https://2130706433/canary",
        "https://[::ffff:169.254.169.254]/canary",
        "https://localhost/canary",
        "https://user:canary@example.com/",
        "https://8.8.8.8:22/canary",
    ],
)
def test_an_address_that_leads_inside_is_refused_and_not_repeated(ran, here, url):
    done = ran("add", url, status=2)
    assert "is refused" in done.stderr
    assert "canary" not in done.stderr
    assert not here.exists()


def test_a_network_of_ones_own_may_be_allowed(ran):
    ran("add", "https://10.20.1.2:9000/", status=2)
    ran("add", "https://10.20.1.2:9000/", "--allow-network", "10.20.0.0/16", status=2)
    ran("add", "https://10.20.1.2:9000/", "--allow-network", "10.20.0.0/16", "--allow-port", 9000)
    ran("add", "https://10.20.1.2/", "--allow-network", "everything", status=5)


def test_a_kind_that_never_comes_is_refused(ran):
    ran("add", "https://8.8.8.8/", "--kind", "assessment.crises", status=2)
    made = json.loads(ran("add", "https://8.8.8.8/", "--kind", "*", "--json").stdout)
    assert made["secret"].startswith("whsec_")


def test_dead_ones_are_shown_and_sent_again(ran, here):
    made = json.loads(ran("add", "https://8.8.8.8/", "--json").stdout)["id"]
    assert "nothing is dead" in ran("dead").stderr
    rows_in(here, d1=(made, "dead"), d2=(made, "dead"), s1=(made, "delivered"))
    assert {json.loads(line)["id"] for line in ran("dead", "--json").stdout.splitlines()} == {"d1", "d2"}
    assert "8 attempts  500" in ran("dead", "--limit", 1).stdout
    ran("replay", status=2)
    ran("replay", "d1", "--dead", status=2)
    ran("replay", "d1", "--endpoint", made, status=2)
    ran("replay", "none", status=2)
    assert "1 are sent again" in ran("replay", "s1").stderr
    assert ran("disable", made).stderr
    assert "0 are sent again" in ran("replay", "--dead").stderr
    ran("enable", made)
    done = ran("replay", "--endpoint", made)
    assert "are sent again; 0 left" in done.stderr
    assert "nothing is dead" in ran("dead").stderr
    assert "3 pending" in ran("list").stdout


def test_secrets_are_changed_in_two_steps(ran):
    with served(Receiver()) as receiver:
        first = added(ran, receiver.url())
        second = json.loads(ran("rotate", first["id"], "--json").stdout)
        ran("test", first["id"], "--loopback-http")
        ran("rotate", first["id"], "--finish")
        ran("test", first["id"], "--loopback-http")
    during, after = receiver.got
    for secret in (first["secret"], second["secret"]):
        Webhook(secret).verify(during.body, during.headers)
    Webhook(second["secret"]).verify(after.body, after.headers)
    assert after.headers["webhook-signature"].count("v1,") == 1


def test_what_an_operator_changes_is_in_the_audit(ran, here):
    made = json.loads(ran("add", "https://8.8.8.8/", "--json").stdout)["id"]
    for words in (["rotate", made], ["disable", made], ["enable", made], ["replay", "--dead"]):
        ran(*words)
    with open_store(str(here)) as store:
        found = store.read(lambda connection: connection.execute(audit.select().order_by(audit.c.seq)).all())
    assert [(row.action, row.object) for row in found] == [
        ("endpoint_create", f"endpoint:{made}"),
        ("endpoint_change", f"endpoint:{made}"),
        ("endpoint_disable", f"endpoint:{made}"),
        ("endpoint_change", f"endpoint:{made}"),
        ("replay", "endpoint:all"),
    ]


def test_an_unknown_endpoint_is_told(ran):
    ran("add", "https://8.8.8.8/")
    for command in ("disable", "enable", "rotate", "test"):
        assert "no such endpoint" in ran(command, "none", status=2).stderr
