"""Tens of thousands of requests made from the service's own description, good ones and bad ones: does it ever fail, or answer what it does not document?

    python -m bench.schemathesis_run                   at least 50,000 cases, all checks
    python -m bench.schemathesis_run --cases 2000

The service runs as it is started by hand, behind a model that answers at once. Needs schemathesis and a C compiler.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.peers.fake_model import fake_model
from bench.service import ask, key_of, served

HOOKS = Path(__file__).with_name("schemathesis_hooks.py")
CONFIG = f"""
hooks = {json.dumps(str(HOOKS))}
[checks]
positive_data_acceptance.expected-statuses = ["2xx", "401", "403", "404", "409", "413", "429"]
[output.sanitization]
enabled = true
"""
"""No 5xx passes for good data, which it would by default."""


@dataclass(frozen=True)
class Fuzzed:
    """What came of a run."""

    cases: int
    failures: int
    seconds: float
    ended: int
    said: str


def fuzzed(url: str, key: str, examples: int, *options: str, seed: int = 1, ids: Sequence[str] = ()) -> Fuzzed:
    """Run schemathesis against a service.

    Args:
        url: of the service.
        key: that may do everything.
        examples: at most, for each operation and phase.
        options: for schemathesis.
        seed: what its cases come from.
        ids: `ITEM:MESSAGE` pairs that are there.
    """
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "schemathesis.toml").write_text(CONFIG)
        command = [
            sys.executable,
            "-m",
            "schemathesis.cli",
            "run",
            f"{url}/openapi.json",
            "--checks",
            "all",
            "--no-color",
        ]
        command += ["-H", f"Authorization: Bearer {key}", "-n", str(examples), "--seed", str(seed), "--no-shrink"]
        command += [
            "--continue-on-failure",
            "--suppress-health-check",
            "all",
            "--generation-database",
            "none",
            *options,
        ]
        environment = {**os.environ, "REAL_IDS": ",".join(ids), "PYTHONWARNINGS": "ignore"}
        begun = time.monotonic()
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        said = done.stdout + done.stderr
    found = re.search(r"([\d,]+) generated(?:, ([\d,]+) found)?", said)
    cases, failures = (found[1] or "0", found[2] or "0") if found else ("0", "0")
    return Fuzzed(
        int(cases.replace(",", "")), int(failures.replace(",", "")), time.monotonic() - begun, done.returncode, said
    )


def responses(url: str) -> dict[str, int]:
    """Responses by class of status, from the service's own figures."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=60) as response:
        lines = response.read().decode().splitlines()
    found: dict[str, int] = {}
    for line in lines:
        part = re.fullmatch(r'crisis_filter_responses_total\{status="(\dxx)",surface="(\w+)"\} ([\d.e+]+)', line)
        if part is not None and part[2] != "health":
            found[part[1]] = found.get(part[1], 0) + int(float(part[3]))
    return found


def main() -> None:
    """Run until there are enough."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cases", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--examples", type=int, default=400, help="of each operation and phase, at most")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, fake_model(latency=0) as model:
        store = f"sqlite:///{folder}/service.db"
        key = key_of(store)
        judging = (
            "--backend",
            "openai:fake-1",
            "--base-url",
            model.base_url,
            "--fallback",
            "none",
            "--second-readings",
            "0.5",
        )
        with served(store, *judging) as (port, _):
            url = f"http://127.0.0.1:{port}"
            well, done, said = True, 0, ""
            for seed in itertools.count(given.seed):
                found = fuzzed(url, key, given.examples, "-w", str(given.workers), seed=seed, ids=_real(port, key))
                said, done, well = found.said, done + found.cases, found.ended == 0 and found.cases > 0
                told = f"{found.cases:,} cases in {found.seconds:.0f} s, {found.failures} failures, exit {found.ended}"
                print(f"  seed {seed}: {told}; {done:,} in all", flush=True)
                if not well or done >= given.cases:
                    break
            if not well:
                print(said[-20_000:])
            counts = responses(url)
            balanced = ask(port, key, "/v1/ledger")["balanced"]
            print(f"  {done:,} cases; responses by status, health apart: {counts}; the ledger is balanced: {balanced}")
    sys.exit(0 if well and not counts.get("5xx") else 1)


def _real(port: int, key: str) -> list[str]:
    """Items that are there."""
    texts = [{"text": f"#crisis number {number}"} for number in range(100)]
    ask(port, key, "/v1/classify", {"messages": texts})
    item = ask(port, key, "/v1/queue/next", {})["item"]
    return [f"{item['id']}:{item['message_id']}"] if item is not None and item["message_id"] else []


if __name__ == "__main__":
    main()
