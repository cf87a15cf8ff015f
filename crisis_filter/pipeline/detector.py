"""A detector: the two stages together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from crisis_filter.stages.base import Categoriser, Screener
from crisis_filter.stages.cascade import Cascade


async def _nothing_to_close() -> None:
    return None


@dataclass(frozen=True, slots=True)
class TwoStages:
    """Stage 1 and Stage 2, with the name that provenance gives them."""

    name: str
    screener: Screener
    categoriser: Categoriser
    sole: bool = False
    """Whether it is the embedded engine as the operator's only detector; marked in every assessment."""
    cascade: Cascade | None = None
    """The engine that looks first, if any."""
    at_prevalence: Callable[[float], float] | None = None
    """Adjusts a score of the engine to the share of crises that the user named."""
    aclose: Callable[[], Awaitable[None]] = _nothing_to_close
    """Releases what the stages hold open."""
