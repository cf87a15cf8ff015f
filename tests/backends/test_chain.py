"""Several endpoints as one, over links that say what the test says, and over a real server."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import numpy as np
import pytest

from crisis_filter.backends.base import Reply, Request
from crisis_filter.backends.breaker import BreakerPolicy
from crisis_filter.backends.chain import Chain
from crisis_filter.backends.parse import parse_answer, unanswered
from crisis_filter.errors import FAULTS, BackendError, Fault
from tests.backends.asking import Verdict, asking, open_openai, verdict
from tests.fault_server import Answer, FaultServer, chat, failure, serve_faults

ANSWER = parse_answer(verdict(), asking())
POSITIVE = parse_answer('{"crisis": true, "extra": 1}', asking())
REFUSED: Reply[Verdict] = unanswered("refused", Fault.REFUSAL_FIELD, "the model refused")
BAD = parse_answer("{", asking())


def error(fault: Fault, *, wait: float | None = None, retryable: bool = True) -> BackendError:
    one = BackendError(fault, "test", retryable=retryable, retry_after_s=wait)
    one.attempts = 1
    return one


class Link:
    """Gives outcomes in turn, the last for ever, after `pause_s`."""

    def __init__(self, name: str, *outcomes: Any, pause_s: float = 0.0) -> None:
        self.name = name
        self.outcomes = outcomes
        self.asked: list[Request[Any]] = []
        self.closed = 0
        self._pause_s = pause_s

    async def complete(self, request: Request[Any]) -> Reply[Any]:
        self.asked.append(request)
        await asyncio.sleep(self._pause_s)
        outcome = self.outcomes[min(len(self.asked), len(self.outcomes)) - 1]
        if isinstance(outcome, BackendError):  # a new one each time: what catches it counts its attempts into it
            raise error(outcome.fault, wait=outcome.retry_after_s, retryable=outcome.retryable)
        return outcome

    async def aclose(self) -> None:
        self.closed += 1


def chain(*links: Any, **options: Any) -> Chain:
    return Chain(links, rng=np.random.default_rng(0), **options)


async def outcome_of(one: Chain, **request: Any) -> Reply[Verdict] | BackendError:
    try:
        return await one.complete(asking(**request))
    except BackendError as raised:
        return raised


@pytest.mark.parametrize("fault", [fault for fault, rule in FAULTS.items() if rule.next_link])
async def test_whatever_the_first_fails_with_the_second_answers(fault):
    """No fault of one endpoint keeps the next from being asked, and the answer says who gave it."""
    first = REFUSED if fault is Fault.REFUSAL_FIELD else error(fault, retryable=FAULTS[fault].retry == "transport")
    reply = await outcome_of(chain(Link("a", first), Link("b", ANSWER)))
    assert isinstance(reply, Reply)
    assert (reply.finish, reply.link, reply.degraded) == ("answered", "b", True)
    assert reply.troubles == (("a", Fault.REFUSAL_FIELD if isinstance(first, Reply) else fault),)


async def test_what_no_endpoint_can_mend_is_asked_of_nobody_else():
    """A fault of the text or of the engine would only be repeated."""
    second = Link("b", ANSWER)
    end = await outcome_of(chain(Link("a", error(Fault.LOCAL_MODEL)), second))
    assert (end.fault, second.asked) == (Fault.LOCAL_MODEL, [])


async def test_an_answer_of_the_first_is_not_degraded():
    """And nobody else is asked."""
    second = Link("b", ANSWER)
    reply = await outcome_of(chain(Link("a", ANSWER), second))
    assert isinstance(reply, Reply)
    assert (reply.link, reply.degraded, reply.troubles, second.asked) == ("a", False, (), [])


async def test_a_positive_in_a_broken_answer_is_not_asked_again():
    """A second endpoint must not be able to take it back."""
    second = Link("b", ANSWER)
    reply = await outcome_of(chain(Link("a", POSITIVE), second), claim="crisis")
    assert isinstance(reply, Reply)
    assert (reply.fault, second.asked) == (Fault.SCHEMA, [])


@pytest.mark.parametrize(
    ("first", "second", "fault"),
    [
        (REFUSED, BAD, Fault.REFUSAL_FIELD),
        (BAD, REFUSED, Fault.REFUSAL_FIELD),
        (BAD, error(Fault.SERVER_ERROR), Fault.BAD_JSON),
        (error(Fault.SERVER_ERROR), REFUSED, Fault.REFUSAL_FIELD),
        (error(Fault.MISCONFIGURED, retryable=False), error(Fault.RATE_LIMITED, retryable=False), Fault.MISCONFIGURED),
    ],
)
async def test_the_most_telling_failure_is_what_comes_back(first, second, fault):
    """A refusal or a filter before a broken answer, a reply before none, the primary's fault before the others'."""
    end = await outcome_of(chain(Link("a", first), Link("b", second)), deadline_s=0.5)
    assert end.fault is fault


@pytest.mark.parametrize(
    ("outcomes", "requests", "answered"),
    [
        ([error(Fault.SERVER_ERROR), ANSWER], 2, True),
        ([error(Fault.SERVER_ERROR), error(Fault.SERVER_ERROR), ANSWER], 3, True),
        ([error(Fault.SERVER_ERROR)], 3, False),
        ([error(Fault.BROKEN_REPLY)], 2, False),
        ([error(Fault.MISCONFIGURED, retryable=False)], 1, False),
        ([error(Fault.RATE_LIMITED, wait=0.01), ANSWER], 2, True),
        ([error(Fault.RATE_LIMITED, wait=86400.0), ANSWER], 1, False),
    ],
)
async def test_a_single_endpoint_is_retried_as_the_table_of_faults_says(outcomes, requests, answered):
    """One failure, two, for ever; a wait that fits into the deadline and one that does not."""
    link = Link("a", *outcomes)
    end = await outcome_of(chain(link))
    assert len(link.asked) == requests
    assert isinstance(end, Reply) is answered


async def test_retries_are_shared():
    """Three endpoints that are down see five requests between them, not nine, and each sees at least one."""
    links = [Link(name, error(Fault.SERVER_ERROR)) for name in "abc"]
    end = await outcome_of(chain(*links))
    counts = [len(link.asked) for link in links]
    assert isinstance(end, BackendError)
    assert sum(counts) == end.attempts == 5
    assert min(counts) >= 1
    assert len(end.troubles) == 5


async def test_a_hung_endpoint_leaves_time_for_the_next():
    """The deadline is shared out, not spent on the first."""
    started = time.perf_counter()
    hung = Link("a", ANSWER, pause_s=30)

    class Obeying(Link):
        async def complete(self, request):
            async with asyncio.timeout(request.deadline_s):
                return await super().complete(request)

    obeying = Obeying("a", ANSWER, pause_s=30)
    obeying_error = Link("b", ANSWER)

    class Converting:
        name = "a"

        async def complete(self, request):
            try:
                return await obeying.complete(request)
            except TimeoutError:
                raise error(Fault.TIMEOUT) from None

        async def aclose(self):
            pass

    reply = await outcome_of(chain(Converting(), obeying_error), deadline_s=0.6)
    assert isinstance(reply, Reply)
    assert (reply.link, reply.degraded) == ("b", True)
    assert 0.2 < time.perf_counter() - started < 0.6
    # One that does not keep its share is stopped by the deadline of the whole.
    started = time.perf_counter()
    end = await outcome_of(chain(hung), deadline_s=0.3)
    assert isinstance(end, BackendError)
    assert (end.fault, time.perf_counter() - started < 0.4) == (Fault.TIMEOUT, True)


async def test_an_open_breaker_costs_nothing():
    """An endpoint that is down is skipped, and a chain of such ones says so at once, with the fault that opened it."""
    down, up = Link("a", error(Fault.TIMEOUT)), Link("b", ANSWER)
    one = chain(down, up)
    for _ in range(20):
        await outcome_of(one)
    assert len(down.asked) == 5
    alone = chain(Link("a", error(Fault.TIMEOUT)), attempts=1)
    for _ in range(5):
        await outcome_of(alone)
    took = []
    for _ in range(5):  # the machine may be busy with something else once
        started = time.perf_counter()
        end = await outcome_of(alone)
        took.append(time.perf_counter() - started)
        assert isinstance(end, BackendError)
        assert (end.fault, end.attempts) == (Fault.TIMEOUT, 0)
    assert min(took) < 0.05


async def test_content_never_opens_a_breaker():
    """A hundred refusals and a hundred broken answers leave the endpoint in use."""
    for reply in (REFUSED, BAD):
        link = Link("a", reply)
        one = chain(link)
        for _ in range(100):
            await outcome_of(one)
        assert len(link.asked) == 100


async def test_it_heals():
    """A probe finds the endpoint well, and the next calls go to it again."""
    clock = [0.0]
    link = Link("a", *[error(Fault.BROKEN_REPLY)] * 5, ANSWER)
    one = chain(link, Link("b", ANSWER), attempts=1, policy=BreakerPolicy(open_s=2.0), clock=lambda: clock[0])
    for _ in range(8):
        assert (await outcome_of(one)).degraded  # type: ignore[union-attr]
    clock[0] = 2.1
    reply = await outcome_of(one)
    assert isinstance(reply, Reply)
    assert (reply.link, reply.degraded) == ("a", False)


async def test_a_cancelled_probe_does_not_keep_the_door_shut():
    """Somebody who gives up waiting leaves the endpoint as it was."""
    clock = [0.0]
    link = Link("a", *[error(Fault.BROKEN_REPLY)] * 5, ANSWER, pause_s=0.01)
    one = chain(link, attempts=1, clock=lambda: clock[0])
    for _ in range(5):
        await outcome_of(one)
    clock[0] = 2.1
    task = asyncio.create_task(outcome_of(one))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert isinstance(await outcome_of(one), Reply)


@pytest.mark.usefixtures("lane")
async def test_the_filter_that_names_danger_is_remembered():
    """Also where another endpoint then answers."""
    body = {
        "code": "content_filter",
        "innererror": {"content_filter_result": {"self_harm": {"filtered": True, "severity": "high"}}},
    }
    async with serve_faults() as first, serve_faults() as second:
        first.answer(failure(400, body))
        second.answer(chat(verdict()))
        one = chain(open_openai(first.url), open_openai(second.url))
        reply = await outcome_of(one)
        await one.aclose()
        assert isinstance(reply, Reply)
        assert (reply.finish, reply.danger, reply.troubles[0][1]) == ("answered", True, Fault.FILTER_PROMPT)
        assert len(first.received) == 1


@pytest.mark.usefixtures("lane")
async def test_a_refused_connection_is_passed_over_quickly(server: FaultServer):
    """The second endpoint is asked within 50 ms of the first one's failure."""
    server.answer(chat(verdict()))
    one = chain(open_openai("http://127.0.0.1:9/v1"), open_openai(server.url))
    await outcome_of(one)  # opens the connection
    took = []
    for _ in range(3):  # the machine may be busy with something else once; five in a row would open the breaker
        started = time.perf_counter()
        reply = await outcome_of(one)
        took.append(time.perf_counter() - started)
        assert isinstance(reply, Reply)
        assert reply.finish == "answered"
    await one.aclose()
    assert min(took) < 0.05


@pytest.mark.usefixtures("lane")
@pytest.mark.parametrize(("failures", "seen", "answered"), [(1, 2, True), (2, 3, True), (9, 3, False)])
async def test_a_server_sees_three_requests_at_most(server: FaultServer, failures, seen, answered):
    """HTTP 503 once, twice, for ever."""
    server.answer(*[failure(503)] * failures, chat(verdict()))
    one = chain(open_openai(server.url))
    end = await outcome_of(one)
    await one.aclose()
    assert (len(server.received), isinstance(end, Reply)) == (seen, answered)


@pytest.mark.usefixtures("lane")
async def test_a_used_up_quota_is_not_retried(server: FaultServer):
    """It is no outage: the operator must act."""
    server.answer(failure(429, {"code": "insufficient_quota"}, retry_after="0"))
    one = chain(open_openai(server.url))
    end = await outcome_of(one)
    await one.aclose()
    assert (end.fault, len(server.received)) == (Fault.MISCONFIGURED, 1)


@pytest.mark.usefixtures("lane")
async def test_an_endpoint_that_flaps_sees_one_probe_at_a_time():
    """Up and down by turns: nothing is lost, and while the breaker is open only probes arrive."""
    async with serve_faults() as flapping, serve_faults() as steady:
        started = time.monotonic()

        def by_turns(_: object) -> Answer:
            return chat(verdict()) if int((time.monotonic() - started) / 0.25) % 2 else failure(503)

        flapping.answer(by_turns)
        steady.answer(chat(verdict()))
        one = chain(open_openai(flapping.url), open_openai(steady.url), policy=BreakerPolicy(open_s=0.1))
        replies: list[Reply[Verdict] | BackendError] = []
        while time.monotonic() - started < 2.0:
            replies += await asyncio.gather(*(outcome_of(one) for _ in range(5)))
        await one.aclose()
    assert all(isinstance(reply, Reply) and reply.finish == "answered" for reply in replies)
    assert {reply.link for reply in replies if isinstance(reply, Reply)} == {"openai:fault-1"}
    assert 0.1 < np.mean([reply.degraded for reply in replies if isinstance(reply, Reply)]) < 0.95


async def test_closing_closes_every_link():
    """And a chain of nobody is a mistake."""
    links = [Link("a", ANSWER), Link("b", ANSWER)]
    one = chain(*links)
    assert one.name == "a > b"
    await one.aclose()
    assert [link.closed for link in links] == [1, 1]
    with pytest.raises(ValueError, match="at least one"):
        chain()
