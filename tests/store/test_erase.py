"""Of whom asks to be forgotten nothing is left, in no file of the store, and the counts are as they were."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select, update

from crisis_filter.errors import InputError
from crisis_filter.store.audit_verify import verify
from crisis_filter.store.erase import Erased, erase, scrub
from crisis_filter.store.holds import end_hold, hold
from crisis_filter.store.opening import open_store
from crisis_filter.store.rotate import keys_in_use, rotate
from crisis_filter.store.tables import (
    audit,
    decisions,
    holds,
    idempotency,
    items,
    messages,
    outbox,
    readings,
    routes,
    texts,
)
from tests.store import trust
from tests.store.trust import CANARY, DAY, LEAD, PHONE, TEXT, World, disk, ring

clock, open_world, world = trust.clock, trust.open_world, trust.world

OTHER = "+1-555-0100-5520"


def erased(world: World, **asked: object) -> Erased:
    """The request, at the writer, as a command makes it."""
    given_fields = {"erasure": world.store.new_id(), "now_ms": world.clock(), **asked}
    return world.store.write(lambda c: erase(c, world.store.keys, LEAD, **given_fields), point="erase")


def counts(world: World) -> dict[str, int]:
    return {table.name: world.rows(table) for table in (messages, decisions, routes, items, readings, outbox)}


def test_a_subject_is_forgotten_and_the_counts_stay(world):
    world.endpoint()
    mine = [world.message(), world.message("undetermined"), world.message("no_crisis", read=False)]
    others = [world.message(subject=OTHER), world.message(subject=None), world.message(tenant="other")]
    before = counts(world)
    texts_before = world.rows(texts)
    done = erased(world, subject=PHONE, reason="request 12")
    assert (done.done, done.messages, done.texts) == (True, 3, 8)
    assert counts(world) == before
    assert world.rows(texts) == texts_before - 8
    assert [world.texts(m) for m in mine] == [0, 0, 0]
    assert [world.texts(m) for m in others] == [3, 3, 3]
    rows = world.store.read(lambda c: c.execute(select(messages).where(messages.c.erased_ms.is_not(None))).all())
    assert {row.id for row in rows} == set(mine)
    assert {(row.subject_pseudonym, row.text_gone_ms) for row in rows} == {(None, world.clock())}
    assert erased(world, subject=PHONE).messages == 0


def test_no_pseudonym_is_left_anywhere(world):
    """Not in the messages, nor in webhooks that wait or were sent, nor in the audit, nor in holds that were ended."""
    world.endpoint()
    keys = world.store.keys
    pseudonym = keys.pseudonym("clinic", "subject", PHONE)
    message = world.message()
    mac = keys.mac(TEXT)
    external = world.store.read(lambda c: c.scalar(select(messages.c.external_pseudonym)))
    world.store.write(lambda c: hold(c, keys, LEAD, "subject", PHONE, reason="case", hold_id="h", now_ms=1))
    world.store.write(lambda c: end_hold(c, LEAD, "h", now_ms=2))
    payload = world.store.read(lambda c: c.scalar(select(outbox.c.payload)))
    assert json.loads(payload)["subject"] == pseudonym
    assert erased(world, subject=PHONE).done
    assert world.rows(holds) == 0
    told = json.loads(world.store.read(lambda c: c.scalar(select(outbox.c.payload))))
    assert told == {**json.loads(payload), "subject": None}
    left = world.store.read(
        lambda c: "".join(
            str(row) for table in (messages, outbox, audit, holds) for row in c.execute(select(table)).all()
        )
    )
    assert message in left
    for gone in (pseudonym, mac, external, PHONE):
        assert gone not in left


def test_the_audit_tells_of_it(world):
    message = world.message()
    done = erased(world, subject=PHONE, reason="request 12")
    rows = world.store.read(
        lambda c: c.execute(
            select(audit.c.action, audit.c.object, audit.c.reason, audit.c.result).order_by(audit.c.seq)
        ).all()
    )
    assert [tuple(row) for row in rows] == [
        ("erase", f"erasure:{done.erasure}", "request 12", "done"),
        ("erase", f"message:{message}", None, "done"),
    ]
    assert world.store.read(verify).flaw is None


def test_single_messages_are_erased_of_this_tenant_alone(world):
    mine, kept, theirs = world.message(), world.message(), world.message(tenant="other")
    refused = erased(world, message_ids=[mine, theirs, "none"])
    assert (refused.done, refused.unknown) == (False, tuple(sorted([theirs, "none"])))
    assert world.texts(mine) == 3
    assert erased(world, message_ids=[mine, mine]).messages == 1
    assert [world.texts(m) for m in (mine, kept, theirs)] == [0, 3, 3]
    assert erased(world, message_ids=[mine]).messages == 0


def test_who_still_waits_for_a_person_is_not_forgotten_unasked(world):
    """Somebody who may need help now. With the word for it the item stays in its queue, with its verdict."""
    read, waiting = world.message(), world.message(read=False)
    before = world.rows(texts)
    refused = erased(world, subject=PHONE)
    assert (refused.done, refused.unread) == (False, (waiting,))
    assert world.rows(texts) == before
    assert world.store.read(lambda c: c.scalar(select(audit.c.result))) == "refused"
    done = erased(world, subject=PHONE, also_unread=True)
    assert (done.done, done.unread, world.texts(read), world.texts(waiting)) == (True, (waiting,), 0, 0)
    row = world.store.read(lambda c: c.execute(select(items).where(items.c.message_id == waiting)).one())
    assert (row.state, row.urgency) == ("waiting", "urgent")
    assert world.rows(decisions, decisions.c.message_id == waiting, decisions.c.outcome == "crisis") == 1


@pytest.mark.parametrize("also_unread", [False, True])
def test_what_is_being_judged_is_never_erased(world, also_unread):
    """Without its text nobody could say whether somebody is in danger."""
    pending = world.receive()
    refused = erased(world, subject=PHONE, also_unread=also_unread)
    assert (refused.done, refused.pending) == (False, (pending,))
    assert world.texts(pending) == 1
    world.decide(pending)
    world.read(pending)
    anew = update(messages).values(judge="w", judge_until_ms=world.clock() + 1)
    world.store.write(lambda c: c.execute(anew))
    # In an outage that would be refused for hours; what is said anew is written without its text.
    assert erased(world, subject=PHONE).done


@pytest.mark.parametrize("kind", ["message", "subject"])
def test_what_is_held_is_never_erased(world, kind):
    held = world.message()
    value = held if kind == "message" else PHONE
    world.store.write(lambda c: hold(c, world.store.keys, LEAD, kind, value, reason="case", hold_id="h", now_ms=1))
    for asked in ({"subject": PHONE}, {"message_ids": [held]}):
        refused = erased(world, **asked, also_unread=True)
        assert (refused.done, refused.held, world.texts(held)) == (False, (held,), 3)
    world.store.write(lambda c: end_hold(c, LEAD, "h", now_ms=2))
    assert erased(world, message_ids=[held]).done


def test_a_text_that_retention_took_before_does_not_keep_the_pseudonym(world):
    message = world.message()
    world.store.write(
        lambda c: (
            c.execute(texts.delete()),
            c.execute(update(messages).values(text_gone_ms=7)),
        )
    )
    assert erased(world, subject=PHONE).messages == 1
    row = world.store.read(lambda c: c.execute(select(messages).where(messages.c.id == message)).one())
    assert (row.subject_pseudonym, row.text_gone_ms, row.erased_ms) == (None, 7, world.clock())


def test_kept_requests_no_longer_tell_a_text(world):
    """The hash of a body with one short text can be guessed at."""
    mine, other = world.message(), world.message(subject=OTHER)
    rows = [
        {
            "tenant": "clinic",
            "key_hash": k,
            "owner": "o",
            "body_hash": "b",
            "created_ms": 1,
            "message_ids": json.dumps(ids),
        }
        for k, ids in (("one", [other, mine]), ("two", [other]))
    ]
    world.store.write(lambda c: c.execute(insert(idempotency), rows))
    assert erased(world, subject=PHONE).done
    found = world.store.read(lambda c: dict(c.execute(select(idempotency.c.key_hash, idempotency.c.body_hash)).all()))
    assert (found["one"] == "b", found["two"]) == (False, "b")


@pytest.mark.parametrize("asked", [{}, {"subject": PHONE, "message_ids": ["m"]}])
def test_one_of_subject_and_messages_is_asked_for(world, asked):
    with pytest.raises(InputError, match="either"):
        erased(world, **asked)


@settings(deadline=None, max_examples=25)
@given(kinds=st.lists(st.tuples(st.booleans(), st.sampled_from(["crisis", "undetermined", "no_crisis"])), max_size=6))
def test_erasing_changes_no_verdict(open_world, kinds):
    """Of nobody, whoever it is of; and only this person's texts go."""
    world = open_world()
    for mine, outcome in kinds:
        world.message(outcome, subject=PHONE if mine else OTHER)
    verdicts = select(decisions).order_by(decisions.c.message_id)
    before = [tuple(row) for row in world.store.read(lambda c: c.execute(verdicts).all())]
    done = erased(world, subject=PHONE)
    assert done.messages == sum(mine for mine, _ in kinds)
    assert [tuple(row) for row in world.store.read(lambda c: c.execute(verdicts).all())] == before
    assert world.rows(texts, texts.c.kind == "message") == sum(not mine for mine, _ in kinds)


def open_on_disk(tmp_path, clock, keys):
    return World(open_store(f"sqlite:///{tmp_path}/store.db", keys=keys, clock=clock), clock)


@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize("vacuum", [False, True])
def test_no_byte_is_left_in_any_file_of_the_store(tmp_path, clock, sealed, vacuum):
    """Rows among many others, short and long ones, while the store stays open: file, log and index of the log."""
    world = open_on_disk(tmp_path, clock, ring("a") if sealed else None)
    with world.store:
        world.endpoint()
        for number in range(120):
            mine = number % 10 == 5
            text = f"{TEXT} {'long ' * (number * 20)}" if mine else "x" * (37 * number % 900)
            world.message(text=text, subject=PHONE if mine else OTHER)
        others = (world.rows(texts), world.rows(decisions))
        words = TEXT.removeprefix(CANARY).encode()
        pseudonym = world.store.keys.pseudonym("clinic", "subject", PHONE).encode()
        found = disk(tmp_path)
        assert ((words in found), (CANARY.encode() in found)) == (not sealed, not sealed)
        assert pseudonym in found
        assert erased(world, subject=PHONE).texts == 36
        assert scrub(world.store, vacuum=vacuum)
        left = disk(tmp_path)
        assert words not in left
        assert pseudonym not in left
        assert (world.rows(texts), world.rows(decisions)) == (others[0] - 36, others[1])
        assert world.store.read(verify).flaw is None
        assert erased(world, subject=OTHER).messages == 108
        assert scrub(world.store, vacuum=vacuum)
        assert CANARY.encode() not in disk(tmp_path)


def test_a_reader_in_the_way_is_waited_for(tmp_path, clock):
    """The log cannot be emptied while somebody reads from it; afterwards it can."""
    world = open_on_disk(tmp_path, clock, None)
    with world.store:
        world.message()
        with world.store.engine.connect() as reader, reader.begin():
            reader.execute(select(messages)).all()
            assert erased(world, subject=PHONE).done
            slept = []
            assert not scrub(world.store, tries=3, sleep=slept.append)
            assert len(slept) == 2
        assert scrub(world.store, vacuum=True)
        assert CANARY.encode() not in disk(tmp_path)
        world.clock.now += DAY
        world.message()


def test_a_request_that_is_run_again_after_its_commit_says_what_it_did(world):
    """As the writer does where the answer to a commit is lost."""
    for _ in range(3):
        world.message()
    asked = {"subject": PHONE, "erasure": "e1", "now_ms": world.clock()}
    first, again = erased(world, **asked), erased(world, **asked)
    assert (first.messages, again.messages, again.done) == (3, 3, True)
    assert world.rows(audit) == 4


KILLED = """
import os, signal, sys
from tests.store.trust import LEAD, NOW, PHONE, ring
from crisis_filter.store.erase import erase
from crisis_filter.store.opening import open_store
from crisis_filter.store.rotate import rotate

url, point = sys.argv[1:]

def crash(reached):
    if reached == point:
        os.kill(os.getpid(), signal.SIGKILL)

with open_store(url, keys=ring("a", "b"), crash=crash) as store:
    if point.startswith("rotate"):
        rotate(store, LEAD, limit=4)
    else:
        store.write(lambda c: erase(c, store.keys, LEAD, erasure="e", now_ms=NOW, subject=PHONE), point="erase")
"""


@pytest.mark.parametrize(
    "point", ["erase:before_commit", "erase:after_commit", "rotate:before_commit", "rotate:after_commit"]
)
def test_killed_at_any_step_it_is_done_whole_or_not_at_all(tmp_path, clock, point):
    """And done the next time; nothing is half erased, and no text is lost by a rotation."""
    url = f"sqlite:///{tmp_path}/store.db"
    with open_store(url, keys=ring("a"), clock=clock) as store:
        world = World(store, clock)
        ids = [world.message() for _ in range(5)]
    ran = subprocess.run([sys.executable, "-c", KILLED, url, point], timeout=60, check=False)
    assert ran.returncode == -signal.SIGKILL
    with open_store(url, keys=ring("a", "b"), clock=clock) as store:
        world = World(store, clock)
        left = sum(world.texts(i) for i in ids)
        assert left == (0 if point == "erase:after_commit" else 15)
        assert world.rows(messages, messages.c.erased_ms.is_not(None)) == (5 if left == 0 else 0)
        assert world.rows(audit) == (6 if left == 0 else 0)
        assert store.read(verify).flaw is None
        if left:
            assert rotate(store, LEAD).unopened == []
            assert store.read(keys_in_use) == {"b": 15}
            assert erased(world, subject=PHONE).messages == 5
