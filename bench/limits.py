"""What the chain promises in time: an open breaker's cost, how soon recovery is seen, how late an assessment can be.

    python -m bench.limits [--messages 2000]

Endpoints are fault servers on the loopback, in a process of their own. The machine is noisy: the first figure is a difference within
one run, the second and third are upper bounds of what was seen.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import numpy as np

from crisis_filter.backends.base import Request
from crisis_filter.backends.chain import Chain
from crisis_filter.backends.registry import open_backend
from crisis_filter.backends.spec import parse_backend
from crisis_filter.drill.messages import load_messages
from crisis_filter.errors import BackendError
from crisis_filter.pipeline.spec import FilterSpec, open_filter
from crisis_filter.schema import Message
from crisis_filter.taxonomy.answers import ScreenTerse

HANGING = ("hang", "hang_body", "drip")


@contextmanager
def server(*options: str) -> Iterator[str]:
    """A fault server in a process of its own; yields its base URL."""
    command = [sys.executable, "-m", "crisis_filter", "faults", "serve", "--port", "0", "--json", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["base_url"]
    finally:
        process.terminate()
        process.wait(timeout=20)


def plan(url: str, given: dict[str, object]) -> None:
    """Give a server another plan."""
    request = urllib.request.Request(  # the loopback
        f"{url.removesuffix('/v1')}/_faults", json.dumps(given).encode(), {"content-type": "application/json"}
    )
    urllib.request.urlopen(request, timeout=5).read()


def asking() -> Request[ScreenTerse]:
    """A small request."""
    system = 'Answer {"nonce": "...", "crisis": false}'
    user = 'Nonce: abc123. Message between fences.\n"hello"'
    return Request(system=system, user=user, answer=ScreenTerse, nonce="abc123", deadline_s=5.0, purpose="screen")


@asynccontextmanager
async def chained(*urls: str) -> AsyncIterator[Chain]:
    """A chain over these addresses."""
    links = [open_backend(parse_backend("openai:drill", base_url=url)) for url in urls]
    chain = Chain(links, rng=np.random.default_rng(0))
    try:
        yield chain
    finally:
        await chain.aclose()


async def one(chain: Chain) -> tuple[float, bool]:
    """Milliseconds of a call, and whether the first link answered."""
    started = time.perf_counter()
    try:
        reply = await chain.complete(asking())
        first = not reply.degraded
    except BackendError:
        first = False
    return (time.perf_counter() - started) * 1000, first


async def breaker_cost(up: str, down: str, calls: int) -> None:
    """The second link behind an open breaker against the same link alone, in turn."""
    plan(down, {"always": "http_503"})
    async with chained(down, up) as behind, chained(up) as alone:
        for _ in range(20):
            await one(behind)
            await one(alone)
        behind.breakers[0].policy = type(behind.breakers[0].policy)(open_s=1e9)
        pairs = [((await one(behind))[0], (await one(alone))[0]) for _ in range(calls)]
    times = np.array(pairs)
    added = times[:, 0] - times[:, 1]
    low, high = np.percentile(np.random.default_rng(0).choice(added, (2000, calls)).mean(axis=1), [2.5, 97.5])
    print(
        f"breaker open: n={calls} pairs, alone median {np.median(times[:, 1]):.2f} ms, behind {np.median(times[:, 0]):.2f} ms"
    )
    print(f"  added by the open breaker: mean {added.mean():.3f} ms (95 % bootstrap {low:.3f} to {high:.3f})")


async def recovery(up: str, down: str, rounds: int) -> None:
    """From the moment an endpoint is well to the first answer of its own."""
    seen: list[float] = []
    async with chained(down, up) as chain:
        for _ in range(rounds):
            plan(down, {"always": "http_503"})
            while chain.breakers[0].state == "closed":
                await one(chain)
            await asyncio.sleep(float(np.random.default_rng(len(seen)).uniform(0, 2)))
            plan(down, {"always": "none"})
            well = time.perf_counter()
            while not (await one(chain))[1]:  # noqa: ASYNC110  # asking is the point
                await asyncio.sleep(0.01)
            seen.append(time.perf_counter() - well)
    print(f"recovery: n={rounds}, seen after {np.median(seen):.2f} s (median), {max(seen):.2f} s (longest)")


async def lateness(urls: list[str], deadline_s: float, count: int, concurrency: int, *, engine: bool) -> None:
    """How long after its deadline an assessment comes, when every endpoint hangs."""
    crises = load_messages().crises
    texts = [crises[n % len(crises)].text for n in range(count)]
    links = tuple(parse_backend("openai:drill", base_url=url, api_key="x") for url in urls[1:])
    fallbacks = (*links, "local") if engine else links
    spec = FilterSpec(backend="openai:drill", base_url=urls[0], api_key="x", fallbacks=fallbacks, deadline_s=deadline_s)
    crisis_filter = open_filter(spec)
    await crisis_filter.assess(Message(id="warm", text="hello"))
    late, outcomes = [], dict.fromkeys(("crisis", "undetermined", "no_crisis"), 0)
    gate = asyncio.Semaphore(concurrency)

    async def timed(text: str) -> None:
        async with gate:
            started = time.perf_counter()
            assessment = await crisis_filter.assess(Message(id="m", text=text))
            late.append((time.perf_counter() - started - deadline_s) * 1000)
            outcomes[assessment.outcome] += 1

    for number, name in enumerate(HANGING):
        for url in urls:
            plan(url, {"always": name})
        await asyncio.gather(*(timed(text) for text in texts[number :: len(HANGING)]))
    await crisis_filter.aclose()
    p50, p99, p999 = np.percentile(late, [50, 99, 99.9])
    print(
        f"deadline {deadline_s} s, {'with' if engine else 'without'} the engine, {concurrency} at once: n={count}, "
        f"outcomes {outcomes}; after the deadline p50 {p50:.0f} ms, p99 {p99:.0f}, p99.9 {p999:.0f}, longest {max(late):.0f}"
    )


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--concurrency", type=int, default=16)
    given = parser.parse_args()
    with server() as up, server() as down:
        asyncio.run(breaker_cost(up, down, 1000))
        asyncio.run(recovery(up, down, 10))
        for engine in (False, True):
            asyncio.run(lateness([down, up], 1.0, given.messages, given.concurrency, engine=engine))


if __name__ == "__main__":
    main()
