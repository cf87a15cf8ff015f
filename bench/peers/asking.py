"""Ask one tool about every row: our own in this process, a peer through its runner in its own environment."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.peers.rows import CONTROL, Judge, Row
from crisis_filter.drill.answers import LITERALS, Healthy, KnownTexts, Literals
from crisis_filter.drill.server import FAULT_MODEL, FaultServer
from crisis_filter.pipeline.spec import FilterSpec, open_filter
from crisis_filter.schema import Message, Outcome

DEADLINE_S = 6.0
"""Most seconds our own tool may take for one message."""
_HERE = Path(__file__).parent
_WORDS: dict[Outcome, str] = {"no_crisis": "allowed", "crisis": "blocked", "undetermined": "undetermined"}
_ROWS_AT_ONCE = 4
_RUNNER_S = 500.0
_DRIP_S = 0.05


@dataclass(frozen=True)
class Tool:
    """One column."""

    name: str
    package: str
    judge: Judge
    note: str
    """How it is set up, for the reader of the table."""
    peer: str | None = None
    """Requirements file of its environment; `None` for ourselves."""
    runner: tuple[str, ...] = ()
    """Its runner, and what the runner takes before the base URL."""
    literals: Literals = LITERALS["prompts"]
    """What a healthy chat model answers it."""
    alone: bool = False
    """Of ourselves: nobody stands behind the judge. Otherwise the embedded engine does, which may raise and may not clear."""


@dataclass(frozen=True)
class Labelled:
    """A message and whether it is a crisis."""

    id: str
    text: str
    crisis: bool


@dataclass(frozen=True)
class Messages:
    """What is asked, and what the judge knows."""

    crises: tuple[Labelled, ...]
    """Asked under every fault."""
    ordinary: tuple[Labelled, ...]
    """Asked of a healthy judge only."""
    slow: int
    """How many of the crises are asked under a fault that ends by a timeout."""
    known: Path
    """JSON Lines with `text` and `crisis`: all that a healthy judge can tell apart."""

    def of(self, row: Row) -> tuple[Labelled, ...]:
        """The messages of one row."""
        if row.name == CONTROL:
            return self.crises + self.ordinary
        return self.crises[: self.slow] if row.slow else self.crises


@dataclass(frozen=True)
class Result:
    """What became of one message under one fault."""

    fault: str
    crisis: bool
    outcome: str
    reason: str


async def ask(tool: Tool, python: Path, rows: Sequence[Row], messages: Messages) -> list[Result]:
    """Put every row that the tool can meet to it.

    Args:
        tool: whom to ask.
        python: the interpreter of its environment.
        rows: the table's.
        messages: what to ask.

    Raises:
        RuntimeError: a runner failed or left a case out; holds its standard error, which its own rule keeps free of texts.
    """
    mine = [row for row in rows if tool.judge in row.judges]
    async with _judge(tool, messages.known) as url:
        there = [row for row in mine if not row.unreachable]
        gone = [row for row in mine if row.unreachable]
        return await _put(tool, python, url, there, messages) + await _put(tool, python, _nowhere(), gone, messages)


async def _put(tool: Tool, python: Path, url: str, rows: Sequence[Row], messages: Messages) -> list[Result]:
    if tool.judge != "ours":
        return await _run(tool, python, url, rows, messages)
    gate = asyncio.Semaphore(_ROWS_AT_ONCE)
    done = await asyncio.gather(*(_ourselves(tool, row, url, messages.of(row), gate) for row in rows))
    return [result for part in done for result in part]


async def _ourselves(
    tool: Tool, row: Row, url: str, asked: Sequence[Labelled], gate: asyncio.Semaphore
) -> list[Result]:
    label = {message.id: message.crisis for message in asked}
    spec = FilterSpec(
        backend=f"openai:{FAULT_MODEL}{row.name}",
        base_url=url,
        api_key="none",
        deadline_s=DEADLINE_S,
        fallbacks=() if tool.alone else None,
    )
    results = []
    async with gate:
        crisis_filter = open_filter(spec)
        try:
            async for a in crisis_filter.assess_many((Message(id=m.id, text=m.text) for m in asked), concurrency=10):
                results += [Result(row.name, label[a.id], _WORDS[a.outcome], a.fault.value if a.fault else "-")]
        finally:
            await crisis_filter.aclose()
    return results


async def _run(tool: Tool, python: Path, url: str, rows: Sequence[Row], messages: Messages) -> list[Result]:
    cases = [(row, message) for row in rows for message in messages.of(row)]
    if not cases:
        return []
    lines = (json.dumps({"id": str(i), "text": m.text, "fault": row.name}) for i, (row, m) in enumerate(cases))
    path = _HERE / tool.runner[0]
    process = await asyncio.create_subprocess_exec(
        python, path, *tool.runner[1:], url,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        out, err = await asyncio.wait_for(process.communicate("\n".join(lines).encode()), _RUNNER_S)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    answered = [json.loads(line) for line in out.decode().splitlines()]
    if process.returncode or sorted(int(row["id"]) for row in answered) != list(range(len(cases))):
        raise RuntimeError(
            f"{path.name} ended with {process.returncode} and {len(answered)} of {len(cases)}: {err.decode()[-2000:]}"
        )
    return [Result(a["fault"], cases[int(a["id"])][1].crisis, a["outcome"], a["reason"]) for a in answered]


@asynccontextmanager
async def _judge(tool: Tool, known: Path) -> AsyncGenerator[str]:
    """The faulty judge behind a tool, and its base URL."""
    if tool.judge != "api":
        async with FaultServer(Healthy(KnownTexts.read(known)), literals=tool.literals, drip_s=_DRIP_S) as server:
            yield server.base_url
        return
    host = await asyncio.create_subprocess_exec(
        sys.executable, _HERE / "nope_host.py", known, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert host.stdin is not None
    assert host.stdout is not None
    try:
        yield (await host.stdout.readline()).decode().strip()
    finally:
        host.stdin.close()
        await host.wait()


def _nowhere() -> str:
    """A loopback address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
