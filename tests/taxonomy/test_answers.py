"""Answer models are made from a taxonomy: closed, strict, reasoning before the label."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from crisis_filter.taxonomy.answers import CategoryAnswer, ScreenReasoned, answer_model
from crisis_filter.taxonomy.load import load_taxonomy

ABSENT = {"rationale": "", "quotes": [], "present": False, "severity": None, "subject": None, "timeframe": None}
SCREEN = {
    "nonce": "n",
    "reasoning": "r",
    "quotes": ["q"],
    "subject": "self",
    "timeframe": "current",
    "crisis": True,
    "confidence": 1,
}


@pytest.mark.parametrize("name", ["clinical-v1", "mindguard-v1", "oxideshield-v1"])
def test_stage_two_has_one_object_for_each_category(name):
    """No open-ended list: every category is its own required question, in the taxonomy's order."""
    taxonomy = load_taxonomy(name)
    model = answer_model("categorise_reasoned", taxonomy)
    answer = model.model_validate_json(json.dumps({"nonce": "n", **dict.fromkeys(taxonomy.ids, ABSENT)}))
    assert tuple(answer.by_category()) == taxonomy.ids
    for missing in taxonomy.ids:
        with pytest.raises(ValidationError):
            model.model_validate_json(json.dumps({"nonce": "n", **{c: ABSENT for c in taxonomy.ids if c != missing}}))


def test_the_same_taxonomy_gives_the_same_model():
    """Schemas are sent with every call; they must be byte-identical."""
    a, b = (answer_model("categorise_reasoned", load_taxonomy("clinical-v1")) for _ in range(2))
    assert a is b


def test_reasoning_comes_before_the_label():
    """A model that has to reason first cannot justify afterwards."""
    fields = list(ScreenReasoned.model_fields)
    assert fields.index("reasoning") < fields.index("crisis") < fields.index("confidence")
    fields = list(CategoryAnswer.model_fields)
    assert fields.index("rationale") < fields.index("present") < fields.index("severity")


@pytest.mark.parametrize(
    "change",
    [
        {"crisis": "false"},
        {"crisis": 0},
        {"crisis": None},
        {"crisis": "no"},
        {"confidence": 1.7},
        {"confidence": -1},
        {"confidence": "0.9"},
        {"extra": 1},
        {"subject": "me"},
        {"quotes": "q"},
        {"quotes": [1]},
        {"reasoning": None},
    ],
)
def test_anything_but_the_exact_shape_is_refused(change):
    """A string that looks like a boolean is no boolean, and nothing unknown is let through."""
    ScreenReasoned.model_validate_json(json.dumps(SCREEN))
    with pytest.raises(ValidationError):
        ScreenReasoned.model_validate_json(json.dumps({**SCREEN, **change}))


def test_the_json_schema_is_closed_all_the_way_down():
    """Strict structured output needs every property required and none beside them."""
    schema = answer_model("categorise_reasoned", load_taxonomy("clinical-v1")).model_json_schema()
    for part in [schema, *schema["$defs"].values()]:
        assert part["additionalProperties"] is False
        assert set(part["required"]) == set(part["properties"])
