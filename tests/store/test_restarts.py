"""PostgreSQL goes down in the middle of the work, as by a power cut, and comes back: nobody is told of a message that is not there."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from tests.store.postgres import Server
from tests.store.test_kills import Player, Program, acknowledged, check

# More than the hundred a second that are wanted over all: while the server is away, nobody is answered.
RATE, CALLERS = 200, 32


@pytest.fixture(scope="module")
def program() -> Program:
    made = Program()
    yield made
    made.close()


def restarts(program: Program, server: Server, folder: Path, *, times: int, every_s: float) -> int:
    """A worker takes some hundred messages a second while the server is restarted under it; gives how many were acknowledged."""
    url = server.make(f"restarted_{times}", "template")
    began = time.monotonic()
    player = Player(program, url, folder / "notes")
    player.send(first=0, last=int(times * every_s * RATE), callers=CALLERS, pause=CALLERS / RATE, finish=True)
    deadline = time.monotonic() + 60
    while not player.notes.exists() or not player.notes.stat().st_size:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    for _ in range(times):
        time.sleep(every_s / 2)
        before = len(acknowledged(player.notes)["accepted"])
        server.restart()
        assert before
    assert player.ended() == "well", "the worker goes on by itself"
    ended_s = time.monotonic() - began
    found = check(url, player.notes, finished=int(times * every_s * RATE))
    sys.stdout.write(f"{times} restarts: {found} messages, {found / ended_s:.0f} a second\n")
    return found


@pytest.mark.system
@pytest.mark.timeout(300)
def test_restarted_three_times(program: Program, postgres: Server, tmp_path: Path) -> None:
    assert restarts(program, postgres, tmp_path, times=3, every_s=1.0) == 600


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_restarted_twenty_times(program: Program, postgres: Server, tmp_path: Path) -> None:
    assert restarts(program, postgres, tmp_path, times=20, every_s=10.0) == 40_000
