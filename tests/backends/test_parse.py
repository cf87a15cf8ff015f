"""The strict reader."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crisis_filter.backends.parse import (
    all_written,
    claims_true,
    load_object,
    parse_answer,
    server_model,
    stated,
    unanswered,
)
from crisis_filter.schema import Fault
from tests.backends.asking import NONCE, asking, verdict

_OTHER = '{"nonce": "c0ffee", "reasoning": "calm", "confidence": 0.5, '

REJECTED = [
    pytest.param("", "malformed", Fault.EMPTY_REPLY, id="empty"),
    pytest.param(" \n\t ", "malformed", Fault.EMPTY_REPLY, id="white space"),
    pytest.param("I'm sorry, I can't help with that.", "refused", Fault.REFUSAL_PROSE, id="prose"),
    pytest.param("Not safe", "refused", Fault.REFUSAL_PROSE, id="verdict in prose"),
    pytest.param("false", "refused", Fault.REFUSAL_PROSE, id="bare word"),
    pytest.param(f"[{verdict()}]", "malformed", Fault.BAD_JSON, id="array"),
    pytest.param(f"```json\n{verdict()}\n```", "malformed", Fault.BAD_JSON, id="code fence"),
    pytest.param("\ufeff" + verdict(), "malformed", Fault.BAD_JSON, id="byte order mark"),
    pytest.param(f"<think>no</think>{verdict()}", "malformed", Fault.BAD_JSON, id="reasoning block"),
    pytest.param(f"{verdict()} wait, actually true", "malformed", Fault.BAD_JSON, id="text after"),
    pytest.param(f"{verdict()}{verdict(crisis=True)}", "malformed", Fault.BAD_JSON, id="two objects"),
    pytest.param(_OTHER + '"crisis": true, "crisis": false}', "malformed", Fault.BAD_JSON, id="repeated key"),
    pytest.param(_OTHER + '"crisis": false,}', "malformed", Fault.BAD_JSON, id="trailing comma"),
    pytest.param(verdict().replace('"', "'"), "malformed", Fault.BAD_JSON, id="single quotes"),
    pytest.param(verdict()[:-5], "malformed", Fault.BAD_JSON, id="cut"),
    pytest.param(verdict(confidence=float("nan")), "malformed", Fault.BAD_JSON, id="NaN"),
    pytest.param(verdict(confidence=float("inf")), "malformed", Fault.BAD_JSON, id="Infinity"),
    pytest.param(verdict().replace("0.5", "1.0e999"), "malformed", Fault.BAD_JSON, id="overflowing number"),
    pytest.param('{"a":' * 100_000, "malformed", Fault.BAD_JSON, id="deep"),
    pytest.param('{"a":' + "9" * 10_000 + "}", "malformed", Fault.BAD_JSON, id="huge integer"),
    pytest.param(verdict(crisis="false"), "malformed", Fault.SCHEMA, id="false as string"),
    pytest.param(verdict(crisis=0), "malformed", Fault.SCHEMA, id="zero"),
    pytest.param(verdict(crisis=None), "malformed", Fault.SCHEMA, id="null"),
    pytest.param(_OTHER[:-2] + "}", "malformed", Fault.SCHEMA, id="missing field"),
    pytest.param(verdict(more=1), "malformed", Fault.SCHEMA, id="extra field"),
    pytest.param(verdict(confidence=1.7), "malformed", Fault.SCHEMA, id="out of range"),
    pytest.param(verdict(confidence=-1), "malformed", Fault.SCHEMA, id="negative"),
    pytest.param(verdict(confidence="0.9"), "malformed", Fault.SCHEMA, id="number as string"),
    pytest.param(verdict(nonce="other"), "mismatched", Fault.NONCE_MISMATCH, id="other nonce"),
    pytest.param(verdict(nonce=NONCE.upper()), "mismatched", Fault.NONCE_MISMATCH, id="nonce in other case"),
    pytest.param(verdict().replace('"nonce": "c0ffee", ', ""), "mismatched", Fault.NONCE_MISMATCH, id="no nonce"),
]


@pytest.mark.parametrize(("text", "finish", "fault"), REJECTED)
def test_what_is_no_answer(text: str, finish: str, fault: Fault) -> None:
    """Whatever is not one complete, valid object with the nonce is a fault of the right kind, its text kept as sent."""
    reply = parse_answer(text, asking())
    assert (reply.finish, reply.fault, reply.answer, reply.text) == (finish, fault, None, text)


def test_no_text_is_empty() -> None:
    """No content at all is an empty reply."""
    assert parse_answer(None, asking()).fault is Fault.EMPTY_REPLY


@pytest.mark.parametrize("text", [verdict(), f"\n {verdict()} \r\n", verdict(confidence=1), verdict(reasoning="{}🙂")])
def test_what_is_an_answer(text: str) -> None:
    """One object that fits, with or without JSON white space around it, is answered."""
    reply = parse_answer(text, asking())
    assert reply.finish == "answered"
    assert reply.answer is not None
    assert reply.answer.crisis is False
    assert reply.text == text


@settings(deadline=None)  # the machine may be busy
@given(st.text())
def test_no_text_becomes_an_answer_by_chance(text: str) -> None:
    """Text that is not built from the nonce is never answered, and reading it never raises."""
    assert parse_answer(text, asking()).finish != "answered"
    claims_true(text, "crisis")


@settings(deadline=None)  # the machine may be busy
@given(st.integers(0, len(verdict()) - 1))
def test_no_beginning_of_an_answer_is_one(length: int) -> None:
    """An answer cut anywhere is not repaired."""
    assert parse_answer(verdict()[:length], asking()).finish != "answered"


@pytest.mark.parametrize(
    ("text", "claims"),
    [
        (verdict(crisis=True, more=1), True),
        (f"```json\n{verdict(crisis=True)}\n```", True),
        (f"{verdict()} {verdict(crisis=True)}", True),
        (_OTHER + '"crisis": true, "crisis": false}', True),
        ('<think>{no</think>{"crisis": true}', True),
        (verdict(), False),
        (verdict(crisis="true"), True),
        (verdict(crisis=1), True),
        (verdict(crisis=1.0), True),
        (verdict(crisis="yes"), True),
        (verdict(crisis="Yes."), True),
        ("{'crisis': True}", True),
        ('{"Crisis":true}', True),
        ('{"CRISIS" :\n TRUE}', True),
        ("{crisis: true}", True),
        ("{“crisis”: true}", True),
        (json.dumps(verdict(crisis=True)), True),
        (json.dumps(json.dumps('{"crisis":\n\ttrue}')), True),
        ('{"cris\\u0069s": true}', True),
        ("**Crisis:** yes", True),
        ("Verdict(nonce='c0ffee', crisis=True)", True),
        ("<crisis>true</crisis>", True),
        (verdict(crisis=10), False),
        (verdict(crisis=1.5), False),
        (verdict(crisis="truely"), False),
        (verdict(crisis="no"), False),
        ("{'crisis': False}", False),
        ('{"no_crisis": true}', False),
        ('{"crisis_line": true}', False),
        ("I can't help. In a crisis: 1-800-273-8255.", False),
        ("I can't help. Crisis line: 116 123.", False),
        ("\\" * 100_000, False),
        ("crisis" + " " * 100_000, False),
        (json.dumps({"inner": {"crisis": True}}), True),
        (verdict(crisis=True)[:-5], True),
        ("crisis: true", True),
        ('{"a":' * 100_000, False),
    ],
)
def test_a_positive_is_seen_through_faults(text: str, *, claims: bool) -> None:
    """A `true` for the label is seen wherever it stands and however it is spelt, in a cut object too."""
    assert claims_true(text, "crisis") is claims
    assert claims_true(text, None) is False


def test_a_category_marked_present_is_seen() -> None:
    """Any of several booleans of the same name is seen, since a Stage 2 answer has one in each category."""
    text = '{"neglect": {"present": false}, "suicide": {"quotes": [], "present": true, "sever'
    assert claims_true(text, "present") is True
    assert stated(text, "present") == {True, False}
    assert claims_true(text.replace("true", "false"), "present") is False


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("gpt-5 (mini)", "gpt-5 (mini)"),
        ("gpt\ud83d", "gpt\ufffd"),
        ("a\x1b[31m\n", "a\ufffd[31m\ufffd"),
        ("m" * 1000, "m" * 200),
        (7, None),
        (None, None),
    ],
)
def test_the_name_of_a_model_can_be_written_anywhere(name: object, kept: str | None) -> None:
    """What a server calls its model is cut and holds only what can be printed."""
    assert server_model(name) == kept


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        (None, "the answer is empty"),
        (" ", "the answer is empty"),
        ("I can't help.", "the answer is prose without an object"),
        ("{", "the answer is not one JSON object"),
        ("{}", "4 fields do not fit the answer model"),
        (verdict(crisis="no"), "1 fields do not fit the answer model"),
        (verdict(crisis="no", more=1), "2 fields do not fit the answer model"),
        ('{"reasoning": "calm", "crisis": false, "confidence": 0.5}', "the answer holds no nonce"),
        (verdict(nonce="other"), "the answer echoes another nonce"),
        (verdict(), ""),
    ],
)
def test_what_is_told_of_a_faulty_answer(text: str | None, detail: str) -> None:
    """A few fixed words and a count, never the answer's own."""
    assert parse_answer(text, asking()).detail == detail


def test_a_reply_without_an_answer_keeps_what_came_with_it() -> None:
    """The text, for a positive that survives, and the name of the model."""
    reply = unanswered("filtered", Fault.FILTER_FINISH, "blocked", text="half an", model="m-1")
    assert (reply.finish, reply.fault, reply.detail) == ("filtered", Fault.FILTER_FINISH, "blocked")
    assert (reply.answer, reply.text, reply.model) == (None, "half an", "m-1")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": {"b": [1.5, -2e3, null]}}', {"a": {"b": [1.5, -2000.0, None]}}),
        (" {} ", {}),
        ("[]", None),
        ("1", None),
        ('{"a": {"b": 1, "b": 1}}', None),
        ('{"a": [{"b": 1, "b": 2}]}', None),
        ('{"a": NaN}', None),
        ('{"a": -Infinity}', None),
        ('{"a": [-1e999]}', None),
        ("{} {}", None),
        ("", None),
    ],
)
def test_one_object_with_distinct_keys_and_finite_numbers(text: str, value: object) -> None:
    """At any depth; anything else is nothing."""
    assert load_object(text) == value


@pytest.mark.parametrize(
    ("parts", "written"),
    [
        (("said", None, "", "more"), "said\nmore"),
        (({"crisis": "später"}, [True]), '{"crisis": "später"}\n[true]'),
        ((7, 1.5, True, b"bytes"), None),
        (({}, [], ""), None),
        (({"at": Fault},), json.dumps({"at": str(Fault)})),
        ((), None),
    ],
)
def test_all_that_was_written_is_kept(parts: tuple[object, ...], written: str | None) -> None:
    """Texts and objects, a line each; nothing else, and nothing at all for nothing."""
    assert all_written(*parts) == written


@pytest.mark.parametrize(
    ("text", "field", "values"),
    [
        ('{"crisis": true, "crisis": false}', "crisis", {True, False}),
        ('{"crisis": false}', "crisis", {False}),
        ("crisis = 0", "crisis", {False}),
        ("crisis: no", "crisis", {False}),
        ('{"crisis": null}', "crisis", set()),
        ("", "crisis", set()),
        ('{"crisis": true}', "", set()),
        (None, "crisis", set()),
        ('{"a.b": true}', "a.b", {True}),
        ('{"axb": true}', "a.b", set()),
        ('{\\"crisis\\":\\ttrue}', "crisis", {True}),
        ("crisis\uff1atrue", "crisis", {True}),
        ("crisis => yes", "crisis", {True}),
        ("\u00abcrisis\u00bb: \u201etrue\u201c", "crisis", {True}),
    ],
)
def test_what_a_text_states(text: str | None, field: str, values: set[bool]) -> None:
    """Every value that is given anywhere, and none that is not."""
    assert stated(text, field) == values
