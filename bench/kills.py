"""A batch killed again and again: is anything lost, doubled, or at the wrong message?

    python -m bench.kills [--kills 100] [--messages 6000] [--slots 16] [--seed 0]

Messages of development with their labels, each several times under an id of its own, are judged by a server of our own that knows the labels, answers after 20 ms and
fails 2% of requests with 429, 1% with 500 and 1% with a reset. The run is killed (SIGKILL) at random moments, those of its start and end among them, and started again, until
it has been killed so often; then it is left in peace. A message's verdict must be what the server knows of it, every id must stand once and in its place, and the ledger must
be balanced, after the last kill and at the end.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import mkdtemp

import numpy as np

from crisis_filter.datasets.reading import load

SET = Path(__file__).parent.parent / "data/simulated-v1"
_EARLY = 0.2
_MOST_BYTES = 120_000
RATES = ("http_429_milliseconds=0.02", "http_500=0.01", "reset=0.01")


def main() -> None:
    """Kill, resume, count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--messages", type=int, default=6000)
    parser.add_argument("--slots", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    folder = Path(mkdtemp(prefix="kills-"))
    try:
        truth = _messages(folder, given.messages)
        server, url = _server(folder)
        try:
            run = [
                sys.executable,
                "-m",
                "crisis_filter",
                "batch",
                "run",
                "in.jsonl",
                "-o",
                "out.jsonl",
                "-q",
                "--backend",
                "openai:m",
            ]
            run += ["--base-url", url, "--fallback", "none", "--slots", str(given.slots)]
            killed, done = _kill(run, folder, given.kills, np.random.default_rng(given.seed))
            print(f"killed {killed} times; rows judged after the last: {done:,} of {len(truth):,}")
            print("ledger after the last kill:", _ledger(folder))
            began = time.monotonic()
            ended = subprocess.run(run, cwd=folder, capture_output=True, text=True, check=False)
            print(f"left in peace: exit {ended.returncode} after {time.monotonic() - began:.0f} s")
        finally:
            server.terminate()
            server.wait(timeout=30)
        _count(folder, truth)
        print("ledger at the end:", _ledger(folder))
    finally:
        shutil.rmtree(folder)


def _messages(folder: Path, wanted: int) -> dict[str, bool]:
    rows = load(SET, "development")
    truth: dict[str, bool] = {}
    lines = []
    for number in range(wanted):
        row = rows[number % len(rows)]
        name = f"{number}-{row.id}"
        truth[name] = row.crisis
        lines.append(json.dumps({"id": name, "text": row.text, "crisis": row.crisis}))
    (folder / "in.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return truth


def _server(folder: Path) -> tuple[subprocess.Popen[str], str]:
    command = [sys.executable, "-m", "crisis_filter", "faults", "serve", "--messages", "in.jsonl", "--latency-ms", "20"]
    for rate in RATES:
        command += ["--rate", rate]
    server = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert server.stdout is not None
    for _ in range(20):
        if found := re.search(r"http://127\.0\.0\.1:\d+/v1", server.stdout.readline()):
            return server, found[0]
    raise SystemExit("the server did not start")


def _kill(run: list[str], folder: Path, kills: int, rng: np.random.Generator) -> tuple[int, int]:
    killed = 0
    while killed < kills:
        process = subprocess.Popen(run, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # One in five while it starts; the others when a random part of a second's work has come in.
        wanted = 0 if rng.random() < _EARLY else int(rng.uniform(1, _MOST_BYTES))
        if _grown(process, folder / "out.jsonl.journal", wanted, float(rng.uniform(0.2, 2.0))):
            process.send_signal(signal.SIGKILL)
            process.wait(timeout=30)
            killed += 1
        else:
            # It got to its end: its output is taken away, and the next start makes it again.
            (folder / "out.jsonl").unlink(missing_ok=True)
    status = subprocess.run(
        [sys.executable, "-m", "crisis_filter", "batch", "status", "out.jsonl", "--json"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return killed, json.loads(status.stdout)["decided"]


def _grown(process: subprocess.Popen[bytes], journal: Path, by: int, early_s: float) -> bool:
    """Wait until a file has grown, or for a moment where it need not; whether the process is still there."""
    before = journal.stat().st_size if journal.exists() else 0
    end = time.monotonic() + (60.0 if by else early_s)
    while time.monotonic() < end and process.poll() is None:
        if by and journal.exists() and journal.stat().st_size >= before + by:
            break
        time.sleep(0.005)
    return process.poll() is None


def _ledger(folder: Path) -> str:
    ran = subprocess.run(
        [sys.executable, "-m", "crisis_filter", "batch", "ledger", "out.jsonl", "--json"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    found = json.loads(ran.stdout)
    held = [each["left"] == each["right"] for each in found["equations"]]
    return f"{sum(held)} of {len(held)} equations hold; received {found['received']:,}, decided {found['decided']:,}, pending {found['pending']:,}"


def _count(folder: Path, truth: dict[str, bool]) -> None:
    rows = [json.loads(line) for line in (folder / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    seen = Counter(row["id"] for row in rows)
    wrong = sum(row["outcome"] != "undetermined" and (row["outcome"] == "crisis") != truth[row["id"]] for row in rows)
    undetermined = sum(row["outcome"] == "undetermined" for row in rows)
    print(
        f"lost {len(truth.keys() - seen.keys())}, doubled {sum(n - 1 for n in seen.values())}, at the wrong message {wrong}, undetermined {undetermined}"
    )
    print(f"in the order of the input: {[row['id'] for row in rows] == list(truth)}")


if __name__ == "__main__":
    main()
