"""The door to GEPA: its loop in a thread, our judge and our reflection model behind it, and none of its own files, logs or models.

GEPA is written for code that waits; ours does not. So its loop runs in a thread, and what it asks is done in the event loop. What stops it
(a signal, the budget, a bug) is no `Exception`, because GEPA would take one for a proposal that failed and go on.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, Protocol, TypeVar

from crisis_filter.errors import AssetError, ConfigurationError
from crisis_filter.experiments.optimize.drafts import SeedFile
from crisis_filter.experiments.optimize.feedback import RIGHT, Case, is_right, score, told
from crisis_filter.experiments.optimize.judging import Judging
from crisis_filter.experiments.optimize.proposals import Private, Rejection, rejection
from crisis_filter.experiments.optimize.reflecting import Reflecting
from crisis_filter.experiments.optimize.sections import Template
from crisis_filter.prompting.prompt import Prompt
from crisis_filter.prompting.render import render
from crisis_filter.schema import Assessment
from crisis_filter.taxonomy.records import Taxonomy

__all__ = ["Ended", "Found", "Search", "Stopper", "require_gepa", "searched"]

_T = TypeVar("_T")
_PATIENCE = 10
_AGAIN_S = 0.05
Ended = Literal["max_calls", "nothing_to_learn", "no_proposals", "budget", "silence"]
"""`max_calls`: no further round fits. `nothing_to_learn`: twice through the training messages, no prompt got any wrong. `no_proposals`: ten
proposals in a row brought nothing that had not been tried. `budget`: the plan's is spent. `silence`: a model did not reply ten times in a row."""


class _Halted(BaseException):
    """Ends GEPA's loop from inside."""


def require_gepa() -> None:
    """Refuse to begin what could not be done.

    Raises:
        ConfigurationError: GEPA is not installed.
    """
    try:
        import gepa.api  # noqa: F401
    except ImportError:
        raise ConfigurationError("optimize needs GEPA: pip install 'crisis-filter[optimize]'") from None


@dataclass(frozen=True, slots=True)
class Found:
    """A candidate that was judged on every development message."""

    parts: Mapping[str, str] = field(repr=False)
    parents: tuple[int, ...]


@dataclass(slots=True)
class Search:
    """One search: what it works on, and what came of it so far."""

    seed: SeedFile
    template: Template
    taxonomy: Taxonomy
    learned: Sequence[Case]
    deciding: Sequence[Case]
    private: Private
    judging: Judging
    reflecting: Reflecting
    max_calls: int
    minibatch: int
    rng_seed: int
    found: list[Found] = field(default_factory=list)
    """The seed first."""
    rejected: Counter[Rejection] = field(default_factory=Counter)
    ended: Ended | None = None

    def prompt(self, parts: Mapping[str, str]) -> Prompt:
        """The prompt that parts make; the seed itself where they are the seed's."""
        if dict(parts) == self.template.parts:
            return self.seed.prompt
        return self.seed.draft(self.template.with_parts(parts))

    @property
    def least(self) -> int:
        """Answers that the seed and one proposal may need."""
        return len(self.deciding) + self.round

    @property
    def round(self) -> int:
        """Most answers that one round may ask for: parent and child on a batch, and the child on development."""
        return 2 * self.minibatch + len(self.deciding)


class Stopper:
    """Says before every round whether there is another."""

    def __init__(self, search: Search) -> None:
        self._search = search
        self._judged = -1
        self._asked = 0
        self._since = 0
        self._idle = 0
        self._epochs = 2 * -(-len(search.learned) // search.minibatch)

    def __call__(self, gepa_state: object) -> bool:  # noqa: ARG002  # GEPA's name for it
        """Whether to stop; leaves the reason in the search."""
        search = self._search
        judged, asked = search.judging.judged, search.reflecting.asked
        # A round without a new answer or a proposal costs nothing and would go on for ever; one without a new answer costs a proposal.
        self._idle = self._idle + 1 if (judged, asked) == (self._judged, self._asked) else 0
        self._since = asked if judged != self._judged else self._since
        self._judged, self._asked = judged, asked
        if judged + search.round > search.max_calls:
            search.ended = "max_calls"
        elif asked - self._since >= _PATIENCE:
            search.ended = "no_proposals"
        elif self._idle > self._epochs:
            search.ended = "nothing_to_learn"
        return search.ended is not None


class _Caller(Protocol):
    def __call__(self, work: Callable[[], Coroutine[Any, Any, _T]]) -> _T: ...


class _Bridge:
    """From GEPA's thread into the event loop, and back."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._now: concurrent.futures.Future[Any] | None = None
        self._halted = False
        self.trouble: Exception | None = None
        """What ended the search, if an error did."""

    def __call__(self, work: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        """Do something in the event loop and wait for it.

        Raises:
            _Halted: it failed, or the search is to end.
        """
        if self._halted:
            raise _Halted
        self._now = now = asyncio.run_coroutine_threadsafe(work(), self._loop)
        try:
            return now.result()
        except concurrent.futures.CancelledError:
            raise _Halted from None
        except Exception as error:  # noqa: BLE001  # GEPA would swallow it; whoever began the search raises it again
            self.trouble = error
            self._halted = True
            raise _Halted from None

    def halt(self) -> None:
        """End the search at its next question, and the one in work now."""
        self._halted = True
        if self._now is not None:
            self._now.cancel()


class _Silent:
    """Takes GEPA's log, in which texts and answers stand, and keeps nothing."""

    def log(self, message: str) -> None:
        """Nothing."""


class _Listener:
    """Notes every candidate that was judged on all of development."""

    def __init__(self, search: Search) -> None:
        self._search = search

    def on_valset_evaluated(self, event: Mapping[str, Any]) -> None:
        """A candidate, in the order in which GEPA numbers them."""
        self._search.found.append(Found(dict(event["candidate"]), tuple(event["parent_ids"])))


class _Adapter:
    """GEPA's three questions, answered by our own parts."""

    def __init__(self, search: Search, caller: _Caller) -> None:
        self._search = search
        self._call = caller

    def evaluate(self, batch: list[Case], candidate: dict[str, str], capture_traces: bool = False) -> Any:
        """Scores of one candidate on messages."""
        from gepa.core.adapter import EvaluationBatch

        search = self._search
        said = self._call(lambda: search.judging.judge(search.prompt(candidate), batch))
        return EvaluationBatch(
            outputs=[assessment.outcome for assessment in said],
            scores=[score(case, assessment) for case, assessment in zip(batch, said, strict=True)],
            trajectories=list(zip(batch, said, strict=True)) if capture_traces else None,
        )

    def make_reflective_dataset(
        self, _candidate: dict[str, str], eval_batch: Any, components_to_update: list[str]
    ) -> dict[str, list[dict[str, Any]]]:
        """What the reflection model is told, those that are wrong first."""
        said: list[tuple[Case, Assessment]] = sorted(eval_batch.trajectories, key=lambda pair: is_right(*pair))
        return {name: [{"case": told(*pair)} for pair in said] for name in components_to_update}

    def propose_new_texts(
        self,
        candidate: dict[str, str],
        reflective_dataset: Mapping[str, Sequence[Mapping[str, Any]]],
        components_to_update: list[str],
    ) -> dict[str, str]:
        """New texts of parts, those left out that cannot be tried."""
        search = self._search
        seeds, found = search.template.parts, {}
        for name in components_to_update:
            cases = [str(one["case"]) for one in reflective_dataset[name]]
            text, seed = candidate[name], seeds[name]
            proposal = self._call(partial(search.reflecting.propose, name, text, seed, cases))
            why = proposal.rejected or rejection(text, seed, proposal.text, search.private)
            why = why or self._whole({**candidate, name: proposal.text})
            if why is not None:
                search.rejected[why] += 1
                continue
            found[name] = proposal.text
        return found

    def _whole(self, parts: Mapping[str, str]) -> Rejection | None:
        """Why the prompt as a whole cannot be tried: it has to make a stable part that asks for the nonce as the seed does."""
        search = self._search
        if any(parts == found.parts for found in search.found):
            return "known"
        try:
            ready = render(search.prompt(parts), search.taxonomy)
        except AssetError:
            return "does_not_render"
        seed = render(search.seed.prompt, search.taxonomy)
        return None if ready.system.count("nonce") == seed.system.count("nonce") else "does_not_render"


async def searched(search: Search) -> None:
    """Do the whole search; what it finds is in it.

    Raises:
        Exception: whatever ended it but the end of its own rules; candidates that were found before stand.
        asyncio.CancelledError: it was stopped; the thread has ended by then.
    """
    bridge = _Bridge(asyncio.get_running_loop())
    thread = asyncio.create_task(asyncio.to_thread(_loop, search, bridge))
    try:
        await asyncio.shield(thread)
    except asyncio.CancelledError:
        while not thread.done():
            # Again and again, for it may just have been about to ask.
            bridge.halt()
            await asyncio.wait({thread}, timeout=_AGAIN_S)
        raise
    if bridge.trouble is not None:
        raise bridge.trouble


def _loop(search: Search, bridge: _Bridge) -> None:
    from gepa.api import optimize

    # GEPA's protocols ask for more than it calls.
    adapter: Any = _Adapter(search, bridge)
    listeners: list[Any] = [_Listener(search)]
    try:
        optimize(
            seed_candidate=search.template.parts,
            trainset=list(search.learned),
            valset=list(search.deciding),
            adapter=adapter,
            candidate_selection_strategy="pareto",
            perfect_score=RIGHT,
            reflection_minibatch_size=search.minibatch,
            stop_callbacks=Stopper(search),
            logger=_Silent(),
            callbacks=listeners,
            run_dir=None,
            track_best_outputs=False,
            # Its cache takes the third training message for the third of development.
            cache_evaluation=False,
            seed=search.rng_seed,
        )
    except _Halted:
        return
