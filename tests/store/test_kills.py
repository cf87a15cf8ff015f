"""SIGKILL at every step and at any instant: what was acknowledged is there, nothing is there twice, and the ledger balances."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from crisis_filter.cli.app import app
from crisis_filter.store.opening import open_store
from crisis_filter.store.tables import decisions, items, messages
from tests.store.playing import SAID
from tests.store.scenes import KEYS, balanced, decided, received, rows, taken

ROOT = Path(__file__).parent.parent.parent
POINTS = [
    f"{name}:{when}" for name in ("accept", "conclude", "supersede") for when in ("before_commit", "after_commit")
]


class Program:
    """The program that forks workers; it has imported everything, so that a worker begins at once."""

    def __init__(self) -> None:
        self._program = subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / "playing.py")],
            env={**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def send(self, **order: Any) -> None:
        self._program.stdin.write(json.dumps(order) + "\n")
        self._program.stdin.flush()

    def ended(self) -> str:
        return json.loads(self._program.stdout.readline())["ended"]

    def close(self) -> None:
        self._program.stdin.close()
        self._program.wait(60)
        self._program.stdout.close()


@pytest.fixture(scope="module")
def programs() -> Iterator[list[Program]]:
    """Two, for two workers at once."""
    made = [Program(), Program()]
    yield made
    for program in made:
        program.close()


class Player:
    """Workers on one store."""

    def __init__(self, program: Program, url: str, notes: Path) -> None:
        self.program, self.url, self.notes = program, url, notes

    def send(self, **order: Any) -> None:
        self.program.send(url=self.url, notes=str(self.notes), **order)

    def ended(self) -> str:
        return self.program.ended()

    def __call__(self, **order: Any) -> str:
        self.send(**order)
        return self.ended()


@pytest.fixture
def player(programs: list[Program], store_address: str, tmp_path: Path) -> Player:
    return Player(programs[0], store_address, tmp_path / "notes")


def acknowledged(notes: Path) -> dict[str, dict[int, list[str]]]:
    """kind ► number ► ids. A last line that a kill cut is left out: nobody had heard of it."""
    found: dict[str, dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
    if notes.exists():
        for line in notes.read_text().splitlines(keepends=True):
            if line.endswith("\n"):
                kind, number, message_id = line.rsplit(" ", 2)
                found[kind][int(number)].append(message_id.strip())
    return found


def check(url: str, notes: Path, *, finished: int | None = None) -> int:
    """Nothing acknowledged is missing or twice; gives how many were acknowledged."""
    told = acknowledged(notes)
    with open_store(url, keys=KEYS) as store:
        assert balanced(store)
        state = dict(rows(store, messages, "id", "state"))
        said = {(m, r): o for m, r, o in rows(store, decisions, "message_id", "revision", "outcome")}
        alerts = [m for m, kind in rows(store, items, "message_id", "kind") if kind == "alert"]
    for ids in told["accepted"].values():
        assert len(set(ids)) == 1, "one message has two ids"
        assert ids[0] in state, "an accepted message is lost"
    for number, ids in told["concluded"].items():
        assert len(ids) == 1, "a message was decided twice"
        assert said[ids[0], 1] == SAID[number % len(SAID)].outcome
    for ids in told["superseded"].values():
        assert len(ids) == 1
        assert said[ids[0], 2] == "no_crisis"
    assert len(alerts) == len(set(alerts))
    assert len(state) >= len(told["accepted"])
    if finished is not None:
        assert len(state) == finished
        assert set(state.values()) == {"decided"}
    return len(told["accepted"])


def test_without_a_kill(player: Player, store_address: str) -> None:
    assert player(first=0, last=60, finish=True) == "well"
    assert check(store_address, player.notes, finished=60) == 60
    assert player(first=0, last=60, finish=True) == "well", "all of them again, under the same keys"
    assert check(store_address, player.notes, finished=60) == 60


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_each_point_and_again_while_going_on(player: Player, store_address: str, point: str) -> None:
    for times in (1, 3):  # few callers, so that the point is passed that often
        assert player(first=0, last=60, callers=3, point=(point, times)) == "SIGKILL"
        check(store_address, player.notes)
    time.sleep(0.4)
    assert player(first=0, last=60, finish=True) == "well"
    check(store_address, player.notes, finished=60)


def kills(player: Player, url: str, *, times: int, seed: int) -> None:
    """Each worker goes on where the last one was killed, and repeats the requests whose answers nobody heard."""
    rng = np.random.default_rng(seed)
    first = 0
    for _ in range(times):
        # Opening takes a while; most kills are to meet a worker at work.
        ended = player(first=first, last=first + 100_000, after_s=0.05 + float(rng.uniform(0, 0.25)))
        assert ended == "SIGKILL"
        first = max(first, max(acknowledged(player.notes)["accepted"], default=0) - 20)
        check(url, player.notes)
    last = max(acknowledged(player.notes)["accepted"], default=0) + 20
    time.sleep(0.4)
    for _ in range(2):  # the second time every request is answered again
        assert player(first=0, last=last, callers=16, finish=True) == "well"
    assert check(url, player.notes, finished=last) == last


def test_killed_at_any_instant(player: Player, store_address: str) -> None:
    kills(player, store_address, times=12, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_at_very_many_instants(programs: list[Program], sqlite_url: str, tmp_path: Path) -> None:
    kills(Player(programs[0], sqlite_url, tmp_path / "notes"), sqlite_url, times=200, seed=2)


def test_two_workers_on_one_store_and_one_is_killed(
    programs: list[Program], store_address: str, tmp_path: Path
) -> None:
    """The same requests at both: each message is there once, and whoever is left finishes."""
    players = [Player(program, store_address, tmp_path / f"notes{n}") for n, program in enumerate(programs)]
    players[0].send(first=0, last=100_000, callers=4, after_s=0.5)
    players[1].send(first=0, last=150, callers=4)
    assert players[0].ended() == "SIGKILL"
    assert players[1].ended() == "well"
    time.sleep(0.4)
    both = tmp_path / "both"

    def together() -> None:
        both.write_text("".join(player.notes.read_text() for player in players if player.notes.exists()))

    together()
    last = 20 + max(acknowledged(both)["accepted"])
    assert players[1](first=0, last=last, finish=True) == "well"
    together()
    check(store_address, both, finished=last)


def copies(player: Player, folder: Path, *, times: int, seed: int) -> int:
    """Row 62 of the fault catalogue: what lies on the disk at any moment, database and log, holds all that was acknowledged before."""
    path, notes = Path(player.url.removeprefix("sqlite:///")), player.notes
    rng = np.random.default_rng(seed)
    seen = 0
    player.send(first=0, last=100_000, after_s=0.5 + 0.05 * times)
    while not notes.exists() or not notes.stat().st_size:
        time.sleep(0.01)
    taken = []
    for number in range(times):
        time.sleep(float(rng.uniform(0, 0.05)))
        copy, known = folder / f"copy{number}.db", folder / f"notes{number}"
        shutil.copy(notes, known)
        # A checkpoint moves pages from the log into the file, so the file is copied first: what it then lacks is still in the log, unless
        # that was begun anew in between. The index beside the log is left behind, as by a power cut.
        for _ in range(20):
            before = _began(path)
            shutil.copy(path, copy)
            shutil.copy(path.with_name(path.name + "-wal"), copy.with_name(copy.name + "-wal"))
            if _began(path) == before:
                taken.append((copy, known))
                break
    assert player.ended() == "SIGKILL"
    for copy, known in taken:
        seen += check(f"sqlite:///{copy}", known)
    assert len(taken) == times
    return seen


def _began(path: Path) -> bytes:
    """The head of the log, whose salt changes whenever it is begun anew."""
    with path.with_name(path.name + "-wal").open("rb") as file:
        return file.read(32)


def test_a_power_cut_at_any_moment(programs: list[Program], sqlite_url: str, tmp_path: Path) -> None:
    assert copies(Player(programs[0], sqlite_url, tmp_path / "notes"), tmp_path, times=8, seed=3) >= 8


def test_a_log_that_ends_anywhere_opens(sqlite_url: str, tmp_path: Path) -> None:
    """A write that was cut in the middle takes away what was not acknowledged, and nothing else."""
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    with open_store(sqlite_url, keys=KEYS) as store:
        sizes = []
        for number in range(6):
            (one,) = taken(store, received(number))
            decided(store, one.message_id, SAID[number % len(SAID)])
            sizes.append(path.with_name("store.db-wal").stat().st_size)
        for cut in range(sizes[0], sizes[-1], 9973):
            copy = tmp_path / "copy.db"
            for stale in tmp_path.glob("copy.db*"):
                stale.unlink()
            shutil.copy(path, copy)
            copy.with_name("copy.db-wal").write_bytes(path.with_name("store.db-wal").read_bytes()[:cut])
            with open_store(f"sqlite:///{copy}", keys=KEYS) as found:
                assert balanced(found)
                whole = sum(size <= cut for size in sizes)
                assert len([s for _, s in rows(found, messages, "id", "state") if s == "decided"]) == whole


def test_a_damaged_file_is_told(sqlite_url: str, tmp_path: Path) -> None:
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    with open_store(sqlite_url, keys=KEYS) as store:
        taken(store, *(received(number) for number in range(200)))
    told = CliRunner().invoke(app, ["db", "check", "--store", sqlite_url])
    assert (told.exit_code, "and whole" in told.stdout) == (0, True)
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(os.urandom(3000))
    told = CliRunner().invoke(app, ["db", "check", "--store", sqlite_url])
    assert told.exit_code == 1
    assert "DAMAGED" in told.stdout or "refused" in told.stderr
