"""Fuzzing under atheris, guided by coverage: each target for two million executions, or as many as `FUZZ_RUNS` says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.fuzz.planted import PLANTED, Planted, executions_until_found
from tests.fuzz.run import TARGETS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
FOUND = ROOT / "build" / "fuzz"
"""Where new inputs, the account of a run and the input of a crash stay."""
RUNS = int(os.environ.get("FUZZ_RUNS", "2000000"))
LONGEST_S = 4 * 3600


def test_the_fuzzer_is_there() -> None:
    assert find_spec("atheris"), "atheris is absent: run `make test-slow`, or pip install -r requirements-slow.lock"
    assert RUNS > 0


@pytest.mark.timeout(0)
@pytest.mark.parametrize("target", sorted(TARGETS))
def test_no_input_breaks_a_law(target: str) -> None:
    found = FOUND / target
    found.mkdir(parents=True, exist_ok=True)
    account = found / "account.txt"
    command = [sys.executable, "-m", "tests.fuzz.run", target, "--runs", str(RUNS), "--found", str(found)]
    with account.open("wb") as out:
        ended = subprocess.run(
            command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT, timeout=LONGEST_S, check=False
        ).returncode
    said = account.read_text(encoding="utf-8", errors="replace")
    assert ended == 0, f"the input is in {found}\n{said[-4000:]}"
    executed = re.search(r"^stat::number_of_executed_units: (\d+)$", said, re.MULTILINE)
    assert executed is not None, said[-4000:]
    assert int(executed[1]) >= RUNS
    covered = re.findall(r" cov: (\d+) ", said)
    assert covered, "the package was not instrumented"
    assert int(covered[-1]) > 20, "the package was not instrumented"


@pytest.mark.timeout(0)
@pytest.mark.parametrize("fault", PLANTED, ids=lambda fault: fault.what)
def test_a_planted_fault_is_found(fault: Planted, tmp_path: Path) -> None:
    assert executions_until_found(fault, tmp_path) is not None
