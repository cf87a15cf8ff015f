"""Which lane a link's requests take: the fast one where it speaks the OpenAI protocol, else the ordinary one. The gate sees both."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence

from crisis_filter.backends.base import AnswerT, Backend, Reply, Request
from crisis_filter.backends.breaker import BreakerPolicy
from crisis_filter.backends.gate import Gate
from crisis_filter.backends.registry import open_backend, open_fast
from crisis_filter.backends.spec import BackendSpec
from crisis_filter.errors import FAULTS, BackendError, Fault
from crisis_filter.pipeline.chain import Opener, open_links

__all__ = ["Gated", "lanes"]

_CHARACTERS_A_TOKEN = 4
_WITH_A_FAST_LANE = ("openai", "langchain")
_NEVER = BreakerPolicy(consecutive=sys.maxsize, share=2.0)


def lanes(gate: Gate, *, fast: bool) -> Opener:
    """Opens the links of a chain behind one gate.

    Args:
        gate: every request passes it.
        fast: whether the fast lane may be taken.
    """

    def opened(links: Sequence[BackendSpec]) -> Backend:
        # With nobody else to ask, a breaker would fail messages by the thousand in the seconds that a pause takes; the gate waits instead.
        breaker = _NEVER if len(links) == 1 else None
        return open_links(links, breaker, open_link=_opening(gate, fast=fast))

    return opened


def _opening(gate: Gate, *, fast: bool) -> Callable[[BackendSpec], Backend]:
    def opened(spec: BackendSpec) -> Backend:
        if fast and spec.kind in _WITH_A_FAST_LANE:
            return open_fast(spec, gate=gate)
        return Gated(open_backend(spec), gate)

    return opened


class Gated:
    """The ordinary lane behind a gate. It passes once a call, retries inside included, for it cannot see them.

    Args:
        backend: any language model.
        gate: is asked before each call.
    """

    def __init__(self, backend: Backend, gate: Gate) -> None:
        self._backend = backend
        self._gate = gate

    @property
    def name(self) -> str:
        """That of the backend."""
        return self._backend.name

    async def complete(self, request: Request[AnswerT]) -> Reply[AnswerT]:
        """Answer one request; see `Backend.complete`."""
        estimated = (len(request.system) + len(request.user)) // _CHARACTERS_A_TOKEN + request.max_output_tokens
        await self._gate.enter(estimated)
        began, used, wait = time.monotonic(), None, None
        fault: Fault | None = Fault.INTERNAL
        try:
            reply = await self._backend.complete(request)
        except BackendError as error:
            fault, wait = error.fault, error.retry_after_s
            raise
        else:
            fault, used = None, reply.prompt_tokens + reply.completion_tokens
            return reply
        finally:
            self._gate.leave(
                estimated=estimated,
                seconds=time.monotonic() - began,
                tokens=used or None,
                throttled=fault is Fault.RATE_LIMITED,
                retry_after_s=wait,
                failed=fault is not None and fault is not Fault.RATE_LIMITED and FAULTS[fault].trips,
            )

    async def aclose(self) -> None:
        """Release what the backend holds."""
        await self._backend.aclose()
