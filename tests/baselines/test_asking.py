"""Asking a guard model through any backend: faults, flags, scores, and several questions about one text."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from crisis_filter.backends.base import AnswerT, Backend, Reply, Request
from crisis_filter.backends.scripted import Scripted, ScriptedAnswer
from crisis_filter.baselines import granite_guardian
from crisis_filter.baselines.base import Said
from crisis_filter.baselines.registry import KNOWN, BaselineSpec, open_baseline
from crisis_filter.errors import BackendError
from crisis_filter.schema import Assessment, Failure, Fault, Message

MESSAGE = Message(id="m", text="the bus was late")
CATEGORIES = (
    "abuse",
    "neglect",
    "eating_disorder",
    "psychosis",
    "self_harm",
    "suicide",
    "substance_misuse",
    "violence",
)


class Listening:
    """Gives what a script says, and keeps what it was asked."""

    def __init__(self, *answers: ScriptedAnswer) -> None:
        self.inner = Scripted(answers)
        self.requests: list[Request[Any]] = []
        self.closed = 0

    @property
    def name(self) -> str:
        return "listening"

    async def complete(self, request: Request[AnswerT]) -> Reply[AnswerT]:
        self.requests.append(request)
        return await self.inner.complete(request)

    async def aclose(self) -> None:
        self.closed += 1


async def asked(name: str, backend: Backend, options: dict[str, str] | None = None) -> Assessment:
    spec = BaselineSpec(name=name, base_url="http://127.0.0.1:9/v1", options=options or {})
    detector = open_baseline(spec, np.random.default_rng(0), through=lambda _: backend)
    return await detector.assess(MESSAGE)


NEGATIVES = {
    "nemoguard-8b": '{"User Safety": "safe"}',
    "llama-guard-3-8b": "safe",
    "llama-guard-3-1b": "safe",
    "llama-guard-3-custom": "safe",
    "gpt-oss-safeguard-20b": '{"violation": 0, "policy_category": []}',
    "gpt-oss-safeguard-120b": '{"violation": 0, "policy_category": []}',
    "qwen3guard-gen": "Safety: Safe\nCategories: None",
    "mindguard-4b": "Safety: Safe\nCategories: None",
    "mindguard-8b": "Safety: Safe\nCategories: None",
    "granite-guardian-4.1": "<score>no</score>",
    "granite-guardian-3.3": "<score>no</score>",
}
POSITIVES = {
    "nemoguard-8b": '{"User Safety": "unsafe", "Safety Categories": "Suicide and Self Harm"}',
    "llama-guard-3-8b": "unsafe\nS11",
    "llama-guard-3-custom": "unsafe\nS6",
    "gpt-oss-safeguard-20b": '{"violation": 1, "policy_category": ["suicide"]}',
    "qwen3guard-gen": "Safety: Unsafe\nCategories: Suicide & Self-Harm",
    "mindguard-4b": "Safety: Unsafe\nCategories: S1",
    "granite-guardian-4.1": "<score>yes</score>",
}


def test_every_guard_model_is_here() -> None:
    """A new one must be added to these tables."""
    assert set(NEGATIVES) == {name for name, known in KNOWN.items() if known.make is not None}


@pytest.mark.parametrize("name", NEGATIVES)
async def test_a_documented_negative_clears(name: str) -> None:
    """As a whole: prompt, request, reply, verdict."""
    found = await asked(name, Listening(ScriptedAnswer(text=NEGATIVES[name])))
    assert (found.outcome, found.fault, found.provenance.native_labels) == ("no_crisis", None, ())


@pytest.mark.parametrize("name", POSITIVES)
async def test_a_documented_positive_is_a_crisis_of_its_kind(name: str) -> None:
    """Suicide is among the mapped categories of each."""
    found = await asked(name, Listening(ScriptedAnswer(text=POSITIVES[name])))
    assert (found.outcome, found.fault) == ("crisis", None)
    assert "suicide" in {finding.category for finding in found.findings}


TROUBLES = [
    (ScriptedAnswer(finish="truncated", fault=Fault.TRUNCATED), Fault.TRUNCATED),
    (ScriptedAnswer(finish="refused", fault=Fault.REFUSAL_FIELD), Fault.REFUSAL_FIELD),
    (ScriptedAnswer(finish="filtered", fault=Fault.FILTER_PROMPT), Fault.FILTER_PROMPT),
    (ScriptedAnswer(text=" \n"), Fault.EMPTY_REPLY),
    (ScriptedAnswer(error=Fault.TIMEOUT), Fault.TIMEOUT),
    (ScriptedAnswer(error=Fault.MISCONFIGURED), Fault.MISCONFIGURED),
]


@pytest.mark.parametrize("name", NEGATIVES)
@pytest.mark.parametrize(("trouble", "fault"), TROUBLES)
async def test_trouble_is_never_a_negative(name: str, trouble: ScriptedAnswer, fault: Fault) -> None:
    """Of whichever kind it is."""
    found = await asked(name, Listening(trouble))
    assert (found.outcome, found.fault) == ("undetermined", fault)
    assert ("refused_or_filtered" in found.flags) == (trouble.finish in ("refused", "filtered"))


@pytest.mark.parametrize("name", NEGATIVES)
async def test_a_negative_that_was_cut_off_is_none(name: str) -> None:
    """The reply may have gone on with anything."""
    found = await asked(
        name, Listening(ScriptedAnswer(text=NEGATIVES[name], finish="truncated", fault=Fault.TRUNCATED))
    )
    assert (found.outcome, found.fault) == ("undetermined", Fault.TRUNCATED)


@pytest.mark.parametrize("name", POSITIVES)
@pytest.mark.parametrize("lost", [0, 2])
async def test_a_positive_that_was_cut_off_survives_with_its_fault(name: str, lost: int) -> None:
    """What the model had said by then was clear."""
    text = POSITIVES[name][: len(POSITIVES[name]) - lost]
    found = await asked(name, Listening(ScriptedAnswer(text=text, finish="truncated", fault=Fault.TRUNCATED)))
    assert (found.outcome, found.fault) == ("crisis", Fault.TRUNCATED)


@pytest.mark.parametrize(
    ("name", "outcome"), [("llama-guard-3-8b", "undetermined"), ("gpt-oss-safeguard-20b", "crisis")]
)
async def test_what_a_model_thinks_clears_nothing(name: str, outcome: str) -> None:
    """A positive in reasoning, before an answer that never came: a word within a line is no verdict, a whole one is a claim."""
    thought = f"Is it? Perhaps {POSITIVES[name]}. Let me see"
    found = await asked(name, Listening(ScriptedAnswer(text=thought, finish="truncated", fault=Fault.TRUNCATED)))
    assert (found.outcome, found.fault) == (outcome, Fault.TRUNCATED)


@pytest.mark.parametrize("name", POSITIVES)
async def test_the_score_is_that_of_the_tokens(name: str) -> None:
    """Of a positive as of a negative."""
    positive = await asked(name, Listening(ScriptedAnswer(text=POSITIVES[name], score=0.9)))
    negative = await asked(name, Listening(ScriptedAnswer(text=NEGATIVES[name], score=0.2)))
    assert (positive.score, positive.score_source) == (0.9, "logprobs")
    assert (negative.outcome, negative.score, negative.score_source) == ("no_crisis", 0.2, "logprobs")


YES, NO = ScriptedAnswer(text="<score>yes</score>"), ScriptedAnswer(text="<score>no</score>")


def _where(words: str, answer: ScriptedAnswer) -> ScriptedAnswer:
    return answer.model_copy(update={"when": words})


async def test_every_question_of_a_text_must_be_answered() -> None:
    """Eight criteria: one that fails forbids a negative, and takes no positive back."""
    broken = ScriptedAnswer(text="no idea")
    late = ScriptedAnswer(error=Fault.TIMEOUT)
    backend = Listening(NO)
    clear = await asked("granite-guardian-4.1", backend)
    assert (clear.outcome, clear.provenance.attempts, len(backend.requests)) == ("no_crisis", 8, 8)
    one = await asked("granite-guardian-4.1", Listening(_where("crisis: Suicide.", YES), NO))
    assert (one.outcome, one.fault, one.provenance.native_labels) == ("crisis", None, ("suicide",))
    for trouble, fault in ((broken, Fault.SCHEMA), (late, Fault.TIMEOUT)):
        lacking = await asked("granite-guardian-4.1", Listening(_where("crisis: Neglect.", trouble), NO))
        assert (lacking.outcome, lacking.fault) == ("undetermined", fault)
        both = await asked(
            "granite-guardian-4.1",
            Listening(_where("crisis: Neglect.", trouble), _where("crisis: Suicide.", YES), NO),
        )
        assert (both.outcome, both.fault, both.provenance.native_labels) == ("crisis", fault, ("suicide",))


async def test_of_several_scores_the_highest_of_the_verdict_counts() -> None:
    """Of the positives where there are any, else of all."""
    low, high = NO.model_copy(update={"score": 0.1}), NO.model_copy(update={"score": 0.4})
    yes = YES.model_copy(update={"score": 0.8})
    clear = await asked("granite-guardian-3.3", Listening(high.model_copy(update={"times": 1}), low))
    assert clear.score == 0.4
    found = await asked("granite-guardian-3.3", Listening(yes.model_copy(update={"times": 1}), low))
    assert (found.outcome, found.score) == ("crisis", 0.8)


async def test_one_question_with_the_models_own_criterion() -> None:
    """It names none of our categories."""
    backend = Listening(YES)
    found = await asked("granite-guardian-4.1", backend, {"criteria": "harm"})
    assert len(backend.requests) == 1
    assert [finding.category for finding in found.findings] == ["unspecified"]
    assert found.provenance.native_labels == ("harm",)


async def test_a_bug_in_a_backend_is_told_by_its_kind() -> None:
    """Among eight questions as with one."""

    class Broken(Listening):
        async def complete(self, request: Request[AnswerT]) -> Reply[AnswerT]:
            raise ValueError(request.user)

    for name in ("granite-guardian-4.1", "llama-guard-3-8b"):
        found = await asked(name, Broken())
        assert (found.outcome, found.fault) == ("undetermined", Fault.INTERNAL)
        assert "bus" not in found.model_dump_json()


@pytest.mark.parametrize("broken", ["backend", "reader"])
async def test_a_bug_about_one_question_takes_no_positive_back(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven of eight questions are answered, one with a positive, or with none; the eighth meets a bug."""

    class Broken(Listening):
        async def complete(self, request: Request[AnswerT]) -> Reply[AnswerT]:
            if broken == "backend" and "crisis: Neglect." in request.user:
                raise ValueError(request.user)
            return await super().complete(request)

    if broken == "reader":
        whole = granite_guardian.read

        def read(text: str) -> Said | Failure:
            if "think" in text:
                raise ValueError(text)
            return whole(text)

        monkeypatch.setattr(granite_guardian, "read", read)
    odd = _where("crisis: Neglect.", ScriptedAnswer(text="<think></think><score>no</score>"))
    found = await asked("granite-guardian-4.1", Broken(odd, _where("crisis: Suicide.", YES), NO))
    assert (found.outcome, found.fault, found.provenance.native_labels) == ("crisis", Fault.INTERNAL, ("suicide",))
    clear = await asked("granite-guardian-4.1", Broken(odd, NO))
    assert (clear.outcome, clear.fault, clear.fault_detail) == ("undetermined", Fault.INTERNAL, "ValueError")


async def test_what_a_backend_spent_is_kept_where_nothing_came_back() -> None:
    """Requests and troubles."""

    class Failing(Listening):
        async def complete(self, request: Request[AnswerT]) -> Reply[AnswerT]:
            error = BackendError(Fault.RATE_LIMITED, "HTTP 429", retryable=True)
            error.attempts, error.troubles = 3, (("x", Fault.RATE_LIMITED),)
            raise error

    found = await asked("llama-guard-3-8b", Failing())
    assert (found.fault, found.provenance.attempts, found.degraded) == (Fault.RATE_LIMITED, 3, True)
    assert found.provenance.link_faults[0].fault is Fault.RATE_LIMITED
