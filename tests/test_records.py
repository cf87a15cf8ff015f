"""The records themselves: vocabularies, bounds, what may be left out, what is never shown."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from pydantic import ValidationError

from crisis_filter.schema import (
    NEVER_CLEARED,
    SEVERITIES,
    UNSPECIFIED,
    URGENCIES,
    Assessment,
    Conclusion,
    Disposition,
    Evidence,
    Failure,
    Fault,
    Finding,
    LinkFault,
    Message,
    PromptRef,
    Provenance,
    Record,
    Resource,
    Screening,
    ScreenVerdict,
)
from crisis_filter.stages.base import Categories, Cost, Named, Screened, Sorted

MARK = "MARKER"
PROVENANCE: dict[str, Any] = {"detector": "test", "version": "0"}
LEAST: dict[type[Record], dict[str, Any]] = {
    Message: {"id": "m", "text": ""},
    Evidence: {"quote": "q", "start": 0, "end": 1},
    Finding: {"category": "abuse"},
    ScreenVerdict: {"crisis": True, "may_clear": False},
    Failure: {"fault": Fault.TIMEOUT},
    Conclusion: {"outcome": "crisis"},
    PromptRef: {"id": "p", "sha256": "0"},
    LinkFault: {"link": "a", "fault": Fault.TIMEOUT},
    Provenance: PROVENANCE,
    Resource: {"id": "r", "name": "n", "contact": "c", "locales": ("US",), "source": "https://example.org"},
    Disposition: {"queue": "q", "urgency": "soon", "rule": "r"},
    Screening: {},
    Assessment: {"id": "m", "outcome": "no_crisis", "provenance": PROVENANCE},
    Named: {"category": "abuse"},
    Categories: {"named": ()},
}
"""The least that each record needs."""


def made(kind: type[Record], **fields: Any) -> Record:
    return kind.model_validate({**LEAST[kind], **fields})


def test_what_is_graver_and_more_urgent():
    """From mild to imminent, and from an emergency to routine: joins and routing go by these orders."""
    assert SEVERITIES == ("mild", "moderate", "severe", "imminent")
    assert URGENCIES == ("emergency", "urgent", "soon", "routine")
    assert UNSPECIFIED == "unspecified"


@pytest.mark.parametrize("kind", LEAST)
def test_no_record_can_be_changed_or_hold_more_than_it_knows(kind):
    """Frozen and closed."""
    one = made(kind)
    with pytest.raises(ValidationError, match="frozen"):
        one.id = MARK  # type: ignore[attr-defined]
    with pytest.raises(ValidationError, match="Extra inputs"):
        made(kind, unheard_of=1)


@pytest.mark.parametrize("kind", LEAST)
def test_a_record_needs_each_of_these(kind):
    """Nothing of them has a default: a verdict that does not say is not a verdict."""
    for name in LEAST[kind]:
        with pytest.raises(ValidationError, match="Field required"):
            kind.model_validate({key: value for key, value in LEAST[kind].items() if key != name})


@pytest.mark.parametrize(
    ("kind", "field", "good", "bad"),
    [
        (Message, "id", ["x"], [""]),
        (Evidence, "start", [0, 7], [-1]),
        (Evidence, "end", [1], [0, -1]),
        (Finding, "probability", [None, 0.0, 1.0], [-0.01, 1.01]),
        (Named, "probability", [None, 0.0, 1.0], [-0.01, 1.01]),
        (Finding, "severity", [None, *SEVERITIES], ["dire"]),
        (Finding, "subject", ["self", "other", "both", "unclear"], ["them", None]),
        (Finding, "timeframe", ["past", "recent", "current", "future", "unclear"], ["now", None]),
        (Disposition, "urgency", URGENCIES, ["later"]),
        (Disposition, "resources_withheld", [0, 1], [-1]),
        (LinkFault, "times", [1, 2], [0]),
        (Assessment, "score", [None], [-0.01, 1.01]),
        *((Provenance, name, [0, 1], [-1]) for name in ("views", "attempts", "quotes_dropped", "votes", "flips")),
        *((Provenance, name, [0, 1], [-1]) for name in ("prompt_tokens", "completion_tokens", "elapsed_ms")),
    ],
)
def test_the_bounds_of_a_field(kind, field, good, bad):
    """The last value that is taken, and the first that is not."""
    for value in good:
        assert getattr(made(kind, **{field: value}), field) == value
    for value in bad:
        with pytest.raises(ValidationError):
            made(kind, **{field: value})


@pytest.mark.parametrize("kind", [ScreenVerdict, Assessment])
def test_a_score_is_a_probability(kind):
    """With each source that there is."""
    for score in (0.0, 1.0):
        for source in ("logprobs", "engine", "votes", "stated"):
            one = made(kind, score=score, score_source=source)
            assert (one.score, one.score_source) == (score, source)  # type: ignore[attr-defined]
    for score, source in ((-0.01, "engine"), (1.01, "engine"), (0.5, "guess")):
        with pytest.raises(ValidationError):
            made(kind, score=score, score_source=source)


@pytest.mark.parametrize(
    ("kind", "private"),
    [
        (Message, {"text": MARK}),
        (Evidence, {"quote": MARK}),
        (Finding, {"rationale": MARK}),
        (ScreenVerdict, {"quotes": (MARK,)}),
        (ScreenVerdict, {"rationale": MARK}),
        (Screening, {"rationale": MARK}),
        (Named, {"quotes": (MARK,)}),
        (Named, {"rationale": MARK}),
    ],
)
def test_a_persons_words_are_in_no_repr_and_no_error(kind, private):
    """Nor a model's about them; a record that is refused does not show what it was given."""
    assert MARK not in repr(made(kind, **private))
    with pytest.raises(ValidationError) as caught:
        made(kind, **{name: {MARK: 1} for name in private})
    assert MARK not in str(caught.value)


def test_what_is_not_said_is_nothing():
    """No score, no severity, no flag, no fault is made up; unclear is the word for what nobody judged."""
    message = Message(id="m", text="")
    assert (message.locale, message.flags, message.unreadable) == (None, frozenset(), False)
    verdict = ScreenVerdict(crisis=True, may_clear=False)
    assert (verdict.score, verdict.score_source, verdict.fault, verdict.rationale) == (None, None, None, None)
    for record in (verdict, Finding(category="a"), Screening(), Named(category="a")):
        assert (record.subject, record.timeframe) == ("unclear", "unclear")
    assert (verdict.quotes, Named(category="a").quotes, Screening().evidence) == ((), (), ())
    finding = Finding(category="a")
    assert (finding.probability, finding.severity, finding.evidence, finding.rationale) == (None, None, (), None)
    assert (Screening().rationale, Named(category="a").rationale) == (None, None)
    assert (Named(category="a").probability, Named(category="a").severity) == (None, None)
    assert (Failure(fault=Fault.TIMEOUT).detail, Categories(named=()).fault) == ("", None)
    assert Conclusion(outcome="crisis") == Conclusion(outcome="crisis", fault=None, score=None, score_source=None)
    assert LinkFault(link="a", fault=Fault.TIMEOUT).times == 1


def test_an_assessment_that_says_only_its_outcome():
    """Nothing failed, nothing was found, nothing was spent."""
    assessment = Assessment(id="m", outcome="no_crisis", provenance=Provenance(**PROVENANCE))
    assert (assessment.score, assessment.score_source, assessment.findings, assessment.fault) == (None, None, (), None)
    assert (assessment.fault_detail, assessment.degraded, assessment.flags, assessment.disposition) == (
        "",
        False,
        (),
        None,
    )
    assert assessment.screen == Screening()
    spent = assessment.provenance.model_dump(exclude={"detector", "version"})
    assert {name for name, value in spent.items() if value} == set()
    assert {name for name, value in spent.items() if value is None} == {"model", "taxonomy", "policy", "cascade"}
    assert Disposition(queue="q", urgency="soon", rule="r").model_dump() == {
        "queue": "q",
        "urgency": "soon",
        "rule": "r",
        "resources": (),
        "resources_withheld": 0,
    }
    resource = made(Resource)
    assert (resource.categories, resource.verified_on) == ((), None)  # type: ignore[attr-defined]


def test_a_stage_that_says_nothing_of_its_costs_had_none():
    """And nobody stood beside it."""
    nothing = Cost(0, 0, 0, None, (), (), degraded=False, danger=False, votes=0, flips=0)
    lost = Failure(fault=Fault.TIMEOUT)
    assert Cost() == nothing
    assert Screened(lost) == Screened(lost, nothing, second=None)
    assert Sorted(lost) == Sorted(lost, nothing)
    for one, name in ((Screened(lost), "result"), (Sorted(lost), "result"), (nothing, "attempts")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(one, name, None)


def test_the_table_of_what_forbids_a_negative_cannot_be_changed():
    """By nobody who imports it."""
    with pytest.raises(TypeError):
        NEVER_CLEARED["chunked"] = Fault.INTERNAL  # type: ignore[index]
