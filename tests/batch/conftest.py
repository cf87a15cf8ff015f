"""The server that forks runs, one for all tests of a session."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
Run = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def run() -> Iterator[Run]:
    """Runs in a process of its own: `run(folder, point=("added", 3))`, `after_s=0.1`, `longest=65536`; says how it ended."""
    program = subprocess.Popen(
        [sys.executable, str(Path(__file__).parent / "playing.py")],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert program.stdin is not None
    assert program.stdout is not None

    def run(folder: Path, **order: Any) -> dict[str, Any]:
        program.stdin.write(json.dumps({"folder": str(folder), **order}) + "\n")
        program.stdin.flush()
        return json.loads(program.stdout.readline())

    with program:
        yield run
        program.stdin.close()
