"""What is taken in gets its decision, whatever becomes of whoever asked."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import func, select

from crisis_filter.errors import IdempotencyConflict, StoreUnavailable
from crisis_filter.schema import URGENCIES
from crisis_filter.service.desk import DeskLimits, Overloaded
from crisis_filter.store.idempotency import Replay, request_key
from crisis_filter.store.intake import ACCEPT, arrival
from crisis_filter.store.tables import decisions, items, messages, routes
from tests.service.desk_scenes import FirstWord, desk, opened, received


@pytest.fixture
def store(tmp_path):
    with opened(tmp_path) as store:
        yield store


def count(store, table, **where):
    asked = select(func.count()).select_from(table).where(*(table.c[name] == value for name, value in where.items()))
    return store.read(lambda connection: connection.execute(asked).scalar_one())


async def until(met, seconds=10.0):
    for _ in range(int(seconds / 0.005)):
        if met():
            return
        await asyncio.sleep(0.005)
    raise TimeoutError


@pytest.mark.parametrize(
    ("text", "outcome", "to_person"),
    [
        ("crisis here", "crisis", 1),
        ("calm day", "no_crisis", 0),
        ("else", "undetermined", 1),
        ("bug", "undetermined", 1),
    ],
)
async def test_a_message_is_stored_judged_routed_and_told(store, text, outcome, to_person):
    (handled,) = await desk(store, FirstWord()).receive([received(text, external_id="m1")])
    assert handled.assessment.outcome == outcome
    assert handled.assessment.id == "m1"
    assert handled.assessment.disposition.urgency in URGENCIES
    assert count(store, messages, state="decided") == count(store, decisions, outcome=outcome) == 1
    assert count(store, routes, to_person=bool(to_person)) == 1
    assert count(store, items, kind="alert") == to_person


async def test_a_bug_in_the_judge_is_undetermined_and_says_no_word_of_the_text(store):
    (handled,) = await desk(store, FirstWord()).receive([received("bug in private words")])
    assert (handled.assessment.fault, handled.assessment.fault_detail) == ("internal", "ValueError")
    assert "private" not in handled.assessment.model_dump_json()


async def test_whoever_asked_may_go_away(store):
    judge = FirstWord()
    judge.let.clear()
    front = desk(store, judge)
    asking = asyncio.create_task(front.receive([received("crisis"), received("calm")]))
    await until(lambda: len(judge.asked) == 2)
    asking.cancel()
    await asyncio.wait([asking])
    judge.let.set()
    await until(lambda: front.waiting == 0)
    assert count(store, messages, state="decided") == 2


async def test_nothing_is_taken_in_where_there_is_no_room(store):
    judge = FirstWord()
    judge.let.clear()
    front = desk(store, judge, DeskLimits(most_waiting=3))
    asking = asyncio.create_task(front.receive([received("crisis"), received("calm")]))
    await until(lambda: len(judge.asked) == 2)
    with pytest.raises(Overloaded):
        await front.receive([received("calm"), received("calm")])
    assert count(store, messages) == 2
    judge.let.set()
    await asking
    assert front.waiting == 0
    assert len(await front.receive([received("calm"), received("calm"), received("calm")])) == 3


async def test_a_text_that_is_there_is_not_judged_again(store):
    judge = FirstWord()
    front = desk(store, judge)
    await front.receive([received("crisis", external_id="a")])
    (again,) = await front.receive([received("crisis", external_id="a")])
    assert again.assessment is None
    assert again.accepted.decided
    assert judge.asked == ["crisis"]
    (other,) = await front.receive([received("calm", external_id="a")])
    assert other.accepted.duplicate == "other_text"
    assert other.assessment.outcome == "no_crisis"


async def test_a_key_is_done_once(store):
    front = desk(store, FirstWord())
    (first,) = await front.receive([received("crisis")], request_key("clinic", "k", b"body", "1"))
    again = await front.receive([received("crisis")], request_key("clinic", "k", b"body", "2"))
    assert again == Replay((first.message_id,))
    with pytest.raises(IdempotencyConflict):
        await front.receive([received("calm")], request_key("clinic", "k", b"other", "3"))
    assert count(store, messages) == 1
    assert front.waiting == 0


async def test_what_a_dead_worker_left_is_taken_over(tmp_path):
    now = [1_000_000]
    with opened(tmp_path, clock=lambda: now[0]) as store:
        dead = arrival(store, [received("crisis")], now_ms=now[0], worker="dead", lease_ms=1000)
        await asyncio.wrap_future(store.gather(ACCEPT, dead))
        front = desk(store, FirstWord())
        assert await front.take_over() == 0  # its lease holds
        now[0] += 2000
        assert await front.take_over() == 1
        assert await front.take_over() == 0
        assert count(store, decisions, outcome="crisis") == 1


async def test_what_waits_long_for_its_place_is_not_taken_over(tmp_path):
    now = [1_000_000]
    with opened(tmp_path, clock=lambda: now[0]) as store:
        judge = FirstWord()
        judge.let.clear()
        front = desk(store, judge, DeskLimits(places=1, lease_ms=1000))
        asking = asyncio.create_task(front.receive([received("crisis"), received("calm")]))
        await until(lambda: len(judge.asked) == 1)
        now[0] += 900
        assert await front.renew() == 2
        now[0] += 900
        assert await desk(store, FirstWord(), worker="another").take_over() == 0
        judge.let.set()
        await asking
        assert await front.renew() == 0


async def test_where_the_store_goes_away_the_message_stays_pending_and_is_taken_over(tmp_path):
    now = [1_000_000]
    with opened(tmp_path, clock=lambda: now[0]) as store:
        front = desk(store, FirstWord())
        gather = store.gather

        def away(bulk, item):
            if bulk.point == "conclude":
                raise StoreUnavailable("gone")
            return gather(bulk, item)

        store.gather = away
        with pytest.raises(StoreUnavailable):
            await front.receive([received("crisis")])
        store.gather = gather
        assert count(store, messages, state="pending") == 1
        now[0] += front.limits.lease_ms + 1
        assert await front.take_over() == 1
        assert count(store, messages, state="decided") == 1


async def test_draining_ends_what_is_in_work_and_takes_nothing_more(store):
    judge = FirstWord()
    judge.let.clear()
    front = desk(store, judge)
    asking = asyncio.create_task(front.receive([received("crisis")]))
    await until(lambda: len(judge.asked) == 1)
    assert await front.drain(0.05) == 1
    with pytest.raises(Overloaded):
        await front.receive([received("calm")])
    judge.let.set()
    assert await front.drain(5.0) == 0
    assert (await asking)[0].assessment.outcome == "crisis"


async def test_another_decision_that_was_there_first_is_the_one_that_counts(store):
    judge = FirstWord()
    judge.let.clear()
    front = desk(store, judge)
    rows = [received("crisis", external_id="twice"), received("crisis", external_id="twice")]
    asking = asyncio.create_task(front.receive(rows))
    await until(lambda: len(judge.asked) >= 1)
    judge.let.set()
    both = await asking
    assert len({one.message_id for one in both}) == 1
    assert [one.assessment is None for one in both].count(True) >= 1
    assert count(store, decisions) == 1
