"""A crew with prepared answers, each a pure function of its request. Run as a program it does a whole run, slowly enough to be killed:
`python tests/experiments/playing.py FOLDER LOG`.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

from crisis_filter.backends.base import Request
from crisis_filter.backends.scripted import Scripted, ScriptedAnswer
from crisis_filter.experiments.simulate.asking import Pace
from crisis_filter.experiments.simulate.journal import Journal
from crisis_filter.experiments.simulate.outcome import Summary
from crisis_filter.experiments.simulate.recipe import Recipe
from crisis_filter.experiments.simulate.run import Crew, Work, load_work, simulate
from crisis_filter.schema import Fault

SALT = "0" * 32
Play = Callable[[Request[Any]], ScriptedAnswer]
Twist = Callable[[Request[Any], str], "ScriptedAnswer | None"]
"""Given a request and its key, another answer than the usual one."""

STRATA: list[dict[str, Any]] = [
    {"id": "suicide", "crisis": True, "count": 5, "categories": [["suicide"]], "topics": ["topic-pets", "topic-keys"]},
    {
        "id": "several",
        "crisis": True,
        "count": 3,
        "categories": [["abuse", "suicide"], ["abuse"]],
        "topics": ["topic-home"],
    },
    {
        "id": "everyday",
        "crisis": False,
        "count": 4,
        "topics": ["topic-form", "topic-knee"],
        "controls": {"masked": 0.0},
    },
]
CONTROLS: dict[str, Any] = {"voices": ["voice-nurse", "voice-driver"], "masked": 0.5, "emoji": 0.25}


def recipe(**changes: Any) -> Recipe:
    """Twelve messages, five of them in batches of suicide alone."""
    whole = {"id": "tiny", "seed": 7, "batch": 2, "tries": 2, "strata": STRATA, "controls": CONTROLS}
    return Recipe.model_validate({**whole, **changes})


def text_of(number: int, labels: Iterable[str]) -> str:
    """What the author writes for a place: unlike all others, and legible for the raters."""
    return f"words {sha256(str(number).encode()).hexdigest()} no={number} kinds={'+'.join(labels)}"


def numbers_in(request: Request[Any]) -> dict[int, tuple[str, ...]]:
    """Places that a request to the author asks for, with their categories."""
    lines = re.findall(r"^(\d+)\. shows: ([^;]+);", request.user, re.MULTILINE)
    return {int(n): () if kinds == "no crisis" else tuple(kinds.split(", ")) for n, kinds in lines}


def message_in(request: Request[Any]) -> str:
    """The message that a rater or the adjudicator is shown."""
    found = re.search(r'^<message nonce-begins="[0-9a-f]+">\n(".*")$', request.user, re.MULTILINE)
    assert found is not None
    return str(json.loads(found[1]))


def key_of(request: Request[Any]) -> str:
    """What a request is about, whoever is asked and whatever the nonce."""
    if request.purpose == "author":
        return f"author {sorted(numbers_in(request))}"
    return f"{request.purpose} {message_in(request)}"


def labels(kinds: tuple[str, ...], severity: str = "severe") -> dict[str, Any]:
    """Labels for a message."""
    crisis = bool(kinds)
    return {
        "reasoning": "reason-of-the-rater",
        "crisis": crisis,
        "categories": list(kinds),
        "severity": severity if crisis else None,
        "subject": "self" if crisis else None,
        "timeframe": "current" if crisis else None,
    }


def rated(kinds: tuple[str, ...], severity: str = "severe", *, sure: bool = True) -> dict[str, Any]:
    """A rater's answer."""
    return {**labels(kinds, severity), "sure": sure}


def usual(request: Request[Any]) -> ScriptedAnswer:
    """The author writes everything; rater b differs on every third crisis; of these every second is contested."""
    if request.purpose == "author":
        wanted = numbers_in(request)
        written = [{"number": number, "text": text_of(number, kinds)} for number, kinds in wanted.items()]
        return ScriptedAnswer(answer={"messages": written, "declined": []})
    found = re.search(r"no=(\d+) kinds=(\S*)$", message_in(request))
    assert found is not None
    number, kinds = int(found[1]), tuple(found[2].split("+")) if found[2] else ()
    if request.purpose == "adjudicator":
        return ScriptedAnswer(answer={**labels(kinds, "moderate"), "contested": number % 6 == 0})
    severity = "mild" if request.purpose == "rater_b" and number % 3 == 0 else "severe"
    return ScriptedAnswer(answer=rated(kinds, severity))


class Company:
    """Backends that share a list of what they were asked.

    Args:
        twist: other answers than the usual ones.
    """

    def __init__(self, twist: Twist | None = None) -> None:
        self.asked: list[Request[Any]] = []
        self._twist = twist
        backend = Scripted(self._play)
        self.crew = Crew(backend, backend, backend, backend)

    @property
    def keys(self) -> list[str]:
        """What each request was about."""
        return [key_of(request) for request in self.asked]

    def _play(self, request: Request[Any]) -> ScriptedAnswer:
        self.asked.append(request)
        other = self._twist(request, key_of(request)) if self._twist else None
        return other or usual(request)


def failing(fault: Fault) -> ScriptedAnswer:
    """No reply."""
    return ScriptedAnswer(error=fault)


async def play(
    folder: Path, company: Company, one: Recipe | None = None, *, work: Work | None = None, **pace: Any
) -> Summary:
    """A whole run, or what is left of it."""
    work = work or load_work(one or recipe())
    with Journal.begin(folder, work.state(company.crew, SALT)) as journal:
        return await simulate(work, company.crew, journal, Pace(**{"concurrency": 1, **pace}))


class _Slow(Scripted):
    """Notes each request before it answers, and takes its time."""

    def __init__(self, log: Path) -> None:
        super().__init__(usual)
        self._log = log

    async def complete(self, request: Request[Any]) -> Any:
        with self._log.open("a", encoding="utf-8") as log:
            log.write(key_of(request) + "\n")
        await asyncio.sleep(0.03)
        return await super().complete(request)


async def _main(folder: Path, log: Path) -> None:
    company = Company()
    slow = _Slow(log)
    company.crew = Crew(slow, slow, slow, slow)
    await play(folder, company, concurrency=2)


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1]), Path(sys.argv[2])))
