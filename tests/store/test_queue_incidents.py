"""An outage is one line, the likely crises of it are read first, and it closes when nothing is left."""

from __future__ import annotations

import pytest

from crisis_filter.schema import Assessment, Disposition, Fault, Provenance
from crisis_filter.store.incidents import open_incidents
from crisis_filter.store.opening import Store
from crisis_filter.store.queue_board import board
from crisis_filter.store.queue_incidents import close_incidents, incident_lines
from crisis_filter.store.queue_records import Answer
from crisis_filter.store.rejudge import supersede
from tests.store.queue_scene import MINUTE, NOW, Scene, reader

CALM = Answer(action="override", outcome="no_crisis")


@pytest.fixture
def scene(store: Store) -> Scene:
    return Scene(store)


def outage(scene: Scene, scores: list[float | None]) -> list[str]:
    made = []
    for score in scores:
        made.append(scene.put("undetermined", urgency="soon", due=30 * MINUTE, score=score))
        scene.now += 1000
    return made


def lines(scene: Scene) -> list[tuple[object, ...]]:
    found = scene.read(lambda c: incident_lines(c, "clinic", now_ms=scene.now))
    return [(one.fault, one.messages, one.left, one.likely, one.unscored, one.overdue) for one in found]


def test_all_of_an_outage_is_one_line_and_the_likeliest_is_read_first(scene: Scene) -> None:
    made = outage(scene, [0.1, 0.8, None, 0.95, 0.2])
    scene.put("crisis", urgency="soon", score=0.3)
    assert lines(scene) == [(Fault.TIMEOUT, 5, 5, 2, 1, 0)]
    seen = scene.read(lambda c: board(c, reader("chief", "supervise"), now_ms=scene.now))
    assert [(line.queue, line.waiting) for line in seen.lines] == [("clinical", 1)]
    assert seen.waiting == 6
    assert [scene.taken(reader(f"r{n}")).message_id for n in range(2)] == [made[3], made[1]]
    scene.now += 31 * MINUTE
    assert lines(scene) == [(Fault.TIMEOUT, 5, 5, 2, 1, 5)]


def test_other_tenants_outages_are_theirs(scene: Scene) -> None:
    scene.put("undetermined", tenant="other")
    assert lines(scene) == []


def test_it_closes_when_all_are_decided_or_judged_again_and_nothing_came_for_a_while(scene: Scene) -> None:
    first, second = outage(scene, [0.9, 0.1])
    scene.decide(scene.taken(), CALM)
    said = Assessment(
        id=second,
        outcome="no_crisis",
        score=0.1,
        score_source="engine",
        disposition=Disposition(queue="none", urgency="routine", rule="r"),
        provenance=Provenance(detector="scripted", version="0"),
    )

    def close() -> tuple[str, ...]:
        return scene.write(lambda c: close_incidents(c, now_ms=scene.now, quiet_ms=10 * MINUTE))

    scene.now += 60 * MINUTE
    assert close() == ()
    scene.write(
        lambda c: supersede(c, scene.store, second, said, revision=1, to_person=False, due_ms=None, now_ms=scene.now)
    )
    assert scene.items_of(second)["alert"].state == "settled"
    assert lines(scene) == [(Fault.TIMEOUT, 2, 0, 0, 0, 0)]
    assert len(close()) == 1
    assert lines(scene) == []
    assert scene.read(lambda c: open_incidents(c)) == ()
    assert close() == ()
    assert first != second


def test_while_the_fault_lasts_it_stays_open_though_readers_are_ahead(scene: Scene) -> None:
    outage(scene, [0.5])
    scene.decide(scene.taken(), CALM)
    assert scene.write(lambda c: close_incidents(c, now_ms=NOW + MINUTE, quiet_ms=10 * MINUTE)) == ()
    outage(scene, [0.5])
    assert len(lines(scene)) == 1
