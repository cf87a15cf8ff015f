"""How well the gate of a batch run keeps to an endpoint's limits, against real servers on the loopback.

    python -m bench.rates [--seconds 20] [--only NAME ...]

Each server runs in a process of its own and counts what it lets through. A row says how much of the allowed rate was used, over the
time of the run, and which share of the requests was wasted on a 429. What stands beside the gate is what one gets without it: as many
workers, each waiting by itself after a 429 as the openai client does (0.5 s doubling up to 8 s, jittered, `Retry-After` honoured).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from bench.rate_server import Plan
from crisis_filter.backends.gate import Gate, NoGate
from crisis_filter.batch.rate import RateGate, rate_gate
from crisis_filter.batch.rate_bucket import Limits
from crisis_filter.batch.rate_slots import SlotsPolicy
from crisis_filter.errors import BackendError

_REQUEST = b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 2\r\n\r\n{}"


@dataclass(frozen=True, slots=True)
class Case:
    """One server, and how it is asked."""

    name: str
    plan: Plan
    workers: int = 64
    gate: Callable[[int], Gate] | None = None
    """Makes the gate for so many workers; `None` is each worker for itself."""
    tokens: int = 0
    """Of each request, as estimated."""
    least_s: float = 0.0
    """Runs at least so long."""


@dataclass(slots=True)
class Counted:
    """What the client saw."""

    answered: int = 0
    refused: int = 0
    late: int = 0
    """Answered in the second half of the run."""
    seconds: float = 0.0
    latencies: float = 0.0
    """Sum over the second half."""
    stopped: str | None = None


@contextmanager
def server(plan: Plan) -> Iterator[int]:
    """A server in a process of its own; yields its port."""
    command = [sys.executable, "-m", "bench.rate_server", json.dumps(plan.as_dict())]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(timeout=20)


class Connection:
    """One kept-alive connection."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self) -> tuple[int, float | None, int]:
        """One request; the status, the seconds it asks to wait, and the tokens it used."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(_REQUEST)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii").split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        body = await reader.readexactly(int(fields["content-length"]))
        after = float(fields["retry-after"]) if "retry-after" in fields else None
        return int(head[0].split(" ")[1]), after, int(json.loads(body).get("tokens", 0))

    def close(self) -> None:
        """Close it."""
        if self._streams is not None:
            self._streams[1].close()


async def drive(case: Case, port: int, seconds: float) -> tuple[Counted, Gate]:
    """Ask for so long with all workers."""
    gate: Gate = NoGate() if case.gate is None else case.gate(case.workers)
    counted, begun = Counted(), time.monotonic()
    rng = np.random.default_rng(5)

    async def work() -> None:
        connection, tries = Connection(port), 0
        while time.monotonic() - begun < seconds:
            try:
                await gate.enter(case.tokens)
            except BackendError as error:
                counted.stopped = error.detail
                break
            sent = time.monotonic()
            status, after, tokens = await connection.ask()
            now = time.monotonic()
            gate.leave(
                estimated=case.tokens,
                seconds=now - sent,
                tokens=tokens,
                throttled=status == 429,
                retry_after_s=after,
                failed=False,
            )
            if status != 429:
                tries, counted.answered = 0, counted.answered + 1
                if seconds / 2 < now - begun <= seconds:
                    counted.late, counted.latencies = counted.late + 1, counted.latencies + now - sent
                continue
            counted.refused += 1
            if case.gate is None:
                await asyncio.sleep(
                    after if after is not None else min(8.0, 0.5 * 2**tries) * (1 - 0.25 * rng.random())
                )
                tries += 1
        connection.close()

    await asyncio.gather(*(work() for _ in range(case.workers)))
    counted.seconds = time.monotonic() - begun
    return counted, gate


def gated(limits: Limits, start: int | None = None) -> Callable[[int], Gate]:
    """Makes gates with these limits."""

    def make(workers: int) -> RateGate:
        known = limits.requests_per_minute is not None or limits.tokens_per_minute is not None
        begin = start or (workers if known else None)
        return rate_gate(limits, slots=SlotsPolicy(most=workers, start=begin), rng=np.random.default_rng(3))

    return make


def cases() -> list[Case]:
    """All of them."""
    bucket = Plan(rate=200.0, latency_s=0.2)
    spent = Plan(rate=0.0, latency_s=0.01)
    batching = Plan(places=32, latency_s=0.2)
    return [
        Case("requests, limit known", bucket, gate=gated(Limits(requests_per_minute=12_000))),
        Case("tokens, limit known", Plan(tokens_rate=200_000.0, tokens=1000, latency_s=0.2),
             gate=gated(Limits(tokens_per_minute=12_000_000)), tokens=900),
        Case("requests, limit unknown", bucket, gate=gated(Limits()), least_s=40),
        Case("the same, Retry-After: 1", Plan(rate=200.0, latency_s=0.2, retry_after_s=1), gate=gated(Limits()), least_s=40),
        Case("2% by chance, no limit", Plan(latency_s=0.2, chance=0.02), gate=gated(Limits()), least_s=80),
        Case("2% by chance, limit unknown", Plan(rate=200.0, latency_s=0.2, chance=0.02), gate=gated(Limits()), least_s=80),
        Case("each for itself", bucket),
        Case("each for itself, Retry-After: 1", Plan(rate=200.0, latency_s=0.2, retry_after_s=1)),
        Case("nothing but 429", spent, gate=gated(Limits(requests_per_minute=12_000)), least_s=90),
        Case("nothing but 429, Retry-After: 20", Plan(rate=0.0, latency_s=0.01, retry_after_s=20),
             gate=gated(Limits()), least_s=90),
        Case("no 429, queue grows", batching, workers=512, gate=gated(Limits()), least_s=40),
        Case("the same, all 512 at once", batching, workers=512, least_s=40),
    ]  # fmt: skip


def row(case: Case, counted: Counted, seconds: float) -> str:
    """One line of the table."""
    asked = counted.answered + counted.refused
    wasted = f"{counted.refused:6,} of {asked:6,} wasted ({counted.refused / max(asked, 1):6.2%})"
    if counted.stopped is not None:
        return f"{case.name:34} stopped after {counted.seconds:5.1f} s: {counted.stopped}; {wasted}"
    half = max(seconds, case.least_s) / 2
    best = min(case.plan.best(), case.workers / case.plan.latency_s)
    used = f"{counted.answered / counted.seconds / best:6.1%} of {best:5.0f}/s, {counted.late / half / best:6.1%} in the second half"
    latency = counted.latencies / max(counted.late, 1)
    return f"{case.name:34} {used}; {wasted}; {latency:6.3f} s a request"


def overhead() -> tuple[float, float]:
    """CPU microseconds of an `enter` and a `leave` that nothing limits: without limits, and with wide ones."""

    async def spin(limits: Limits) -> float:
        gate, times = rate_gate(limits, slots=SlotsPolicy(512, 512), rng=np.random.default_rng(1)), []
        for _ in range(5):
            begun = time.process_time()
            for _ in range(20_000):
                await gate.enter(1000)
                gate.leave(estimated=1000, seconds=0.1, tokens=990, throttled=False, retry_after_s=None, failed=False)
            times.append((time.process_time() - begun) / 20_000 * 1e6)
        return min(times)

    return asyncio.run(spin(Limits())), asyncio.run(spin(Limits(1e9, 1e12)))


def main() -> None:
    """Run the cases and print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--only", nargs="*", help="names of cases; all when not given")
    given = parser.parse_args()
    without, wide = overhead()
    print(f"enter and leave where nothing limits: {without:.1f} us CPU without limits, {wide:.1f} us with wide ones")
    for case in cases():
        if given.only and case.name not in given.only:
            continue
        with server(case.plan) as port:
            counted, _ = asyncio.run(drive(case, port, max(given.seconds, case.least_s)))
        print(row(case, counted, given.seconds), flush=True)


if __name__ == "__main__":
    main()
