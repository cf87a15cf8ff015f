"""A detector with prepared answers behind the real pipeline, and the real program."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from crisis_filter.cli.app import app

CATEGORIES = (
    "abuse",
    "neglect",
    "eating_disorder",
    "psychosis",
    "self_harm",
    "suicide",
    "substance_misuse",
    "violence",
)
ABSENT = {
    "rationale": "",
    "quotes": [],
    "present": False,
    "severity": None,
    "subject": None,
    "timeframe": None,
}
PRESENT = {
    "rationale": "The writer says so.",
    "quotes": ["give up"],
    "present": True,
    "severity": "severe",
    "subject": "self",
    "timeframe": "current",
}


def screen(*, crisis: bool) -> dict[str, object]:
    """An answer of Stage 1."""
    return {
        "reasoning": "Said plainly.",
        "quotes": ["give up"] if crisis else [],
        "subject": "self",
        "timeframe": "current",
        "crisis": crisis,
        "confidence": 0.9 if crisis else 0.1,
    }


@pytest.fixture
def script(tmp_path: Path) -> str:
    """Backend that finds a crisis in `give up`, times out at `slow`, refuses `refused`, and clears the rest."""
    entries: list[dict[str, object]] = [
        {"purpose": "categorise", "answer": {c: PRESENT if c == "suicide" else ABSENT for c in CATEGORIES}},
        {"when": "slow", "error": "timeout"},
        {"when": "refused", "finish": "refused", "fault": "refusal_field"},
        {"when": "give up", "answer": screen(crisis=True)},
        {"answer": screen(crisis=False)},
    ]
    path = tmp_path / "script.jsonl"
    path.write_text("".join(json.dumps(e) + "\n" for e in entries), encoding="utf-8")
    return f"scripted:{path}"


class Ran:
    """What a run of a command left behind."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status = status
        self.out = out
        self.err = err

    @property
    def records(self) -> list[dict[str, object]]:
        """The JSON Lines of the standard output."""
        return [json.loads(line) for line in self.out.splitlines()]


Run = Callable[..., Ran]


@pytest.fixture
def run(script: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in this process with the scripted backend, 160 columns wide."""
    monkeypatch.setenv("COLUMNS", "160")

    def go(*arguments: str, stdin: bytes | None = None, backend: bool = True) -> Ran:
        more = ("--backend", script) if backend else ()
        result = CliRunner().invoke(app, [*arguments, *more], input=stdin)
        return Ran(result.exit_code, result.stdout, result.stderr)

    return go


def program(*arguments: str, env: dict[str, str] | None = None) -> Sequence[str]:
    """The command line of the program as a process of its own."""
    return [sys.executable, "-m", "crisis_filter", *arguments]


@pytest.fixture
def start(script: str) -> Callable[..., subprocess.Popen[bytes]]:
    """Starts the program as a process of its own with the scripted backend."""

    def go(*arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # our own program
            program(*arguments, "--backend", script),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "COLUMNS": "120"},
        )

    return go
