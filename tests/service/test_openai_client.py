"""OpenAI's own client against the whole service, with nothing changed but its base URL."""

from __future__ import annotations

import openai
import pytest

from crisis_filter.store.tables import messages
from tests.service.running import Gate, running


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with running(tmp_path_factory.mktemp("openai"), Gate(), per_minute=200) as service:
        yield service


@pytest.fixture
def client(service):
    with openai.OpenAI(base_url=f"{service.url}/v1", api_key=service.key("classify"), max_retries=0) as client:
        yield client


def test_flagged_is_false_for_not_crisis_alone(service, client):
    before = service.count(messages)
    answer = client.moderations.create(model="omni-moderation-latest", input=["crisis one", "calm two", "else", "bug"])
    assert [one.flagged for one in answer.results] == [True, False, True, True]
    assert [one.model_extra["decision"] for one in answer.results] == [
        "crisis",
        "no_crisis",
        "undetermined",
        "undetermined",
    ]
    assert answer.results[0].categories.self_harm
    assert answer.results[0].category_applied_input_types.sexual == []
    assert answer.model == "omni-moderation-latest"
    assert service.count(messages, messages.c.state == "decided") == before + 4
    assert {one.model_extra["disposition"] is None for one in answer.results} == {False}


def test_one_text_and_a_picture(client):
    assert not client.moderations.create(input="calm").results[0].flagged
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    answer = client.moderations.create(input=[{"type": "text", "text": "crisis"}, picture])
    assert len(answer.results) == 1
    assert answer.results[0].flagged


def test_a_request_that_is_repeated_is_done_once(service, client):
    before = service.count(messages)
    headers = {"Idempotency-Key": "openai-1"}
    first, again = (
        client.moderations.with_raw_response.create(input="crisis", extra_headers=headers) for _ in range(2)
    )
    assert again.headers["idempotent-replayed"] == "true"
    ids = {answer.parse().results[0].model_extra["message_id"] for answer in (first, again)}
    assert len(ids) == service.count(messages) - before == 1


@pytest.mark.parametrize(
    ("key", "body", "error", "code"),
    [
        ("wrong", {"input": "calm"}, openai.AuthenticationError, "unauthenticated"),
        ("review", {"input": "calm"}, openai.PermissionDeniedError, "forbidden"),
        ("classify", {"input": []}, openai.UnprocessableEntityError, "invalid_request"),
        (
            "classify",
            {"input": "calm", "extra_body": {"nothing": 1}},
            openai.UnprocessableEntityError,
            "invalid_request",
        ),
        ("classify", {"input": ["calm"] * 101}, openai.APIStatusError, "too_large"),
    ],
)
def test_refusals_are_the_clients_own_errors(service, key, body, error, code):
    presented = "wrong" if key == "wrong" else service.key(key)
    with openai.OpenAI(base_url=f"{service.url}/v1", api_key=presented, max_retries=0) as client:
        with pytest.raises(error) as caught:
            client.moderations.create(**body)
    assert (caught.value.body["code"], caught.value.body["decision"]) == (code, "undetermined")


def test_the_client_comes_again_after_a_limit_and_is_told_when(service):
    with openai.OpenAI(
        base_url=f"{service.url}/v1", api_key=service.key("classify", per_minute=1), max_retries=0
    ) as client:
        assert client.moderations.create(input="crisis").results[0].flagged
        with pytest.raises(openai.RateLimitError) as caught:
            client.moderations.create(input="crisis")
    assert 1 <= int(caught.value.response.headers["retry-after"]) <= 60
