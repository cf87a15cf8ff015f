"""The words that moved a score: found where they stand, in a bounded number of runs, and only where they raised it."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crisis_filter.local.engine import LocalEngine
from crisis_filter.local.evidence import PASSAGE_WORDS, moving_words
from crisis_filter.stages.engine import EngineStages
from crisis_filter.text import QuoteFinder

MESSAGE = "the bus was late again and honestly i want to end my life tonight, anyway what time is the pharmacy open"


class Weighing:
    """An engine whose logit is the sum of what its words weigh; the second label weighs other words."""

    def __init__(self, first: dict[str, float], second: dict[str, float] | None = None) -> None:
        self._weights = (first, second or {})
        self.runs = 0

    def score(self, text: str) -> np.ndarray:
        self.runs += 1
        logits = [sum(w.get(word, 0.0) for word in text.split()) - 1.0 for w in self._weights]
        return (1 / (1 + np.exp(-np.array(logits)))).astype(np.float32)


@pytest.mark.parametrize(
    ("text", "weights", "phrases"),
    [
        ("a b bad c", {"bad": 2.0}, ("bad",)),
        ("a very bad thing c", {"very": 1.0, "bad": 2.0}, ("very bad",)),
        ("bad x worse y", {"bad": 1.0, "worse": 2.0}, ("bad x worse",)),
        ("bad x x worse y", {"bad": 1.0, "worse": 2.0}, ("bad", "worse")),
        ("good bad", {"good": -2.0, "bad": 2.0}, ("bad",)),
        ("a b c", {"b": -1.0}, ()),
        ("bad slight", {"bad": 2.0, "slight": 0.4}, ("bad",)),
        ("w1 x x w2 x x w3 x x w4", {"w1": 1.0, "w2": 1.5, "w3": 1.6, "w4": 1.2}, ("w2", "w3", "w4")),
        ("bad", {"bad": 3.0}, ("bad",)),
        # A score that one word more or less does not move, because it can go no higher.
        ("so bad bad bad bad bad x", {"bad": 9.0}, ("so bad bad bad bad bad x",)),
    ],
)
def test_phrases_are_the_words_whose_absence_lowers_the_score(text, weights, phrases):
    """Joined over a gap of one, weak ones left out, never a word that lowered it, the three strongest."""
    moved = moving_words(Weighing(weights), text)
    assert moved is not None
    assert moved.phrases(0) == phrases


def test_each_label_has_words_of_its_own():
    """What moved one category says nothing of another."""
    moved = moving_words(Weighing({"bad": 2.0, "drink": 1.0}, {"drink": 2.0}), "bad thing and then a drink")
    assert moved is not None
    assert (moved.phrases(0), moved.phrases(1)) == (("bad", "drink"), ("drink",))


def test_a_phrase_that_came_before_grows_until_it_is_the_first():
    """A look-up finds the place that was meant."""
    engine = Weighing({"x" * 3: 0.0, "die": 2.0})
    text = " ".join(["dies", "no", *["w"] * PASSAGE_WORDS, "i", "die", "now"])
    moved = moving_words(engine, text)
    assert moved is not None
    (quote,) = moved.phrases(0)
    (found,), dropped = QuoteFinder(text).find([quote])
    assert not dropped
    assert found.start <= text.index(" die ") + 1 < found.end


@given(st.lists(st.sampled_from(["a", "bad", "b", "\n", "ẞ", "🙏"]), max_size=120), st.integers(1, 4))
def test_words_stand_where_they_are_said_to_and_the_runs_are_bounded(words, weight):
    """Spans are words of the text; a long text costs a reading in pieces and one passage."""
    text, engine = " ".join(words), Weighing({"bad": float(weight)})
    moved = moving_words(engine, text)
    n = len(text.split())
    assert engine.runs <= 1 + min(n, PASSAGE_WORDS) + (2 * n / PASSAGE_WORDS + 1 if n > PASSAGE_WORDS else 0)
    if moved is None:
        assert not n
        return
    assert all(text[a:b].split() == [text[a:b]] for a, b in moved.spans)
    assert len(moved.spans) == min(n, PASSAGE_WORDS)
    assert all(phrase in text for phrase in moved.phrases(0))
    assert bool(moved.phrases(0)) == ("bad" in text.split())


def test_a_search_that_is_told_to_stop_finds_nothing():
    """It is asked before every run."""
    engine, answers = Weighing({"bad": 1.0}), iter([True, True, False])
    assert moving_words(engine, "a bad day", go_on=lambda: next(answers)) is None
    assert engine.runs == 2


def test_the_bundled_engine_points_at_the_sentence_that_tells():
    """Not at the bus nor at the pharmacy."""
    moved = moving_words(LocalEngine.load(), MESSAGE)
    assert moved is not None
    place = MESSAGE.index("end my life"), MESSAGE.index("end my life") + len("end my life")
    (first, *_), _ = QuoteFinder(MESSAGE).find(moved.phrases(0))
    assert first.start < place[1]
    assert first.end > place[0]


async def test_every_category_comes_with_its_quotes():
    """Where they are wanted; Stage 1 waits for none."""
    stages = EngineStages(LocalEngine.load(), may_clear=True, evidence=True)
    named = (await stages.categorise(MESSAGE, 30.0)).result.named
    assert all(quote in MESSAGE for item in named for quote in item.quotes)
    assert any(item.quotes for item in named)
    assert (await stages.screen(MESSAGE, 30.0)).result.quotes == ()
    await stages.aclose()
    plain = EngineStages(LocalEngine.load(), may_clear=True)
    assert all(item.quotes == () for item in (await plain.categorise(MESSAGE, 30.0)).result.named)
    await plain.aclose()


async def test_without_time_there_is_no_evidence_and_the_categories_stand():
    """Nothing is late because of quotes: they may take a quarter of what is left."""
    stages = EngineStages(LocalEngine.load(), may_clear=True, evidence=True)
    start = asyncio.get_running_loop().time()
    long = " ".join([MESSAGE] * 60)
    none = (await stages.categorise(long, 0.0)).result.named
    row = asyncio.get_running_loop().time() - start
    hurried = (await stages.categorise(long, row + 0.2)).result.named
    assert [item.category for item in none] == [item.category for item in hurried]
    assert all(item.quotes == () for item in (*none, *hurried))
    assert asyncio.get_running_loop().time() - start < 3 * row + 1.0
    await stages.aclose()


async def test_an_engine_that_fails_in_the_search_changes_no_verdict():
    """Only the scoring itself may make a failure."""
    engine = LocalEngine.load()
    stages = EngineStages(engine, may_clear=True, evidence=True)
    score, calls = engine.score, iter(range(100))

    def once(text):
        if next(calls):
            raise RuntimeError("MARKER")
        return score(text)

    engine.score = once
    named = (await stages.categorise(MESSAGE, 30.0)).result.named
    assert named
    assert all(item.quotes == () for item in named)
    await stages.aclose()
