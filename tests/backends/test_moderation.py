"""The moderation endpoint, against a real server on the loopback: what is sent, and what counts as a reply."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crisis_filter.backends.moderation import (
    CATEGORIES,
    PINNED_MODEL,
    ModerationReply,
    ModerationSpec,
    read_moderation,
)
from crisis_filter.backends.openai_moderation import OpenAIModeration
from crisis_filter.errors import BackendError
from crisis_filter.schema import Fault
from tests.fault_server import Answer, FaultServer, failure


def result(*flagged: str, **changes: Any) -> dict[str, Any]:
    """One result in the documented form."""
    said: dict[str, Any] = {
        "flagged": bool(flagged),
        "categories": {key: key in flagged for key in CATEGORIES},
        "category_scores": {key: 0.9 if key in flagged else 0.01 for key in CATEGORIES},
        "category_applied_input_types": {key: ["text"] for key in CATEGORIES},
    }
    return {**said, **changes}


def moderated(*results: object, **changes: Any) -> Answer:
    """A body in the documented form."""
    return Answer(json.dumps({"id": "modr-1", "model": PINNED_MODEL, "results": list(results), **changes}).encode())


async def ask(server: FaultServer, text: str = "hello", deadline_s: float = 10.0, **settings: Any) -> ModerationReply:
    spec = ModerationSpec(base_url=server.url, **{"attempts": 1, **settings})
    endpoint = OpenAIModeration(spec, np.random.default_rng(0))
    try:
        return await endpoint.moderate(text, deadline_s)
    finally:
        await endpoint.aclose()


async def test_a_text_goes_to_the_pinned_model(server: FaultServer) -> None:
    """One text, one dated model, nothing else."""
    server.answer(moderated(result()))
    reply = await ask(server, "the bus was late")
    assert server.received[0].path == "/v1/moderations"
    assert server.received[0].body == {"input": "the bus was late", "model": "omni-moderation-2024-09-26"}
    assert (reply.flagged, reply.fault, reply.model, reply.attempts) == (False, None, PINNED_MODEL, 1)
    assert (set(reply.categories), set(reply.scores)) == (set(CATEGORIES), set(CATEGORIES))
    again = ModerationReply.model_validate_json(reply.model_dump_json())
    assert again == reply


async def test_a_flag_names_its_categories(server: FaultServer) -> None:
    """With their scores."""
    server.answer(moderated(result("self-harm", "self-harm/intent")))
    reply = await ask(server)
    assert reply.flagged
    assert [key for key, said in reply.categories.items() if said] == ["self-harm", "self-harm/intent"]
    assert reply.scores["self-harm"] == 0.9


async def test_the_older_models_know_nothing_illicit(server: FaultServer) -> None:
    """Left out, or null."""
    short = {key: False for key in CATEGORIES if not key.startswith("illicit")}
    for categories in (short, {**short, "illicit": None, "illicit/violent": None}):
        held = result(categories=categories, category_scores=dict.fromkeys(short, 0.1))
        server.answer(moderated(held, model="text-moderation-007"))
        reply = await ask(server)
        assert (reply.flagged, reply.fault, len(reply.categories)) == (False, None, 11)
        # The newer ones have every key: what they leave out may have been what was flagged.
        for newer in (PINNED_MODEL, "omni-moderation-latest", "omni", None):
            server.answer(moderated(held, model=newer))
            with pytest.raises(BackendError) as caught:
                await ask(server)
            assert caught.value.fault is Fault.SCHEMA
        assert (await ask(server, model="mine")).flagged is False


def _without(key: str) -> dict[str, Any]:
    whole = result()
    return {name: {k: v for k, v in whole[name].items() if k != key} for name in ("categories", "category_scores")}


def _with(name: str, key: str, value: object) -> dict[str, Any]:
    return {name: {**result()[name], key: value}}


NOT_AS_DOCUMENTED = [
    result(flagged="false"),
    result(flagged=0),
    result(flagged=None),
    {key: value for key, value in result().items() if key != "flagged"},
    result(**_without("self-harm")),
    result(**_without("sexual")),
    result(**_with("categories", "boredom", False)),
    result(**_with("categories", "self-harm", 0)),
    result(**_with("categories", "self-harm", "false")),
    result(**_with("categories", "self-harm", None)),
    result(categories=[]),
    result(categories=None),
    result(category_scores={}),
    result(category_scores=None),
    result(**_with("category_scores", "self-harm", 1.5)),
    result(**_with("category_scores", "self-harm", -0.1)),
    result(**_with("category_scores", "self-harm", "0.1")),
    result(**_with("category_scores", "self-harm", True)),
    result(**_with("category_scores", "boredom", 0.1)),
]


@pytest.mark.parametrize("held", NOT_AS_DOCUMENTED, ids=range(len(NOT_AS_DOCUMENTED)))
async def test_what_is_not_as_documented_is_no_negative(server: FaultServer, held: dict[str, Any]) -> None:
    """Nor is it asked for again: the endpoint would say the same."""
    server.answer(moderated(held))
    with pytest.raises(BackendError) as caught:
        await ask(server, attempts=3)
    assert (caught.value.fault, len(server.received), caught.value.attempts) == (Fault.SCHEMA, 1, 1)


@pytest.mark.parametrize(
    ("held", "known"),
    [
        (result("self-harm", flagged=False), {"self-harm"}),
        (result(flagged=True), set()),
        (result("self-harm", category_scores={}), {"self-harm"}),
        (result("self-harm", **_with("categories", "boredom", True)), set()),
        (result(**_with("categories", "boredom", True)), set()),
        (result("violence", category_scores=dict.fromkeys(CATEGORIES, 7)), {"violence"}),
    ],
)
async def test_a_flag_survives_a_flawed_reply(server: FaultServer, held: dict[str, Any], known: set[str]) -> None:
    """With the fault, the keys that are known, and no score."""
    server.answer(moderated(held))
    reply = await ask(server)
    assert (reply.flagged, reply.fault, reply.scores) == (True, Fault.SCHEMA, {})
    assert set(reply.categories) == known


async def test_one_text_has_one_result(server: FaultServer) -> None:
    """None or two are no negative; a flag among two survives."""
    for held in ((), (result(), result()), ("nothing",)):
        server.answer(moderated(*held))
        with pytest.raises(BackendError) as caught:
            await ask(server)
        assert caught.value.fault is Fault.SCHEMA
    server.answer(moderated(result(), result("violence")))
    assert (await ask(server)).fault is Fault.SCHEMA


@pytest.mark.parametrize(
    "body",
    [
        {"results": [result("self-harm")], "error": {"message": "x"}},
        {"results": result("self-harm")},
        {"results": {"categories": {"self-harm": True}}},
        {"results": {"flagged": True}, "error": "x"},
    ],
    ids=range(4),
)
async def test_a_flag_in_a_broken_body_is_not_asked_for_again(server: FaultServer, body: dict[str, Any]) -> None:
    """A second reply, which would clear, must not take it back."""
    server.answer(Answer(json.dumps(body).encode()), moderated(result()))
    reply = await ask(server, attempts=3)
    assert (reply.flagged, reply.fault, len(server.received)) == (True, Fault.SCHEMA, 1)


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"{}", b'{"results": 5}', json.dumps({"results": result()}).encode(), b'{"error": {"message": "x"}, "results": []}', b"\xff\xfe",
     b'{"choices": [{"message": {"content": "safe"}}]}', b"[" * 100_000],
)  # fmt: skip
async def test_what_is_no_moderation_at_all_is_a_broken_reply(server: FaultServer, body: bytes) -> None:
    """Asked for once more, as after any trouble on the way."""
    server.answer(Answer(body))
    with pytest.raises(BackendError) as caught:
        await ask(server, attempts=3)
    assert (caught.value.fault, len(server.received)) == (Fault.BROKEN_REPLY, 2)


async def test_a_key_that_comes_twice_is_no_negative(server: FaultServer) -> None:
    """Readers differ in which of the two they take."""
    body = moderated(result()).body.replace(b'"flagged": false', b'"flagged": true, "flagged": false')
    server.answer(Answer(body))
    with pytest.raises(BackendError) as caught:
        await ask(server)
    assert caught.value.fault is Fault.SCHEMA


@pytest.mark.parametrize(
    ("answer", "fault", "requests"),
    [
        (failure(500), Fault.SERVER_ERROR, 3),
        (failure(401), Fault.MISCONFIGURED, 1),
        (failure(404), Fault.MISCONFIGURED, 1),
        (failure(429, {"code": "insufficient_quota"}), Fault.MISCONFIGURED, 1),
        (failure(413), Fault.CONTEXT_OVERFLOW, 1),
        (failure(400, {"code": "content_filter"}), Fault.FILTER_PROMPT, 1),
        (failure(302, location="http://127.0.0.1:9/"), Fault.MISCONFIGURED, 1),
        (Answer(moderated(result()).body, act="cut"), Fault.BROKEN_REPLY, 2),
        (Answer(act="close"), Fault.BROKEN_REPLY, 2),
    ],
)
async def test_faults_are_those_of_every_endpoint(
    server: FaultServer, answer: Answer, fault: Fault, requests: int
) -> None:
    """And so are the retries."""
    server.answer(answer)
    with pytest.raises(BackendError) as caught:
        await ask(server, attempts=3)
    assert (caught.value.fault, len(server.received)) == (fault, requests)


async def test_a_wait_that_is_asked_for_is_kept_and_told(server: FaultServer) -> None:
    """The troubles on the way stand in the reply."""
    server.answer(failure(429, retry_after_ms="10"), moderated(result()))
    reply = await ask(server, attempts=3)
    assert (reply.attempts, reply.troubles) == (2, ((f"moderation:{PINNED_MODEL}", Fault.RATE_LIMITED),))


@pytest.mark.parametrize("settings", [{"attempt_timeout_s": 0.2}, {"deadline_s": 0.3, "attempts": 3}])
async def test_an_endpoint_that_hangs_is_given_up(server: FaultServer, settings: dict[str, Any]) -> None:
    """After the time for one request, or for all."""
    server.answer(Answer(act="hang_before"))
    with pytest.raises(BackendError) as caught:
        await ask(server, **settings)
    assert caught.value.fault is Fault.TIMEOUT


async def test_another_model_clears_nothing(server: FaultServer) -> None:
    """Where the operator says which it must be."""
    server.answer(moderated(result(), model="omni-moderation-2030-01-01"))
    assert (await ask(server)).flagged is False
    with pytest.raises(BackendError) as caught:
        await ask(server, model_reported=PINNED_MODEL)
    assert caught.value.fault is Fault.MODEL_DRIFT
    server.answer(moderated(result("violence"), model="omni-moderation-2030-01-01"))
    drifted = await ask(server, model_reported=PINNED_MODEL)
    assert (drifted.flagged, drifted.fault) == (True, Fault.MODEL_DRIFT)


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats(0, 2) | st.sampled_from(["flagged", "true", "self-harm"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*CATEGORIES, "flagged", "x"]), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["flagged", "categories", "category_scores"]), _JSON))
def test_nothing_made_up_clears(changes: dict[str, Any]) -> None:
    """Whatever stands in the place of a part, at most the documented reply is a negative."""
    held = {**result(), **changes}
    found = read_moderation(moderated(held).body)
    if isinstance(found, ModerationReply) and not found.flagged:
        assert found.fault is None
        assert held["flagged"] is False
        assert not any(value is True for value in held["categories"].values())
        assert set(CATEGORIES) - {"illicit", "illicit/violent"} <= set(held["categories"])
    if held.get("flagged") is True:
        assert isinstance(found, ModerationReply)
        assert found.flagged
