"""OpenAI's moderation schema: flagged is false for one outcome alone, and the real client reads every answer."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import Any

import openai
import pytest
from fastapi import APIRouter, FastAPI
from hypothesis import given, settings
from openai.types import ModerationCreateResponse
from openai.types.moderation import Categories, CategoryAppliedInputTypes, CategoryScores

from crisis_filter import FilterSpec, open_filter
from crisis_filter.backends.moderation import CATEGORIES as READ_FROM_OTHERS
from crisis_filter.schema import Fault, Finding, Message
from crisis_filter.service.bodies import json_answer
from crisis_filter.service.moderations import (
    ASSESSED,
    OPENAI_KEYS,
    OURS,
    PICTURE,
    ModerationAnswer,
    ModerationRequest,
    inputs_of,
    moderation_of,
    moderations,
)
from crisis_filter.service.problems import Problem, install
from crisis_filter.service.reading import StrictRoute
from crisis_filter.service.said import Said, recalled, unsaid
from tests.service.assessments import ACTOR, of, said, verdict
from tests.service.served import served
from tests.strategies import CATEGORIES

PICTURED = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}


def asked(given_input: Any, **more: Any) -> ModerationRequest:
    return ModerationRequest.model_validate({"input": given_input, **more})


def aliases(model: Any) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


def test_the_keys_are_those_of_the_installed_client():
    for model in (Categories, CategoryScores, CategoryAppliedInputTypes):
        assert aliases(model) == set(OPENAI_KEYS)
    assert set(READ_FROM_OTHERS) == set(OPENAI_KEYS)
    assert set(ASSESSED) < set(OPENAI_KEYS)


@settings(deadline=None)
@given(said)
def test_flagged_is_false_for_no_crisis_alone(one):
    """Over every assessment that can be loaded; and it agrees with the keys, as in OpenAI's definition."""
    result = moderation_of(one, CATEGORIES)
    assert result.flagged == (one.outcome != "no_crisis")
    assert result.flagged == any(result.categories.values())
    assert (result.decision, result.undetermined_reason is not None) == (one.outcome, one.outcome == "undetermined")


@settings(deadline=None)
@given(said)
def test_every_answer_is_one_for_the_client(one):
    body = json_answer(moderations(asked("a", model="theirs"), [one, one], CATEGORIES, "modr-1")).body
    strict = ModerationCreateResponse.model_validate_json(body, strict=True)
    ModerationAnswer.model_validate_json(body)
    assert (strict.id, strict.model, len(strict.results)) == ("modr-1", "theirs", 2)
    raw = json.loads(body)["results"][0]
    keys = set(OPENAI_KEYS) | {OURS + name for name in (*CATEGORIES, "unspecified", "undetermined")}
    assert set(raw["categories"]) == set(raw["category_scores"]) == set(raw["category_applied_input_types"]) == keys


@settings(deadline=None)
@given(said)
def test_a_key_that_nobody_assessed_is_false_zero_and_of_no_input(one):
    result = moderation_of(one, CATEGORIES)
    for key in OPENAI_KEYS:
        here = result.categories[key], result.category_scores[key], result.category_applied_input_types[key]
        if key not in ASSESSED or one.outcome == "undetermined":
            assert here == (False, 0.0, [])
        elif result.categories[key]:
            assert here[2] == ["text"]
    for key, scored in result.category_scores.items():
        assert 0.0 <= scored <= 1.0
        assert result.categories[key] or scored == 0.0


@pytest.mark.parametrize("fault", list(Fault))
def test_every_fault_is_flagged(fault):
    result = moderation_of(unsaid(fault), CATEGORIES)
    assert (result.flagged, result.decision, result.undetermined_reason) == (True, "undetermined", fault)
    assert [key for key, found in result.categories.items() if found] == [OURS + "undetermined"]


@pytest.mark.parametrize(
    ("category", "subject", "timeframe", "keys"),
    [
        ("suicide", "self", "unclear", {"self-harm", "self-harm/intent"}),
        ("suicide", "self", "past", {"self-harm", "self-harm/intent"}),
        ("suicide", "unclear", "unclear", {"self-harm", "self-harm/intent"}),
        ("suicide", "both", "current", {"self-harm", "self-harm/intent"}),
        ("suicide", "other", "current", {"self-harm"}),
        ("self_harm", "self", "current", {"self-harm", "self-harm/intent"}),
        ("self_harm", "self", "future", {"self-harm", "self-harm/intent"}),
        ("self_harm", "self", "past", {"self-harm"}),
        ("self_harm", "self", "unclear", {"self-harm"}),
        ("self_harm", "other", "current", {"self-harm"}),
        ("eating_disorder", "self", "current", {"self-harm", "self-harm/intent"}),
        ("eating_disorder", "self", "past", {"self-harm"}),
        ("violence", "self", "future", {"violence"}),
        ("abuse", "self", "current", set()),
        ("neglect", "other", "current", set()),
        ("psychosis", "self", "current", set()),
        ("substance_misuse", "self", "current", set()),
        ("unspecified", "unclear", "unclear", set()),
    ],
)
def test_what_each_category_is_by_their_definitions(category, subject, timeframe, keys):
    finding = Finding(category=category, subject=subject, timeframe=timeframe)
    result = moderation_of(of("crisis", findings=(finding,)), CATEGORIES)
    assert {key for key in OPENAI_KEYS if result.categories[key]} == keys
    assert result.categories[OURS + category]
    assert result.flagged


def test_a_score_is_the_categorys_else_that_of_any_crisis_else_one():
    both = (Finding(category="suicide", probability=0.4), Finding(category="self_harm", probability=0.7))
    result = moderation_of(of("crisis", findings=both, score=0.9, score_source="engine"), CATEGORIES)
    assert (result.category_scores["self-harm"], result.category_scores["self-harm/intent"]) == (0.7, 0.4)
    assert moderation_of(of("crisis", score=0.9, score_source="engine"), CATEGORIES).category_scores["self-harm"] == 0.9
    assert moderation_of(of("crisis"), CATEGORIES).category_scores["self-harm"] == 1.0


def test_where_the_kind_is_not_known_no_kind_is_ruled_out():
    result = moderation_of(of("crisis", findings=(Finding(category="unspecified"),)), CATEGORIES)
    assert {key for key, kinds in result.category_applied_input_types.items() if kinds} == {OURS + "unspecified"}


def test_a_person_may_clear_and_a_stored_crisis_stays_one():
    assert not moderation_of(recalled(verdict(outcome="no_crisis", by="person")), CATEGORIES).flagged
    assert moderation_of(recalled(verdict(outcome="crisis", categories=("abuse",))), CATEGORIES).flagged
    assert moderation_of(recalled(verdict(state="pending", by=None)), CATEGORIES).flagged


@pytest.mark.parametrize(
    ("body", "texts", "flags"),
    [
        ("one", ["one"], [set()]),
        ("", [""], [set()]),
        (["one", "two"], ["one", "two"], [set(), set()]),
        (["one", "half \ud83d"], ["one", "half \ufffd"], [set(), {"encoding_repaired"}]),
        ([{"type": "text", "text": "one"}, {"type": "text", "text": "two"}], ["one\ntwo"], [set()]),
        ([{"type": "text", "text": "one"}, PICTURED], [f"one\n{PICTURE}"], [{"encoding_repaired"}]),
        ([PICTURED], [PICTURE], [{"encoding_repaired"}]),
    ],
)
def test_what_is_judged(body, texts, flags):
    found = inputs_of(asked(body))
    assert [one.text for one in found] == texts
    assert [set(one.flags) for one in found] == flags


@pytest.mark.parametrize(
    "body",
    [None, 5, [], {}, [5], [["a"]], ["a", {"type": "text", "text": "b"}], [{"type": "text", "text": "b"}, "a"],
     [{"type": "audio", "text": "b"}], [{"type": "text"}], [{"type": "image_url", "image_url": "x"}], [1, 2, 3]],
)  # fmt: skip
def test_what_is_no_input_is_refused(body):
    with pytest.raises(ValueError, match="validation error"):
        asked(body)


def test_too_many_texts_are_refused_and_many_parts_are_one_message():
    with pytest.raises(Problem):
        inputs_of(asked(["a", "b", "c"]), most=2)
    assert len(inputs_of(asked([{"type": "text", "text": "a"}] * 3), most=2)) == 1


async def test_a_picture_is_never_cleared():
    """Through the real filter with an engine that may clear: beside a plain text, and alone."""
    plain = "the bus was late again today, and lunch was fine"
    detector = open_filter(FilterSpec())
    async with contextlib.aclosing(detector):
        assert (await detector.assess(Message(id="1", text=plain))).outcome == "no_crisis"
        for parts in ([{"type": "text", "text": plain}, PICTURED], [PICTURED]):
            (one,) = inputs_of(asked(parts))
            row = one.received(asked(parts), ACTOR)
            assessment = await detector.assess(Message(id="1", text=row.text, flags=row.flags))
            assert (assessment.outcome, assessment.fault) == ("undetermined", Fault.INPUT_UNREADABLE)


def service() -> FastAPI:
    app, router = FastAPI(), APIRouter(route_class=StrictRoute)
    words = {"crisis": of("crisis"), "down": of("undetermined"), "fine": of("no_crisis")}

    @router.post("/v1/moderations")
    async def moderate(body: ModerationRequest) -> Any:
        judged = [next((words[w] for w in words if w in one.text), of("undetermined")) for one in inputs_of(body, 10)]
        return json_answer(moderations(body, judged, CATEGORIES, "modr-7"))

    app.include_router(router)
    install(app)
    return app


async def test_the_real_client_by_changing_its_base_url():
    async with served(service()) as port:
        client = openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="k", max_retries=0)
        async with client:
            answer = await client.moderations.create(input=["crisis", "down", "fine"], model="omni-moderation-latest")
            assert [one.flagged for one in answer.results] == [True, True, False]
            assert answer.results[0].categories.self_harm_intent
            assert answer.results[0].category_scores.self_harm == 1.0
            assert answer.results[0].category_applied_input_types.hate == []
            assert answer.results[0].categories.model_extra is not None
            assert answer.results[0].categories.model_extra["behavioral-health/suicide"] is True
            assert answer.results[1].model_extra is not None
            assert answer.results[1].model_extra["decision"] == "undetermined"
            assert (await client.moderations.create(input="fine")).model == "crisis-filter"
            parts: Any = [{"type": "text", "text": "crisis"}, PICTURED]
            assert (await client.moderations.create(input=parts)).results[0].flagged
            more = {"locale": "en-US", "source": "portal", "subject": "person-1"}
            assert not (await client.moderations.create(input="fine", extra_body=more)).results[0].flagged
            with pytest.raises(openai.UnprocessableEntityError) as caught:
                await client.moderations.create(input=[])
            assert isinstance(caught.value.body, dict)
            assert caught.value.body["decision"] == "undetermined"


def test_nothing_of_an_input_is_in_a_repr():
    for body in ("canary", ["canary"], [{"type": "text", "text": "canary"}]):
        request = asked(body, subject="canary")
        assert "canary" not in repr(request)
        assert "canary" not in repr(inputs_of(request))


def test_the_table_in_the_page_is_the_code():
    """The surest finding of each category has the keys that its row names, and no others."""
    page = (Path(__file__).parents[2] / "docs/surfaces.md").read_text(encoding="utf-8")
    rows = {
        name: set(re.findall(r"`([a-z/-]+)`", keys))
        for name, keys in re.findall(r"^\| `(\w+)` \| (.*?) \|", page, re.MULTILINE)
    }
    for category in CATEGORIES:
        finding = Finding(category=category, subject="self", timeframe="current")
        result = moderation_of(of("crisis", findings=(finding,)), CATEGORIES)
        assert {key for key in OPENAI_KEYS if result.categories[key]} == rows[category]


def test_a_crisis_without_a_finding_would_be_flagged_all_the_same():
    result = moderation_of(Said(message_id=None, id=None, outcome="crisis"), CATEGORIES)
    assert (result.flagged, result.categories[OURS + "unspecified"]) == (True, True)
