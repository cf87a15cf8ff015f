"""What the service carries: messages over HTTP, stored before and after they are judged, from wrk's connections to the answers.

    python -m bench.service                    400 a second were wanted of two cores behind a model that takes 20 ms, for ten minutes
    python -m bench.service --seconds 600
    python -m bench.service --engine           the embedded engine through HTTP, beside itself in process
    python -m bench.service --overhead         one message at a time behind a model that answers at once: what the service adds
    python -m bench.service --postgres         the same load on PostgreSQL, with keys, a server of its own as the tests start one

Needs wrk and a C compiler. Everything runs on this machine: the load, the model and the service share its cores.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import secrets
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.peers.fake_model import fake_model
from crisis_filter.datasets.reading import load
from crisis_filter.store.api_keys import create, draw
from crisis_filter.store.key_files import make_keys
from crisis_filter.store.keyring import Keyring
from crisis_filter.store.opening import open_store
from crisis_filter.store.records import SCOPES, Actor

ROOT = Path(__file__).parent.parent
SCRIPT = Path(__file__).with_name("service.lua")


@contextmanager
def served(store: str, *options: str, keys: Path | None = None) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """`crisis-filter serve` in a process of its own: its port and the process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "crisis_filter", "serve", "--store", store, "--port", str(port), *options]
    if keys is not None:
        command += ["--keys", str(keys)]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        _wait(port, process)
        yield port, process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        if process.poll() is not None:
            raise SystemExit("the service ended before it began")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/livez", timeout=1):
                return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the service did not begin")


def key_of(store: str, keys: Keyring | None = None) -> str:
    """A key that may do everything."""
    made = draw()
    by = Actor(id="bench", tenant="bench", scopes=frozenset(SCOPES))
    with open_store(store, keys=keys) as opened:
        opened.write(
            lambda connection: create(
                connection, by, made, tenant="bench", name="bench", scopes=SCOPES, now_ms=opened.clock()
            )
        )
    return made.presented


def ask(port: int, key: str, path: str, body: object = None) -> Any:
    """One request."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, headers)
    with urllib.request.urlopen(request, timeout=120) as response:
        return json.load(response)


def processor_s(process: subprocess.Popen[bytes]) -> float:
    """Seconds of processor time that a process and its children have used."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    ticks = 0
    for pid in (str(process.pid), *children):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def loaded(port: int, key: str, texts: Path, *, connections: int, seconds: int) -> dict[str, float]:
    """What wrk saw: messages a second, milliseconds, answers that were none."""
    wrk = shutil.which("wrk")
    if wrk is None:
        raise SystemExit("the bench needs wrk")
    command = [wrk, "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "--latency", "-s", str(SCRIPT)]
    environment = {**os.environ, "KEY": key, "TEXTS": str(texts)}
    said = subprocess.run(
        [*command, f"http://127.0.0.1:{port}/v1/classify"], env=environment, capture_output=True, text=True, check=True
    ).stdout
    found = re.search(r"RESULT (.*)", said)
    if found is None:
        raise SystemExit(said)
    return {name: float(value) for name, value in json.loads(found[1]).items()}


def show(name: str, seen: dict[str, float], used_s: float) -> None:
    """A line."""
    n = seen["requests"]
    print(
        f"  {name:22} {n / seen['seconds']:7.0f} a second, p50 {seen['p50']:6.1f} p95 {seen['p95']:6.1f} p99 {seen['p99']:6.1f} "
        f"max {seen['max']:7.1f} ms, {int(seen['errors'])} errors of {int(n):,}, {1000 * used_s / max(n, 1):.2f} ms of processor time each"
    )


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--delay-ms", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--engine", action="store_true")
    parser.add_argument("--overhead", action="store_true")
    parser.add_argument("--postgres", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        texts = Path(folder, "texts.txt")
        rows = [row.text.replace("\n", " ") for row in load(ROOT / "data/simulated-v1", "development")]
        # One in fifty is a crisis, as the model's server sees it.
        marked = [f"{text} #crisis" if n % 50 == 0 else text for n, text in enumerate(rows)]
        texts.write_text("\n".join(json.dumps(text) for text in marked))
        store = f"sqlite:///{folder}/service.db"
        if given.engine:
            engine(store, texts, rows, given.seconds)
        elif given.overhead:
            overhead(store, texts, given.seconds)
        elif given.postgres:
            with postgres() as url:
                behind_a_model(url, texts, given, keys=Path(folder, "keys.toml"))
        else:
            behind_a_model(store, texts, given)


@contextmanager
def postgres() -> Iterator[str]:
    """An empty store on a server of its own."""
    from tests.store.postgres import with_tables

    with with_tables("bench") as server:
        yield server.address("bench")


def behind_a_model(store: str, texts: Path, given: argparse.Namespace, *, keys: Path | None = None) -> None:
    """Load behind a model that takes its time, and the ledger afterwards."""
    key = key_of(store, None if keys is None else make_keys(keys, entropy=secrets.token_bytes))
    with fake_model(latency=given.delay_ms) as model:
        judging = ("--backend", "openai:fake-1", "--base-url", model.base_url, "--fallback", "none")
        with served(store, *judging, "--workers", str(given.workers), keys=keys) as (port, process):
            loaded(port, key, texts, connections=16, seconds=5)
            before, asked = processor_s(process), model.stats()
            seen = loaded(port, key, texts, connections=given.connections, seconds=given.seconds)
            show(f"{given.workers} workers, {given.delay_ms} ms", seen, processor_s(process) - before)
            print(f"  the model was asked {model.stats()['requests'] - asked['requests']:,} times")
            ledger = ask(port, key, "/v1/ledger")
            counts = {one["words"]: (one["left"], one["right"]) for one in ledger["equations"]}
            print(
                f"  ledger: {len(counts)} equations, balanced: {ledger['balanced']}; received = {counts['received = decided + pending']}"
            )
            print(
                f"  {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024:.0f} MB at most in any process that ended"
            )


def overhead(store: str, texts: Path, seconds: int) -> None:
    """One message at a time behind a model that answers at once: on the disk, and where a commit costs nothing."""
    memory = Path("/dev/shm")  # noqa: S108  # a file system in memory, where there is one
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        for name, place in (("with its commits", store), ("commits in memory", f"sqlite:///{folder}/service.db")):
            key = key_of(place)
            with fake_model(latency=0) as model:
                judging = ("--backend", "openai:fake-1", "--base-url", model.base_url, "--fallback", "none")
                with served(place, *judging) as (port, process):
                    loaded(port, key, texts, connections=1, seconds=5)
                    before = processor_s(process)
                    seen = loaded(port, key, texts, connections=1, seconds=seconds)
                    show(name, seen, processor_s(process) - before)


def engine(store: str, texts: Path, rows: list[str], seconds: int) -> None:
    """The embedded engine in process and through HTTP, in turns."""
    from crisis_filter import FilterSpec, open_filter

    key = key_of(store)
    through: list[float] = []
    inside: list[float] = []
    with open_filter(FilterSpec()) as crisis_filter, served(store) as (port, process):
        crisis_filter.classify(rows[0])
        loaded(port, key, texts, connections=4, seconds=3)
        for _ in range(3):
            begun, done = time.perf_counter(), 0
            while time.perf_counter() - begun < seconds:
                from crisis_filter.schema import Message

                batch = [Message(id=str(done + n), text=rows[(done + n) % len(rows)]) for n in range(32)]
                done += len(crisis_filter.classify_many(batch))
            inside.append(done / (time.perf_counter() - begun))
            before = processor_s(process)
            seen = loaded(port, key, texts, connections=8, seconds=seconds)
            through.append(seen["requests"] / seen["seconds"])
            show("engine through HTTP", seen, processor_s(process) - before)
    share = statistics.median(through) / statistics.median(inside)
    print(
        f"  in process {statistics.median(inside):.1f} a second, through HTTP {statistics.median(through):.1f}: {share:.0%} (medians of 3)"
    )


if __name__ == "__main__":
    main()
