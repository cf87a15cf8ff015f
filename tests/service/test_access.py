"""One question to the store for all who come with the same key."""

from __future__ import annotations

import asyncio
import threading

import pytest

from crisis_filter.errors import StoreUnavailable
from crisis_filter.service.access import Door
from crisis_filter.service.limits import RateLimit
from crisis_filter.service.problems import Problem
from crisis_filter.store.api_keys import Grant, GrantCache
from crisis_filter.store.records import Actor

GRANT = Grant(actor=Actor(id="key:a", tenant="clinic", scopes=frozenset({"classify"})))


class Asked:
    """The store: answers when it is let, and counts."""

    def __init__(self) -> None:
        self.now = 1_000_000
        self.times = 0
        self.answer: Grant | Exception | None = GRANT
        self.let = threading.Event()
        self.let.set()

    def __call__(self, presented: str, now_ms: int) -> Grant | None:
        self.times += 1
        assert self.let.wait(10)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def clock(self) -> int:
        return self.now


@pytest.fixture
def asked():
    return Asked()


@pytest.fixture
def door(asked):
    return Door(GrantCache(asked, asked.clock), RateLimit())


async def test_many_at_once_ask_once(door, asked):
    asked.let.clear()
    waiting = [asyncio.create_task(door.enter("k", "1.2.3.4")) for _ in range(50)]
    await asyncio.sleep(0.05)
    asked.let.set()
    actors = await asyncio.gather(*waiting)
    assert {actor.id for actor in actors} == {"key:a"}
    assert asked.times == 1


async def test_what_grows_old_is_asked_for_before_anybody_has_to_wait(door, asked):
    await door.enter("k", "o")
    asked.now += 3000
    asked.let.clear()
    assert (await door.enter("k", "o")).id == "key:a"  # not held up
    await door.enter("k", "o")
    asked.let.set()
    for _ in range(100):
        await asyncio.sleep(0.01)
    assert asked.times == 2
    asked.now += 3000
    await door.enter("k", "o")
    assert asked.times <= 3


async def test_a_key_that_was_revoked_is_refused_within_its_time(door, asked):
    await door.enter("k", "o")
    asked.answer = None
    asked.now += 5000
    with pytest.raises(Problem) as problem:
        await door.enter("k", "o")
    assert problem.value.code == "unauthenticated"
    assert door.take_refused() == {"o": 1}
    assert door.take_refused() == {}


async def test_a_revoked_key_is_forgotten_as_soon_as_that_is_known(door, asked):
    await door.enter("k", "o")
    asked.answer = None
    asked.now += 2600
    await door.enter("k", "o")
    for _ in range(100):
        await asyncio.sleep(0.01)
    with pytest.raises(Problem):
        await door.enter("k", "o")


async def test_while_the_store_is_away_who_is_known_comes_in_and_nobody_else(door, asked):
    await door.enter("k", "o")
    asked.answer = StoreUnavailable("gone")
    asked.now += 3000
    assert (await door.enter("k", "o")).id == "key:a"
    with pytest.raises(StoreUnavailable):
        await asyncio.gather(*(door.enter("other", "o") for _ in range(3)))
