"""The probability of a label from token log-probabilities."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crisis_filter.backends.logprobs import probability_true, value_offset


def token(text: str, *alternatives: tuple[str, float], probability: float = 1.0) -> dict[str, Any]:
    """One entry as a server sends it; alternatives are (text, probability)."""
    return {
        "token": text,
        "logprob": math.log(probability),
        "bytes": list(text.encode()),
        "top_logprobs": [{"token": t, "logprob": math.log(p), "bytes": list(t.encode())} for t, p in alternatives],
    }


def stream(*texts: str) -> list[dict[str, Any]]:
    """Certain tokens."""
    return [token(text) for text in texts]


_BARE = (("true", 0.6), ("false", 0.2), ("maybe", 0.2))
_BOTH = ((" true", 0.6), (" false", 0.2), (" maybe", 0.2))


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        pytest.param([*stream('{"crisis":'), token(" true", *_BOTH, probability=0.6), *stream("}")], 0.75, id="plain"),
        pytest.param([*stream('{"crisis": '), token("true", *_BARE, probability=0.6), *stream("}")], 0.75, id="space"),
        pytest.param(
            [
                *stream('{"crisis":'),
                token(" t", (" t", 0.3), ("tr", 0.3), (" f", 0.2), probability=0.3),
                *stream("rue}"),
            ],
            0.75,
            id="pieces",
        ),
        pytest.param(
            [
                *stream('{"crisis'),
                token('":true', ('":true', 0.6), ('":false', 0.2), ("true", 0.2), probability=0.6),
                *stream("}"),
            ],
            0.75,
            id="token begins before the value",
        ),
        pytest.param(
            [*stream('{"crisis":'), token("true}", ("true}", 0.9), ("false}", 0.1), probability=0.9)], 0.9, id="longer"
        ),
        pytest.param([*stream('{"crisis":'), token("true", probability=0.3), *stream("}")], 1.0, id="no alternatives"),
        pytest.param(
            [*stream('{"crisis":'), token("true", *_BARE, probability=0.6), *stream("}", "<|end|>")],
            0.75,
            id="end token",
        ),
    ],
)
def test_the_share_of_true(tokens: list[dict[str, Any]], expected: float) -> None:
    """The alternatives that begin either word are summed at the value and normalised."""
    text = "".join(t["token"] for t in tokens).removesuffix("<|end|>").strip("`json\n")
    assert probability_true(tokens, text, "crisis") == pytest.approx(expected)


def test_the_same_key_inside_a_string_is_not_taken() -> None:
    """A key written in the reasoning, or in a nested object, does not stand for the top-level one."""
    reasoning = '{"reasoning":"they wrote \\"crisis\\": true","in":{"crisis":true},"crisis":'
    tokens = [token(reasoning), token("false", ("false", 0.9), ("true", 0.1), probability=0.9), *stream("}")]
    assert probability_true(tokens, reasoning + "false}", "crisis") == pytest.approx(0.1)


def test_offsets_count_bytes() -> None:
    """Text outside ASCII before the label does not move the token that is read, even where a token is half a character."""
    emoji = "🙂".encode()
    head = {"token": '{"a":"', "logprob": 0.0, "bytes": list(b'{"a":"'), "top_logprobs": []}
    halves = [
        {"token": "\ufffd", "logprob": 0.0, "bytes": list(part), "top_logprobs": []} for part in (emoji[:2], emoji[2:])
    ]
    tokens = [
        head,
        *halves,
        *stream('","crisis":'),
        token("true", ("true", 0.8), ("false", 0.2), probability=0.8),
        *stream("}"),
    ]
    assert probability_true(tokens, '{"a":"🙂","crisis":true}', "crisis") == pytest.approx(0.8)


_GOOD = [*stream('{"crisis":'), token("true", *_BARE, probability=0.6), *stream("}")]


@pytest.mark.parametrize(
    "tokens",
    [
        pytest.param(None, id="none"),
        pytest.param([], id="empty"),
        pytest.param("text", id="text"),
        pytest.param([1, 2], id="numbers"),
        pytest.param(stream('{"crisis":'), id="too short"),
        pytest.param(stream("other"), id="other text"),
        pytest.param([*_GOOD, *_GOOD], id="the text twice"),
        pytest.param([{**_GOOD[0], "bytes": None, "token": "\ufffd"}, *_GOOD[1:]], id="part of a character"),
        pytest.param([{"logprob": 0.0}, *_GOOD[1:]], id="field missing"),
        pytest.param([{**_GOOD[0], "bytes": [999]}, *_GOOD[1:]], id="bad bytes"),
        pytest.param([_GOOD[0], {**_GOOD[1], "logprob": None, "top_logprobs": None}, _GOOD[2]], id="no numbers"),
        pytest.param([_GOOD[0], {**_GOOD[1], "logprob": math.nan, "top_logprobs": [7]}, _GOOD[2]], id="not a number"),
    ],
)
def test_nothing_is_guessed(tokens: object) -> None:
    """Where anything needed is missing there is no score."""
    assert probability_true(tokens, '{"crisis":true}', "crisis") is None


def test_another_key_has_no_score() -> None:
    """A key that the answer lacks has no score."""
    assert probability_true(_GOOD, '{"crisis":true}', "other") is None


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda v: st.lists(v) | st.dictionaries(st.text(), v),
    max_leaves=5,
)


@settings(deadline=None)  # the machine may be busy
@given(st.dictionaries(st.text(), _VALUES), st.sampled_from([None, 2]), st.booleans())
def test_the_offset_is_that_of_the_value(value: dict[str, Any], indent: int | None, ascii_: bool) -> None:
    """In any object, the value of each key is found where it begins."""
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_)
    for key, expected in value.items():
        at = value_offset(text, key)
        assert at is not None
        assert json.JSONDecoder().raw_decode(text, at)[0] == expected
    assert value_offset(text, "absent" + "".join(value)) is None
