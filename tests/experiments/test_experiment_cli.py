"""The commands as a user types them: a real server, a real process where one is looked at, and what is left when it is killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from crisis_filter.experiments.folder import RESULTS, read_experiment
from crisis_filter.experiments.looks import LOOKS, Looks
from tests.experiments.trying import messages, plan_file, program, serving, typed

LOCKED = {"data": "messages.jsonl", "split": "test"}


def test_run_and_replay(tmp_path: Path) -> None:
    """A run tells its counts and where it lies; the replay, with the server gone and no key, finds the same bytes."""
    messages(tmp_path)
    with serving(tmp_path) as url:
        file = plan_file(tmp_path, url)
        ran = program(tmp_path, "run", file.name, "--junit", "j.xml", "--output", "page.html")
    assert ran.returncode == 0, ran.stderr
    assert "8 messages, 4 of them crises" in ran.stdout
    assert "4 of 4" in ran.stdout
    assert "Labels: not said" in ran.stdout
    (where,) = (tmp_path / "experiments").iterdir()
    assert where.name.startswith("try-")
    assert oct(where.stat().st_mode & 0o777) == "0o700"
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>".upper()) or "<html" in (
        tmp_path / "page.html"
    ).read_text()
    assert "<testsuite" in (tmp_path / "j.xml").read_text()
    again = typed(tmp_path, "replay", str(where), file.name, "-o", "again.jsonl", env={"OPENAI_API_KEY": ""})
    assert again.returncode == 0, again.stderr
    assert "the same to the byte" in again.stdout
    assert (tmp_path / "again.jsonl").read_bytes() == (where / RESULTS).read_bytes()


def test_what_asks_no_server_loads_no_client(tmp_path: Path) -> None:
    """It would take longer to load than all the rest of a run with the embedded engine."""
    messages(tmp_path)
    code = "from crisis_filter.cli.app import app; app(standalone_mode=False); import sys; assert 'openai' not in sys.modules"
    ran = subprocess.run(
        [sys.executable, "-c", code, "experiment", "run", plan_file(tmp_path).name],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "4 of 4" in ran.stdout


def test_a_changed_message_is_not_replayed(tmp_path: Path) -> None:
    """The replay names what is another."""
    file = plan_file(tmp_path)
    messages(tmp_path)
    assert typed(tmp_path, "run", file.name, "-o", "x").returncode == 0
    rows = (tmp_path / "messages.jsonl").read_text().replace("tonight", "today")
    (tmp_path / "messages.jsonl").write_text(rows)
    again = typed(tmp_path, "replay", "x", file.name)
    assert again.returncode == 5
    assert "the data had the hash" in again.stderr


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ('{"id": "a", "text": "secret words"}\n', "crisis"),
        ('{"id": "a", "text": "secret words", "crisis": true}\n', "a crisis has categories"),
        (
            '{"id": "a", "text": "secret words", "crisis": false}\n{"id": "a", "text": "b", "crisis": false}\n',
            "id of a row before",
        ),
        ('{"id": "a", "text": "secret words", "crisis": true, "categories": ["gloom"]}\n', "unknown category"),
        ("", "no messages"),
    ],
)
def test_data_without_usable_labels_is_refused(tmp_path: Path, rows: str, said: str) -> None:
    """With the file and the row, never the text; nothing is begun."""
    (tmp_path / "messages.jsonl").write_text(rows)
    ran = typed(tmp_path, "run", plan_file(tmp_path).name)
    assert ran.returncode == 2
    assert said in ran.stderr
    assert "secret" not in ran.stderr
    assert not (tmp_path / "experiments").exists()


def test_a_locked_split_opens_with_a_reason_that_stays(tmp_path: Path) -> None:
    """Each look is a line; the same experiment again is the same look; a line taken out is noticed."""
    messages(tmp_path)
    file = plan_file(tmp_path, tests=LOCKED)
    refused = typed(tmp_path, "run", file.name)
    assert refused.returncode == 2
    assert "0 times so far" in refused.stderr
    assert "--unlock-test" in refused.stderr
    assert not (tmp_path / LOOKS).exists()
    assert typed(tmp_path, "run", file.name, "--unlock-validation", "no key to this door").returncode == 2
    for _ in range(2):
        assert typed(tmp_path, "run", file.name, "--unlock-test", "final figures").returncode == 0
    assert [look.reason for look in Looks(tmp_path / LOOKS).records] == ["final figures"]
    for threshold, reason in ((0.1, "second thoughts"), (0.2, "third thoughts")):
        other = plan_file(
            tmp_path, tests=LOCKED, providers=[{"id": "local", "label": "l", "config": {"threshold": threshold}}]
        )
        assert "1 time so far" in typed(tmp_path, "run", other.name).stderr or reason == "third thoughts"
        assert typed(tmp_path, "run", other.name, "--unlock-test", reason).returncode == 0
    shown = typed(tmp_path, "looks", LOOKS)
    assert shown.returncode == 0
    assert "second thoughts" in shown.stdout
    lines = (tmp_path / LOOKS).read_text().splitlines(keepends=True)
    (tmp_path / LOOKS).write_text(lines[0] + lines[2])
    assert "line 2 does not follow" in typed(tmp_path, "looks", LOOKS).stderr
    assert typed(tmp_path, "run", other.name, "--unlock-test", reason).returncode == 2


def test_fresh_answers_are_a_look_of_their_own(tmp_path: Path) -> None:
    """The same command without the folder that it filled, or with another one, needs a reason; where it goes on it needs none."""
    messages(tmp_path)
    file = plan_file(tmp_path, tests=LOCKED)
    assert typed(tmp_path, "run", file.name, "-o", "x", "--unlock-test", "first").returncode == 0
    assert typed(tmp_path, "run", file.name, "-o", "x").returncode == 0
    shutil.rmtree(tmp_path / "x")
    again = typed(tmp_path, "run", file.name, "-o", "x")
    assert again.returncode == 2
    assert "1 time so far" in again.stderr
    assert not (tmp_path / "x").exists()
    assert typed(tmp_path, "run", file.name, "-o", "x", "--unlock-test", "second").returncode == 0
    # Nor is one that never reached the ledger the same look.
    (tmp_path / LOOKS).write_text("")
    assert "0 times so far" in typed(tmp_path, "run", file.name, "-o", "x").stderr
    assert (tmp_path / "x" / RESULTS).exists()


def test_a_look_that_cannot_be_entered_leaves_no_folder_and_a_folder_that_cannot_be_no_look(tmp_path: Path) -> None:
    """Neither stands without the other."""
    messages(tmp_path)
    file = plan_file(tmp_path, tests=LOCKED)
    (tmp_path / "damaged.jsonl").write_text("half a line")
    for ledger, status in (("damaged.jsonl", 2), ("nowhere/looks.jsonl", 5)):
        ran = typed(tmp_path, "run", file.name, "-o", "all/x", "--looks", ledger, "--unlock-test", "why")
        assert ran.returncode == status, ran.stderr
        assert not (tmp_path / "all").exists()
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/other.jsonl").write_text("{}\n")
    assert typed(tmp_path, "run", file.name, "-o", "taken", "--unlock-test", "why").returncode == 5
    assert not (tmp_path / LOOKS).exists()


def test_looks_are_shown_as_they_lie_there(tmp_path: Path) -> None:
    """Showing them changes no byte, also where the last line lacks its end."""
    messages(tmp_path)
    assert typed(tmp_path, "run", plan_file(tmp_path, tests=LOCKED).name, "--unlock-test", "why").returncode == 0
    bytes_ = (tmp_path / LOOKS).read_bytes().rstrip(b"\n")
    (tmp_path / LOOKS).write_bytes(bytes_)
    shown = typed(tmp_path, "looks", LOOKS, "--json")
    assert json.loads(shown.stdout)["reason"] == "why"
    assert (tmp_path / LOOKS).read_bytes() == bytes_


def test_a_damaged_folder_beside_it_is_told_of(tmp_path: Path) -> None:
    """And stops nothing."""
    messages(tmp_path)
    file = plan_file(tmp_path)
    assert typed(tmp_path, "run", file.name, "-o", "all/x").returncode == 0
    (tmp_path / "all/x/calls.jsonl").write_text("{}\n")
    ran = typed(tmp_path, "run", file.name, "-o", "all/y")
    assert ran.returncode == 0
    (told,) = (line for line in ran.stderr.splitlines() if "all/x/calls.jsonl" in line)
    assert "line 1 is not a line of this journal; its replies are not taken over" in told


@pytest.mark.parametrize(
    ("each", "moments"), [(8, (0, 8)), pytest.param(16, range(5), marks=pytest.mark.slow)], ids=["twice", "five times"]
)
def test_killed_again_and_again_a_run_ends_with_the_same_bytes(
    tmp_path: Path, each: int, moments: Sequence[int]
) -> None:
    """SIGKILL at several moments: nothing is lost, no reply that came in is asked for again, and the results are those of a run left in peace."""
    messages(tmp_path, each=each)
    with serving(tmp_path, "--latency-ms", "60", "--rate", "trailing_comma=0.2") as url:
        file = plan_file(tmp_path, url, evaluateOptions={"repeat": 2, "maxConcurrency": 3})
        command = [sys.executable, "-m", "crisis_filter", "experiment", "run", file.name, "-o", "x", "--quiet"]
        before: dict[tuple[str, str, int], str] = {}
        for number in moments:
            process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            size, end = _size(tmp_path / "x/calls.jsonl"), time.monotonic() + 20
            while _size(tmp_path / "x/calls.jsonl") == size and time.monotonic() < end:
                time.sleep(0.01)
            time.sleep(0.013 * number)
            process.send_signal(signal.SIGKILL)
            process.wait(timeout=20)
            if (tmp_path / "x/experiment.json").exists():
                found = read_experiment(tmp_path / "x")
                now = {at: cell.model_dump_json() for at, cell in found.cells.items()}
                assert before.items() <= now.items()
                before = now
        assert before
        assert typed(tmp_path, "run", file.name, "-o", "x").returncode == 0
    assert read_experiment(tmp_path / "x").complete
    replayed = typed(tmp_path, "replay", "x", file.name, "--json")
    assert replayed.returncode == 0, replayed.stderr
    assert json.loads(replayed.stdout)["same"] == 4 * each


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def test_two_at_one_folder(tmp_path: Path) -> None:
    """The second is refused while the first is at work, and the first ends well."""
    messages(tmp_path, each=1)
    with serving(tmp_path, "--latency-ms", "1500") as url:
        file = plan_file(tmp_path, url, evaluateOptions={"maxConcurrency": 1})
        command = [sys.executable, "-m", "crisis_filter", "experiment", "run", file.name, "-o", "x", "--quiet"]
        first = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 20
        while not (tmp_path / "x/experiment.json").exists() and time.monotonic() < end:
            time.sleep(0.05)
        second = typed(tmp_path, "run", file.name, "-o", "x")
        assert second.returncode == 5
        assert "another run is at work here" in second.stderr
        assert first.wait(timeout=60) == 0


def test_a_stop_says_what_is_left(tmp_path: Path) -> None:
    """SIGINT: 130, and the same command goes on."""
    messages(tmp_path, each=2)
    with serving(tmp_path, "--latency-ms", "300") as url:
        file = plan_file(tmp_path, url, evaluateOptions={"maxConcurrency": 1})
        command = [sys.executable, "-m", "crisis_filter", "experiment", "run", file.name, "-o", "x"]
        process = subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
        )
        end = time.monotonic() + 60
        while not _size(tmp_path / "x/calls.jsonl") and process.poll() is None and time.monotonic() < end:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        assert process.returncode == 130, err
        assert "run the same command again" in err
        done = typed(tmp_path, "run", file.name, "-o", "x")
    assert done.returncode == 0


def test_an_exhausted_budget_is_status_three(tmp_path: Path) -> None:
    """With what to do."""
    messages(tmp_path)
    with serving(tmp_path) as url:
        file = plan_file(tmp_path, url, budget={"requests": 3})
        ran = typed(tmp_path, "run", file.name, "-o", "x", "--json")
    assert ran.returncode == 3
    assert "stopped at the budget" in ran.stderr
    told = json.loads(ran.stdout)
    assert told["ending"]["over_budget"] is True
    assert told["variants"][0]["spent"]["requests"] <= 3
