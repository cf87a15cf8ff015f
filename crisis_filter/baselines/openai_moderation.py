"""OpenAI's moderation endpoint as a detector: flagged when any of its thirteen categories is.

Source: https://platform.openai.com/docs/guides/moderation. It judges what a text depicts or promotes, and has no category for neglect, psychosis or
substance misuse.
"""

from __future__ import annotations

from crisis_filter.backends.moderation import Moderation, ModerationReply
from crisis_filter.baselines.base import Ask, Said, Told
from crisis_filter.baselines.options import Choices
from crisis_filter.errors import BackendError
from crisis_filter.schema import Failure

__all__ = ["OPTIONS", "moderating", "read"]

OPTIONS: Choices = {}


def moderating(moderation: Moderation, deadline_s: float) -> Ask:
    """Ask an endpoint about one text."""

    async def ask(text: str) -> Told:
        try:
            reply = await moderation.moderate(text, deadline_s)
        except BackendError as error:
            failure = Failure(fault=error.fault, detail=error.detail)
            return Told(failure, attempts=error.attempts, troubles=error.troubles)
        return Told(read(reply), model=reply.model, attempts=reply.attempts, troubles=reply.troubles)

    return ask


def read(reply: ModerationReply) -> Said:
    """The verdict, and as its score the highest of all categories': the flag is that of any category too."""
    score = max(reply.scores.values(), default=None)
    return Said(
        flagged=reply.flagged,
        labels=tuple(key for key, flagged in reply.categories.items() if flagged),
        score=score,
        score_source="classifier" if score is not None else None,
        fault=reply.fault,
    )
