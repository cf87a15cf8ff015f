"""What a blind reader says never lowers anything; where it finds more than the record says, an alert is raised, and nobody clears it unseen."""

from __future__ import annotations

from functools import partial

import pytest
from sqlalchemy import Row, select, update

from crisis_filter.schema import Fault, Outcome
from crisis_filter.store.opening import Store
from crisis_filter.store.queue_deciding import decide
from crisis_filter.store.queue_records import Answer, QueueError
from crisis_filter.store.rejudge import rejudge_candidates, supersede
from crisis_filter.store.tables import items, routes
from tests.store.queue_scene import MINUTE, NOW, RULES, Scene, blind, cleared, crisis, newest, reader


@pytest.fixture
def scene(store: Store) -> Scene:
    return Scene(store)


def accept(revision: int = 1) -> Answer:
    return Answer(action="accept", revision=revision)


def test_a_blind_answer_that_finds_more_raises_an_alert_at_once(scene: Scene) -> None:
    scene.listen()
    message = scene.put("no_crisis", second=True)
    done = scene.decide(scene.taken(), blind("crisis", "suicide"))
    assert (done.raised, done.outcome, done.state) == (True, None, "done")
    assert newest(scene, message) == ("person", "crisis", ["suicide"], True)
    assert len(scene.told("review.crisis")) == 1
    assert scene.take() is None  # the one who read it blind does not decide it
    alert = scene.taken(reader("ben"))
    assert (alert.message_id, alert.urgency, alert.queue, alert.blind) == (message, "urgent", "act-now", False)
    seen = scene.open(alert, reader("ben"))
    assert (seen.by, seen.outcome, len(seen.earlier)) == ("person", "crisis", 1)
    assert scene.decide(alert, accept(2), reader("ben")).outcome == "crisis"


def test_what_a_blind_reader_cannot_tell_of_what_was_cleared_is_looked_at_again(scene: Scene) -> None:
    message = scene.put("no_crisis", second=True)
    assert scene.decide(scene.taken(), blind("undetermined")).raised
    assert newest(scene, message)[1] == "undetermined"
    assert scene.taken(reader("ben")).urgency == "soon"


@pytest.mark.parametrize("said", ["no_crisis", "undetermined", "crisis"])
def test_a_blind_answer_never_lowers_an_alert(scene: Scene, said: Outcome) -> None:
    message = scene.put("crisis", second=True)
    scene.taken(reader("ben"))
    before = scene.items_of(message)["alert"]
    done = scene.decide(scene.taken(), blind(said))
    assert not done.raised
    assert newest(scene, message)[:2] == ("detector", "crisis")
    assert scene.items_of(message)["alert"] == before


def test_a_blind_crisis_in_what_nobody_could_tell_makes_the_waiting_alert_more_urgent(scene: Scene) -> None:
    scene.listen()
    message = scene.put("undetermined", urgency="routine", due=2000 * MINUTE, second=True)
    held = scene.taken(reader("ben"))
    assert scene.decide(scene.taken(), blind("crisis", "suicide")).raised
    row = scene.items_of(message)["alert"]
    assert (row.urgency, row.rank, row.state, row.queue, row.revision) == ("urgent", 1, "claimed", "clinical", 2)
    assert row.due_ms == scene.now + 240 * MINUTE
    assert newest(scene, message) == ("person", "crisis", ["suicide"], True)
    assert len(scene.told("review.crisis")) == 1
    without = Answer(action="override", outcome="undetermined")
    lower = Answer(action="override", outcome="no_crisis", reason="figure_of_speech")
    refused = {"changed": [accept(1), lower.model_copy(update={"revision": 1})], "no_revision": [without, lower]}
    for why, answers in refused.items():
        for unseen in answers:
            with pytest.raises(QueueError) as told:
                scene.decide(held, unseen, reader("ben"))  # what ben saw stands no more
            assert told.value.why == why
    assert scene.decide(held, accept(2), reader("ben")).outcome == "crisis"


def test_who_has_seen_a_blind_readers_crisis_may_say_otherwise(scene: Scene) -> None:
    message = scene.put("undetermined", second=True)
    held = scene.taken(reader("ben"))
    scene.decide(scene.taken(), blind("crisis"))
    seen = scene.open(held, reader("ben")).item.revision
    done = scene.decide(held, cleared().model_copy(update={"revision": seen}), reader("ben"))
    assert (done.outcome, done.revision) == ("no_crisis", 3)
    assert newest(scene, message)[:2] == ("person", "no_crisis")


def test_a_reader_who_says_as_much_needs_no_revision(scene: Scene) -> None:
    scene.put("undetermined", second=True)
    held = scene.taken(reader("ben"))
    scene.decide(scene.taken(), blind("crisis"))
    assert scene.decide(held, crisis("suicide"), reader("ben")).outcome == "crisis"


def raised(scene: Scene, **alert: object) -> Row:
    """The alert of a message that nobody could judge, as it was made and after a blind reader called it a crisis."""
    message = scene.put("undetermined", urgency="routine", second=True)
    if alert:
        scene.write(lambda c: c.execute(update(items).where(items.c.kind == "alert").values(**alert)))
    assert scene.decide(scene.taken(reader(), ["second_reading"]), blind("crisis")).raised
    return scene.items_of(message)["alert"]


def test_a_blind_crisis_in_what_waits_goes_to_where_crises_go_and_comes_no_later(scene: Scene) -> None:
    row = raised(scene, urgency="emergency", rank=0, due_ms=NOW + 5 * MINUTE)
    assert (row.urgency, row.rank, row.state, row.queue) == ("emergency", 0, "waiting", "act-now")
    assert (row.arrived_ms, row.due_ms, row.score) == (NOW, NOW + 5 * MINUTE, 0.9)


def test_a_low_score_does_not_set_a_persons_crisis_back(scene: Scene) -> None:
    assert raised(scene, score=0.02).score is None


def test_the_rule_that_it_came_by_stays_only_where_that_leads_on(scene: Scene) -> None:
    wanted = select(routes.c.rule).where(routes.c.revision == 2)
    raised(scene)
    assert scene.read(lambda c: c.scalar(wanted)) == "r"
    message = scene.put("undetermined", second=True, rule="leads nowhere")
    scene.decide(scene.taken(reader(), ["second_reading"]), blind("crisis"))
    assert scene.read(lambda c: c.scalar(wanted.where(routes.c.message_id == message))) == "second_reading"


def test_what_was_only_told_of_is_not_sent_on(scene: Scene) -> None:
    assert raised(scene, escalations=1, escalated_ms=NOW).queue == "act-now"


def test_what_was_sent_on_already_stays_where_it_is(scene: Scene) -> None:
    row = raised(scene, queue="senior", escalations=1, escalated_ms=NOW - MINUTE)
    assert (row.queue, row.escalations, row.escalated_ms) == ("senior", 1, NOW - MINUTE)


@pytest.mark.parametrize(("left_ms", "queue"), [(MINUTE, "clinical"), (-MINUTE, "act-now"), (0, "act-now")])
def test_only_a_claim_that_lasts_keeps_it_in_its_queue(scene: Scene, left_ms: int, queue: str) -> None:
    row = raised(scene, state="claimed", claimed_by="ben", claim_until_ms=NOW + left_ms)
    assert (row.queue, row.state, row.claimed_by) == (queue, "claimed", "ben")


def test_a_rank_stays_on_the_scale(scene: Scene) -> None:
    message = scene.put("no_crisis", second=True)
    rules = RULES.model_copy(update={"raised_urgency": "routine"})
    answer = {"rules": rules, "now_ms": scene.now}
    item = scene.taken()
    scene.write(lambda c: decide(c, scene.store, reader(), item.id, blind("undetermined"), **answer))
    row = scene.items_of(message)["alert"]
    assert (row.urgency, row.rank) == ("routine", 3)


def test_no_detector_that_works_again_clears_what_a_blind_reader_called_a_crisis(scene: Scene) -> None:
    message = scene.put("undetermined", urgency="routine", second=True)
    again = partial(rejudge_candidates, store=scene.store, faults=[Fault.TIMEOUT], worker="w", limit=9, lease_ms=1)
    (old,) = scene.write(lambda c: again(c, now_ms=scene.now))
    assert scene.decide(scene.taken(reader(), ["second_reading"]), blind("crisis")).raised
    clear = old.assessment.model_copy(update={"outcome": "no_crisis", "fault": None})
    put = partial(supersede, store=scene.store, message_id=message, assessment=clear, to_person=False, due_ms=None)
    for revision in (1, 2):
        assert scene.write(lambda c, r=revision: put(c, revision=r, now_ms=scene.now)).stood
    assert scene.write(lambda c: again(c, now_ms=scene.now + 10)) == ()
    assert newest(scene, message)[:2] == ("person", "crisis")
    assert scene.items_of(message)["alert"].state == "waiting"


def test_a_blind_crisis_opens_again_what_a_reader_had_cleared(scene: Scene) -> None:
    message = scene.put("crisis", second=True)
    scene.decide(scene.taken(), cleared())
    assert scene.decide(scene.taken(reader("ben")), blind("crisis"), reader("ben")).raised
    row = scene.items_of(message)["alert"]
    assert (row.state, row.revision, row.claimed_by, row.done_ms) == ("waiting", 3, None, None)
    assert scene.take() is None
    third = scene.taken(reader("carl"))
    assert scene.open(third, reader("carl")).outcome == "crisis"
