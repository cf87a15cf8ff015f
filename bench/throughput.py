"""What a message costs: a whole batch of ours, and what other clients spend on the same Stage 1 request alone.

    python -m bench.throughput [--rounds 3] [--messages 12000] [--slots 64] [--json FILE]     costs, in turns
    python -m bench.throughput --busy [--rounds 3] [--messages 15000]                         512 slots at 200 ms, on one core
    python -m bench.throughput --engine [--rounds 3] [--messages 3000]                        the embedded engine, in process and as a batch

The server is `fake_llm.c`, compiled where it is needed, on one core; the client is a fresh process on another. In each round every client takes its
turn, and medians are told: other work on a machine moves every figure, so trust the ratios. Counted is the processor time of the client's process,
user and system together, from the moment at which everything is imported and opened. Prompt, messages and answer model are the same for all, every
answer is validated, and every nonce compared. `batch` is more than the others do: it reads the messages from a file, judges each in all its
views, looks for attacks and for other languages, routes it, and writes verdicts that survive a kill; what the text costs is told apart, measured
on the same messages alone. `wrk` (Debian's package) sends one fixed body and reads nothing: it is what the server can give.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.peers.fake_model import FakeModel, fake_model
from bench.throughput_clients import CLIENTS, body_for_wrk

SHARE = {"openai": 6, "instructor tools": 12, "instructor json": 12, "langchain": 12}
"""Slow clients get so many times fewer messages; fewer measure them as well."""
PACKAGES = ("crisis-filter", "openai", "httpx2", "instructor", "langchain-openai", "aiohttp", "pydantic")


def cores() -> tuple[int | None, int | None]:
    """One for the server and one for the client, where there are two and processes can be bound to them."""
    if not hasattr(os, "sched_getaffinity"):
        return None, None
    there = sorted(os.sched_getaffinity(0))
    return (there[0], there[1]) if len(there) > 1 else (None, None)


def client(name: str, url: str, messages: int, slots: int, core: int | None) -> dict[str, float]:
    """One client in a fresh process; what it prints."""
    command = [sys.executable, "-m", "bench.throughput_clients", name, url, str(messages), str(slots)]
    bound = [] if core is None else ["taskset", "-c", str(core)] if shutil.which("taskset") else []
    ran = subprocess.run([*bound, *command], capture_output=True, text=True, check=False, timeout=600)
    if ran.returncode:
        raise SystemExit(f"{name} ended with status {ran.returncode}:\n{ran.stderr[-2000:]}")
    return dict(json.loads(ran.stdout.splitlines()[-1]))


def wrk(server: FakeModel, core: int | None) -> float | None:
    """Requests a second of one fixed body, for three seconds; `None` where there is no wrk."""
    if shutil.which("wrk") is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        body, script = Path(folder) / "body", Path(folder) / "post.lua"
        body.write_bytes(body_for_wrk())
        script.write_text(
            f'wrk.method = "POST"\nwrk.headers["content-type"] = "application/json"\n'
            f'local f = io.open("{body}", "rb")\nwrk.body = f:read("*a")\nf:close()\n'
        )
        command = ["wrk", "-t1", "-c64", "-d3s", "-s", str(script), f"{server.base_url}/chat/completions"]
        bound = [] if core is None or not shutil.which("taskset") else ["taskset", "-c", str(core)]
        ran = subprocess.run([*bound, *command], capture_output=True, text=True, check=True, timeout=60)
    return float(next(line.split()[1] for line in ran.stdout.splitlines() if line.startswith("Requests/sec")))


def costs(given: argparse.Namespace) -> dict[str, Any]:
    """Every client in turns; medians."""
    server_core, client_core = cores()
    rows: defaultdict[str, list[dict[str, float]]] = defaultdict(list)
    limit: list[float] = []
    with fake_model(core=server_core) as server:
        for _ in range(given.rounds):
            for name in CLIENTS:
                count = max(given.messages // SHARE.get(name, 1), 2 * given.slots)
                rows[name].append(client(name, server.base_url, count, given.slots, client_core))
            rate = wrk(server, client_core)
            limit += [rate] if rate is not None else []
    return {
        "rounds": given.rounds,
        "messages": given.messages,
        "slots": given.slots,
        "wrk_per_s": statistics.median(limit) if limit else None,
        **{name: _medians(found) for name, found in rows.items()},
    }


def _medians(found: list[dict[str, float]]) -> dict[str, float]:
    return {key: statistics.median(row[key] for row in found) for key in found[0]}


def print_costs(found: dict[str, Any]) -> None:
    """A table, and the goals."""
    batch, lane = found["batch"], found["fast lane"]
    print(f"{found['messages']} messages, {found['slots']} at a time, {found['rounds']} rounds in turns, medians")
    print(f"  {'':17} ms a message  of the fast lane  a second")
    for name in CLIENTS:
        row = found[name]
        print(f"  {name:17} {row['cpu_ms']:12.3f}  {row['cpu_ms'] / lane['cpu_ms']:16.1f}  {row['per_s']:8.0f}")
    limit = found["wrk_per_s"]
    print(f"  {'wrk (the limit)':17} {'':12}  {'':16}  " + ("not installed" if limit is None else f"{limit:8.0f}"))
    print(
        f"  of a batch message: views {batch['views_ms']:.3f}, attacks and languages {batch['checks_ms']:.3f}, routing {batch['triage_ms']:.3f} ms;"
    )
    left = batch["cpu_ms"] - batch["views_ms"] - batch["checks_ms"] - batch["triage_ms"]
    print(f"  Stage 1 request to durable verdict, those apart: {left:.3f} ms")
    for name in ("openai", "instructor tools", "instructor json", "langchain"):
        cost = found[name]["cpu_ms"]
        print(
            f"    {name:17} spends {cost / left:5.1f} times as much, {cost / batch['cpu_ms']:4.1f} times the whole batch, on the request alone"
        )


def busy(given: argparse.Namespace) -> dict[str, Any]:
    """512 slots at 200 ms: how many of the 2,560 messages a second that no client could pass are judged, and the lane alone."""
    server_core, client_core = cores()
    rows: defaultdict[str, list[float]] = defaultdict(list)
    with fake_model(core=server_core, latency=200) as server:
        for _ in range(given.rounds):
            for name in ("fast lane", "batch"):
                rows[name].append(client(name, server.base_url, given.messages, 512, client_core)["per_s"])
    return {name: statistics.median(found) for name, found in rows.items()}


def engine(given: argparse.Namespace) -> dict[str, Any]:
    """The embedded engine in process, and as a batch with one process and with one for each core."""
    rows: defaultdict[str, list[float]] = defaultdict(list)
    count = os.cpu_count() or 1
    names = ("engine in process", "engine batch 1", f"engine batch {count}")
    for _ in range(given.rounds):
        for name in names:
            rows[name].append(client(name, "", given.messages, 2, None)["per_s"])
    return {name: statistics.median(found) for name, found in rows.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--messages", type=int, default=None)
    parser.add_argument("--slots", type=int, default=64)
    parser.add_argument("--busy", action="store_true")
    parser.add_argument("--engine", action="store_true")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    given.messages = given.messages or (15_000 if given.busy else 3_000 if given.engine else 12_000)
    if given.busy:
        found = busy(given)
        for name, rate in found.items():
            print(f"  {name:10} {rate:7.0f} a second, {100 * rate / 2560:.1f}% of 2,560 (512 slots at 200 ms)")
    elif given.engine:
        found = engine(given)
        alone = found["engine in process"]
        for name, rate in found.items():
            print(f"  {name:18} {rate:6.0f} messages a second, {100 * rate / alone:5.1f}% of in process")
    else:
        found = costs(given)
        print_costs(found)
    print(f"  Python {platform.python_version()}, " + ", ".join(f"{name} {version(name)}" for name in PACKAGES))
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
