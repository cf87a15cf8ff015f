"""The engine behind a language model, and several votes near the threshold: both may only raise."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crisis_filter.schema import UNSPECIFIED, Failure, Fault, ScreenVerdict, conclude
from crisis_filter.stages.base import Categories, Cost, Named, Screened, Sorted
from crisis_filter.stages.fallback import FallbackCategorise, FallbackScreen
from crisis_filter.stages.votes import VotedScreen
from tests.strategies import failures, verdicts


def verdict(crisis: bool, score: float | None = None, **fields) -> ScreenVerdict:
    source = "stated" if score is not None else None
    return ScreenVerdict(crisis=crisis, **{"may_clear": True, "score": score, "score_source": source, **fields})


FAR, NEAR, YES = verdict(False, 0.1), verdict(False, 0.35), verdict(True, 0.7)
LOST = Failure(fault=Fault.TIMEOUT, detail="late")
NAMED = Categories(named=(Named(category="neglect"),))


class Stage:
    prompt = None

    def __init__(self, *results, wrap=Screened, pause_s: float = 0.0):
        self.results = list(results)
        self.asked: list[float] = []
        self._wrap = wrap
        self._pause_s = pause_s

    async def screen(self, text: str, deadline_s: float):
        self.asked.append(deadline_s)
        result = self.results[min(len(self.asked), len(self.results)) - 1]
        await asyncio.sleep(self._pause_s)
        return self._wrap(result, Cost(attempts=1))

    categorise = screen


def guarded(first, engine) -> tuple[FallbackScreen, Stage]:
    stage = Stage(engine)
    return FallbackScreen(Stage(first), stage, "local:e"), stage


async def test_a_verdict_leaves_the_engine_unasked():
    """Neither a negative nor a positive of the language model needs it."""
    for given_verdict in (FAR, YES):
        one, engine = guarded(given_verdict, YES)
        assert (await one.screen("t", 8.0)).result is given_verdict
        assert engine.asked == []


async def test_the_engine_raises_with_the_fault_beside_it():
    """The crisis stands, and that the model failed is not forgotten."""
    one, _ = guarded(LOST, verdict(True, 0.9))
    screened = await one.screen("t", 8.0)
    assert isinstance(screened.result, ScreenVerdict)
    assert (screened.result.crisis, screened.result.may_clear, screened.result.fault) == (True, False, Fault.TIMEOUT)
    assert (screened.cost.degraded, screened.cost.links, screened.cost.attempts) == (True, ("local:e",), 1)


async def test_the_engine_never_clears():
    """Its negative leaves the failure, with its score for the order in which people look."""
    one, _ = guarded(LOST, verdict(False, 0.3))
    screened = await one.screen("t", 8.0)
    assert screened.result is LOST
    assert screened.second is not None
    assert (screened.second.score, screened.second.may_clear) == (0.3, False)
    conclusion = conclude([screened.result, screened.second])
    assert (conclusion.outcome, conclusion.fault, conclusion.score) == ("undetermined", Fault.TIMEOUT, 0.3)


async def test_an_engine_that_fails_too_changes_nothing():
    """The language model's fault is the one that is told."""
    one, _ = guarded(LOST, Failure(fault=Fault.LOCAL_MODEL))
    assert (await one.screen("t", 8.0)).result is LOST


async def test_the_engine_has_time_of_its_own():
    """About a second of a long deadline and a quarter of a short one; more for a long text, and half at most."""
    for text, deadline_s, model_s in (
        ("t", 8.0, 7.0),
        ("t", 1.0, 0.75),
        ("t" * 8000, 60.0, 55.8),
        ("t" * 8000, 6.0, 3.0),
    ):
        first, engine = Stage(LOST), Stage(FAR)
        await FallbackScreen(first, engine, "local:e").screen(text, deadline_s)
        assert first.asked == pytest.approx([model_s], abs=0.001)
        assert engine.asked == pytest.approx([deadline_s - model_s], abs=0.001)


class Broken:
    """Raises, at once or after a long time, whatever is asked."""

    prompt = None

    def __init__(self, pause_s: float) -> None:
        self._pause_s = pause_s

    async def screen(self, text, deadline_s):
        await asyncio.sleep(self._pause_s)
        raise RuntimeError

    categorise = screen


@pytest.mark.parametrize("engine", [Broken(0.0), Broken(30.0)], ids=["raises", "hangs"])
async def test_trouble_with_the_engine_hides_nothing_that_the_model_met(engine):
    """Its failure, with what a filter said, stands as if nobody had been behind it."""
    met = Cost(attempts=1, danger=True, troubles=(("a", Fault.FILTER_PROMPT),))
    first = Stage(LOST, wrap=lambda result, _: Screened(result, met))
    screened = await FallbackScreen(first, engine, "local:e").screen("t", 0.4)
    assert screened.result == LOST
    assert (screened.cost.danger, screened.cost.troubles) == (True, (("a", Fault.FILTER_PROMPT),))
    given = await FallbackCategorise(Stage(LOST, wrap=Sorted), engine, "local:e").categorise("t", 0.4)
    assert given.result == LOST


@given(verdicts() | failures, verdicts() | failures)
def test_with_an_engine_behind_it_nothing_is_lower_and_nothing_cleared(first, engine):
    """Law 2 over all that both can say."""
    one, _ = guarded(first, engine)
    screened = asyncio.run(one.screen("t", 8.0))
    results = [screened.result, *([screened.second] if screened.second else [])]
    alone, together = conclude([first]).outcome, conclude(results).outcome
    assert together == alone or (alone, together) == ("undetermined", "crisis")


async def test_the_engine_names_what_stage_two_could_not():
    """With `unspecified` beside it, so that routing looks no less urgent."""
    one = FallbackCategorise(Stage(LOST, wrap=Sorted), Stage(NAMED, wrap=Sorted), "local:e")
    result = (await one.categorise("t", 8.0)).result
    assert isinstance(result, Categories)
    assert [n.category for n in result.named] == ["neglect", UNSPECIFIED]
    assert result.fault is Fault.TIMEOUT
    both = FallbackCategorise(Stage(LOST, wrap=Sorted), Stage(LOST, wrap=Sorted), "local:e")
    assert (await both.categorise("t", 8.0)).result is LOST
    fine = FallbackCategorise(Stage(NAMED, wrap=Sorted), Stage(LOST, wrap=Sorted), "local:e")
    assert (await fine.categorise("t", 8.0)).result is NAMED


def voting(*results, count: int = 3) -> tuple[VotedScreen, Stage]:
    stage = Stage(*results)
    return VotedScreen(stage, count=count, threshold=0.5, margin=0.2), stage


@pytest.mark.parametrize("first", [FAR, YES, LOST, verdict(False), verdict(True, 0.4)])
async def test_what_is_not_near_is_asked_once(first):
    """Far below, positive, failed, or without a score."""
    one, stage = voting(first, YES)
    screened = await one.screen("t", 8.0)
    assert screened.result is first
    assert (len(stage.asked), screened.cost.votes) == (1, 0)


@pytest.mark.parametrize(
    ("votes", "crisis", "score", "flips"),
    [
        ([NEAR, NEAR, NEAR], False, 0.35, 0),
        ([NEAR, FAR, FAR], False, 0.35, 0),
        ([NEAR, FAR, YES], True, pytest.approx(1 / 3), 1),
        ([NEAR, YES, YES], True, pytest.approx(2 / 3), 2),
        ([NEAR, LOST, YES], True, 0.5, 1),
    ],
)
async def test_any_positive_vote_wins(votes, crisis, score, flips):
    """The share of positive votes is the score, and disagreement is named."""
    one, stage = voting(*votes)
    screened = await one.screen("t", 8.0)
    result = screened.result
    assert isinstance(result, ScreenVerdict)
    assert (result.crisis, result.score) == (crisis, score)
    assert (result.score_source, result.fault) == (("votes", Fault.NONDETERMINISM) if crisis else ("stated", None))
    assert (len(stage.asked), screened.cost.votes, screened.cost.flips, screened.cost.attempts) == (3, 3, flips, 3)


async def test_a_vote_that_fails_leaves_it_undetermined():
    """Undetermined goes before not crisis, among votes too."""
    one, _ = voting(NEAR, LOST, FAR)
    assert (await one.screen("t", 8.0)).result is LOST


async def test_a_vote_that_may_not_clear_clears_nothing():
    """The weakest of the negatives is the one that counts."""
    weak = verdict(False, 0.31, may_clear=False)
    one, _ = voting(NEAR, weak, NEAR)
    assert (await one.screen("t", 8.0)).result is weak


async def test_one_vote_is_no_vote():
    """A count of one asks once, however near."""
    one, stage = voting(NEAR, YES, count=1)
    assert (await one.screen("t", 8.0)).result is NEAR
    assert len(stage.asked) == 1


async def test_votes_share_what_is_left_of_the_deadline():
    """They are asked at once, with the time the first left them."""
    stage = Stage(NEAR, pause_s=0.1)
    await VotedScreen(stage, count=3, threshold=0.5, margin=0.2).screen("t", 1.0)
    assert stage.asked[0] == 1.0
    assert all(0.8 < left <= 0.9 for left in stage.asked[1:])


@given(st.lists(verdicts() | failures, min_size=3, max_size=3))
def test_votes_never_lower(votes):
    """The outcome is never below what the first said, and a clearing needs every vote."""
    one, stage = voting(*votes)
    result = asyncio.run(one.screen("t", 8.0)).result
    alone = conclude([votes[0]]).outcome
    outcome = conclude([result]).outcome
    if alone == "crisis":
        assert outcome == "crisis"
    if outcome == "no_crisis":
        assert all(conclude([vote]).outcome == "no_crisis" for vote in votes[: len(stage.asked)])
