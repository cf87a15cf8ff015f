"""The fast lane as a backend: the same replies as the ordinary one, its own way only where it may go it, and the gate before everything."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr

from crisis_filter.backends.base import Reply, Request, Turn
from crisis_filter.backends.expecting import Expecting
from crisis_filter.backends.openai import OpenAIBackend
from crisis_filter.backends.registry import open_fast
from crisis_filter.backends.scripted import Scripted
from crisis_filter.backends.spec import parse_backend
from crisis_filter.backends.wire.client import WireBackend
from crisis_filter.backends.wire.connection import Connections
from crisis_filter.backends.wire.langchain import WireLangChainBackend
from crisis_filter.errors import BackendError, Fault
from tests.backends.asking import Verdict, asking, close_langchain, verdict
from tests.backends.test_openai import ERRORS, REPLIES
from tests.fault_server import Answer, FaultServer, chat, failure

GOOD = chat(verdict())


@dataclass
class Book:
    """A gate that lets everything through and writes it down."""

    entered: list[int] = field(default_factory=list)
    left: list[dict[str, Any]] = field(default_factory=list)
    stop: BackendError | None = None
    wait_s: float = 0.0

    async def enter(self, tokens: int) -> None:
        await asyncio.sleep(self.wait_s)
        if self.stop is not None:
            raise self.stop
        self.entered.append(tokens)

    def leave(self, **told: Any) -> None:
        self.left.append(told)


def fast(server: FaultServer, gate: Book | None = None, **settings: Any) -> WireBackend:
    spec = parse_backend("openai:fault-1", base_url=server.url, **settings)
    return WireBackend(spec, np.random.default_rng(0), gate)


def ordinary(server: FaultServer, **settings: Any) -> OpenAIBackend:
    return OpenAIBackend(parse_backend("openai:fault-1", base_url=server.url, **settings), np.random.default_rng(0))


async def said(backend: OpenAIBackend, request: Request[Verdict]) -> Reply[Verdict] | tuple[Any, ...]:
    """The reply, or all that an error says."""
    try:
        return await backend.complete(request)
    except BackendError as error:
        return error.fault, error.retryable, error.retry_after_s, error.attempts
    finally:
        await backend.aclose()


@pytest.fixture(autouse=True)
def wired(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The requests that took the fast lane."""
    sent: list[bytes] = []
    exchange = Connections.exchange

    async def counting(self: Connections, request: bytes, until: float) -> Any:
        sent.append(request)
        return await exchange(self, request, until)

    monkeypatch.setattr(Connections, "exchange", counting)
    return sent


@pytest.mark.parametrize("answer", [*(case.values[0] for case in REPLIES), *(case.values[0] for case in ERRORS)])
@pytest.mark.parametrize("claim", [None, "crisis"])
async def test_both_lanes_say_the_same(
    server: FaultServer, wired: list[bytes], answer: Answer, claim: str | None
) -> None:
    """Every field of the reply, tokens and attempts included, or everything an error carries."""
    request = asking(claim=claim, label_field="crisis")
    server.answer(answer)
    first = await said(ordinary(server, attempts=2), request)
    sent = [received.body for received in server.received]
    server.received.clear()
    second = await said(fast(server, attempts=2), request)
    assert first == second
    assert sent == [received.body for received in server.received]
    assert len(wired) == len(sent)


async def test_the_same_request_goes_out(server: FaultServer, wired: list[bytes]) -> None:
    """Body and headers; of the ways to pack an answer only those that both lanes can unpack are named."""
    server.answer(GOOD)
    heads = []
    for backend in (ordinary(server), fast(server)):
        await backend.complete(asking('He said "\u2028" \\ \U0001f62d\n\x00'))
        await backend.aclose()
        heads.append(dict(server.received[-1].headers))
    assert "gzip" in heads[0].pop("accept-encoding")
    assert heads[1].pop("accept-encoding") == "gzip, deflate"
    assert heads[0] == heads[1]
    assert server.received[0].body == server.received[1].body
    assert len(wired) == 1


async def test_a_shape_is_learnt_once_however_many_ask_for_it_at_once(
    server: FaultServer, wired: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And every other shape by itself: another system part, another limit, with log-probabilities."""
    learnt = []

    def building(self: WireBackend, request: Any, *more: Any) -> Any:
        learnt.append(request.system)
        return build(self, request, *more)

    build = WireBackend._building
    monkeypatch.setattr(WireBackend, "_building", building)
    server.answer(GOOD)
    backend = fast(server)
    await asyncio.gather(*(backend.complete(asking(f"message {i}")) for i in range(16)))
    assert len(learnt) == 1
    for changed in ({"max_output_tokens": 65}, {"label_field": "crisis"}, {}):
        await backend.complete(asking(**changed))
    await backend.complete(replace(asking(), system="Judge it otherwise."))
    assert len(learnt) == 4
    assert server.received[-1].body["messages"][0]["content"] == "Judge it otherwise."
    await backend.aclose()
    assert len(wired) == len(server.received)


@pytest.mark.parametrize(
    "changes",
    [{"turns": (Turn("user", "before"),)}, {"extra": {"top_k": 5}}],
)
async def test_what_is_unusual_goes_the_ordinary_way(
    server: FaultServer, wired: list[bytes], changes: dict[str, Any]
) -> None:
    """With the same reply."""
    server.answer(GOOD)
    backend = fast(server)
    reply = await backend.complete(asking(**changes))
    await backend.aclose()
    assert (reply.finish, wired) == ("answered", [])


async def test_a_text_that_has_no_bytes_ends_as_ordinarily(server: FaultServer) -> None:
    """Half a surrogate pair, which the stages replace before they ask."""
    server.answer(GOOD)
    request = asking("half \ud83d")
    assert await said(fast(server), request) == await said(ordinary(server), request)


async def test_a_client_that_cannot_be_recorded_goes_the_ordinary_way(
    server: FaultServer, wired: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a proxy, say; here the proxy is the server itself."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", server.url.removesuffix("/v1"))
    server.answer(GOOD)
    spec = parse_backend("openai:fault-1", base_url="http://example.invalid/v1")
    backend = WireBackend(spec, np.random.default_rng(0))
    reply = await backend.complete(asking())
    await backend.aclose()
    assert (reply.finish, wired) == ("answered", [])
    assert server.received[0].path == "http://example.invalid/v1/chat/completions"


async def test_the_lanes_share_what_was_found_out(server: FaultServer, wired: list[bytes]) -> None:
    """What the server refused over the one is not asked for over the other."""
    server.answer(failure(400, {"param": "response_format", "message": "no"}), GOOD)
    backend = fast(server)
    await backend.complete(asking())
    await backend.complete(asking(extra={"top_k": 5}))
    await backend.aclose()
    assert len(wired) == 2
    assert [received.body["response_format"]["type"] for received in server.received] == [
        "json_schema",
        "json_object",
        "json_object",
    ]


async def test_the_gate_is_asked_before_every_request(server: FaultServer) -> None:
    """Retries, refusals and the ordinary lane included; what it is told fits what came."""
    server.answer(failure(429, Retry_After="0"), failure(503, retry_after_ms="1"), Answer(act="close"), GOOD, GOOD)
    book = Book()
    backend = fast(server, book, attempts=4)
    reply = await backend.complete(asking())
    await backend.complete(asking(turns=(Turn("user", "x"),)))
    await backend.aclose()
    assert reply.attempts == 4
    assert len(book.entered) == len(book.left) == len(server.received) == 5
    assert [told["estimated"] for told in book.left] == book.entered
    assert all(tokens > 64 for tokens in book.entered)
    fields = ("tokens", "throttled", "retry_after_s", "failed")
    assert [tuple(told[name] for name in fields) for told in book.left] == [
        (None, True, 0.0, False),
        (None, False, 0.001, True),
        (None, False, None, True),
        (10, False, None, False),
        (10, False, None, False),
    ]
    assert all(0 <= told["seconds"] < 5 for told in book.left)


async def test_a_gate_that_ends_the_run_ends_the_call(server: FaultServer) -> None:
    """At once, without a request, and nothing is given back that was not given."""
    server.answer(GOOD)
    book = Book(stop=BackendError(Fault.RATE_LIMITED, "nothing but 429", retryable=False))
    backend = fast(server, book)
    with pytest.raises(BackendError) as caught:
        await backend.complete(asking())
    await backend.aclose()
    assert (caught.value.fault, caught.value.retryable, caught.value.attempts) == (Fault.RATE_LIMITED, False, 0)
    assert not server.received
    assert not book.left


async def test_waiting_at_the_gate_ends_at_the_deadline(server: FaultServer) -> None:
    """With nothing sent and nothing to give back."""
    server.answer(GOOD)
    book = Book(wait_s=3600)
    backend = fast(server, book)
    with pytest.raises(BackendError) as caught:
        await backend.complete(asking(deadline_s=0.2))
    await backend.aclose()
    assert (caught.value.fault, len(server.received), book.left) == (Fault.TIMEOUT, 0, [])


@pytest.mark.parametrize("act", ["hang_before", "hang_body"])
async def test_a_call_that_is_cancelled_gives_its_leave_back(server: FaultServer, act: Any) -> None:
    """As one that failed; its connection is closed, and the next call has one of its own."""
    server.answer(Answer(GOOD.body, act=act), GOOD)
    book = Book()
    backend = fast(server, book)
    task = asyncio.create_task(backend.complete(asking()))
    while not server.received:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [told["failed"] for told in book.left] == [True]
    assert (await backend.complete(asking())).finish == "answered"
    await backend.aclose()


async def test_a_deadline_shorter_than_learning_is_kept(server: FaultServer) -> None:
    """What was begun is learnt for those who come later."""
    server.answer(GOOD)
    backend = fast(server)
    with pytest.raises(BackendError) as caught:
        await backend.complete(asking(deadline_s=0.0005))
    assert caught.value.fault is Fault.TIMEOUT
    assert (await backend.complete(asking())).finish == "answered"
    await backend.aclose()


async def test_closing_twice_and_before_anything_was_asked(server: FaultServer) -> None:
    """Does nothing."""
    backend = fast(server)
    await backend.aclose()
    await backend.aclose()


async def test_nothing_is_told(server: FaultServer, caplog: pytest.LogCaptureFixture) -> None:
    """Neither text nor key, in no log and no picture of any object, also where everything goes wrong."""
    caplog.set_level(logging.DEBUG)
    server.answer(failure(503), Answer(b"canary-body"), Answer(act="close"), chat("canary-answer"))
    backend = fast(server, api_key=SecretStr("canary-key"))
    shown = [await said(backend, asking("canary-text", deadline_s=3.0)) for _ in range(3)]
    lane = backend._lane
    everything = f"{shown!r} {vars(lane)!r} {lane._known!r} {caplog.text} {backend!r}"
    assert "canary" not in everything


async def test_langchain_rides_along(server: FaultServer, wired: list[bytes]) -> None:
    """Its requests to the letter, its answers, and no score."""
    server.answer(GOOD)
    spec = parse_backend("langchain:openai:fault-1", base_url=server.url)
    backend = WireLangChainBackend(spec, np.random.default_rng(0), book := Book())
    reply = await backend.complete(asking(label_field="crisis"))
    with_turns = await backend.complete(asking(turns=(Turn("user", "x"),)))
    await close_langchain(backend)
    assert (reply.finish, reply.score, reply.prompt_tokens) == ("answered", None, 7)
    assert with_turns.finish == "answered"
    assert len(wired) == 1
    assert [told["tokens"] for told in book.left] == [10, 10]
    assert server.received[0].body["response_format"]["type"] == "json_schema"


async def test_a_score_that_was_not_asked_for_is_none(server: FaultServer) -> None:
    """LangChain's models give none, so a server that offers one changes nothing."""
    text = verdict()
    head, tail = text.split("false")
    tokens = [
        {"token": t, "logprob": -0.1, "bytes": list(t.encode()), "top_logprobs": []} for t in (head, "false", tail)
    ]
    server.answer(chat(text, logprobs={"content": tokens}))
    spec = parse_backend("langchain:openai:fault-1", base_url=server.url)
    backend = WireLangChainBackend(spec, np.random.default_rng(0))
    reply = await backend.complete(asking(label_field="crisis"))
    await close_langchain(backend)
    assert (reply.finish, reply.score) == ("answered", None)


def test_the_registry_opens_the_fast_lane_where_there_is_one(tmp_path: Any) -> None:
    """And whatever else as ever; a server is held to its model's name in both."""
    script = tmp_path / "script.jsonl"
    script.write_text(json.dumps({"text": "{}"}) + "\n")
    url = "http://127.0.0.1:9/v1"
    assert isinstance(open_fast(parse_backend("openai:m", base_url=url)), WireBackend)
    assert isinstance(open_fast(parse_backend("langchain:openai:m", base_url=url)), WireLangChainBackend)
    assert isinstance(open_fast(parse_backend("openai:m", base_url=url, model_reported="m")), Expecting)
    assert isinstance(open_fast(parse_backend(f"scripted:{script}")), Scripted)
