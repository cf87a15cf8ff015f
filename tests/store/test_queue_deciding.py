"""A person's answer is final for every detector, and is written once; blind ones are in test_queue_blind."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError
from sqlalchemy import func, select

from crisis_filter.schema import Assessment, Disposition, Outcome, Provenance
from crisis_filter.store.audit import show
from crisis_filter.store.opening import Store
from crisis_filter.store.queue_records import Answer, QueueError
from crisis_filter.store.rejudge import supersede
from crisis_filter.store.tables import decisions, readings, texts
from tests.store.queue_scene import CLAIM, MINUTE, Scene, blind, cleared, crisis, newest, reader


@pytest.fixture
def scene(store: Store) -> Scene:
    return Scene(store)


def accept(revision: int = 1) -> Answer:
    return Answer(action="accept", revision=revision)


def send(to: str = "senior") -> Answer:
    return Answer(action="escalate", to=to)


def count(scene: Scene, table: object) -> int:
    return scene.read(lambda c: c.scalar(select(func.count()).select_from(table))) or 0  # type: ignore[arg-type]


ANSWERS = [
    ("crisis", accept(), "accept", ("person", "crisis", ["suicide"], True)),
    ("crisis", cleared(), "override", ("person", "no_crisis", [], False)),
    (
        "crisis",
        Answer(action="override", outcome="crisis", categories=("abuse",), reason="wrong_category"),
        "override",
        ("person", "crisis", ["abuse"], True),
    ),
    (
        "crisis",
        Answer(action="override", outcome="crisis", categories=("suicide",)),
        "accept",
        ("person", "crisis", ["suicide"], True),
    ),
    ("undetermined", accept(), "accept", ("person", "undetermined", [], True)),
    (
        "undetermined",
        Answer(action="override", outcome="no_crisis"),
        "override",
        ("person", "no_crisis", [], False),
    ),
    ("undetermined", Answer(action="override", outcome="crisis"), "override", ("person", "crisis", [], True)),
]


@pytest.mark.parametrize(("was", "answer", "action", "stands"), ANSWERS)
def test_what_a_person_says_stands(
    scene: Scene, was: Outcome, answer: Answer, action: str, stands: tuple[object, ...]
) -> None:
    scene.listen()
    message = scene.put(was)
    item = scene.taken()
    done = scene.decide(item, answer)
    assert (done.state, done.revision, done.outcome, done.again) == ("done", 2, stands[1], False)
    assert newest(scene, message) == stands
    row = scene.read(lambda c: c.execute(select(readings)).one())
    assert (row.action, row.reader, row.revision, row.blind) == (action, "anna", 1, False)
    assert len(scene.told(f"review.{stands[1]}")) == 1
    assert scene.row(item).state == "done"
    assert scene.take(reader("ben")) is None


@pytest.mark.parametrize("answer", [accept(), cleared()])
def test_no_detector_changes_it_afterwards(scene: Scene, answer: Answer) -> None:
    message = scene.put("undetermined")
    done = scene.decide(scene.taken(), answer)
    before = newest(scene, message)
    said = Assessment(
        id=message,
        outcome="no_crisis",
        disposition=Disposition(queue="none", urgency="routine", rule="r"),
        provenance=Provenance(detector="scripted", version="0"),
    )
    stood = scene.write(
        lambda c: supersede(
            c, scene.store, message, said, revision=done.revision, to_person=False, due_ms=None, now_ms=scene.now
        )
    )
    assert stood.stood
    assert newest(scene, message) == before


def test_saying_the_same_twice_writes_once_and_saying_something_else_is_refused(scene: Scene) -> None:
    scene.put()
    item = scene.taken()
    scene.decide(item, cleared())
    again = scene.decide(item, cleared())
    assert (again.again, again.revision, again.outcome) == (True, 2, "no_crisis")
    for other in (crisis("suicide"), accept(), send()):
        with pytest.raises(QueueError) as told:
            scene.decide(item, other)
        assert told.value.why == "decided"
    with pytest.raises(QueueError):
        scene.decide(item, cleared(), reader("ben"))
    assert (count(scene, readings), count(scene, decisions)) == (1, 2)


def test_a_supervisor_corrects_by_a_reading_of_their_own(scene: Scene) -> None:
    message = scene.put()
    item = scene.taken()
    scene.decide(item, cleared())
    done = scene.decide(item, crisis("suicide"), reader("chief", "supervise"))
    assert done.revision == 3
    assert newest(scene, message) == ("person", "crisis", ["suicide"], True)
    assert count(scene, readings) == 2


def test_an_item_has_to_be_held_and_is_another_tenants_only_there(scene: Scene) -> None:
    message = scene.put()
    item = scene.items_of(message)["alert"].id
    for who, why in (
        (reader(), "not_claimed"),
        (reader("chief", "supervise"), "not_claimed"),
        (reader(tenant="other"), "not_found"),
    ):
        with pytest.raises(QueueError) as told:
            scene.decide(item, cleared(), who)
        assert told.value.why == why
    scene.taken(reader("ben"))
    with pytest.raises(QueueError) as told:
        scene.decide(item, cleared())
    assert told.value.why == "taken"
    assert (count(scene, readings), count(scene, decisions)) == (0, 1)


def test_an_answer_after_the_time_ran_out_counts_unless_another_took_it(scene: Scene) -> None:
    scene.put()
    item = scene.taken()
    scene.now += 3 * CLAIM
    assert scene.decide(item, cleared()).state == "done"


def test_contradicting_needs_a_reason_and_settling_what_nobody_could_tell_does_not(scene: Scene) -> None:
    scene.put("crisis")
    with pytest.raises(QueueError) as told:
        scene.decide(scene.taken(), Answer(action="override", outcome="no_crisis"))
    assert told.value.why == "no_reason"
    assert count(scene, readings) == 0


def test_what_was_judged_again_meanwhile_is_not_accepted_unseen(scene: Scene) -> None:
    message = scene.put("undetermined")
    item = scene.taken()
    graver = Assessment(
        id=message,
        outcome="crisis",
        findings=({"category": "suicide"},),  # type: ignore[arg-type]  # validated
        disposition=Disposition(queue="act-now", urgency="emergency", rule="r"),
        provenance=Provenance(detector="scripted", version="0"),
    )
    scene.write(
        lambda c: supersede(c, scene.store, message, graver, revision=1, to_person=True, due_ms=None, now_ms=scene.now)
    )
    with pytest.raises(QueueError) as told:
        scene.decide(item, accept())
    assert told.value.why == "changed"
    assert scene.open(item).outcome == "crisis"
    assert scene.decide(item, accept(2)).outcome == "crisis"


def test_sending_on_makes_it_more_urgent_due_anew_and_somebody_elses(scene: Scene) -> None:
    scene.listen()
    message = scene.put(urgency="soon")
    item = scene.taken()
    done = scene.decide(item, Answer(action="escalate", to="senior", note="i know this person"))
    assert (done.state, done.revision) == ("waiting", 1)
    row = scene.row(item)
    assert (row.queue, row.urgency, row.rank, row.escalations) == ("senior", "urgent", 1, 1)
    assert row.due_ms == scene.now + 240 * MINUTE
    assert scene.decide(item, Answer(action="escalate", to="senior", note="i know this person")).again
    assert scene.take() is None
    got = scene.taken(reader("ben"), ["senior"])
    seen = scene.open(got, reader("ben"))
    assert [(one.action, one.note) for one in seen.earlier] == [("escalate", "i know this person")]
    told = scene.told("item.escalated")
    assert [json.loads(row.payload)["queue"] for row in told] == ["senior"]
    assert newest(scene, message)[0] == "detector"
    with pytest.raises(QueueError) as refused:
        scene.decide(got, send("nobody-reads-this"), reader("ben"))
    assert refused.value.why == "no_queue"


def test_a_note_lies_sealed(scene: Scene) -> None:
    scene.put()
    scene.decide(scene.taken(), crisis("abuse", note="her sister is with her"))
    row = scene.read(lambda c: c.execute(select(texts).where(texts.c.kind == "note")).one())
    assert b"sister" not in row.body
    assert row.key_id is not None


def test_a_blind_item_is_answered_and_any_other_is_not(scene: Scene) -> None:
    scene.put("no_crisis", second=True)
    item = scene.taken()
    for answer in (accept(), cleared(), send()):
        with pytest.raises(QueueError) as told:
            scene.decide(item, answer)
        assert told.value.why == "other_action"
    scene.decide(item, blind("no_crisis"))
    assert scene.decide(item, blind("no_crisis")).again
    scene.put()
    with pytest.raises(QueueError) as told:
        scene.decide(scene.taken(), blind("crisis"))
    assert told.value.why == "other_action"


def test_every_answer_is_in_the_audit_with_its_reason_and_nothing_of_the_text(scene: Scene) -> None:
    scene.put()
    item = scene.taken()
    scene.open(item)
    scene.decide(item, crisis("abuse", note="secret words"))
    rows = scene.read(lambda c: [(row.action, row.reason) for row in show(c)])
    assert rows == [("claim", None), ("view", None), ("decide", "detector_missed")]


@pytest.mark.parametrize(
    "fields",
    [
        {"action": "accept"},
        {"action": "accept", "revision": 1, "outcome": "crisis"},
        {"action": "override"},
        {"action": "override", "outcome": "no_crisis", "categories": ("suicide",)},
        {"action": "override", "outcome": "crisis", "reason": "because"},
        {"action": "escalate"},
        {"action": "escalate", "to": "senior", "reason": "other"},
        {"action": "answer", "outcome": "crisis", "to": "senior"},
        {"action": "answer", "outcome": "crisis", "reason": "other"},
        {"action": "answer", "outcome": "crisis", "categories": ("abuse", "abuse")},
        {"action": "settle"},
    ],
)
def test_an_answer_that_does_not_hang_together_is_none(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Answer.model_validate(fields)


def test_an_answer_shows_no_words_of_its_note() -> None:
    assert "secret" not in repr(crisis("abuse", note="secret"))
