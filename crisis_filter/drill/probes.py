"""Asking an endpoint what the filter would ask it, one request after the other, and keeping what came back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from crisis_filter.backends.base import AnswerT, Backend, Reply, Request
from crisis_filter.drill.messages import Labelled
from crisis_filter.errors import BackendError, Fault
from crisis_filter.prompting.render import NonceSource, Rendered
from crisis_filter.schema import Failure, ScreenVerdict
from crisis_filter.stages.screen import PromptedScreen

Clock = Callable[[], float]

# One of each category; clear and short, so that what fails is the endpoint.
CRISES = (
    "dr1-c-0022",
    "dr1-c-0029",
    "dr1-c-0056",
    "dr1-c-0083",
    "dr1-c-0111",
    "dr1-c-0139",
    "dr1-c-0167",
    "dr1-c-0194",
)
ORDINARY = "dr1-o-0001"
# Could be said of an exam or of a life: a model that changes its mind does so here first. Nobody counts what it says.
UNCLEAR = Labelled(id="unclear", text="im so done with all of this, i cant keep going like this", crisis=True)
REPEATS = 5
_IN_A_ROW = 3


@dataclass(frozen=True, slots=True)
class Look:
    """One screen request, and what became of it."""

    message: Labelled = field(repr=False)
    result: ScreenVerdict | Failure = field(repr=False)
    reply: Reply[Any] | None
    """`None` when none came back."""
    error: BackendError | None
    elapsed_ms: float

    @property
    def fault(self) -> Fault | None:
        """What was wrong, also beside a positive that was kept; `None` for a clean verdict."""
        return self.result.fault


class Witness:
    """A backend that remembers the last reply or error of another one.

    Args:
        backend: any language model; asked by one caller at a time.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.reply: Reply[Any] | None = None
        self.error: BackendError | None = None

    @property
    def name(self) -> str:
        """That of the backend."""
        return self._backend.name

    async def complete(self, request: Request[AnswerT]) -> Reply[AnswerT]:
        """Answer one request; see `Backend.complete`."""
        self.reply = self.error = None
        try:
            reply = await self._backend.complete(request)
        except BackendError as error:
            self.error = error
            raise
        self.reply = reply
        return reply

    async def aclose(self) -> None:
        """Release what the backend holds."""
        await self._backend.aclose()


async def look(
    backend: Backend,
    rendered: Rendered,
    messages: Iterable[Labelled],
    *,
    threshold: float,
    timeout_s: float,
    nonces: NonceSource,
    clock: Clock = time.perf_counter,
) -> list[Look]:
    """Put messages through the screen, in their order.

    Args:
        backend: who is asked; should not retry, or faults are hidden.
        rendered: the screen prompt.
        messages: what is asked about.
        threshold: as `PromptedScreen` takes it.
        timeout_s: for one request.
        nonces: where nonces come from.
        clock: seconds that only grow.

    Returns:
        One look for each message, or fewer: nothing is sent any more after a key, model or address was turned down, or three
        requests in a row brought no reply.
    """
    witness = Witness(backend)
    screen = PromptedScreen(witness, rendered, threshold=threshold, nonces=nonces)
    looks: list[Look] = []
    failed = 0
    for message in messages:
        started = clock()
        screened = await screen.screen(message.text, timeout_s)
        elapsed_ms = (clock() - started) * 1000
        looks.append(Look(message, screened.result, witness.reply, witness.error, elapsed_ms))
        failed = failed + 1 if witness.reply is None else 0
        hopeless = witness.error is not None and witness.error.fault is Fault.MISCONFIGURED
        if hopeless or failed >= _IN_A_ROW:
            break
    return looks
