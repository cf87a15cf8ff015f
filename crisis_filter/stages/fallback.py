"""The last link of a chain: the embedded engine, which may raise and may not clear (law 2)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from crisis_filter.schema import UNSPECIFIED, Failure, PromptRef, ScreenVerdict
from crisis_filter.stages.base import Categories, Categoriser, Cost, Named, Screened, Screener, Sorted

_GivenT = TypeVar("_GivenT", Screened, Sorted)

# The engine takes ten milliseconds for a short text and up to two seconds for a whole piece, and shares its threads with other
# messages. So a long text leaves it more of the time.
_RESERVE_S = 1.0
_RESERVE_A_CHARACTER_S = 4e-4
_LARGEST_SHARE = 0.25
_LARGEST_SHARE_OF_LONG = 0.5
_LONG = 8_000


def _first_share(deadline_s: float, text: str) -> float:
    """Seconds that the language model may take."""
    length = min(1.0, len(text) / _LONG)
    share = _LARGEST_SHARE + (_LARGEST_SHARE_OF_LONG - _LARGEST_SHARE) * length
    return deadline_s - min(_RESERVE_S + _RESERVE_A_CHARACTER_S * len(text), share * deadline_s)


async def _in_turn(
    first: Callable[[str, float], Awaitable[_GivenT]],
    engine: Callable[[str, float], Awaitable[_GivenT]],
    text: str,
    deadline_s: float,
) -> tuple[_GivenT, _GivenT | None]:
    """What the language model says, and where that is a failure what the engine says, if it answers in time."""
    end = asyncio.get_running_loop().time() + deadline_s
    asked_s = _first_share(deadline_s, text)
    given = await first(text, asked_s)
    if not isinstance(given.result, Failure):
        return given, None
    try:
        async with asyncio.timeout_at(end):
            second = await engine(text, deadline_s - asked_s)
    except Exception:  # noqa: BLE001  # TimeoutError among them; its own trouble must not hide what the model's was
        return given, None
    return given, second


class FallbackScreen:
    """Stage 1 by a language model, and by the engine where that brought no verdict.

    What the engine finds to be a crisis is one, with the model's fault beside it. What it does not stays a failure; its score is
    kept, so that people can look at the likeliest first.

    Args:
        first: the language model's stage.
        engine: the engine's.
        name: the engine's name among the links of the chain.
    """

    def __init__(self, first: Screener, engine: Screener, name: str) -> None:
        self._first = first
        self._engine = engine
        self._name = name

    @property
    def prompt(self) -> PromptRef | None:
        """Identity of the language model's prompt."""
        return self._first.prompt

    async def screen(self, text: str, deadline_s: float) -> Screened:
        """Judge one text; the engine's time is kept free of the language model's."""
        screened, second = await _in_turn(self._first.screen, self._engine.screen, text, deadline_s)
        failure = screened.result
        if isinstance(failure, ScreenVerdict):
            return screened
        cost = screened.cost + Cost(degraded=True)
        if second is None or isinstance(second.result, Failure):
            return Screened(failure, cost)
        weak = second.result.model_copy(update={"may_clear": False})
        if not weak.crisis:
            return Screened(failure, cost, second=weak)
        raised = weak.model_copy(update={"fault": failure.fault})
        return Screened(raised, cost + Cost(links=(self._name,)))


class FallbackCategorise:
    """Stage 2 by a language model, and by the engine where that named nothing.

    `unspecified` stands beside what the engine names, so that routing never looks less urgent than without it.

    Args:
        first: the language model's stage.
        engine: the engine's.
        name: the engine's name among the links of the chain.
    """

    def __init__(self, first: Categoriser, engine: Categoriser, name: str) -> None:
        self._first = first
        self._engine = engine
        self._name = name

    @property
    def prompt(self) -> PromptRef | None:
        """Identity of the language model's prompt."""
        return self._first.prompt

    async def categorise(self, text: str, deadline_s: float) -> Sorted:
        """Name the categories of one text."""
        given, second = await _in_turn(self._first.categorise, self._engine.categorise, text, deadline_s)
        if isinstance(given.result, Categories) or second is None or isinstance(second.result, Failure):
            return given
        named = (*second.result.named, Named(category=UNSPECIFIED))
        cost = given.cost + Cost(degraded=True, links=(self._name,))
        return Sorted(Categories(named=named, fault=given.result.fault), cost)
