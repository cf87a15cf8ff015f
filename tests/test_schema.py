"""The records, and the one function that may say no_crisis."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from crisis_filter.schema import (
    OUTCOMES,
    Assessment,
    Failure,
    Fault,
    Finding,
    Flag,
    Provenance,
    ScreenVerdict,
    conclude,
)
from tests.strategies import failures, results, verdicts

CLEARS = ScreenVerdict(crisis=False, may_clear=True)
WEAK = ScreenVerdict(crisis=False, may_clear=False)
RAISES = ScreenVerdict(crisis=True, may_clear=False)
DRIFTED = ScreenVerdict(crisis=True, may_clear=False, fault=Fault.SCHEMA)
LOST = Failure(fault=Fault.TIMEOUT)
PROVENANCE = Provenance(detector="test", version="0")


@pytest.mark.parametrize(
    ("given_results", "outcome", "fault"),
    [
        ([CLEARS], "no_crisis", None),
        ([CLEARS, CLEARS], "no_crisis", None),
        ([RAISES], "crisis", None),
        ([CLEARS, RAISES], "crisis", None),
        ([LOST, RAISES], "crisis", Fault.TIMEOUT),
        ([DRIFTED], "crisis", Fault.SCHEMA),
        ([DRIFTED, CLEARS], "crisis", Fault.SCHEMA),
        ([LOST], "undetermined", Fault.TIMEOUT),
        ([CLEARS, LOST], "undetermined", Fault.TIMEOUT),
        ([WEAK], "undetermined", Fault.MAY_NOT_CLEAR),
        ([CLEARS, WEAK], "undetermined", Fault.MAY_NOT_CLEAR),
        ([], "undetermined", Fault.INTERNAL),
    ],
)
def test_join_follows_law_one(given_results, outcome, fault):
    """Crisis beats undetermined beats no_crisis, and the fault is named."""
    conclusion = conclude(given_results)
    assert (conclusion.outcome, conclusion.fault) == (outcome, fault)


def test_a_text_that_was_repaired_is_never_cleared():
    """What replacement characters hid may have been the crisis."""
    conclusion = conclude([CLEARS], frozenset({"encoding_repaired"}))
    assert (conclusion.outcome, conclusion.fault) == ("undetermined", Fault.INPUT_UNREADABLE)


@given(results, verdicts() | failures)
def test_more_results_never_lower_below_crisis_nor_clear_what_was_not(before, extra):
    """Adding a result keeps a crisis a crisis and never turns undetermined into no_crisis."""
    was, now = conclude(before).outcome, conclude([*before, extra]).outcome
    if was == "crisis":
        assert now == "crisis"
    if was == "undetermined" and before:
        assert now != "no_crisis"


@given(results, st.randoms())
def test_order_does_not_matter(given_results, random):
    """The outcome is the same whichever view was judged first."""
    shuffled = list(given_results)
    random.shuffle(shuffled)
    assert conclude(shuffled).outcome == conclude(given_results).outcome


@given(results)
def test_no_crisis_needs_every_result_to_be_an_entitled_negative(given_results):
    """No failure, no positive, no detector that may not clear, and at least one verdict."""
    if conclude(given_results).outcome == "no_crisis":
        assert given_results
        assert all(isinstance(r, ScreenVerdict) and not r.crisis and r.may_clear for r in given_results)


@given(results)
def test_an_assessment_can_be_built_from_any_conclusion(given_results):
    """Outcome and fault always agree with what an assessment demands."""
    c = conclude(given_results)
    fault = c.fault
    findings = (Finding(category="unspecified"),) if c.outcome == "crisis" else ()
    Assessment(id="a", outcome=c.outcome, fault=fault, findings=findings, provenance=PROVENANCE)


def test_a_negative_from_a_faulty_answer_cannot_be_written_down():
    """A drifted negative is refused when it is made."""
    with pytest.raises(ValidationError):
        ScreenVerdict(crisis=False, may_clear=True, fault=Fault.SCHEMA)


@pytest.mark.parametrize(
    "columns",
    [
        {"outcome": "undetermined"},
        {"outcome": "no_crisis", "fault": Fault.TIMEOUT},
        {"outcome": "crisis"},
        {"outcome": "no_crisis", "findings": (Finding(category="suicide"),)},
        {},
    ],
)
def test_columns_that_contradict_are_refused(columns):
    """An assessment has no default outcome, names its fault, and ties findings to a crisis."""
    with pytest.raises(ValidationError):
        Assessment(id="a", provenance=PROVENANCE, **columns)


def test_validation_errors_and_reprs_hide_the_text():
    """A record that fails to validate does not show what it was given."""
    with pytest.raises(ValidationError) as caught:
        Finding.model_validate({"category": "suicide", "rationale": ["MARKER"]})
    assert "MARKER" not in str(caught.value)
    assert "MARKER" not in repr(Finding(category="suicide", rationale="MARKER"))


def test_outcomes_are_ordered_highest_first():
    """Joins elsewhere rely on this order."""
    assert OUTCOMES == ("crisis", "undetermined", "no_crisis")


def said(crisis: bool, score: float | None = None, source: str | None = None) -> ScreenVerdict:
    return ScreenVerdict(crisis=crisis, may_clear=True, score=score, score_source=source)


@pytest.mark.parametrize(
    ("given_results", "outcome", "score", "source"),
    [
        ([said(False, 0.1, "stated"), said(False, 0.3, "logprobs")], "no_crisis", 0.3, "logprobs"),
        ([said(False, 0.3, "logprobs"), said(False), said(False, 0.1, "stated")], "no_crisis", 0.3, "logprobs"),
        ([said(False, 0.0, "stated")], "no_crisis", 0.0, "stated"),
        ([said(False, 0.0, "stated"), said(False, 0.3, "logprobs")], "no_crisis", 0.3, "logprobs"),
        ([said(False)], "no_crisis", None, None),
        ([said(False, 0.1, "stated"), LOST, said(False, 0.4, "engine")], "undetermined", 0.4, "engine"),
        ([LOST], "undetermined", None, None),
        ([said(True, 0.2, "stated"), said(True, 0.6, "votes"), said(False, 0.9, "engine")], "crisis", 0.6, "votes"),
        ([said(True), said(False, 0.9, "engine")], "crisis", None, None),
        ([said(True), said(True, 0.0, "stated")], "crisis", 0.0, "stated"),
    ],
)
def test_the_score_is_the_highest_of_those_that_decided(given_results, outcome, score, source):
    """Of a crisis the highest among the positives; otherwise the highest of any verdict; with where it came from."""
    conclusion = conclude(given_results)
    assert (conclusion.outcome, conclusion.score, conclusion.score_source) == (outcome, score, source)


def test_the_first_failure_is_named_and_goes_before_a_faulty_positive():
    """Which fault stands beside an outcome when there are several."""
    other = Failure(fault=Fault.BAD_JSON)
    assert conclude([CLEARS, LOST, other]).fault is Fault.TIMEOUT
    assert conclude([other, LOST]).fault is Fault.BAD_JSON
    assert conclude([DRIFTED, LOST]).fault is Fault.TIMEOUT
    assert conclude([RAISES, DRIFTED]).fault is Fault.SCHEMA


FORBIDDING = {
    "encoding_repaired": Fault.INPUT_UNREADABLE,
    "injection_suspected": Fault.INJECTION_SUSPECTED,
    "filter_named_danger": Fault.FILTER_PROMPT,
    "unvalidated_language": Fault.UNVALIDATED_LANGUAGE,
}


@pytest.mark.parametrize("flag", get_args(Flag))
def test_what_each_flag_does_to_a_negative(flag):
    """Four forbid it, each with its fault; the others are only noted. A crisis is untouched by all."""
    conclusion = conclude([CLEARS], frozenset({flag}))
    expected = ("undetermined", FORBIDDING[flag]) if flag in FORBIDDING else ("no_crisis", None)
    assert (conclusion.outcome, conclusion.fault) == expected
    assert conclude([RAISES], frozenset({flag})) == conclude([RAISES])


def test_the_first_reason_that_forbids_a_negative_is_named():
    """Of several flags the one that stands first in the table; a detector that may not clear before any flag."""
    assert conclude([CLEARS], frozenset(FORBIDDING)).fault is Fault.INPUT_UNREADABLE
    assert conclude([CLEARS], frozenset(list(FORBIDDING)[1:])).fault is Fault.INJECTION_SUSPECTED
    assert conclude([CLEARS], frozenset(list(FORBIDDING)[2:])).fault is Fault.FILTER_PROMPT
    assert conclude([WEAK], frozenset(FORBIDDING)).fault is Fault.MAY_NOT_CLEAR


@pytest.mark.parametrize("fields", [{"score": 0.5}, {"score_source": "engine"}])
def test_a_score_without_its_source_is_refused(fields):
    """And a source without its score."""
    with pytest.raises(ValidationError, match="go together"):
        ScreenVerdict(crisis=True, may_clear=False, **fields)
