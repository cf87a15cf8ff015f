"""A watch over the whole run: no words of any message that a test puts through the filter may turn up in a log.

Every logger is heard at every level. What is remembered of a test: the texts that pass through `CrisisFilter.assess`, the quotes
and reasons of its assessments, the words of every model's reply. After each test they are looked for in what was logged meanwhile.
"""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

import pytest

from crisis_filter.backends.base import Reply
from crisis_filter.pipeline.filter import CrisisFilter
from crisis_filter.schema import Assessment, Finding, Message, Screening
from tests.watch import Watch

DELIBERATE = {
    "tests/backends/test_silence.py": "logs words on purpose, to see that they are taken away in our calls and left outside them",
}
"""Test files that may log the words of a reply, and why."""

WATCH = Watch()
HEARD_BY_WORKERS: list[object] = []


@dataclass(slots=True)
class Injected:
    """What `tests/injector.py` raised, in this process or in the workers."""

    kinds: Counter[str] = field(default_factory=Counter)
    places: set[str] = field(default_factory=set)


INJECTED = Injected()


def pytest_configure() -> None:
    """Listen from the start, before anything is imported that logs."""
    root = logging.getLogger()
    root.addHandler(WATCH)
    root.setLevel(logging.DEBUG)
    assess, checked = CrisisFilter.assess, Reply.__post_init__

    @wraps(assess)
    async def remembering(self: CrisisFilter, message: Message) -> Assessment:
        WATCH.remember(getattr(message, "text", None))
        assessment = await assess(self, message)
        parts: tuple[Screening | Finding, ...] = (assessment.screen, *assessment.findings)
        for part in parts:
            WATCH.remember(part.rationale)
            for evidence in part.evidence:
                WATCH.remember(evidence.quote)
        return assessment

    @wraps(checked)
    def replied(self: Reply[Any]) -> None:
        WATCH.remember(self.text)
        checked(self)

    CrisisFilter.assess = remembering  # type: ignore[method-assign]
    Reply.__post_init__ = replied  # type: ignore[method-assign]


# `make test-system` looks nowhere else: to collect every test takes half a minute.
SYSTEM = ("tests/system/", "tests/store/", "tests/delivery/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuses a test of the system where nobody would run it."""
    for item in items:
        if item.get_closest_marker("system") is not None and not item.nodeid.startswith(SYSTEM):
            raise pytest.UsageError(f"{item.nodeid} is marked system and lies in none of {', '.join(SYSTEM)}")


@pytest.fixture(autouse=True)
def _nothing_private_is_logged(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails after the test whose words were logged, and tells by which logger, not what."""
    yield
    loggers = WATCH.heard()
    if loggers and not request.node.nodeid.startswith(tuple(DELIBERATE)):
        pytest.fail(f"words of a message or an answer were logged by {', '.join(sorted(loggers))}", pytrace=False)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """What threads and destructors logged after the last test counts as well; a worker of a parallel run reports it to the run."""
    injector = sys.modules.get("tests.injector")
    heard, tally = bool(WATCH.heard()), injector.TALLY if injector is not None else None
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["heard"] = heard
        output["injected"] = (dict(tally.kinds), sorted(tally.places)) if tally is not None else ({}, [])
        return
    if tally is not None:
        INJECTED.kinds.update(tally.kinds)
        INJECTED.places.update(tally.places)
    if heard or HEARD_BY_WORKERS:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """What a worker of a parallel run (pytest-xdist) reported when it ended; one that died reports nothing and fails the run itself."""
    output = getattr(node, "workeroutput", None) or {}
    if output.get("heard"):
        HEARD_BY_WORKERS.append(node)
    kinds, places = output.get("injected", ({}, []))
    INJECTED.kinds.update(kinds)
    INJECTED.places.update(places)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How many exceptions `tests/injector.py` raised, and where."""
    if INJECTED.kinds:
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in sorted(INJECTED.kinds.items()))
        terminalreporter.section("exceptions injected")
        terminalreporter.write_line(f"{INJECTED.kinds.total():,} at {len(INJECTED.places):,} places: {kinds}")
    if HEARD_BY_WORKERS:
        terminalreporter.write_line("words of a message or an answer were logged after the last test of a worker")
