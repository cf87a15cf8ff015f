"""The courier with a real store and real receivers: each row ends delivered or dead, under the one id it always had."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import tempfile
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook

from crisis_filter.delivery.addresses import Reach, networks
from crisis_filter.delivery.schedule import MOST_ATTEMPTS
from crisis_filter.delivery.sending import Sender
from crisis_filter.delivery.worker import Courier
from crisis_filter.schema import Evidence
from crisis_filter.store import outbox
from crisis_filter.store.endpoints import change_secret, disable, enable
from crisis_filter.store.opening import open_store
from tests.delivery.conftest import TENANT, Box
from tests.delivery.receiver import BEHAVIOURS, WELL, Names, Receiver
from tests.store.scenes import KEYS, Clock, balanced, crisis, decided, received, taken

LOOPBACK = Reach(loopback_http=True)


def courier(box, *, worker="w", timeout_s=30.0, sender=None, **more):
    return Courier(
        box.store, sender or Sender(LOOPBACK, Names(), timeout_s=timeout_s), worker=worker, jitter=lambda: 0.5, **more
    )


async def until(true, *, seconds=10.0):
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110  # what is waited for is in the database
            await asyncio.sleep(0.01)


async def through(box, one):
    """Let the days pass: deliver what is due, and go on to when the next is."""
    steps = []
    for _ in range(200):
        sent = await one.deliver_due()
        if sent:
            steps.append((box.clock(), sent))
        due = box.store.read(outbox.first_due)
        if not due:
            return steps
        box.clock.now = max(box.clock.now, min(due.values()))
    raise AssertionError("it does not come to an end")


async def test_a_row_is_delivered_signed_and_as_it_was_written(box):
    async with Receiver() as receiver:
        (secret,) = box.endpoint(receiver.url())
        (row_id,) = box.put()
        payload = box.rows()[row_id]["payload"]
        assert await courier(box).deliver_due() == 1
    (got,) = receiver.got
    assert got.body.decode() == payload
    assert Webhook(secret).verify(got.body, got.headers) == json.loads(payload)
    assert got.id == row_id
    row = box.rows()[row_id]
    assert (row["state"], row["attempts"], row["last_result"], row["ended_ms"]) == ("delivered", 1, "204", box.clock())


@pytest.mark.parametrize("name", ["301", "500", "drip_body", "garbage", "hang", "half_a_body", "reset_mid_body"])
async def test_a_failure_is_tried_on_its_schedule_and_then_dead(box, name):
    """The same id at each of eight attempts; visible, and replayed by hand under that id."""
    behave = {"now": name}
    async with Receiver(lambda _: behave["now"]) as receiver:
        box.endpoint(receiver.url())
        (row_id,) = box.put()
        began = box.clock()
        one = courier(box, timeout_s=0.08)
        steps = await through(box, one)
        seconds = [(at - began) / 1000 for at, _ in steps]
        assert seconds == [0, 5, 305, 2105, 9305, 27_305, 63_305, 99_305]
        assert receiver.ids == [row_id] * MOST_ATTEMPTS
        row = box.rows()[row_id]
        assert (row["state"], row["attempts"]) == ("dead", MOST_ATTEMPTS)
        (seen,) = box.store.read(lambda connection: outbox.dead(connection, TENANT))
        assert (seen.id, seen.last_result) == (row_id, row["last_result"])

        behave["now"] = "ok"
        box.store.write(lambda connection: outbox.replay(connection, TENANT, now_ms=box.clock()))
        assert await one.deliver_due() == 1
        assert receiver.ids == [row_id] * (MOST_ATTEMPTS + 1)
        assert box.states() == {"delivered": 1}


async def test_a_receiver_that_asks_for_time_is_given_it(box):
    async with Receiver(lambda number: "503_later" if number < 2 else "ok") as receiver:
        box.endpoint(receiver.url())
        box.put()
        began = box.clock()
        steps = await through(box, courier(box))
    assert [(at - began) / 1000 for at, _ in steps] == [0, 900, 1800]
    assert box.states() == {"delivered": 1}


async def test_a_late_yes_is_heard_the_second_time(box):
    """Taken by the receiver, whose answer came after the time-out: sent again under the same id, by which it knows it."""
    async with Receiver(lambda number: "hang" if number == 0 else "ok") as receiver:
        box.endpoint(receiver.url())
        (row_id,) = box.put()
        await through(box, courier(box, timeout_s=0.08))
        assert receiver.ids == [row_id, row_id]
    assert box.rows()[row_id]["attempts"] == 2


async def test_a_receiver_that_is_gone_is_disabled_and_what_waits_is_dead(box):
    behave = {"now": "410"}
    async with Receiver(lambda _: behave["now"]) as receiver, Receiver() as other:
        box.endpoint(receiver.url())
        box.endpoint(other.url(), name="e2")
        ids = box.put(5)
        box.put(2, to="e2")
        one = courier(box, per_endpoint=1)
        await one.deliver_due()
        assert len(receiver.got) == 1
        assert box.states() == {"dead": 5, "delivered": 2}
        assert (
            sorted(str(row["last_result"]) for row in box.rows().values()) == ["204"] * 2 + ["410"] + ["disabled"] * 4
        )
        assert box.endpoint_row()["why_disabled"] == "gone"

        again = partial(outbox.replay, tenant=TENANT, now_ms=box.clock())
        assert box.store.write(again) == outbox.Replayed(replayed=0, disabled=5)
        behave["now"] = "ok"
        box.store.write(partial(enable, tenant=TENANT, endpoint_id="e1"))
        assert box.store.write(again).replayed == 5
        await one.deliver_due()
        assert sorted(receiver.ids[1:]) == ids
        assert box.states() == {"delivered": 7}


async def test_what_is_written_while_an_endpoint_is_being_disabled_comes_to_an_end_too(box):
    async with Receiver() as receiver:
        box.endpoint(receiver.url())
        box.store.write(partial(disable, tenant=TENANT, endpoint_id="e1", why="operator", now_ms=box.clock()))
        box.put()
        assert await courier(box).deliver_due() == 0
        assert not receiver.got
    assert box.states() == {"dead": 1}


async def test_a_slow_receiver_holds_up_nobody_else(box):
    """With 50 rows for each of three that hang, 50 for a good one are delivered long before the first of the others is given up."""
    async with Receiver(lambda _: "hang") as slow, Receiver() as good:
        for name in ("s1", "s2", "s3"):
            box.endpoint(slow.url(), name=name)
            box.put(50, to=name)
        box.endpoint(good.url(), name="good")
        box.put(50, to="good")
        one = courier(box, timeout_s=30.0, at_once=16, per_endpoint=4, idle_s=0.02)
        running = asyncio.create_task(one.run())
        await until(lambda: box.states().get("delivered", 0) == 50)
        assert slow.most_at_once == 12
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert len(good.got) == 50


async def test_a_receiver_in_trouble_is_asked_one_at_a_time(box):
    async with Receiver(lambda _: "500") as receiver:
        box.endpoint(receiver.url())
        box.put(20)
        one = courier(box, per_endpoint=4)
        await one.deliver_due()
        receiver.most_at_once = 0
        box.put(10, first=20)
        await one.deliver_due()
    assert receiver.most_at_once == 1
    assert len(receiver.got) == 30


async def test_two_couriers_send_each_row_once(make_box):
    """Two processes' worth of couriers on one file, neither knowing of the other."""
    first = make_box()
    second = make_box()
    async with Receiver() as receiver:
        first.endpoint(receiver.url())
        ids = first.put(120)
        await asyncio.gather(courier(first, worker="a").deliver_due(), courier(second, worker="b").deliver_due())
        assert sorted(receiver.ids) == ids
    assert first.states() == {"delivered": 120}


async def test_it_stops_when_what_is_in_the_air_has_come_down(box):
    """And leaves the rest for later."""
    gate = asyncio.Event()

    class Slow(Receiver):
        async def _answer(self, name, writer):
            await gate.wait()
            await super()._answer(name, writer)

    async with Slow() as receiver:
        box.endpoint(receiver.url())
        box.put(10)
        one = courier(box, per_endpoint=3)
        running = asyncio.create_task(one.run())
        await until(lambda: len(receiver.got) == 3)
        one.stop()
        await asyncio.sleep(0.05)
        assert not running.done()
        gate.set()
        async with asyncio.timeout(5):
            await running
    assert box.states() == {"delivered": 3, "pending": 7}


async def test_it_sees_what_comes_while_it_runs_at_once_when_woken(box):
    async with Receiver() as receiver:
        box.endpoint(receiver.url())
        one = courier(box, idle_s=30.0)
        running = asyncio.create_task(one.run())
        await asyncio.sleep(0.1)
        box.put()
        one.wake()
        await until(lambda: box.states() == {"delivered": 1})
        one.stop()
        await running


async def test_it_outlives_trouble_with_the_store(box, monkeypatch, caplog):
    """A store that cannot be read for a while, and a mark that is lost: sent again when the lease runs out, under the same id."""
    async with Receiver() as receiver:
        box.endpoint(receiver.url())
        (row_id,) = box.put()
        read, submit = box.store.read, box.store.submit
        troubles = {"reads": 2, "marks": 1}

        def failing_read(function):
            if troubles["reads"]:
                troubles["reads"] -= 1
                raise RuntimeError("canary")
            return read(function)

        def failing_submit(function, **more):
            if getattr(function, "func", None) is outbox.mark_delivered and troubles["marks"]:
                troubles["marks"] -= 1
                raise RuntimeError("canary")
            return submit(function, **more)

        monkeypatch.setattr(box.store, "read", failing_read)
        monkeypatch.setattr(box.store, "submit", failing_submit)
        one = courier(box, idle_s=0.01, lease_s=60.0)
        running = asyncio.create_task(one.run())
        await until(lambda: receiver.got and not troubles["marks"])
        monkeypatch.undo()
        await asyncio.sleep(0.05)
        assert len(receiver.got) == 1
        box.clock.now += 60_000
        await until(lambda: box.states() == {"delivered": 1})
        one.stop()
        await running
    assert receiver.ids == [row_id, row_id]
    assert "canary" not in caplog.text


async def test_rows_that_cannot_be_signed_come_to_an_end_and_stop_nobody(box):
    """Secrets under a key that is gone, or that are none; others are delivered meanwhile."""
    async with Receiver() as receiver:
        box.endpoint(receiver.url(), name="good")
        box.endpoint(receiver.url(), name="odd", secrets=["whsec_"])
        box.endpoint(receiver.url(), name="lost")
        box.store.write(
            lambda connection: connection.exec_driver_sql("update endpoints set key_id='k9' where id='lost'")
        )
        for name in ("good", "odd", "lost"):
            box.put(1, to=name)
        await through(box, courier(box))
        assert len(receiver.got) == 1
    results = {row["endpoint_id"]: (row["state"], row["last_result"]) for row in box.rows().values()}
    assert results == {"good": ("delivered", "204"), "odd": ("dead", "internal"), "lost": ("dead", "secrets_sealed")}


async def test_a_new_secret_signs_beside_the_old_until_it_signs_alone(box):
    async with Receiver() as receiver:
        (old,) = box.endpoint(receiver.url())
        one = courier(box)
        steps = [None, "whsec_bmV3LW5ldy1uZXctbmV3LW5ldy1uZXc=", None]
        for number, new in enumerate(steps):
            if number:
                box.store.write(partial(change_secret, keys=box.store.keys, tenant=TENANT, endpoint_id="e1", new=new))
            box.put(1, first=number)
            await one.deliver_due()
    by_old, by_new = ([_taken(known, got) for got in receiver.got] for known in (old, steps[1]))
    assert by_old == [True, True, False]
    assert by_new == [False, True, True]


def _taken(secret, got):
    try:
        Webhook(secret).verify(got.body, got.headers)
    except Exception:  # noqa: BLE001  # whatever the library says when it refuses
        return False
    return True


async def test_an_address_that_turned_inward_is_never_connected_to(box):
    """Registered when it was good; refused at each sending, dead in the end, and delivered by hand once it is good again."""
    async with Receiver() as canary:
        names = Names(hooks_example_com=[["127.0.0.1"]])
        sender = Sender(Reach(ports=frozenset({canary.port})), names)
        box.endpoint(f"https://hooks.example.com:{canary.port}/hook")
        (row_id,) = box.put()
        await through(box, courier(box, sender=sender))
        assert canary.accepted == 0
        assert len(names.asked) == MOST_ATTEMPTS
    assert box.rows()[row_id]["last_result"] == "address_refused"


async def test_over_tls(box, authority):
    async with Receiver(tls=authority.server()) as receiver:
        reach = Reach(ports=frozenset({receiver.port}), networks=networks(["127.0.0.0/8"]))
        sender = Sender(reach, Names(hooks_example_com=[["127.0.0.1"]]), tls=authority.client)
        (secret,) = box.endpoint(receiver.url())
        ids = box.put(10)
        await courier(box, sender=sender).deliver_due()
        assert sorted(receiver.ids) == ids
        assert all(_taken(secret, got) for got in receiver.got)


async def test_nothing_private_leaves_or_is_logged(box, caplog):
    """The secret, the path of the address and the payload are in no log; headers hold nothing but what the specification names."""
    caplog.set_level(logging.DEBUG)
    async with Receiver(lambda _: "500") as receiver:
        (secret,) = box.endpoint(receiver.url("/canary-path"))
        box.put(1, payload='{"canary":"payload"}')
        await through(box, courier(box))
        named = {"host", "user-agent", "content-type", "content-length", "connection"}
        signature = {"webhook-id", "webhook-timestamp", "webhook-signature"}
        assert all(set(got.headers) == named | signature for got in receiver.got)
    assert "is dead: 500" in caplog.text
    assert "canary" not in caplog.text
    assert secret not in caplog.text
    assert secret.removeprefix("whsec_") not in caplog.text


async def test_from_a_message_to_its_receiver_without_a_word_of_it(box, caplog):
    """The text, its quotes and reasons, the sender's id and the writer's: none is sent, or logged on the way."""
    caplog.set_level(logging.DEBUG)
    async with Receiver() as receiver:
        box.endpoint(receiver.url())
        given = {"text": "canary-text I write to you", "external_id": "canary-id", "subject": "canary-person"}
        (accepted,) = taken(box.store, received(**given))
        found = crisis().findings[0]
        evidence = Evidence(quote="canary-text", start=0, end=11)
        finding = found.model_copy(update={"rationale": "canary-reason", "evidence": (evidence,)})
        decided(box.store, accepted.message_id, crisis(findings=(finding,)))
        await courier(box).deliver_due()
    (got,) = receiver.got
    event = json.loads(got.body)
    assert (event["id"], event["message_id"], event["outcome"]) == (got.id, accepted.message_id, "crisis")
    assert event["categories"] == ["suicide"]
    everything = got.line + str(got.headers) + got.body.decode() + caplog.text
    assert "canary" not in everything
    assert balanced(box.store)


REPEATABLE = sorted(set(BEHAVIOURS) - {"hang", "drip_head", "drip_body", "endless_head", "endless_hints", "giant"})


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from([*REPEATABLE, "hang"]), min_size=1, max_size=30), st.integers(1, 6))
def test_whatever_a_receiver_answers_each_row_ends_under_its_id(empty_sqlite, answers, count):
    """Delivered or dead, after at most eight attempts; no id is made up, and none that was delivered was never sent."""

    async def scene(box):
        async with Receiver(lambda number: answers[number % len(answers)]) as receiver:
            box.endpoint(receiver.url())
            ids = box.put(count)
            await through(box, courier(box, timeout_s=0.05))
            return ids, receiver

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.db"
        shutil.copy(empty_sqlite, path)
        clock = Clock()
        with open_store(str(path), keys=KEYS, clock=clock) as store:
            box = Box(store, clock, str(path))
            ids, receiver = asyncio.run(scene(box))
            rows = box.rows()
    assert set(receiver.ids) <= set(ids) == set(rows)
    for row_id, row in rows.items():
        assert row["state"] in ("delivered", "dead")
        assert row["attempts"] <= MOST_ATTEMPTS
        assert receiver.ids.count(row_id) == row["attempts"]
        assert row["leased_by"] is None
    if set(answers) <= WELL:
        assert all(row["state"] == "delivered" and row["attempts"] == 1 for row in rows.values())
    if not set(answers) & WELL:
        assert all(row["state"] == "dead" for row in rows.values())
