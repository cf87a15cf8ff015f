"""Two workers of Ray beside two engines without it, and beside `ray.data.llm`'s own HTTP processor.

    python -m bench.ray_rates [--slots 64] [--seconds 30] [--rounds 2] [--latency 200] [--llm]

All ask the same server, which answers after the same latency; they take turns in one run. The rate is that of the server's answers between a fifth
and four fifths of them, so that nobody's start counts; a message is one request here, so the ceiling is slots / latency for each worker. Two
engines without Ray are two processes with `judge_batches`. Processor time is that of each worker's process over the same span, where the system has `/proc`.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from bench.lane import by_hand
from bench.peers.fake_model import FakeModel, fake_model
from bench.ray_cluster import local_ray, rows, workers_of
from crisis_filter.batch.arrow import BlockSpec, judge_batches
from crisis_filter.batch.lease_thread import broker_beside
from crisis_filter.batch.rate_bucket import Limits
from crisis_filter.batch.ray import judge_dataset
from crisis_filter.pipeline.description import FilterSpec
from crisis_filter.prompting.prompt import load_prompt
from crisis_filter.prompting.render import fresh_nonce, render
from crisis_filter.stages.screen import build_request
from crisis_filter.taxonomy.load import load_taxonomy
from crisis_filter.triage.policy import load_policy

_WORKERS = 2
_BLOCK = 256
_FIRST, _LAST = 0.2, 0.8
_LIMITS = Limits(requests_per_minute=6_000_000)
"""A broker, and no limit that counts."""
_TICKS = os.sysconf("SC_CLK_TCK")


def _cpu_s(pid: int) -> float:
    """Processor time that a process has used, user and system; 0 where nobody can say."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


@dataclass
class Watched:
    """What the server had answered at each moment, and what the workers had used."""

    times: list[float] = field(default_factory=list)
    answered: list[int] = field(default_factory=list)
    used_s: list[float] = field(default_factory=list)

    def at(self, share: float) -> float:
        """When so much of all was answered."""
        return float(np.interp(share * self.answered[-1], self.answered, self.times))

    def rate(self) -> float:
        """Answers a second in the middle."""
        return (_LAST - _FIRST) * self.answered[-1] / (self.at(_LAST) - self.at(_FIRST))

    def cpu_ms(self) -> float:
        """Of the workers, for one answer, over the same span."""
        used = np.interp([self.at(_FIRST), self.at(_LAST)], self.times, self.used_s)
        return float(used[1] - used[0]) * 1e3 / ((_LAST - _FIRST) * self.answered[-1])


@contextmanager
def watched(server: FakeModel, workers: Callable[[], list[int]]) -> Iterator[Watched]:
    """Look at the server and the workers five times a second."""
    seen, end = Watched(), threading.Event()
    server.reset()

    def look() -> None:
        while not end.wait(0.2):
            seen.times.append(time.monotonic())
            seen.answered.append(server.stats()["answered"])
            seen.used_s.append(sum(map(_cpu_s, workers())))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        end.set()
        thread.join()


def _plain(first: int, end: int) -> Any:
    """Rows without a crisis, so that each is one request."""
    table = rows(first, end)
    texts = [text.replace("#crisis", "") for text in table["text"].to_pylist()]
    return table.set_column(1, "text", [texts])


def _alone(spec: BlockSpec, first: int, end: int) -> None:
    """One engine without Ray."""
    blocks = (_plain(at, min(end, at + _BLOCK)) for at in range(first, end, _BLOCK))
    judged = sum(block.num_rows for block in judge_batches(blocks, spec))
    assert judged == end - first


def singles(server: FakeModel, spec: BlockSpec, messages: int) -> Watched:
    """Two processes, each with half of the messages."""
    context, each = multiprocessing.get_context("spawn"), messages // _WORKERS
    crew = [context.Process(target=_alone, args=(spec, n * each, (n + 1) * each)) for n in range(_WORKERS)]
    with watched(server, lambda: [one.pid for one in crew if one.pid is not None]) as seen:
        for one in crew:
            one.start()
        for one in crew:
            one.join()
    assert all(one.exitcode == 0 for one in crew)
    return seen


def with_ray(ray: Any, server: FakeModel, spec: BlockSpec, messages: int) -> Watched:
    """Two actors."""
    given = ray.data.from_arrow(_plain(0, messages))
    with watched(server, lambda: workers_of(os.getpid())) as seen:
        found = judge_dataset(given, spec, workers=_WORKERS, rows=_BLOCK, num_cpus=0.5).to_arrow_refs()
        assert sum(table.num_rows for table in ray.get(found)) == messages
    return seen


def with_llm(ray: Any, server: FakeModel, messages: int) -> Watched:
    """`ray.data.llm`, two actors, as its documentation has it, with the prompt that ours sends."""
    from ray.data.llm import HttpRequestProcessorConfig, build_processor

    policy = load_policy(FilterSpec().policy)
    taxonomy = load_taxonomy(policy.stages.taxonomy)
    rendered = render(load_prompt(policy.stages.screen), taxonomy)
    body = by_hand(build_request(rendered, "MESSAGE", 30.0, fresh_nonce)).decode()

    def payload(row: dict[str, Any]) -> dict[str, Any]:
        import json

        return {"payload": json.loads(body.replace("MESSAGE", row["text"]))}

    config = HttpRequestProcessorConfig(url=f"{server.base_url}/chat/completions", concurrency=(_WORKERS, _WORKERS))
    ask = build_processor(config, preprocess=payload, postprocess=lambda row: {"answer": row["http_response"]["id"]})
    given = ray.data.from_arrow(_plain(0, messages)).repartition(4 * _WORKERS)
    with watched(server, lambda: workers_of(os.getpid())) as seen:
        assert ask(given).count() == messages
    return seen


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slots", type=int, default=64, help="of each worker")
    parser.add_argument(
        "--seconds", type=float, default=30.0, help="of each at the ceiling; less capable ones take longer"
    )
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--latency", type=float, default=200.0, help="milliseconds")
    parser.add_argument(
        "--most", type=float, default=700.0, help="messages a second that the machine can do; sizes the run only"
    )
    parser.add_argument("--llm", action="store_true", help="ray.data.llm too")
    given = parser.parse_args()
    ceiling = _WORKERS * given.slots / given.latency * 1e3
    messages = int(min(ceiling, given.most) * given.seconds) // _BLOCK // _WORKERS * _BLOCK * _WORKERS
    found: dict[str, list[Watched]] = {"two engines": [], "Ray, two workers": []}
    with fake_model(latency=given.latency) as server, broker_beside(_LIMITS) as broker:
        judging = FilterSpec(backend="openai:fake-1", base_url=server.base_url, api_key="none", fallbacks=())
        spec = BlockSpec(judging=judging, slots=given.slots, broker=broker)
        for _ in range(given.rounds):
            found["two engines"].append(singles(server, spec, messages))
            with local_ray() as ray:
                found["Ray, two workers"].append(with_ray(ray, server, spec, messages))
        if given.llm:
            with local_ray(cpus=6) as ray:  # its actors and the steps around them take a whole one each
                found["ray.data.llm, two workers"] = [with_llm(ray, server, 1600)]
    print(
        f"{given.slots} slots each, {given.latency:g} ms, {messages:,} messages a round, ceiling {ceiling:,.0f} a second"
    )
    for name, rounds in found.items():
        rates = [one.rate() for one in rounds]
        told = " ".join(f"{rate:,.1f}" for rate in rates)
        middle, cpu = statistics.median(rates), statistics.median(one.cpu_ms() for one in rounds)
        print(
            f"  {name:26} {middle:8,.1f} a second ({told}), {middle / ceiling:6.1%} of the ceiling, {cpu:.2f} ms of processor time each"
        )
    middles = {name: statistics.median(one.rate() for one in rounds) for name, rounds in found.items()}
    print(f"  Ray / two engines: {middles['Ray, two workers'] / middles['two engines']:.1%}")
    if given.llm:
        print(
            f"  ours / ray.data.llm, per worker: {middles['Ray, two workers'] / middles['ray.data.llm, two workers']:.0f} times"
        )
    print("  " + ", ".join(f"{name} {version(name)}" for name in ("ray", "aiohttp", "pyarrow")))


if __name__ == "__main__":
    main()
