"""What is asked of a server, and what is given up when it refuses."""

from __future__ import annotations

import json

import pytest
from pydantic import BaseModel, ConfigDict, Field

from crisis_filter.backends.dialect import Dialect, Feature, Form, prepare, rejected_feature, simpler, strict_schema
from crisis_filter.taxonomy.answers import ScreenReasoned
from tests.backends.asking import Verdict


@pytest.mark.parametrize(
    ("status", "body", "feature"),
    [
        (400, {"error": {"param": "response_format", "message": "no"}}, "response_format"),
        (400, {"error": {"param": "response_format.json_schema", "message": "no"}}, "response_format"),
        (
            400,
            {"message": "Invalid parameter: 'response_format' of type 'json_schema' is not supported"},
            "response_format",
        ),
        (422, {"detail": [{"loc": ["body", "response_format"], "msg": "extra"}]}, "response_format"),
        (501, {"error": {"message": "structured outputs are not implemented"}}, "response_format"),
        (404, {"error": {"message": "this deployment has no JSON mode"}}, "response_format"),
        (400, {"error": {"param": "logprobs", "message": "with response_format"}}, "logprobs"),
        (400, {"error": {"message": "top_logprobs must be at most 5"}}, "logprobs"),
        (400, {"error": {"message": "Unsupported: 'max_tokens'. Use 'max_completion_tokens'."}}, "max_tokens"),
        (400, {"error": {"param": "temperature", "message": "only 1"}}, "temperature"),
        (422, {"detail": [{"loc": ["body", "seed"], "msg": "extra"}]}, "seed"),
        (422, {"detail": [{"loc": ["body", "messages"], "msg": "bad", "input": "my logprobs and temperature"}]}, None),
        (400, {"error": {"message": "bad request"}}, None),
        (404, {"error": {"message": "the model does not exist"}}, None),
        (500, {"error": {"param": "response_format"}}, None),
        (400, "<html>", None),
    ],
)
def test_what_a_refusal_is_about(status: int, body: object, feature: Feature | None) -> None:
    """The refused part is read from the parameter the server names, else from its words; an outage refuses nothing."""
    assert rejected_feature(status, body) == feature


def test_stepping_down_ends() -> None:
    """Each feature is given up step by step and then no further."""
    dialect, steps = Dialect(), 0
    features: tuple[Feature, ...] = ("response_format", "logprobs", "max_tokens", "temperature", "seed")
    for feature in features:
        while (fallback := simpler(dialect, feature)) is not None:
            dialect, steps = fallback, steps + 1
    assert steps == 7
    assert dialect == Dialect("plain", 0, "max_completion_tokens", cap_settled=True, temperature=False, seed=False)


def test_the_strict_schema_is_closed() -> None:
    """Every field of an answer model is required and nothing else is allowed."""
    schema = strict_schema(ScreenReasoned)
    assert schema["additionalProperties"] is False
    assert schema["required"] == list(ScreenReasoned.model_fields)


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore")

    note: str = "none"


class _Whole(BaseModel):
    nonce: str
    part: _Part = Field(description="A part.")
    parts: tuple[_Part, ...] = ()


def test_nested_models_are_closed_too() -> None:
    """Inside an answer model, objects are closed, defaults are gone and references stand alone, as strict servers want."""
    schema = strict_schema(_Whole)
    part = schema["$defs"]["_Part"]
    assert (part["additionalProperties"], part["required"]) == (False, ["note"])
    assert "default" not in part["properties"]["note"]
    assert schema["properties"]["part"] == {"$ref": "#/$defs/_Part"}
    assert schema["required"] == ["nonce", "part", "parts"]


def test_the_schema_travels_in_the_response_format() -> None:
    """With JSON schemas the system part stays as it is and the format is strict."""
    system, format_ = prepare(Verdict, "Judge.", "json_schema")
    assert system == "Judge."
    assert format_ is not None
    assert format_["json_schema"]["strict"] is True
    assert format_["json_schema"]["schema"] == strict_schema(Verdict)


@pytest.mark.parametrize(("form", "expected"), [("json_object", {"type": "json_object"}), ("plain", None)])
def test_the_schema_travels_in_the_system_part(form: Form, expected: object) -> None:
    """Without JSON schemas the system part keeps its beginning and tells the schema after it."""
    system, format_ = prepare(Verdict, "Judge.", form)
    assert format_ == expected
    assert system.startswith("Judge.")
    assert json.dumps(Verdict.model_json_schema(), indent=2) in system
