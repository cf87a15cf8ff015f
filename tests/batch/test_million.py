"""A million rows: memory stays where it was, and a finished run is opened again at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.slow
def test_a_million_rows(tmp_path: Path) -> None:
    """At most 64 MB over the start, the reader's memory of ids included; two seconds of one core to open it again."""
    done = subprocess.run(
        [sys.executable, str(Path(__file__).parent / "million.py"), str(tmp_path), "1000000"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=True,
        timeout=1200,
    )
    told = json.loads(done.stdout)
    assert told["finished"]
    assert told["balanced"]
    assert (
        max(told[step]["peak_mb_over_start"] for step in ("judged", "made", "opened again, inputs hashed", "ledger"))
        <= 64
    )
    assert told["opened again, inputs hashed"]["cpu_s"] <= 2
