"""What is due goes, what somebody may still need stays, and the verdicts remain."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sqlalchemy import insert, select, update

from crisis_filter.errors import InputError
from crisis_filter.store.audit_verify import verify
from crisis_filter.store.holds import end_hold, hold, listed
from crisis_filter.store.retention import Retention, Swept, sweep, sweep_all
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
from tests.store.trust import DAY, LEAD, PHONE, World

clock, open_world, world = trust.clock, trust.open_world, trust.world

POLICY = Retention()


def swept(world: World, after_days: float, limit: int = 100, policy: Retention = POLICY) -> Swept:
    world.clock.now += int(after_days * DAY)
    return world.store.write(lambda c: sweep(c, policy, LEAD, world.clock(), limit))


def test_a_text_goes_after_its_time_and_its_verdict_stays(world):
    message = world.message()
    assert swept(world, 30).total == 0
    assert swept(world, 0.1) == Swept(texts=2, notes=1)
    assert world.texts(message) == 0
    assert (world.rows(messages), world.rows(decisions), world.rows(routes), world.rows(items)) == (1, 1, 1, 1)
    row = world.store.read(lambda c: c.execute(select(messages)).one())
    assert (row.text_gone_ms, row.erased_ms) == (world.clock(), None)
    assert row.subject_pseudonym == world.store.keys.pseudonym("clinic", "subject", PHONE)
    assert swept(world, 0).total == 0


def test_a_text_that_somebody_may_have_to_read_stays_however_old(world):
    """Pending, waiting, claimed, or drawn for a second reading; once it is read it goes."""
    pending = world.receive()
    waiting = world.message(read=False)
    claimed = world.message(read=False)
    world.store.write(lambda c: c.execute(update(items).where(items.c.message_id == claimed).values(state="claimed")))
    second = world.receive()
    world.decide(second, "no_crisis", second_reading=True)
    assert swept(world, 4000).total == 0
    assert [world.texts(m) for m in (pending, waiting, claimed, second)] == [1, 2, 2, 2]
    world.read(waiting)
    done = swept(world, 0)
    assert (done.texts, done.notes, world.texts(waiting)) == (2, 0, 1)


@pytest.mark.parametrize("kind", ["message", "subject"])
def test_nothing_under_a_legal_hold_goes(world, kind):
    """Not the text, nor after years the verdict; when the hold ends, both do."""
    held, other = world.message(), world.message(subject="somebody else")
    value = held if kind == "message" else PHONE
    keys = world.store.keys
    for _ in range(2):
        world.store.write(
            lambda c: hold(c, keys, LEAD, kind, value, reason="case 7", hold_id="h1", now_ms=world.clock())
        )
    told = select(audit.c.action, audit.c.reason).where(audit.c.object == "hold:h1")
    assert [tuple(row) for row in world.store.read(lambda c: c.execute(told).all())] == [("hold", "case 7")]
    assert swept(world, 31).texts == 2
    assert (world.texts(held), world.texts(other)) == (3, 0)
    assert swept(world, 7 * 365).decisions == 1
    assert world.rows(messages) == 1
    stored = world.store.read(listed)
    assert [(h.kind, h.message_id, h.ended_ms) for h in stored] == [(kind, held if kind == "message" else None, None)]
    for ended in (True, True):
        assert world.store.write(lambda c: end_hold(c, LEAD, "h1", now_ms=world.clock())) is ended
    assert not world.store.write(
        lambda c: end_hold(c, LEAD.model_copy(update={"tenant": "other"}), "h1", now_ms=world.clock())
    )
    assert swept(world, 0).decisions == 1
    assert world.rows(messages) == 0
    assert [tuple(row) for row in world.store.read(lambda c: c.execute(told).all())] == [("hold_end", None)]


def test_a_hold_is_of_its_tenant_alone(world):
    theirs = world.message(tenant="other")
    keys = world.store.keys
    world.store.write(lambda c: hold(c, keys, LEAD, "subject", PHONE, reason="case", hold_id="h", now_ms=1))
    assert swept(world, 31).texts == 2
    assert world.texts(theirs) == 0
    for value in (theirs, "none"):
        with pytest.raises(InputError, match="no such message"):
            world.store.write(
                lambda c, v=value: hold(c, keys, LEAD, "message", v, reason="case", hold_id="i", now_ms=1)
            )
    for wrong in ("", "x" * 129, "a\nb"):
        with pytest.raises(InputError, match="reason"):
            world.store.write(lambda c, r=wrong: hold(c, keys, LEAD, "subject", PHONE, reason=r, hold_id="j", now_ms=1))
    assert world.rows(holds) == 1


def test_after_years_a_message_goes_with_all_that_hangs_on_it(world):
    world.endpoint()
    world.message()
    waiting = world.message(read=False)
    world.delivered()
    assert swept(world, 6 * 365 + 1).decisions == 0
    done = swept(world, 2)
    assert done.decisions == 1
    for table in (messages, decisions, routes, items):
        assert world.rows(table) == 1
    assert (world.rows(readings), world.texts(waiting)) == (0, 2)


def test_a_late_reading_keeps_a_message(world):
    """The years count from the last thing that happened to it."""
    message = world.message(read=False)
    world.clock.now += 6 * 365 * DAY
    world.read(message)
    assert swept(world, 10).decisions == 0
    assert swept(world, 6 * 365).decisions == 1


def test_webhooks_go_once_they_arrived_and_never_before(world):
    world.endpoint()
    world.message()
    assert swept(world, 365).outbox == 0
    world.delivered()
    assert swept(world, 29).outbox == 0
    assert (swept(world, 2).outbox, world.rows(outbox)) == (1, 0)


def test_keys_of_requests_go_after_a_day(world):
    row = {
        "tenant": "t",
        "key_hash": "k",
        "owner": "o",
        "body_hash": "b",
        "created_ms": world.clock(),
        "message_ids": "[]",
    }
    world.store.write(lambda c: c.execute(insert(idempotency), row))
    assert (swept(world, 0.99).idempotency, swept(world, 0.02).idempotency) == (0, 1)


def test_old_rows_of_the_audit_go_and_the_chain_holds(world):
    world.message()
    for _ in range(3):
        swept(world, 31)
    before = world.rows(audit)
    assert before == 1
    assert swept(world, 6 * 365 + 3).audit == 1
    assert world.store.read(verify).flaw is None
    assert world.store.read(lambda c: c.scalars(select(audit.c.object)).all())[0].startswith("rows:decisions=1")


@settings(deadline=None, max_examples=25)
@given(
    messages_=st.lists(st.sampled_from(["read", "waiting", "pending", "cleared"]), max_size=8),
    limit=st.integers(1, 5),
)
def test_batches_come_to_what_one_sweep_does(open_world, messages_, limit):
    """Whatever the size of a batch; and it ends."""
    world = open_world()
    for kind in messages_:
        if kind == "pending":
            world.receive()
        else:
            world.message("no_crisis" if kind == "cleared" else "crisis", read=kind != "waiting")
    world.clock.now += 31 * DAY
    done = sweep_all(world.store, POLICY, LEAD, limit=limit)
    free = sum(kind in ("read", "cleared") for kind in messages_)
    assert (done.texts, done.notes) == (2 * free, messages_.count("read"))
    gone = messages.c.text_gone_ms.is_not(None)
    assert world.rows(messages, gone) == free
    assert world.rows(texts, texts.c.kind == "message") == len(messages_) - free
    assert world.store.read(verify).flaw is None


def test_a_sweep_ends_where_it_is_told_to(world):
    for _ in range(5):
        world.message()
    world.clock.now += 31 * DAY
    assert sweep_all(world.store, POLICY, LEAD, limit=2, most=2).texts == 4


@pytest.mark.parametrize("wrong", [{"text_days": 0}, {"idempotency_hours": 23}, {"audit_days": -1}, {"more": 1}])
def test_a_policy_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValidationError):
        Retention(**wrong)
