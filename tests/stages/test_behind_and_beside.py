"""What stands behind and beside a language model: the engine's time, text and costs, and votes near the threshold."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from crisis_filter.prompting.prompt import load_prompt
from crisis_filter.prompting.render import render
from crisis_filter.schema import Failure, Fault, ScreenVerdict
from crisis_filter.stages.base import Categories, Cost, Named, Screened, Sorted
from crisis_filter.stages.fallback import FallbackCategorise, FallbackScreen
from crisis_filter.stages.votes import VotedScreen
from crisis_filter.taxonomy.load import load_taxonomy

REASONED = render(load_prompt("screen/reasoned-v1"), load_taxonomy("clinical-v1"))


class Said:
    """A stage with a prompt, which keeps what it was asked."""

    def __init__(self, *results: Any, prompt: Any = None, **cost: Any) -> None:
        self.prompt = prompt
        self.asked: list[tuple[str, float]] = []
        self._results = results
        self._cost = Cost(attempts=1, **cost)

    async def screen(self, text: str, deadline_s: float) -> Any:

        self.asked.append((text, deadline_s))
        given = self._results[min(len(self.asked), len(self._results)) - 1]
        return replace(given, cost=self._cost) if isinstance(given, Screened) else Screened(given, self._cost)

    async def categorise(self, text: str, deadline_s: float) -> Any:

        self.asked.append((text, deadline_s))
        return Sorted(self._results[0], self._cost)


LOST = Failure(fault=Fault.TIMEOUT, detail="late")


async def test_the_engine_behind_stage_two_gets_the_text_and_the_time_that_was_kept_for_it():
    """Seven eighths of eight seconds for the model, one for the engine; what both used is on the record."""

    first, engine = (
        Said(LOST, model="m", prompt=REASONED.prompt.ref),
        Said(Categories(named=(Named(category="abuse"),))),
    )
    both = FallbackCategorise(first, engine, "local:e")
    sorted_ = await both.categorise("the words", 8.0)
    assert first.asked == [("the words", pytest.approx(7.0, abs=0.01))]
    assert engine.asked == [("the words", pytest.approx(1.0, abs=0.01))]
    assert sorted_.cost == Cost(attempts=1, model="m", degraded=True, links=("local:e",))
    assert both.prompt == REASONED.prompt.ref


async def test_the_engine_behind_stage_one_gets_the_text_and_the_time_that_was_kept_for_it():
    """Its name is among the links only where its verdict counts."""
    for verdict, links in ((True, ("local:e",)), (False, ())):
        weak = ScreenVerdict(crisis=verdict, may_clear=True, score=0.6, score_source="engine")
        first, engine = Said(LOST, model="m", prompt=REASONED.prompt.ref), Said(weak)
        both = FallbackScreen(first, engine, "local:e")
        screened = await both.screen("the words", 2.0)
        assert first.asked == [("the words", pytest.approx(1.5, abs=0.01))]
        assert engine.asked == [("the words", pytest.approx(0.5, abs=0.01))]
        assert screened.cost == Cost(attempts=1, model="m", degraded=True, links=links)
        assert both.prompt == REASONED.prompt.ref
    failed = await FallbackScreen(Said(LOST), Said(LOST), "local:e").screen("t", 2.0)
    assert (failed.cost, failed.second) == (Cost(attempts=1, degraded=True), None)


@pytest.mark.parametrize(
    ("length", "deadline_s", "engine_s"),
    [
        (0, 60.0, 1.0),
        (8_000, 60.0, 4.2),
        (16_000, 60.0, 7.4),
        (0, 2.0, 0.5),
        (4_000, 2.0, 0.75),
        (8_000, 2.0, 1.0),
        (16_000, 2.0, 1.0),
    ],
)
async def test_the_engine_has_more_time_for_a_longer_text(length, deadline_s, engine_s):
    """A second and 0.4 ms a character; of a short deadline a quarter, for a whole piece half."""
    text = "a" * length
    weak = ScreenVerdict(crisis=False, may_clear=False)
    for both, first, engine in (
        (FallbackScreen, Said(LOST), Said(weak)),
        (FallbackCategorise, Said(LOST), Said(Categories(named=()))),
    ):
        stage = both(first, engine, "local:e")
        await (stage.screen if isinstance(stage, FallbackScreen) else stage.categorise)(text, deadline_s)
        assert first.asked == [(text, pytest.approx(deadline_s - engine_s))]
        assert engine.asked == [(text, pytest.approx(engine_s))]


@pytest.mark.parametrize("trouble", ["raises", "hangs"])
async def test_an_engine_in_trouble_leaves_the_models_failure(trouble):
    """It neither hides what the model's was nor holds anybody up."""

    class Troubled(Said):
        async def screen(self, text: str, deadline_s: float) -> Any:
            if trouble == "raises":
                raise RuntimeError("MARKER")
            await asyncio.sleep(2)

        categorise = screen

    screened = await FallbackScreen(Said(LOST), Troubled(), "local:e").screen("t", 0.1)
    assert (screened.result, screened.second, screened.cost) == (LOST, None, Cost(attempts=1, degraded=True))
    sorted_ = await FallbackCategorise(Said(LOST), Troubled(), "local:e").categorise("t", 0.1)
    assert (sorted_.result, sorted_.cost) == (LOST, Cost(attempts=1))


@pytest.mark.parametrize(
    ("trouble", "fault", "detail"),
    [
        ("raises", Fault.INTERNAL, "LookupError"),
        ("hangs", Fault.TIMEOUT, "the deadline passed"),
    ],
)
async def test_a_vote_in_trouble_takes_no_other_along(trouble, fault, detail):
    """It is a failure among the votes: no negative, and a positive still wins."""

    class Troubled(Said):
        async def screen(self, text: str, deadline_s: float) -> Any:
            if len(self.asked) == 1:
                self.asked.append((text, deadline_s))
                if trouble == "raises":
                    raise LookupError("MARKER")
                await asyncio.sleep(2)
            return await super().screen(text, deadline_s)

    for last, kept in ((near(0.2), Failure(fault=fault, detail=detail)), (near(0.9, crisis=True), None)):
        voted = VotedScreen(Troubled(near(0.4), near(0.4), last), count=3, threshold=0.5, margin=0.2)
        result = (await voted.screen("t", 0.2)).result
        assert result == kept or (kept is None and isinstance(result, ScreenVerdict) and result.crisis)


def near(score: float | None, *, crisis: bool = False, may_clear: bool = True, **fields: Any) -> ScreenVerdict:
    source = None if score is None else "stated"
    return ScreenVerdict(crisis=crisis, may_clear=may_clear, score=score, score_source=source, **fields)


async def test_every_vote_is_on_the_same_text_with_the_time_that_is_left():
    """On a clock of the test's own: three of eight seconds went by."""
    now = iter([10.0, 13.0])
    stage = Said(near(0.4), prompt=REASONED.prompt.ref)
    voted = VotedScreen(stage, count=3, threshold=0.5, margin=0.2, clock=lambda: next(now))
    screened = await voted.screen("the words", 8.0)
    assert stage.asked == [("the words", 8.0), ("the words", 5.0), ("the words", 5.0)]
    assert (screened.cost.attempts, screened.cost.votes, screened.cost.flips) == (3, 3, 0)
    assert voted.prompt == REASONED.prompt.ref


@pytest.mark.parametrize(
    ("count", "score", "threshold", "margin", "asked"),
    [
        (3, 0.25, 0.5, 0.25, 3),
        (3, 0.249, 0.5, 0.25, 1),
        (2, 0.25, 0.5, 0.25, 2),
        (3, 0.0, 0.25, 0.25, 3),
        (3, 0.0, 0.5, 0.25, 1),
        (3, None, 0.25, 0.25, 1),
        (1, 0.25, 0.5, 0.25, 1),
    ],
)
async def test_near_is_as_far_below_the_threshold_as_the_margin(count, score, threshold, margin, asked):
    """The margin itself included; a probability of zero is one, and none is not."""
    stage = Said(near(score))
    await VotedScreen(stage, count=count, threshold=threshold, margin=margin).screen("t", 8.0)
    assert len(stage.asked) == asked


async def test_the_first_positive_vote_gives_its_words():
    """Quotes and reasons of the one that saw it."""
    stage = Said(near(0.4), near(0.8, crisis=True, rationale="first"), near(0.9, crisis=True, rationale="second"))
    result = (await VotedScreen(stage, count=3, threshold=0.5, margin=0.2).screen("t", 8.0)).result
    assert isinstance(result, ScreenVerdict)
    assert (result.rationale, result.score) == ("first", pytest.approx(2 / 3))


async def test_what_the_engine_said_beside_a_vote_that_failed_is_kept():
    """Its score is what people go by."""

    beside = near(0.3, may_clear=False)
    stage = Said(near(0.4), Screened(LOST, second=beside), Failure(fault=Fault.SCHEMA))
    screened = await VotedScreen(stage, count=3, threshold=0.5, margin=0.2).screen("t", 8.0)
    assert (screened.result, screened.second) == (LOST, beside)
    assert (screened.cost.attempts, screened.cost.votes, screened.cost.flips) == (3, 3, 0)


async def test_of_the_negatives_the_least_sure_stands():
    """The highest probability of a crisis; one that may not clear before all; one without a probability last."""
    for votes, kept in (
        ([near(0.35), near(0.45), near(0.4)], 1),
        ([near(0.35), near(None), near(0.3)], 0),
        ([near(0.45), near(0.1, may_clear=False), near(0.2, may_clear=False)], 2),
    ):
        result = (await VotedScreen(Said(*votes), count=3, threshold=0.5, margin=0.2).screen("t", 8.0)).result
        assert result is votes[kept]
