"""How the tests talk to the fault server: by raw sockets, and with our own prompts."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass
from typing import Any

from crisis_filter import assets
from crisis_filter.backends.base import Request
from crisis_filter.prompting.prompt import load_prompt
from crisis_filter.prompting.render import fresh_nonce, render
from crisis_filter.stages.screen import build_request
from crisis_filter.taxonomy.answers import Answer
from crisis_filter.taxonomy.load import load_taxonomy

TAXONOMY = load_taxonomy("clinical-v1")
PROMPTS = {
    name: render(load_prompt(name), TAXONOMY)
    for name in assets.names("prompts", ".md")
    if not name.startswith(("simulate/", "together/"))
}
CRISIS = "i cannot go on, tonight is my last one"
ORDINARY = "can i move my appointment to friday"


def ask(prompt: str, text: str = CRISIS, deadline_s: float = 5.0) -> Request[Answer]:
    """The request that a stage makes."""
    return build_request(PROMPTS[prompt], text, deadline_s, fresh_nonce)


def chat(text: str = "hello", **more: Any) -> bytes:
    """The body of a request by a client that is not ours."""
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": text}], **more}).encode()


def post(body: bytes, path: str = "/v1/chat/completions", **headers: str) -> bytes:
    """A request in bytes; underscores in header names become hyphens."""
    lines = [f"POST {path} HTTP/1.1", "Host: drill", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def get(path: str) -> bytes:
    """A request without a body."""
    return f"GET {path} HTTP/1.1\r\nHost: drill\r\n\r\n".encode()


@dataclass(frozen=True)
class Got:
    """One response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The decoded body."""
        return json.loads(self.body)

    @property
    def content(self) -> Any:
        """What the model says."""
        return self.json["choices"][0]["message"]["content"]


class Talk:
    """A connection that is kept."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def to(cls, port: int) -> Talk:
        """Connect."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def say(self, request: bytes) -> Got:
        """One request and its response."""
        self.writer.write(request)
        return await self.hear()

    async def hear(self) -> Got:
        """The next response."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        body = await self.reader.readexactly(int(headers["content-length"]))
        return Got(int(head[0].split()[1]), headers, body)

    async def end(self) -> None:
        """Hang up."""
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


async def said(port: int, request: bytes) -> Got:
    """One request on a connection of its own."""
    talk = await Talk.to(port)
    try:
        return await asyncio.wait_for(talk.say(request), 5)
    finally:
        await talk.end()
