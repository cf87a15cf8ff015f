"""The embedded engine as both stages, at the edges: thresholds, what it cannot read, threads, closing."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from crisis_filter.errors import EngineError
from crisis_filter.schema import Failure, Fault, ScreenVerdict
from crisis_filter.stages.engine import EngineStages


class Fixed:
    """An engine that says what the test says."""

    labels = ("crisis", "abuse", "neglect")
    thresholds = (0.5, 0.4, 0.3)
    sha256 = "f00d"

    def __init__(self, *row: float, unknown: float = 0.0, takes_s: float = 0.0) -> None:
        self.row = row
        self.texts: list[str] = []
        self.threads: set[str] = set()
        self.most = 0
        self._running = 0
        self._unknown = unknown
        self._takes_s = takes_s

    def score(self, text: str) -> tuple[float, ...]:
        self.texts.append(text)
        self.threads.add(threading.current_thread().name)
        self._running += 1
        self.most = max(self.most, self._running)
        time.sleep(self._takes_s)
        self._running -= 1
        return self.row

    def unknown(self, text: str) -> float:
        assert text in self.texts
        return self._unknown


async def screened(text: str, engine: Fixed, **options: float) -> ScreenVerdict | Failure:
    return (await EngineStages(engine, may_clear=True, **options).screen(text, 1.0)).result


@pytest.mark.parametrize(
    ("probability", "options", "crisis"),
    [
        (0.5, {}, True),
        (0.499, {}, False),
        (0.45, {}, False),
        (0.2, {"threshold": 0.2}, True),
        (0.199, {"threshold": 0.2}, False),
        (0.0, {"threshold": 0.0}, True),
        (0.0, {}, False),
        (1.0, {}, True),
    ],
)
async def test_a_probability_at_the_threshold_is_a_crisis(probability, options, crisis):
    """The engine's own threshold for a crisis, or the one given, zero included."""
    verdict = await screened("hello", Fixed(probability, 0.1, 0.1), **options)
    assert isinstance(verdict, ScreenVerdict)
    assert (verdict.crisis, verdict.score) == (crisis, probability)


@pytest.mark.parametrize(
    ("text", "unknown", "read"),
    [
        ("hello", 0.3, True),
        ("hello", 0.31, False),
        ("hello я", 0.0, True),
        ("hello яя", 0.0, True),
        ("hello яяя", 0.0, False),
        ("wewillmeetagain" * 4, 0.0, False),
    ],
)
async def test_a_negative_on_what_it_cannot_read_is_a_failure(text, unknown, read):
    """Up to two letters of another script and three unknown tokens of ten; a positive stands whatever it read."""
    result = await screened(text, Fixed(0.1, 0.1, 0.1, unknown=unknown))
    if read:
        assert isinstance(result, ScreenVerdict)
        assert not result.crisis
    else:
        assert result == Failure(
            fault=Fault.UNVALIDATED_LANGUAGE, detail="the embedded engine cannot read all of this text"
        )
    for probability in (0.5, 0.9):
        positive = await screened(text, Fixed(probability, 0.1, 0.1, unknown=unknown))
        assert isinstance(positive, ScreenVerdict)
        assert positive.crisis


@pytest.mark.parametrize(
    ("row", "named"),
    [
        ((0.9, 0.4, 0.3), [("abuse", 0.4), ("neglect", 0.3)]),
        ((0.9, 0.39, 0.3), [("neglect", 0.3)]),
        ((0.9, 0.39, 0.29), [("abuse", 0.39)]),
        ((0.9, 0.0, 0.29), [("neglect", 0.29)]),
    ],
)
async def test_categories_at_their_own_thresholds_or_the_likeliest(row, named):
    """Each with its probability."""
    result = (await EngineStages(Fixed(*row), may_clear=True).categorise("hello", 1.0)).result
    assert [(item.category, item.probability) for item in result.named] == named


@pytest.mark.parametrize("row", [(-0.1, 0.1, 0.1), (0.1, 0.1, 1.1), (0.1, 0.1), (0.1,) * 4, (float("nan"), 0.1, 0.1)])
async def test_a_row_that_is_no_row_of_probabilities_is_a_failure(row):
    """Below zero, above one, a column too few or too many, no number."""
    lost = Failure(fault=Fault.LOCAL_MODEL, detail="the embedded engine gave no finite answer")
    stages = EngineStages(Fixed(*row), may_clear=True)
    assert (await stages.screen("hello", 1.0)).result == lost
    assert (await stages.categorise("hello", 1.0)).result == lost


async def test_an_engine_that_fails_is_told_in_fixed_words():
    """Not in those of its runtime."""

    class Failing(Fixed):
        def score(self, text: str) -> tuple[float, ...]:
            raise EngineError("MARKER")

    lost = Failure(fault=Fault.LOCAL_MODEL, detail="the embedded engine gave no finite answer")
    stages = EngineStages(Failing(), may_clear=True)
    assert (await stages.screen("hello", 1.0)).result == lost
    assert (await stages.categorise("hello", 1.0)).result == lost


@pytest.mark.parametrize(("options", "most"), [({}, 2), ({"workers": 1}, 1), ({"workers": 3}, 3)])
async def test_as_many_texts_are_scored_at_once_as_there_are_workers(options, most):
    """Two unless told, in threads that say whose they are."""
    engine = Fixed(0.1, 0.1, 0.1, takes_s=0.05)
    stages = EngineStages(engine, may_clear=True, **options)
    await asyncio.gather(*(stages.screen(str(number), 1.0) for number in range(6)))
    assert engine.most == most
    assert sorted(engine.texts) == [str(number) for number in range(6)]
    assert all(name.startswith("crisis-filter-engine") for name in engine.threads)


async def test_closing_waits_for_nobody():
    """A text that is being scored is finished by itself, one that waits gets a failure, and nothing new is taken."""
    gate = threading.Event()

    class Slow(Fixed):
        def score(self, text: str) -> tuple[float, ...]:
            gate.wait(2)
            return super().score(text)

    engine = Slow(0.1, 0.1, 0.1)
    stages = EngineStages(engine, may_clear=True, workers=1)
    first, second = (asyncio.create_task(stages.screen(text, 1.0)) for text in ("first", "second"))
    await asyncio.sleep(0.05)
    await stages.aclose()
    assert engine.texts == []
    gate.set()
    assert isinstance((await first).result, ScreenVerdict)
    assert (await second).result == Failure(fault=Fault.INTERNAL, detail="the filter was closed")
    assert engine.texts == ["first"]
    with pytest.raises(RuntimeError):
        await stages.screen("third", 1.0)
    await stages.aclose()


async def test_a_caller_that_is_cancelled_is_no_failure():
    """Whoever stops waiting for the engine sees that it was stopped."""
    stages = EngineStages(Fixed(0.1, 0.1, 0.1, takes_s=0.1), may_clear=True)
    task = asyncio.create_task(stages.screen("hello", 1.0))
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
