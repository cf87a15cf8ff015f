"""A cascade: the engine looks first and orders the work, the language model decides.

Without a clearing threshold every message goes to the language model, the likeliest crisis first where they have to wait (`turns`). With one, which the operator has
validated, a message is left to the engine where its score is below, and nothing about it is out of the ordinary; a random share of those
is asked about all the same.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from crisis_filter.schema import NEVER_CLEARED, CascadeStep, Flag
from crisis_filter.stages.base import Cost, Screened

if TYPE_CHECKING:
    from crisis_filter.stages.clearing import Clearing
    from crisis_filter.stages.engine import EngineStages


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
    """

    engine: EngineStages
    name: str
    clearing: Clearing | None = None
    sample: float = 0.02
    seed: int = 0

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
        if look.score is None or not look.score < limit:
            return self.asked(look)
        step: Literal["sampled", "cleared"] = "sampled" if self._drawn(message_id, text) else "cleared"
        return self.asked(look).model_copy(update={"step": step})

    def asked(self, look: Look) -> CascadeStep:
        """That the language model is asked about a message."""
        clearing = self.clearing.ref if self.clearing is not None else None
        return CascadeStep(step="asked", score=look.score, engine=self.engine.sha256, clearing=clearing)

    def _drawn(self, message_id: str, text: str) -> bool:
        """Whether a message falls into the random sample: by its hash, so that a run that is taken up again draws the same."""
        told = f"{self.seed}\0{message_id}\0{text}".encode("utf-8", "surrogatepass")
        number = int.from_bytes(hashlib.sha256(told).digest()[:8], "big")
        return number < self.sample * 2**64

    def cleared(self, look: Look) -> Screened:
        """The engine's verdict on a message that is left to it."""
        return Screened(
            self.engine.verdict(look.score or 0.0, may_clear=True), Cost(model=self.engine.sha256, links=(self.name,))
        )
