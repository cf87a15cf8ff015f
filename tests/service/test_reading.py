"""Bodies: one JSON document, read strictly, and no message lost for a broken byte."""

from __future__ import annotations

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

from crisis_filter.service.bodies import (
    ClassifyAnswer,
    ClassifyRequest,
    answer_many,
    json_answer,
    messages_of,
    received,
)
from crisis_filter.service.problems import Problem, install
from crisis_filter.service.reading import StrictRoute, read_json
from tests.service.assessments import ACTOR, of

DEEP = 100_000
BROKEN = [
    b"",
    b"{",
    b"nonsense",
    b'{"text": "a", "text": "b"}',
    b'{"a": {"text": "a", "text": "b"}}',
    b'{"text": NaN}',
    b'{"text": -Infinity}',
    b'{"text": ' + b"9" * 5_000 + b"}",
    b"[" * DEEP,
    b"[" * DEEP + b"]" * DEEP,
    b'{"text":' * DEEP + b"1" + b"}" * DEEP,
    '{"text": "a"}'.encode("utf-16"),
    b'{"text": "a"} {"text": "b"}',
    b'{"text": "\x01"}',
]


@pytest.mark.parametrize("body", BROKEN, ids=range(len(BROKEN)))
def test_what_is_no_json_document_is_refused(body):
    with pytest.raises(Problem) as caught:
        read_json(body)
    assert caught.value.code == "invalid_json"


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_no_bytes_break_the_reader(body):
    try:
        read_json(body)
    except Problem as problem:
        assert problem.code == "invalid_json"


def test_a_byte_order_mark_is_no_part_of_the_document():
    assert read_json(b'\xef\xbb\xbf{"text": "a"}') == {"text": "a"}


def client() -> TestClient:
    app, router = FastAPI(), APIRouter(route_class=StrictRoute)

    @router.post("/v1/classify")
    async def classify(body: ClassifyRequest) -> ClassifyAnswer:
        rows = [received(one, ACTOR) for one in messages_of(body, 3)]
        assert all("\ud800" > c or c > "\udfff" for row in rows for c in row.text)
        flagged = [row.flags for row in rows]
        return json_answer(answer_many([of("undetermined", flags=tuple(sorted(f))) for f in flagged]))  # type: ignore[return-value]

    app.include_router(router)
    install(app)
    return TestClient(app)


JSON = {"content-type": "application/json"}


def test_a_broken_byte_flags_its_own_message_and_no_other():
    body = b'{"messages": [{"text": "caf\xe9"}, {"text": "plain"}, {"text": "half \\ud83d"}]}'
    found = client().post("/v1/classify", content=body, headers=JSON).json()["results"]
    assert [one["flags"] for one in found] == [["encoding_repaired"], [], ["encoding_repaired"]]


@pytest.mark.parametrize("body", BROKEN[1:], ids=range(1, len(BROKEN)))
def test_what_is_no_json_is_a_422_through_the_route_too(body):
    answer = client().post("/v1/classify", content=body, headers=JSON)
    assert (answer.status_code, answer.json()["code"], answer.json()["decision"]) == (
        422,
        "invalid_json",
        "undetermined",
    )


@pytest.mark.parametrize(
    "kind", ["text/plain", "", "application/xml", "application/json; charset=utf-16", "multipart/form-data"]
)
def test_what_does_not_call_itself_json_is_a_415(kind):
    answer = client().post("/v1/classify", content=b'{"text": "a"}', headers={"content-type": kind})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", "application/vnd.x+json"])
def test_json_by_any_of_its_names_is_read(kind):
    assert client().post("/v1/classify", content=b'{"text": "a"}', headers={"content-type": kind}).status_code == 200


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b"", "body"),
        (b"1", "body"),
        (b"[]", "body"),
        (b'"a"', "body"),
        (b"null", "body"),
        (b"{}", "body.text"),
        (b'{"text": 1}', "body.text"),
        (b'{"text": null}', "body.text"),
        (b'{"text": ["a"]}', "body.text"),
        (b'{"text": {"a": 1}}', "body.text"),
        (b'{"text": true}', "body.text"),
        (b'{"text": "a", "id": ""}', "body.id"),
        (b'{"text": "a", "id": 7}', "body.id"),
        (b'{"text": "a", "id": "\\ud83d"}', "body.id"),
        (b'{"text": "a", "locale": "not a tag"}', "body.locale"),
        (b'{"text": "a", "source": "two words"}', "body.source"),
        (b'{"text": "a", "received_at": 1700000000}', "body.received_at"),
        (b'{"text": "a", "received_at": "2026-01-01T00:00:00"}', "body.received_at"),
        (b'{"text": "a", "received_at": "soon"}', "body.received_at"),
        (b'{"text": "a", "include": ["everything"]}', "body.include.0"),
        (b'{"messages": []}', "body.messages"),
        (b'{"messages": {}}', "body.messages"),
        (b'{"messages": [{"text": "a"}, {"text": 5}]}', "body.messages.1.text"),
        (b'{"messages": [{"text": "a"}], "text": "b"}', "body"),
        (b'{"text": "a", "secret-canary": 1}', "body"),
    ],
)
def test_what_is_not_as_documented_is_named_and_not_shown(body, where):
    answer = client().post("/v1/classify", content=body, headers=JSON)
    assert answer.status_code == 422
    told = answer.json()
    assert (told["code"], told["decision"]) == ("invalid_request", "undetermined")
    assert [one["where"] for one in told["errors"]] == [where]
    assert "canary" not in answer.text
    assert "two words" not in answer.text


def test_more_messages_than_the_operator_allows_are_refused():
    body = b'{"messages": [' + b",".join([b'{"text": "a"}'] * 4) + b"]}"
    answer = client().post("/v1/classify", content=body, headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
