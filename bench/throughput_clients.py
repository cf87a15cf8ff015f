"""One client of `bench.throughput`, in a process of its own: `python -m bench.throughput_clients NAME URL MESSAGES SLOTS` prints what it took."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.lane import bare, by_hand
from crisis_filter.backends.base import Request
from crisis_filter.batch.journal import Journal
from crisis_filter.batch.run import run_batch
from crisis_filter.batch.spec import BatchSpec
from crisis_filter.datasets.reading import load
from crisis_filter.pipeline.spec import FilterSpec, open_filter
from crisis_filter.prompting.prompt import load_prompt
from crisis_filter.prompting.render import fresh_nonce, render
from crisis_filter.schema import Message
from crisis_filter.stages.screen import build_request
from crisis_filter.taxonomy.answers import Answer
from crisis_filter.taxonomy.load import load_taxonomy
from crisis_filter.text import views
from crisis_filter.text.attack import attack_seen
from crisis_filter.text.language import unvalidated
from crisis_filter.triage.resources import load_resources
from crisis_filter.triage.route import triage

SET = Path(__file__).parent.parent / "data/simulated-v1"
PROMPT = "screen/terse-v2"
MODEL = "fake-1"
_WARM = 64

Ask = Callable[[Request[Answer]], Awaitable[None]]
Found = dict[str, float]


def texts(count: int) -> list[str]:
    """Messages of development, again and again, no two alike."""
    rows = [row.text for row in load(SET, "development")]
    return [f"{rows[at % len(rows)]} {at}" for at in range(count)]


def requests(count: int) -> list[Request[Answer]]:
    """One of Stage 1 for each."""
    rendered = render(load_prompt(PROMPT), load_taxonomy("clinical-v1"))
    return [build_request(rendered, text, 30.0, fresh_nonce) for text in texts(count)]


def body_for_wrk() -> bytes:
    """One of them as bytes."""
    return by_hand(requests(1)[0])


def same(request: Request[Answer], answer: Answer | None) -> None:
    """Held against the nonce, as a caller must."""
    if answer is None or answer.nonce != request.nonce:
        raise SystemExit("no answer, or another request's")


@contextmanager
def counted(messages: int) -> Iterator[Found]:
    """Milliseconds of processor time a message, and messages a second."""
    found: Found = {}
    wall, spent = time.perf_counter(), time.process_time()
    yield found
    found["cpu_ms"] = (time.process_time() - spent) * 1e3 / messages
    found["per_s"] = messages / (time.perf_counter() - wall)


async def asked(ask: Ask, messages: int, slots: int) -> Found:
    """Every request once, so many at a time, after a few to warm up."""
    await _all(ask, requests(_WARM), slots)
    made = requests(messages)
    with counted(messages) as found:
        await _all(ask, made, slots)
    return found


async def _all(ask: Ask, made: list[Request[Answer]], slots: int) -> None:
    waiting = iter(made)

    async def work() -> None:
        for request in waiting:
            await ask(request)

    await asyncio.gather(*(work() for _ in range(slots)))


def prompt(request: Request[Answer]) -> list[Any]:
    """As OpenAI's messages."""
    return [{"role": "system", "content": request.system}, {"role": "user", "content": request.user}]


async def fast_lane(url: str, messages: int, slots: int) -> Found:
    """Ours, from a request to a validated reply."""
    from crisis_filter.backends.registry import open_fast
    from crisis_filter.backends.spec import parse_backend

    backend = open_fast(parse_backend(f"openai:{MODEL}", base_url=url))

    async def ask(request: Request[Answer]) -> None:
        same(request, (await backend.complete(request)).answer)

    found = await asked(ask, messages, slots)
    await backend.aclose()
    return found


async def with_openai(url: str, messages: int, slots: int) -> Found:
    """The SDK's `parse`, with its default transport."""
    import openai

    client = openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0)

    async def ask(request: Request[Answer]) -> None:
        reply = await client.chat.completions.parse(
            model=MODEL, messages=prompt(request), response_format=request.answer, temperature=0
        )
        same(request, reply.choices[0].message.parsed)

    found = await asked(ask, messages, slots)
    await client.close()
    return found


async def with_instructor(url: str, messages: int, slots: int, mode: str) -> Found:
    """Instructor's client around the SDK's."""
    import instructor
    import openai

    inner = openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0)
    client = instructor.from_openai(inner, mode=instructor.Mode[mode])

    async def ask(request: Request[Answer]) -> None:
        same(
            request,
            await client.chat.completions.create(
                model=MODEL, messages=prompt(request), response_model=request.answer, temperature=0, max_retries=1
            ),
        )

    found = await asked(ask, messages, slots)
    await inner.close()
    return found


async def with_langchain(url: str, messages: int, slots: int) -> Found:
    """A structured `abatch`, the bulk call that LangChain has."""
    from langchain_openai import ChatOpenAI
    from pydantic import SecretStr

    made = requests(messages + _WARM)
    chat = ChatOpenAI(model=MODEL, base_url=url, api_key=SecretStr("none"), temperature=0, max_retries=0)
    structured = chat.with_structured_output(made[0].answer, method="json_schema")
    prompts: list[Any] = [prompt(request) for request in made]
    await structured.abatch(prompts[:_WARM], config={"max_concurrency": slots})
    with counted(messages) as found:
        answers = await structured.abatch(prompts[_WARM:], config={"max_concurrency": slots})
    for request, answer in zip(made[_WARM:], answers, strict=True):
        same(request, answer)  # type: ignore[arg-type]
    return found


async def with_aiohttp(url: str, messages: int, slots: int) -> Found:
    """Bodies made beforehand, answers read with `json` and pydantic: the least that anyone writes by hand."""
    import aiohttp

    headers = {"authorization": "Bearer none", "content-type": "application/json"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), headers=headers) as session:
        made = requests(messages)
        bodies = {request.nonce: by_hand(request) for request in made}
        ask = bare(session, f"{url}/chat/completions", bodies)
        with counted(messages) as found:
            await _all(ask, made, slots)  # type: ignore[arg-type]
    return found


async def batch(url: str, messages: int, slots: int, workers: int = 1) -> Found:
    """A whole job of ours, file to file, from the opened journal to the finished output."""
    with tempfile.TemporaryDirectory(prefix="throughput-") as folder:
        path, out = Path(folder) / "in.jsonl", Path(folder) / "out.jsonl"
        said = texts(messages)
        with path.open("w") as file:
            file.writelines(json.dumps({"id": f"m{at}", "text": text}) + "\n" for at, text in enumerate(said))
        judging = FilterSpec() if not url else FilterSpec(backend=f"openai:{MODEL}", base_url=url, fallbacks=())
        spec = BatchSpec(inputs=(str(path),), output=str(out), judging=judging, slots=slots, workers=workers)
        begun: list[tuple[float, float]] = []

        def opened(_: Journal) -> None:
            begun.append((time.perf_counter(), time.process_time()))

        ending = await run_batch(spec, begun=opened)
        wall, spent = time.perf_counter() - begun[0][0], time.process_time() - begun[0][1]
        if ending.end is None or ending.count.judged != messages or len(out.read_bytes().splitlines()) != messages:
            raise SystemExit("the batch did not end well")
    found = {"cpu_ms": spent * 1e3 / messages, "per_s": messages / wall}
    return found if not url else {**found, **await asyncio.to_thread(apart, said)}


def apart(said: list[str]) -> Found:
    """What the parts that no request needs cost, on the same messages alone, in milliseconds a message."""
    with open_filter(FilterSpec()) as crisis_filter:
        assessment = crisis_filter.classify("is the clinic open on saturday")
        policy = crisis_filter.policy
    resources = load_resources(policy.resources.pack)
    languages = policy.languages.validated or ()
    steps: dict[str, Callable[[str], object]] = {
        "views_ms": views,
        "checks_ms": lambda text: (attack_seen(text), unvalidated(text, languages)),
        "triage_ms": lambda _: triage(assessment, policy, resources),
    }
    found: Found = {}
    for name, step in steps.items():
        step(said[0])
        spent = time.process_time()
        for text in said:
            step(text)
        found[name] = (time.process_time() - spent) * 1e3 / len(said)
    return found


def _in_process(messages: int, slots: int) -> Found:
    many = [Message(id=f"m{at}", text=text) for at, text in enumerate(texts(messages))]
    with open_filter(FilterSpec()) as crisis_filter:
        crisis_filter.classify("is the clinic open on saturday")
        with counted(messages) as found:
            list(crisis_filter.classify_many(many, concurrency=slots))
    return found


async def engine_in_process(_: str, messages: int, slots: int) -> Found:
    """The embedded engine as a library calls it; in a thread, for it runs a loop of its own."""
    return await asyncio.to_thread(_in_process, messages, slots)


CLIENTS: dict[str, Callable[[str, int, int], Coroutine[Any, Any, Found]]] = {
    "batch": batch,
    "fast lane": fast_lane,
    "aiohttp": with_aiohttp,
    "openai": with_openai,
    "instructor tools": lambda url, messages, slots: with_instructor(url, messages, slots, "TOOLS"),
    "instructor json": lambda url, messages, slots: with_instructor(url, messages, slots, "JSON_SCHEMA"),
    "langchain": with_langchain,
}
ENGINES: dict[str, Callable[[str, int, int], Coroutine[Any, Any, Found]]] = {"engine in process": engine_in_process}


def main() -> None:
    """Run one and print it."""
    name, url, messages, slots = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    if name.startswith("engine batch "):
        found = asyncio.run(batch("", messages, slots, workers=int(name.rsplit(" ", 1)[1])))
    else:
        found = asyncio.run(({**CLIENTS, **ENGINES}[name])(url, messages, slots))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
