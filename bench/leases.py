"""How well several worker processes keep one limit together, and how soon a killed one's part is used by the others.

    python -m bench.leases [--seconds 20] [--rate 300] [--workers 4]

The broker is in a process of its own (this one), the workers lease over TCP. One worker is killed half-way.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import time
from asyncio.subprocess import PIPE, Process
from typing import Any

import numpy as np

from crisis_filter.batch.lease import Broker
from crisis_filter.batch.lease_tcp import serve_leases
from crisis_filter.batch.rate_bucket import Limits

_TOKEN = "a token for the bench"  # noqa: S105
Said = list[dict[str, Any]]


def _sent(said: Said, at: float) -> float:
    return float(np.interp(at, [one["at"] for one in said], [one["sent"] for one in said])) if said else 0.0


async def _listen(process: Process, said: Said, begun: asyncio.Event) -> None:
    assert process.stdout is not None
    async for line in process.stdout:
        said.append(json.loads(line))
        begun.set()


async def run(rate: float, workers: int, seconds: float) -> list[str]:
    """Lease for so long; returns lines for people."""
    broker = Broker(Limits(requests_per_minute=60 * rate, share=1.0))
    said: list[Said] = [[] for _ in range(workers)]
    opened = time.monotonic()
    async with serve_leases(broker, _TOKEN) as (host, port):
        command = (sys.executable, "-m", "bench.lease_worker", host, str(port), _TOKEN, str(seconds + 2))
        crew = [await asyncio.create_subprocess_exec(*command, stdout=PIPE) for _ in range(workers)]
        ready = [asyncio.Event() for _ in crew]
        listening = [asyncio.create_task(_listen(*one)) for one in zip(crew, said, ready, strict=True)]
        await asyncio.gather(*(event.wait() for event in ready))
        begun = time.monotonic()
        await asyncio.sleep(seconds / 2)
        crew[0].kill()
        killed = time.monotonic()
        await asyncio.sleep(seconds / 2)
        ended = time.monotonic()
        for process in crew:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        await asyncio.gather(*listening)
    before = [_sent(one, killed) - _sent(one, begun + 1) for one in said]
    after = sum(_sent(one, ended) - _sent(one, killed + 1) for one in said[1:])
    whole = sum(one[-1]["sent"] for one in said)
    last = max(one[-1]["at"] for one in said)
    return [
        f"{workers} workers, limit {rate:.0f}/s: {whole:,} sent in {last - opened:.1f} s since the broker began, "
        f"{whole / (rate * (last - opened)):.1%} of the limit",
        f"before the kill {sum(before) / (killed - begun - 1) / rate:.1%} of the limit, the least worker had "
        f"{min(before) / (sum(before) / workers):.0%} of an equal part, the most {max(before) / (sum(before) / workers):.0%}",
        f"from a second after the kill on the others used {after / (ended - killed - 1) / rate:.1%} of the limit",
    ]


def main() -> None:
    """Run it and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rate", type=float, default=300.0)
    parser.add_argument("--workers", type=int, default=4)
    given = parser.parse_args()
    for line in asyncio.run(run(given.rate, given.workers, given.seconds)):
        print(line)


if __name__ == "__main__":
    main()
