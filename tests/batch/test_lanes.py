"""Whichever lane and whatever wraps it: each HTTP request of a batch passes the gate, and the gate hears how it went."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from crisis_filter.backends.base import Reply
from crisis_filter.backends.spec import parse_backend
from crisis_filter.batch.lanes import lanes
from crisis_filter.errors import BackendError, Fault
from tests.backends.asking import asking, verdict
from tests.fault_server import chat, failure, serve_faults

NAMES = {
    "openai": {},
    "openai that must be fault-1": {"model_reported": "fault-1"},
    "langchain:openai": {},
}


@dataclass
class Book:
    """A gate that writes down."""

    entered: int = 0
    left: list[dict] = field(default_factory=list)

    async def enter(self, tokens):
        self.entered += 1

    def leave(self, **how):
        self.left.append(how)


async def ask(name, fast, *answers):
    """What a single link said, the gate's book, and the server's."""
    book = Book()
    async with serve_faults() as server:
        server.answer(*answers)
        spec = parse_backend(f"{name.split()[0]}:fault-1", base_url=server.url, **NAMES[name])
        backend = lanes(book, fast=fast)([spec])
        try:
            outcome = await backend.complete(asking())
        except BackendError as error:
            outcome = error
        finally:
            await backend.aclose()
        return outcome, book, len(server.received)


@pytest.mark.parametrize("fast", [True, False], ids=["fast", "ordinary"])
@pytest.mark.parametrize("name", NAMES)
async def test_every_request_passes_the_gate(name, fast):
    outcome, book, received = await ask(name, fast, failure(503), chat(verdict()))
    assert isinstance(outcome, Reply)
    assert (received, book.entered, len(book.left)) == (2, 2, 2)
    assert [how["failed"] for how in book.left] == [True, False]
    assert book.left[1]["tokens"] == 10


@pytest.mark.parametrize("fast", [True, False], ids=["fast", "ordinary"])
@pytest.mark.parametrize("name", NAMES)
async def test_a_refusal_because_of_the_rate_is_told(name, fast):
    outcome, book, _ = await ask(name, fast, failure(429, retry_after="20"))
    assert isinstance(outcome, BackendError)
    assert outcome.fault is Fault.RATE_LIMITED
    assert {(how["throttled"], how["failed"]) for how in book.left} == {(True, False)}
    assert book.left[-1]["retry_after_s"] == 20.0


@pytest.mark.parametrize("fast", [True, False], ids=["fast", "ordinary"])
async def test_a_server_that_is_another_model_than_expected_is_no_failure_of_the_rate(fast):
    answer = chat(verdict(), model="somebody-else")
    outcome, book, _ = await ask("openai that must be fault-1", fast, answer)
    assert outcome.fault is Fault.MODEL_DRIFT
    assert [(how["throttled"], how["failed"]) for how in book.left] == [(False, False)] * book.entered
