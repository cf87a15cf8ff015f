"""A run that is told to stop ends what is on its way, takes nothing more, and hangs on nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from crisis_filter.batch import slots
from crisis_filter.batch.budget import Budget
from crisis_filter.batch.journal import Journal
from crisis_filter.batch.slots import Count, Judging, judge_rows
from tests.batch.playing import head_for, inputs_in, rows_of, verdict, write_input


class Held:
    """Lets so many messages begin, and holds the rest back for ever."""

    stopped = None

    def __init__(self, most):
        self.left = most
        self.ended = 0

    async def begin_message(self):
        if self.left == 0:
            await asyncio.Event().wait()
        self.left -= 1

    def end_message(self):
        self.ended += 1


class Running:
    """Six slots, three of them in the middle of a message that ends when `go` is set."""

    def __init__(self, folder: Path, *, stubborn=False):
        write_input(folder / "in1.jsonl", 30)
        self.journal = Journal.open(folder / "out.jsonl", head_for(folder))
        self.go, self.all_begun, self.begun, self.held = asyncio.Event(), asyncio.Event(), 0, Held(3)
        self.count = Count()

        async def assess(message):
            self.begun += 1
            if self.begun == 3:
                self.all_begun.set()
            await (asyncio.Event() if stubborn else self.go).wait()
            return verdict(message)

        how = Judging(assess, self.journal, Budget(), throttle=self.held)
        self.task = asyncio.create_task(judge_rows(rows_of(inputs_in(folder)), how, 6, self.count))

    async def over(self):
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(self.task, 5)
        self.journal.close()


async def test_what_is_on_its_way_ends_and_nothing_else_begins(tmp_path):
    run = Running(tmp_path)
    await run.all_begun.wait()
    run.task.cancel()
    await asyncio.sleep(0.01)
    assert not run.task.done()
    run.go.set()
    await run.over()
    assert (run.begun, run.count.judged, run.held.ended) == (3, 3, 3)
    with Journal.open(tmp_path / "out.jsonl", head_for(tmp_path)) as again:
        assert sum(again.done(row) for row in range(30)) == 3


async def test_a_second_time_ends_it_at_once(tmp_path):
    run = Running(tmp_path)
    await run.all_begun.wait()
    run.task.cancel()
    await asyncio.sleep(0.01)
    run.task.cancel()
    await run.over()
    assert (run.begun, run.count.judged) == (3, 0)


async def test_what_does_not_end_is_not_waited_for_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr(slots, "_DRAIN_S", 0.05)
    run = Running(tmp_path, stubborn=True)
    await run.all_begun.wait()
    run.task.cancel()
    await run.over()
    assert (run.begun, run.count.judged) == (3, 0)
