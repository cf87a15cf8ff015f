"""The one retry policy, against scripted outcomes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from crisis_filter.backends.base import Finish, Reply
from crisis_filter.backends.parse import parse_answer, unanswered
from crisis_filter.backends.retrying import REMINDERS, Ask, RetryPolicy, Tally, persist
from crisis_filter.errors import BackendError
from crisis_filter.schema import Fault
from tests.backends.asking import Verdict, asking, verdict

QUICK = RetryPolicy(attempts=5, first_wait_s=0.001, longest_wait_s=0.002)
Outcome = Reply[Verdict] | BackendError


def failed(fault: Fault, *, retryable: bool = True, wait: float | None = None) -> BackendError:
    """An attempt without a reply."""
    return BackendError(fault, "test", retryable=retryable, retry_after_s=wait)


ANSWER = parse_answer(verdict(), asking())
BAD = parse_answer("{", asking())


class Sender:
    """Gives outcomes in turn, the last for ever, and keeps what was asked."""

    def __init__(self, outcomes: Sequence[Outcome | Exception]) -> None:
        self.outcomes = outcomes
        self.asks: list[Ask] = []

    async def __call__(self, ask: Ask, tally: Tally) -> Outcome:
        self.asks.append(ask)
        tally.requests += 1
        tally.prompt_tokens += 7
        outcome = self.outcomes[min(len(self.asks), len(self.outcomes)) - 1]
        if isinstance(outcome, Exception) and not isinstance(outcome, BackendError):
            raise outcome
        return outcome


async def run(*outcomes: Outcome | Exception, policy: RetryPolicy = QUICK, **request: Any) -> tuple[Outcome, Sender]:
    """Persist with scripted outcomes; an error is returned."""
    sender = Sender(outcomes)
    try:
        return await persist(sender, asking(**request), policy, np.random.default_rng(0)), sender
    except BackendError as error:
        return error, sender


@pytest.mark.parametrize(
    ("outcomes", "requests", "fault"),
    [
        ([ANSWER], 1, None),
        ([failed(Fault.SERVER_ERROR), ANSWER], 2, None),
        ([failed(Fault.SERVER_ERROR)], 3, Fault.SERVER_ERROR),
        ([failed(Fault.SERVER_ERROR, retryable=False)], 1, Fault.SERVER_ERROR),
        ([failed(Fault.BROKEN_REPLY)], 2, Fault.BROKEN_REPLY),
        ([failed(Fault.TIMEOUT)], 5, Fault.TIMEOUT),
        ([failed(Fault.RATE_LIMITED, wait=0.001)], 5, Fault.RATE_LIMITED),
        ([failed(Fault.MISCONFIGURED, retryable=False)], 1, Fault.MISCONFIGURED),
        ([BAD, ANSWER], 2, None),
        ([BAD], 2, Fault.BAD_JSON),
        ([BAD, failed(Fault.SERVER_ERROR), ANSWER], 3, None),
        ([BAD, failed(Fault.MISCONFIGURED, retryable=False)], 2, Fault.BAD_JSON),
        ([failed(Fault.SERVER_ERROR), BAD, ANSWER], 3, None),
        ([ValueError("secret")], 1, Fault.INTERNAL),
        ([TimeoutError()], 5, Fault.TIMEOUT),
    ],
)
async def test_how_often_it_is_tried(outcomes: list[Outcome | Exception], requests: int, fault: Fault | None) -> None:
    """Each kind of trouble is tried as often as it deserves, and ends as its own fault."""
    outcome, sender = await run(*outcomes)
    assert outcome.fault is fault
    assert len(sender.asks) == requests
    if isinstance(outcome, Reply):
        assert (outcome.attempts, outcome.prompt_tokens) == (requests, 7 * requests)


@pytest.mark.parametrize("attempts", [1, 2, 3])
async def test_the_budget_counts_re_asks_too(attempts: int) -> None:
    """No more requests than the budget, whatever they are for."""
    outcome, sender = await run(BAD, failed(Fault.TIMEOUT), policy=RetryPolicy(attempts=attempts, first_wait_s=0.001))
    assert len(sender.asks) == attempts
    assert outcome.fault is Fault.BAD_JSON


@pytest.mark.parametrize("fault", list(REMINDERS))
async def test_a_faulty_reply_is_asked_again_once(fault: Fault) -> None:
    """Each mendable fault gives one re-ask with a reminder; a truncated answer gets twice the room."""
    finish: Finish = "truncated" if fault is Fault.TRUNCATED else "malformed"
    outcome, sender = await run(unanswered(finish, fault, "test"))
    assert outcome.fault is fault
    assert [ask.reminder for ask in sender.asks] == [None, REMINDERS[fault]]
    assert [ask.max_output_tokens for ask in sender.asks] == [64, 128 if fault is Fault.TRUNCATED else 64]


@pytest.mark.parametrize("fault", [Fault.REFUSAL_FIELD, Fault.FILTER_FINISH, Fault.FILTER_PROMPT])
async def test_a_refusal_or_filter_is_final(fault: Fault) -> None:
    """What the model refused or a filter cut is not asked again."""
    finish: Finish = "refused" if fault is Fault.REFUSAL_FIELD else "filtered"
    _, sender = await run(unanswered(finish, fault, "test"))
    assert len(sender.asks) == 1


async def test_a_second_answer_cannot_take_a_positive_back() -> None:
    """A faulty answer that says `true` for the label is returned as it is instead of being asked for again."""
    positive = parse_answer(verdict(crisis=True, more=1), asking())
    outcome, sender = await run(positive, ANSWER, label_field="crisis")
    assert outcome.fault is Fault.SCHEMA
    assert len(sender.asks) == 1
    outcome, sender = await run(positive, ANSWER)
    assert outcome.fault is None


@pytest.mark.parametrize("claim", ["crisis", "present"])
@pytest.mark.parametrize(
    "first",
    [
        '{"CLAIM":"true"}',
        '{"CLAIM":1}',
        "{'CLAIM': True}",
        '{ "CLAIM" :true }',
        '"{\\"CLAIM\\": true}"',
        '{"inner": {"CLAIM": true, "severity": "imm',
    ],
)
async def test_a_misspelt_positive_is_not_taken_back_either(first: str, claim: str) -> None:
    """The claim is looked for without a label field, and however the faulty answer spells it."""
    positive = parse_answer(first.replace("CLAIM", claim), asking())
    outcome, sender = await run(positive, ANSWER, claim=claim)
    assert isinstance(outcome, Reply)
    assert (outcome.text, outcome.finish, len(sender.asks)) == (positive.text, "malformed", 1)


async def test_a_claim_comes_before_the_label_field() -> None:
    """When both are given, only the claim decides whether a faulty answer is asked again."""
    positive = parse_answer(verdict(crisis=True, more=1), asking())
    outcome, _ = await run(positive, ANSWER, label_field="crisis", claim="present")
    assert outcome.fault is None


async def test_a_wait_that_does_not_fit_ends_at_once() -> None:
    """A server that asks to wait beyond the deadline is not waited for."""
    loop = asyncio.get_running_loop()
    before = loop.time()
    outcome, sender = await run(failed(Fault.RATE_LIMITED, wait=60.0), deadline_s=5.0)
    assert loop.time() - before < 1.0
    assert outcome.fault is Fault.RATE_LIMITED
    assert len(sender.asks) == 1


async def test_a_wait_that_fits_is_waited() -> None:
    """A server that asks for a short wait gets it in full."""
    loop = asyncio.get_running_loop()
    before = loop.time()
    outcome, _ = await run(failed(Fault.RATE_LIMITED, wait=0.3), ANSWER)
    assert loop.time() - before >= 0.29
    assert outcome.fault is None


async def test_the_jitter_comes_from_the_generator() -> None:
    """The wait is uniform from zero to a limit that doubles, drawn from the generator that was given."""
    waits: list[float] = []
    loop = asyncio.get_running_loop()
    started = [loop.time()]

    async def send(_ask: Ask, tally: Tally) -> Outcome:
        tally.requests += 1
        waits.append(loop.time() - started[-1])
        started.append(loop.time())
        return failed(Fault.TIMEOUT)

    policy = RetryPolicy(attempts=4, first_wait_s=0.05, longest_wait_s=0.15)
    with pytest.raises(BackendError):
        await persist(send, asking(), policy, np.random.default_rng(7))
    rng = np.random.default_rng(7)
    expected = [rng.uniform(0, limit) for limit in (0.05, 0.1, 0.15)]
    assert all(wait >= drawn - 0.002 for wait, drawn in zip(waits[1:], expected, strict=True))
    assert sum(waits) < sum(expected) + 0.5


async def test_one_attempt_is_limited_too() -> None:
    """An attempt that hangs is given up after its own limit, and the next one may succeed."""
    calls = 0

    async def send(_ask: Ask, tally: Tally) -> Outcome:
        nonlocal calls
        calls += 1
        tally.requests += 1
        if calls == 1:
            await asyncio.sleep(3600)
        return ANSWER

    policy = RetryPolicy(attempts=3, attempt_timeout_s=0.05, first_wait_s=0.001)
    reply = await persist(send, asking(), policy, np.random.default_rng(0))
    assert (reply.finish, reply.attempts) == ("answered", 2)


@pytest.mark.parametrize("deadline_s", [0.0, -1.0, 0.05])
async def test_the_deadline_holds(deadline_s: float) -> None:
    """A call that hangs ends as a timeout at its deadline; one whose deadline has passed sends nothing."""
    asked = 0

    async def send(_ask: Ask, _tally: Tally) -> Outcome:
        nonlocal asked
        asked += 1
        await asyncio.sleep(3600)
        raise AssertionError

    loop = asyncio.get_running_loop()
    before = loop.time()
    with pytest.raises(BackendError) as caught:
        await persist(send, asking(deadline_s=deadline_s), QUICK, np.random.default_rng(0))
    assert loop.time() - before < max(deadline_s, 0.0) + 0.1
    assert caught.value.fault is Fault.TIMEOUT
    assert asked == (deadline_s > 0)


@pytest.mark.parametrize("first", [BAD, parse_answer("I can't help with that.", asking())])
async def test_a_faulty_reply_survives_the_deadline(first: Reply[Verdict]) -> None:
    """When a re-ask runs into the deadline, the reply that did come is returned, at the deadline."""

    async def send(ask: Ask, tally: Tally) -> Outcome:
        tally.requests += 1
        if ask.reminder:
            await asyncio.sleep(3600)
        return first

    loop = asyncio.get_running_loop()
    before = loop.time()
    reply = await persist(send, asking(deadline_s=0.3), QUICK, np.random.default_rng(0))
    assert 0.29 <= loop.time() - before < 0.4
    assert (reply.fault, reply.text, reply.attempts) == (first.fault, first.text, 2)


async def test_a_cancelled_call_is_cancelled() -> None:
    """Cancelling from outside is not taken for a deadline."""

    async def send(_ask: Ask, _tally: Tally) -> Outcome:
        await asyncio.sleep(3600)
        raise AssertionError

    task = asyncio.ensure_future(persist(send, asking(), QUICK, np.random.default_rng(0)))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_no_other_exception_travels_with_the_error() -> None:
    """The error that is raised has no cause and no context whose words could be printed."""
    with pytest.raises(BackendError) as caught:
        await persist(Sender([ValueError("secret")]), asking(), QUICK, np.random.default_rng(0))
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert caught.value.detail == "unexpected ValueError"
