"""A loopback HTTP server that speaks the OpenAI chat protocol and answers what the test says, wrong answers included."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Act = Literal["whole", "hang_before", "hang_body", "drip", "reset", "cut", "unfinished_chunks", "close"]


@dataclass(frozen=True)
class Answer:
    """One HTTP response and what goes wrong while it is sent."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    act: Act = "whole"
    content_type: str = "application/json"


@dataclass(frozen=True)
class Received:
    """One request as it arrived."""

    headers: Mapping[str, str]
    body: Mapping[str, Any]
    path: str = ""


def chat(
    content: object,
    *,
    finish: str | None = "stop",
    message: Mapping[str, Any] | None = None,
    choices: list[Any] | None = None,
    logprobs: object = None,
    **more: Any,
) -> Answer:
    """A chat completion that holds `content`."""
    one = {
        "index": 0,
        "message": {"role": "assistant", "content": content, **(message or {})},
        "finish_reason": finish,
        "logprobs": logprobs,
    }
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "fault-1",
        "choices": [one] if choices is None else choices,
        "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
    }
    return Answer(json.dumps({**body, **more}).encode())


def failure(status: int, error: object = None, **headers: str) -> Answer:
    """An HTTP error with an OpenAI error body; underscores in header names become hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(json.dumps({"error": error if error is not None else {"message": "no"}}).encode(), status, named)


class FaultServer:
    """Answers requests in the order of `script`; the last answer is given for ever."""

    def __init__(self) -> None:
        self.script: list[Answer | Callable[[Received], Answer]] = []
        self.received: list[Received] = []
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """The `base_url` for a client."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    def answer(self, *answers: Answer | Callable[[Received], Answer]) -> None:
        """Replace the script."""
        self.script = list(answers)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._open.discard(task)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        body = json.loads(await reader.readexactly(int(headers.get("content-length", "0"))) or b"{}")
        self.received.append(Received(headers, body, head.split(" ")[1]))
        at = min(len(self.received), len(self.script)) - 1
        step = self.script[at]
        return await self._send(step(self.received[-1]) if callable(step) else step, writer)

    async def _send(self, answer: Answer, writer: asyncio.StreamWriter) -> bool:
        if answer.act == "hang_before":
            await asyncio.sleep(3600)
        if answer.act == "close":
            return False
        length = (
            "transfer-encoding: chunked" if answer.act == "unfinished_chunks" else f"content-length: {len(answer.body)}"
        )
        lines = [f"HTTP/1.1 {answer.status} Status", f"content-type: {answer.content_type}", length]
        lines += [f"{name}: {value}" for name, value in answer.headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        match answer.act:
            case "hang_body":
                writer.write(answer.body[:10])
                await writer.drain()
                await asyncio.sleep(3600)
            case "drip":
                for byte in answer.body:
                    writer.write(bytes([byte]))
                    await writer.drain()
                    await asyncio.sleep(0.02)
            case "reset":
                writer.write(answer.body[:10])
                await writer.drain()
                await asyncio.sleep(0.02)
                writer.transport.abort()
                return False
            case "cut":
                writer.write(answer.body[:-1])
                await writer.drain()
                return False
            case "unfinished_chunks":
                writer.write(f"{len(answer.body):x}\r\n".encode() + answer.body + b"\r\n")
                await writer.drain()
                return False
            case _:
                writer.write(answer.body)
        await writer.drain()
        return True


@contextlib.asynccontextmanager
async def serve_faults() -> AsyncIterator[FaultServer]:
    """Run a server on a free loopback port."""
    server = FaultServer()
    server._server = await asyncio.start_server(server._serve, "127.0.0.1", 0)
    try:
        yield server
    finally:
        server._server.close()
        for task in list(server._open):
            task.cancel()
        await asyncio.gather(*server._open, return_exceptions=True)
        await server._server.wait_closed()
