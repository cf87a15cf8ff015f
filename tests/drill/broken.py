"""Filters that are broken on purpose, each in one way; a drill must notice every one of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from crisis_filter.backends.expecting import Expecting
from crisis_filter.drill.messages import load_messages
from crisis_filter.pipeline import chain
from crisis_filter.pipeline.judge import Judge
from crisis_filter.schema import Assessment, Conclusion, Failure, Fault, Message, ScreenVerdict, conclude
from crisis_filter.stages.base import Screened
from crisis_filter.stages.fallback import FallbackScreen
from crisis_filter.stages.screen import PromptedScreen

JUDGE = "crisis_filter.pipeline.judge.conclude"
NEGATIVE = ScreenVerdict(crisis=False, may_clear=True, score=0.0, score_source="stated")


def engine_clears(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind the endpoints the embedded engine clears, although it may only raise."""
    stages = chain._engine_stages

    async def screen(self: FallbackScreen, text: str, deadline_s: float) -> Screened:
        first = await self._first.screen(text, deadline_s * 0.7)
        if isinstance(first.result, ScreenVerdict):
            return first
        return await self._engine.screen(text, deadline_s * 0.3)

    monkeypatch.setattr(chain, "_engine_stages", lambda e, s, p, *, may_clear: stages(e, s, p, may_clear=True))
    monkeypatch.setattr(FallbackScreen, "screen", screen)


def open_breaker_clears(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not asked because a breaker is open is taken for a negative."""
    screen = PromptedScreen.screen

    async def cleared(self: PromptedScreen, text: str, deadline_s: float) -> Screened:
        screened = await screen(self, text, deadline_s)
        skipped = isinstance(screened.result, Failure) and "circuit" in screened.result.detail
        return Screened(NEGATIVE) if skipped else screened

    monkeypatch.setattr(PromptedScreen, "screen", cleared)


def failed_piece_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A piece without a verdict is left out where another piece has one."""

    def lenient(results: list[Any], flags: frozenset[Any] = frozenset()) -> Conclusion:
        return conclude([r for r in results if isinstance(r, ScreenVerdict)] or results, flags)

    monkeypatch.setattr(JUDGE, lenient)


def other_models_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer from another model than the expected one counts."""

    async def complete(self: Expecting, request: Any) -> Any:
        return await self._backend.complete(request)

    monkeypatch.setattr(Expecting, "complete", complete)


def any_negative_vote_clears(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several votes a negative one decides."""

    def join(votes: list[Screened]) -> Screened:
        negative = (v for v in votes if isinstance(v.result, ScreenVerdict) and not v.result.crisis)
        return next(negative, votes[0])

    monkeypatch.setattr("crisis_filter.stages.votes._join", join)


def _assessing(monkeypatch: pytest.MonkeyPatch, change: Callable[[Message, Assessment], Assessment]) -> None:
    judge = Judge.judge

    async def changed(self: Judge, message: Message, journey: Any) -> Assessment:
        return change(message, await judge(self, message, journey))

    monkeypatch.setattr(Judge, "judge", changed)


def some_categories_cleared(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault is taken for a negative, of messages that are about neither suicide nor self-harm."""
    others = {c.text for c in load_messages().crises if not {"self_harm", "suicide"} & set(c.categories)}

    def cleared(message: Message, found: Assessment) -> Assessment:
        failed = found.fault is not None and message.text in others
        # Without validation, as a careless change would.
        return found.model_copy(update={"outcome": "no_crisis"}) if failed else found

    _assessing(monkeypatch, cleared)


def faults_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """A crisis under a fault looks as if nothing had been wrong, and anything undetermined as if it were a bug."""

    def hidden(_: Message, found: Assessment) -> Assessment:
        fault = None if found.outcome == "crisis" else Fault.INTERNAL
        return found if found.fault is None else found.model_copy(update={"fault": fault})

    _assessing(monkeypatch, hidden)


def late_under_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who meets a fault waits on after the deadline, and the time it says it took ends before."""
    judge = Judge.judge

    async def late(self: Judge, message: Message, journey: Any) -> Assessment:
        found = await judge(self, message, journey)
        if found.fault is not None:
            await asyncio.sleep(journey.deadline_s + 1.0)
        return found

    monkeypatch.setattr(Judge, "judge", late)
