"""The whole pipeline over scripted answers: joins, evidence, faults, limits, and that nothing clears by accident."""

from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crisis_filter.backends.scripted import Scripted, ScriptedAnswer
from crisis_filter.pipeline.detector import TwoStages
from crisis_filter.pipeline.filter import CrisisFilter
from crisis_filter.prompting.prompt import load_prompt
from crisis_filter.prompting.render import render
from crisis_filter.schema import Failure, Fault, Message, ScreenVerdict
from crisis_filter.stages.base import Categories, Named, Screened, Sorted
from crisis_filter.stages.categorise import PromptedCategorise
from crisis_filter.stages.screen import PromptedScreen
from crisis_filter.taxonomy.load import load_taxonomy
from crisis_filter.triage.policy import load_policy
from crisis_filter.triage.resources import load_resources
from tests.strategies import CATEGORIES, texts

TAXONOMY = load_taxonomy("clinical-v1")
POLICY = load_policy("default")
PACK = load_resources("resources-v1")
SCREEN = render(load_prompt("screen/reasoned-v1"), TAXONOMY)
CATEGORISE = render(load_prompt("categorise/reasoned-v1"), TAXONOMY)
ABSENT = {"rationale": "", "quotes": [], "present": False, "severity": None, "subject": None, "timeframe": None}


def said(crisis: bool, **changes) -> ScriptedAnswer:
    answer = {
        "reasoning": "r",
        "quotes": [],
        "subject": "self",
        "timeframe": "current",
        "crisis": crisis,
        "confidence": 0.9 if crisis else 0.1,
    }
    return ScriptedAnswer(purpose="screen", answer={**answer, **changes.pop("answer", {})}, **changes)


def named(**categories) -> ScriptedAnswer:
    present = {
        name: {
            "rationale": "why",
            "quotes": [],
            "present": True,
            "severity": "severe",
            "subject": "self",
            "timeframe": "current",
            **given,
        }
        for name, given in categories.items()
    }
    return ScriptedAnswer(purpose="categorise", answer={**dict.fromkeys(CATEGORIES, ABSENT), **present})


def scripted(*entries: ScriptedAnswer, policy=POLICY) -> CrisisFilter:
    backend = Scripted(entries)
    detector = TwoStages(
        "scripted",
        PromptedScreen(backend, SCREEN),
        PromptedCategorise(backend, CATEGORISE, CATEGORIES),
        aclose=backend.aclose,
    )
    return CrisisFilter(detector, TAXONOMY, policy, PACK)


class Stages:
    """Stages made of two functions, for what no script can say."""

    prompt = None

    def __init__(self, screen, categorise=None):
        self._screen = screen
        self._categorise = categorise

    async def screen(self, text: str, deadline_s: float) -> Screened:
        result = self._screen(text)
        return Screened(await result if asyncio.iscoroutine(result) else result)

    async def categorise(self, text: str, deadline_s: float) -> Sorted:
        return Sorted(self._categorise(text))


def staged(
    screen, categorise=lambda _: Categories(named=(Named(category="suicide"),)), policy=POLICY, **options
) -> CrisisFilter:
    stages = Stages(screen, categorise)
    return CrisisFilter(TwoStages("staged", stages, stages), TAXONOMY, policy, PACK, **options)


def message(text: str, **fields) -> Message:
    return Message(id="m", text=text, **fields)


CLEARS = ScreenVerdict(crisis=False, may_clear=True)
RAISES = ScreenVerdict(crisis=True, may_clear=True)


async def test_a_whole_crisis_has_everything():
    """Outcome, findings with checked evidence, disposition, provenance with hashes."""
    text = "I can’t go on. By friday it wont matter"
    a = await scripted(
        said(True, answer={"quotes": ["By friday it wont matter", "made up"]}),
        named(suicide={"quotes": ["can't go on", "invented"]}, abuse={"severity": "mild", "subject": "other"}),
    ).assess(message(text))
    assert (a.outcome, a.score, a.score_source, a.fault) == ("crisis", 0.9, "stated", None)
    assert [(f.category, f.severity, f.subject) for f in a.findings] == [
        ("abuse", "mild", "other"),
        ("suicide", "severe", "self"),
    ]
    (evidence,) = a.findings[1].evidence
    assert text[evidence.start : evidence.end] == evidence.quote == "can’t go on"
    assert [e.quote for e in a.screen.evidence] == ["By friday it wont matter"]
    assert a.provenance.quotes_dropped == 2
    assert [p.id for p in a.provenance.prompts] == ["screen/reasoned-v1", "categorise/reasoned-v1"]
    assert a.provenance.prompts[0].sha256 == SCREEN.prompt.sha256
    assert a.provenance.taxonomy == TAXONOMY.ref
    assert a.provenance.attempts == 2
    assert a.disposition.rule == "severe-danger-to-life"


async def test_a_negative_ends_after_stage_one():
    """Stage 2 is not asked, and nothing is found."""
    a = await scripted(said(False)).assess(message("can I move my appointment"))
    assert (a.outcome, a.findings, a.fault, a.provenance.attempts) == ("no_crisis", (), None, 1)
    assert a.disposition.queue == "none"


async def test_losing_every_quote_does_not_lower_the_outcome():
    """Law 5: invented evidence is dropped and counted, the crisis stands."""
    a = await scripted(said(True, answer={"quotes": ["no"]}), named(suicide={"quotes": ["such words"]})).assess(
        message("hm")
    )
    assert a.outcome == "crisis"
    assert a.findings[0].evidence == ()
    assert a.provenance.quotes_dropped == 2


@pytest.mark.parametrize(
    ("second", "fault", "flag"),
    [
        (ScriptedAnswer(purpose="categorise", error=Fault.TIMEOUT), Fault.TIMEOUT, False),
        (ScriptedAnswer(purpose="categorise", finish="refused", fault=Fault.REFUSAL_FIELD), Fault.REFUSAL_FIELD, False),
        (ScriptedAnswer(purpose="categorise", text="none of them"), Fault.REFUSAL_PROSE, False),
        (named(), Fault.STAGE_CONFLICT, True),
    ],
)
async def test_stage_two_trouble_leaves_a_crisis_of_unspecified_kind(second, fault, flag):
    """Stage 2 never lowers Stage 1."""
    a = await scripted(said(True, answer={"quotes": ["help"]}), second).assess(message("help"))
    assert (a.outcome, [f.category for f in a.findings], a.fault) == ("crisis", ["unspecified"], fault)
    assert [e.quote for e in a.findings[0].evidence] == ["help"]
    assert ("stage_conflict" in a.flags) is flag
    assert a.disposition.queue == "clinical"


async def test_an_invented_category_is_kept_as_unspecified():
    """A hallucinated label beside a real one loses nothing."""
    text = '{"suicide": {"present": true}, "doom": {"present": true}}'
    a = await scripted(said(True), ScriptedAnswer(purpose="categorise", text=text)).assess(message("x"))
    assert [f.category for f in a.findings] == ["suicide", "unspecified"]
    assert a.fault is Fault.UNKNOWN_CATEGORY


@pytest.mark.parametrize("fault", list(Fault))
async def test_every_fault_of_stage_one_reaches_a_person(fault):
    """Undetermined, with the fault in its own column, in a queue somebody reads."""
    a = await staged(lambda _: Failure(fault=fault, detail="d")).assess(message("x"))
    assert (a.outcome, a.fault, a.fault_detail, a.findings) == ("undetermined", fault, "d", ())
    assert next(q for q in POLICY.queues if q.id == a.disposition.queue).staffed_by


@pytest.mark.parametrize(
    ("given_message", "fault"),
    [
        (message(""), Fault.EMPTY_CONTENT),
        (message(" \n\t\u200b"), Fault.EMPTY_CONTENT),
        (message("", unreadable=True), Fault.INPUT_UNREADABLE),
        (message("é" * 500_001), Fault.INPUT_TOO_LONG),
    ],
)
async def test_what_cannot_be_judged_is_undetermined_and_never_sent(given_message, fault):
    """No stage is asked."""

    def never(_):
        raise AssertionError("a stage was asked")

    a = await staged(never).assess(given_message)
    assert (a.outcome, a.fault) == ("undetermined", fault)


@pytest.mark.parametrize("text", ["\x00", "a\x00b", "x\ud83dy", "\udfff"])
async def test_odd_code_points_are_judged_or_named(text):
    """NUL and unpaired surrogates neither crash nor clear by themselves."""
    a = await scripted(said(False)).assess(message(text))
    assert a.outcome in ("no_crisis", "undetermined")
    a.model_dump_json()


async def test_a_repaired_text_is_never_cleared_but_can_raise():
    """What could not be decoded may have been the crisis."""
    flags = frozenset({"encoding_repaired"})
    cleared = await scripted(said(False)).assess(message("caf\ufffd", flags=flags))
    assert (cleared.outcome, cleared.fault) == ("undetermined", Fault.INPUT_UNREADABLE)
    raised = await scripted(said(True), named(abuse={})).assess(message("caf\ufffd", flags=flags))
    assert raised.outcome == "crisis"


@pytest.mark.parametrize("place", [0, 30_000, 59_900])
async def test_a_sentence_anywhere_in_a_long_text_is_found(place):
    """Sixty thousand characters are judged in overlapping chunks, never cut; evidence has offsets into the whole."""
    needle = "tonight i end it"
    filler = "the bus was late and the queue was long. " * 1500
    text = (filler[:place] + needle + filler[place:])[:60_000]

    def screen(piece):
        return RAISES if needle in piece else CLEARS

    def categorise(_):
        return Categories(named=(Named(category="suicide", quotes=(needle,)),))

    a = await staged(screen, categorise).assess(message(text))
    assert a.outcome == "crisis"
    assert "chunked" in a.flags
    assert a.provenance.views > 5
    (evidence,) = a.findings[0].evidence
    assert text[evidence.start : evidence.end] == needle


async def test_one_failed_chunk_keeps_a_long_text_from_being_cleared():
    """Law 1 over chunks: crisis, then undetermined, then no_crisis."""
    text = "ordinary words " * 2000
    seen = []

    def screen(piece):
        seen.append(piece)
        return Failure(fault=Fault.TIMEOUT) if len(seen) == 2 else CLEARS

    a = await staged(screen).assess(message(text))
    assert (a.outcome, a.fault) == ("undetermined", Fault.TIMEOUT)
    assert len(seen) > 2


async def test_the_higher_risk_of_two_views_wins():
    """A word hidden by soft hyphens is seen in the normalised view."""
    a = await staged(lambda piece: RAISES if "want to die" in piece else CLEARS).assess(message("i want to d\u00adie"))
    assert a.outcome == "crisis"
    assert "obfuscated" in a.flags


async def test_findings_of_several_views_join_upwards():
    """Severity, probability and subject take the graver reading."""
    answers = iter(
        [
            Categories(named=(Named(category="abuse", severity="mild", probability=0.4, subject="self"),)),
            Categories(
                named=(
                    Named(category="abuse", severity="severe", probability=0.3, subject="other", timeframe="recent"),
                )
            ),
        ]
    )
    a = await staged(lambda _: RAISES, lambda _: next(answers)).assess(message("he d\u00adid it"))
    (finding,) = a.findings
    assert (finding.severity, finding.probability, finding.subject, finding.timeframe) == (
        "severe",
        0.4,
        "both",
        "recent",
    )


@pytest.mark.parametrize("where", ["screen", "categorise"])
async def test_a_bug_anywhere_ends_at_a_person(where):
    """An exception is `internal`; in Stage 2 it leaves the crisis standing; its words appear nowhere."""

    def bug(_):
        raise RuntimeError("MARKER")

    broken = staged(bug) if where == "screen" else staged(lambda _: RAISES, bug)
    a = await broken.assess(message("x"))
    assert a.outcome == ("undetermined" if where == "screen" else "crisis")
    assert a.fault is Fault.INTERNAL
    assert "MARKER" not in a.model_dump_json()


async def test_a_bug_outside_the_stages_ends_at_a_person(monkeypatch, caplog):
    """Even the views failing gives an undetermined assessment, and the log names only the kind of error."""

    def broken(_):
        raise RuntimeError("MARKER")

    monkeypatch.setattr("crisis_filter.pipeline.judge.views", broken)
    a = await scripted(said(False)).assess(message("x"))
    assert (a.outcome, a.fault, a.fault_detail) == ("undetermined", Fault.INTERNAL, "RuntimeError")
    assert "MARKER" not in caplog.text


async def test_a_bug_in_the_evidence_check_does_not_lower_a_crisis(monkeypatch):
    """Stage 1 has spoken; what comes after cannot take it back."""

    def broken(*_):
        raise RuntimeError("MARKER")

    monkeypatch.setattr("crisis_filter.text.QuoteFinder.find", broken)
    a = await scripted(said(True), named(abuse={})).assess(message("x"))
    assert (a.outcome, [f.category for f in a.findings], a.fault) == ("crisis", ["unspecified"], Fault.INTERNAL)


async def test_the_deadline_holds_for_a_stage_that_hangs():
    """A hung stage ends as a timeout within a tenth of a second of the deadline."""

    async def hang(_):
        await asyncio.sleep(30)

    limits = POLICY.limits.model_copy(update={"deadline_s": 0.2})
    slow = staged(hang, policy=POLICY.model_copy(update={"limits": limits}))
    started = time.monotonic()
    a = await slow.assess(message("x"))
    assert (a.outcome, a.fault) == ("undetermined", Fault.TIMEOUT)
    assert time.monotonic() - started < 0.3


async def test_a_deadline_that_passes_between_the_stages_keeps_the_crisis():
    """Stage 2 gets what is left; with nothing left it is not asked."""
    now = 0.0

    def raises(_):
        nonlocal now
        now = 1000.0
        return RAISES

    a = await staged(raises, clock=lambda: now).assess(message("x"))
    assert (a.outcome, [f.category for f in a.findings], a.fault) == ("crisis", ["unspecified"], Fault.TIMEOUT)


@settings(max_examples=60, deadline=None)
@given(texts, st.sampled_from(["{}", '{"nonce": "{{nonce}}"}', "null", "[]", "\x00", "{" * 50]))
def test_no_text_and_no_garbage_answer_clears_anybody(text, answer):
    """Whatever is sent and whatever comes back short of a verdict, the outcome is undetermined."""
    with scripted(ScriptedAnswer(text=answer)) as crisis_filter:
        a = crisis_filter.classify(text)
    assert a.outcome == "undetermined"
    assert a.fault is not None


async def test_an_unpaired_surrogate_is_mended_and_keeps_a_text_from_being_cleared():
    """From the library too, damage is named; offsets stay as they were."""
    cleared = await scripted(said(False)).assess(message("fine \ud83d"))
    assert (cleared.outcome, cleared.fault) == ("undetermined", Fault.INPUT_UNREADABLE)
    raised = await scripted(said(True, answer={"quotes": ["die"]}), named(suicide={"quotes": ["want to"]})).assess(
        message("\ud83d want to die")
    )
    assert raised.findings[0].evidence[0].start == 2
    raised.model_dump_json()


async def test_a_fault_keeps_its_own_detail():
    """The fault of Stage 1 is not explained by the words of Stage 2's."""
    drifted = ScriptedAnswer(purpose="screen", text='{"nonce": "{{nonce}}", "crisis": true}')
    a = await scripted(drifted).assess(message("x"))  # the script has nothing for Stage 2
    assert (a.outcome, a.fault, a.fault_detail) == ("crisis", Fault.SCHEMA, "")


async def test_a_bug_in_routing_takes_no_crisis_back(monkeypatch):
    """The crisis stands with the bug beside it, and goes where every crisis goes; a negative becomes undetermined."""

    def broken(*_):
        raise KeyError("MARKER")

    monkeypatch.setattr("crisis_filter.triage.route._order", broken)
    a = await staged(lambda _: RAISES).assess(message("x"))
    assert (a.outcome, a.fault, a.fault_detail) == ("crisis", Fault.INTERNAL, "KeyError")
    assert a.disposition is not None
    assert (a.disposition.queue, a.disposition.urgency) == ("clinical", "soon")
    b = await staged(lambda _: CLEARS).assess(message("x"))
    assert (b.outcome, b.fault) == ("undetermined", Fault.INTERNAL)
    assert b.disposition is not None
    assert b.disposition.queue == "review"
