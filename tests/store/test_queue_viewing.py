"""An item is opened by whoever holds it, and everybody who opened one is known."""

from __future__ import annotations

import pytest
from sqlalchemy import delete, update

from crisis_filter.store.audit import show
from crisis_filter.store.opening import Store
from crisis_filter.store.queue import release
from crisis_filter.store.queue_records import QueueError
from crisis_filter.store.records import Actor
from crisis_filter.store.tables import texts
from tests.store.queue_scene import MINUTE, TEXT, Scene, blind, reader


@pytest.fixture
def scene(store: Store) -> Scene:
    return Scene(store)


def test_the_message_and_what_was_said_of_it(scene: Scene) -> None:
    scene.put()
    item = scene.taken()
    scene.now += MINUTE
    seen = scene.open(item)
    assert (seen.text, seen.text_state, seen.locale, seen.outcome, seen.by) == (
        TEXT,
        "there",
        "en",
        "crisis",
        "detector",
    )
    assert seen.categories == ("suicide",)
    assert seen.assessment is not None
    assert seen.assessment.findings[0].evidence[0].quote == TEXT[:6]
    assert seen.assessment.disposition is not None
    assert scene.row(item).opened_ms == scene.now
    scene.now += MINUTE
    scene.open(item)
    assert scene.row(item).opened_ms == scene.now - MINUTE


def test_of_a_blind_one_the_message_alone(scene: Scene) -> None:
    scene.put(second=True)
    scene.taken(reader("ben"))
    seen = scene.open(scene.taken())
    assert seen.text == TEXT
    assert seen.model_dump(exclude={"item", "text", "text_state", "locale"}) == {
        "outcome": None,
        "by": None,
        "fault": None,
        "categories": (),
        "assessment": None,
        "earlier": (),
    }


def test_the_first_reader_of_an_alert_is_not_told_what_a_blind_one_said(scene: Scene) -> None:
    scene.put(second=True)
    scene.taken(reader("ben"))
    scene.decide(scene.taken(), blind("no_crisis"))
    held = scene.taken(reader("ben"))
    assert scene.open(held, reader("ben")).earlier == ()


def test_opening_needs_the_item_and_the_scope(scene: Scene) -> None:
    message = scene.put()
    item = scene.items_of(message)["alert"].id
    for who, why in (
        (reader(), "not_claimed"),
        (reader(tenant="other"), "not_found"),
        (Actor(id="anna", tenant="clinic", scopes=frozenset({"review"})), "scope"),
        (Actor(id="anna", tenant="clinic", scopes=frozenset({"text", "admin"})), "scope"),
    ):
        with pytest.raises(QueueError) as told:
            scene.open(item, who)
        assert told.value.why == why
    scene.taken(reader("ben"))
    with pytest.raises(QueueError) as told:
        scene.open(item)
    assert told.value.why == "taken"
    assert not scene.read(lambda c: [row for row in show(c) if row.action == "view"])


def test_a_supervisor_may_look_without_holding_it_and_that_stands_in_the_audit_and_is_no_first_look(
    scene: Scene,
) -> None:
    message = scene.put("crisis", second=True)
    both = scene.items_of(message)
    chief = reader("chief", "supervise")
    assert scene.open(both["alert"].id, chief).text == TEXT
    assert scene.row(both["alert"].id).opened_ms is None
    assert scene.read(lambda c: [(r.action, r.actor, r.reason) for r in show(c)]) == [("view", "chief", "supervise")]
    with pytest.raises(QueueError):
        scene.open(both["second_reading"].id, chief)


def test_who_gave_it_back_no_longer_opens_it(scene: Scene) -> None:
    scene.put()
    item = scene.taken()
    scene.write(lambda c: release(c, reader(), item.id, now_ms=scene.now))
    with pytest.raises(QueueError) as told:
        scene.open(item)
    assert told.value.why == "not_claimed"


def test_a_text_that_is_gone_or_does_not_open_is_said_to_be_so(scene: Scene) -> None:
    gone, broken = scene.put(text="first one"), scene.put(text="second one")
    scene.write(lambda c: c.execute(delete(texts).where(texts.c.message_id == gone)))
    scene.write(lambda c: c.execute(update(texts).where(texts.c.message_id == broken).values(body=b"\x01" + b"x" * 40)))
    found = {}
    for who in ("anna", "ben"):
        item = scene.taken(reader(who))
        seen = scene.open(item, reader(who))
        found[item.message_id] = (seen.text, seen.text_state, seen.assessment)
    assert found == {gone: (None, "gone", None), broken: (None, "sealed", None)}


def test_half_of_a_surrogate_pair_survives_and_a_view_shows_no_words_by_itself(scene: Scene) -> None:
    scene.put(text="kill\ud83d me")
    seen = scene.open(scene.taken())
    assert seen.text == "kill\ud83d me"
    assert "kill" not in repr(seen)
