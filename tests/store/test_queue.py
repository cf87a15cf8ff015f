"""Readers take the most urgent item, one each, and give it back or lose it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from crisis_filter.store.audit import show
from crisis_filter.store.opening import Store
from crisis_filter.store.queue import next_item, release, renew
from crisis_filter.store.queue_records import QueueError
from crisis_filter.store.records import Actor
from crisis_filter.store.tables import items
from tests.store.queue_scene import CLAIM, MINUTE, NOW, Scene, blind, cleared, crisis, reader


@pytest.fixture
def scene(store: Store) -> Scene:
    return Scene(store)


def order_of(scene: Scene) -> list[str]:
    """The messages in the order in which a crowd of readers gets them."""
    found = []
    while (item := scene.take(reader(f"r{len(found)}"))) is not None:
        found.append(str(item.message_id))
    return found


def test_the_most_urgent_comes_first_whatever_came_first(scene: Scene) -> None:
    wanted = [scene.put(urgency=urgency) for urgency in ("routine", "soon", "urgent", "emergency")]
    assert order_of(scene) == wanted[::-1]


def test_of_the_same_urgency_what_is_past_its_time_then_what_soon_is_then_the_likeliest(scene: Scene) -> None:
    unlikely, unknown, likely, likeliest = (scene.put(score=score) for score in (0.2, None, 0.8, 0.95))
    scene.now -= 50 * MINUTE
    pressing = scene.put(score=0.1)  # 10 of its 60 minutes are left
    overdue = scene.put(score=0.1, due=20 * MINUTE)
    scene.now += 50 * MINUTE
    assert order_of(scene) == [overdue, pressing, likeliest, likely, unknown, unlikely]


def test_of_two_alike_the_one_that_is_due_first_and_then_the_one_that_came_first(scene: Scene) -> None:
    late = scene.put(due=90 * MINUTE)
    early = scene.put(due=60 * MINUTE)
    scene.now += 1
    same = scene.put(due=60 * MINUTE - 1)
    assert order_of(scene) == [early, same, late]


def test_a_reader_holds_one_item_at_a_time_and_gets_it_again_after_a_restart(scene: Scene) -> None:
    scene.put()
    scene.put()
    first = scene.taken()
    scene.now += MINUTE
    again = scene.taken()
    assert again.id == first.id
    assert again.claim_until_ms == scene.now + CLAIM
    assert scene.taken(reader("ben")).id != first.id


def test_nobody_waits_for_a_reader_who_died(scene: Scene) -> None:
    scene.put()
    item = scene.taken()
    scene.now += CLAIM - 1
    assert scene.take(reader("ben")) is None
    scene.now += 1
    assert scene.taken(reader("ben")).id == item.id
    assert scene.take() is None


def test_only_from_the_queues_that_a_reader_works_and_blind_ones_from_any(scene: Scene) -> None:
    scene.put(queue="clinical")
    assert scene.take(queues=["act-now"]) is None
    scene.put("no_crisis", second=True)
    item = scene.taken(queues=["act-now"])
    assert item.blind


def test_a_blind_item_tells_nothing_of_what_was_said(scene: Scene) -> None:
    scene.put("no_crisis", second=True, score=0.3)
    drawn = scene.taken()
    other = scene.put("crisis", second=True, urgency="emergency")
    scene.write(lambda c: release(c, reader(), drawn.id, now_ms=scene.now))
    scene.taken(reader("ben"))  # the alert itself
    scene.taken(reader("carl"))
    alike = scene.taken(reader("dora"))
    told = [item.model_dump(exclude={"id", "arrived_ms", "claim_until_ms"}) for item in (drawn, alike)]
    assert told[0] == told[1]
    assert other not in str(alike)


def test_another_tenants_items_are_not_there(scene: Scene) -> None:
    scene.put(tenant="other")
    assert scene.take() is None
    item = scene.taken(reader("eve", tenant="other"))
    for call in (
        lambda c: renew(c, reader(), item.id, claim_ms=1, now_ms=NOW),
        lambda c: release(c, reader("anna", "supervise"), item.id, now_ms=NOW),
    ):
        with pytest.raises(QueueError) as told:
            scene.write(call)
        assert told.value.why == "not_found"


def test_a_key_without_the_scope_is_refused(scene: Scene) -> None:
    nobody = Actor(id="x", tenant="clinic", scopes=frozenset({"classify", "admin"}))
    scene.put()
    for call in (
        lambda c: next_item(c, nobody, claim_ms=1, now_ms=NOW),
        lambda c: renew(c, nobody, "i", claim_ms=1, now_ms=NOW),
        lambda c: release(c, nobody, "i", now_ms=NOW),
    ):
        with pytest.raises(QueueError) as told:
            scene.write(call)
        assert told.value.why == "scope"


def test_holding_longer_also_when_the_time_ran_out_but_not_when_another_has_it(scene: Scene) -> None:
    scene.put()
    item = scene.taken()
    scene.now += 2 * CLAIM
    kept = scene.write(lambda c: renew(c, reader(), item.id, claim_ms=CLAIM, now_ms=scene.now))
    assert kept.claim_until_ms == scene.now + CLAIM
    scene.now += 2 * CLAIM
    scene.taken(reader("ben"))
    with pytest.raises(QueueError) as told:
        scene.write(lambda c: renew(c, reader(), item.id, claim_ms=CLAIM, now_ms=scene.now))
    assert told.value.why == "taken"


def test_giving_back_puts_it_before_others_at_once_and_a_supervisor_may_do_it_for_another(scene: Scene) -> None:
    scene.put()
    item = scene.taken()
    with pytest.raises(QueueError, match="another reader has it"):
        scene.write(lambda c: release(c, reader("ben"), item.id, now_ms=scene.now))
    scene.write(lambda c: release(c, reader(), item.id, now_ms=scene.now))
    assert scene.taken(reader("ben")).id == item.id
    scene.write(lambda c: release(c, reader("chief", "supervise"), item.id, now_ms=scene.now))
    assert scene.taken(reader("carl")).id == item.id
    with pytest.raises(QueueError) as told:
        scene.write(lambda c: renew(c, reader("ben"), item.id, claim_ms=1, now_ms=scene.now))
    assert told.value.why == "taken"


def test_who_has_read_a_message_does_not_get_it_again_as_a_second_reading(scene: Scene) -> None:
    scene.put(second=True)
    alert = scene.taken()
    scene.decide(alert, cleared())
    assert scene.take() is None
    assert scene.taken(reader("ben")).blind


def test_nor_the_alert_after_the_blind_reading_until_it_is_past_its_time(scene: Scene) -> None:
    scene.put(second=True)
    scene.taken(reader("ben"))
    item = scene.taken()
    scene.decide(item, blind("crisis"))
    scene.now += CLAIM
    assert scene.take() is None
    scene.now = NOW + 60 * MINUTE  # nobody else has looked
    assert scene.taken().kind == "alert"


def test_taking_and_giving_back_are_in_the_audit_and_being_refused_changes_nothing(scene: Scene) -> None:
    scene.put()
    item = scene.taken()
    scene.write(lambda c: release(c, reader(), item.id, now_ms=scene.now))
    told = scene.read(lambda c: [(row.action, row.actor, row.object) for row in show(c)])
    assert told == [("claim", "anna", f"item:{item.id}"), ("release", "anna", f"item:{item.id}")]


def test_many_readers_at_once_never_get_one_item_twice(scene: Scene) -> None:
    scene.put(urgency="emergency")
    scene.taken(reader("first"))
    wanted = {scene.put(score=n / 40) for n in range(24)}

    def grab(number: int) -> list[str]:
        """A reader of its own connection, as another process has one."""
        found = []
        for turn in range(3):
            with scene.store.engine.connect().execution_options(writes=True) as connection, connection.begin():
                who = reader(f"r{number}-{turn}")
                item = next_item(connection, who, claim_ms=CLAIM, now_ms=scene.now)
            if item is not None:
                found.append(str(item.message_id))
        return found

    with ThreadPoolExecutor(8) as pool:
        got = [one for found in pool.map(grab, range(8)) for one in found]
    assert len(got) == len(set(got)) == 24
    assert set(got) == wanted
    held = scene.read(lambda c: c.execute(select(items.c.claimed_by)).scalars().all())
    assert len(set(held)) == 25


def test_what_crosses_on_the_way_counts_once(scene: Scene) -> None:
    """A reader whose time ran out answers after all, before and after another took the item."""
    scene.put()
    item = scene.taken()
    scene.now += 2 * CLAIM
    assert scene.decide(item, crisis("suicide")).state == "done"
    scene.put()
    item = scene.taken()
    scene.now += 2 * CLAIM
    scene.taken(reader("ben"))
    with pytest.raises(QueueError) as told:
        scene.decide(item, crisis("suicide"))
    assert told.value.why == "taken"
