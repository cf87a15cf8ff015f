"""Both stages by the embedded engine."""

from __future__ import annotations

import asyncio
import math
from concurrent.futures import ThreadPoolExecutor

from crisis_filter.errors import EngineError
from crisis_filter.local.engine import LocalEngine
from crisis_filter.schema import Failure, Fault, PromptRef, ScreenVerdict
from crisis_filter.stages.base import Categories, Cost, Named, Screened, Sorted
from crisis_filter.text import beyond_latin, runs_together

# A unit or a symbol (50 μg, Ω) is no other language.
_MOST_FOREIGN_LETTERS = 2
# Above this share of unknown tokens a low probability says nothing about the message.
_MOST_UNKNOWN = 0.3


class EngineStages:
    """Screen and categorise with the embedded engine.

    Args:
        engine: a loaded engine.
        may_clear: whether it is the operator's named sole detector; otherwise it can only raise (law 2).
        threshold: probability at or above which a text is a crisis; `None` takes the engine's own.
        workers: texts scored at once, each in a thread of its own.
    """

    prompt: PromptRef | None = None

    def __init__(
        self, engine: LocalEngine, *, may_clear: bool, threshold: float | None = None, workers: int = 2
    ) -> None:
        self._engine = engine
        self._may_clear = may_clear
        self._threshold = engine.thresholds[0] if threshold is None else threshold
        # Threads of its own: when an endpoint hangs, many messages come here at once, and those that are done must not wait behind.
        self._pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="crisis-filter-engine")

    async def aclose(self) -> None:
        """Let the threads go; a text that is being scored is not waited for. Calling it twice does nothing."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def screen(self, text: str, deadline_s: float) -> Screened:  # noqa: ARG002  # the protocol has it
        """Judge one text; the engine takes milliseconds, so the deadline is not used."""
        row = await self._row(text)
        if isinstance(row, Failure):
            return Screened(row)
        probability = row[0]
        if probability < self._threshold and self._unread(text):
            detail = "the embedded engine cannot read all of this text"
            return Screened(Failure(fault=Fault.UNVALIDATED_LANGUAGE, detail=detail))
        return Screened(
            ScreenVerdict(
                crisis=probability >= self._threshold,
                may_clear=self._may_clear,
                score=probability,
                score_source="engine",
            ),
            Cost(model=self._engine.sha256),
        )

    async def categorise(self, text: str, deadline_s: float) -> Sorted:  # noqa: ARG002  # the protocol has it
        """Name the categories at or above their thresholds, or the likeliest one when none is."""
        row = await self._row(text)
        if isinstance(row, Failure):
            return Sorted(row)
        scored = list(zip(self._engine.labels[1:], row[1:], self._engine.thresholds[1:], strict=True))
        present = [(name, p) for name, p, threshold in scored if p >= threshold]
        if not present:
            present = [max(((name, p) for name, p, _ in scored), key=lambda pair: pair[1])]
        return Sorted(Categories(named=tuple(Named(category=name, probability=p) for name, p in present)))

    def _unread(self, text: str) -> bool:
        """Whether part of the text is beyond the engine, so that a low probability says nothing about that part.

        Its vocabulary holds single letters of many scripts without knowing a word of them, so letters are counted, not
        their share: a sentence hidden behind a page of English counts the same.
        """
        return (
            beyond_latin(text) > _MOST_FOREIGN_LETTERS
            or runs_together(text)
            or self._engine.unknown(text) > _MOST_UNKNOWN
        )

    async def _row(self, text: str) -> tuple[float, ...] | Failure:
        """Probabilities of crisis and of each category, in the engine's order."""
        try:
            # A thread, because the runtime lets go of the interpreter while it computes.
            scored = await asyncio.get_running_loop().run_in_executor(self._pool, self._engine.score, text)
            row = tuple(float(p) for p in scored)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            return Failure(fault=Fault.INTERNAL, detail="the filter was closed")
        except EngineError:
            return Failure(fault=Fault.LOCAL_MODEL, detail="the embedded engine gave no finite answer")
        if len(row) != len(self._engine.labels) or not all(math.isfinite(p) and 0.0 <= p <= 1.0 for p in row):
            return Failure(fault=Fault.LOCAL_MODEL, detail="the embedded engine gave no finite answer")
        return row
