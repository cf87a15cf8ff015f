"""Many requests at once, each of which ends as an answer, a faulty reply or no reply, and is written down."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from crisis_filter.backends.base import NONCE_PLACEHOLDER, AnswerT, Backend, Reply, Request
from crisis_filter.errors import BackendError, Fault
from crisis_filter.experiments.simulate.journal import Trouble, Who
from crisis_filter.experiments.simulate.prompts import Ready
from crisis_filter.prompting.render import NonceSource

__all__ = ["Asker", "Pace", "ask_each"]

JobT = TypeVar("JobT")


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast to ask, and when to stop."""

    concurrency: int = 4
    deadline_s: float = 120.0
    """For one request, its retries included."""
    patience: int = 10
    """Requests in a row without a reply after which a run stops."""


@dataclass(frozen=True, slots=True)
class Asker(Generic[AnswerT]):
    """Somebody who is asked.

    Args:
        who: in the journal.
        backend: who answers.
        ready: the prompt.
        answer: the answer model.
        nonces: where nonces come from.
        deadline_s: seconds for one request.
    """

    who: Who
    backend: Backend
    ready: Ready
    answer: type[AnswerT]
    nonces: NonceSource
    deadline_s: float

    async def ask(self, key: str, *, messages: int = 1, **values: Any) -> Reply[AnswerT] | Trouble:
        """Ask once.

        Args:
            key: what it is about, for the journal.
            messages: for how many messages there must be room in the answer.
            **values: variables of the changing part.

        Returns:
            A complete valid answer, or what went wrong; nothing is raised.
        """
        try:
            reply = await self.backend.complete(self._request(messages, values))
        except BackendError as error:
            # A prompt that is too long stays so: asking again at the next start would never end.
            told = error.fault is Fault.CONTEXT_OVERFLOW
            return self._trouble(key, "none", error.fault, error.attempts, replied=told)
        except Exception:  # noqa: BLE001  # its words may hold a message; a bug of a backend is a fault like others
            return self._trouble(key, "none", Fault.INTERNAL, 0, replied=False)
        if reply.answer is None:
            return self._trouble(key, reply.finish, reply.fault or Fault.INTERNAL, reply.attempts, replied=True)
        return reply

    async def ask_until(
        self, key: str, tries: int, note: Callable[[Trouble], None], **values: Any
    ) -> Reply[AnswerT] | Trouble:
        """Ask again after a reply that is no answer, at most `tries` times in all.

        Args:
            key: what it is about, for the journal.
            tries: 1 or more.
            note: writes a trouble down.
            **values: variables of the changing part.
        """
        while True:
            reply = await self.ask(key, **values)
            if not isinstance(reply, Trouble):
                return reply
            note(reply)
            tries -= 1
            if not reply.replied or tries <= 0:
                return reply

    def provenance(self, reply: Reply[AnswerT]) -> dict[str, Any]:
        """The fields of `Answered`."""
        return {
            "backend": self.backend.name,
            "model": reply.model,
            "prompt": self.ready.prompt.ref,
            "attempts": reply.attempts,
            "prompt_tokens": reply.prompt_tokens,
            "completion_tokens": reply.completion_tokens,
        }

    def _request(self, messages: int, values: dict[str, Any]) -> Request[AnswerT]:
        prompt = self.ready.prompt
        nonce = self.nonces(prompt.nonce_bits)
        return Request(
            system=self.ready.system,
            user=self.ready.user(nonce, **values),
            answer=self.answer,
            nonce=nonce,
            replayed=partial(self.ready.user, NONCE_PLACEHOLDER, **values),
            max_output_tokens=prompt.max_output_tokens * messages,
            deadline_s=self.deadline_s,
            purpose=self.who,
        )

    def _trouble(self, key: str, finish: Any, fault: Fault, attempts: int, *, replied: bool) -> Trouble:
        return Trouble(
            who=self.who,
            key=key,
            finish=finish,
            fault=fault,
            replied=replied,
            backend=self.backend.name,
            attempts=attempts,
        )


async def ask_each(jobs: Iterable[JobT], ask: Callable[[JobT], Awaitable[Trouble | None]], pace: Pace) -> bool:
    """Do all jobs, several at once.

    Args:
        jobs: begun in this order.
        ask: does one and writes down what came of it; returns the trouble, or `None` for an answer.
        pace: how many at once. After `patience` jobs in a row without a reply, or when the backend is misconfigured, no further one is
            begun.

    Returns:
        Whether every job got a reply, answer or not.
    """
    left: Iterator[JobT] = iter(jobs)
    silent, in_a_row, stop = 0, 0, False

    async def work() -> None:
        nonlocal silent, in_a_row, stop
        while not stop and (job := next(left, None)) is not None:
            trouble = await ask(job)
            if trouble is None or trouble.replied:
                in_a_row = 0
                continue
            silent, in_a_row = silent + 1, in_a_row + 1
            stop = stop or in_a_row >= pace.patience or trouble.fault is Fault.MISCONFIGURED

    workers = [asyncio.create_task(work()) for _ in range(pace.concurrency)]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    return silent == 0
