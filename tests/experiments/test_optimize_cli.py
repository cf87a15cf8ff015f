"""`crisis-filter experiment optimize`: statuses, what is shown, and that no message is."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from crisis_filter.cli.experiment_optimize import experiment_optimize
from crisis_filter.cli.usage import Commands
from tests.experiments.searching import HELPS, IDIOMS, MASKED, ORDINARY, PLAIN, REASON, ROOT, plan_file, serving

app = typer.Typer(cls=Commands, pretty_exceptions_enable=False)
app.command("optimize")(experiment_optimize)


@app.callback()
def experiment() -> None:
    """A group of its own, so that the command has a name here."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("served")) as url:
        yield url


@pytest.fixture
def file(tmp_path: Path, served: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COLUMNS", "160")
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "CRISIS_FILTER_API_KEY", "CRISIS_FILTER_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return plan_file(tmp_path, served)


def run(file: Path, *more: str, calls: int = 150) -> Result:
    usual = ["--training", "training.jsonl", "--minibatch", "4", "--max-calls", str(calls)]
    return CliRunner().invoke(app, ["optimize", str(file), *usual, *more])


def test_it_shows_counts_and_what_to_do_next(file: Path) -> None:
    """And no word of a message, an answer or a proposal; the same command again asks nobody."""
    result = run(file)
    assert result.exit_code == 0, result.output
    assert (
        "seed        crises found 6 of 6 (missed 0, undetermined 0); others cleared 3 of 6 (alarms 3, undetermined 0)"
        in result.stdout
    )
    assert "others cleared 6 of 6" in result.stdout
    assert "labelled by the author of this test" in result.stdout
    assert "Development is exploration" in result.stdout
    assert "declared in the file" in result.stdout
    assert "openai:m proposes and judges" in result.stderr
    assert (
        "chosen by 6 crises and 6 others of development; learned from 12 messages, which openai:m is shown"
        in result.stderr
    )
    folder = next(path for path in (file.parent / "experiments").iterdir())
    assert folder.name.startswith("try-optimize-")
    assert (folder / "best.md").exists()
    assert not any(text in result.output for text in (*PLAIN, *MASKED, *IDIOMS, *ORDINARY, REASON, HELPS))
    again = run(file)
    assert (again.exit_code, again.stdout) == (0, result.stdout)
    assert "made again from what was written down, nobody was asked" in again.stderr


def test_as_json_it_is_the_result_in_the_folder(file: Path) -> None:
    """One object on a line."""
    result = run(file, "--json", "-o", "here")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == json.loads((file.parent / "here/result.json").read_text(encoding="utf-8"))


def test_no_better_prompt_is_an_end_like_another(file: Path) -> None:
    """Status 0, and the seed stays."""
    result = run(file, "-o", "here", calls=32)
    assert (result.exit_code, "no better prompt found: the seed stays" in result.stdout) == (0, True)
    assert "no further round fits into --max-calls" in result.stdout


def test_what_is_not_done_has_a_status_of_its_own(file: Path) -> None:
    """With what to do about it."""
    text = file.read_text(encoding="utf-8")
    file.write_text(text + "budget: {requests: 20}\n", encoding="utf-8")
    stopped = run(file, "-o", "here")
    assert (stopped.exit_code, "not done: the plan's budget is spent" in stopped.stderr) == (3, True)
    file.write_text(text, encoding="utf-8")
    assert run(file, "-o", "here").exit_code == 0


def test_a_service_that_fails_has_it_too(file: Path) -> None:
    """Nobody listens at that address."""
    file.write_text(file.read_text(encoding="utf-8").replace("127.0.0.1", "127.0.0.1:9/"), encoding="utf-8")
    result = run(file, "-o", "here")
    assert (result.exit_code, "a model gave no reply ten times in a row" in result.stderr) == (3, True)


@pytest.mark.parametrize(
    ("more", "status", "said"),
    [
        (["--training", "absent.jsonl"], 2, "absent.jsonl: cannot be read"),
        (
            ["--training", str(ROOT / "data/simulated-v1") + ":validation"],
            2,
            "optimize sees training and development only",
        ),
        (["--training", "development.jsonl"], 2, "keep them apart"),
        (["--max-calls", "10"], 2, "are too few"),
        (["--prompt", "other"], 2, "--prompt: name the one to begin with: terse-v2"),
        (["--provider", "other"], 2, "--provider: name who judges"),
        (["--reflection-price", "cheap"], 2, "--reflection-price: needs two prices"),
        (["--reflection", "local"], 5, "--reflection: proposals are written by a language model"),
        (["--reflection", "openai:m colour=red"], 5, "--reflection: colour"),
        (["--reflection", "nobody"], 5, "unknown backend"),
        (["--reflection", "openai:m"], 5, "needs a key"),
        (["--reflection", "openai:m api_key_env=NOT_THERE"], 5, "NOT_THERE"),
    ],
)
def test_what_cannot_be_is_said(file: Path, more: list[str], status: int, said: str) -> None:
    """In a line, with its status."""
    result = run(file, "-o", "here", *more)
    assert (result.exit_code, result.stdout) == (status, "")
    assert said in result.stderr


def test_without_the_extra_it_says_what_to_install(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is read."""
    for name in [name for name in sys.modules if name.split(".")[0] == "gepa"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "gepa", None)
    result = run(file)
    assert (result.exit_code, "pip install 'crisis-filter[optimize]'" in result.stderr) == (5, True)


def test_a_signal_stops_it_in_good_order(file: Path, tmp_path: Path) -> None:
    """Status 130, a word and no traceback; the same command goes on."""
    calls = tmp_path / "here/calls.jsonl"
    command = [
        sys.executable,
        "-m",
        "crisis_filter",
        "experiment",
        "optimize",
        str(file),
        "--training",
        "training.jsonl",
        "--minibatch",
        "4",
        "--max-calls",
        "150",
        "-o",
        "here",
    ]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    end = time.monotonic() + 60
    while (not calls.exists() or calls.read_bytes().count(b"\n") < 4) and time.monotonic() < end:
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, b"")
    assert err.decode().splitlines()[-1] == "stopped"
    assert b"Traceback" not in err
    assert run(file, "-o", "here").exit_code == 0
