"""A watch over the whole run: no words of any message that a test puts through the filter may turn up in a log.

Every logger is heard at every level. What is remembered of a test: the texts that pass through `CrisisFilter.assess`, the quotes
and reasons of its assessments, the words of every model's reply. After each test they are looked for in what was logged meanwhile.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
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


@pytest.fixture(autouse=True)
def _nothing_private_is_logged(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails after the test whose words were logged, and tells by which logger, not what."""
    yield
    loggers = WATCH.heard()
    if loggers and not request.node.nodeid.startswith(tuple(DELIBERATE)):
        pytest.fail(f"words of a message or an answer were logged by {', '.join(sorted(loggers))}", pytrace=False)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """What threads and destructors logged after the last test counts as well."""
    if WATCH.heard():
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How many exceptions `tests/injector.py` raised, and where."""
    injector = sys.modules.get("tests.injector")
    if injector is not None and injector.TALLY.kinds:
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in sorted(injector.TALLY.kinds.items()))
        terminalreporter.section("exceptions injected")
        terminalreporter.write_line(
            f"{injector.TALLY.kinds.total():,} at {len(injector.TALLY.places):,} places: {kinds}"
        )
