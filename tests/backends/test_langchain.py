"""The LangChain backend in both lanes, through its OpenAI integration, against a server that misbehaves and a real one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_openai import ChatOpenAI
from langsmith.utils import get_env_var
from openai import LengthFinishReasonError
from openai.types.chat import ChatCompletion
from pydantic import SecretStr

from crisis_filter.backends.base import Backend, Reply
from crisis_filter.backends.chat_message import outcome_of_error, reply_of_message
from crisis_filter.backends.langchain import LangChainBackend
from crisis_filter.backends.parse import claims_true
from crisis_filter.backends.spec import parse_backend
from crisis_filter.errors import BackendError, ConfigurationError
from crisis_filter.schema import Fault
from tests.backends.asking import Lane, asking, close_langchain, small, verdict
from tests.fault_server import Answer, FaultServer, Received, chat, failure

pytestmark = pytest.mark.usefixtures("lane")

GOOD = chat(verdict())
_CALL = {"id": "1", "type": "function", "function": {"name": "Verdict", "arguments": verdict()}}


def open_langchain(url: str, **settings: object) -> LangChainBackend:
    """The backend for a server on the loopback."""
    return Lane.langchain(parse_backend("langchain:openai:fault-1", base_url=url, **settings), np.random.default_rng(0))


@pytest.fixture
async def backend(server: FaultServer) -> AsyncIterator[Backend]:
    """A backend that speaks to the misbehaving server."""
    opened = open_langchain(server.url)
    yield opened
    await close_langchain(opened)


@pytest.mark.parametrize(
    ("answer", "finish", "fault", "requests"),
    [
        pytest.param(chat(None, message={"refusal": "I can't"}), "refused", Fault.REFUSAL_FIELD, 1, id="refusal field"),
        pytest.param(chat("I'm sorry, I can't."), "refused", Fault.REFUSAL_PROSE, 2, id="refusal in prose"),
        pytest.param(chat("", finish="content_filter"), "filtered", Fault.FILTER_FINISH, 1, id="filter"),
        pytest.param(chat(verdict(), finish="length"), "truncated", Fault.TRUNCATED, 2, id="length"),
        pytest.param(chat(None, finish="length"), "truncated", Fault.TRUNCATED, 2, id="length without content"),
        pytest.param(chat(verdict()[:-9]), "malformed", Fault.BAD_JSON, 2, id="cut"),
        pytest.param(chat(verdict()[:-1] + ', "crisis": true}'), "malformed", Fault.BAD_JSON, 2, id="repeated key"),
        pytest.param(chat(verdict(crisis="false")), "malformed", Fault.SCHEMA, 2, id="false as string"),
        pytest.param(chat(verdict(nonce="else")), "mismatched", Fault.NONCE_MISMATCH, 2, id="other nonce"),
        pytest.param(chat(None), "malformed", Fault.EMPTY_REPLY, 2, id="null content"),
        pytest.param(chat(verdict(), finish=None), "malformed", Fault.BROKEN_REPLY, 1, id="no finish"),
        pytest.param(failure(400, {"code": "content_filter"}), "filtered", Fault.FILTER_PROMPT, 1, id="prompt blocked"),
    ],
)
async def test_a_reply_that_is_no_answer(
    server: FaultServer, backend: Backend, answer: Answer, finish: str, fault: Fault, requests: int
) -> None:
    """The raw message decides: the same finishes and faults as with the protocol itself."""
    server.answer(answer)
    reply = await backend.complete(asking())
    assert (reply.finish, reply.fault, reply.answer) == (finish, fault, None)
    assert reply.attempts == len(server.received) == requests


@pytest.mark.parametrize(
    ("answer", "fault", "requests"),
    [
        pytest.param(failure(401), Fault.MISCONFIGURED, 1, id="401"),
        pytest.param(failure(403), Fault.MISCONFIGURED, 1, id="403"),
        pytest.param(failure(404), Fault.MISCONFIGURED, 1, id="404"),
        pytest.param(failure(400, {"code": "context_length_exceeded"}), Fault.CONTEXT_OVERFLOW, 1, id="context"),
        pytest.param(
            failure(400, {"type": "exceed_context_size_error"}), Fault.CONTEXT_OVERFLOW, 1, id="llama context"
        ),
        pytest.param(failure(429, {"code": "insufficient_quota"}), Fault.MISCONFIGURED, 1, id="quota"),
        pytest.param(failure(429, Retry_After="86400"), Fault.RATE_LIMITED, 1, id="429, wait too long"),
        pytest.param(failure(429, retry_after_ms="10"), Fault.RATE_LIMITED, 3, id="429, short wait"),
        pytest.param(failure(500, Retry_After="0"), Fault.SERVER_ERROR, 3, id="500"),
        pytest.param(Answer(b"<html>", content_type="text/html"), Fault.BROKEN_REPLY, 2, id="HTML"),
        pytest.param(Answer(b'{"error": {"message": "no"}}'), Fault.BROKEN_REPLY, 2, id="error with 200"),
        pytest.param(Answer(GOOD.body, act="reset"), Fault.BROKEN_REPLY, 2, id="reset"),
        pytest.param(Answer(act="close"), Fault.BROKEN_REPLY, 2, id="closed"),
    ],
)
async def test_no_reply(server: FaultServer, backend: Backend, answer: Answer, fault: Fault, requests: int) -> None:
    """Provider exceptions become our errors by class and status, and the provider's own retries are off."""
    server.answer(answer)
    with pytest.raises(BackendError) as caught:
        await backend.complete(asking())
    assert caught.value.fault is fault
    assert len(server.received) == requests


async def test_an_answer(server: FaultServer, backend: Backend) -> None:
    """A valid raw message is answered, with model, tokens and no score; schema, limit and settings were sent."""
    server.answer(GOOD)
    reply = await backend.complete(asking(label_field="crisis"))
    assert reply.answer is not None
    assert (reply.finish, reply.text, reply.score) == ("answered", verdict(), None)
    assert (reply.model, reply.prompt_tokens, reply.completion_tokens) == ("fault-1", 7, 3)
    body = server.received[0].body
    assert body["response_format"]["json_schema"]["strict"] is True
    assert body["response_format"]["json_schema"]["schema"]["additionalProperties"] is False
    assert (body["temperature"], body["seed"], body["max_completion_tokens"]) == (0.0, 0, 64)
    assert [m["content"] for m in body["messages"]] == ["Judge the message.", asking().user]


async def test_a_re_ask_reminds_and_doubles(server: FaultServer, backend: Backend) -> None:
    """A truncated answer is asked for once more with twice the room and a reminder."""
    server.answer(chat("{", finish="length"), GOOD)
    reply = await backend.complete(asking())
    assert (reply.finish, reply.attempts) == ("answered", 2)
    assert server.received[1].body["max_completion_tokens"] == 128
    assert server.received[1].body["messages"][1]["content"].startswith(asking().user + "\n\n")


@pytest.mark.parametrize("refused", ["response_format", "temperature", "seed"])
async def test_what_the_server_lacks_is_found_out_once(server: FaultServer, backend: Backend, refused: str) -> None:
    """What the server refuses is given up and not tried again; the schema then stands in the prompt."""

    def answer(received: Received) -> Answer:
        return failure(400, {"message": "Unsupported", "param": refused}) if refused in received.body else GOOD

    server.answer(answer)
    assert (await backend.complete(asking())).finish == "answered"
    second = await backend.complete(asking())
    assert (second.finish, second.attempts) == ("answered", 1)
    told = "json_schema" in server.received[-1].body["messages"][0]["content"]
    assert told == (refused == "response_format")


async def test_a_model_without_structured_output_is_told_the_schema(
    server: FaultServer, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An integration that cannot shape an answer gets the schema in the prompt, and its text is read as strictly."""

    def unable(*_args: object, **_options: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr("langchain_openai.ChatOpenAI.with_structured_output", unable)
    server.answer(GOOD, chat(verdict(crisis="no")))
    assert (await backend.complete(asking())).finish == "answered"
    assert (await backend.complete(asking())).fault is Fault.SCHEMA
    assert "response_format" not in server.received[0].body
    assert "json_schema" in server.received[0].body["messages"][0]["content"]


async def test_a_refused_tool_call_is_given_up(server: FaultServer, backend: Backend) -> None:
    """A server that refuses tools in words is asked without them."""
    server.answer(failure(400, {"message": "this model does not support tool use"}), GOOD)
    reply = await backend.complete(asking())
    assert (reply.finish, reply.attempts) == ("answered", 2)


async def test_azure_is_opened_with_its_settings() -> None:
    """Endpoint, version and key reach the integration."""
    settings = {"azure_endpoint": "https://x.example", "azure_api_version": "2024-10-21", "api_key": SecretStr("k")}
    opened = Lane.langchain(parse_backend("langchain:azure_openai:dep", **settings), np.random.default_rng(0))
    assert opened.name == "langchain:azure_openai:dep"
    await opened.aclose()


@pytest.mark.parametrize("act", ["hang_before", "hang_body", "drip"])
async def test_the_deadline_holds(server: FaultServer, backend: Backend, act: Any) -> None:
    """A slow server doesn't keep a call beyond its deadline."""
    server.answer(GOOD)
    await backend.complete(asking())
    server.answer(Answer(GOOD.body, act=act))
    loop = asyncio.get_running_loop()
    before = loop.time()
    with pytest.raises(BackendError) as caught:
        await backend.complete(asking(deadline_s=0.4))
    assert 0.39 <= loop.time() - before < 0.5
    assert caught.value.fault is Fault.TIMEOUT


async def test_nothing_is_traced(server: FaultServer, backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """With LangSmith tracing on in the environment, our calls send it nothing, while another's call would be traced."""
    traced: list[str] = []
    get_env_var.cache_clear()  # another test may have had it read
    monkeypatch.setenv("LANGSMITH_TRACING", "true")
    # the tracer is real; only its way out, which would leave this machine, is cut
    tracer = "langchain_core.tracers.langchain"
    monkeypatch.setattr(f"{tracer}.get_client", object)
    monkeypatch.setattr(f"{tracer}.LangChainTracer._persist_run_single", lambda _self, run: traced.append(run.name))
    monkeypatch.setattr(f"{tracer}.LangChainTracer._update_run_single", lambda *_: None)
    server.answer(GOOD)
    assert (await backend.complete(asking())).finish == "answered"
    assert traced == []
    await GenericFakeChatModel(messages=iter(["hello"])).ainvoke("hello")
    assert traced == ["GenericFakeChatModel"]


def message(content: Any = "", **fields: Any) -> AIMessage:
    """A raw message."""
    return AIMessage(content=content, **fields)


_ARGS = {"nonce": "c0ffee", "reasoning": "calm", "crisis": False, "confidence": 0.5}
_TOOL: dict[str, Any] = {"name": "Verdict", "args": _ARGS, "id": "1"}


@pytest.mark.parametrize(
    ("raw", "finish", "fault"),
    [
        (message(verdict(), response_metadata={"stop_reason": "end_turn"}), "answered", None),
        (message(verdict(), response_metadata={"finish_reason": "STOP"}), "answered", None),
        (message(verdict(), response_metadata={"done_reason": "stop"}), "answered", None),
        (message(verdict(), response_metadata={"status": "completed"}), "answered", None),
        (
            message([{"type": "text", "text": verdict()}], response_metadata={"stop_reason": "end_turn"}),
            "answered",
            None,
        ),
        (message(tool_calls=[_TOOL], response_metadata={"stop_reason": "tool_use"}), "answered", None),
        (message("Let me see.", tool_calls=[_TOOL], response_metadata={"stop_reason": "tool_use"}), "answered", None),
        (
            message(tool_calls=[_TOOL, _TOOL], response_metadata={"stop_reason": "tool_use"}),
            "malformed",
            Fault.BAD_JSON,
        ),
        (
            message(verdict(), tool_calls=[_TOOL], response_metadata={"stop_reason": "tool_use"}),
            "malformed",
            Fault.BAD_JSON,
        ),
        (
            message(
                invalid_tool_calls=[{"name": "Verdict", "args": "{bad", "id": "1", "error": None}],
                response_metadata={"finish_reason": "tool_calls"},
            ),
            "malformed",
            Fault.BAD_JSON,
        ),
        (
            message(
                tool_calls=[{**_TOOL, "args": {**_ARGS, "confidence": float("nan")}}],
                response_metadata={"stop_reason": "tool_use"},
            ),
            "malformed",
            Fault.BAD_JSON,
        ),
        (message(tool_calls=[_TOOL], response_metadata={"stop_reason": "max_tokens"}), "truncated", Fault.TRUNCATED),
        (message(verdict(), response_metadata={"finish_reason": "MAX_TOKENS"}), "truncated", Fault.TRUNCATED),
        (
            message(
                verdict(),
                response_metadata={"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
            ),
            "truncated",
            Fault.TRUNCATED,
        ),
        (message("", response_metadata={"finish_reason": "SAFETY"}), "filtered", Fault.FILTER_FINISH),
        (message("", response_metadata={"stop_reason": "refusal"}), "refused", Fault.REFUSAL_FIELD),
        (
            message([{"type": "refusal", "refusal": "no"}], response_metadata={"status": "completed"}),
            "refused",
            Fault.REFUSAL_FIELD,
        ),
        (message("", response_metadata={"stop_reason": "end_turn"}), "malformed", Fault.EMPTY_REPLY),
        (message(verdict()), "malformed", Fault.BROKEN_REPLY),
        (message(verdict(), response_metadata={"stop_reason": "pause_turn"}), "malformed", Fault.BROKEN_REPLY),
        (None, "malformed", Fault.EMPTY_REPLY),
    ],
)
def test_how_providers_say_it(raw: object, finish: str, fault: Fault | None) -> None:
    """The ends that different providers give their messages lead to the same finishes."""
    reply, _ = reply_of_message(raw, asking())
    assert (reply.finish, reply.fault) == (finish, fault)


_POSITIVE: dict[str, Any] = {**_TOOL, "args": {**_ARGS, "crisis": True}}
_RAW_CALL = {"function": {"name": "Verdict", "arguments": verdict(crisis=True)}}


@pytest.mark.parametrize(
    "content", ["", "I will record my judgement.", [{"type": "text", "text": "Noted."}], verdict()]
)
@pytest.mark.parametrize(
    "ending",
    [
        {"stop_reason": "max_tokens"},
        {"finish_reason": "SAFETY"},
        {"stop_reason": "refusal"},
        {"stop_reason": "pause_turn"},
        {},
    ],
)
@pytest.mark.parametrize(
    "calls",
    [
        pytest.param({"tool_calls": [_POSITIVE]}, id="call"),
        pytest.param({"tool_calls": [_TOOL, _POSITIVE]}, id="second call"),
        pytest.param({"additional_kwargs": {"tool_calls": [_RAW_CALL]}}, id="unparsed"),
        pytest.param({"additional_kwargs": {"function_call": _RAW_CALL["function"]}}, id="function call"),
        pytest.param({"additional_kwargs": {"reasoning_content": 'So "crisis": true.'}}, id="reasoning"),
        pytest.param(
            {"invalid_tool_calls": [{"name": "V", "args": '{"crisis": true, ', "id": "1", "error": None}]}, id="invalid"
        ),
    ],
)
def test_a_positive_in_a_tool_call_is_kept(content: Any, ending: dict[str, str], calls: dict[str, Any]) -> None:
    """Without an answer, the text holds the prose and the arguments of every call."""
    reply, _ = reply_of_message(message(content, response_metadata=ending, **calls), asking())
    assert reply.answer is None
    assert claims_true(reply.text, "crisis")
    prose = content if isinstance(content, str) else content[0]["text"]
    assert prose in (reply.text or "")


@pytest.mark.parametrize(
    "block",
    [
        {"type": "thinking", "thinking": "so crisis: true"},
        {"type": "reasoning_content", "reasoning_content": {"text": "so crisis: true"}},
        {"type": "tool_use", "id": "1", "name": "Verdict", "input": {"crisis": True}},
        {"type": "tool_use", "id": "1", "name": "Verdict", "input": {}, "partial_json": '{"crisis": true'},
    ],
)
def test_a_positive_in_another_block_is_kept(block: dict[str, Any]) -> None:
    """Blocks that are no text are part of what a cut message said."""
    raw = message([block, {"type": "text", "text": "I"}], response_metadata={"stop_reason": "max_tokens"})
    reply, _ = reply_of_message(raw, asking())
    assert reply.finish == "truncated"
    assert claims_true(reply.text, "crisis")


@pytest.mark.parametrize(
    ("prose", "call", "finish"),
    [
        ("Noted.", _TOOL, "answered"),
        ("So crisis: false.", _TOOL, "answered"),
        ("So crisis: true.", _POSITIVE, "answered"),
        ("So crisis: true.", _TOOL, "malformed"),
        ("So crisis: false.", _POSITIVE, "malformed"),
    ],
)
def test_prose_beside_a_call_must_not_differ(prose: str, call: dict[str, Any], finish: str) -> None:
    """A call counts as the answer only while the prose beside it states no other verdict."""
    raw = message(prose, tool_calls=[call], response_metadata={"stop_reason": "tool_use"})
    reply, _ = reply_of_message(raw, asking(claim="crisis"))
    assert reply.finish == finish
    positive = call is _POSITIVE or "true" in prose
    assert claims_true(reply.text, "crisis") is positive


@pytest.mark.parametrize("call", [{"function_call": _RAW_CALL["function"]}, {"tool_calls": [_RAW_CALL]}])
def test_an_answer_beside_an_unparsed_call_is_none(call: dict[str, Any]) -> None:
    """A whole negative in the content does not outvote a call that the integration left unparsed."""
    raw = message(verdict(), additional_kwargs=call, response_metadata={"finish_reason": "stop"})
    reply, _ = reply_of_message(raw, asking())
    assert (reply.finish, reply.fault) == ("malformed", Fault.BAD_JSON)
    assert claims_true(reply.text, "crisis")


async def test_a_truncated_positive_call_is_not_asked_again(server: FaultServer, backend: Backend) -> None:
    """Through the integration too, prose with a positive call is returned and no clean negative follows it."""
    server.answer(chat("I will record it.", message={"tool_calls": [{**_CALL, **_RAW_CALL}]}, finish="length"), GOOD)
    reply = await backend.complete(asking(claim="crisis"))
    assert (reply.finish, reply.attempts) == ("truncated", 1)
    assert claims_true(reply.text, "crisis")


def test_an_exception_for_length_keeps_the_calls() -> None:
    """The completion inside OpenAI's exception gives prose and arguments."""
    body = json.loads(chat("Noted.", message={"tool_calls": [{**_CALL, **_RAW_CALL}]}, finish="length").body)
    outcome = outcome_of_error(LengthFinishReasonError(completion=ChatCompletion.model_validate(body)))
    assert isinstance(outcome, Reply)
    assert (outcome.finish, outcome.text) == ("truncated", f"Noted.\n{verdict(crisis=True)}")


def test_the_name_of_the_model_can_be_written() -> None:
    """A name that has no UTF-8 does not reach the reply as it is."""
    raw = message(verdict(), response_metadata={"stop_reason": "end_turn", "model_name": "m\ud83d" * 300})
    assert reply_of_message(raw, asking())[0].model == "m\ufffd" * 100


class _StatusError(Exception):
    def __init__(self, **fields: object) -> None:
        super().__init__("private")
        vars(self).update(fields)


class _ReadTimeout(Exception):
    pass


class ContextOverflowError(Exception):
    """Named like LangChain's."""


@pytest.mark.parametrize(
    ("error", "fault", "retryable"),
    [
        (_StatusError(status_code=529), Fault.SERVER_ERROR, True),
        (_StatusError(code=429), Fault.RATE_LIMITED, True),
        (_StatusError(response={"ResponseMetadata": {"HTTPStatusCode": 403}}), Fault.MISCONFIGURED, False),
        (_StatusError(code="throttled"), Fault.INTERNAL, False),
        (_ReadTimeout("private"), Fault.TIMEOUT, True),
        (ConnectionResetError("private"), Fault.BROKEN_REPLY, True),
        (KeyError("private"), Fault.BROKEN_REPLY, True),
        (ContextOverflowError("private"), Fault.CONTEXT_OVERFLOW, False),
        (RuntimeError("private"), Fault.INTERNAL, False),
    ],
)
def test_how_providers_fail(error: Exception, fault: Fault, *, retryable: bool) -> None:
    """An exception is judged by class and status; none of its words are kept."""
    outcome = outcome_of_error(error)
    assert isinstance(outcome, BackendError)
    assert (outcome.fault, outcome.retryable) == (fault, retryable)
    assert "private" not in str(outcome)


async def test_a_real_server_answers(llama_url: str) -> None:
    """llama.cpp honours the schema through LangChain too; the only faults are those of a weak model."""
    backend = open_langchain(llama_url, attempts=1)
    reply = await backend.complete(small())
    cut = await backend.complete(small(max_output_tokens=4))
    with pytest.raises(BackendError) as long:
        await backend.complete(small("word " * 5000))
    with pytest.raises(BackendError) as late:
        await backend.complete(small("word " * 500, deadline_s=0.05))
    await backend.aclose()
    assert reply.fault in (None, Fault.SCHEMA, Fault.NONCE_MISMATCH, Fault.TRUNCATED)
    assert reply.prompt_tokens > 0
    assert cut.finish == "truncated"
    assert long.value.fault is Fault.CONTEXT_OVERFLOW
    assert late.value.fault is Fault.TIMEOUT


@pytest.mark.parametrize(
    "given", ["http://127.0.0.1:9/v1", "https://Models.example:443/v1/", "https://models.example/a"]
)
def test_a_class_that_takes_an_address_and_goes_to_its_makers_is_refused(
    monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    """Words of people would go to somebody whom nobody chose; one that heeds the address is opened, however it is written."""
    own = ChatOpenAI(model="any", base_url="https://maker.example/v1", api_key=SecretStr("k"))
    assert open_langchain(given)._known_fields()
    monkeypatch.setattr("crisis_filter.backends.langchain.init_chat_model", lambda *_, **__: own)
    with pytest.raises(ConfigurationError, match="does not go to the address"):
        open_langchain(given)
