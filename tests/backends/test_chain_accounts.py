"""What a chain asks of its links, how it shares time and requests, and what it tells of those that failed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from crisis_filter.backends.base import Reply
from crisis_filter.backends.breaker import BreakerPolicy
from crisis_filter.errors import BackendError, Fault
from tests.backends.asking import asking
from tests.backends.test_chain import ANSWER, BAD, REFUSED, Link, chain, error, outcome_of

STILL = {"clock": lambda: 100.0}
"""A clock that stands, so that shares of time come out exactly."""


def opened(*links: Link, **options: Any):
    """A chain whose first link's breaker has opened with a server error."""
    one = chain(*links, policy=BreakerPolicy(consecutive=1), **{**STILL, **options})
    permit = one.breakers[0].admit()
    assert permit is not None
    permit.report(Fault.SERVER_ERROR)
    return one


async def test_each_link_gets_its_share_of_the_time_and_the_last_what_is_left():
    """A little is kept back, so that the link gives up before the call does."""
    links = [Link("a", BAD), Link("b", BAD), Link("c", ANSWER)]
    await outcome_of(chain(*links, **STILL), deadline_s=6.02)
    assert [link.asked[0].deadline_s for link in links] == pytest.approx([2.0, 3.0, 6.0])


async def test_a_link_that_is_down_gets_no_share():
    """What would have been its time is the others'; one that is due for a probe does get its share."""
    down, links = Link("a", ANSWER), [Link("b", BAD), Link("c", ANSWER)]
    one = opened(down, *links)
    await outcome_of(one, deadline_s=6.02)
    assert [link.asked[0].deadline_s for link in links] == pytest.approx([3.0, 6.0])
    assert down.asked == []
    now = [100.0]
    last = Link("b", BAD)
    probed = chain(
        Link("a", BAD), last, policy=BreakerPolicy(consecutive=1, open_s=2.0), clock=lambda: now[0], attempts=1
    )
    permit = probed.breakers[1].admit()
    assert permit is not None
    permit.report(Fault.TIMEOUT)
    await outcome_of(probed, deadline_s=6.02)
    now[0] += 2.0
    await outcome_of(probed, deadline_s=6.02)
    first = probed.links[0]
    assert isinstance(first, Link)
    assert [request.deadline_s for request in first.asked] == pytest.approx([6.0, 3.0])


async def test_a_link_is_asked_what_the_call_asks_with_the_requests_that_are_left():
    """It is not to wait between them: the chain does that for all. One request is kept for each link not asked yet."""
    first, second = Link("a", replace(BAD, attempts=2)), Link("b", ANSWER)
    await outcome_of(chain(first, second, attempts=3, **STILL), claim="crisis", max_output_tokens=99)
    assert [request.attempts for request in (*first.asked, *second.asked)] == [3, 2]
    for request in (*first.asked, *second.asked):
        assert replace(request, deadline_s=10.0, attempts=None, patient=True) == asking(
            claim="crisis", max_output_tokens=99
        )
        assert request.patient is False


@pytest.mark.parametrize(("attempts", "most"), [(1, 3), (2, 4), (5, 7)])
async def test_the_budget_is_one_request_a_link_and_the_retries(attempts, most):
    """Three links, all down: each is asked once, and the retries are shared."""
    links = [Link(name, error(Fault.OVERLOAD, wait=0.0)) for name in "abc"]
    end = await outcome_of(chain(*links, attempts=attempts, **STILL))
    assert isinstance(end, BackendError)
    assert (end.attempts, sum(len(link.asked) for link in links)) == (most, most)


async def test_three_attempts_unless_told():
    """For one link that is overloaded."""
    link = Link("a", error(Fault.OVERLOAD, wait=0.0))
    await outcome_of(chain(link))
    assert len(link.asked) == 3


async def test_requests_and_tokens_of_all_links_are_counted():
    """Also of those that did not answer, and of a link that sent none."""
    first = Link("a", replace(BAD, attempts=2, prompt_tokens=10, completion_tokens=3))
    second = Link("b", replace(ANSWER, attempts=1, prompt_tokens=20, completion_tokens=4))
    reply = await outcome_of(chain(first, second))
    assert isinstance(reply, Reply)
    assert (reply.attempts, reply.prompt_tokens, reply.completion_tokens) == (3, 30, 7)


async def test_a_broken_answer_that_is_kept_has_the_requests_of_all_links():
    """The second link failed without a reply."""
    failing = error(Fault.MISCONFIGURED, retryable=False)
    reply = await outcome_of(chain(Link("a", replace(BAD, attempts=2)), Link("b", failing)))
    assert isinstance(reply, Reply)
    assert (reply.fault, reply.attempts, reply.link, reply.degraded) == (Fault.BAD_JSON, 3, "a", False)
    assert reply.troubles == (("a", Fault.BAD_JSON), ("b", Fault.MISCONFIGURED))


async def test_a_link_that_is_down_is_among_the_troubles():
    """With the fault that opened its breaker; the answer of the next is degraded."""
    reply = await outcome_of(opened(Link("a", ANSWER), Link("b", ANSWER)))
    assert isinstance(reply, Reply)
    assert (reply.troubles, reply.link, reply.degraded) == ((("a", Fault.SERVER_ERROR),), "b", True)


async def test_a_chain_of_links_that_are_down_says_so():
    """In fixed words, with the fault of the first, and without another round."""
    end = await outcome_of(opened(Link("a", ANSWER)))
    assert isinstance(end, BackendError)
    assert (end.fault, end.detail, end.retryable) == (
        Fault.SERVER_ERROR,
        "the circuit of the endpoint is open",
        False,
    )
    assert (end.attempts, end.troubles) == (0, (("a", Fault.SERVER_ERROR),))


async def test_the_first_links_trouble_is_the_one_that_is_told():
    """What opened its breaker goes before what the second failed with, and its own fault before another's breaker."""
    failing = error(Fault.MISCONFIGURED, retryable=False)
    down_first = await outcome_of(opened(Link("a", ANSWER), Link("b", failing)))
    assert down_first.fault is Fault.SERVER_ERROR
    one = chain(Link("a", failing), Link("b", ANSWER), policy=BreakerPolicy(consecutive=1), **STILL)
    permit = one.breakers[1].admit()
    assert permit is not None
    permit.report(Fault.TIMEOUT)
    end = await outcome_of(one)
    assert isinstance(end, BackendError)
    assert (end.fault, end.detail) == (Fault.MISCONFIGURED, "test")
    assert end.troubles[:2] == (("a", Fault.MISCONFIGURED), ("b", Fault.TIMEOUT))


async def test_a_time_out_without_a_fair_share_says_nothing_of_the_endpoint():
    """Less than a tenth of a second is not enough for any; with more, a time-out opens the breaker."""
    for deadline_s, state in ((0.11, "closed"), (0.13, "open")):
        one = chain(Link("a", error(Fault.TIMEOUT)), policy=BreakerPolicy(consecutive=1), attempts=1, **STILL)
        end = await outcome_of(one, deadline_s=deadline_s)
        assert (end.fault, one.breakers[0].state) == (Fault.TIMEOUT, state)
    hurried = chain(Link("a", error(Fault.SERVER_ERROR)), policy=BreakerPolicy(consecutive=1), attempts=1, **STILL)
    await outcome_of(hurried, deadline_s=0.11)
    assert hurried.breakers[0].state == "open"


async def test_any_reply_says_that_the_endpoint_works():
    """A refusal ends a row of failures."""
    outcomes = [error(Fault.SERVER_ERROR), REFUSED, error(Fault.SERVER_ERROR), REFUSED]
    one = chain(Link("a", *outcomes), policy=BreakerPolicy(consecutive=2), attempts=1, **STILL)
    for _ in outcomes:
        await outcome_of(one)
    assert one.breakers[0].state == "closed"


@pytest.mark.parametrize(
    ("waits", "asked"),
    [
        ((0.0, 0.0), 4),
        ((0.0, 86_400.0), 4),
        ((86_400.0, 86_400.0), 2),
        ((86_400.0, None), 3),
    ],
)
async def test_the_chain_waits_as_long_as_the_most_patient_of_all_asks_for_least(waits, asked):
    """The shortest wait of those that named one, where all did; otherwise its own."""
    links = [
        Link(
            name, error(Fault.RATE_LIMITED, wait=wait), ANSWER if wait is None else error(Fault.RATE_LIMITED, wait=wait)
        )
        for name, wait in zip("ab", waits, strict=True)
    ]
    await outcome_of(chain(*links, attempts=3, **STILL), deadline_s=30.0)
    assert sum(len(link.asked) for link in links) == asked


async def test_a_refusal_is_not_displaced_by_a_later_one():
    """Nor by a broken answer; the first of the most telling comes back."""
    first, second = replace(REFUSED, detail="first"), replace(REFUSED, detail="second")
    for links in ([first, second], [BAD, first, second], [first, BAD, second]):
        reply = await outcome_of(chain(*(Link(str(at), one) for at, one in enumerate(links))))
        assert isinstance(reply, Reply)
        assert reply.detail == "first"


@pytest.mark.parametrize("what", ["danger", "attack"])
@pytest.mark.parametrize("named", [(True, False), (False, True), (True, True), (False, False)])
async def test_what_any_links_filter_named_stays_named(what, named):
    """Danger to life, or an attack: whichever reply comes back, and where another link answers."""
    refusing = [Link(str(at), replace(REFUSED, **{what: one})) for at, one in enumerate(named)]
    for links in (refusing, [*refusing, Link("last", ANSWER)]):
        reply = await outcome_of(chain(*links))
        assert isinstance(reply, Reply)
        assert getattr(reply, what) is any(named)
        assert (reply.danger or reply.attack) is any(named)


async def test_a_fault_that_no_endpoint_can_mend_ends_the_call_at_once():
    """Also where it comes second, and where the first could have been asked again."""
    first, second = Link("a", error(Fault.SERVER_ERROR)), Link("b", error(Fault.LOCAL_MODEL, retryable=False))
    third = Link("c", ANSWER)
    end = await outcome_of(chain(first, second, third))
    assert isinstance(end, BackendError)
    assert (len(first.asked), len(second.asked), len(third.asked)) == (1, 1, 0)
    assert end.fault is Fault.SERVER_ERROR


async def test_when_the_time_is_up_nobody_is_asked():
    """The call ends as a time-out in its own words."""
    now = iter([0.0, *[11.0] * 9])
    link = Link("a", ANSWER)
    end = await outcome_of(chain(link, clock=lambda: next(now)), deadline_s=10.0)
    assert isinstance(end, BackendError)
    assert (end.fault, end.detail, end.retryable, link.asked) == (Fault.TIMEOUT, "the deadline passed", False, [])


async def test_a_link_that_mends_is_taken_in_a_later_round():
    """The others' failures stay on the record, in order."""
    mending = Link("a", error(Fault.OVERLOAD, wait=0.0), ANSWER)
    failing = Link("b", error(Fault.OVERLOAD, wait=0.0))
    reply = await outcome_of(chain(mending, failing))
    assert isinstance(reply, Reply)
    assert (reply.link, reply.degraded, reply.attempts) == ("a", False, 3)
    assert reply.troubles == (("a", Fault.OVERLOAD), ("b", Fault.OVERLOAD))


async def test_a_cancelled_call_gives_its_permit_back():
    """So that a probe that nobody waits for does not keep the door shut."""
    now = [100.0]
    one = chain(Link("a", ANSWER, pause_s=30), policy=BreakerPolicy(consecutive=1, open_s=2.0), clock=lambda: now[0])
    permit = one.breakers[0].admit()
    assert permit is not None
    permit.report(Fault.TIMEOUT)
    now[0] += 2.0
    task = asyncio.create_task(outcome_of(one))
    await asyncio.sleep(0.05)
    assert one.breakers[0].admit() is None
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert one.breakers[0].admit() is not None


class Buggy(Link):
    """A link with a bug of its own."""

    async def complete(self, request: Any) -> Any:
        self.asked.append(request)
        raise LookupError("MARKER")


async def test_a_bug_in_one_link_is_no_reason_not_to_ask_the_next():
    """It is told by its kind alone, and the link with the bug is not asked again."""
    buggy = Buggy("a")
    reply = await outcome_of(chain(buggy, Link("b", ANSWER)))
    assert isinstance(reply, Reply)
    assert (reply.link, reply.troubles) == ("b", (("a", Fault.INTERNAL),))
    end = await outcome_of(chain(buggy))
    assert isinstance(end, BackendError)
    assert (end.fault, end.detail, end.retryable) == (Fault.INTERNAL, "unexpected LookupError", False)
    assert (len(buggy.asked), end.troubles) == (2, (("a", Fault.INTERNAL),))


async def test_every_link_is_closed_though_one_fails_at_it():
    """And the failure is told when all have been."""

    class Closing(Link):
        async def aclose(self) -> None:
            if self.name == "a":
                raise OSError("first")
            await asyncio.sleep(0.01)
            await super().aclose()

    links = [Closing("a"), Closing("b")]
    with pytest.raises(OSError, match="first"):
        await chain(*links).aclose()
    assert links[1].closed == 1


@pytest.mark.parametrize(
    ("used", "attempts", "allowed"),
    [((1, 1), 3, [3, 3, 3]), ((2, 1), 3, [3, 2, 2]), ((3, 1), 3, [3, 1, 1]), ((1, 1), 1, [1, 1, 1])],
)
async def test_what_a_link_used_is_no_longer_the_others(used, attempts, allowed):
    """One request is kept for each that was not asked yet."""
    links = [*(Link(str(at), replace(BAD, attempts=one)) for at, one in enumerate(used)), Link("last", ANSWER)]
    await outcome_of(chain(*links, attempts=attempts, **STILL))
    assert [link.asked[0].attempts for link in links] == allowed


async def test_one_link_is_asked_as_often_as_the_chain_may():
    """Five times where that was said; the words are those of its own last failure."""
    link = Link("a", error(Fault.OVERLOAD, wait=0.0))
    end = await outcome_of(chain(link, attempts=5))
    assert isinstance(end, BackendError)
    assert (len(link.asked), end.attempts, end.detail) == (5, 5, "test")


async def test_each_link_is_asked_again_as_often_as_its_own_faults_allow():
    """A broken reply once more, whatever another link fails with."""
    first, second = Link("a", error(Fault.OVERLOAD, wait=0.0)), Link("b", error(Fault.BROKEN_REPLY, wait=0.0))
    await outcome_of(chain(first, second, attempts=6))
    assert (len(first.asked), len(second.asked)) == (5, 2)


async def test_a_link_is_asked_again_when_it_said_it_could_be():
    """Not before: a round without it would have been wasted."""
    link = Link("a", error(Fault.RATE_LIMITED, wait=0.6), ANSWER)
    reply = await outcome_of(chain(link, attempts=2))
    assert isinstance(reply, Reply)
    assert reply.finish == "answered"


async def test_a_broken_answer_is_what_a_call_ends_with_that_cannot_wait_for_more():
    """With the requests of all links."""
    waiting = error(Fault.OVERLOAD, wait=86_400.0)
    reply = await outcome_of(chain(Link("a", replace(BAD, attempts=2)), Link("b", waiting)))
    assert isinstance(reply, Reply)
    assert (reply.fault, reply.attempts, reply.link) == (Fault.BAD_JSON, 3, "a")
