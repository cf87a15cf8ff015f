"""The answer of `POST /v1/classify`."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from pydantic import TypeAdapter

from crisis_filter.schema import Assessment, Evidence, Finding, Screening
from crisis_filter.service.bodies import (
    ClassifyAnswer,
    ClassifyRequest,
    Incoming,
    answer_many,
    json_answer,
    parts_for,
    received,
    received_ms,
    result_of,
)
from crisis_filter.service.problems import Problem
from crisis_filter.service.said import fresh
from tests.service.assessments import ACTOR, PROVENANCE, READER, said
from tests.strategies import texts

QUOTE, REASON = "canary-quote", "canary-reason"
PRIVATE = Assessment(
    id="m1",
    outcome="crisis",
    findings=(Finding(category="suicide", evidence=(Evidence(quote=QUOTE, start=0, end=12),), rationale=REASON),),
    screen=Screening(evidence=(Evidence(quote=QUOTE, start=0, end=12),), rationale=REASON),
    provenance=PROVENANCE,
)


@settings(deadline=None)
@given(said)
def test_every_answer_is_the_documented_one_and_says_what_was_said(one):
    answer = json.loads(json_answer(answer_many([one])).body)
    ClassifyAnswer.model_validate_json(json.dumps(answer), strict=False)
    (result,) = answer["results"]
    assert result["outcome"] == one.outcome
    assert result["fault"] == one.fault
    assert [f["category"] for f in result["findings"]] == [f.category for f in one.findings]
    assert (result["outcome"] == "crisis") == bool(result["findings"])


@pytest.mark.parametrize(
    ("parts", "quotes", "reasons"),
    [((), 0, 0), (("evidence",), 2, 0), (("rationale",), 0, 2), (("evidence", "rationale"), 2, 2)],
)
def test_words_of_the_message_are_there_when_asked_for_and_not_else(parts, quotes, reasons):
    one = fresh(PRIVATE, message_id="m1")
    body = json_answer(answer_many([one], frozenset(parts))).body
    assert (body.count(QUOTE.encode()), body.count(REASON.encode())) == (quotes, reasons)


def test_asking_for_them_without_the_scope_is_refused_and_not_passed_over():
    assert parts_for((), ACTOR) == frozenset()
    assert parts_for(("evidence",), READER) == {"evidence"}
    with pytest.raises(Problem) as caught:
        parts_for(("evidence",), ACTOR)
    assert caught.value.code == "forbidden"


@settings(deadline=None)
@given(texts)
def test_any_text_can_be_stored_and_a_mended_one_is_flagged(text):
    row = received(Incoming(text=text), ACTOR)
    row.text.encode()
    assert ("encoding_repaired" in row.flags) == (row.text != text or "\0" in text)


def test_the_tenant_is_the_keys():
    row = received(Incoming(text="a", id="i", subject="s", locale="en-US", source="sms"), ACTOR)
    assert (row.tenant, row.source, row.external_id, row.subject, row.locale) == ("clinic", "sms", "i", "s", "en-US")
    assert received(Incoming(text="a"), ACTOR).source == "api"
    with pytest.raises(ValueError, match="not permitted"):
        Incoming.model_validate({"text": "a", "tenant": "other"})


def test_nothing_of_a_message_is_in_a_repr():
    one = Incoming(text="canary", id="canary", subject="canary")
    assert "canary" not in repr(one)
    assert "canary" not in repr(received(one, ACTOR))
    assert "canary" not in repr(result_of(fresh(PRIVATE, id="canary"), frozenset({"evidence", "rationale"})))


@pytest.mark.parametrize(
    ("at", "ms"),
    [
        (None, 5_000),
        ("1970-01-01T00:00:02Z", 2_000),
        ("1970-01-01T02:00:02+02:00", 2_000),
        ("2030-01-01T00:00:00Z", 5_000),
        ("1960-01-01T00:00:00Z", 0),
    ],
)
def test_when_it_was_written_is_never_later_than_now(at, ms):
    message = Incoming.model_validate({"text": "a"} | ({"received_at": at} if at else {}))
    assert received_ms(message, 5_000) == ms


def test_times_keep_their_zone():
    one = Incoming.model_validate({"text": "a", "received_at": "2026-01-01T00:00:00Z"})
    assert one.received_at == datetime(2026, 1, 1, tzinfo=UTC)


def test_half_of_a_surrogate_pair_goes_out_as_it_came_in():
    """An id of that kind is refused; a stored rationale could hold one."""
    answer = json_answer(result_of(fresh(PRIVATE, id="\ud83d")))
    assert json.loads(answer.body)["id"] == "\ud83d"
    assert b"\\ud83d" in answer.body


def test_the_schema_of_the_body_is_whole():
    schema = TypeAdapter(ClassifyRequest).json_schema()
    assert set(schema["$defs"]) >= {"ClassifyOne", "ClassifyMany", "Incoming"}
    assert schema["$defs"]["ClassifyOne"]["additionalProperties"] is False
