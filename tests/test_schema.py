"""The records, and the one function that may say no_crisis."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from crisis_filter.schema import OUTCOMES, Assessment, Failure, Fault, Finding, Provenance, ScreenVerdict, conclude
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
