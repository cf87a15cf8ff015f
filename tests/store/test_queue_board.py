"""How the queue stands, without a message and without a list."""

from __future__ import annotations

import pytest

from crisis_filter.store.opening import Store
from crisis_filter.store.queue_board import Board, board
from crisis_filter.store.queue_escalation import EscalationRules, escalate_overdue
from crisis_filter.store.queue_records import QueueError
from tests.store.queue_scene import CLAIM, MINUTE, Scene, blind, cleared, reader


@pytest.fixture
def scene(store: Store) -> Scene:
    return Scene(store)


def seen(scene: Scene) -> Board:
    return scene.read(lambda c: board(c, reader("chief", "supervise"), now_ms=scene.now))


def test_an_empty_queue(scene: Scene) -> None:
    found = seen(scene)
    assert (found.lines, found.incidents, found.readers, found.blind_waiting, found.done, found.waiting) == (
        (),
        (),
        (),
        0,
        0,
        0,
    )


def test_counts_by_queue_and_urgency_the_most_urgent_first(scene: Scene) -> None:
    scene.put(urgency="soon", due=30 * MINUTE)
    scene.now += 20 * MINUTE
    scene.put(urgency="soon")
    scene.put(urgency="emergency", queue="act-now")
    scene.put("no_crisis", second=True)
    scene.put(tenant="other")
    scene.taken()
    scene.now += 10 * MINUTE
    found = [line.model_dump() for line in seen(scene).lines]
    nothing = {"overdue": 0, "escalated": 0}
    assert found == [
        {"queue": "act-now", "urgency": "emergency", "waiting": 1, "held": 0, "longest_ms": 10 * MINUTE, **nothing},
        {
            "queue": "clinical",
            "urgency": "soon",
            "waiting": 2,
            "held": 0,
            "longest_ms": 30 * MINUTE,
            "overdue": 1,
            "escalated": 0,
        },
    ]
    assert seen(scene).blind_waiting == 1


def test_what_is_held_and_what_went_on(scene: Scene) -> None:
    scene.put(due=5 * MINUTE)
    scene.now += 6 * MINUTE
    scene.write(lambda c: escalate_overdue(c, scene.store, now_ms=scene.now, limit=9, rules=EscalationRules()))
    scene.taken()
    (line,) = seen(scene).lines
    assert (line.urgency, line.waiting, line.held, line.overdue, line.escalated) == ("urgent", 0, 1, 1, 1)
    scene.now += CLAIM
    (line,) = seen(scene).lines
    assert (line.waiting, line.held) == (1, 0)


def test_how_much_each_reader_has_had_before_them(scene: Scene) -> None:
    scene.put(second=True)
    scene.decide(scene.taken(), cleared())
    scene.decide(scene.taken(reader("ben")), blind("crisis"), reader("ben"))
    scene.put()
    scene.taken(reader("carl"))
    found = {one.reader: (one.read, one.crises, one.blind, one.holds) for one in seen(scene).readers}
    assert found == {"anna": (1, 0, 0, 0), "ben": (1, 1, 1, 0), "carl": (0, 0, 0, 1)}
    scene.now += 25 * 60 * MINUTE
    assert seen(scene).readers == ()


def test_readers_do_not_look_at_the_board(scene: Scene) -> None:
    with pytest.raises(QueueError) as told:
        scene.read(lambda c: board(c, reader(), now_ms=scene.now))
    assert told.value.why == "scope"
