"""What the prompted stages ask, and what they report of a reply: costs, links, troubles, details."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from crisis_filter.backends.base import Reply, Request
from crisis_filter.backends.parse import parse_answer, unanswered
from crisis_filter.errors import BackendError
from crisis_filter.prompting.prompt import load_prompt
from crisis_filter.prompting.render import render
from crisis_filter.schema import Failure, Fault, ScreenVerdict
from crisis_filter.stages.base import Categories, Cost
from crisis_filter.stages.categorise import PromptedCategorise
from crisis_filter.stages.screen import PromptedScreen, build_request
from crisis_filter.taxonomy.load import load_taxonomy
from tests.strategies import CATEGORIES

TAXONOMY = load_taxonomy("clinical-v1")
REASONED = render(load_prompt("screen/reasoned-v1"), TAXONOMY)
TERSE = render(load_prompt("screen/terse-v1"), TAXONOMY)
CATEGORISE = render(load_prompt("categorise/reasoned-v1"), TAXONOMY)
ABSENT = {"rationale": "", "quotes": [], "present": False, "severity": None, "subject": None, "timeframe": None}
NEGATIVE = {
    "reasoning": "why",
    "quotes": ["q"],
    "subject": "other",
    "timeframe": "recent",
    "crisis": False,
    "confidence": 0.2,
}

MET: dict[str, Any] = {
    "attempts": 3,
    "prompt_tokens": 700,
    "completion_tokens": 40,
    "model": "m-1",
    "link": "b",
    "troubles": (("a", Fault.TIMEOUT),),
    "degraded": True,
    "danger": True,
    "attack": True,
}


class Asked:
    """A backend that replies as the test says and keeps what it was asked."""

    name = "asked"

    def __init__(self, *answers: dict[str, Any] | str | BackendError, **met: Any) -> None:
        self.requests: list[Request[Any]] = []
        self._answers = answers
        self._met = met

    async def complete(self, request: Request[Any]) -> Reply[Any]:
        self.requests.append(request)
        given = self._answers[min(len(self.requests), len(self._answers)) - 1]
        if isinstance(given, BackendError):
            raise given
        text = given if isinstance(given, str) else json.dumps({"nonce": request.nonce, **given})
        return replace(parse_answer(text, request), **self._met)

    async def aclose(self) -> None: ...


def lost() -> BackendError:
    error = BackendError(Fault.RATE_LIMITED, "asked to wait", retryable=True)
    error.attempts = 4
    error.troubles = (("a", Fault.TIMEOUT), ("b", Fault.RATE_LIMITED))
    return error


def screening(backend: Asked, rendered=REASONED, **options: Any) -> PromptedScreen:
    return PromptedScreen(backend, rendered, nonces=lambda bits: f"nonce-{bits}", **options)


def categorising(backend: Asked) -> PromptedCategorise:
    return PromptedCategorise(backend, CATEGORISE, CATEGORIES, nonces=lambda bits: f"nonce-{bits}")


async def test_stage_one_asks_with_all_that_its_prompt_says():
    """The stable part, the fenced text, the nonce of the prompt's length, the answer model, limits, deadline."""
    for rendered in (REASONED, TERSE):
        backend = Asked(NEGATIVE)
        stage = screening(backend, rendered)
        await stage.screen("the words", 4.5)
        (request,) = backend.requests
        nonce = f"nonce-{rendered.prompt.nonce_bits}"
        assert request == Request(
            system=rendered.system,
            user=rendered.user("the words", nonce),
            answer=rendered.answer,
            nonce=nonce,
            label_field=rendered.prompt.label_field,
            max_output_tokens=rendered.prompt.max_output_tokens,
            deadline_s=4.5,
            purpose="screen",
            claim="crisis",
        )
        assert stage.prompt == rendered.prompt.ref


async def test_stage_two_asks_with_all_that_its_prompt_says():
    """A `present` in a faulty answer counts as a claim."""
    backend = Asked(dict.fromkeys(CATEGORIES, ABSENT))
    stage = categorising(backend)
    await stage.categorise("the words", 4.5)
    (request,) = backend.requests
    assert (request.purpose, request.claim, request.deadline_s) == ("categorise", "present", 4.5)
    assert (request.answer, request.system) == (CATEGORISE.answer, CATEGORISE.system)
    assert request.user == CATEGORISE.user("the words", request.nonce)
    assert request.nonce == f"nonce-{CATEGORISE.prompt.nonce_bits}"
    assert stage.prompt == CATEGORISE.prompt.ref


FULL = Cost(
    attempts=3,
    prompt_tokens=700,
    completion_tokens=40,
    model="m-1",
    links=("b",),
    troubles=(("a", Fault.TIMEOUT),),
    degraded=True,
    danger=True,
    attack=True,
)


async def test_what_a_reply_used_and_met_is_reported():
    """By both stages; the endpoint is named where it answered, and not where it failed."""
    assert (await screening(Asked(NEGATIVE, **MET)).screen("t", 1.0)).cost == FULL
    assert (await categorising(Asked(dict.fromkeys(CATEGORIES, ABSENT), **MET)).categorise("t", 1.0)).cost == FULL
    unnamed = replace(FULL, links=())
    assert (await screening(Asked(NEGATIVE, **{**MET, "link": None})).screen("t", 1.0)).cost == unnamed
    assert (await screening(Asked("{", **MET)).screen("t", 1.0)).cost == unnamed
    assert (await categorising(Asked("{", **MET)).categorise("t", 1.0)).cost == unnamed


async def test_what_was_used_where_no_reply_came_is_reported():
    """Attempts and who failed with what; the fault with its words."""
    failure = Failure(fault=Fault.RATE_LIMITED, detail="asked to wait")
    used = Cost(attempts=4, troubles=(("a", Fault.TIMEOUT), ("b", Fault.RATE_LIMITED)))
    screened = await screening(Asked(lost())).screen("t", 1.0)
    assert (screened.result, screened.cost) == (failure, used)
    sorted_ = await categorising(Asked(lost())).categorise("t", 1.0)
    assert (sorted_.result, sorted_.cost) == (failure, used)


async def test_a_failure_has_the_words_of_the_reply():
    """What the strict reader said of it, in either stage."""
    said = "the answer is not one JSON object"
    assert (await screening(Asked("{")).screen("t", 1.0)).result == Failure(fault=Fault.BAD_JSON, detail=said)
    assert (await categorising(Asked("{")).categorise("t", 1.0)).result == Failure(fault=Fault.BAD_JSON, detail=said)


async def test_a_reply_without_any_text_is_a_failure_in_either_stage():
    """A refusal in a field of its own holds no words."""

    class Refusing(Asked):
        async def complete(self, request: Request[Any]) -> Reply[Any]:
            return unanswered("refused", Fault.REFUSAL_FIELD, "the model refused")

    refused = Failure(fault=Fault.REFUSAL_FIELD, detail="the model refused")
    assert (await screening(Refusing("")).screen("t", 1.0)).result == refused
    assert (await categorising(Refusing("")).categorise("t", 1.0)).result == refused


@pytest.mark.parametrize(
    ("confidence", "threshold", "fits"),
    [(0.5, 0.5, False), (0.49, 0.5, True), (0.3, 0.3, False), (0.29, 0.3, True), (0.6, 0.7, True)],
)
async def test_a_negative_whose_stated_probability_reaches_the_threshold_is_no_verdict(confidence, threshold, fits):
    """The threshold itself included, whichever it is."""
    backend = Asked({**NEGATIVE, "confidence": confidence})
    result = (await screening(backend, threshold=threshold).screen("t", 1.0)).result
    if fits:
        assert isinstance(result, ScreenVerdict)
        assert not result.crisis
    else:
        said = "the label and the stated probability contradict each other"
        assert result == Failure(fault=Fault.SCHEMA, detail=said)


async def test_the_threshold_is_a_half_unless_told():
    """For stated probabilities and for those of tokens."""
    assert isinstance((await screening(Asked({**NEGATIVE, "confidence": 0.5})).screen("t", 1.0)).result, Failure)
    assert isinstance((await screening(Asked({**NEGATIVE, "confidence": 0.49})).screen("t", 1.0)).result, ScreenVerdict)


async def test_a_probability_of_zero_from_the_tokens_is_one():
    """It goes before the stated one, and is not taken for nothing."""
    for answer, rendered in ((NEGATIVE, REASONED), ({"crisis": False}, TERSE)):
        result = (await screening(Asked(answer, score=0.0), rendered).screen("t", 1.0)).result
        assert isinstance(result, ScreenVerdict)
        assert (result.crisis, result.may_clear, result.score, result.score_source) == (False, True, 0.0, "logprobs")


async def test_a_positive_by_token_probability_keeps_what_was_said():
    """Subject, timeframe, quotes and reasons are those of the answer; what was stated does not contradict it."""
    result = (await screening(Asked({**NEGATIVE, "confidence": 0.9}, score=0.8)).screen("t", 1.0)).result
    assert result == ScreenVerdict(
        crisis=True,
        may_clear=True,
        score=0.8,
        score_source="logprobs",
        subject="other",
        timeframe="recent",
        quotes=("q",),
        rationale="why",
    )


async def test_stage_two_keeps_every_field_of_a_category():
    """And leaves out what was not given."""
    full = {
        "rationale": "r",
        "quotes": ["q"],
        "present": True,
        "severity": "mild",
        "subject": "both",
        "timeframe": "future",
    }
    bare = {**ABSENT, "present": True}
    result = (
        await categorising(Asked({**dict.fromkeys(CATEGORIES, ABSENT), "abuse": full, "neglect": bare})).categorise(
            "t", 1.0
        )
    ).result
    assert isinstance(result, Categories)
    kept, left_out = result.named
    assert (kept.category, kept.severity, kept.subject, kept.timeframe, kept.quotes, kept.rationale) == (
        "abuse",
        "mild",
        "both",
        "future",
        ("q",),
        "r",
    )
    assert (left_out.severity, left_out.subject, left_out.timeframe) == (None, "unclear", "unclear")
    assert (left_out.quotes, left_out.rationale) == ((), None)


async def test_beside_what_a_broken_answer_marked_stands_that_more_may_be_missing():
    """`unspecified`, whatever was marked; where that is an invented category the fault says so."""
    for text, named, fault in (
        ('{"suicide": {"present": true}}', ["suicide", "unspecified"], Fault.SCHEMA),
        (
            '{"suicide": {"present": true}, "abuse": {"present": true}, "ne',
            ["abuse", "suicide", "unspecified"],
            Fault.BAD_JSON,
        ),
        ('{"doom": {"present": true}}', ["unspecified"], Fault.UNKNOWN_CATEGORY),
        ('{"doom": {"present": true}, "abuse": {"present": true}}', ["abuse", "unspecified"], Fault.UNKNOWN_CATEGORY),
    ):
        result = (await categorising(Asked(text)).categorise("t", 1.0)).result
        assert isinstance(result, Categories)
        assert ([item.category for item in result.named], result.fault) == (named, fault)


@pytest.mark.parametrize("spread", [False, True])
async def test_a_request_whose_nonce_does_not_stand_in_one_piece_says_how_it_is_found_again(spread):
    """By the same words with a placeholder for the nonce."""

    class Fenced:
        prompt, system, answer = REASONED.prompt, REASONED.system, REASONED.answer

        def user(self, text: str, nonce: str) -> str:
            return f"{'^'.join(nonce) if spread else nonce} {text}"

    request = build_request(Fenced(), "the words", 1.0, lambda _: "abc")  # type: ignore[arg-type]
    assert request.user == ("a^b^c the words" if spread else "abc the words")
    replayed = None if request.replayed is None else request.replayed()
    assert replayed == ("^".join("{{nonce}}") + " the words" if spread else None)


def test_costs_add_up():
    """Numbers are summed, lists joined in order, signs kept; the later model's name, where there is one."""
    one = Cost(1, 2, 3, "first", ("a",), (("a", Fault.TIMEOUT),), degraded=True, votes=3, flips=1)
    other = Cost(10, 20, 30, "later", ("b",), (("b", Fault.SCHEMA),), danger=True, attack=True, votes=30, flips=10)
    assert one + other == Cost(
        11,
        22,
        33,
        "later",
        ("a", "b"),
        (("a", Fault.TIMEOUT), ("b", Fault.SCHEMA)),
        degraded=True,
        danger=True,
        attack=True,
        votes=33,
        flips=11,
    )
    assert (other + one).degraded
    assert (other + one).danger
    assert (other + one).attack
    assert one + Cost() == one
    assert Cost() + one == one
