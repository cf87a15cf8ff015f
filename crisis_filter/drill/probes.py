"""Asking an endpoint what the filter would ask it, one request after the other, and keeping what came back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pydantic import SecretStr

from crisis_filter.backends.base import AnswerT, Backend, Reply, Request
from crisis_filter.backends.registry import open_backend
from crisis_filter.backends.spec import BackendSpec
from crisis_filter.drill.messages import Labelled
from crisis_filter.drill.server import FaultServer
from crisis_filter.errors import BackendError, ConfigurationError, Fault
from crisis_filter.prompting.render import NonceSource, Rendered
from crisis_filter.schema import Failure, ScreenVerdict
from crisis_filter.stages.screen import PromptedScreen, build_request

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
IN_A_ROW = 3
"""Requests one after the other that bring nothing, after which no more is sent."""
CAME = (Fault.MISCONFIGURED, Fault.CONTEXT_OVERFLOW)
"""Faults without a reply that came back from the endpoint all the same."""
_WARM_UP_S = 5.0


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

    @property
    def lost(self) -> bool:
        """Whether nothing came back from the endpoint, not even a word on why."""
        return self.error is not None and self.error.fault not in CAME


class Witness:
    """A backend that remembers the last reply or error of another one, and when it is to be left alone.

    Args:
        backend: any language model; asked by one caller at a time.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.reply: Reply[Any] | None = None
        self.error: BackendError | None = None
        self._lost = 0
        self._turned_down = False

    @property
    def name(self) -> str:
        """That of the backend."""
        return self._backend.name

    @property
    def gave_up(self) -> bool:
        """Whether no more should be sent: key, model or address were turned down, or `IN_A_ROW` requests brought nothing."""
        return self._turned_down or self._lost >= IN_A_ROW

    async def complete(self, request: Request[AnswerT]) -> Reply[AnswerT]:
        """Answer one request; see `Backend.complete`."""
        self.reply = self.error = None
        try:
            reply = await self._backend.complete(request)
        except BackendError as error:
            self.error = error
            self._turned_down = self._turned_down or error.fault is Fault.MISCONFIGURED
            self._lost = 0 if error.fault in CAME else self._lost + 1
            raise
        self.reply = reply
        self._lost = 0
        return reply

    async def aclose(self) -> None:
        """Release what the backend holds."""
        await self._backend.aclose()


async def warm_up(link: BackendSpec, rendered: Rendered, nonces: NonceSource) -> None:
    """Let the client of a link load what it loads with its first request, by one to a server of our own, on the loopback.

    The endpoint is not asked, and its key stays here. Nothing happens where the server cannot be started, or where the link has no
    address that could be another: that client is loaded by its first request.

    Args:
        link: whose client.
        rendered: the prompt that is sent, with a message that says nothing.
        nonces: where the nonce comes from.
    """
    if link.kind != "openai" and link.base_url is None:
        return
    with suppress(ConfigurationError, BackendError):
        async with FaultServer(lambda _: True) as server:
            own: dict[str, object] = {"base_url": server.base_url, "azure_endpoint": None, "api_key": SecretStr("none")}
            own |= {"attempts": 1, "attempt_timeout_s": _WARM_UP_S, "model_reported": None}
            backend = open_backend(link.model_copy(update=own), np.random.default_rng(0))
            try:
                await backend.complete(build_request(rendered, "hello", _WARM_UP_S, nonces))
            finally:
                await backend.aclose()


async def look(
    witness: Witness,
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
        witness: who is asked; the backend behind it should not retry, or faults are hidden.
        rendered: the screen prompt.
        messages: what is asked about.
        threshold: as `PromptedScreen` takes it.
        timeout_s: for one request.
        nonces: where nonces come from.
        clock: seconds that only grow.

    Returns:
        One look for each message, or fewer: nothing is sent any more after a key, model or address was turned down, or
        `IN_A_ROW` requests brought no reply.
    """
    screen = PromptedScreen(witness, rendered, threshold=threshold, nonces=nonces)
    looks: list[Look] = []
    failed = 0
    for message in messages:
        started = clock()
        screened = await screen.screen(message.text, timeout_s)
        elapsed_ms = (clock() - started) * 1000
        looks.append(Look(message, screened.result, witness.reply, witness.error, elapsed_ms))
        failed = failed + 1 if witness.reply is None else 0
        if witness.gave_up or failed >= IN_A_ROW:
            break
    return looks
