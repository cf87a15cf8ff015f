"""Turns at something scarce: of all who wait, the one with the highest score goes next, until somebody has waited too long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import count
from typing import TypeVar

from crisis_filter.schema import Failure, Fault, PromptRef
from crisis_filter.stages.base import Categoriser, Screened, Screener, Sorted

_GivenT = TypeVar("_GivenT", Screened, Sorted)

_score: ContextVar[float] = ContextVar("score", default=1.0)
# Who has waited this share of the deadline goes before any score: a low one is no reason never to be asked about.
_PATIENCE = 1 / 3
_LATE = Failure(fault=Fault.TIMEOUT, detail="no place at the language model in time")


@contextmanager
def scored(score: float) -> Generator[None]:
    """Whatever is asked for in this block, in tasks begun in it too, waits with this score, 0 to 1; outside of one it waits as a certain crisis."""
    token = _score.set(score)
    try:
        yield
    finally:
        _score.reset(token)


@dataclass(eq=False, slots=True)
class _Waiting:
    score: float
    number: int
    overdue: float
    place: asyncio.Future[None] = field(repr=False)


class Turns:
    """So many places; who finds none waits.

    Args:
        places: at least 1.

    Raises:
        ValueError: fewer than one place.
    """

    def __init__(self, places: int) -> None:
        if places < 1:
            raise ValueError("places must be at least 1")
        self._free = places
        self._waiting: list[_Waiting] = []
        self._numbers = count()

    @asynccontextmanager
    async def turn(self, score: float, patience_s: float) -> AsyncGenerator[None]:
        """Wait for a place and keep it for the block. Who is cancelled while waiting takes none along.

        Args:
            score: the highest goes first, of equals the earliest.
            patience_s: seconds after which who has waited longest goes first of all.
        """
        if self._free:
            self._free -= 1
        else:
            await self._wait(score, patience_s)
        try:
            yield
        finally:
            self._let_in()

    async def _wait(self, score: float, patience_s: float) -> None:
        loop = asyncio.get_running_loop()
        one = _Waiting(score, next(self._numbers), loop.time() + patience_s, loop.create_future())
        self._waiting.append(one)
        try:
            await one.place
        except asyncio.CancelledError:
            if one in self._waiting:
                self._waiting.remove(one)
            elif one.place.done() and not one.place.cancelled():
                self._let_in()
            raise

    def _let_in(self) -> None:
        """Hand a place that has become free to the next who still waits: one whose wait was cancelled just now may be here yet."""
        self._waiting = [one for one in self._waiting if not one.place.done()]
        if not self._waiting:
            self._free += 1
            return
        now = asyncio.get_running_loop().time()
        overdue = [one for one in self._waiting if one.overdue <= now]
        chosen = (
            min(overdue, key=lambda one: one.overdue)
            if overdue
            else max(self._waiting, key=lambda one: (one.score, -one.number))
        )
        self._waiting.remove(chosen)
        chosen.place.set_result(None)


class ScreenInTurn:
    """Stage 1 of a language model, a place for each text; without one in time it fails, so that what stands behind can step in.

    Args:
        first: the stage.
        turns: shared with the other stage.
    """

    def __init__(self, first: Screener, turns: Turns) -> None:
        self._first = first
        self._turns = turns

    @property
    def prompt(self) -> PromptRef | None:
        """Identity of the language model's prompt."""
        return self._first.prompt

    async def screen(self, text: str, deadline_s: float) -> Screened:
        """Judge one text; the deadline holds the wait as well."""
        return await _in_turn(self._turns, deadline_s, lambda left: self._first.screen(text, left)) or Screened(_LATE)


class CategoriseInTurn:
    """Stage 2 of a language model; see `ScreenInTurn`.

    Args:
        first: the stage.
        turns: shared with the other stage.
    """

    def __init__(self, first: Categoriser, turns: Turns) -> None:
        self._first = first
        self._turns = turns

    @property
    def prompt(self) -> PromptRef | None:
        """Identity of the language model's prompt."""
        return self._first.prompt

    async def categorise(self, text: str, deadline_s: float) -> Sorted:
        """Name the categories of one text; the deadline holds the wait as well."""
        return await _in_turn(self._turns, deadline_s, lambda left: self._first.categorise(text, left)) or Sorted(_LATE)


async def _in_turn(turns: Turns, deadline_s: float, ask: Callable[[float], Awaitable[_GivenT]]) -> _GivenT | None:
    """What a stage gives in the time that the wait leaves; `None` when the wait took it all."""
    loop = asyncio.get_running_loop()
    end = loop.time() + deadline_s
    async with AsyncExitStack() as place:
        try:
            async with asyncio.timeout_at(end):
                await place.enter_async_context(turns.turn(_score.get(), _PATIENCE * deadline_s))
        except TimeoutError:
            return None
        return await ask(end - loop.time())
