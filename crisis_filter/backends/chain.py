"""Several endpoints as one backend: the first that answers is taken, and one that is down costs nothing.

Each round asks the endpoints in their order, without waiting, until one answers. What failed for the endpoint's own reasons is
asked again in the next round, after one wait for all; what failed because of the message (a refusal, a filter, a broken answer
that a reminder did not mend) goes to the next endpoint only. So there is one budget of retries for the chain, and one deadline.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic

import numpy as np

from crisis_filter.backends.base import AnswerT, Backend, Reply, Request
from crisis_filter.backends.breaker import Breaker, BreakerPolicy, Permit
from crisis_filter.backends.parse import claims
from crisis_filter.backends.retrying import Ask, RetryPolicy, Tally, persist
from crisis_filter.errors import FAULTS, BackendError, Fault

__all__ = ["Chain"]

# A request that was given less than this says nothing about the endpoint when it is not answered.
_FAIR_S = 0.1
# A link gives up this much before the call does, so that its breaker learns of it.
_MARGIN_S = 0.02
_FOREVER_S = 86_400.0
# A sleep may end a little early.
_SOON_S = 0.02


@dataclass(slots=True)
class _Call(Generic[AnswerT]):
    """One call of the chain on its way."""

    request: Request[AnswerT]
    end: float
    """On the chain's clock."""
    budget: int
    """Requests that may still be sent."""
    open: list[int]
    """Links that may still be asked, in their order."""
    faults: list[Counter[Fault]]
    troubles: list[tuple[str, Fault]] = field(default_factory=list)
    kept: Reply[AnswerT] | None = None
    """The most telling reply without an answer."""
    danger: bool = False
    attack: bool = False
    error: BackendError | None = None
    asked: set[int] = field(default_factory=set)
    """Links that were asked; each is, once, whatever the others cost."""
    not_before: dict[int, float] = field(default_factory=dict)
    """On the chain's clock, when a link that said so wants to be asked again."""

    def take(self, reply: Reply[AnswerT]) -> Reply[AnswerT]:
        """A reply with everything that was met on its way."""
        if not (self.troubles or reply.troubles or self.danger or self.attack):
            return reply
        return replace(
            reply,
            troubles=tuple(self.troubles),
            danger=self.danger or reply.danger,
            attack=self.attack or reply.attack,
        )


class Chain:
    """Endpoints in the order in which they are asked.

    Args:
        links: at least one; the first is the primary.
        attempts: most requests of a call beyond one for each other link: the retries are shared.
        policy: of the breakers, one for each link.
        rng: source of the jitter between rounds.
        clock: seconds on a clock that never goes back.

    Raises:
        ValueError: no links.
    """

    def __init__(
        self,
        links: Sequence[Backend],
        *,
        attempts: int = 3,
        policy: BreakerPolicy | None = None,
        rng: np.random.Generator,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not links:
            raise ValueError("a chain has at least one link")
        self.links = tuple(links)
        self.breakers = tuple(Breaker(policy or BreakerPolicy(), clock) for _ in links)
        self._attempts = attempts
        self._rng = rng
        self._clock = clock

    @property
    def name(self) -> str:
        """The names of the links, ` > ` between them."""
        return " > ".join(link.name for link in self.links)

    async def complete(self, request: Request[AnswerT]) -> Reply[AnswerT]:
        """Answer one request; see `Backend.complete`.

        Returns:
            The first answer; or a faulty reply that claims a positive; or else, when no link answers, the most telling reply
            that came: a refusal or a filter before anything else. `troubles` names what failed before.

        Raises:
            BackendError: no link replied at all; it carries the fault of the first link, or what opened its breaker.
        """
        call = _Call(
            request=request,
            end=self._clock() + request.deadline_s,
            budget=self._attempts + len(self.links) - 1,
            open=list(range(len(self.links))),
            faults=[Counter() for _ in self.links],
        )

        async def go_round(_: Ask, tally: Tally) -> Reply[AnswerT] | BackendError:
            return await self._round(call, tally)

        policy = RetryPolicy(attempts=self._attempts, attempt_timeout_s=_FOREVER_S)
        try:
            reply = await persist(go_round, request, policy, self._rng, reask=False)
        except BackendError as error:
            error.troubles = tuple(call.troubles)
            if call.kept is None:
                raise
            reply = replace(call.kept, attempts=max(1, error.attempts))
        return call.take(reply)

    async def aclose(self) -> None:
        """Release what every link holds, of the others too when one fails at it.

        Raises:
            Exception: the first such failure.
        """
        ends = await asyncio.gather(*(link.aclose() for link in self.links), return_exceptions=True)
        for end in ends:
            if isinstance(end, BaseException):
                raise end

    async def _round(self, call: _Call[AnswerT], tally: Tally) -> Reply[AnswerT] | BackendError:
        order = list(call.open)
        reached: set[int] = set()
        for place, index in enumerate(order):
            left = call.end - self._clock()
            if left <= 0 or not call.open:
                break
            if (call.budget <= 0 and index in call.asked) or self._clock() + _SOON_S < call.not_before.get(index, 0.0):
                continue
            permit = self.breakers[index].admit()
            if permit is None:
                self._skip(call, index)
                continue
            reached.add(index)
            waiting = sum(1 for later in order[place + 1 :] if self.breakers[later].state != "open")
            outcome = await self._ask(call, index, permit, max(left - _MARGIN_S, 0.0) / (1 + waiting), tally)
            if isinstance(outcome, Reply):
                if outcome.answer is not None or claims(outcome.text, call.request):
                    return outcome
                self._keep(call, index, outcome)
            elif not self._again(call, index, outcome):
                self._drop(call, index, outcome.fault)
            elif outcome.retry_after_s is not None:
                call.not_before[index] = self._clock() + outcome.retry_after_s
        return self._next(call, reached)

    def _next(self, call: _Call[AnswerT], reached: set[int]) -> Reply[AnswerT] | BackendError:
        """After a round without an answer: whether there is to be another, and when; or what the call ends with."""
        error = call.error or BackendError(Fault.TIMEOUT, "the deadline passed", retryable=False)
        # A link whose breaker is open is worth no waiting.
        hopeful = [index for index in call.open if index in reached or index in call.not_before]
        if hopeful and call.budget > 0:
            now = self._clock()
            waits = [call.not_before[index] - now for index in hopeful if index in call.not_before]
            wait = max(0.0, min(waits)) if len(waits) == len(hopeful) else None
            return BackendError(error.fault, error.detail, retryable=True, retry_after_s=wait)
        if call.kept is not None:
            return call.kept
        return BackendError(error.fault, error.detail, retryable=False)

    async def _ask(
        self, call: _Call[AnswerT], index: int, permit: Permit, share_s: float, tally: Tally
    ) -> Reply[AnswerT] | BackendError:
        """One link, once; a faulty answer may be asked for again."""
        call.asked.add(index)
        call.not_before.pop(index, None)
        unasked = sum(1 for other in call.open if other not in call.asked)
        request = replace(call.request, deadline_s=share_s, attempts=max(1, call.budget - unasked), patient=False)
        try:
            reply = await self.links[index].complete(request)
        except BackendError as error:
            return self._failed(call, index, permit, error, share_s, tally)
        except Exception as error:  # noqa: BLE001  # a bug in one link is no reason not to ask the next
            bug = BackendError(Fault.INTERNAL, f"unexpected {type(error).__name__}", retryable=False)
            return self._failed(call, index, permit, bug, share_s, tally)
        except BaseException:
            permit.give_back()  # a probe that was cancelled must not keep the door shut
            raise
        permit.report(None)
        call.budget -= max(1, reply.attempts)
        call.troubles += [(self.links[index].name, fault) for _, fault in reply.troubles]
        tally.requests += reply.attempts
        tally.prompt_tokens += reply.prompt_tokens
        tally.completion_tokens += reply.completion_tokens
        return replace(reply, link=self.links[index].name, degraded=index > 0)

    def _failed(
        self, call: _Call[AnswerT], index: int, permit: Permit, error: BackendError, share_s: float, tally: Tally
    ) -> BackendError:
        """Note a link that brought no reply."""
        short = error.fault is Fault.TIMEOUT and share_s < _FAIR_S
        permit.report(Fault.INTERNAL if short else error.fault)
        call.budget -= max(1, error.attempts)
        tally.requests += error.attempts
        call.troubles.append((self.links[index].name, error.fault))
        call.error = call.error or error
        return error

    def _keep(self, call: _Call[AnswerT], index: int, reply: Reply[AnswerT]) -> None:
        """Note a reply without an answer; the link is not asked again, for it would say the same."""
        fault = reply.fault or Fault.INTERNAL
        self._drop(call, index, fault)
        call.troubles.append((self.links[index].name, fault))
        call.danger = call.danger or reply.danger
        call.attack = call.attack or reply.attack
        telling = call.kept is None or (FAULTS[fault].sign and not FAULTS[call.kept.fault or fault].sign)
        if telling:
            call.kept = reply

    def _drop(self, call: _Call[AnswerT], index: int, fault: Fault) -> None:
        """Ask a link no more in this call; after a fault that no endpoint can mend, none at all."""
        call.open = [link for link in call.open if link != index] if FAULTS[fault].next_link else []

    def _again(self, call: _Call[AnswerT], index: int, error: BackendError) -> bool:
        """Whether a link that brought no reply may be asked once more."""
        call.faults[index][error.fault] += 1
        rule = FAULTS[error.fault]
        within = rule.most_retries is None or call.faults[index][error.fault] <= rule.most_retries
        return error.retryable and rule.retry == "transport" and within

    def _skip(self, call: _Call[AnswerT], index: int) -> None:
        """Note a link whose breaker is open; only another link's failure is worth another round."""
        fault = self.breakers[index].fault or Fault.SERVER_ERROR
        call.troubles.append((self.links[index].name, fault))
        call.error = call.error or BackendError(fault, "the circuit of the endpoint is open", retryable=False)
