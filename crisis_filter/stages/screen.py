"""Stage 1 by prompting a language model."""

from __future__ import annotations

from functools import partial

from crisis_filter.backends.base import NONCE_PLACEHOLDER, Backend, Reply, Request
from crisis_filter.backends.parse import claims_true
from crisis_filter.errors import BackendError
from crisis_filter.prompting.prompt import Stage
from crisis_filter.prompting.render import NonceSource, Rendered, fresh_nonce
from crisis_filter.schema import Failure, Fault, PromptRef, ScoreSource, ScreenVerdict
from crisis_filter.stages.base import Cost, Screened
from crisis_filter.taxonomy.answers import Answer, ScreenReasoned, ScreenTerse

CLAIMS: dict[Stage, str] = {"screen": "crisis", "categorise": "present"}
"""The boolean of each stage's answer whose `true` survives any fault of the answer."""


class PromptedScreen:
    """Ask a language model whether a text shows a crisis.

    Args:
        backend: any language model.
        rendered: a `screen` prompt made ready for a taxonomy.
        threshold: a probability from token log-probabilities at or above which the text is a crisis whatever label the
            model printed. It can only raise: a printed `true` is a crisis at any probability.
        nonces: where nonces come from.
    """

    def __init__(
        self, backend: Backend, rendered: Rendered, *, threshold: float = 0.5, nonces: NonceSource = fresh_nonce
    ) -> None:
        self._backend = backend
        self._rendered = rendered
        self._threshold = threshold
        self._nonces = nonces

    @property
    def prompt(self) -> PromptRef:
        """Identity of the prompt."""
        return self._rendered.prompt.ref

    async def screen(self, text: str, deadline_s: float) -> Screened:
        """Judge one text; every trouble is a `Failure`."""
        request = build_request(self._rendered, text, deadline_s, self._nonces)
        try:
            reply = await self._backend.complete(request)
        except BackendError as error:
            return Screened(Failure(fault=error.fault, detail=error.detail), error_cost(error))
        return Screened(self._read(reply), reply_cost(reply))

    def _read(self, reply: Reply[Answer]) -> ScreenVerdict | Failure:
        answer = reply.answer
        if isinstance(answer, ScreenReasoned):
            score, source = _score(reply, stated=answer.confidence)
            if not self._positive(answer.crisis, reply.score) and answer.confidence >= self._threshold:
                # The prompt asks for the probability of a crisis; an answer that says both is no verdict.
                return Failure(fault=Fault.SCHEMA, detail="the label and the stated probability contradict each other")
            return ScreenVerdict(
                crisis=self._positive(answer.crisis, reply.score),
                may_clear=True,
                score=score,
                score_source=source,
                subject=answer.subject,
                timeframe=answer.timeframe,
                quotes=answer.quotes,
                rationale=answer.reasoning,
            )
        if isinstance(answer, ScreenTerse):
            score, source = _score(reply, stated=None)
            crisis = self._positive(answer.crisis, reply.score)
            return ScreenVerdict(crisis=crisis, may_clear=True, score=score, score_source=source)
        fault = reply.fault or Fault.INTERNAL
        if claims_true(reply.text, CLAIMS["screen"]):
            return ScreenVerdict(crisis=True, may_clear=False, fault=fault)
        return Failure(fault=fault, detail=reply.detail)

    def _positive(self, label: bool, probability: float | None) -> bool:
        return label or (probability is not None and probability >= self._threshold)


def _score(reply: Reply[Answer], stated: float | None) -> tuple[float | None, ScoreSource | None]:
    """Token log-probabilities where the server gave them, else the model's own words, else nothing."""
    if reply.score is not None:
        return reply.score, "logprobs"
    return (stated, "stated") if stated is not None else (None, None)


def build_request(rendered: Rendered, text: str, deadline_s: float, nonces: NonceSource) -> Request[Answer]:
    """The request that asks `rendered` about `text`."""
    prompt = rendered.prompt
    nonce = nonces(prompt.nonce_bits)
    user = rendered.user(text, nonce)
    return Request(
        system=rendered.system,
        user=user,
        answer=rendered.answer,
        nonce=nonce,
        replayed=None if nonce in user else partial(rendered.user, text, NONCE_PLACEHOLDER),
        label_field=prompt.label_field,
        max_output_tokens=prompt.max_output_tokens,
        deadline_s=deadline_s,
        purpose=prompt.stage,
        claim=CLAIMS[prompt.stage],
    )


def reply_cost(reply: Reply[Answer]) -> Cost:
    """What the reply used and met on its way."""
    return Cost(
        attempts=reply.attempts,
        prompt_tokens=reply.prompt_tokens,
        completion_tokens=reply.completion_tokens,
        model=reply.model,
        links=(reply.link,) if reply.link is not None and reply.answer is not None else (),
        troubles=reply.troubles,
        degraded=reply.degraded,
        danger=reply.danger,
        attack=reply.attack,
    )


def error_cost(error: BackendError) -> Cost:
    """What was used and met where no reply came back."""
    return Cost(attempts=error.attempts, troubles=error.troubles)
