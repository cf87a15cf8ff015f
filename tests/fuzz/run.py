"""Run one fuzz target under atheris (libFuzzer): `python -m tests.fuzz.run answers --runs 2000000 --seconds 900`.

Prints libFuzzer's own account, and the executions and resident memory at intervals. New inputs and a crash, if any, go to
the folder `--found`; the seeds in the repository are only read.
"""

from __future__ import annotations

import argparse
import atexit
import importlib
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
TARGETS = {"answers": 512, "texts": 64, "waits": 120}
"""Each target with its longest input, in bytes."""
SETTLED = 100_000
"""Executions after which caches are full, so that memory should be flat."""
INTERVAL = 50_000
MOST_GROWTH_MB = 64
SLOWEST_S = 5
_PAGE = resource.getpagesize()


def say(words: str) -> None:
    """One line among libFuzzer's."""
    print(f"fuzz: {words}", flush=True)  # noqa: T201 - a fuzzing run is a command line


def resident_mb() -> float:
    """Memory of this process now, in MiB."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE / 2**20


class Watched:
    """A target that counts its executions and fails when memory keeps growing.

    Raises:
        AssertionError: more than `MOST_GROWTH_MB` above what was in use once caches were full.
    """

    def __init__(self, target: Callable[[bytes], None]) -> None:
        self._target = target
        self._count = 0
        self._settled = 0.0
        self._started = time.monotonic()

    def __call__(self, data: bytes) -> None:
        self._target(data)
        self._count += 1
        if self._count % INTERVAL:
            return
        now = resident_mb()
        if self._count == SETTLED:
            self._settled = now
        say(f"{self._count} executions, {time.monotonic() - self._started:.0f} s, {now:.0f} MiB")
        grown = now - self._settled
        assert self._count < SETTLED or grown <= MOST_GROWTH_MB, f"memory grew by {grown:.0f} MiB"


def main() -> None:
    """Read the arguments and fuzz; libFuzzer ends the process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("--runs", type=int, default=2_000_000)
    parser.add_argument("--seconds", type=int, default=0, help="stop after this long; 0 never")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--found", type=Path, required=True, help="folder for new inputs and a crash")
    given = parser.parse_args()
    try:
        import atheris
    except ModuleNotFoundError:
        parser.error("atheris is not installed: make test-slow installs it, from requirements-slow.lock")
    with atheris.instrument_imports(include=["crisis_filter"]):
        module = importlib.import_module(f"tests.fuzz.{given.target}")
    given.found.mkdir(parents=True, exist_ok=True)
    (given.found / "new").mkdir(exist_ok=True)
    options = {
        "runs": given.runs,
        "max_total_time": given.seconds,
        "seed": given.seed,
        "max_len": TARGETS[given.target],
        "timeout": SLOWEST_S,
        "rss_limit_mb": 2048,
        "artifact_prefix": f"{given.found}/",
        "keep_seed": 1,
        "print_final_stats": 1,
    }
    arguments = [sys.argv[0], *(f"-{name}={value}" for name, value in options.items())]
    # The fuzzer's alarm outlives Python's handler of it, and would end the process before the input of a crash is written.
    atexit.register(signal.setitimer, signal.ITIMER_REAL, 0)
    say(f"{given.target} begins at {resident_mb():.0f} MiB")
    atheris.Setup([*arguments, str(given.found / "new"), str(CORPUS / given.target)], Watched(module.one))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
