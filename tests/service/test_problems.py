"""Every answer that is no success is a problem that says undetermined, and shows nothing of what was sent."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, Header, HTTPException
from fastapi.testclient import TestClient
from pydantic import BaseModel
from starlette.responses import StreamingResponse

from crisis_filter.errors import (
    CrisisFilterError,
    IdempotencyConflict,
    IdempotencyInFlight,
    StoreBusy,
    StoreClosed,
    StoreError,
    StoreSchemaError,
    StoreUnavailable,
)
from crisis_filter.service.problems import (
    PROBLEMS,
    Contained,
    Problem,
    ProblemBody,
    documented,
    install,
    problem_response,
)
from crisis_filter.service.reading import StrictRoute
from tests.service.served import raw, served

CANARY = "canary-words"


class Ours(CrisisFilterError):
    pass


class Body(BaseModel):
    text: str
    which: int = 0


class Many(BaseModel):
    items: list[int]


RAISED: dict[str, BaseException] = {
    "busy": StoreBusy(CANARY),
    "closed": StoreClosed(CANARY),
    "gone": StoreUnavailable(CANARY),
    "conflict": IdempotencyConflict(CANARY),
    "flight": IdempotencyInFlight(CANARY),
    "store": StoreError(CANARY),
    "schema": StoreSchemaError(CANARY),
    "ours": Ours(CANARY),
    "bug": KeyError(CANARY),
    "group": ExceptionGroup(CANARY, [ValueError(CANARY)]),
    "http": HTTPException(418, CANARY),
    "gone-http": HTTPException(404, CANARY, headers={"x-canary": CANARY}),
    "limited": Problem("rate_limited", retry_after_s=12.2),
    "headers": Problem("overloaded", headers={"Retry-After": "9", "Connection": "close"}),
}


def app(**more: Any) -> FastAPI:
    made, router = FastAPI(**more), APIRouter(route_class=StrictRoute)

    @router.post("/v1/body")
    async def body(given: Body) -> None:
        return None

    @router.get("/v1/raise/{which}", responses=documented("overloaded", "rate_limited"))
    async def raising(which: str) -> None:
        raise RAISED[which]

    @router.get("/v1/query")
    async def query(limit: int, x_count: int = Header(0)) -> None:
        return None

    @router.get("/v1/late")
    async def late() -> StreamingResponse:
        async def some() -> Any:
            yield b"begun"
            raise ValueError(CANARY)

        return StreamingResponse(some())

    made.include_router(router)
    install(made, {Ours: "overloaded"})
    return made


def client() -> TestClient:
    return TestClient(Contained(app()), raise_server_exceptions=True)


def told(answer: Any) -> ProblemBody:
    assert answer.headers["content-type"] == "application/problem+json"
    body = ProblemBody.model_validate_json(answer.content)
    assert body.decision == "undetermined"
    assert (body.status, body.type) == (answer.status_code, f"urn:crisis-filter:problem:{body.code}")
    assert PROBLEMS[body.code].status == answer.status_code
    assert "canary" not in answer.text
    assert "canary" not in str(answer.headers)
    return body


@pytest.mark.parametrize(
    ("which", "status", "code", "wait"),
    [
        ("busy", 503, "overloaded", "1"),
        ("closed", 503, "stopping", "2"),
        ("gone", 503, "store_unavailable", "5"),
        ("conflict", 422, "idempotency_conflict", None),
        ("flight", 409, "idempotency_in_flight", "1"),
        ("store", 500, "internal", None),
        ("schema", 500, "internal", None),
        ("ours", 503, "overloaded", "1"),
        ("bug", 500, "internal", None),
        ("group", 500, "internal", None),
        ("http", 400, "bad_request", None),
        ("gone-http", 404, "not_found", None),
        ("limited", 429, "rate_limited", "13"),
        ("headers", 503, "overloaded", "9"),
    ],
)
def test_every_error_is_a_problem(which, status, code, wait, caplog):
    answer = client().get(f"/v1/raise/{which}")
    assert (answer.status_code, answer.headers.get("retry-after")) == (status, wait)
    assert told(answer).code == code
    assert "canary" not in caplog.text


def test_a_bug_is_logged_by_kind_and_place_alone(caplog):
    with caplog.at_level(logging.ERROR):
        client().get("/v1/raise/bug")
    (record,) = [r for r in caplog.records if r.name.startswith("crisis_filter")]
    assert "KeyError at " in record.getMessage()
    assert "test_problems.py" in record.getMessage()
    assert record.exc_info is None


async def test_the_real_server_logs_no_words_of_a_bug(caplog):
    """Without `Contained` it would: it logs what reaches it with its message."""
    async with served(Contained(app())) as port:
        status, head, body = await raw(port, "GET /v1/raise/bug HTTP/1.1\nHost: x")
        assert (status, "application/problem+json" in head) == (500, True)
        assert json.loads(body)["decision"] == "undetermined"
        await raw(port, "GET /v1/late HTTP/1.1\nHost: x")
    assert "canary" not in caplog.text
    async with served(app()) as port:
        await raw(port, "GET /v1/raise/bug HTTP/1.1\nHost: x")
    assert "canary" in caplog.text


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere/canary", 404, "not_found"),
        ("PUT", "/v1/body", 405, "method_not_allowed"),
        ("POST", "/v1/body", 422, "invalid_request"),
        ("GET", "/v1/query?limit=canary", 422, "invalid_request"),
        ("GET", "/v1/query", 422, "invalid_request"),
    ],
)
def test_what_is_not_there_is_a_problem(method, path, status, code):
    answer = client().request(method, path)
    assert (answer.status_code, told(answer).code) == (status, code)
    assert status != 405 or answer.headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("body", "where", "what"),
    [
        ({}, "body.text", "missing"),
        ({"text": 1}, "body.text", "string_type"),
        ({"text": "canary", "which": "canary"}, "body.which", "invalid"),
    ],
)
def test_a_wrong_field_is_named_by_ours_and_its_value_is_not_shown(body, where, what):
    answer = client().post("/v1/body", json=body)
    assert [(one.where, one.code) for one in told(answer).errors] == [(where, what)]


def test_no_more_errors_than_can_be_read():
    made = FastAPI()

    @made.post("/many")
    async def many(given: Many) -> None:
        return None

    install(made)
    answer = TestClient(made).post("/many", json={"items": ["canary"] * 500})
    assert len(told(answer).errors) == 20


def test_without_a_key_the_answer_says_how():
    answer = problem_response(Problem("unauthenticated"))
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("code", list(PROBLEMS))
def test_every_problem_is_whole(code):
    answer = problem_response(Problem(code))
    body = ProblemBody.model_validate_json(bytes(answer.body))
    assert (body.code, body.decision, body.errors) == (code, "undetermined", ())
    assert body.title
    assert body.detail
    again = body.status in {429, 503} or code == "idempotency_in_flight"
    assert ("retry-after" in answer.headers) == again


def test_what_is_documented_is_what_is_sent():
    found = app().openapi()["paths"]["/v1/raise/{which}"]["get"]["responses"]
    assert set(found) == {"200", "422", "429", "500", "503"}
    for status in ("422", "429", "500", "503"):
        (kind,) = found[status]["content"]
        schema = found[status]["content"][kind]["schema"]
        assert kind == "application/problem+json"
        assert "decision" in schema["properties"]
        assert "$ref" not in json.dumps(schema)
    assert "invalid_json" in found["422"]["description"]


def test_every_code_has_its_row_in_the_page():
    page = (Path(__file__).parents[2] / "docs/surfaces.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| (\d+) \|", page, re.MULTILINE))
    assert rows == {code: str(kind.status) for code, kind in PROBLEMS.items()}
