"""A model on the loopback that screens one message or several, as it is told to; in a thread, for commands that have an event loop of their own."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from crisis_filter.prompting.together import load_together
from tests.fault_server import Answer, Received, chat, serve_faults

FENCE = re.compile(r'<message nonce-begins="(\w+)">\n(.*)\n</message nonce-ends="(\w+)">')
WHOLE = re.compile(r'<messages nonce-begins="(\w+)">.*</messages nonce-ends="(\w+)">', re.DOTALL)
Several = Callable[[str, list[tuple[str, str]]], "str | Answer"]
"""Given the nonce of the whole, and nonce and text of each message but the planted one, what is answered of these."""


def fenced(user: str) -> list[tuple[str, str]]:
    """Nonce and text of each message in a request."""
    return [(begins + ends, json.loads(text)) for begins, text, ends in FENCE.findall(user)]


def whole(user: str) -> str | None:
    """The nonce of a request about several messages; `None` of one about one."""
    found = WHOLE.search(user)
    return found[1] + found[2] if found else None


PLANTED = frozenset(load_together().planted)


def unplanted(messages: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Without the crisis that goes along in every request; there is one."""
    found = [(nonce, text) for nonce, text in messages if text not in PLANTED]
    assert len(found) == len(messages) - 1
    return found


def with_planted(answer: str, messages: list[tuple[str, str]], crisis: bool = True) -> str:
    """An answer about the others with a verdict on the planted one, at its place; one that is no such answer as it is."""
    try:
        said = json.loads(answer)
        verdicts = said["verdicts"]
    except (ValueError, TypeError, KeyError):
        return answer
    place = next(i for i, (_, text) in enumerate(messages) if text in PLANTED)
    verdicts.insert(place, {"nonce": messages[place][0], "crisis": crisis})
    return json.dumps(said)


def is_crisis(text: str) -> bool:
    """What the model here knows."""
    return text.startswith("crisis")


def honest(nonce: str, messages: list[tuple[str, str]]) -> str:
    """Each message judged as it should be."""
    return json.dumps({"nonce": nonce, "verdicts": [{"nonce": n, "crisis": is_crisis(t)} for n, t in messages]})


@dataclass
class Model:
    """Answers both kinds of request, and Stage 2."""

    several: Several = honest
    one: Callable[[str], bool] = is_crisis
    model: str = "fault-1"
    finds: bool = True
    """Whether it finds what is planted."""
    sizes: list[int] = field(default_factory=list)
    """Messages of each Stage 1 request."""
    tokens: list[tuple[int, int]] = field(default_factory=list)

    def __call__(self, received: Received) -> Answer:
        user = received.body["messages"][-1]["content"]
        messages, nonce = fenced(user), whole(user)
        self.tokens.append((9000 + 7 * len(self.tokens), 11 + len(self.tokens)))
        if nonce is not None:
            self.sizes.append(len(messages) - 1)
            answer = self.several(nonce, unplanted(messages))
            answer = with_planted(answer, messages, self.finds) if isinstance(answer, str) else answer
        elif "Screen the" in user or "Screen this" in user:
            self.sizes.append(1)
            answer = json.dumps({"nonce": messages[0][0], "crisis": self.one(messages[0][1])})
        else:
            answer = json.dumps({"nonce": messages[0][0], **STAGE_TWO})
        if isinstance(answer, Answer):
            self.tokens.pop()
            return answer
        prompt, completion = self.tokens[-1]
        usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
        return chat(answer, usage=usage, model=self.model)


_ABSENT: dict[str, Any] = {
    "rationale": "",
    "quotes": [],
    "present": False,
    "severity": None,
    "subject": None,
    "timeframe": None,
}
_PRESENT = {**_ABSENT, "present": True, "severity": "severe", "subject": "self", "timeframe": "current"}
STAGE_TWO = {
    name: _PRESENT if name == "suicide" else _ABSENT
    for name in (
        "abuse",
        "neglect",
        "eating_disorder",
        "psychosis",
        "self_harm",
        "suicide",
        "substance_misuse",
        "violence",
    )
}


@contextmanager
def serving(model: Model) -> Iterator[str]:
    """The server in a thread; yields its address."""
    ready: threading.Event = threading.Event()
    kept: dict[str, Any] = {}

    async def serve() -> None:
        async with serve_faults() as server:
            server.answer(model)
            kept.update(url=server.url, loop=asyncio.get_running_loop(), end=asyncio.Event(), server=server)
            ready.set()
            await kept["end"].wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert ready.wait(10)
        yield kept["url"]
    finally:
        kept["loop"].call_soon_threadsafe(kept["end"].set)
        thread.join(10)


__all__ = ["Model", "fenced", "honest", "is_crisis", "serving", "unplanted", "whole", "with_planted"]
