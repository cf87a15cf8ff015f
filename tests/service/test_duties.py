"""Duties go on, each by itself."""

from __future__ import annotations

import asyncio

import pytest

from crisis_filter.errors import StoreUnavailable
from crisis_filter.service.duties import Duties, Duty
from tests.service.desk_scenes import opened


@pytest.fixture
def store(tmp_path):
    with opened(tmp_path) as store:
        yield store


class Counting:
    def __init__(self, *outcomes) -> None:
        self.times = 0
        self.outcomes = list(outcomes)

    async def __call__(self) -> bool:
        self.times += 1
        outcome = self.outcomes.pop(0) if self.outcomes else False
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


async def until(met):
    for _ in range(1000):
        if met():
            return
        await asyncio.sleep(0.01)
    raise TimeoutError


async def test_one_that_fails_stops_neither_itself_nor_another(store, caplog):
    failing, well = Counting(*[StoreUnavailable("private")] * 3), Counting()
    duties = Duties(store, "me", [Duty("failing", 0.01, failing), Duty("well", 0.01, well)])
    duties.start()
    await until(lambda: duties.failing == {"failing": "StoreUnavailable"})
    await until(lambda: failing.times > 4 and well.times > 4)
    assert duties.failing == {}
    await duties.stop()
    assert caplog.text.count("failing failed with StoreUnavailable") == 1
    assert "private" not in caplog.text


async def test_one_with_more_to_do_does_not_wait(store):
    busy = Counting(True, True, True)
    duties = Duties(store, "me", [Duty("busy", 3600.0, busy)])
    duties.start()
    await until(lambda: busy.times == 4)
    await duties.stop()


async def test_what_one_process_does_alone_another_takes_up_when_it_ends(store):
    first, second = Counting(), Counting()
    one = Duties(store, "one", [Duty("alone", 0.01, first, alone=True)])
    two = Duties(store, "two", [Duty("alone", 0.01, second, alone=True)])
    one.start()
    await until(lambda: first.times > 2)
    two.start()
    await until(lambda: first.times > 10)
    assert second.times == 0
    await one.stop()
    ended = first.times
    await until(lambda: second.times > 2)
    await two.stop()
    assert first.times == ended
