"""A server that read less than it was sent, and a server whose model is another one."""

from __future__ import annotations

import json

import pytest
import regex

from crisis_filter.backends.expecting import Expecting
from crisis_filter.backends.registry import open_backend
from crisis_filter.backends.spec import parse_backend
from crisis_filter.backends.window import least_tokens, prompt_was_cut
from crisis_filter.prompting.prompt import load_prompt
from crisis_filter.prompting.render import render
from crisis_filter.schema import Fault
from crisis_filter.stages.screen import build_request
from crisis_filter.taxonomy.load import load_taxonomy
from tests.backends.asking import asking, open_openai, verdict
from tests.fault_server import FaultServer, chat

PROMPTS = ("screen/reasoned-v1", "screen/terse-v1", "categorise/reasoned-v1")
MESSAGES = {
    "short": "k",
    "prose": "I have been thinking about the appointment and what the doctor said about my sleep. " * 60,
    "shouting": "HELP ME PLEASE " * 300,
    "spaces": " " * 4000 + "hello",
    "laughing": "hahaha" * 1000,
    "dots": "." * 5000,
    "digits": "0123456789" * 300,
    "other script": "Я больше не могу так жить, помогите. " * 80,
    "emoji": "😭" * 500,
}


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("message", MESSAGES)
def test_a_whole_prompt_is_never_taken_for_a_cut_one(prompt, message):
    """A real tokeniser counts more tokens than the bound for every released prompt and for odd messages."""
    request = build_request(
        render(load_prompt(prompt), load_taxonomy("clinical-v1")),
        MESSAGES[message],
        1.0,
        lambda bits: "a" * (bits // 4),
    )
    counted = _fewest_tokens(request.system + request.user)
    assert not prompt_was_cut(request, counted)
    assert least_tokens(request) > 0


def _fewest_tokens(text: str) -> int:
    """No byte-pair tokeniser joins across these pieces, so none counts fewer: words, numbers, signs, runs of white space."""
    return len(regex.findall(r" ?\p{L}+| ?\p{N}{1,3}| ?[^\s\p{L}\p{N}]+|\s+", text))


@pytest.mark.parametrize(("prompt_tokens", "cut"), [(0, False), (1, True), (2050, True), (100_000, False)])
def test_half_a_prompt_is_noticed(prompt_tokens, cut):
    """What a server says it read; nothing where it says nothing."""
    request = build_request(
        render(load_prompt("screen/reasoned-v1"), load_taxonomy("clinical-v1")), "hello", 1.0, lambda _: "a" * 32
    )
    assert prompt_was_cut(request, prompt_tokens) is cut


@pytest.mark.usefixtures("lane")
async def test_a_negative_on_half_a_prompt_is_no_answer(server: FaultServer):
    """A complete valid answer with the right nonce, by a model that read half; a positive stays readable."""
    long = asking("I have so many words to say of this. " * 300)
    server.answer(chat(verdict(), usage={"prompt_tokens": 400, "completion_tokens": 1}))
    backend = open_openai(server.url)
    reply = await backend.complete(long)
    assert (reply.finish, reply.fault, reply.answer) == ("mismatched", Fault.CONTEXT_OVERFLOW, None)
    assert json.loads(reply.text or "")["crisis"] is False
    server.answer(chat(verdict(), usage={"prompt_tokens": 3000, "completion_tokens": 1}))
    assert (await backend.complete(long)).finish == "answered"
    await backend.aclose()


async def test_another_model_is_drift(server: FaultServer):
    """Its negative is no answer, and its words are kept for a positive."""
    for asked_for, finish, fault in (("fault-1", "answered", None), ("fault-2", "mismatched", Fault.MODEL_DRIFT)):
        server.answer(chat(verdict()))
        spec = parse_backend("openai:m", base_url=server.url, model_reported=asked_for)
        backend = open_backend(spec)
        assert isinstance(backend, Expecting)
        reply = await backend.complete(asking())
        assert (reply.finish, reply.fault, reply.text) == (finish, fault, verdict())
        assert (reply.model, backend.name) == ("fault-1", "openai:m")
        await backend.aclose()
