"""The OpenAI backend in both lanes, against a server that misbehaves and against a real one."""

from __future__ import annotations

import asyncio
import gzip
import json
import tracemalloc
from typing import Any

import pytest
from pydantic import SecretStr

from crisis_filter.backends.parse import claims_true
from crisis_filter.backends.spec import parse_backend
from crisis_filter.errors import BackendError
from crisis_filter.schema import Fault
from tests.backends.asking import NONCE, Verdict, asking, open_openai, open_spec, small, verdict
from tests.fault_server import Answer, FaultServer, Received, chat, failure

pytestmark = pytest.mark.usefixtures("lane")

GOOD = chat(verdict())
_TOOL = {"id": "1", "type": "function", "function": {"name": "Verdict", "arguments": verdict()}}
_CHOICE = json.loads(GOOD.body)["choices"][0]
_PARTS = [{"type": "text", "text": verdict()}]

REPLIES = [
    pytest.param(chat(None, message={"refusal": "I can't"}), "refused", Fault.REFUSAL_FIELD, 1, id="refusal field"),
    pytest.param(chat("I'm sorry, I can't."), "refused", Fault.REFUSAL_PROSE, 2, id="refusal in prose"),
    pytest.param(chat("", finish="content_filter"), "filtered", Fault.FILTER_FINISH, 1, id="filter"),
    pytest.param(
        chat(verdict(), finish="content_filter"), "filtered", Fault.FILTER_FINISH, 1, id="filter, whole answer"
    ),
    pytest.param(chat(verdict()[:-9], finish="length"), "truncated", Fault.TRUNCATED, 2, id="length"),
    pytest.param(chat(verdict(), finish="length"), "truncated", Fault.TRUNCATED, 2, id="length, whole answer"),
    pytest.param(chat(None, finish="length"), "truncated", Fault.TRUNCATED, 2, id="length without content"),
    pytest.param(chat(verdict()[:-9]), "malformed", Fault.BAD_JSON, 2, id="cut"),
    pytest.param(chat(verdict() + verdict(crisis=True)), "malformed", Fault.BAD_JSON, 2, id="two objects"),
    pytest.param(chat(verdict(crisis="false")), "malformed", Fault.SCHEMA, 2, id="false as string"),
    pytest.param(chat(verdict(more=1)), "malformed", Fault.SCHEMA, 2, id="extra field"),
    pytest.param(chat(verdict(nonce="else")), "mismatched", Fault.NONCE_MISMATCH, 2, id="other nonce"),
    pytest.param(chat(None), "malformed", Fault.EMPTY_REPLY, 2, id="null content"),
    pytest.param(chat(""), "malformed", Fault.EMPTY_REPLY, 2, id="empty content"),
    pytest.param(chat("", choices=[]), "malformed", Fault.EMPTY_REPLY, 2, id="no choices"),
    pytest.param(chat("", choices=["x", 1]), "malformed", Fault.EMPTY_REPLY, 2, id="choices of another kind"),
    pytest.param(chat(_PARTS), "malformed", Fault.EMPTY_REPLY, 2, id="content in parts"),
    pytest.param(
        chat(None, message={"tool_calls": [_TOOL]}, finish="tool_calls"),
        "malformed",
        Fault.EMPTY_REPLY,
        2,
        id="tool call",
    ),
    pytest.param(
        chat(verdict(), message={"tool_calls": [_TOOL]}), "malformed", Fault.EMPTY_REPLY, 2, id="tool call beside"
    ),
    pytest.param(chat("", choices=[_CHOICE, _CHOICE]), "malformed", Fault.BAD_JSON, 2, id="two choices"),
    pytest.param(
        failure(
            400, {"code": "content_filter", "innererror": {"content_filter_result": {"self_harm": {"filtered": True}}}}
        ),
        "filtered",
        Fault.FILTER_PROMPT,
        1,
        id="prompt blocked",
    ),
]


@pytest.mark.parametrize(("answer", "finish", "fault", "requests"), REPLIES)
async def test_a_reply_that_is_no_answer(
    server: FaultServer, answer: Answer, finish: str, fault: Fault, requests: int
) -> None:
    """Whatever the server says that is not a complete valid answer is a reply with the right finish and fault."""
    server.answer(answer)
    backend = open_openai(server.url)
    reply = await backend.complete(asking())
    await backend.aclose()
    assert (reply.finish, reply.fault, reply.answer) == (finish, fault, None)
    assert reply.attempts == len(server.received) == requests


@pytest.mark.parametrize("finish", [None, "gave_up"])
async def test_an_answer_that_did_not_end_of_itself_is_trouble_of_the_server(
    server: FaultServer, finish: str | None
) -> None:
    """It is asked for once more; a positive in it is kept all the same."""
    server.answer(chat(verdict(), finish=finish), chat(verdict(), finish=finish))
    backend = open_openai(server.url)
    with pytest.raises(BackendError) as caught:
        await backend.complete(asking())
    assert (caught.value.fault, len(server.received)) == (Fault.BROKEN_REPLY, 2)
    server.received.clear()
    server.answer(chat(verdict(crisis=True), finish=finish))
    reply = await backend.complete(asking(claim="crisis"))
    await backend.aclose()
    assert (reply.finish, reply.fault, reply.attempts) == ("malformed", Fault.BROKEN_REPLY, 1)
    assert claims_true(reply.text, "crisis")


_POSITIVE = verdict(crisis=True)
_POSITIVE_CALL = {**_TOOL, "function": {"name": "Verdict", "arguments": _POSITIVE}}


@pytest.mark.parametrize("content", [None, "I will record my judgement.", verdict()])
@pytest.mark.parametrize("finish", ["tool_calls", "length", "content_filter", "stop"])
@pytest.mark.parametrize(
    "beside",
    [
        pytest.param({"tool_calls": [_POSITIVE_CALL]}, id="tool call"),
        pytest.param({"tool_calls": [_TOOL, _POSITIVE_CALL]}, id="second tool call"),
        pytest.param({"tool_calls": [{"function": {"arguments": {"crisis": True}}}]}, id="arguments as object"),
        pytest.param({"tool_calls": [{"custom": {"input": _POSITIVE}}]}, id="custom tool"),
        pytest.param({"tool_calls": [None, "x", {"function": {"arguments": _POSITIVE[:-3]}}]}, id="cut"),
        pytest.param({"function_call": {"name": "Verdict", "arguments": _POSITIVE}}, id="function call"),
    ],
)
async def test_a_positive_in_a_tool_call_is_kept(
    server: FaultServer, content: str | None, finish: str, beside: dict[str, Any]
) -> None:
    """Arguments are no answer here, but a positive in them is in the text and no clean negative takes it back."""
    server.answer(chat(content, message=beside, finish=finish), GOOD)
    backend = open_openai(server.url)
    reply = await backend.complete(asking(claim="crisis"))
    await backend.aclose()
    assert (reply.answer, reply.attempts) == (None, 1)
    assert claims_true(reply.text, "crisis")
    assert (content or "") in (reply.text or "")


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
async def test_reasoning_counts_only_without_an_answer(server: FaultServer, name: str) -> None:
    """Reasoning joins the text of a faulty reply, and leaves a whole answer as it is."""
    thought = {name: 'They mean it, so "crisis": true.'}
    server.answer(chat(verdict()[:-3], message=thought, finish="length"), chat(verdict(), message=thought))
    backend = open_openai(server.url)
    cut = await backend.complete(asking(claim="crisis"))
    whole = await backend.complete(asking(claim="crisis"))
    await backend.aclose()
    assert (cut.finish, cut.text, cut.attempts) == ("truncated", f"{verdict()[:-3]}\n{thought[name]}", 1)
    assert (whole.finish, whole.text) == ("answered", verdict())


async def test_a_refusal_and_then_a_hang_ends_at_the_deadline(server: FaultServer) -> None:
    """The refusal is returned, with both requests counted, when the re-ask gets no reply in time."""
    server.answer(chat("I can't help with that."), Answer(GOOD.body, act="hang_before"))
    backend = open_openai(server.url)
    loop = asyncio.get_running_loop()
    before = loop.time()
    reply = await backend.complete(asking(deadline_s=0.4))
    took = loop.time() - before
    await backend.aclose()
    assert (reply.fault, reply.text, reply.attempts) == (Fault.REFUSAL_PROSE, "I can't help with that.", 2)
    assert 0.39 <= took < 0.5


async def test_the_name_of_the_model_can_be_written(server: FaultServer) -> None:
    """A name that has no UTF-8 does not reach the reply as it is."""
    server.answer(chat(verdict(), model="gpt\ud83d"))
    backend = open_openai(server.url)
    reply = await backend.complete(asking())
    await backend.aclose()
    assert reply.model == "gpt\ufffd"


ERRORS = [
    pytest.param(failure(401), Fault.MISCONFIGURED, 1, id="401"),
    pytest.param(failure(403), Fault.MISCONFIGURED, 1, id="403"),
    pytest.param(failure(404), Fault.MISCONFIGURED, 1, id="404"),
    pytest.param(failure(400), Fault.MISCONFIGURED, 1, id="400"),
    pytest.param(failure(307, location="/v1/elsewhere"), Fault.MISCONFIGURED, 1, id="redirect"),
    pytest.param(failure(400, {"code": "context_length_exceeded"}), Fault.CONTEXT_OVERFLOW, 1, id="context"),
    pytest.param(failure(429, {"code": "insufficient_quota"}), Fault.MISCONFIGURED, 1, id="quota"),
    pytest.param(failure(429, Retry_After="86400"), Fault.RATE_LIMITED, 1, id="429, wait too long"),
    pytest.param(failure(429, retry_after_ms="10"), Fault.RATE_LIMITED, 3, id="429, short wait"),
    pytest.param(failure(500, Retry_After="0"), Fault.SERVER_ERROR, 3, id="500"),
    pytest.param(failure(503, Retry_After="0", x_should_retry="false"), Fault.SERVER_ERROR, 1, id="503, final"),
    pytest.param(Answer(b"<html>busy</html>", content_type="text/html"), Fault.BROKEN_REPLY, 2, id="HTML"),
    pytest.param(Answer(b'{"error": {"message": "no"}}'), Fault.BROKEN_REPLY, 2, id="error with 200"),
    pytest.param(Answer(b"[]"), Fault.BROKEN_REPLY, 2, id="another shape"),
    pytest.param(Answer(b""), Fault.BROKEN_REPLY, 2, id="empty body"),
    pytest.param(Answer(GOOD.body, act="reset"), Fault.BROKEN_REPLY, 2, id="reset"),
    pytest.param(Answer(GOOD.body, act="cut"), Fault.BROKEN_REPLY, 2, id="cut"),
    pytest.param(Answer(GOOD.body, act="unfinished_chunks"), Fault.BROKEN_REPLY, 2, id="unfinished chunks"),
    pytest.param(Answer(act="close"), Fault.BROKEN_REPLY, 2, id="closed"),
    pytest.param(
        Answer(gzip.compress(b" " * 2**25), headers={"content-encoding": "gzip"}), Fault.BROKEN_REPLY, 2, id="gzip bomb"
    ),
    pytest.param(Answer(b"no gzip", headers={"content-encoding": "gzip"}), Fault.BROKEN_REPLY, 2, id="bad gzip"),
]


@pytest.mark.parametrize(("answer", "fault", "requests"), ERRORS)
async def test_no_reply(server: FaultServer, answer: Answer, fault: Fault, requests: int) -> None:
    """When no reply can be had, the error carries the right fault after the right number of requests."""
    server.answer(answer)
    backend = open_openai(server.url)
    with pytest.raises(BackendError) as caught:
        await backend.complete(asking())
    await backend.aclose()
    assert caught.value.fault is fault
    assert len(server.received) == requests


async def test_a_refused_connection_is_a_broken_reply() -> None:
    """A server that is not there gives an error that another try may mend."""
    backend = open_openai("http://127.0.0.1:9/v1", attempts=1)
    with pytest.raises(BackendError) as caught:
        await backend.complete(asking())
    await backend.aclose()
    assert (caught.value.fault, caught.value.retryable) == (Fault.BROKEN_REPLY, True)


@pytest.mark.parametrize("act", ["hang_before", "hang_body", "drip"])
async def test_the_deadline_holds_against_a_slow_server(server: FaultServer, act: Any) -> None:
    """Hanging, or sending a byte now and then, doesn't keep a call beyond its deadline."""
    server.answer(Answer(GOOD.body, act=act))
    backend = open_openai(server.url)
    loop = asyncio.get_running_loop()
    before = loop.time()
    with pytest.raises(BackendError) as caught:
        await backend.complete(asking(deadline_s=0.4))
    took = loop.time() - before
    await backend.aclose()
    assert caught.value.fault is Fault.TIMEOUT
    assert 0.39 <= took < 0.5


@pytest.mark.parametrize("act", ["hang_before", "hang_body"])
async def test_one_request_is_limited(server: FaultServer, act: Any) -> None:
    """A request that hangs is given up in favour of another one within the deadline."""
    server.answer(Answer(GOOD.body, act=act), GOOD)
    backend = open_openai(server.url, attempt_timeout_s=0.2)
    reply = await backend.complete(asking())
    await backend.aclose()
    assert (reply.finish, reply.attempts) == ("answered", 2)


@pytest.mark.parametrize("trouble", [failure(503, Retry_After="0"), Answer(b"<html>"), Answer(act="close")])
async def test_trouble_that_passes(server: FaultServer, trouble: Answer) -> None:
    """One failure is followed by the answer, and both requests and their tokens are counted."""
    server.answer(trouble, GOOD)
    backend = open_openai(server.url)
    reply = await backend.complete(asking())
    await backend.aclose()
    assert reply.answer == Verdict.model_validate_json(verdict())
    assert (reply.attempts, reply.prompt_tokens, reply.completion_tokens) == (2, 7, 3)
    assert reply.model == "fault-1"
    assert reply.text == verdict()


async def test_what_is_sent(server: FaultServer) -> None:
    """The request holds both parts unchanged, a strict schema, the limits, and log-probabilities only when wanted."""
    server.answer(GOOD)
    backend = open_spec(parse_backend("openai:m", base_url=server.url, api_key=SecretStr("sk-1"), seed=3))
    await backend.complete(asking("text 🙂 \u2028"))
    await backend.complete(asking("text", label_field="crisis"))
    await backend.aclose()
    first, second = (received.body for received in server.received)
    assert [m["content"] for m in first["messages"]] == ["Judge the message.", f"<{NONCE}> text 🙂 \u2028"]
    assert (first["model"], first["temperature"], first["seed"], first["max_tokens"]) == ("m", 0.0, 3, 64)
    assert first["response_format"]["json_schema"]["strict"] is True
    assert "logprobs" not in first
    assert (second["logprobs"], second["top_logprobs"]) == (True, 20)
    assert server.received[0].headers["authorization"].lower() == "bearer sk-1"


async def test_a_re_ask_reminds_and_doubles(server: FaultServer) -> None:
    """A truncated answer is asked for once more with twice the room; the reminder follows the message."""
    server.answer(chat("{", finish="length"), GOOD)
    backend = open_openai(server.url)
    reply = await backend.complete(asking())
    await backend.aclose()
    first, second = (received.body for received in server.received)
    assert (reply.finish, first["max_tokens"], second["max_tokens"]) == ("answered", 64, 128)
    assert second["messages"][0] == first["messages"][0]
    assert second["messages"][1]["content"].startswith(first["messages"][1]["content"] + "\n\n")


def picky(*refused: str, status: int = 400) -> Any:
    """A server that refuses requests with any of these parts."""

    def answer(received: Received) -> Answer:
        format_ = received.body.get("response_format", {}).get("type")
        for name in refused:
            if name in received.body or name == format_:
                param = "response_format" if name == format_ else name
                return failure(status, {"message": "Unsupported parameter", "param": param})
        return GOOD

    return answer


@pytest.mark.parametrize(
    ("refused", "requests"),
    [
        (("json_schema",), 2),
        (("json_schema", "json_object"), 3),
        (("logprobs",), 3),
        (("max_tokens",), 2),
        (("temperature", "seed"), 3),
        (("json_schema", "json_object", "logprobs", "max_tokens", "temperature", "seed"), 8),
    ],
)
@pytest.mark.parametrize("status", [400, 422])
async def test_what_the_server_lacks_is_found_out_once(
    server: FaultServer, refused: tuple[str, ...], requests: int, status: int
) -> None:
    """Refused parts are given up one by one, even with a budget of one attempt, and never tried again."""
    server.answer(picky(*refused, status=status))
    backend = open_openai(server.url, attempts=1)
    first = await backend.complete(asking(label_field="crisis"))
    second = await backend.complete(asking(label_field="crisis"))
    await backend.aclose()
    assert (first.finish, first.attempts) == ("answered", requests)
    assert (second.finish, second.attempts) == ("answered", 1)
    assert not set(refused) & set(server.received[-1].body)


async def test_concurrent_calls_find_out_together(server: FaultServer) -> None:
    """Calls in flight together agree on what the server lacks and step down no further than it needs."""
    server.answer(picky("json_schema"))
    backend = open_openai(server.url)
    replies = await asyncio.gather(*(backend.complete(asking()) for _ in range(8)))
    await backend.aclose()
    assert {reply.finish for reply in replies} == {"answered"}
    assert server.received[-1].body["response_format"] == {"type": "json_object"}


async def test_a_server_that_refuses_everything_is_misconfigured(server: FaultServer) -> None:
    """When nothing is left to give up, the refusal is an error and not an endless loop."""
    server.answer(failure(400, {"message": "response_format is not supported"}))
    backend = open_openai(server.url)
    with pytest.raises(BackendError) as caught:
        await backend.complete(asking())
    await backend.aclose()
    assert caught.value.fault is Fault.MISCONFIGURED
    assert len(server.received) == 3


async def test_the_score_comes_from_the_label_token(server: FaultServer) -> None:
    """With log-probabilities in the reply, the score is the share of `true` at the label."""
    head, tail = verdict().split("false")
    pieces = [(head, 0.0), ("false", -0.2231435513), (tail, 0.0)]
    tokens = [{"token": t, "logprob": p, "bytes": list(t.encode()), "top_logprobs": []} for t, p in pieces]
    tokens[1]["top_logprobs"] = [{"token": "true", "logprob": -1.6094379124, "bytes": None}]
    server.answer(chat(verdict(), logprobs={"content": tokens}))
    backend = open_openai(server.url)
    scored = await backend.complete(asking(label_field="crisis"))
    unscored = await backend.complete(asking())
    await backend.aclose()
    assert scored.score == pytest.approx(0.2)
    assert unscored.score is None


async def test_an_azure_deployment_is_addressed_as_azure_wants(server: FaultServer) -> None:
    """With an Azure endpoint, deployment, version and key travel in Azure's places."""
    server.answer(GOOD)
    spec = parse_backend("openai:dep", azure_endpoint=server.url.removesuffix("/v1"), api_key=SecretStr("k-1"))
    backend = open_spec(spec)
    reply = await backend.complete(asking())
    await backend.aclose()
    assert reply.finish == "answered"
    assert server.received[0].headers["api-key"] == "k-1"
    assert server.received[0].body["max_completion_tokens"] == 64


async def test_the_environment_is_not_read(server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither key nor address are taken from the environment behind the operator's back."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-environment")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    server.answer(GOOD)
    backend = open_openai(server.url)
    await backend.complete(asking())
    await backend.aclose()
    assert "sk-environment" not in str(server.received[0].headers)


async def test_a_real_server_answers(llama_url: str) -> None:
    """llama.cpp honours the schema, so the only faults are those of a weak model; tokens and model are reported."""
    backend = open_openai(llama_url, attempts=1)
    reply = await backend.complete(small(label_field="crisis"))
    await backend.aclose()
    assert reply.fault in (None, Fault.SCHEMA, Fault.NONCE_MISMATCH, Fault.TRUNCATED)
    assert (reply.attempts, reply.model) == (1, "SmolLM2-135M-Instruct")
    assert reply.prompt_tokens > 0
    assert reply.completion_tokens > 0
    assert reply.text is not None
    assert reply.text.lstrip().startswith("{")
    assert (reply.score is not None) == (reply.finish == "answered")
    assert reply.score is None or 0.0 <= reply.score <= 1.0


async def test_a_real_server_reaches_the_limit(llama_url: str) -> None:
    """An answer that does not fit its limit is truncated, not repaired."""
    backend = open_openai(llama_url, attempts=1)
    reply = await backend.complete(small(max_output_tokens=4))
    await backend.aclose()
    assert (reply.finish, reply.fault) == ("truncated", Fault.TRUNCATED)


async def test_a_real_server_refuses_a_long_prompt(llama_url: str) -> None:
    """A prompt beyond the context is an overflow, at once."""
    backend = open_openai(llama_url)
    with pytest.raises(BackendError) as caught:
        await backend.complete(small("word " * 5000))
    await backend.aclose()
    assert (caught.value.fault, caught.value.retryable) == (Fault.CONTEXT_OVERFLOW, False)


async def test_the_deadline_holds_against_a_real_server(llama_url: str) -> None:
    """50 ms are not enough for a model, and no more than 100 ms are added to them."""
    backend = open_openai(llama_url)
    loop = asyncio.get_running_loop()
    before = loop.time()
    with pytest.raises(BackendError) as caught:
        await backend.complete(small("word " * 500, deadline_s=0.05))
    took = loop.time() - before
    await backend.aclose()
    assert caught.value.fault is Fault.TIMEOUT
    assert took < 0.15


async def test_what_a_filter_says_of_an_answered_prompt_is_read(server: FaultServer) -> None:
    """Azure names what it found in the prompt also where it blocked nothing."""
    whole = json.loads(chat(verdict()).body)
    whole["prompt_filter_results"] = [
        {
            "content_filter_results": {
                "violence": {"filtered": False, "severity": "medium"},
                "jailbreak": {"detected": True},
            }
        }
    ]
    server.answer(Answer(body=json.dumps(whole).encode()))
    backend = open_openai(server.url)
    reply = await backend.complete(asking())
    await backend.aclose()
    assert (reply.finish, reply.danger, reply.attack) == ("answered", True, True)


async def test_the_body_of_an_error_is_bounded(server: FaultServer) -> None:
    """Thirty megabytes behind a few kilobytes of gzip are not read into memory to find no code in them."""
    bomb = gzip.compress(b" " * 30_000_000)
    server.answer(
        Answer(status=500, body=bomb, headers={"content-encoding": "gzip", "content-type": "application/json"})
    )
    backend = open_openai(server.url, attempts=1)
    tracemalloc.start()
    with pytest.raises(BackendError) as caught:
        await backend.complete(asking())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    await backend.aclose()
    assert caught.value.fault in (Fault.BROKEN_REPLY, Fault.SERVER_ERROR)
    assert peak < 10_000_000
