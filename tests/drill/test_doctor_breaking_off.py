"""The doctor before an endpoint that fails often or stops answering: it says so, asks no more, and grades nothing from too little."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from crisis_filter.backends.base import Reply
from crisis_filter.backends.registry import open_backend
from crisis_filter.backends.spec import BackendSpec
from crisis_filter.drill.asked import Asked
from crisis_filter.drill.behaviours import Behaviour
from crisis_filter.drill.http import Response
from crisis_filter.drill.plans import HEALTHY_NAME, Always, InTurn
from crisis_filter.drill.probes import IN_A_ROW, UNCLEAR, Look, Witness, warm_up
from crisis_filter.drill.server import FaultServer
from crisis_filter.drill.signs import LEAST_REPLIES, Seen, examine_looks
from crisis_filter.errors import BackendError, Fault
from crisis_filter.prompting.render import fresh_nonce
from crisis_filter.schema import Failure, ScreenVerdict
from crisis_filter.taxonomy.answers import ScreenTerse
from tests.drill.examining import MESSAGES, Reading, examined, of_status
from tests.drill.talking import PROMPTS, ask

SCREENS = 14
GRADED = {"speed", "answers", "verdicts", "refusals", "filters", "output_limit", "nonce", "score", "repeatable"}


class Failing(Reading):
    """One whose faults meet long prompts too."""

    def _respond(self, behaviour: Behaviour, asked: Asked, body: Mapping[str, Any]) -> Response:
        if behaviour.name == HEALTHY_NAME:
            return super()._respond(behaviour, asked, body)
        return FaultServer._respond(self, behaviour, asked, body)


def after(good: int, fault: str, times: int = 99) -> InTurn:
    """So many healthy answers, then the fault, then healthy ones again."""
    return InTurn(("none",) * good + (fault,) * times + ("none",))


@pytest.mark.parametrize("fault", ["http_429", "http_503", "html_200", "closed"])
@pytest.mark.parametrize("good", [0, 2, 4])
async def test_an_endpoint_that_stops_answering(good: int, fault: str) -> None:
    """Fails, is asked no more, and nothing else is graded from the few replies there were."""
    async with Failing(plan=after(good, fault)) as server:
        found = await examined(server)
    assert of_status(found, "fail") == {"reachable"}
    assert server.counts.total() == good + IN_A_ROW
    assert of_status(found, "unknown") >= {*GRADED, "categorise", "window"}
    assert found["reachable"].seen.startswith(f"{good} of {good + 3} requests came back")


@pytest.mark.parametrize(
    ("good", "failing", "sent"),
    [
        (SCREENS - 3, {"reachable"}, SCREENS),
        (SCREENS - 2, {"categorise"}, SCREENS + 1),
        (SCREENS - 1, {"categorise"}, SCREENS + 2),
        (SCREENS, {"categorise", "window"}, SCREENS + 3),
        (SCREENS + 1, {"window"}, SCREENS + 3),
    ],
)
async def test_however_late_it_stops(good: int, failing: set[str], sent: int) -> None:
    """In the last screens, in Stage 2 or in the long prompts: some check fails."""
    async with Failing(plan=after(good, "http_429")) as server:
        found = await examined(server)
    assert of_status(found, "fail") == failing
    assert server.counts.total() == sent


async def test_a_key_revoked_after_the_screens() -> None:
    """Is a failure of what came next, and the last request."""
    async with Failing(plan=after(SCREENS, "http_401")) as server:
        found = await examined(server)
    assert of_status(found, "fail") == {"categorise"}
    assert "key is wrong" in found["categorise"].advice
    assert server.counts.total() == SCREENS + 1


@pytest.mark.parametrize(("fault", "status", "sent"), [("http_401", "fail", 1), ("nonce_missing", "unknown", 1)])
async def test_a_long_prompt_that_is_turned_down_otherwise(fault: str, status: str, sent: int) -> None:
    """A key that is revoked is a failure; that a server takes no such question (HTTP 501) says nothing of its window."""
    async with Failing(plan=after(SCREENS + 1, fault)) as server:
        found = await examined(server)
    assert found["window"].status == status
    assert of_status(found, "fail") == ({"window"} if status == "fail" else set())
    assert server.counts.total() == SCREENS + 1 + sent


@pytest.mark.parametrize(
    ("steps", "status"),
    [
        (("none", "http_503"), "fail"),
        (("none", "none", "none", "http_503"), "warn"),  # 3 of 14
        (("none", "http_503", "none"), "fail"),
        (("none", "none", "http_503"), "fail"),
    ],
)
async def test_an_endpoint_that_fails_often(steps: tuple[str, ...], status: str) -> None:
    """From a quarter of the requests on it fails, and is asked no more; what the replies say is told."""
    async with Reading(plan=InTurn(steps, repeat=True)) as server:
        found = await examined(server)
    assert found["reachable"].status == status
    assert found["answers"].status == "ok"
    if status == "fail":
        assert server.counts.total() == SCREENS
        assert (found["categorise"].status, found["window"].status) == ("unknown", "unknown")


@pytest.mark.parametrize(("at", "check"), [(SCREENS, "categorise"), (SCREENS + 1, "window")])
async def test_one_accident_is_no_failure(at: int, check: str) -> None:
    """Stage 2 and the long prompts have a second chance."""
    async with Failing(plan=after(at, "http_503", times=1)) as server:
        found = await examined(server)
    assert not of_status(found, "fail")
    assert found[check].status == ("warn" if check == "categorise" else "ok")


async def test_a_refusal_is_told_from_few_replies() -> None:
    """One is enough to fail; two of another kind are not enough for a share."""
    steps = ("refusal_field", "code_fence", "none", "filter_finish", *("http_503",) * 9)
    async with Reading(plan=InTurn(steps)) as server:
        found = await examined(server)
    assert of_status(found, "fail") == {"reachable", "refusals", "filters"}
    assert of_status(found, "unknown") == (GRADED - {"refusals", "filters"}) | {"categorise", "window"}


async def test_the_commonest_fault_is_advised_on() -> None:
    """Not the first one."""
    async with Reading(plan=InTurn(("hang", "http_503"))) as server:
        reachable = (await examined(server, timeout_s=0.5))["reachable"]
    assert "(server_error 2, timeout 1: HTTP 503)" in reachable.seen
    assert reachable.advice.startswith("The server is there and fails")


# Without a server.

LOST = [Fault.TIMEOUT, Fault.RATE_LIMITED, Fault.SERVER_ERROR, Fault.BROKEN_REPLY]
looks_of = st.lists(st.sampled_from([None, *LOST]), min_size=1, max_size=SCREENS)


def a_look(at: int, lost: Fault | None) -> Look:
    message = [*MESSAGES.crises[:9], *[UNCLEAR] * 5][at]
    if lost is not None:
        return Look(message, Failure(fault=lost, detail=""), None, BackendError(lost, "detail", retryable=True), 1.0)
    reply = Reply(finish="answered", answer=ScreenTerse(nonce="n", crisis=True), score=0.9, model="any")
    return Look(
        message, ScreenVerdict(crisis=True, may_clear=True, score=0.9, score_source="logprobs"), reply, None, 1.0
    )


@given(looks_of)
def test_what_so_many_replies_are_enough_for(faults: list[Fault | None]) -> None:
    """No grade from too few; an endpoint fails that lost a quarter or the last three, and no other."""
    seen = Seen(
        link=BackendSpec(kind="openai", model="any", base_url="http://127.0.0.1:9/v1"),
        looks=tuple(a_look(at, lost) for at, lost in enumerate(faults)),
        form="json_schema",
        categories=frozenset(c for m in MESSAGES.crises for c in m.categories),
        deadline_s=60.0,
        output_cap=700,
        states_score=True,
    )
    found = {finding.check: finding for finding in examine_looks(seen)}
    replies = faults.count(None)
    lost = len(faults) - replies
    broke_off = len(faults) >= IN_A_ROW and None not in faults[-IN_A_ROW:]
    expected = "ok" if not lost else "fail" if broke_off or 4 * lost >= len(faults) else "warn"
    assert found["reachable"].status == expected
    if lost:
        assert found["reachable"].advice
    known = {check for check in GRADED if found[check].status != "unknown"}
    # Verdicts on the one message that is sent again and again are counted by themselves.
    assert known <= (GRADED if replies >= LEAST_REPLIES else {"repeatable"})
    assert known >= (GRADED - {"verdicts", "repeatable"} if replies >= LEAST_REPLIES else set())


async def test_when_a_witness_gives_up() -> None:
    """After three requests in a row without a word, or at once after a key was turned down; a reply starts the count anew."""
    steps = ("closed", "closed", "none", "closed", "closed", "context_length_exceeded", *("closed",) * 9)
    async with FaultServer(lambda _: True, InTurn(steps)) as server:
        link = BackendSpec(kind="openai", model="any", base_url=server.base_url, attempts=1)
        witness = Witness(open_backend(link, np.random.default_rng(0)))
        gave_up = [await _gave_up(witness) for _ in range(9)]
        server.plan = Always("http_401")
        revoked = Witness(open_backend(link, np.random.default_rng(0)))
        assert await _gave_up(revoked)
        await witness.aclose()
        await revoked.aclose()
    assert gave_up == [False] * 8 + [True]


async def _gave_up(witness: Witness) -> bool:
    with suppress(BackendError):
        await witness.complete(ask("screen/terse-v2"))
    return witness.gave_up


# What a client loads.

_COLD = """
import asyncio, sys
from crisis_filter.drill.doctor import Doctor
from crisis_filter.drill.messages import load_messages
from crisis_filter.pipeline.description import FilterSpec

loaded = []

def clock():
    loaded.append(len(sys.modules))
    return float(len(loaded))

async def examine():
    spec = FilterSpec(backend="openai:any", base_url="http://127.0.0.1:9/v1")
    return [finding async for finding in Doctor(spec, load_messages(), clock=clock).examine()]

assert [f.status for f in asyncio.run(examine()) if f.check == "reachable"] == ["fail"]
print(*loaded[-6:])
"""


def test_a_client_loads_nothing_on_an_endpoints_time() -> None:
    """In a fresh process the three requests to a dead port begin and end with the same modules."""
    out = subprocess.run([sys.executable, "-c", _COLD], check=True, timeout=120, capture_output=True, text=True).stdout
    first, *others = map(int, out.split())
    assert others == [first] * 5


async def test_warming_up_leaves_the_endpoint_alone() -> None:
    """No request, and so no key, reaches it; what cannot be warmed up is no error."""
    prompt = PROMPTS["screen/terse-v2"]
    async with FaultServer(lambda _: True) as server:
        link = BackendSpec(kind="openai", model="any", base_url=server.base_url, api_key=SecretStr("k"))
        await warm_up(link, prompt, fresh_nonce)
        assert server.counts.total() == 0
    await warm_up(BackendSpec(kind="langchain", model="no_such_provider:any"), prompt, fresh_nonce)
    await warm_up(
        BackendSpec(kind="langchain", model="no_such_provider:any", base_url="http://x/v1"), prompt, fresh_nonce
    )
