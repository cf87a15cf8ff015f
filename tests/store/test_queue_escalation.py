"""What nobody looks at goes on: once for each step, whoever keeps the time."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from crisis_filter.store.audit import show
from crisis_filter.store.opening import Store
from crisis_filter.store.queue_effects import RAISED_BY
from crisis_filter.store.queue_escalation import Escalated, EscalationRules, Step, escalate_overdue
from tests.store.queue_scene import CLAIM, MINUTE, Scene, blind, cleared, reader

PLAIN = EscalationRules()
STEPS = EscalationRules(steps={"r": (Step(to="senior", after_ms=5 * MINUTE), Step(to="chief", after_ms=10 * MINUTE))})


@pytest.fixture
def scene(store: Store) -> Scene:
    return Scene(store)


def tick(scene: Scene, rules: EscalationRules = PLAIN, limit: int = 100) -> tuple[Escalated, ...]:
    return scene.write(lambda c: escalate_overdue(c, scene.store, now_ms=scene.now, limit=limit, rules=rules))


def test_an_urgent_item_nobody_opens_goes_on_once_at_its_time(scene: Scene) -> None:
    scene.listen()
    message = scene.put(urgency="urgent", due=5 * MINUTE)
    scene.now += 5 * MINUTE - 1
    assert tick(scene) == ()
    scene.now += 1
    (one,) = tick(scene)
    assert (one.message_id, one.queue, one.urgency, one.escalations) == (message, "clinical", "urgent", 1)
    for _ in range(3):
        scene.now += 60 * MINUTE
        assert tick(scene) == ()
    assert len(scene.told("item.escalated")) == 1
    payload = json.loads(scene.told("item.escalated")[0].payload)
    assert (payload["outcome"], payload["queue"], payload["urgency"]) == ("crisis", "clinical", "urgent")
    rows = scene.read(lambda c: [(r.actor, r.action, r.reason) for r in show(c)])
    assert rows == [("clock", "escalate", "time limit")]


def test_the_steps_of_the_rule_that_routed_it_come_first_each_once(scene: Scene) -> None:
    scene.listen()
    scene.put(urgency="routine", due=60 * MINUTE)
    found = []
    for _ in range(130):
        found += [(scene.now, one.queue, one.urgency) for one in tick(scene, STEPS)]
        scene.now += MINUTE
    start = scene.now - 130 * MINUTE
    assert found == [
        (start + 5 * MINUTE, "senior", "soon"),
        (start + 15 * MINUTE, "chief", "urgent"),
        (start + 60 * MINUTE, "chief", "urgent"),
    ]
    assert len(scene.told("item.escalated")) == 3


@pytest.mark.parametrize("minutes", [2, 7, 20])
def test_a_blind_readers_crisis_takes_no_step_from_what_waits(scene: Scene, minutes: int) -> None:
    """Said before the first step, between the two, after both: it goes where its neighbour goes, when that does, and is as urgent."""
    said, left = scene.put("undetermined", due=60 * MINUTE, second=True), scene.put("undetermined", due=60 * MINUTE)
    found: dict[str, list[tuple[int, str]]] = {said: [], left: []}
    for minute in range(90):
        if minute == minutes:
            assert scene.decide(scene.taken(reader(), ["second_reading"]), blind("crisis")).raised
        for one in tick(scene, STEPS):
            found[one.message_id].append((minute, one.queue))
        scene.now += MINUTE
    assert found[said] == found[left] == [(5, "senior"), (15, "chief"), (60, "chief")]


@pytest.mark.parametrize(("told", "times"), [(False, [(60, "senior")]), (True, [(25, "clinical"), (30, "senior")])])
def test_what_its_rule_only_told_of_has_all_steps_of_a_blind_readers_crisis_left(
    scene: Scene, told: bool, times: list[tuple[int, str]]
) -> None:
    """It came by a rule that leads nowhere else; told of as overdue or not, it goes on by its new rule."""
    rules = EscalationRules(steps={RAISED_BY: (Step(to="senior", after_ms=720 * MINUTE),)})
    scene.put("undetermined", due=25 * MINUTE if told else 60 * MINUTE, second=True, rule="leads nowhere")
    found = []
    for minute in range(0, 100, 5):
        if minute == 30:
            assert scene.decide(scene.taken(reader(), ["second_reading"]), blind("crisis")).raised
        found += [(minute, one.queue) for one in tick(scene, rules)]
        scene.now += 5 * MINUTE
    assert found == times


def test_a_step_that_is_left_is_taken_when_the_time_is_up(scene: Scene) -> None:
    """One that would come later than the time limit keeps nobody waiting for it."""
    late = EscalationRules(steps={"r": (Step(to="senior", after_ms=720 * MINUTE),)})
    scene.put(due=20 * MINUTE)
    found = []
    for minute in range(0, 800, 5):
        found += [(minute, one.queue) for one in tick(scene, late)]
        scene.now += 5 * MINUTE
    assert found == [(20, "senior")]


def test_what_a_blind_reader_raised_anew_goes_on_by_steps_of_its_own(scene: Scene) -> None:
    message = scene.put("no_crisis", second=True)
    scene.decide(scene.taken(), blind("crisis"))
    rules = EscalationRules(steps={RAISED_BY: (Step(to="senior", after_ms=30 * MINUTE),)})
    scene.now += 30 * MINUTE
    (one,) = tick(scene, rules)
    assert (one.message_id, one.queue) == (message, "senior")


def test_told_again_and_again_where_the_policy_says_so_and_not_for_ever(scene: Scene) -> None:
    scene.put(due=10 * MINUTE)
    rules = EscalationRules(overdue_again_ms=15 * MINUTE, most=4)
    times = []
    for minute in range(120):
        times += [minute for _ in tick(scene, rules)]
        scene.now += MINUTE
    assert times == [10, 25, 40, 55]


def test_what_somebody_has_before_them_or_has_decided_does_not(scene: Scene) -> None:
    scene.put(due=5 * MINUTE)
    scene.put(due=5 * MINUTE)
    scene.decide(scene.taken(reader("ben")), cleared(), reader("ben"))
    scene.taken()
    scene.now += 6 * MINUTE
    assert tick(scene) == ()


def test_what_was_opened_and_left_goes_on_and_its_reader_may_still_answer(scene: Scene) -> None:
    scene.put(due=5 * MINUTE)
    item = scene.taken()
    scene.open(item)
    scene.now += CLAIM
    (one,) = tick(scene)
    assert one.item_id == item.id
    assert scene.row(item).state == "waiting"
    assert scene.decide(item, cleared()).state == "done"


def test_an_item_without_a_time_limit_and_a_blind_one_stay(scene: Scene) -> None:
    scene.put(due=None)
    scene.put("no_crisis", second=True)
    scene.now += 10_000 * MINUTE
    assert tick(scene) == ()


def test_the_time_limit_stays_missed(scene: Scene) -> None:
    message = scene.put(due=5 * MINUTE)
    before = scene.items_of(message)["alert"].due_ms
    scene.now += 5 * MINUTE
    tick(scene)
    assert scene.items_of(message)["alert"].due_ms == before


def test_waiting_makes_nothing_an_emergency_and_an_emergency_nothing_less(scene: Scene) -> None:
    for urgency in ("emergency", "urgent", "soon", "routine"):
        scene.put(urgency=urgency, due=MINUTE)
    scene.now += MINUTE
    assert [one.urgency for one in tick(scene)] == ["emergency", "urgent", "urgent", "soon"]


def test_at_most_so_many_the_most_urgent_first(scene: Scene) -> None:
    for urgency in ("soon", "emergency", "urgent"):
        scene.put(urgency=urgency, due=MINUTE)
    scene.now += MINUTE
    assert [one.urgency for one in tick(scene, limit=2)] == ["emergency", "urgent"]
    assert len(tick(scene, limit=2)) == 1


def test_a_clock_that_goes_back_escalates_nothing_twice(scene: Scene) -> None:
    scene.put(due=5 * MINUTE)
    scene.now += 10 * MINUTE
    assert len(tick(scene)) == 1
    for hours in (-1, 1, -1, 1):  # as a wall clock does when summer time begins and ends; ours does not
        scene.now += hours * 60 * MINUTE
        assert tick(scene) == ()


def test_several_who_keep_the_time_escalate_each_item_once(scene: Scene) -> None:
    scene.listen()
    for _ in range(12):
        scene.put(due=MINUTE)
    scene.now += MINUTE

    def keep(_: int) -> int:
        with scene.store.engine.connect().execution_options(writes=True) as connection, connection.begin():
            return len(escalate_overdue(connection, scene.store, now_ms=scene.now, limit=5, rules=PLAIN))

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(keep, range(8))) == 12
    assert len(scene.told("item.escalated")) == 12
