"""Asking the plan's provider what a candidate says of messages: Stage 1 as the pipeline does it, each answer written down."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from crisis_filter.backends.base import Backend
from crisis_filter.experiments.calls import Calls, Listening, asking_about
from crisis_filter.experiments.optimize.feedback import Case
from crisis_filter.experiments.optimize.purse import HaltError, Purse
from crisis_filter.experiments.running import NO_REPLY, timeless
from crisis_filter.pipeline.description import FilterSpec
from crisis_filter.pipeline.detector import TwoStages
from crisis_filter.pipeline.filter import CrisisFilter
from crisis_filter.prompting.prompt import Prompt
from crisis_filter.prompting.render import render
from crisis_filter.schema import UNSPECIFIED, Assessment, PromptRef
from crisis_filter.stages.base import Categories, Named, Sorted
from crisis_filter.stages.screen import PromptedScreen
from crisis_filter.stages.votes import VotedScreen
from crisis_filter.taxonomy.load import load_taxonomy
from crisis_filter.taxonomy.records import Taxonomy
from crisis_filter.triage.policy import Policy
from crisis_filter.triage.resources import load_resources

__all__ = ["Judging", "stage_one"]

_PATIENCE = 10
_SHOWN = 12


class _NotAsked:
    """A Stage 2 that names nothing: what is rewritten is Stage 1, and a second question to every crisis would be paid for nothing."""

    @property
    def prompt(self) -> PromptRef | None:
        """There is none."""
        return None

    async def categorise(self, _text: str, _deadline_s: float) -> Sorted:
        """A crisis of no named kind, which is no fault."""
        return Sorted(Categories(named=(Named(category=UNSPECIFIED),)))


def stage_one(spec: FilterSpec, policy: Policy, taxonomy: Taxonomy, prompt: Prompt, backend: Backend) -> CrisisFilter:
    """A filter that judges with one Stage 1 prompt and names no kinds: views, chunks, votes and checks are those of the pipeline.

    Raises:
        AssetError: the prompt does not render for the taxonomy.
    """
    if spec.deadline_s is not None:
        limits = policy.limits.model_copy(update={"deadline_s": spec.deadline_s})
        policy = policy.model_copy(update={"limits": limits})
    own = spec.taxonomy is None or load_taxonomy(policy.stages.taxonomy).id == taxonomy.id
    policy = policy.for_taxonomy(taxonomy, own=own)
    threshold, votes = policy.thresholds.prompted_screen, policy.votes
    asked = PromptedScreen(backend, render(prompt, taxonomy), threshold=threshold)
    screener = VotedScreen(asked, count=votes.count, threshold=threshold, margin=votes.margin)
    stages = TwoStages(name=backend.name, screener=screener, categoriser=_NotAsked())
    resources = load_resources(policy.resources.pack)
    # A clock that stands still gives each stage the whole deadline, so that a replay, in which no time passes, asks the same.
    return CrisisFilter(stages, taxonomy, policy, resources, clock=lambda: 0.0)


class Judging:
    """The judge of a search.

    Args:
        opened: makes the filter for a prompt and a language model.
        backend: who is asked; `None` replays.
        name: of the backend, as in provenance.
        asked: hash of who is asked, with which settings.
        calls: take what is said.
        purse: says whether more may be asked.
        concurrency: messages in work at once.
        tell: is told after every new answer.
    """

    def __init__(
        self,
        opened: Callable[[Prompt, Backend], CrisisFilter],
        backend: Backend | None,
        name: str,
        asked: str,
        calls: Calls,
        purse: Purse,
        *,
        concurrency: int,
        tell: Callable[[], None],
    ) -> None:
        self._opened = opened
        self._backend = backend
        self._name = name
        self._asked = asked
        self._calls = calls
        self._purse = purse
        self._concurrency = concurrency
        self._tell = tell
        self._filters: dict[str, CrisisFilter] = {}
        """By hash of the prompt; making one ready takes longer than a question's share."""
        self._said: dict[tuple[str, str], Assessment] = {}
        self._paid = {(call.variant, call.item) for call in calls.records if call.reply is not None}
        self._silent = 0

    @property
    def judged(self) -> int:
        """Answers so far in this search; the same prompt about the same message counts once."""
        return len(self._said)

    @property
    def faults(self) -> int:
        """Answers that a fault of the service left undetermined."""
        return sum(a.fault in NO_REPLY for a in self._said.values() if a.outcome == "undetermined")

    def said(self, prompt: Prompt, item: str) -> Assessment:
        """What was said before.

        Raises:
            KeyError: nothing was.
        """
        return self._said[prompt.sha256, item]

    async def judge(self, prompt: Prompt, cases: Sequence[Case]) -> list[Assessment]:
        """What a prompt makes of messages, those that it was asked about before from memory.

        Raises:
            HaltError: the budget is spent, or nobody answers.
            ConfigurationError: an answer cannot be written down.
        """
        variant = f"candidate {prompt.sha256[:_SHOWN]}"
        asked = {case.item.id: case for case in cases}  # a small training set comes with repeats
        left = deque(case for name, case in asked.items() if (prompt.sha256, name) not in self._said)
        if left and prompt.sha256 not in self._filters:
            listening = Listening(self._name, self._asked, variant, self._calls, self._backend)
            self._filters[prompt.sha256] = self._opened(prompt, listening)
        places = asyncio.Semaphore(self._concurrency)
        while left:
            await asyncio.gather(*(self._one(prompt, case, places) for case in self._round(left, variant)))
            if self._calls.broken is not None:
                raise self._calls.broken
            if self._silent >= _PATIENCE:
                raise HaltError("silence")
        return [self._said[prompt.sha256, case.item.id] for case in cases]

    def _round(self, left: deque[Case], variant: str) -> Iterable[Case]:
        """The messages to ask about next: all of them, or where there is a budget as many as it bears."""
        found: list[Case] = []
        fresh = 0
        while left and (not self._purse.bound or len(found) < self._concurrency):
            # What was paid before a stop is asked again without a price.
            paid = self._backend is None or (variant, left[0].item.id) in self._paid
            if not paid and not self._purse.allows("judge", fresh):
                break
            fresh += not paid
            found.append(left.popleft())
        if not found:
            raise HaltError("budget")
        return found

    async def _one(self, prompt: Prompt, case: Case, places: asyncio.Semaphore) -> None:
        async with places:
            if self._silent >= _PATIENCE or self._calls.broken is not None:
                return
            with asking_about(case.item.id, 1):
                assessment = timeless(await self._filters[prompt.sha256].assess(case.message))
        lost = assessment.outcome == "undetermined" and assessment.fault in NO_REPLY
        self._silent = self._silent + 1 if lost and self._backend is not None else 0
        if self._calls.broken is None:
            self._said[prompt.sha256, case.item.id] = assessment
            self._tell()
