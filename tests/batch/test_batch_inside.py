"""The commands of batch and experiment once more in this process, with the engine: what they say, end to end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from crisis_filter.cli.app import app
from tests.experiments.trying import messages, plan_file


def say(*arguments: str) -> tuple[int, str]:
    """Exit status and standard output."""
    ran = CliRunner().invoke(app, list(arguments))
    return ran.exit_code, ran.stdout


def test_a_batch_from_run_to_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Judged, counted, told, and opened again."""
    messages(tmp_path)
    monkeypatch.chdir(tmp_path)
    run = ("batch", "run", "messages.jsonl", "-o", "out.jsonl", "--workers", "1", "-q")
    status, out = say(*run)
    assert (status, "8 messages" in out) == (0, True)
    assert say(*run, "--json")[0] == 0
    assert say("batch", "resume", "out.jsonl", "-q", "--verify")[0] == 0
    assert "finished: 8 of 8" in say("batch", "status", "out.jsonl")[1]
    assert json.loads(say("batch", "status", "out.jsonl", "--json")[1])["decided"] == 8
    status, out = say("batch", "ledger", "out.jsonl")
    assert (status, "DOES NOT HOLD" in out) == (0, False)
    (tmp_path / "out.jsonl.journal").unlink()
    assert say("batch", "recover", "out.jsonl")[0] == 0
    assert say("batch", "run", "messages.jsonl", "-o", "again.jsonl", "--reuse-verdicts", "-q")[0] == 0
    assert say("batch", "cost", "messages.jsonl", "--sample", "2")[0] == 0


def test_an_experiment_from_run_to_replay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked, shown, replayed; a look at a locked split is in the ledger."""
    messages(tmp_path)
    monkeypatch.chdir(tmp_path)
    file = plan_file(tmp_path, tests={"data": "messages.jsonl", "split": "test"}, evaluateOptions={"repeat": 2})
    assert say("experiment", "run", file.name, "-o", "x", "-q")[0] == 2
    status, out = say("experiment", "run", file.name, "-o", "x", "-q", "--unlock-test", "why", "--output", "p.html")
    assert (status, "8 messages" in out) == (0, True)
    assert json.loads(say("experiment", "run", file.name, "-o", "x", "-q", "--json")[1])["complete"] is True
    assert say("experiment", "replay", "x", file.name)[0] == 0
    assert "why" in say("experiment", "looks", ".")[1]
