"""Searches stop for whatever reason and go on; nothing is asked twice, and a finished one comes to the same without asking."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crisis_filter.errors import ConfigurationError, InputError
from crisis_filter.experiments.optimize.folder import OptimizeFolder, stored_result
from tests.experiments.searching import (
    HELPS,
    PLAIN,
    ROOT,
    World,
    always,
    by_question,
    choices,
    plan_file,
    search,
    searched,
    serving,
    work_of,
)
from tests.fault_server import Answer, Received, failure, serve_faults

PROGRAM = Path(__file__).parent / "searching.py"


def kept(folder: Path) -> bytes:
    return (folder / "result.json").read_bytes()


async def test_a_finished_search_comes_to_the_same_without_asking(tmp_path: Path) -> None:
    """No server is there any more; a call that is missing is noticed."""
    result = await searched(tmp_path, World())
    file, where, before = tmp_path / "try.yaml", tmp_path / "run", kept(tmp_path / "run")
    assert stored_result(where, 150) == result
    assert await search(file, where, choices(tmp_path)) == result
    assert kept(where) == before
    calls = (where / "calls.jsonl").read_bytes().splitlines(keepends=True)
    (where / "calls.jsonl").write_bytes(b"".join(calls[:3] + calls[4:]))
    with pytest.raises(InputError, match=r"comes to another result than result\.json says"):
        await search(file, where, choices(tmp_path))
    assert kept(where) == before


async def test_a_search_with_more_calls_goes_on(tmp_path: Path) -> None:
    """Nothing is asked twice, and it comes to what a long one would have come to."""
    async with serve_faults() as server:
        file, short, world = plan_file(tmp_path, server.url), tmp_path / "short", World(by_question)
        server.answer(world)
        first = await search(file, short, choices(tmp_path, max_calls=34))
        assert (first.ended, first.whole, first.winner) == ("max_calls", True, None)
        assert first.judgements <= 34
        second = await search(file, short, choices(tmp_path))
        assert len(world.judged) == second.judgements
        assert len(world.reflected) == second.proposals
        # In a folder that is not beside it, so that nothing is taken over.
        alone = await search(file, tmp_path / "else" / "long", choices(tmp_path))
    assert second == alone
    assert kept(short) == kept(tmp_path / "else" / "long")


@pytest.mark.parametrize("most", [5, 17, 40])
async def test_it_stops_at_the_budget_and_goes_on_with_a_larger_one(tmp_path: Path, most: int) -> None:
    """Requests of both models count; what was paid stays."""
    async with serve_faults() as server:
        world = World(by_question)
        server.answer(world)
        file = plan_file(tmp_path, server.url, budget={"requests": most})
        stopped = await search(file, tmp_path / "run", choices(tmp_path))
        assert (stopped.ended, stopped.whole) == ("budget", False)
        assert most - 4 <= world.asked <= most
        assert stored_result(tmp_path / "run", 150) is None
        again = await search(file, tmp_path / "run", choices(tmp_path))
        assert again == stopped
        assert world.asked <= most
        plan_file(tmp_path, server.url)
        done = await search(file, tmp_path / "run", choices(tmp_path))
        assert done.whole
        assert world.asked == done.judgements + done.proposals


async def test_it_stops_at_a_budget_of_money(tmp_path: Path) -> None:
    """By the prices of both models; the first question goes alone, for nobody knows what it costs."""
    world = World()
    result = await searched(tmp_path, world, plan={"budget": {"money": 0.3}})
    assert result.ended == "budget"
    calls = [json.loads(line)["reply"] for line in (tmp_path / "run/calls.jsonl").read_text().splitlines()]
    spent = sum(call["prompt_tokens"] + call["completion_tokens"] for call in calls) / 1_000_000
    assert 0.25 < spent <= 0.3


async def test_a_server_that_is_silent_ends_it(tmp_path: Path) -> None:
    """After ten in a row, and the same command goes on when it is up again."""
    async with serve_faults() as server:
        world, file = World(by_question), plan_file(tmp_path, server.url)
        server.answer(failure(500))
        result = await search(file, tmp_path / "run", choices(tmp_path))
        assert (result.ended, result.whole, result.candidates, result.winner) == ("silence", False, (), None)
        server.answer(world)
        done = await search(file, tmp_path / "run", choices(tmp_path))
    assert done.whole
    assert done.candidates[0].counts.undetermined == 0


async def test_a_fault_of_the_service_is_asked_about_again(tmp_path: Path) -> None:
    """It counts as undetermined meanwhile, the search is not called whole, and the next run asks for that answer alone."""
    async with serve_faults() as server:
        world, file, failed = World(by_question), plan_file(tmp_path, server.url), list[int]()

        def once(received: Received) -> Answer:
            lost = (
                "d2" in received.body["messages"][-1]["content"]
                and PLAIN[2] in received.body["messages"][-1]["content"]
            )
            if lost and not failed:
                failed.append(1)
                return failure(500)
            return world(received)

        server.answer(once)
        first = await search(file, tmp_path / "run", choices(tmp_path))
        assert (first.whole, first.faults, first.candidates[0].counts.undetermined) == (False, 1, 1)
        assert first.candidates[0].undetermined == ("d-plain-2",)
        asked = world.asked
        second = await search(file, tmp_path / "run", choices(tmp_path))
        assert (second.whole, second.faults) == (True, 0)
        assert world.asked >= asked + 1
        assert len(world.judged) == len(set(world.judged))


async def test_what_differs_is_refused_and_what_is_the_same_is_taken_over(tmp_path: Path) -> None:
    """A folder is of one search; another beside it asks nothing that was asked."""
    async with serve_faults() as server:
        world, file = World(by_question), plan_file(tmp_path, server.url)
        server.answer(world)
        await search(file, tmp_path / "one", choices(tmp_path))
        with pytest.raises(ConfigurationError, match="begun as another search: its minibatch differs"):
            await search(file, tmp_path / "one", choices(tmp_path, minibatch=3))
        asked = world.asked
        again = await search(file, tmp_path / "two", choices(tmp_path))
        assert world.asked == asked
        assert again.model_dump() == (await search(file, tmp_path / "one", choices(tmp_path))).model_dump()
    lines = [json.loads(line) for line in (tmp_path / "two/calls.jsonl").read_text().splitlines()]
    assert all(line["earlier"] for line in lines)


async def test_a_plan_may_forbid_that_answers_are_taken_over(tmp_path: Path) -> None:
    """Then every question is asked anew."""
    async with serve_faults() as server:
        world = World(by_question)
        server.answer(world)
        file = plan_file(tmp_path, server.url, evaluateOptions={"reuse": False})
        await search(file, tmp_path / "one", choices(tmp_path))
        asked = world.asked
        await search(file, tmp_path / "two", choices(tmp_path))
        assert world.asked == 2 * asked
    lines = [json.loads(line) for line in (tmp_path / "two/calls.jsonl").read_text().splitlines()]
    assert not any(line["earlier"] for line in lines)


async def test_two_cannot_search_in_one_folder(tmp_path: Path) -> None:
    """The second is told so."""
    async with serve_faults() as server:
        work = work_of(plan_file(tmp_path, server.url), choices(tmp_path))
        with OptimizeFolder.begin(tmp_path / "run", work.start(), replaying=False):
            with pytest.raises(ConfigurationError, match="another run is at work here"):
                OptimizeFolder.begin(tmp_path / "run", work.start(), replaying=False)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("optimize.json", "{}", "is not the start of a search"),
        ("result.json", "{}", "is not the result of a search"),
        ("calls.jsonl", "{}\n", "line 1 is not a line of this journal"),
    ],
)
async def test_a_damaged_folder_is_refused(tmp_path: Path, name: str, content: str, said: str) -> None:
    """By the file's name."""
    await searched(tmp_path, always(HELPS))
    (tmp_path / "run" / name).write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=said):
        await search(tmp_path / "try.yaml", tmp_path / "run", choices(tmp_path))


async def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    """Nothing in it is written over."""
    async with serve_faults() as server:
        work = work_of(plan_file(tmp_path, server.url), choices(tmp_path))
    with pytest.raises(ConfigurationError, match="name an empty or a new folder"):
        OptimizeFolder.begin(tmp_path, work.start(), replaying=False)


async def test_an_answer_that_cannot_be_written_down_ends_it(tmp_path: Path) -> None:
    """At once, for what comes after would be paid twice; when it can be again, the same command goes on."""
    calls, away = tmp_path / "run/calls.jsonl", tmp_path / "away.jsonl"

    def lose(_: object) -> None:
        if not away.exists():
            calls.rename(away)
            calls.mkdir()

    async with serve_faults() as server:
        world, file = World(by_question), plan_file(tmp_path, server.url)
        server.answer(world)
        with pytest.raises(ConfigurationError, match=r"calls\.jsonl: cannot be written"):
            await search(file, tmp_path / "run", choices(tmp_path), tell=lose)
        assert world.asked <= 8
        calls.rmdir()
        away.rename(calls)
        assert (await search(file, tmp_path / "run", choices(tmp_path))).whole


async def test_stopped_at_any_answer_it_goes_on(tmp_path: Path) -> None:
    """A signal cancels it; the thread that searches ends with it, and the rest comes to the same."""
    async with serve_faults() as server:
        world, file = World(by_question), plan_file(tmp_path, server.url)
        server.answer(world)
        for after in (1, 9, 20, 13):
            reached = asyncio.Event()

            def noting(
                received: Received, least: int = world.asked + after, reached: asyncio.Event = reached
            ) -> Answer:
                if world.asked >= least:
                    reached.set()
                return world(received)

            server.answer(noting)
            task = asyncio.create_task(search(file, tmp_path / "run", choices(tmp_path)))
            waiting = asyncio.create_task(reached.wait())
            await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED, timeout=60)
            waiting.cancel()
            task.cancel()
            assert (await asyncio.wait({task}, timeout=30))[0], "the stop was not heard"
            assert task.cancelled() or task.result().whole
        server.answer(world)
        done = await search(file, tmp_path / "run", choices(tmp_path))
        alone = await search(file, tmp_path / "else" / "run", choices(tmp_path))
    assert done == alone


def start(*arguments: str, **more: Any) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **more.pop("env", {})}
    return subprocess.Popen([sys.executable, "-W", "error", str(PROGRAM), *arguments], env=environment, **more)


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with serving(tmp_path) as address:
        yield address


def asked(folder: Path) -> int:
    log = folder / "log"
    return log.read_bytes().count(b"\n") if log.exists() else 0


@pytest.mark.parametrize(
    "instants", [(2, 11), pytest.param((2, 11, 17, 9), marks=pytest.mark.slow)], ids=["twice", "four times"]
)
def test_killed_at_several_instants_it_comes_to_the_same(
    tmp_path: Path, url: str, instants: tuple[int, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    """SIGKILL while either model is asked; what has an answer is never asked again."""
    file, killed = plan_file(tmp_path, url), 0
    for more in instants:
        process = start("search", str(file), str(tmp_path / "run"), "150")
        end, before = time.monotonic() + 60, asked(tmp_path)
        while asked(tmp_path) < before + more and process.poll() is None and time.monotonic() < end:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        killed += process.returncode == -signal.SIGKILL
    capfd.readouterr()
    asyncio.run(search(file, tmp_path / "run", choices(tmp_path)))
    assert capfd.readouterr() == ("", "")
    total = asked(tmp_path)
    asyncio.run(search(file, tmp_path / "else" / "run", choices(tmp_path)))
    assert kept(tmp_path / "run") == kept(tmp_path / "else" / "run")
    assert killed >= 2
    needed = asked(tmp_path) - total
    # At most the four that were under way at each kill.
    assert needed <= total <= needed + 4 * killed
