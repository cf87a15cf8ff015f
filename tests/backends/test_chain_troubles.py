"""What one link's trouble costs the others: requests, waiting, bugs; and what of it is remembered."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest

from crisis_filter.backends.base import Reply, Request
from crisis_filter.errors import BackendError, Fault
from tests.backends.asking import Verdict, open_openai, verdict
from tests.backends.test_chain import ANSWER, BAD, Link, chain, error, outcome_of
from tests.fault_server import FaultServer, chat, failure, serve_faults


async def test_every_link_is_asked_once_whatever_the_others_cost():
    """One that spends requests on finding out what its server supports takes none from the next."""
    links = [Link(name, _with_attempts(BAD, 5)) for name in "abc"]
    await outcome_of(chain(*links, Link("d", ANSWER), attempts=1))
    assert [len(link.asked) for link in links] == [1, 1, 1]


async def test_nobody_waits_when_no_request_is_left():
    """A `Retry-After` of four seconds that nobody will use is not slept through."""
    one = chain(Link("a", error(Fault.RATE_LIMITED, wait=4.0)), attempts=1)
    started = time.perf_counter()
    end = await outcome_of(one)
    assert isinstance(end, BackendError)
    assert (end.fault, end.retryable) == (Fault.RATE_LIMITED, False)
    assert time.perf_counter() - started < 1


async def test_a_link_that_asked_for_time_gets_it():
    """Also where another link may be asked again at once, and where another's breaker is open."""
    loop = asyncio.get_running_loop()
    seen: list[float] = []

    class Patient(Link):
        async def complete(self, request: Request[Any]) -> Reply[Any]:
            seen.append(loop.time())
            return await super().complete(request)

    patient = Patient("a", error(Fault.RATE_LIMITED, wait=0.6), ANSWER)
    hasty = Link("b", error(Fault.SERVER_ERROR))
    reply = await outcome_of(chain(patient, hasty, attempts=4))
    assert isinstance(reply, Reply)
    assert reply.link == "a"
    assert seen[1] - seen[0] >= 0.58
    seen.clear()
    down = Link("b", error(Fault.TIMEOUT))
    one = chain(Patient("a", error(Fault.RATE_LIMITED, wait=0.6), ANSWER), down)
    for _ in range(5):
        one.breakers[1].admit().report(Fault.TIMEOUT)  # type: ignore[union-attr]
    assert isinstance(await outcome_of(one), Reply)
    assert seen[1] - seen[0] >= 0.58


async def test_a_bug_in_one_link_is_no_reason_not_to_ask_the_next():
    """Its type alone is told."""

    class Buggy(Link):
        async def complete(self, request: Request[Any]) -> Reply[Any]:
            raise KeyError("MARKER")

    reply = await outcome_of(chain(Buggy("a"), Link("b", ANSWER)))
    assert isinstance(reply, Reply)
    assert (reply.link, reply.troubles) == ("b", (("a", Fault.INTERNAL),))
    end = await outcome_of(chain(Buggy("a")))
    assert isinstance(end, BackendError)
    assert "MARKER" not in repr(end) + end.detail


async def test_closing_one_link_that_fails_closes_the_others():
    """And the failure is told."""

    class Stuck(Link):
        async def aclose(self) -> None:
            raise RuntimeError("cannot close")

    last = Link("b", ANSWER)
    with pytest.raises(RuntimeError, match="cannot close"):
        await chain(Stuck("a", ANSWER), last).aclose()
    assert last.closed == 1


@pytest.mark.usefixtures("lane")
async def test_a_refusal_that_was_mended_is_remembered(server: FaultServer):
    """A model that first refused and then answered leaves its sign."""
    server.answer(chat("I'm sorry, I can't help with that."), chat(verdict()))
    one = chain(open_openai(server.url))
    reply = await outcome_of(one)
    await one.aclose()
    assert isinstance(reply, Reply)
    assert (reply.finish, [fault for _, fault in reply.troubles]) == ("answered", [Fault.REFUSAL_PROSE])


@pytest.mark.usefixtures("lane")
async def test_an_attack_that_a_filter_found_is_remembered(server: FaultServer):
    """The next endpoint's "not crisis" comes with it."""
    blocked = {"code": "content_filter", "innererror": {"content_filter_result": {"jailbreak": {"detected": True}}}}
    async with serve_faults() as first:
        first.answer(failure(400, blocked))
        server.answer(chat(verdict()))
        one = chain(open_openai(first.url), open_openai(server.url))
        reply = await outcome_of(one)
        await one.aclose()
    assert isinstance(reply, Reply)
    assert (reply.finish, reply.attack, reply.danger) == ("answered", True, False)


def _with_attempts(reply: Reply[Verdict], attempts: int) -> Reply[Verdict]:
    return replace(reply, attempts=attempts)
