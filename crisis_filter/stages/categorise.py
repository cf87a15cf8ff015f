"""Stage 2 by prompting a language model."""

from __future__ import annotations

from crisis_filter.backends.base import Backend, Reply
from crisis_filter.errors import BackendError
from crisis_filter.prompting.render import NonceSource, Rendered, fresh_nonce
from crisis_filter.schema import UNSPECIFIED, Failure, Fault, PromptRef
from crisis_filter.stages.base import Categories, Named, Sorted
from crisis_filter.stages.drift import drifted_categories
from crisis_filter.stages.screen import build_request, error_cost, reply_cost
from crisis_filter.taxonomy.answers import Answer, Categorised


class PromptedCategorise:
    """Ask a language model which categories a text shows.

    Args:
        backend: any language model.
        rendered: a `categorise` prompt made ready for a taxonomy.
        known: the taxonomy's category ids, in order.
        nonces: where nonces come from.
    """

    def __init__(
        self, backend: Backend, rendered: Rendered, known: tuple[str, ...], *, nonces: NonceSource = fresh_nonce
    ) -> None:
        self._backend = backend
        self._rendered = rendered
        self._known = known
        self._nonces = nonces

    @property
    def prompt(self) -> PromptRef:
        """Identity of the prompt."""
        return self._rendered.prompt.ref

    async def categorise(self, text: str, deadline_s: float) -> Sorted:
        """Name the categories of one text; every trouble is a `Failure` and leaves Stage 1 as it was."""
        request = build_request(self._rendered, text, deadline_s, self._nonces)
        try:
            reply = await self._backend.complete(request)
        except BackendError as error:
            return Sorted(Failure(fault=error.fault, detail=error.detail), error_cost(error))
        return Sorted(self._read(reply), reply_cost(reply))

    def _read(self, reply: Reply[Answer]) -> Categories | Failure:
        if isinstance(reply.answer, Categorised):
            return Categories(
                named=tuple(
                    Named(
                        category=category,
                        severity=given.severity,
                        subject=given.subject or "unclear",
                        timeframe=given.timeframe or "unclear",
                        quotes=given.quotes,
                        rationale=given.rationale or None,
                    )
                    for category, given in reply.answer.by_category().items()
                    if given.present
                )
            )
        fault = reply.fault or Fault.INTERNAL
        marked = drifted_categories(reply.text or "", self._known)
        if not marked:
            return Failure(fault=fault, detail=reply.detail)
        if marked[-1].category == UNSPECIFIED:
            return Categories(named=marked, fault=Fault.UNKNOWN_CATEGORY)
        # What the broken answer did not get to say may be the graver part.
        return Categories(named=(*marked, Named(category=UNSPECIFIED)), fault=fault)
