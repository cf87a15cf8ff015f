"""The recipe of docs/ray.md on this machine: two workers, one broker, a fake model, and a ledger of what went in and came out.

    python -m bench.ray_recipe [--messages 4000] [--slots 64] [--rate 300] [--burst 3] [--faults] [--kill]

`--rate` is what the account allows in a second: the broker leases it to the workers, and the server says 429 beyond it. `--faults` lets 1% of
requests fail and as many connections break. `--kill` ends one worker half-way; Ray starts it again. Exit status 1 when a row is missing, doubled
or judged for another.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.peers.fake_model import FakeModel, fake_model
from bench.ray_cluster import local_ray, rows, workers_of
from crisis_filter.batch.arrow import BlockSpec
from crisis_filter.batch.lease_thread import broker_beside
from crisis_filter.batch.rate_bucket import Limits
from crisis_filter.batch.ray import judge_dataset
from crisis_filter.pipeline.description import FilterSpec

_FILES = 8
_WORKERS = 2


def ledger(given: Any, found: Any) -> tuple[list[str], bool]:
    """What went in beside what came out, in lines for people, and whether all of it agrees.

    Args:
        given: table of `ray_cluster.rows`.
        found: table of verdicts that kept the column `number`.
    """
    outcomes = Counter(found["outcome"].to_pylist())
    undetermined = Counter(
        fault
        for fault, outcome in zip(found["fault"].to_pylist(), found["outcome"].to_pylist(), strict=True)
        if outcome == "undetermined"
    )
    wanted = dict(
        zip(
            given["number"].to_pylist(),
            zip(given["id"].to_pylist(), given["text"].to_pylist(), strict=True),
            strict=True,
        )
    )
    strangers = unheard = 0
    for number, row_id, outcome in zip(*(found[name].to_pylist() for name in ("number", "id", "outcome")), strict=True):
        known, text = wanted.get(number, (None, None))
        strangers += known is not None and known != row_id
        unheard += text is not None and "#crisis" in text and outcome == "no_crisis"
    equations = [
        ("rows in = rows out", given.num_rows, found.num_rows),
        ("rows in = different rows out", given.num_rows, len(set(found["number"].to_pylist()))),
        ("rows out = crisis + undetermined + not crisis", found.num_rows, outcomes.total()),
        ("undetermined = all its faults", outcomes["undetermined"], undetermined.total()),
        ("rows with another's id = 0", strangers, 0),
        ("crises that came back as none = 0", unheard, 0),
    ]
    lines = [
        f"  {'holds' if left == right else 'DOES NOT HOLD':5}  {words}: {left:,} and {right:,}"
        for words, left, right in equations
    ]
    lines.append("  " + ", ".join(f"{outcome} {count:,}" for outcome, count in sorted(outcomes.items())))
    if undetermined:
        lines.append(
            "  undetermined: " + ", ".join(f"{fault} {count:,}" for fault, count in sorted(undetermined.items()))
        )
    return lines, all(left == right for _, left, right in equations)


def _kill_one(server: FakeModel, after: int, killed: list[int]) -> None:
    """End one worker at once when the server has answered so many."""
    for _ in range(1200):
        if server.stats()["answered"] >= after and (found := workers_of(os.getpid())):
            os.kill(found[0], signal.SIGKILL)
            killed.append(found[0])
            return
        time.sleep(0.1)


def recipe(ray: Any, server: FakeModel, folder: Path, arguments: argparse.Namespace) -> Any:
    """Judge the files of `folder/in` into `folder/out`; returns the table that came out."""
    import pyarrow.dataset as pa_dataset

    limits = Limits(requests_per_minute=60 * arguments.rate)
    with broker_beside(limits) as broker:
        judging = FilterSpec(backend="openai:fake-1", base_url=server.base_url, api_key="none", fallbacks=())
        spec = BlockSpec(judging=judging, slots=arguments.slots, broker=broker, keep=("number",))
        given = ray.data.read_parquet(str(folder / "in"))
        judged = judge_dataset(given, spec, workers=_WORKERS, num_cpus=0.5)
        judged.write_parquet(str(folder / "out"))
    return pa_dataset.dataset(folder / "out", format="parquet").to_table()


def main() -> None:
    """Run it and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=4000)
    parser.add_argument("--slots", type=int, default=64, help="messages in work at once, in each worker")
    parser.add_argument("--rate", type=float, default=300.0, help="requests a second")
    parser.add_argument("--burst", type=float, default=3.0, help="seconds' worth that the server lets through at once")
    parser.add_argument("--latency", type=float, default=200.0, help="milliseconds")
    parser.add_argument("--faults", action="store_true")
    parser.add_argument("--kill", action="store_true")
    arguments = parser.parse_args()
    import pyarrow.parquet as pq

    settings: dict[str, Any] = {
        "latency": arguments.latency,
        "rate": arguments.rate,
        "burst": arguments.burst * arguments.rate,
    }
    if arguments.faults:
        settings |= {"p5xx": 0.01, "preset": 0.01}
    given = rows(0, arguments.messages, broken=True)
    with tempfile.TemporaryDirectory() as name, fake_model(**settings) as server:
        folder = Path(name)
        (folder / "in").mkdir()
        size = -(-given.num_rows // _FILES)
        for number in range(_FILES):
            pq.write_table(given.slice(number * size, size), folder / "in" / f"{number}.parquet")
        killed: list[int] = []
        if arguments.kill:
            threading.Thread(target=_kill_one, args=(server, arguments.messages // 2, killed), daemon=True).start()
        began = time.monotonic()
        with local_ray() as ray:
            found = recipe(ray, server, folder, arguments)
        took, seen = time.monotonic() - began, server.stats()
    lines, balanced = ledger(given, found)
    print(
        f"{_WORKERS} workers, {arguments.slots} slots each, {arguments.rate:g} requests a second allowed, ray {version('ray')}"
    )
    print("\n".join(lines))
    print(
        f"  the server had {seen['requests']:,} requests: {seen['answered']:,} answered, {seen['throttled']:,} refused with 429, "
        f"{seen['failed']:,} failed, {seen['reset']:,} broken off"
    )
    print(f"  {took:.0f} s in all, Ray's start included" + (f"; {len(killed)} worker killed" if arguments.kill else ""))
    if arguments.kill and not killed:
        print("  no worker could be killed")
    sys.exit(0 if balanced and bool(killed) == arguments.kill else 1)


if __name__ == "__main__":
    main()
