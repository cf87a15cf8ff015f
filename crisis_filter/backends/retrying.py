"""The one retry policy: how often a call is tried, how long it waits, when it gives up.

The retries of the SDKs are off. Outcomes are values here, errors included, so that nothing that is raised in the end carries
another exception's words with it.
"""

from __future__ import annotations

import asyncio
import dataclasses
import math
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Generic

import numpy as np
from tenacity import AsyncRetrying, RetryCallState, retry_if_result

from crisis_filter.backends.base import AnswerT, Reply, Request
from crisis_filter.backends.parse import claims
from crisis_filter.backends.silence import withheld
from crisis_filter.errors import FAULTS, BackendError, Fault

__all__ = ["Ask", "RetryPolicy", "Tally", "persist"]

_AGAIN = (
    "Answer again with exactly one JSON object of the required shape, copy the nonce exactly, and add nothing else."
)
REMINDERS = {
    Fault.BAD_JSON: _AGAIN,
    Fault.SCHEMA: _AGAIN,
    Fault.NONCE_MISMATCH: _AGAIN,
    Fault.EMPTY_REPLY: _AGAIN,
    Fault.TRUNCATED: f"{_AGAIN} Keep every text in it short.",
    Fault.REFUSAL_PROSE: f"You are classifying a message for clinicians, not assisting or answering its writer. {_AGAIN}",
}
"""What is said when a faulty answer is asked for again; `errors.FAULTS` says which are."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Limits of one call."""

    attempts: int = 3
    attempt_timeout_s: float = 30.0
    first_wait_s: float = 0.5
    """Longest wait before the second attempt; it doubles with each further one. The wait is uniform from zero."""
    longest_wait_s: float = 8.0


@dataclass(frozen=True, slots=True)
class Ask:
    """What is particular to one attempt."""

    max_output_tokens: int
    reminder: str | None = None
    """What to add after the user part when this is a re-ask; never to a plain text's."""
    until: float = math.inf
    """When it must be over, on the event loop's clock."""


@dataclass(slots=True)
class Tally:
    """What a call has cost so far; the sender counts into it before and after each request."""

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(slots=True)
class _Progress(Generic[AnswerT]):
    ask: Ask
    reasked: bool = False
    faults: Counter[Fault] = field(default_factory=Counter)
    met: list[Fault] = field(default_factory=list)
    """What every attempt but the last ended with."""
    reply: Reply[AnswerT] | None = None
    """The last reply that came back."""
    error: BackendError | None = None
    """The last error, when the last attempt brought no reply."""

    def keep(self) -> None:
        """Before another attempt, note what the one before it ended with."""
        last = self.error.fault if self.error is not None else self.reply.fault if self.reply is not None else None
        if last is not None:
            self.met.append(last)

    def before(self, reply: Reply[AnswerT]) -> list[Fault]:
        """What was met besides this reply's own fault."""
        met = [*self.met, *([self.error.fault] if self.error is not None else [])]
        if reply.fault in met:
            met.remove(reply.fault)
        return met


Sender = Callable[[Ask, Tally], Awaitable[Reply[AnswerT] | BackendError]]


async def persist(
    send: Sender[AnswerT],
    request: Request[AnswerT],
    policy: RetryPolicy,
    rng: np.random.Generator,
    *,
    name: str = "",
    reask: bool = True,
    timed: bool = True,
) -> Reply[AnswerT]:
    """Send a request until it is answered, the budget is spent or the deadline has passed.

    The first attempt is made directly: most calls need no other, and consulting the policy costs as much as a request.

    Args:
        send: makes one attempt; returns errors instead of raising them. Whatever it raises counts as `INTERNAL`.
        request: gives the deadline, in seconds on the event loop's clock, for everything together.
        policy: the limits.
        rng: source of the jitter.
        name: of who is asked, for `troubles`.
        reask: whether a faulty answer is asked for again; not where `send` has done so itself.
        timed: whether attempts are cut off here at `Ask.until`; not where `send` does so itself and returns `TIMEOUT`.

    Returns:
        The answer; or the last faulty reply when no re-ask mended it, even if a later attempt brought no reply at all.
        `attempts` and the token counts are those of all requests together; `troubles` are the faults of all but the last.

    Raises:
        BackendError: no reply came back; it carries the last fault.
    """
    tally = Tally()
    progress: _Progress[AnswerT] = _Progress(Ask(request.max_output_tokens))
    loop = asyncio.get_running_loop()
    end = loop.time() + request.deadline_s

    async def attempt() -> Reply[AnswerT] | BackendError:
        progress.keep()
        until = min(loop.time() + policy.attempt_timeout_s, end)
        ask = Ask(progress.ask.max_output_tokens, progress.ask.reminder, until)
        outcome = await _attempt(send, ask, tally, timed=timed)
        if isinstance(outcome, BackendError) and outcome.fault is Fault.TIMEOUT and loop.time() >= end:
            raise TimeoutError
        _note(outcome, progress)
        return outcome

    late = request.deadline_s <= 0
    if not late:
        try:
            with withheld():
                first = await attempt()
                if isinstance(first, BackendError) or first.answer is None:
                    most = policy.attempts if request.attempts is None else min(policy.attempts, request.attempts)
                    limits = dataclasses.replace(policy, attempts=most)
                    async with asyncio.timeout_at(end):
                        await _retry(attempt, first, progress, request, limits, end, rng, reask=reask)
        except TimeoutError:
            late = True
    if progress.reply is not None:
        return _with_costs(progress.reply, tally, tuple((name, fault) for fault in progress.before(progress.reply)))
    error = progress.error
    if late or error is None:
        error = BackendError(Fault.TIMEOUT, "the deadline passed", retryable=True)
    error.attempts = tally.requests
    raise error


def _with_costs(reply: Reply[AnswerT], tally: Tally, troubles: tuple[tuple[str, Fault], ...]) -> Reply[AnswerT]:
    told = (reply.attempts, reply.prompt_tokens, reply.completion_tokens, reply.troubles)
    costs = (max(1, tally.requests), tally.prompt_tokens, tally.completion_tokens, troubles)
    if told == costs:
        return reply
    attempts, prompt_tokens, completion_tokens, _ = costs
    return dataclasses.replace(
        reply,
        attempts=attempts,
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        troubles=troubles,
    )


async def _retry(
    attempt: Callable[[], Awaitable[Reply[AnswerT] | BackendError]],
    first: Reply[AnswerT] | BackendError,
    progress: _Progress[AnswerT],
    request: Request[AnswerT],
    policy: RetryPolicy,
    end: float,
    rng: np.random.Generator,
    *,
    reask: bool,
) -> None:
    """Consult the policy after a first attempt that was no answer, and follow it; that attempt counts."""
    loop = asyncio.get_running_loop()
    made = [first]

    async def again_or_first() -> Reply[AnswerT] | BackendError:
        return made.pop() if made else await attempt()

    def wait(state: RetryCallState) -> float:
        if isinstance(_outcome(state), Reply):
            return 0.0
        asked = progress.error.retry_after_s if progress.error else None
        longest = min(policy.longest_wait_s, policy.first_wait_s * 2 ** (state.attempt_number - 1))
        return asked if asked is not None else float(rng.uniform(0.0, longest))

    def stop(state: RetryCallState) -> bool:
        return state.attempt_number >= policy.attempts or loop.time() + state.upcoming_sleep >= end

    def again(outcome: Reply[AnswerT] | BackendError) -> bool:
        return _try_again(outcome, progress, request, reask=reask)

    retrying = AsyncRetrying(
        sleep=asyncio.sleep, wait=wait, stop=stop, retry=retry_if_result(again), retry_error_callback=_outcome
    )
    await retrying(again_or_first)


async def _attempt(send: Sender[AnswerT], ask: Ask, tally: Tally, *, timed: bool) -> Reply[AnswerT] | BackendError:
    try:
        if not timed:
            return await send(ask, tally)
        async with asyncio.timeout_at(ask.until):
            return await send(ask, tally)
    except TimeoutError:
        return BackendError(Fault.TIMEOUT, "one request took too long", retryable=True)
    except Exception as error:  # noqa: BLE001  # any bug ends as a fault, and only its type is told
        return BackendError(Fault.INTERNAL, f"unexpected {type(error).__name__}", retryable=False)


def _note(outcome: Reply[AnswerT] | BackendError, progress: _Progress[AnswerT]) -> None:
    if isinstance(outcome, BackendError):
        progress.error = outcome
        progress.faults[outcome.fault] += 1
    else:
        progress.reply, progress.error = outcome, None


def _try_again(
    outcome: Reply[AnswerT] | BackendError, progress: _Progress[AnswerT], request: Request[AnswerT], *, reask: bool
) -> bool:
    if isinstance(outcome, BackendError):
        most = FAULTS[outcome.fault].most_retries
        again = outcome.retryable and (most is None or progress.faults[outcome.fault] <= most)
        return again and request.patient
    if outcome.fault is None or FAULTS[outcome.fault].retry != "reask" or progress.reasked or not reask:
        return False
    if claims(outcome.text, request):
        return False
    doubled = 2 if outcome.fault is Fault.TRUNCATED else 1
    progress.reasked = True
    # The prompt of a plain text is another's format, to which nothing may be added.
    reminder = None if request.plain else REMINDERS[outcome.fault]
    progress.ask = Ask(request.max_output_tokens * doubled, reminder)
    return True


def _outcome(state: RetryCallState) -> Any:
    return state.outcome.result() if state.outcome else None
