"""LiteLLM's generic guardrail contract: NONE only where everything that had to be read was read and is no crisis."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crisis_filter.schema import OUTCOMES, Disposition, Fault
from crisis_filter.service.bodies import json_answer
from crisis_filter.service.guardrail import (
    GuardrailAnswer,
    GuardrailRequest,
    Intervention,
    guardrail_answer,
    pieces_of,
    subject_of,
)
from crisis_filter.service.problems import Problem
from crisis_filter.service.said import unsaid
from tests.service.assessments import ACTOR, LINE, of, said
from tests.strategies import texts

PLAN = Intervention()
FINE, CRISIS, DOWN = of("no_crisis"), of("crisis"), of("undetermined")
SENT = {
    "texts": ["You are a helper.", "I feel low", "Tell me more", "and now worse"],
    "structured_messages": [
        {"role": "system", "content": "You are a helper."},
        {"role": "user", "content": "I feel low"},
        {"role": "assistant", "content": "Tell me more"},
        {"role": "user", "content": [{"type": "text", "text": "and now worse"}]},
    ],
    "images": None,
    "tools": None,
    "tool_calls": None,
    "request_data": {"user_api_key_user_email": "canary@example.org", "user_api_key_end_user_id": "person-1"},
    "request_headers": {"Authorization": "canary"},
    "litellm_version": "1.9",
    "model": "some-model",
    "input_type": "request",
    "litellm_call_id": "call-1",
    "litellm_trace_id": "trace-1",
    "additional_provider_specific_params": {"anything": 1},
    "a_field_of_tomorrow": {"x": 1},
}


def asked(**more: Any) -> GuardrailRequest:
    return GuardrailRequest.model_validate({**SENT, **more})


def plain(*given_texts: str, **more: Any) -> GuardrailRequest:
    return asked(texts=list(given_texts), structured_messages=None, **more)


requests = st.builds(
    lambda given_texts, kind, images: plain(*given_texts, input_type=kind, images=images),
    st.lists(texts, max_size=4),
    st.sampled_from(("request", "response")),
    st.sampled_from((None, [], ["data"])),
)
plans = st.builds(
    Intervention,
    crisis=st.sampled_from(("intervene", "block")),
    undetermined=st.sampled_from(("intervene", "block")),
    pictures=st.sampled_from(("undetermined", "ignore")),
)


@settings(deadline=None)
@given(requests, plans, st.lists(st.none() | said, min_size=4, max_size=4))
def test_none_only_where_all_was_read_and_none_of_it_alarms(request_, plan, judged):
    given_said = {index: one for index, one in enumerate(judged) if one is not None}
    answer = guardrail_answer(request_, plan, given_said)
    read = [given_said.get(piece.index) for piece in pieces_of(request_, plan)]
    unread = bool(request_.images) and plan.pictures == "undetermined"
    fine = bool(read) and all(one is not None and one.outcome == "no_crisis" for one in read) and not unread
    assert (answer.action == "NONE") == fine == (answer.decision == "no_crisis")
    assert (answer.action == "BLOCKED") == (answer.blocked_reason is not None)
    if answer.action == "GUARDRAIL_INTERVENED":
        assert answer.texts is not None
        assert len(answer.texts) == len(request_.texts or ())
        assert all(after.startswith(before) for before, after in zip(request_.texts or (), answer.texts, strict=True))
        assert answer.texts != request_.texts or not answer.texts
    else:
        assert answer.texts is None
    GuardrailAnswer.model_validate(json.loads(json_answer(answer).body))


@settings(deadline=None)
@given(requests, plans)
def test_any_error_of_ours_is_no_none(request_, plan):
    answer = guardrail_answer(request_, plan, {})
    assert answer.action == ("BLOCKED" if plan.undetermined == "block" else "GUARDRAIL_INTERVENED")
    assert answer.decision == "undetermined"


@pytest.mark.parametrize(
    ("judged", "crisis", "undetermined", "action"),
    [
        ((FINE,), "intervene", "intervene", "NONE"),
        ((CRISIS,), "intervene", "intervene", "GUARDRAIL_INTERVENED"),
        ((DOWN,), "intervene", "intervene", "GUARDRAIL_INTERVENED"),
        ((CRISIS,), "block", "intervene", "BLOCKED"),
        ((DOWN,), "block", "intervene", "GUARDRAIL_INTERVENED"),
        ((DOWN,), "intervene", "block", "BLOCKED"),
        ((CRISIS,), "intervene", "block", "GUARDRAIL_INTERVENED"),
        ((FINE, CRISIS), "intervene", "intervene", "GUARDRAIL_INTERVENED"),
        ((DOWN, CRISIS), "intervene", "block", "BLOCKED"),
        ((FINE, FINE), "block", "block", "NONE"),
    ],
)
def test_what_is_answered(judged, crisis, undetermined, action):
    plan = Intervention(crisis=crisis, undetermined=undetermined)
    request_ = plain(*("a text" for _ in judged))
    answer = guardrail_answer(request_, plan, dict(enumerate(judged)))
    assert answer.action == action
    assert answer.decision == min((one.outcome for one in judged), key=OUTCOMES.index)


def test_the_words_go_after_the_text_that_alarms_and_no_other():
    answer = guardrail_answer(plain("one", "two", "three"), PLAN, {0: FINE, 1: CRISIS, 2: DOWN})
    assert answer.texts is not None
    one, two, three = answer.texts
    assert one == "one"
    assert two == f"two\n\n{PLAN.to_model}\n- {PLAN.elsewhere}"
    assert three == f"three\n\n{PLAN.to_model_undetermined}\n- {PLAN.elsewhere}"


def test_a_reply_tells_the_person_and_not_the_model():
    placed = of("crisis", disposition=Disposition(queue="q", urgency="urgent", rule="r", resources=(LINE,)))
    answer = guardrail_answer(plain("a reply", input_type="response"), PLAN, {0: placed})
    assert answer.texts == (f"a reply\n\n{PLAN.to_person}\n- A line: Call 000",)


def test_a_refusal_says_where_to_turn():
    placed = of("crisis", disposition=Disposition(queue="q", urgency="urgent", rule="r", resources=(LINE,)))
    answer = guardrail_answer(plain("a text"), Intervention(crisis="block"), {0: placed})
    assert answer.blocked_reason == f"{PLAN.blocked}\n- A line: Call 000"


def test_what_was_said_goes_beside_it():
    answer = guardrail_answer(plain("one", "two"), PLAN, {0: FINE, 1: unsaid(Fault.OVERLOAD, message_id="m9")})
    assert [(told.index, told.message_id, told.decision, told.undetermined_reason) for told in answer.results] == [
        (0, "m1", "no_crisis", None),
        (1, "m9", "undetermined", Fault.OVERLOAD),
    ]


def roles(*messages: tuple[str, Any]) -> dict[str, Any]:
    found = [text for _, content in messages for text in ([content] if isinstance(content, str) else content)]
    parts = [
        {"role": role, "content": c if isinstance(c, str) else [{"type": "text", "text": t} for t in c]}
        for role, c in messages
    ]
    return {"texts": found, "structured_messages": parts}


@pytest.mark.parametrize(
    ("sent", "newest", "everything"),
    [
        ({}, [3], [1, 3]),
        ({"structured_messages": None}, [0, 1, 2, 3], [0, 1, 2, 3]),
        ({"structured_messages": []}, [0, 1, 2, 3], [0, 1, 2, 3]),
        ({"structured_messages": "odd"}, [0, 1, 2, 3], [0, 1, 2, 3]),
        ({"structured_messages": SENT["structured_messages"][:3]}, [0, 1, 2, 3], [0, 1, 2, 3]),
        ({"texts": [*SENT["texts"][:3], "something else"]}, [0, 1, 2, 3], [0, 1, 2, 3]),
        ({"input_type": "response"}, [0, 1, 2, 3], [0, 1, 2, 3]),
        (roles(("user", "a"), ("user", "b")), [0, 1], [0, 1]),
        (roles(("user", ["a", "b"])), [0, 1], [0, 1]),
        (roles(("user", "a"), ("assistant", "b"), ("user", "c"), ("tool", "d")), [2], [0, 2]),
        (roles(("user", "a"), ("assistant", "b")), [0], [0]),
        (roles(("user", "a"), ("assistant", "b"), ("tool", "c"), ("assistant", "d")), [0], [0]),
        (roles(("system", "a"), ("assistant", "b")), [0, 1], [0, 1]),
        (roles(("System", "a"), ("patient", "b")), [1], [1]),
        ({"texts": []}, [], []),
        ({"texts": None}, [], []),
    ],
)
def test_which_texts_are_read(sent, newest, everything):
    """People's, where the messages say whose each is, text by text; in every doubt all of them."""
    assert [piece.index for piece in pieces_of(asked(**sent), PLAN)] == newest
    assert [piece.index for piece in pieces_of(asked(**sent), Intervention(read="all"))] == everything


def test_a_picture_leaves_its_message_undetermined_unless_another_reads_pictures():
    pieces = pieces_of(asked(images=["data"]), PLAN)
    assert [set(piece.flags) for piece in pieces] == [{"encoding_repaired"}]
    assert not pieces_of(asked(images=["data"]), Intervention(pictures="ignore"))[0].flags
    answer = guardrail_answer(plain("a", "b", images=["data"]), PLAN, {0: FINE, 1: FINE})
    assert answer.texts == ("a", f"b\n\n{PLAN.to_model_undetermined}\n- {PLAN.elsewhere}")


def test_too_many_texts_are_refused():
    with pytest.raises(Problem):
        pieces_of(plain(*"abc"), PLAN, most=2)


def test_what_is_stored_of_it():
    request_ = asked()
    row = pieces_of(request_, PLAN)[0].received(request_, ACTOR)
    assert (row.tenant, row.source, row.external_id, row.subject) == (
        "clinic",
        "litellm",
        "call-1:request:3",
        "person-1",
    )
    odd = asked(litellm_call_id=7, request_data=[])
    row = pieces_of(odd, PLAN)[0].received(odd, ACTOR)
    assert (row.external_id, row.subject) == (None, None)


def test_half_of_a_surrogate_pair_comes_back_as_it_was():
    request_ = plain("half \ud83d")
    assert pieces_of(request_, PLAN)[0].text == "half \ufffd"
    answer = guardrail_answer(request_, PLAN, {0: DOWN})
    assert json.loads(json_answer(answer).body)["texts"][0].startswith("half \ud83d\n\n")


@pytest.mark.parametrize(
    "odd",
    [{"texts": [1]}, {"texts": "a"}, {"input_type": "both"}, {"input_type": None}],
)
def test_what_is_no_request_is_refused(odd):
    with pytest.raises(ValueError, match="validation error"):
        asked(**odd)


def test_nothing_private_is_kept_or_shown():
    """Headers and the platform's names for its keys are dropped while they are read."""
    request_ = asked(texts=["canary"], structured_messages=[{"role": "user", "content": "canary"}])
    assert "canary" not in repr(request_)
    assert "person-1" not in repr(request_)
    assert not hasattr(request_, "request_headers")
    assert subject_of(request_) == "person-1"
    assert "canary" not in repr(pieces_of(request_, PLAN))
    assert "canary" not in repr(guardrail_answer(request_, PLAN, {}))
