"""What one message has met and used on its way; becomes its provenance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from crisis_filter.assets import package_version
from crisis_filter.errors import FAULTS
from crisis_filter.schema import CascadeStep, Failure, Flag, LinkFault, PromptRef, Provenance
from crisis_filter.stages.base import Cost

_TO_FINISH_S = 0.2
_LARGEST_SHARE = 0.1

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
    cost: Cost = field(default_factory=Cost)
    """What both stages used and met."""
    quotes_dropped: int = 0
    cascade: CascadeStep | None = None
    """What a cascade made of it."""
    fault: Failure | None = None
    """The first trouble of Stage 2."""

    def left(self, now: float) -> float:
        """Seconds that the stages have left; zero or less when their time is up.

        They end a little before the deadline, because many messages may reach it together and each is finished one by one.
        """
        return self.started + self.deadline_s - min(_TO_FINISH_S, _LARGEST_SHARE * self.deadline_s) - now

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
        self.cost += cost
        if cost.danger:
            self.flags.add("filter_named_danger")
        if cost.attack:
            self.flags.add("injection_suspected")
        if any(FAULTS[fault].sign for _, fault in cost.troubles):
            self.flags.add("refused_or_filtered")

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
        cost = self.cost
        return Provenance(
            detector=detector,
            model=cost.model,
            prompts=prompts,
            taxonomy=taxonomy,
            policy=policy,
            version=package_version(),
            views=self.views,
            attempts=cost.attempts,
            quotes_dropped=self.quotes_dropped,
            prompt_tokens=cost.prompt_tokens,
            completion_tokens=cost.completion_tokens,
            answered_by=tuple(dict.fromkeys(cost.links)),
            link_faults=tuple(
                LinkFault(link=link, fault=fault, times=times)
                for (link, fault), times in Counter(cost.troubles).items()
            ),
            votes=cost.votes,
            flips=cost.flips,
            cascade=self.cascade,
            elapsed_ms=round((now - self.started) * 1000, 3),
        )
