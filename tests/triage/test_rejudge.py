"""Which assessments may be judged again, and which of two stands."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crisis_filter.errors import FAULTS
from crisis_filter.schema import UNSPECIFIED, Assessment, Fault, Finding, Provenance
from crisis_filter.triage.rejudge import Standing, may_rejudge, rejudging_order, standing_after

PROVENANCE = Provenance(detector="test", version="0")
FREE = Standing()


def assessed(outcome: str, fault: Fault | None = None, *, category: str = "suicide", **fields) -> Assessment:
    findings = (Finding(category=category),) if outcome == "crisis" else ()
    return Assessment(id="m", outcome=outcome, fault=fault, findings=findings, provenance=PROVENANCE, **fields)


CLEARED = assessed("no_crisis")
LOST = assessed("undetermined", Fault.TIMEOUT)
FOUND = assessed("crisis")
UNNAMED = assessed("crisis", Fault.TIMEOUT, category=UNSPECIFIED)

faults = st.sampled_from(Fault)
standings = st.builds(Standing, opened=st.booleans(), decided=st.sampled_from([None, "crisis", "no_crisis"]))
flags = st.sampled_from([(), ("injection_suspected",), ("filter_named_danger",), ("refused_or_filtered",)])
assessments = st.one_of(
    st.just(CLEARED),
    st.builds(lambda fault, flags: assessed("undetermined", fault, flags=flags), faults, flags),
    st.builds(
        lambda fault, category: assessed("crisis", fault, category=category),
        st.none() | faults,
        st.sampled_from(["suicide", UNSPECIFIED]),
    ),
)


@pytest.mark.parametrize(
    ("one", "standing", "another", "expected"),
    [
        (LOST, FREE, False, "yes"),
        (LOST, Standing(opened=True), False, "opened"),
        (LOST, Standing(decided="no_crisis"), False, "decided"),
        (LOST, Standing(decided="crisis", opened=True), False, "decided"),
        (CLEARED, FREE, True, "determined"),
        (FOUND, FREE, True, "determined"),
        (UNNAMED, FREE, False, "yes"),
        (assessed("crisis", Fault.TIMEOUT), FREE, True, "determined"),
        (assessed("undetermined", Fault.REFUSAL_FIELD), FREE, False, "needs_another_detector"),
        (assessed("undetermined", Fault.REFUSAL_FIELD), FREE, True, "yes"),
        (assessed("undetermined", Fault.INJECTION_SUSPECTED), FREE, True, "needs_a_person"),
        (assessed("undetermined", Fault.EMPTY_CONTENT), FREE, True, "needs_a_person"),
        (assessed("undetermined", Fault.TIMEOUT, flags=("injection_suspected",)), FREE, True, "needs_a_person"),
        (assessed("undetermined", Fault.TIMEOUT, flags=("filter_named_danger",)), FREE, True, "needs_a_person"),
    ],
)
def test_who_may_be_judged_again(one, standing, another, expected):
    """What the service caused, what only another detector can settle, and what is people's."""
    assert may_rejudge(one, standing, another=another) == expected


@pytest.mark.parametrize("fault", list(Fault))
def test_every_fault_has_its_rule(fault):
    """The table decides, for each."""
    same, other = (may_rejudge(assessed("undetermined", fault), FREE, another=a) for a in (False, True))
    assert (same, other) == {
        "healed": ("yes", "yes"),
        "other": ("needs_another_detector", "yes"),
        "never": ("needs_a_person", "needs_a_person"),
    }[FAULTS[fault].rejudge]


@pytest.mark.parametrize(
    ("old", "new", "standing", "stands"),
    [
        (LOST, CLEARED, FREE, "new"),
        (LOST, FOUND, FREE, "new"),
        (LOST, FOUND, Standing(opened=True), "new"),
        (LOST, CLEARED, Standing(opened=True), "old"),
        (LOST, CLEARED, Standing(decided="crisis"), "old"),
        (LOST, FOUND, Standing(decided="no_crisis"), "old"),
        (LOST, assessed("undetermined", Fault.SERVER_ERROR), FREE, "old"),
        (FOUND, CLEARED, FREE, "old"),
        (FOUND, LOST, FREE, "old"),
        (UNNAMED, FOUND, FREE, "new"),
        (UNNAMED, CLEARED, FREE, "old"),
        (UNNAMED, LOST, FREE, "old"),
        (UNNAMED, UNNAMED.model_copy(update={"score": 0.5}), FREE, "old"),
        (CLEARED, FOUND, FREE, "new"),
        (CLEARED, LOST, FREE, "old"),
        (assessed("undetermined", Fault.EMPTY_CONTENT), CLEARED, FREE, "old"),
    ],
)
def test_which_of_two_stands(old, new, standing, stands):
    """A crisis is never lowered, a fault takes nobody's place, a person's word is the last."""
    assert standing_after(old, new, standing) is {"old": old, "new": new}[stands]


@given(assessments, assessments, standings, st.booleans())
def test_nothing_is_cleared_that_a_rule_does_not_let_be(old, new, standing, another):
    """Whatever the order of events, `no_crisis` takes the place of an undetermined one only, and only where `may_rejudge` says yes."""
    stands = standing_after(old, new, standing, another=another)
    if old.outcome == "crisis":
        assert stands.outcome == "crisis"
    if stands.outcome == "no_crisis" and old.outcome != "no_crisis":
        assert (old.outcome, may_rejudge(old, standing, another=another)) == ("undetermined", "yes")
    if standing.decided is not None:
        assert stands is old
    assert standing_after(stands, stands, standing, another=another) == stands


def test_two_messages_are_never_mixed_up():
    """An assessment of another message is refused."""
    with pytest.raises(ValueError, match="different messages"):
        standing_after(LOST, CLEARED.model_copy(update={"id": "other"}), FREE)


def test_signs_then_scores_say_who_is_first():
    """A refusal is a sign; then the engine's score; then the order of arrival."""
    plain, second = assessed("undetermined", Fault.TIMEOUT), assessed("undetermined", Fault.BROKEN_REPLY)
    likely = assessed("undetermined", Fault.TIMEOUT, score=0.4, score_source="engine")
    refused = assessed("undetermined", Fault.REFUSAL_PROSE)
    passed_on = assessed("undetermined", Fault.TIMEOUT, flags=("refused_or_filtered",))
    ordered = rejudging_order([plain, likely, refused, second, passed_on])
    assert ordered == (refused, passed_on, likely, plain, second)


def test_the_detector_is_the_same_unless_told():
    """A refusal that the same detector would repeat stays with people, whatever that detector now says."""
    refused = assessed("undetermined", Fault.REFUSAL_FIELD)
    assert may_rejudge(refused, FREE) == "needs_another_detector"
    assert standing_after(refused, CLEARED, FREE) is refused
    assert standing_after(refused, CLEARED, FREE, another=False) is refused
    assert standing_after(refused, CLEARED, FREE, another=True) is CLEARED


@pytest.mark.parametrize("flag", ["injection_suspected", "filter_named_danger"])
def test_what_only_a_person_may_settle_is_settled_by_no_detector(flag):
    """Another detector that is not deceived may still raise it."""
    suspected = assessed("undetermined", Fault.TIMEOUT, flags=("chunked", flag))
    assert standing_after(suspected, CLEARED, FREE, another=True) is suspected
    assert standing_after(suspected, FOUND, FREE, another=True) is FOUND


def test_a_crisis_that_is_named_beside_an_unnamed_one_is_not_given_up():
    """Only an answer that names all takes the place; a fault beside the names is no hindrance."""
    half = assessed("crisis", Fault.TIMEOUT).model_copy(
        update={"findings": (Finding(category="abuse"), Finding(category=UNSPECIFIED))}
    )
    named = assessed("crisis", Fault.SCHEMA)
    assert may_rejudge(half, FREE) == "yes"
    assert standing_after(UNNAMED, half, FREE) is UNNAMED
    assert standing_after(UNNAMED, named, FREE) is named
    assert standing_after(half, named, Standing(opened=True)) is half


def test_the_likeliest_of_equals_first_and_no_score_counts_as_none():
    """A score of zero is no more than no score, and the order of arrival then stands."""
    none = assessed("undetermined", Fault.TIMEOUT)
    zero = assessed("undetermined", Fault.SERVER_ERROR, score=0.0, score_source="engine")
    low, high = (assessed("undetermined", Fault.TIMEOUT, score=s, score_source="engine") for s in (0.1, 0.9))
    sure = assessed("undetermined", Fault.FILTER_PROMPT, score=0.2, score_source="engine")
    unsure = assessed("undetermined", Fault.REFUSAL_FIELD)
    assert rejudging_order([none, zero, low, high]) == (high, low, none, zero)
    assert rejudging_order([high, unsure, sure]) == (sure, unsure, high)
    assert rejudging_order([zero, CLEARED, high]) == (high, zero, CLEARED)
    assert rejudging_order([]) == ()


def test_the_refusal_names_its_reason_in_our_words():
    """Not which messages, nor what is in them."""
    with pytest.raises(ValueError, match=r"^the assessments are of different messages$"):
        standing_after(LOST, FOUND.model_copy(update={"id": "other"}), Standing(decided="crisis"))


def found(*named: tuple[str, str | None], **fields: Any) -> Assessment:
    findings = tuple(Finding(category=category, severity=severity) for category, severity in named)
    return assessed("crisis", **fields).model_copy(update={"findings": findings})


@pytest.mark.parametrize(
    ("new", "stands"),
    [
        ([("abuse", "severe"), ("suicide", None)], "new"),
        ([("abuse", "severe")], "new"),
        ([("abuse", "imminent")], "new"),
        ([("abuse", "moderate")], "old"),
        ([("abuse", None)], "old"),
        ([("suicide", "imminent")], "old"),
        ([("abuse", "severe"), (UNSPECIFIED, None)], "old"),
    ],
)
def test_no_finding_of_a_crisis_is_lowered_by_another_judgement(new, stands):
    """What was found stays found and no less severe; only what had no name gets one."""
    old = found(("abuse", "severe"), (UNSPECIFIED, None), fault=Fault.TIMEOUT)
    again = found(*new)
    assert standing_after(old, again, FREE) is {"old": old, "new": again}[stands]


@pytest.mark.parametrize(("before", "after"), [(None, None), (None, "moderate"), ("moderate", None), (None, "severe")])
def test_a_finding_without_severity_counts_as_moderate(before, after):
    """Neither more nor less."""
    old, again = found(("abuse", before), (UNSPECIFIED, None), fault=Fault.TIMEOUT), found(("abuse", after))
    assert standing_after(old, again, FREE) is again
    milder = found(("abuse", "mild"))
    assert standing_after(old, milder, FREE) is old


def test_the_engine_alone_settles_nothing_that_another_left_open():
    """It may raise it; and what it left open itself it may settle."""
    alone = CLEARED.model_copy(update={"flags": ("sole_detector",)})
    assert standing_after(LOST, alone, FREE, another=True) is LOST
    own = assessed("undetermined", Fault.LOCAL_MODEL, flags=("sole_detector",))
    assert standing_after(own, alone, FREE) is alone
    assert standing_after(own, CLEARED, FREE, another=True) is CLEARED
    raised = FOUND.model_copy(update={"flags": ("sole_detector",)})
    assert standing_after(LOST, raised, FREE, another=True) is raised


def test_the_engine_alone_settles_nothing_that_a_model_left_open():
    """An outage is no licence for a weaker detector."""
    alone = assessed("no_crisis", flags=("sole_detector",))
    assert standing_after(LOST, alone, FREE, another=True) is LOST
    left = assessed("undetermined", Fault.TIMEOUT, flags=("sole_detector",))
    assert standing_after(left, alone, FREE) is alone
