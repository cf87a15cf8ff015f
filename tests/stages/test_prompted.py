"""The prompted stages over scripted answers: what each answer means, and that no fault reads as a negative."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crisis_filter.backends.scripted import Scripted, ScriptedAnswer
from crisis_filter.prompting.prompt import load_prompt
from crisis_filter.prompting.render import render
from crisis_filter.schema import Failure, Fault, ScreenVerdict
from crisis_filter.stages.base import Categories
from crisis_filter.stages.categorise import PromptedCategorise
from crisis_filter.stages.drift import drifted_categories
from crisis_filter.stages.screen import PromptedScreen
from crisis_filter.taxonomy.load import load_taxonomy
from tests.strategies import CATEGORIES

TAXONOMY = load_taxonomy("clinical-v1")
REASONED = render(load_prompt("screen/reasoned-v1"), TAXONOMY)
TERSE = render(load_prompt("screen/terse-v1"), TAXONOMY)
CATEGORISE = render(load_prompt("categorise/reasoned-v1"), TAXONOMY)
ABSENT = {"rationale": "", "quotes": [], "present": False, "severity": None, "subject": None, "timeframe": None}
PRESENT = {
    "rationale": "r",
    "quotes": ["q"],
    "present": True,
    "severity": "severe",
    "subject": "self",
    "timeframe": "current",
}


def reasoned(**changes):
    answer = {
        "reasoning": "r",
        "quotes": ["q"],
        "subject": "other",
        "timeframe": "recent",
        "crisis": False,
        "confidence": 0.2,
    }
    return ScriptedAnswer(answer={**answer, **changes})


async def screen(entry: ScriptedAnswer, rendered=REASONED, **options):
    return (await PromptedScreen(Scripted([entry]), rendered, **options).screen("text", 5.0)).result


async def categorise(entry: ScriptedAnswer):
    stage = PromptedCategorise(Scripted([entry]), CATEGORISE, CATEGORIES)
    return (await stage.categorise("text", 5.0)).result


async def test_a_complete_negative_is_a_verdict_that_may_clear():
    """The ordinary negative."""
    verdict = await screen(reasoned())
    assert verdict == ScreenVerdict(
        crisis=False,
        may_clear=True,
        score=0.2,
        score_source="stated",
        subject="other",
        timeframe="recent",
        quotes=("q",),
        rationale="r",
    )


async def test_a_terse_verdict_has_no_score_without_log_probabilities():
    """Undefined is not zero."""
    verdict = await screen(ScriptedAnswer(answer={"crisis": True}), TERSE)
    assert (verdict.crisis, verdict.score, verdict.score_source) == (True, None, None)


@pytest.mark.parametrize("rendered", [REASONED, TERSE])
async def test_log_probabilities_go_before_stated_confidence_and_can_only_raise(rendered):
    """P(true) at the threshold turns a printed false into a crisis; a low one never turns a printed true into a negative."""
    answer = reasoned().answer if rendered is REASONED else {"crisis": False}
    raised = await screen(ScriptedAnswer(answer=answer, score=0.5), rendered)
    assert (raised.crisis, raised.score, raised.score_source) == (True, 0.5, "logprobs")
    kept = await screen(ScriptedAnswer(answer={**answer, "crisis": True}, score=0.01), rendered)
    assert kept.crisis
    below = await screen(ScriptedAnswer(answer=answer, score=0.4), rendered, threshold=0.45)
    assert not below.crisis


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        (ScriptedAnswer(finish="refused", fault=Fault.REFUSAL_FIELD), Fault.REFUSAL_FIELD),
        (ScriptedAnswer(finish="filtered", fault=Fault.FILTER_FINISH), Fault.FILTER_FINISH),
        (ScriptedAnswer(finish="truncated", fault=Fault.TRUNCATED), Fault.TRUNCATED),
        (ScriptedAnswer(error=Fault.TIMEOUT), Fault.TIMEOUT),
        (ScriptedAnswer(error=Fault.MISCONFIGURED), Fault.MISCONFIGURED),
        (ScriptedAnswer(text="I'm sorry, I can't help with that."), Fault.REFUSAL_PROSE),
        (ScriptedAnswer(text="Not safe"), Fault.REFUSAL_PROSE),
        (ScriptedAnswer(text=""), Fault.EMPTY_REPLY),
        (ScriptedAnswer(text='{"nonce": "{{nonce}}", "crisis": false} wait'), Fault.BAD_JSON),
        (ScriptedAnswer(text='```json\n{"nonce": "{{nonce}}", "crisis": false}\n```'), Fault.BAD_JSON),
        (ScriptedAnswer(text='{"nonce": "{{nonce}}", "crisis": false}{"crisis": false}'), Fault.BAD_JSON),
        (ScriptedAnswer(text='{"nonce": "{{nonce}}", "crisis": false, "crisis": false}'), Fault.BAD_JSON),
        (ScriptedAnswer(text='{"nonce": "{{nonce}}", "crisis": "false"}'), Fault.SCHEMA),
        (ScriptedAnswer(text='{"nonce": "{{nonce}}", "crisis": 0}'), Fault.SCHEMA),
        (ScriptedAnswer(text='{"nonce": "{{nonce}}", "crisis": null}'), Fault.SCHEMA),
        (ScriptedAnswer(text='{"nonce": "{{nonce}}", "crisis": false, "note": 1}'), Fault.SCHEMA),
        (ScriptedAnswer(text='{"nonce": "another", "crisis": false}'), Fault.NONCE_MISMATCH),
        (ScriptedAnswer(text='{"crisis": false}'), Fault.NONCE_MISMATCH),
    ],
)
async def test_no_fault_reads_as_a_negative(entry, fault):
    """Every refusal, filter, cut, drift and mismatch without a positive is a failure with its fault."""
    result = await screen(entry, TERSE)
    assert isinstance(result, Failure)
    assert result.fault is fault


@pytest.mark.parametrize(
    "text",
    [
        '{"crisis": true}',
        '{"nonce": "another", "crisis": true}',
        '{"nonce": "{{nonce}}", "crisis": true, "note": 1}',
        '{"nonce": "{{nonce}}", "crisis": false, "crisis": true}',
        '{"nonce": "{{nonce}}", "crisis": false} {"nonce": "{{nonce}}", "crisis": true}',
        '<think>not a crisis</think>{"nonce": "{{nonce}}", "crisis": true}',
        '```json\n{"nonce": "{{nonce}}", "crisis": true}\n```',
        '{"nonce": "{{nonce}}", "crisis" : true, "confid',
        '{"answer": {"crisis": true}}',
    ],
)
async def test_a_positive_survives_schema_drift(text):
    """`true` in a faulty answer is a crisis, marked with the fault, and may not clear anything."""
    result = await screen(ScriptedAnswer(text=text), TERSE)
    assert isinstance(result, ScreenVerdict)
    assert result.crisis
    assert not result.may_clear
    assert result.fault is not None


async def test_stage_two_gives_every_category_marked_present():
    """Severity, subject, timeframe, quotes and rationale travel with each."""
    both = {
        **dict.fromkeys(CATEGORIES, ABSENT),
        "abuse": PRESENT,
        "suicide": {**PRESENT, "severity": None, "subject": None},
    }
    result = await categorise(ScriptedAnswer(answer=both))
    assert isinstance(result, Categories)
    assert [(n.category, n.severity, n.subject) for n in result.named] == [
        ("abuse", "severe", "self"),
        ("suicide", None, "unclear"),
    ]
    assert result.fault is None


async def test_stage_two_may_find_nothing():
    """An empty list is an answer; the pipeline makes of it a crisis of unspecified kind."""
    assert (await categorise(ScriptedAnswer(answer=dict.fromkeys(CATEGORIES, ABSENT)))) == Categories(named=())


@pytest.mark.parametrize(
    ("text", "named", "fault"),
    [
        (
            json.dumps({**dict.fromkeys(CATEGORIES, ABSENT), "suicidality": PRESENT}),
            ["unspecified"],
            Fault.UNKNOWN_CATEGORY,
        ),
        (json.dumps({"nonce": "x", "suicide": PRESENT}), ["suicide", "unspecified"], Fault.SCHEMA),
        (
            json.dumps({"nonce": "x", "SUICIDE ": PRESENT, "abuse": PRESENT}),
            ["abuse", "unspecified"],
            Fault.UNKNOWN_CATEGORY,
        ),
        (
            '{"abuse": {"present": true}} and {"neglect": {"present": true}}',
            ["abuse", "neglect", "unspecified"],
            Fault.BAD_JSON,
        ),
        ('{"abuse": {"present": true}, "abuse": {"present": false}}', ["abuse", "unspecified"], Fault.BAD_JSON),
    ],
)
async def test_categories_survive_schema_drift(text, named, fault):
    """What is marked present is kept; an invented category becomes `unspecified` and says so, and so does what went unsaid."""
    result = await categorise(ScriptedAnswer(text=text))
    assert isinstance(result, Categories)
    assert [n.category for n in result.named] == named
    assert result.fault is fault


@pytest.mark.parametrize(
    "entry",
    [ScriptedAnswer(error=Fault.SERVER_ERROR), ScriptedAnswer(text="no idea"), ScriptedAnswer(text='{"abuse": ')],
)
async def test_stage_two_trouble_is_a_failure(entry):
    """Nothing is invented."""
    assert isinstance(await categorise(entry), Failure)


@given(
    st.text(max_size=300)
    | st.recursive(
        st.booleans() | st.text(max_size=5), lambda x: st.dictionaries(st.text(max_size=5), x, max_size=3)
    ).map(json.dumps)
)
def test_reading_drifted_answers_never_fails(text):
    """Any text at all gives known ids, or `unspecified`."""
    assert {n.category for n in drifted_categories(text, CATEGORIES)} <= {*CATEGORIES, "unspecified"}


def test_hostile_nesting_is_bounded():
    """A hundred thousand opening braces cost no more than the bound."""
    assert drifted_categories("{" * 100_000, CATEGORIES) == ()
    assert drifted_categories('{"a":' * 100_000, CATEGORIES) == ()


@pytest.mark.parametrize(
    "text",
    [
        '{"nonce": "x", "suicide": {"present": true, "severity": "severe"}, "neg',
        '{"nonce": "x", "suicide": {"rationale": "r", "present": true, "sev',
        '{"suicide": {"present": "true"}}',
        json.dumps(json.dumps({"suicide": PRESENT})),
        '{"answer": {"suicide": {"present": true}}}',
    ],
)
def test_a_category_is_seen_in_a_cut_or_wrapped_answer(text):
    """What marks it as present is found wherever it stands."""
    assert "suicide" in {n.category for n in drifted_categories(text, CATEGORIES)}


async def test_severity_survives_schema_drift():
    """An imminent suicide with one key too many is still imminent; a worthless severity is left out."""
    text = json.dumps(
        {
            "nonce": "x",
            "note": 1,
            "suicide": {**PRESENT, "severity": "imminent"},
            "abuse": {"present": True, "severity": 9},
        }
    )
    result = await categorise(ScriptedAnswer(text=text))
    assert [(n.category, n.severity, n.quotes) for n in result.named] == [
        ("abuse", None, ()),
        ("suicide", "imminent", ("q",)),
        ("unspecified", None, ()),
    ]


async def test_an_answer_that_contradicts_itself_is_no_verdict():
    """`false` with a stated probability of 0.97 clears nobody; a `true` with a low one stands."""
    result = await screen(reasoned(confidence=0.97))
    assert isinstance(result, Failure)
    assert result.fault is Fault.SCHEMA
    assert (await screen(reasoned(crisis=True, confidence=0.02))).crisis
