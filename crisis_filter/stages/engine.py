"""Both stages by the embedded engine."""

from __future__ import annotations

import asyncio
import math
import threading
from concurrent.futures import ThreadPoolExecutor

from crisis_filter.errors import EngineError
from crisis_filter.local.engine import LocalEngine
from crisis_filter.local.evidence import Moved, moving_words
from crisis_filter.schema import Failure, Fault, PromptRef, ScreenVerdict
from crisis_filter.stages.base import Categories, Cost, Named, Screened, Sorted
from crisis_filter.text import beyond_latin, runs_together
from crisis_filter.text.attack import attack_seen
from crisis_filter.text.language import unvalidated

# A unit or a symbol (50 μg, Ω) is no other language.
_MOST_FOREIGN_LETTERS = 2
# Above this share of unknown tokens a low probability says nothing about the message.
_MOST_UNKNOWN = 0.3
# Evidence is worth a wait, and never a verdict that comes too late.
_EVIDENCE_S = 1.0
_EVIDENCE_SHARE = 0.25
_SHORTEST_S = 0.02


class EngineStages:
    """Screen and categorise with the embedded engine.

    Args:
        engine: a loaded engine.
        may_clear: whether it is the operator's named sole detector; otherwise it can only raise (law 2).
        threshold: probability at or above which a text is a crisis; `None` takes the engine's own.
        workers: texts scored at once, each in a thread of its own.
        evidence: whether categories come with the words that moved them; they are left out where there is no time.
    """

    prompt: PromptRef | None = None

    def __init__(
        self,
        engine: LocalEngine,
        *,
        may_clear: bool,
        threshold: float | None = None,
        workers: int = 2,
        evidence: bool = False,
    ) -> None:
        self._engine = engine
        self._may_clear = may_clear
        self._threshold = engine.thresholds[0] if threshold is None else threshold
        # Threads of its own: when an endpoint hangs, many messages come here at once, and those that are done must not wait behind.
        self._pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="crisis-filter-engine")
        # One more for evidence, so that no verdict waits behind it.
        self._looking = (
            ThreadPoolExecutor(max_workers=1, thread_name_prefix="crisis-filter-evidence") if evidence else None
        )

    async def aclose(self) -> None:
        """Let the threads go; a text that is being scored is not waited for. Calling it twice does nothing."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        if self._looking is not None:
            self._looking.shutdown(wait=False, cancel_futures=True)

    async def screen(self, text: str, deadline_s: float) -> Screened:  # noqa: ARG002  # the protocol has it
        """Judge one text; the engine takes milliseconds, so the deadline is not used."""
        row = await self._row(text)
        if isinstance(row, Failure):
            return Screened(row)
        probability = row[0]
        if probability < self._threshold and self.unread(text):
            detail = "the embedded engine cannot read all of this text"
            return Screened(Failure(fault=Fault.UNVALIDATED_LANGUAGE, detail=detail))
        return Screened(self.verdict(probability, may_clear=self._may_clear), Cost(model=self._engine.sha256))

    def verdict(self, probability: float, *, may_clear: bool) -> ScreenVerdict:
        """What a probability of crisis says, 0 to 1."""
        return ScreenVerdict(
            crisis=probability >= self._threshold,
            may_clear=may_clear,
            score=probability,
            score_source="engine",
        )

    async def score(self, text: str) -> float | None:
        """Probability of crisis of one text, 0 to 1; `None` when the engine gives no answer."""
        row = await self._row(text)
        return None if isinstance(row, Failure) else row[0]

    @property
    def sha256(self) -> str:
        """The engine's."""
        return self._engine.sha256

    @property
    def threshold(self) -> float:
        """Probability at or above which a text is a crisis."""
        return self._threshold

    async def categorise(self, text: str, deadline_s: float) -> Sorted:
        """Name the categories at or above their thresholds, or the likeliest one when none is, with the words that moved them."""
        end = asyncio.get_running_loop().time() + deadline_s
        row = await self._row(text)
        if isinstance(row, Failure):
            return Sorted(row)
        scored = list(zip(self._engine.labels[1:], row[1:], self._engine.thresholds[1:], strict=True))
        present = [(name, p) for name, p, threshold in scored if p >= threshold]
        if not present:
            present = [max(((name, p) for name, p, _ in scored), key=lambda pair: pair[1])]
        moved = await self._evidence(text, end)
        return Sorted(
            Categories(
                named=tuple(
                    Named(
                        category=name,
                        probability=p,
                        quotes=moved.phrases(self._engine.labels.index(name)) if moved is not None else (),
                    )
                    for name, p in present
                )
            )
        )

    async def _evidence(self, text: str, end: float) -> Moved | None:
        """The words that moved the scores; `None` where they are not wanted, or not found in a small share of what is left until `end`."""
        loop = asyncio.get_running_loop()
        budget = min(_EVIDENCE_S, _EVIDENCE_SHARE * (end - loop.time()))
        if self._looking is None or budget < _SHORTEST_S:
            return None
        stopped = threading.Event()
        try:
            async with asyncio.timeout(budget):
                return await loop.run_in_executor(
                    self._looking, lambda: moving_words(self._engine, text, go_on=lambda: not stopped.is_set())
                )
        except Exception:  # noqa: BLE001  # the categories stand without it: TimeoutError, EngineError, a pool that was closed
            return None
        finally:
            stopped.set()

    def clearable(self, text: str, *, languages: tuple[str, ...], most_characters: int) -> bool:
        """Whether nothing but its score could keep a text from being cleared in a cascade.

        Args:
            text: the only view of a message.
            languages: BCP 47 primary tags in which clearing was validated.
            most_characters: a longer text is not cleared.
        """
        return (
            len(text) <= most_characters
            and bool(languages)
            and not self.unread(text)
            and not attack_seen(text)
            and not unvalidated(text, languages)
        )

    def unread(self, text: str) -> bool:
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
