"""The readers of bodies and answers are quick ones; they read what the plain ones of the standard library read, and nothing else."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crisis_filter.backends.completion import Completion, _loaded, read_completion
from crisis_filter.backends.parse import _distinct, _finite, _no_constant, load_object
from crisis_filter.errors import BackendError

NUMBERS = ["0", "-0", "-0.0", "01", "1.", ".5", "1e5", "1E+2", "1e400", "-1e400", "1e-400", "5e-324", "NaN", "-NaN", "Infinity",
           "-Infinity", "inf", "nan", "+1", "0x1", "1_0", "9007199254740993", "12345678901234567890123", "0.1234567890123456789",
           "2.2250738585072011e-308", "1" * 4300, "1" * 4301, "1" * 20 + ".5"]  # fmt: skip
STRINGS = [r'"\ud83d"', r'"\ude00"', r'"\ud83d\ude00"', r'"\ud83dA"', r'"\u0000"', r'"\x"', r'"\/"', r'"\u12"', '"\x01"', '"\x7f"',
           '"\u2028"', "'a'", '"', r'"\"', '"\ufeff"']  # fmt: skip
SHAPES = ["", " ", "[]", "{}", "{}x", "[1,]", '{"a":}', '{"a":1,"a":2}', '{"a":{"b":1,"b":2}}', '{"\\u0061":1,"a":2}', "[1] \n\t\r",
          "[1]\x0b", "[1]\x0c", "[1]\xa0", "tru", "true", "null", "nullx", "[1]\x00", "//\n1", "[" * 150 + "]" * 150, "[" * 250 + "]" * 250,
          "[" * 900 + "]" * 900, "[" * 100_000, '{"a":' * 300 + "1" + "}" * 300, '{"a":' * 50_000, "\ufeff{}"]  # fmt: skip


def outcome(read: Any, *given_to: Any) -> Any:
    """What is read, told apart to the letter, or that nothing is."""
    try:
        return repr(read(*given_to))
    except (ValueError, RecursionError):
        return "refused"


def plainly(text: str) -> dict[str, Any] | None:
    """The strict reader, made anew."""
    value = json.loads(text, object_pairs_hook=_distinct, parse_constant=_no_constant, parse_float=_finite)
    return value if isinstance(value, dict) else None


def text_of_json() -> st.SearchStrategy[str]:
    leaves = st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(st.characters()),
        st.sampled_from([10**400, -(10**30)]),
    )
    value = st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner))
    return st.builds(
        lambda v, ascii_, indent: json.dumps(v, ensure_ascii=ascii_, indent=indent),
        value,
        st.booleans(),
        st.sampled_from([None, 1]),
    )


@given(body=text_of_json())
def test_a_body_is_read_as_ever(body: str) -> None:
    """Numbers to the last bit, half surrogates, infinities, every escape."""
    raw = body.encode("utf-8", "surrogatepass")
    assert outcome(_loaded, raw) == outcome(json.loads, raw)


@given(body=text_of_json(), data=st.data())
def test_a_broken_body_is_refused_as_ever(body: str, data: st.DataObject) -> None:
    """A character cut out, doubled or put in anywhere, also in the middle of one."""
    raw = bytearray(body.encode("utf-8", "surrogatepass"))
    at = data.draw(st.integers(0, len(raw)))
    raw[at : at + data.draw(st.integers(0, 2))] = data.draw(
        st.sampled_from(
            [b"", b'"', b"\\", b",", b"}", b"\x00", b"\xff", b"\xed\xa0\x80", b"1", b"NaN", b"\\ud800", b" "]
        )
    )
    assert outcome(_loaded, bytes(raw)) == outcome(json.loads, bytes(raw))


@pytest.mark.parametrize(
    "text", [*NUMBERS, *STRINGS, *SHAPES, *(f"[{n}]" for n in NUMBERS), *(f"[{s}]" for s in STRINGS)]
)
def test_what_readers_differ_in(text: str) -> None:
    """The corners where JSON readers part ways, for both of ours; nesting that is too deep for the interpreter included."""
    raw = text.encode("utf-8", "surrogatepass")
    assert outcome(_loaded, raw) == outcome(json.loads, raw)
    assert load_object(text) == (None if (found := outcome(plainly, text)) in ("refused", "None") else plainly(text)), (
        found
    )


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32", "utf-32-be"])
def test_other_encodings_of_a_body(encoding: str) -> None:
    """The standard library knows them by their first bytes."""
    raw = '{"a": "caf\u00e9"}'.encode(encoding)
    assert outcome(_loaded, raw) == outcome(json.loads, raw) == "{'a': 'caf\u00e9'}"


@given(text=text_of_json())
@example(text='{"crisis": false, "crisis": true}')
def test_an_answer_is_read_as_ever(text: str) -> None:
    """One object, distinct keys, finite numbers."""
    try:
        expected = plainly(text)
    except (ValueError, RecursionError):
        expected = None
    found = load_object(text)
    assert repr(found) == repr(expected)
    assert found is None or all(math.isfinite(v) for v in found.values() if isinstance(v, float))


@given(body=st.binary(max_size=300))
def test_any_bytes_are_a_completion_or_an_error(body: bytes) -> None:
    """Never an exception."""
    assert isinstance(read_completion(body), Completion | BackendError)
