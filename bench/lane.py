"""What a Stage 1 request costs: the ordinary lane, the fast lane and bare aiohttp, against a server that costs almost nothing.

    python -m bench.lane [--prompt screen/terse-v2] [--slots 64] [--requests 6400] [--rounds 5] [--logprobs] [--latency 0] [--profile] [--json]

A request is taken from `Request` to a validated `Reply`. Counted is the processor time of the client's process alone, user and system together;
the server runs in another one. The lanes take turns in one run and the median of the rounds is told, since other work on a machine moves every
figure: trust the ratios. `aiohttp` sends bodies made beforehand and reads the answers with `json` and pydantic, the least that anyone writes by hand.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import json
import os
import pstats
import statistics
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Any

import aiohttp
import numpy as np

from bench.peers.fake_model import FakeModel, fake_model
from crisis_filter.backends.base import Request
from crisis_filter.backends.dialect import prepare
from crisis_filter.backends.openai import OpenAIBackend
from crisis_filter.backends.spec import parse_backend
from crisis_filter.backends.wire.client import WireBackend
from crisis_filter.prompting.prompt import load_prompt
from crisis_filter.prompting.render import Rendered, fresh_nonce, render
from crisis_filter.stages.screen import build_request
from crisis_filter.taxonomy.answers import Answer
from crisis_filter.taxonomy.load import load_taxonomy

MESSAGES = (
    "the pharmacy has no record of my refill, could somebody call them before friday please",
    "i keep waking up at four and lying there until the alarm, is that something to worry about",
    "she has not eaten with us for two weeks and says it is only stress from the exams",
)
# The ordinary lane is slower by a factor; fewer requests measure it as well.
_FEWER = 12

Ask = Callable[[Request[Answer]], Awaitable[object]]


def requests(rendered: Rendered, count: int) -> list[Request[Answer]]:
    """So many requests of Stage 1, each with a nonce of its own."""
    return [build_request(rendered, f"{MESSAGES[i % 3]} ({i})", 30.0, fresh_nonce) for i in range(count)]


async def through(ask: Ask, asked: list[Request[Answer]], slots: int) -> tuple[float, float]:
    """Every request once, so many at a time: milliseconds of processor time for one, and requests a second."""
    waiting = iter(asked)

    async def work() -> None:
        for request in waiting:
            await ask(request)

    wall, spent = time.perf_counter(), time.process_time()
    await asyncio.gather(*(work() for _ in range(slots)))
    return (time.process_time() - spent) * 1e3 / len(asked), len(asked) / (time.perf_counter() - wall)


def answering(backend: OpenAIBackend) -> Ask:
    """A backend's answers, every one of them looked for."""

    async def ask(request: Request[Answer]) -> None:
        reply = await backend.complete(request)
        if reply.answer is None:
            raise SystemExit(f"no answer: {reply.fault}")

    return ask


def bare(session: aiohttp.ClientSession, url: str, bodies: dict[str, bytes]) -> Ask:
    """The request as somebody would send it by hand."""

    async def ask(request: Request[Answer]) -> None:
        async with session.post(url, data=bodies[request.nonce]) as response:
            whole = json.loads(await response.read())
        answer = request.answer.model_validate_json(whole["choices"][0]["message"]["content"])
        if answer.nonce != request.nonce:
            raise SystemExit("another request's answer")

    return ask


def by_hand(request: Request[Answer]) -> bytes:
    """A body with the same prompt, made beforehand."""
    messages = [{"role": "system", "content": request.system}, {"role": "user", "content": request.user}]
    _, shape = prepare(request.answer, request.system, "json_schema")
    body = {"model": "fake-1", "messages": messages, "temperature": 0, "response_format": shape}
    return json.dumps(body, ensure_ascii=False).encode()


async def measure(server: FakeModel, arguments: argparse.Namespace) -> dict[str, Any]:
    """The three, in turns."""
    rendered = render(load_prompt(arguments.prompt), load_taxonomy("clinical-v1"))
    spec = parse_backend("openai:fake-1", base_url=server.base_url)
    ordinary, fast = OpenAIBackend(spec, np.random.default_rng(0)), WireBackend(spec, np.random.default_rng(0))
    headers = {"authorization": "Bearer none", "content-type": "application/json"}
    found: dict[str, list[tuple[float, float]]] = {"ordinary": [], "fast": [], "aiohttp": []}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), headers=headers) as session:
        for turn in range(arguments.rounds + 1):  # the first warms up and does not count
            count = arguments.requests if turn else 2 * arguments.slots
            for name, rows in found.items():
                asked = requests(rendered, max(count // _FEWER, arguments.slots) if name == "ordinary" else count)
                bodies = {request.nonce: by_hand(request) for request in asked} if name == "aiohttp" else {}
                url = f"{server.base_url}/chat/completions"
                ask = bare(session, url, bodies) if bodies else answering(ordinary if name == "ordinary" else fast)
                spent = await through(ask, asked, arguments.slots)
                if turn:
                    rows.append(spent)
        if arguments.profile:
            await profile(answering(fast), requests(rendered, arguments.requests), arguments.slots)
    await ordinary.aclose()
    await fast.aclose()
    medians = {
        name: {
            "cpu_ms": statistics.median(cpu for cpu, _ in rows),
            "per_s": statistics.median(rate for _, rate in rows),
        }
        for name, rows in found.items()
    }
    return {"prompt": arguments.prompt, "system_characters": len(rendered.system), "slots": arguments.slots, **medians}


async def profile(ask: Ask, asked: list[Request[Answer]], slots: int) -> None:
    """Where the time of the fast lane goes."""
    profiler = cProfile.Profile()
    profiler.enable()
    await through(ask, asked, slots)
    profiler.disable()
    pstats.Stats(profiler).sort_stats("tottime").print_stats(30)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompt", default="screen/terse-v2")
    parser.add_argument("--slots", type=int, default=64)
    parser.add_argument("--requests", type=int, default=6400)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--latency", type=float, default=0.0, help="milliseconds")
    parser.add_argument("--logprobs", action="store_true", help="the server gives log-probabilities")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    apart = len(cores) > 1
    if apart:
        os.sched_setaffinity(0, {cores[1]})
    settings = {"latency": arguments.latency, "logprobs": int(arguments.logprobs)}
    with fake_model(core=cores[0] if apart else None, **settings) as server:
        found = asyncio.run(measure(server, arguments))
    if arguments.json:
        print(json.dumps(found))
        return
    print(f"{found['prompt']}, {found['system_characters']} characters before the message, {found['slots']} at a time")
    for name in ("ordinary", "fast", "aiohttp"):
        row = found[name]
        ratio = row["cpu_ms"] / found["fast"]["cpu_ms"]
        print(
            f"  {name:9} {row['cpu_ms']:7.3f} ms of processor time a request  {ratio:6.2f} of the fast lane  {row['per_s']:8.0f} a second"
        )
    print("  " + ", ".join(f"{name} {version(name)}" for name in ("openai", "httpx2", "aiohttp", "pydantic")))


if __name__ == "__main__":
    main()
