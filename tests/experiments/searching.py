"""A search to be done for real: messages, a plan, and a server whose judgements and proposals depend on words of the prompt.

Its judge takes idioms for crises until the prompt has a rule on idioms, and misses masked crises when the prompt asks for plain words only.
Its reflection model writes now this, now that: a rule that helps, one that harms, a copy of a message, a text without its variable, and prose.

Run as a program it serves or searches: `python tests/experiments/searching.py serve FOLDER` prints an address and notes every question in
FOLDER/log; `python tests/experiments/searching.py search FILE FOLDER MAX_CALLS` does a whole search.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml

from crisis_filter.drill.asked import read_asked
from crisis_filter.experiments.optimize.folder import OptimizeFolder, stored_result
from crisis_filter.experiments.optimize.records import Result
from crisis_filter.experiments.optimize.running import optimize
from crisis_filter.experiments.optimize.work import Choices, Work, load_work
from crisis_filter.experiments.plan import load_plan, rooted
from tests.fault_server import Answer, Received, chat, serve_faults

ROOT = Path(__file__).parent.parent.parent
PLAIN = ("i do not want to live past this week", "my brother hits me every night", "i hear voices telling me to run")
MASKED = (
    "giving the cat away, wont need her after friday",
    "writing letters to each of them for after",
    "thanks for all, sorting my things now",
)
IDIOMS = ("this commute is killing me", "my boss will murder me for that typo", "dying of laughter over here")
ORDINARY = ("can i move my appointment to noon", "which form do i send you people", "the app logs me out again")
HELPS = "An idiom that nobody means is no crisis."
HARMS = "Mark plain words only."
REASON = "heron5520 the raters say so"
"""Stands in every reason of those who labelled."""

Reflect = Callable[[str, int], Any]
"""Given the question and its number, what the reflection model writes; an `Answer` is sent as it is."""


def rows(prefix: str, each: int) -> list[dict[str, Any]]:
    """Labelled messages: `each` of every kind."""
    found = []
    for number in range(each):
        for kind, texts in (("plain", PLAIN), ("masked", MASKED), ("idiom", IDIOMS), ("ordinary", ORDINARY)):
            crisis = kind in ("plain", "masked")
            row = {
                "id": f"{prefix}-{kind}-{number}",
                "text": f"{texts[number % 3]} {prefix}{number}",
                "crisis": crisis,
                "categories": ["suicide"] if crisis else [],
                "adjudication": REASON,
            }
            found.append(row)
    return found


def written(path: Path, lines: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def plan_file(folder: Path, url: str, **changes: Any) -> Path:
    """The file of an experiment on twelve messages, and as many to learn from beside it."""
    written(folder / "development.jsonl", rows("d", 3))
    written(folder / "training.jsonl", rows("t", 3))
    config = {
        "base_url": url,
        "attempts": 1,
        "attempt_timeout_s": 5,
        "deadline_s": 20,
        "price": {"input": 1.0, "output": 1.0},
    }
    whole = {
        "prompts": ["screen/terse-v2"],
        "providers": [{"id": "openai:m", "label": "m", "config": config}],
        "tests": {"data": "development.jsonl", "split": "development", "labelled_by": "the author of this test"},
        **changes,
    }
    path = folder / "try.yaml"
    path.write_text(yaml.safe_dump(whole), encoding="utf-8")
    return path


def choices(folder: Path, **changes: Any) -> Choices:
    given = {"training": str(folder / "training.jsonl"), "max_calls": 150, "minibatch": 4, **changes}
    return Choices.model_validate(given)


def judge(system: str, message: str) -> bool:
    """Whether the stand-in calls a message a crisis."""
    if any(text in message for text in IDIOMS):
        return HELPS not in system and HARMS not in system
    return any(text in message for text in PLAIN) or (HARMS not in system and any(t in message for t in MASKED))


def part_of(question: str) -> str:
    """The part that a reflection model is to rewrite."""
    found = re.search(r"It reads:\n\n```\n(.*?)\n```", question, re.DOTALL)
    assert found is not None
    return found[1]


def usual(question: str, number: int) -> str:
    """Something else each time, and what helps in the end."""
    part = part_of(question)
    ways = (
        "I would rather talk about it.",
        f"```\n{part}\n{IDIOMS[0]} t0 and so on\n```",
        f"```\n{part}\n{HARMS}\n```",
        f"```\n{part}\nPut the nonce first.\n```",
        f"```\n{part}\n{HELPS}\n```",
    )
    return ways[number % len(ways)]


class World:
    """Answers both models, and keeps what it was asked."""

    def __init__(self, reflect: Reflect = usual, log: Path | None = None) -> None:
        self.judged: list[tuple[str, str]] = []
        """System part and message of each question to the judge."""
        self.reflected: list[str] = []
        """Questions to the reflection model."""
        self._reflect = reflect
        self._log = log

    @property
    def asked(self) -> int:
        return len(self.judged) + len(self.reflected)

    def __call__(self, received: Received) -> Answer:
        messages = received.body["messages"]
        said = self._said(received, messages)
        if self._log is not None:
            with self._log.open("a", encoding="utf-8") as log:
                log.write("asked\n")
        if isinstance(said, Answer):
            return said
        # A server that says it read less than it was sent is one that cuts prompts off.
        read, wrote = sum(len(m["content"]) for m in messages) // 3, len(said) // 3 + 1
        return chat(said, usage={"prompt_tokens": read, "completion_tokens": wrote, "total_tokens": read + wrote})

    def _said(self, received: Received, messages: list[dict[str, str]]) -> str | Answer:
        if len(messages) == 1:
            self.reflected.append(messages[0]["content"])
            said: str | Answer = self._reflect(messages[0]["content"], len(self.reflected) - 1)
            return said
        asked = read_asked(received.body)
        self.judged.append((messages[0]["content"], asked.message))
        return json.dumps({"nonce": asked.nonce, "crisis": judge(messages[0]["content"], asked.message)})


def always(rule: str) -> World:
    """Every proposal is the part and one rule more."""
    return World(lambda question, _: f"```\n{part_of(question)}\n{rule}\n```")


def work_of(file: Path, chosen: Choices) -> Work:
    return load_work(rooted(load_plan(file), file.parent), chosen)


async def search(file: Path, where: Path, chosen: Choices, **more: Any) -> Result:
    """A whole search, or what is left of it."""
    work = work_of(file, chosen)
    replaying = stored_result(where, chosen.max_calls) is not None
    reuse = work.plan.options.reuse
    with OptimizeFolder.begin(where, work.start(), replaying=replaying, reuse=reuse) as folder:
        return await optimize(work, folder, **more)


async def searched(
    folder: Path, world: World, *, plan: dict[str, Any] | None = None, tell: Any = lambda _: None, **chosen: Any
) -> Result:
    """A search against a world in FOLDER/run, with its server up for as long as it takes."""
    async with serve_faults() as server:
        server.answer(world)
        file = plan_file(folder, server.url, **(plan or {}))
        return await search(file, folder / "run", choices(folder, **chosen), tell=tell)


def by_question(question: str, _: int) -> str:
    """As `usual`, whenever it is asked."""
    return usual(question, sha256(question.encode()).digest()[0])


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[str]:
    """A world in a process of its own; yields its address."""
    command = [sys.executable, __file__, "serve", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)})
    try:
        assert process.stdout is not None
        yield process.stdout.readline().decode().strip()
    finally:
        process.kill()
        process.communicate()


async def _serve(folder: Path) -> None:
    world = World(by_question, log=folder / "log")
    async with serve_faults() as server:
        server.answer(world)
        print(server.url, flush=True)  # noqa: T201  # the program's output
        await asyncio.sleep(3600)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        asyncio.run(_serve(Path(sys.argv[2])))
    else:
        there = Path(sys.argv[2])
        asyncio.run(search(there, Path(sys.argv[3]), choices(there.parent, max_calls=int(sys.argv[4]))))
