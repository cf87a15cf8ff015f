"""OpenAI's moderation endpoint, asked with the same client, the same retries and the same faults as a chat model.

Apart from `moderation`, because the client takes longer to import than all else, and who reads what was said needs none.
"""

from __future__ import annotations

import numpy as np
import openai

from crisis_filter.backends.base import Reply, Request
from crisis_filter.backends.client import LOGGERS, body_of, open_client
from crisis_filter.backends.http_faults import fault_of
from crisis_filter.backends.moderation import ModerationReply, ModerationSpec, read_moderation
from crisis_filter.backends.retrying import Ask, RetryPolicy, Tally, persist
from crisis_filter.backends.silence import guard_loggers
from crisis_filter.errors import BackendError
from crisis_filter.schema import Fault

__all__ = ["OpenAIModeration"]


class OpenAIModeration:
    """A moderation endpoint behind the OpenAI protocol.

    Args:
        spec: which.
        rng: source of the jitter between attempts.
    """

    def __init__(self, spec: ModerationSpec, rng: np.random.Generator) -> None:
        guard_loggers(*LOGGERS)
        self._spec = spec
        self._rng = rng
        self._policy = RetryPolicy(attempts=spec.attempts, attempt_timeout_s=spec.attempt_timeout_s)
        self._client = open_client(spec)

    @property
    def name(self) -> str:
        """`moderation:MODEL`."""
        return self._spec.name

    async def moderate(self, text: str, deadline_s: float) -> ModerationReply:
        """Judge one text; see `Moderation.moderate`."""

        async def send(_: Ask, tally: Tally) -> Reply[ModerationReply] | BackendError:
            tally.requests += 1
            return await self._send(text)

        guard_loggers(*LOGGERS)
        request = Request(
            system="", user=text, answer=ModerationReply, nonce="", deadline_s=deadline_s, purpose="moderate"
        )
        reply = await persist(send, request, self._policy, self._rng, name=self.name, reask=False)
        if reply.answer is None:
            error = BackendError(reply.fault or Fault.INTERNAL, reply.detail, retryable=False)
            error.attempts = reply.attempts
            raise error
        found = reply.answer.model_copy(update={"attempts": reply.attempts, "troubles": reply.troubles})
        if self._spec.model_reported in (None, found.model):
            return found
        if found.flagged:
            return found.model_copy(update={"fault": Fault.MODEL_DRIFT})
        error = BackendError(Fault.MODEL_DRIFT, "another model answered", retryable=False)
        error.attempts = found.attempts
        raise error

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _send(self, text: str) -> Reply[ModerationReply] | BackendError:
        road = self._client.moderations.with_streaming_response
        try:
            async with road.create(input=text, model=self._spec.model) as response:
                body = await body_of(response)
        except openai.APITimeoutError:
            return BackendError(Fault.TIMEOUT, "one request took too long", retryable=True)
        except openai.APIStatusError as error:
            return fault_of(error.status_code, error.response.headers, error.body)
        except openai.APIConnectionError:
            return BackendError(Fault.BROKEN_REPLY, "the connection failed", retryable=True)
        found = body if isinstance(body, BackendError) else read_moderation(body, self._spec.model)
        return found if isinstance(found, BackendError) else Reply(finish="answered", answer=found)
