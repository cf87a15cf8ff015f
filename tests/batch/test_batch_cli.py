"""A batch as a user types it: through a real server, killed, resumed, counted; both lanes, the engine, nonsense.

What is killed, stopped by a signal or starts workers is the program itself; every other command runs in this process, which has imported everything already.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from crisis_filter.cli.app import app
from tests.experiments.trying import messages, serving

PROGRAM = [sys.executable, "-m", "crisis_filter", "batch"]
HEAD = 1000
"""Bytes, more than a journal begins with before anything is judged."""


@dataclass(frozen=True)
class Ended:
    """What a command said until its end."""

    out: str
    err: str


def batch(folder: Path, *arguments: str, status: int = 0) -> Ended:
    """Run a command of `batch` in this process; whatever it ends with but a status is raised."""
    with contextlib.chdir(folder):
        ran = CliRunner().invoke(app, ["batch", *arguments])
    if ran.exception is not None and not isinstance(ran.exception, SystemExit):
        raise ran.exception
    assert ran.exit_code == status, (ran.stdout, ran.stderr)
    return Ended(ran.stdout, ran.stderr)


def program(folder: Path, *arguments: str, status: int = 0) -> Ended:
    """The same as a process of its own."""
    ran = subprocess.run([*PROGRAM, *arguments], cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == status, (ran.stdout, ran.stderr)
    return Ended(ran.stdout, ran.stderr)


def asked(url: str, *more: str) -> list[str]:
    """The words of a run at a server, nobody behind it."""
    return [
        "run",
        "messages.jsonl",
        "-o",
        "out.jsonl",
        "--backend",
        "openai:m",
        "--base-url",
        url,
        "--fallback",
        "none",
        "-q",
        *more,
    ]


def judged(folder: Path, name: str = "out.jsonl") -> dict[str, str]:
    """Outcomes by id; no id twice, and in the order of the input."""
    rows = [json.loads(line) for line in (folder / name).read_text().splitlines()]
    ids = [row["id"] for row in rows]
    wanted = [json.loads(line)["id"] for line in (folder / "messages.jsonl").read_text().splitlines()]
    assert ids == wanted
    return {row["id"]: row["outcome"] for row in rows}


def right(outcomes: dict[str, str]) -> bool:
    """Whether all are as the server knows them."""
    return all(outcome == ("crisis" if name.startswith("c") else "no_crisis") for name, outcome in outcomes.items())


@pytest.mark.parametrize("lane", ["auto", "ordinary"])
def test_a_run_through_a_server_with_faults(tmp_path: Path, lane: str) -> None:
    """Every message is judged as it should be in either lane, and the ledger is balanced."""
    messages(tmp_path, each=30)
    with serving(tmp_path, "--rate", "http_500=0.05", "--rate", "trailing_comma=0.05") as url:
        batch(tmp_path, *asked(url, "--lane", lane))
    assert right(judged(tmp_path))
    counted = json.loads(batch(tmp_path, "ledger", "out.jsonl", "--json").out)
    assert (counted["received"], counted["decided"], counted["pending"]) == (60, 60, 0)
    assert "finished: 60 of 60" in batch(tmp_path, "status", "out.jsonl").out


@pytest.mark.parametrize(("kills", "each"), [(2, 40), pytest.param(4, 120, marks=pytest.mark.slow)])
def test_killed_again_and_again_nothing_is_lost_or_doubled(tmp_path: Path, kills: int, each: int) -> None:
    """SIGKILL while it works, from the beginning and going on; then one word goes on, and every verdict is at its message."""
    messages(tmp_path, each=each)
    with serving(tmp_path, "--latency-ms", "40", "--rate", "http_500=0.02") as url:
        for number in range(kills):
            process = subprocess.Popen(
                [*PROGRAM, *asked(url, "--slots", "6")],
                cwd=tmp_path,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            _grown(tmp_path / "out.jsonl.journal")
            time.sleep(0.05 * number)
            process.send_signal(signal.SIGKILL)
            process.wait(timeout=20)
            assert not (tmp_path / "out.jsonl").exists()
        before = json.loads(batch(tmp_path, "ledger", "out.jsonl", "--json").out)
        assert before["decided"] > 0
        assert before["pending"] > 0
        assert "not finished" in program(tmp_path, "status", "out.jsonl", status=3).out
        told = json.loads(batch(tmp_path, "resume", "out.jsonl", "-q", "--json").out)
        assert told["before"] == before["decided"]
    assert right(judged(tmp_path))
    batch(tmp_path, "ledger", "out.jsonl")


def _grown(path: Path, by: int = 500) -> None:
    """Wait until verdicts have come into a journal."""
    size, end = max(HEAD, path.stat().st_size if path.exists() else 0), time.monotonic() + 20
    while not path.exists() or path.stat().st_size <= size + by:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_signal_drains_and_says_how_to_go_on(tmp_path: Path) -> None:
    """SIGTERM: 143, nothing half written, and resume ends it."""
    messages(tmp_path, each=12)
    with serving(tmp_path, "--latency-ms", "100") as url:
        process = subprocess.Popen(
            [*PROGRAM, *asked(url, "--slots", "2")],
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        _grown(tmp_path / "out.jsonl.journal")
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)
        assert process.returncode == 143
        assert "batch resume out.jsonl" in err
        batch(tmp_path, "resume", "out.jsonl", "-q")
    assert right(judged(tmp_path))


def test_an_outage_is_not_an_end_and_is_judged_again(tmp_path: Path) -> None:
    """With the server gone rows are undetermined, named and counted; when it is back, the same command settles them all."""
    messages(tmp_path, each=10)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
    batch(tmp_path, *asked(f"http://127.0.0.1:{port}/v1"), status=3)
    assert Counter(judged(tmp_path).values()) == {"undetermined": 20}
    errors = [json.loads(line) for line in (tmp_path / "out.jsonl.errors.jsonl").read_text().splitlines()]
    assert len(errors) == 20
    assert not any("tonight" in json.dumps(row) for row in errors)
    with serving(tmp_path, "--port", port):
        batch(tmp_path, "resume", "out.jsonl", "-q")
    assert right(judged(tmp_path))
    assert (tmp_path / "out.jsonl.errors.jsonl").read_text() == ""
    batch(tmp_path, "ledger", "out.jsonl")


def test_a_service_that_stays_down_stops_a_long_run(tmp_path: Path) -> None:
    """After so many failures in a row what is left stays pending; it is not called undetermined by the thousand."""
    messages(tmp_path, each=400)
    # With more time most of it, half a minute, would pass between the two requests of each message.
    ran = batch(tmp_path, *asked("http://127.0.0.1:9/v1", "--timeout", "0.2"), status=3)
    assert "one after the other" in ran.out
    counted = json.loads(batch(tmp_path, "ledger", "out.jsonl", "--json").out)
    assert counted["pending"] > 200
    assert not (tmp_path / "out.jsonl").exists()


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server without faults that knows up to 40 messages of each kind."""
    folder = tmp_path_factory.mktemp("sound")
    messages(folder, each=40)
    with serving(folder) as url:
        yield url


def test_a_budget_stops_and_a_larger_one_goes_on(tmp_path: Path, sound: str) -> None:
    """No more requests than allowed are sent; without the bound the rest follows."""
    messages(tmp_path, each=20)
    ran = batch(tmp_path, *asked(sound, "--most-requests", "15", "--json"), status=3)
    told = json.loads(ran.out)
    assert told["finished"] is False
    assert 0 < told["requests"] <= 15
    batch(tmp_path, *asked(sound))
    assert right(judged(tmp_path))


def test_the_engine_with_two_processes_says_what_one_says(tmp_path: Path) -> None:
    """Workers share the rows, and what they say is the same and in the same order; in CSV too."""
    messages(tmp_path, each=40)
    batch(tmp_path, "run", "messages.jsonl", "-o", "one.jsonl", "--workers", "1", "-q")
    batch(tmp_path, "run", "messages.jsonl", "-o", "out.csv", "--workers", "2", "-q")
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        assert [(row["id"], row["outcome"]) for row in csv.DictReader(file)] == list(
            judged(tmp_path, "one.jsonl").items()
        )
    batch(tmp_path, "ledger", "out.csv")


def test_a_worker_that_dies_is_replaced(tmp_path: Path) -> None:
    """The process of a worker killed in the middle: the run ends well, nothing lost, and says what one process says."""
    messages(tmp_path, each=80)
    process = subprocess.Popen(
        [*PROGRAM, "run", "messages.jsonl", "-o", "out.jsonl", "--workers", "2", "-q"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
    )
    _grown(tmp_path / "out.jsonl.journal", 10_000)
    children = [
        path.parent.name
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if b"spawn_main" in path.read_bytes() and f"\nPPid:\t{process.pid}\n" in (path.parent / "status").read_text()
    ]
    assert children
    os.kill(int(children[0]), signal.SIGKILL)
    assert process.wait(timeout=120) == 0
    assert len(judged(tmp_path)) == 160
    batch(tmp_path, "ledger", "out.jsonl")
    batch(tmp_path, "run", "messages.jsonl", "-o", "one.jsonl", "--workers", "1", "-q")
    assert judged(tmp_path) == judged(tmp_path, "one.jsonl")


def test_what_was_changed_is_refused_with_both_hashes(tmp_path: Path, sound: str) -> None:
    """Another input, another policy: 2 and 5, and the journal stays."""
    messages(tmp_path, each=40)
    batch(tmp_path, *asked(sound, "--most-requests", "10"), status=3)
    changed = batch(tmp_path, *asked(sound, "--policy", "default-v2"), status=5)
    assert len(set(re.findall(r"[0-9a-f]{64}", changed.err))) == 2
    rows = (tmp_path / "messages.jsonl").read_text()
    (tmp_path / "messages.jsonl").write_text(rows + rows.splitlines()[0].replace("c0", "c9999") + "\n")
    refused = batch(tmp_path, *asked(sound), status=2)
    assert len(set(re.findall(r"[0-9a-f]{64}", refused.err))) == 2
    (tmp_path / "messages.jsonl").write_text(rows)
    batch(tmp_path, *asked(sound))
    assert right(judged(tmp_path))


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["run", "none.jsonl", "-o", "o.jsonl"], 2, "no such file"),
        (["run", "messages.jsonl", "messages.jsonl", "-o", "o.jsonl"], 2, "named twice"),
        (["run", "messages.jsonl", "-o", "messages.jsonl"], 2, "is an input too"),
        (["run", "messages.jsonl", "-o", "o.txt"], 2, "cannot tell the format"),
        (["run", "messages.jsonl", "-o", "nowhere/o.jsonl"], 2, "no such folder"),
        (["run", ".", "-o", "o.jsonl"], 2, "is a folder"),
        (["run", "messages.jsonl", "-o", "o.jsonl", "--backend", "scripted:x"], 5, "does not take scripted"),
        (
            [
                "run",
                "messages.jsonl",
                "-o",
                "o.jsonl",
                "--backend",
                "openai:m",
                "--base-url",
                "http://127.0.0.1:9/v1",
                "--workers",
                "2",
            ],
            5,
            "one process keeps",
        ),
        (
            [
                "run",
                "messages.jsonl",
                "-o",
                "o.jsonl",
                "--backend",
                "openai:m",
                "--base-url",
                "http://127.0.0.1:9/v1",
                "--most-money",
                "1",
            ],
            5,
            "needs prices",
        ),
        (["resume", "o.jsonl"], 2, "no run to go on with"),
        (["status", "o.jsonl"], 2, "there is no run"),
        (["ledger", "o.jsonl"], 2, "no run to go on with"),
    ],
)
def test_nonsense_is_refused_kindly(tmp_path: Path, arguments: list[str], status: int, said: str) -> None:
    """One line, what to do, nothing left behind."""
    messages(tmp_path)
    ran = batch(tmp_path, *arguments, status=status)
    assert said in ran.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["messages.jsonl"]
