"""Requests for a plain text: what is sent, what counts as an answer, where the score comes from, over real HTTP."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import numpy as np
import pytest

from crisis_filter.backends.base import Choice, PlainText, Reply, Request, Turn
from crisis_filter.backends.recorded import Recorded, Recorder, request_hash
from crisis_filter.backends.registry import open_backend
from crisis_filter.backends.scripted import Scripted, ScriptedAnswer
from crisis_filter.backends.spec import parse_backend
from crisis_filter.backends.window import least_tokens
from crisis_filter.errors import BackendError
from crisis_filter.schema import Fault
from crisis_filter.taxonomy.answers import ScreenTerse
from tests.backends.asking import open_openai
from tests.fault_server import Answer, FaultServer, chat, failure

pytestmark = pytest.mark.usefixtures("lane")


def first_word(text: str) -> int | None:
    return len(text) - len(text.lstrip()) if text.strip() else None


def anywhere(text: str) -> bool:
    return re.search(r"(?<!\w)unsafe(?!\w)", text, re.IGNORECASE) is not None


CHOICE = Choice(yes=("unsafe",), no=("safe",), place=first_word, positive=anywhere)


def plainly(user: str = "message", **changes: Any) -> Request[PlainText]:
    settings: dict[str, Any] = {
        "system": "",
        "nonce": "",
        "deadline_s": 10.0,
        "max_output_tokens": 16,
        "choice": CHOICE,
    }
    return Request(user=user, answer=PlainText, **{**settings, **changes})


async def ask(server: FaultServer, request: Request[PlainText], **settings: object) -> Reply[PlainText]:
    backend = open_openai(server.url, **settings)
    try:
        return await backend.complete(request)
    finally:
        await backend.aclose()


async def test_only_what_was_asked_is_sent(server: FaultServer) -> None:
    """No schema, no system part where there is none, no nonce; turns in their order, fields of the caller's as they are."""
    server.answer(chat("safe"))
    extra = {"chat_template_kwargs": {"think": False}}
    reply = await ask(server, plainly("second", turns=(Turn("user", "first"),), extra=extra))
    assert (reply.finish, reply.answer, reply.text) == ("answered", PlainText(text="safe"), "safe")
    sent = server.received[0].body
    assert sent["messages"] == [{"role": "user", "content": "first"}, {"role": "user", "content": "second"}]
    assert sent["chat_template_kwargs"] == {"think": False}
    assert "response_format" not in sent
    assert (sent["logprobs"], sent["top_logprobs"]) == (True, 20)
    with_system = plainly(system="Policy.", choice=None)
    await ask(server, with_system)
    assert server.received[1].body["messages"][0] == {"role": "system", "content": "Policy."}
    assert "logprobs" not in server.received[1].body


@pytest.mark.parametrize("content", ["safe", "no idea", "{}", '{"crisis": false}', "I cannot help with that."])
async def test_any_text_is_the_answer(server: FaultServer, content: str) -> None:
    """Whoever asked reads it; here nothing is prose, malformed or without a nonce."""
    server.answer(chat(content))
    reply = await ask(server, plainly())
    assert reply.answer == PlainText(text=content)


@pytest.mark.parametrize(
    ("answer", "finish", "fault"),
    [
        (chat("safe", finish="length"), "truncated", Fault.TRUNCATED),
        (chat("safe", finish="content_filter"), "filtered", Fault.FILTER_FINISH),
        (chat("safe", message={"refusal": "no"}), "refused", Fault.REFUSAL_FIELD),
        (chat(""), "malformed", Fault.EMPTY_REPLY),
        (chat(" \n"), "malformed", Fault.EMPTY_REPLY),
        (
            chat(None, message={"tool_calls": [{"function": {"name": "x", "arguments": "safe"}}]}),
            "malformed",
            Fault.EMPTY_REPLY,
        ),
        (chat("safe", choices=[]), "malformed", Fault.EMPTY_REPLY),
        (failure(400, {"code": "content_filter"}), "filtered", Fault.FILTER_PROMPT),
    ],
)
async def test_how_it_ended_counts_as_everywhere(
    server: FaultServer, answer: Answer, finish: str, fault: Fault
) -> None:
    """A text that did not end of itself is no answer."""
    server.answer(answer)
    reply = await ask(server, plainly(), attempts=1)
    assert (reply.finish, reply.fault, reply.answer, reply.score) == (finish, fault, None, None)


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (failure(500), Fault.SERVER_ERROR),
        (failure(401), Fault.MISCONFIGURED),
        (failure(429), Fault.RATE_LIMITED),
        (Answer(b"<html>"), Fault.BROKEN_REPLY),
        (chat("safe", finish="tool_calls"), Fault.BROKEN_REPLY),
        (failure(400, {"message": "maximum context length is 10"}), Fault.CONTEXT_OVERFLOW),
    ],
)
async def test_trouble_on_the_way_is_an_error(server: FaultServer, answer: Answer, fault: Fault) -> None:
    """The same mapping as for answers of ours."""
    server.answer(answer)
    with pytest.raises(BackendError) as caught:
        await ask(server, plainly(), attempts=1)
    assert caught.value.fault is fault


async def test_a_prompt_that_was_cut_is_not_answered(server: FaultServer) -> None:
    """The turns count as part of it."""
    server.answer(chat("safe"))
    long = " ".join(f"word{n}" for n in range(400))
    assert least_tokens(plainly("x", turns=(Turn("user", long),))) > 300
    reply = await ask(server, plainly("x", turns=(Turn("user", long),)))
    assert (reply.finish, reply.fault) == ("mismatched", Fault.CONTEXT_OVERFLOW)


async def test_a_text_that_was_cut_is_asked_for_again_without_a_word_more(server: FaultServer) -> None:
    """Twice the room, and the same prompt: it is another's format."""
    server.answer(chat("Let me see", finish="length"), chat("safe"))
    reply = await ask(server, plainly())
    first, second = (received.body for received in server.received)
    assert reply.answer == PlainText(text="safe")
    assert first["messages"] == second["messages"]
    assert (first["max_tokens"], second["max_tokens"]) == (16, 32)


async def test_a_positive_is_not_asked_for_again(server: FaultServer) -> None:
    """A second answer must not take it back, whatever was wrong with the first."""
    server.answer(chat("\nunsafe\nS1, S", finish="length"), chat("safe"))
    reply = await ask(server, plainly())
    assert (reply.finish, reply.text, len(server.received)) == ("truncated", "\nunsafe\nS1, S", 1)
    server.received.clear()
    server.answer(chat("unsafe", finish="odd"), chat("safe"))
    reply = await ask(server, plainly())
    assert (reply.fault, len(server.received)) == (Fault.BROKEN_REPLY, 1)


@pytest.mark.parametrize(
    ("text", "claims"),
    [
        ("unsafe", True),
        (" unsafe\nS1", True),
        ("unsafely", False),
        ("safe", False),
        ("safe\nUNSAFE", True),
        ("", False),
        (None, False),
    ],
)
def test_a_claim_is_what_the_choice_calls_a_positive(text: str | None, claims: bool) -> None:
    """Wherever it stands, and whatever stands at the place of the verdict."""
    assert CHOICE.claims(text) is claims


def _token(text: str, **others: float) -> dict[str, Any]:
    top = [{"token": other, "logprob": math.log(p), "bytes": list(other.encode())} for other, p in others.items()]
    first = next(iter(others.values()), 1.0)
    return {"token": text, "logprob": math.log(first), "bytes": list(text.encode()), "top_logprobs": top}


@pytest.mark.parametrize(
    ("content", "tokens", "score"),
    [
        ("safe", [_token("safe", safe=0.7, unsafe=0.2)], 0.2 / 0.9),
        ("unsafe\nS1", [_token("unsafe", unsafe=0.6, safe=0.3), _token("\n"), _token("S1")], 0.6 / 0.9),
        ("\n\nsafe", [_token("\n\n"), _token("safe", safe=0.8, uns=0.1, sa=0.1)], 0.1),
        ("safe", [_token("s", s=0.5, unsafe=0.5), _token("afe")], 0.5),
        ("maybe", [_token("maybe", maybe=0.9)], None),
        ("safe", [_token("other", other=1.0)], None),
        ("safe", None, None),
    ],
)
async def test_the_score_is_the_share_of_the_positive(
    server: FaultServer, content: str, tokens: list[dict[str, Any]] | None, score: float | None
) -> None:
    """At the token where the verdict begins, summed over what begins either word."""
    server.answer(chat(content, logprobs=None if tokens is None else {"content": tokens}))
    reply = await ask(server, plainly())
    assert reply.score == (None if score is None else pytest.approx(score))


async def test_what_could_begin_either_word_counts_for_neither(server: FaultServer) -> None:
    """A token that both words begin with."""
    both = Choice(yes=("Safe?",), no=("Safe!",), place=first_word, positive=anywhere)
    server.answer(chat("Safe!", logprobs={"content": [_token("Safe", Safe=0.9), _token("!")]}))
    assert (await ask(server, plainly(choice=both))).score is None


def completed(text: str, logprobs: object = None, finish: str = "stop") -> Answer:
    body = {
        "object": "text_completion",
        "model": "fault-1",
        "choices": [{"index": 0, "text": text, "finish_reason": finish, "logprobs": logprobs}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3},
    }
    return Answer(json.dumps(body).encode())


async def test_a_raw_prompt_is_completed_as_it_stands(server: FaultServer) -> None:
    """On the road of completions, with the older shape of log-probabilities."""
    older = {
        "tokens": ["\n\n", "unsafe"],
        "token_logprobs": [0.0, math.log(0.6)],
        "top_logprobs": [{"\n\n": 0.0}, {"unsafe": math.log(0.6), "safe": math.log(0.2)}],
        "text_offset": [0, 2],
    }
    server.answer(completed("\n\nunsafe", older))
    reply = await ask(server, plainly("<|user|>hello<|assistant|>", raw=True))
    sent = server.received[0]
    assert sent.path == "/v1/completions"
    assert (sent.body["prompt"], sent.body["max_tokens"], sent.body["logprobs"]) == (
        "<|user|>hello<|assistant|>",
        16,
        20,
    )
    assert "messages" not in sent.body
    assert (reply.text, reply.model) == ("\n\nunsafe", "fault-1")
    assert reply.score == pytest.approx(0.75)


@pytest.mark.parametrize(
    "logprobs",
    [
        None,
        [],
        {"tokens": ["safe"]},
        {"tokens": ["safe"], "token_logprobs": [0.0], "top_logprobs": []},
        {"tokens": ["safe"], "token_logprobs": ["x"], "top_logprobs": ["x"]},
        {"tokens": 5, "token_logprobs": 5, "top_logprobs": 5},
        {"content": 5},
    ],
)
async def test_broken_log_probabilities_are_no_score(server: FaultServer, logprobs: object) -> None:
    """And cost the answer nothing."""
    server.answer(completed("safe", logprobs))
    reply = await ask(server, plainly("x", raw=True))
    assert (reply.finish, reply.score) == ("answered", None)


async def test_a_server_without_many_alternatives_is_asked_for_fewer(server: FaultServer) -> None:
    """Twenty, five, none."""
    no = failure(400, {"param": "logprobs", "message": "too many"})
    server.answer(no, no, completed("safe"))
    reply = await ask(server, plainly("x", raw=True))
    assert [received.body.get("logprobs") for received in server.received] == [20, 5, None]
    assert (reply.finish, reply.attempts) == ("answered", 3)


@pytest.mark.parametrize(
    "changes",
    [
        {"raw": True, "system": "Policy."},
        {"raw": True, "turns": (Turn("user", "x"),)},
        {"raw": True, "answer": ScreenTerse, "choice": None},
        {"answer": ScreenTerse},
    ],
)
def test_what_no_server_could_be_sent_is_refused(changes: dict[str, Any]) -> None:
    """A raw prompt is one text; a choice belongs to a plain text."""
    settings: dict[str, Any] = {"system": "", "user": "x", "answer": PlainText, "nonce": "", "choice": CHOICE}
    with pytest.raises(ValueError, match=r"raw prompt|plain text"):
        Request(**{**settings, **changes})


def test_what_shapes_a_reply_can_be_told() -> None:
    """For recordings; empty for the requests of old, whose hashes must not change."""
    assert Request(system="", user="x", answer=ScreenTerse, nonce="").beyond == {}
    assert plainly("x").beyond == {"choice": [["unsafe"], ["safe"]]}
    more = plainly("x", turns=(Turn("user", "y"),), extra={"a": 1}).beyond
    assert json.loads(json.dumps(more)) == {
        "choice": [["unsafe"], ["safe"]],
        "turns": [["user", "y"]],
        "extra": {"a": 1},
    }
    assert "raw" in plainly("x", raw=True).beyond


def test_a_recording_tells_requests_apart() -> None:
    """By whatever of them shapes the reply."""
    different = [
        plainly("x"),
        plainly("x", choice=None),
        plainly("x", turns=(Turn("user", "y"),)),
        plainly("x", turns=(Turn("assistant", "y"),)),
        plainly("x", extra={"a": 1}),
        plainly("x", extra={"a": 2}),
        plainly("x", raw=True),
        plainly("x", system="y"),
    ]
    assert len({request_hash(request) for request in different}) == len(different)


async def test_scripts_and_recordings_carry_plain_texts(tmp_path: Any) -> None:
    """A text that was recorded is replayed to the letter, with its score."""
    path = str(tmp_path / "replies.jsonl")
    scripted = Scripted((ScriptedAnswer(text="unsafe\nS1", score=0.75),))
    said = await Recorder(scripted, path).complete(plainly("hello"))
    replayed = await Recorded(path).complete(plainly("hello"))
    assert said.answer == replayed.answer == PlainText(text="unsafe\nS1")
    assert (replayed.score, replayed.finish) == (0.75, "answered")
    assert len(request_hash(plainly("hello"))) == 64


async def test_nothing_is_told_of_a_plain_text() -> None:
    """Neither the request nor the answer shows its words."""
    request = plainly("canary7731", turns=(Turn("user", "canary7731"),), extra={"note": "canary7731"})
    reply = await Scripted((ScriptedAnswer(text="canary7731"),)).complete(request)
    assert "canary7731" not in f"{request!r} {reply!r} {reply.answer!r} {request.turns!r}"


async def test_other_chat_models_give_plain_texts_too(server: FaultServer) -> None:
    """Through LangChain, without a schema; what only the OpenAI protocol has is refused and not passed over."""
    backend = open_backend(parse_backend("langchain:openai:fault-1", base_url=server.url), np.random.default_rng(0))
    server.answer(chat("unsafe\nS1"))
    reply = await backend.complete(plainly("second", turns=(Turn("user", "first"), Turn("assistant", "between"))))
    assert reply.answer == PlainText(text="unsafe\nS1")
    sent = server.received[0].body
    assert [message["role"] for message in sent["messages"]] == ["user", "assistant", "user"]
    assert "response_format" not in sent
    assert "tools" not in sent
    server.answer(
        chat(
            None,
            finish="tool_calls",
            message={
                "tool_calls": [{"id": "1", "type": "function", "function": {"name": "x", "arguments": '{"a": "safe"}'}}]
            },
        )
    )
    assert (await backend.complete(plainly("x", attempts=1))).fault is Fault.EMPTY_REPLY
    for request in (plainly("x", raw=True), plainly("x", extra={"a": 1})):
        with pytest.raises(BackendError) as caught:
            await backend.complete(request)
        assert caught.value.fault is Fault.MISCONFIGURED
    await backend.aclose()


async def test_a_real_server_takes_both_roads(llama_url: str) -> None:
    """llama.cpp: chat and completion, log-probabilities on both. What the tiny model says means nothing."""
    backend = open_openai(llama_url)
    words = Choice(yes=("Yes", "yes"), no=("No", "no"), place=first_word, positive=anywhere)
    question = "Is water wet? Answer Yes or No."
    raw = f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"
    try:
        for request in (
            plainly(question, choice=words, max_output_tokens=160, deadline_s=60.0),
            plainly(raw, choice=words, max_output_tokens=160, deadline_s=60.0, raw=True),
        ):
            reply = await backend.complete(request)
            assert reply.finish == "answered"
            assert reply.prompt_tokens > 5
            assert reply.score is not None
            assert 0.0 < reply.score < 1.0
    finally:
        await backend.aclose()
