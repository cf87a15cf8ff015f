"""What a search may still ask: the plan's budget, over judge and reflection model together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from crisis_filter.experiments.calls import Call, Calls
from crisis_filter.experiments.plan import Budget, Price

__all__ = ["REFLECTION", "HaltError", "Purse"]

REFLECTION = "reflection"
"""Variant of the calls to the reflection model in the account; every other one is a candidate's."""
Who = Literal["judge", "reflection"]


class HaltError(Exception):
    """The search cannot go on; says why."""

    def __init__(self, why: Literal["budget", "silence"]) -> None:
        super().__init__(why)
        self.why = why


@dataclass(slots=True)
class Purse:
    """Everything that was asked in a folder, those before a stop included, and whether more may be.

    The next question is taken to cost as much as the dearest so far of the same model.
    """

    budget: Budget
    prices: dict[Who, Price | None]
    calls: Calls
    money: float = 0.0
    requests: int = 0
    _seen: int = 0
    _cells: dict[tuple[str, str], tuple[float, int]] = field(default_factory=dict)
    _dearest: dict[Who, tuple[float, int]] = field(default_factory=dict)

    @property
    def bound(self) -> bool:
        """Whether there is a limit at all."""
        return self.budget.money is not None or self.budget.requests is not None

    def allows(self, who: Who, working: int) -> bool:
        """Whether one more question may be asked beside those that are in work."""
        self._settle()
        if not self.bound:
            return True
        expected = self._dearest.get(who)
        if expected is None:
            # Nothing is known of its price, so one goes ahead alone.
            if working:
                return False
            expected = (0.0, 1)
        money, requests = self.money + (working + 1) * expected[0], self.requests + (working + 1) * expected[1]
        if self.budget.money is not None and (self.money >= self.budget.money or money > self.budget.money):
            return False
        return self.budget.requests is None or requests <= self.budget.requests

    def _settle(self) -> None:
        for call in self.calls.records[self._seen :]:
            self._count(call)
        self._seen = len(self.calls.records)

    def _count(self, call: Call) -> None:
        if call.earlier:
            return
        who: Who = "reflection" if call.variant == REFLECTION else "judge"
        price, money, requests = self.prices[who], 0.0, 0
        if call.reply is not None:
            requests = call.reply.attempts
            money = price.of(call.reply.prompt_tokens, call.reply.completion_tokens) if price else 0.0
        elif call.none is not None:
            requests = call.none.attempts
        self.money, self.requests = self.money + money, self.requests + requests
        before = self._cells.get((call.variant, call.item), (0.0, 0))
        cell = self._cells[call.variant, call.item] = (before[0] + money, before[1] + requests)
        dearest = self._dearest.get(who, (0.0, 1))
        self._dearest[who] = (max(dearest[0], cell[0]), max(dearest[1], cell[1]))
