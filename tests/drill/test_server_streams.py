"""Streams: a client that asks for one gets the same answer as anybody else, and its faults."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crisis_filter.drill.answers import LITERALS, Healthy
from crisis_filter.drill.asked import read_asked
from crisis_filter.drill.behaviours import BEHAVIOURS, Behaviour
from crisis_filter.drill.http import EVENT_STREAM, Response, streamed
from crisis_filter.drill.scene import Scene, answered
from crisis_filter.drill.server import FaultServer
from tests.drill.talking import chat, post, said
from tests.drill.test_server_behaviours import by_name

ASKED = [{"role": "user", "content": "a crisis"}]


def events(body: bytes) -> list[Any]:
    """The data of a whole stream, its last word left out."""
    *parts, end = body.rstrip(b" ").split(b"\n\n")
    assert (end, parts.pop()) == (b"", b"data: [DONE]")
    assert all(part.startswith(b"data: {") for part in parts)
    return [json.loads(part.removeprefix(b"data: ")) for part in parts]


def joined(chunks: list[Any]) -> list[dict[str, Any]]:
    """The choices that the events add up to."""
    choices: dict[int, dict[str, Any]] = {}
    for choice in (choice for chunk in chunks for choice in chunk["choices"]):
        made = choices.setdefault(choice["index"], {"content": None, "refusal": None, "tool_calls": None, "ends": []})
        for name in ("content", "refusal", "tool_calls"):
            piece = choice["delta"].get(name)
            made[name] = piece if made[name] is None else made[name] + piece if piece else made[name]
        made["ends"].append(choice["finish_reason"])
    return [choices[index] for index in sorted(choices)]


def client(server: FaultServer) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=server.base_url, api_key="k", max_retries=0, timeout=5.0)


@pytest.mark.parametrize("crisis", [True, False])
async def test_a_client_that_streams_gets_the_answer(crisis: bool) -> None:
    """In several pieces, and with the count of tokens in the last event where it is asked for."""
    async with FaultServer(Healthy(lambda _: crisis)) as server, client(server) as asking:
        stream = await asking.chat.completions.create(
            model="m", messages=ASKED, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
    *others, last = chunks
    pieces = [chunk.choices[0].delta.content for chunk in others]
    assert "".join(piece or "" for piece in pieces) == ('{"crisis": true}' if crisis else '{"crisis": false}')
    assert [chunk.choices[0].finish_reason for chunk in others][-2:] == [None, "stop"]
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.prompt_tokens > 0


@pytest.mark.parametrize("behaviour", [b for b in BEHAVIOURS.values() if not b.ours_only], ids=by_name)
async def test_a_stream_adds_up_to_the_answer(behaviour: Behaviour) -> None:
    """Whatever the model writes; what is no completion is sent to both alike. `stream: false` is no stream."""
    scene = Scene(asked=read_asked({"messages": ASKED}), said=True, literals=LITERALS["prompts"], body={})
    whole = behaviour.respond(scene)
    parts = streamed(whole, usage=False)
    assert (parts.act, parts.status, parts.padding) == (whole.act, whole.status, whole.padding)
    if whole.status != 200 or b'"chat.completion"' not in whole.body:
        assert parts == whole
        return
    assert parts.content_type in (EVENT_STREAM, whole.content_type)
    told = json.loads(whole.body)["choices"]
    for choice, made in zip(told, joined(events(parts.body)), strict=True):
        message = choice["message"]
        assert (made["content"] or None) == (message["content"] or None)
        assert made["refusal"] == message["refusal"]
        calls = [{key: value for key, value in call.items() if key != "index"} for call in made["tool_calls"] or []]
        assert calls == (message.get("tool_calls") or [])
        assert made["ends"][-1] == choice["finish_reason"]
        assert set(made["ends"][:-1]) == {None}


@given(st.text(max_size=80), st.booleans())
def test_any_words_arrive_whole(words: str, usage: bool) -> None:
    """Lone surrogates, line ends and the marks of events among them."""
    scene = Scene(asked=read_asked({"messages": ASKED}), said=words, literals=LITERALS["prompts"], body={})
    chunks = events(streamed(answered(scene, words), usage=usage).body)
    assert (joined(chunks)[0]["content"] or "") == words
    assert ["usage" in chunk for chunk in chunks] == [usage] * len(chunks)
    if usage:
        assert [chunk["usage"] is None for chunk in chunks] == [True] * (len(chunks) - 1) + [False]


@pytest.mark.parametrize("body", [b"", b"[]", b'"x"', b'{"object": "list"}', b"[" * 100_000, b"\xff"])
def test_what_is_no_completion_is_left_alone(body: bytes) -> None:
    """However it looks."""
    assert streamed(Response(body), usage=True) == Response(body)


@pytest.mark.parametrize(
    ("fault", "lost"),
    [
        ("http_503", openai.InternalServerError),
        ("http_401", openai.AuthenticationError),
        ("cut", httpx2.RemoteProtocolError),
        ("reset", httpx2.ReadError),
    ],
)
async def test_a_stream_that_fails(fault: str, lost: type[Exception]) -> None:
    """Errors come as errors, and a broken connection breaks a stream off."""
    async with FaultServer(Healthy(lambda _: True)) as server, client(server) as asking:
        with pytest.raises(lost):
            async for _ in await asking.chat.completions.create(model=f"fault:{fault}", messages=ASKED, stream=True):
                pass


async def test_only_true_asks_for_a_stream() -> None:
    """As the protocol has it."""
    async with FaultServer(Healthy(lambda _: True)) as server:
        kinds = [
            (await said(server.port, post(chat(stream=each)))).headers["content-type"] for each in (True, False, None)
        ]
    assert kinds == [EVENT_STREAM, "application/json", "application/json"]
