"""What one message has met and used on its way; becomes its provenance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from crisis_filter.assets import package_version
from crisis_filter.schema import Failure, Flag, PromptRef, Provenance
from crisis_filter.stages.base import Cost

Clock = Callable[[], float]
"""Seconds on a clock that never goes back."""


@dataclass(slots=True)
class Journey:
    """A running tally for one message. Lives for one call of `assess` and is never shared."""

    started: float
    """Reading of the monotonic clock, in seconds."""
    deadline_s: float
    flags: set[Flag] = field(default_factory=set)
    views: int = 0
    attempts: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    quotes_dropped: int = 0
    model: str | None = None
    fault: Failure | None = None
    """The first trouble of Stage 2."""

    def left(self, now: float) -> float:
        """Seconds of the deadline that remain; zero or less when it has passed."""
        return self.started + self.deadline_s - now

    def notice(self, flags: frozenset[Flag], *, views: int, obfuscated: bool, chunked: bool) -> None:
        """Take in what is known of the message before it is judged."""
        self.flags |= flags
        self.views = views
        if obfuscated:
            self.flags.add("obfuscated")
        if chunked:
            self.flags.add("chunked")

    def add(self, cost: Cost) -> None:
        """Count what a stage's call used."""
        self.attempts += cost.attempts
        self.prompt_tokens += cost.prompt_tokens
        self.completion_tokens += cost.completion_tokens
        self.model = cost.model or self.model

    def fail(self, failure: Failure) -> None:
        """Keep the first trouble."""
        self.fault = self.fault or failure

    def provenance(
        self,
        *,
        now: float,
        detector: str,
        prompts: tuple[PromptRef, ...],
        taxonomy: PromptRef,
        policy: PromptRef,
    ) -> Provenance:
        """The record that goes with the assessment."""
        return Provenance(
            detector=detector,
            model=self.model,
            prompts=prompts,
            taxonomy=taxonomy,
            policy=policy,
            version=package_version(),
            views=self.views,
            attempts=self.attempts,
            quotes_dropped=self.quotes_dropped,
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            elapsed_ms=round((now - self.started) * 1000, 3),
        )
