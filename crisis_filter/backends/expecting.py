"""A backend that takes answers from one model only: an alias can be pointed at another one overnight."""

from __future__ import annotations

from dataclasses import replace

from crisis_filter.backends.base import AnswerT, Backend, Reply, Request
from crisis_filter.errors import Fault

__all__ = ["Expecting"]


class Expecting:
    """Turns an answer of another model into `model_drift`. A positive in it is kept, as in any faulty answer.

    Args:
        backend: any language model.
        model: what its server must say it is, to the letter.
    """

    def __init__(self, backend: Backend, model: str) -> None:
        self._backend = backend
        self._model = model

    @property
    def name(self) -> str:
        """That of the backend."""
        return self._backend.name

    async def complete(self, request: Request[AnswerT]) -> Reply[AnswerT]:
        """Answer one request; see `Backend.complete`."""
        reply = await self._backend.complete(request)
        if reply.answer is None or reply.model == self._model:
            return reply
        return replace(
            reply,
            finish="mismatched",
            answer=None,
            score=None,
            fault=Fault.MODEL_DRIFT,
            detail="another model answered",
        )

    async def aclose(self) -> None:
        """Release what the backend holds."""
        await self._backend.aclose()
