"""What a run may still send and spend: requests are counted at the gate; of money the next message is taken to cost as much as the dearest so far."""

from __future__ import annotations

from dataclasses import dataclass

from crisis_filter.batch.rate import RateGate
from crisis_filter.errors import BackendError, Fault
from crisis_filter.schema import Assessment

__all__ = ["Budget", "Capped"]


class Capped:
    """A gate that lets no more than so many requests through, then stops the run.

    Args:
        gate: what else holds requests back.
        most: requests; `None` does not count them.
    """

    def __init__(self, gate: RateGate, most: int | None) -> None:
        self._gate = gate
        self._most = most
        self._sent = 0

    @property
    def stopped(self) -> str | None:
        """Why nothing is sent any more."""
        return self._gate.stopped

    async def begin_message(self) -> None:
        """See `RateGate.begin_message`."""
        await self._gate.begin_message()

    def end_message(self) -> None:
        """See `RateGate.end_message`."""
        self._gate.end_message()

    async def enter(self, tokens: int) -> None:
        """Wait for leave to send one request; see `Gate.enter`."""
        if self._most is not None and self._sent >= self._most:
            self._gate.stop(f"the budget of {self._most:,} requests is used up")
            raise BackendError(Fault.OVERLOAD, "the budget is used up", retryable=False)
        self._sent += 1
        try:
            await self._gate.enter(tokens)
        except BaseException:
            self._sent -= 1
            raise

    def leave(
        self,
        *,
        estimated: int,
        seconds: float,
        tokens: int | None,
        throttled: bool,
        retry_after_s: float | None,
        failed: bool,
    ) -> None:
        """Say how a request went; see `Gate.leave`."""
        self._gate.leave(
            estimated=estimated,
            seconds=seconds,
            tokens=tokens,
            throttled=throttled,
            retry_after_s=retry_after_s,
            failed=failed,
        )


@dataclass(slots=True)
class Budget:
    """Lives for one run; counts what the assessments of the run say they used.

    Attributes:
        money: spent so far, in the currency of the prices.
    """

    most_money: float | None = None
    prompt_price: float = 0.0
    """Of a million tokens."""
    completion_price: float = 0.0
    money: float = 0.0
    _working: int = 0
    _dearest_money: float = 0.0

    def take(self) -> str | None:
        """Begin with a message, or say why not."""
        at_work = self._working + 1
        if self.most_money is not None and self.money + at_work * self._dearest_money > self.most_money:
            return f"the budget of {self.most_money:,.2f}: {self.money:,.4f} is spent"
        self._working += 1
        return None

    def give_back(self) -> None:
        """A message that was begun with was not judged."""
        self._working -= 1

    def settle(self, assessment: Assessment) -> None:
        """A message is judged, and used what it says."""
        self._working -= 1
        used = assessment.provenance
        money = (used.prompt_tokens * self.prompt_price + used.completion_tokens * self.completion_price) / 1_000_000
        self.money += money
        self._dearest_money = max(self._dearest_money, money)
