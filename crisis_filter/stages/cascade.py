"""A cascade: the engine looks first and orders the work, the language model decides.

Without a clearing threshold every message goes to the language model, the likeliest crisis first. With one, which the operator has
validated, a message is left to the engine where its score is below, and nothing about it is out of the ordinary; a random share of those
is asked about all the same.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from crisis_filter.schema import NEVER_CLEARED, CascadeStep, Flag
from crisis_filter.stages.base import Cost, Screened
from crisis_filter.stages.turns import Turns

if TYPE_CHECKING:
    from crisis_filter.stages.clearing import Clearing
    from crisis_filter.stages.engine import EngineStages

_CERTAIN = 1.0


@dataclass(frozen=True, slots=True)
class Look:
    """What the engine saw of a message, and whether it may be left at that."""

    score: float | None
    """The highest of any view and piece, 0 to 1; `None` where the engine gave none for one of them."""
    clearable: bool
    """Whether nothing but the score could keep the engine from clearing it."""


UNSEEN = Look(None, clearable=False)
"""Of a message that the engine could not look at."""


@dataclass(frozen=True, slots=True)
class Cascade:
    """The engine before a language model.

    Args:
        engine: scores texts.
        name: the engine's, as a link of the chain.
        clearing: the operator's validated threshold; without one nothing is cleared.
        sample: share of what would be cleared that is asked about all the same, 0 to 1.
        seed: decides which.
        turns: places at the language model.
    """

    engine: EngineStages
    name: str
    clearing: Clearing | None = None
    sample: float = 0.02
    seed: int = 0
    turns: Turns = field(default_factory=lambda: Turns(8))

    async def look(
        self, texts: Sequence[str], flags: Collection[Flag], *, whole: bool, languages: Collection[str]
    ) -> Look:
        """Score a message, and see whether it is one that may be cleared at all.

        Args:
            texts: every view and piece of it; at least one.
            flags: what was noticed of it so far.
            whole: whether it has one view and one piece only: nothing in it was hidden or had to be cut.
            languages: those that the policy's detectors were measured in; the clearing threshold's own bind as well.
        """
        scores = [await self.engine.score(text) for text in texts]
        known = [score for score in scores if score is not None]
        if len(known) < len(scores):
            return UNSEEN
        if self.clearing is None or not whole or NEVER_CLEARED.keys() & set(flags):
            return Look(max(known), clearable=False)
        both = tuple(tag for tag in self.clearing.languages if tag in languages)
        clearable = await asyncio.to_thread(
            self.engine.clearable, texts[0], languages=both, most_characters=self.clearing.most_characters
        )
        return Look(max(known), clearable=clearable)

    def step(self, message_id: str, text: str, look: Look) -> CascadeStep:
        """What becomes of a message after the look."""
        limit = self.clearing.threshold if self.clearing is not None and look.clearable else 0.0
        below = look.score is not None and look.score < limit
        return CascadeStep(
            step="asked" if not below else "sampled" if self._drawn(message_id, text) else "cleared",
            score=look.score,
            engine=self.engine.sha256,
            clearing=self.clearing.ref if self.clearing is not None else None,
        )

    def _drawn(self, message_id: str, text: str) -> bool:
        """Whether a message falls into the random sample: by its hash, so that a run that is taken up again draws the same."""
        told = f"{self.seed}\0{message_id}\0{text}".encode("utf-8", "surrogatepass")
        number = int.from_bytes(hashlib.sha256(told).digest()[:8], "big")
        return number < self.sample * 2**64

    def in_turn(
        self, screen: Callable[[str, float], Awaitable[Screened]], look: Look
    ) -> Callable[[str, float], Awaitable[Screened]]:
        """Stage 1 of the language model, the likeliest crisis first; a message without a score counts as certain."""
        score = _CERTAIN if look.score is None else look.score

        async def waited(text: str, deadline_s: float) -> Screened:
            loop = asyncio.get_running_loop()
            end = loop.time() + deadline_s
            async with self.turns.turn(score):
                return await screen(text, end - loop.time())

        return waited

    def cleared(self, look: Look) -> Screened:
        """The engine's verdict on a message that is left to it."""
        return Screened(
            self.engine.verdict(look.score or 0.0, may_clear=True), Cost(model=self.engine.sha256, links=(self.name,))
        )
