"""A person's answer is final for every detector, is written once, and a blind one never lowers anything."""

from __future__ import annotations

import json
from functools import partial

import pytest
from pydantic import ValidationError
from sqlalchemy import Row, func, select, update

from crisis_filter.schema import Assessment, Disposition, Fault, Outcome, Provenance
from crisis_filter.store.audit import show
from crisis_filter.store.opening import Store
from crisis_filter.store.queue_deciding import decide
from crisis_filter.store.queue_records import Answer, QueueError
from crisis_filter.store.rejudge import rejudge_candidates, supersede
from crisis_filter.store.tables import decisions, items, messages, readings, routes, texts
from tests.store.queue_scene import CLAIM, MINUTE, NOW, RULES, Scene, blind, cleared, crisis, reader


@pytest.fixture
def scene(store: Store) -> Scene:
    return Scene(store)


def accept(revision: int = 1) -> Answer:
    return Answer(action="accept", revision=revision)


def send(to: str = "senior") -> Answer:
    return Answer(action="escalate", to=to)


def count(scene: Scene, table: object) -> int:
    return scene.read(lambda c: c.scalar(select(func.count()).select_from(table))) or 0  # type: ignore[arg-type]


def newest(scene: Scene, message_id: str) -> tuple[object, ...]:
    """By whom, outcome and categories of what stands, and whether its route leads to a person."""
    wanted = (
        select(decisions.c.by, decisions.c.outcome, decisions.c.categories, routes.c.to_person)
        .join(messages, (messages.c.id == decisions.c.message_id) & (messages.c.revision == decisions.c.revision))
        .join(routes, (routes.c.message_id == messages.c.id) & (routes.c.revision == messages.c.revision))
        .where(messages.c.id == message_id)
    )
    row = scene.read(lambda c: c.execute(wanted).one())
    return row.by, row.outcome, json.loads(row.categories), row.to_person


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
