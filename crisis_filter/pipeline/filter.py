"""`CrisisFilter`: views ► screen ► categorise ► checked evidence ► triage ► `Assessment`.

Whatever happens inside, `assess` returns an assessment, and only `schema.conclude` can make it `no_crisis`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

from crisis_filter.pipeline.detector import TwoStages
from crisis_filter.pipeline.feed import Feed
from crisis_filter.pipeline.join import join_findings, join_subjects, join_timeframes
from crisis_filter.pipeline.journey import Journey
from crisis_filter.schema import (
    UNSPECIFIED,
    Assessment,
    Failure,
    Fault,
    Finding,
    Flag,
    Message,
    Provenance,
    Screening,
    ScreenVerdict,
    conclude,
)
from crisis_filter.stages.base import Named, Screened, Sorted
from crisis_filter.taxonomy.records import Taxonomy
from crisis_filter.text import QuoteFinder, View, chunks, mended, views
from crisis_filter.triage.policy import Limits, Policy
from crisis_filter.triage.resources import ResourcePack
from crisis_filter.triage.route import triage

_log = logging.getLogger(__name__)
_ResultT = TypeVar("_ResultT", Screened, Sorted)

_GRACE_S = 0.05

Clock = Callable[[], float]
"""Seconds on a clock that never goes back."""


@dataclass(frozen=True, slots=True)
class _Staged:
    """What both stages found."""

    findings: tuple[Finding, ...]
    screen: Screening


class CrisisFilter:
    """Reads messages and says whether somebody is in a behavioural-health crisis, and of which kind.

    `crisis_filter.pipeline.spec.open_filter` makes one from a frozen description; this constructor takes the parts.

    Args:
        detector: the two stages.
        taxonomy: the categories.
        policy: limits and routing.
        resources: what people may be offered.
        clock: a monotonic clock, for deadlines and timing.
    """

    def __init__(
        self,
        detector: TwoStages,
        taxonomy: Taxonomy,
        policy: Policy,
        resources: ResourcePack,
        *,
        clock: Clock = time.monotonic,
    ) -> None:
        self._detector = detector
        self.taxonomy = taxonomy
        self.policy = policy
        self._resources = resources
        self._clock = clock
        self._runner: asyncio.Runner | None = None

    @property
    def detector(self) -> str:
        """Name of the detector, as in provenance."""
        return self._detector.name

    async def assess(self, message: Message) -> Assessment:
        """Assess one message. Raises nothing but cancellation: every trouble is an undetermined assessment."""
        journey = Journey(self._clock(), self.policy.limits.deadline_s)
        if (text := mended(message.text)) != message.text:
            repaired: frozenset[Flag] = frozenset({"encoding_repaired"})
            message = message.model_copy(update={"text": text, "flags": message.flags | repaired})
        try:
            assessment = await self._judge(message, journey)
            disposition = triage(assessment, self.policy, self._resources, message.locale)
        except Exception as error:  # noqa: BLE001  # a bug must end at a person, never as a lost message
            # The type alone: an exception's words may hold the message.
            _log.error("assessment failed with %s", type(error).__name__)  # a traceback holds the text
            assessment = self._undetermined(
                message, journey, Failure(fault=Fault.INTERNAL, detail=type(error).__name__)
            )
            disposition = triage(assessment, self.policy, self._resources, message.locale)
        return assessment.model_copy(update={"disposition": disposition})

    async def assess_many(self, messages: Iterable[Message], *, concurrency: int = 8) -> AsyncGenerator[Assessment]:
        """Assess messages in their order, at most `concurrency` at a time.

        `messages` is iterated over in a thread, so a source that blocks holds nothing up; an assessment is yielded as soon as
        it and all before it are done.

        When iterating `messages` fails, what was read before is assessed and yielded first; then the error is raised.

        Raises:
            ValueError: `concurrency` is below 1.
        """
        if concurrency < 1:
            raise ValueError("concurrency must be at least 1")
        pending: deque[asyncio.Task[Assessment]] = deque()
        feed = Feed(messages, ahead=concurrency)
        reading: asyncio.Task[Message | None] | None = asyncio.create_task(feed.take())
        trouble: Exception | None = None
        try:
            while reading is not None or pending:
                # No more is read while as many as allowed are in work; a finished head goes out at once.
                waiting: list[asyncio.Task[Any]] = [pending[0]] if pending else []
                if reading is not None and len(pending) < concurrency:
                    waiting.append(reading)
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                while pending and pending[0].done():
                    yield pending.popleft().result()
                if reading is not None and reading.done() and len(pending) < concurrency:
                    message, trouble = _taken(reading)
                    reading = None
                    if message is not None:
                        pending.append(asyncio.create_task(self.assess(message)))
                        reading = asyncio.create_task(feed.take())
        finally:
            feed.stop()
            unfinished = [*pending, *([reading] if reading is not None else [])]
            for task in unfinished:
                task.cancel()
            await asyncio.gather(*unfinished, return_exceptions=True)
        if trouble is not None:
            raise trouble

    def classify(self, text: str, *, id: str = "message", locale: str | None = None) -> Assessment:  # noqa: A002
        """Assess one text without an event loop of your own; inside one, `await assess(...)` instead."""
        return self.classify_many([Message(id=id, text=text, locale=locale)])[0]

    def classify_many(self, messages: Iterable[Message], *, concurrency: int = 8) -> list[Assessment]:
        """Assess messages without an event loop of your own, in their order.

        Raises:
            RuntimeError: called inside a running event loop, which it would block.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            raise RuntimeError("an event loop is running here: await assess() or iterate over assess_many() instead")

        async def collect() -> list[Assessment]:
            return [a async for a in self.assess_many(messages, concurrency=concurrency)]

        if self._runner is None:
            # One loop for all calls, because a client's connections belong to the loop that opened them.
            self._runner = asyncio.Runner()
        return self._runner.run(collect())

    async def aclose(self) -> None:
        """Release connections and threads. Calling it twice does nothing."""
        await self._detector.aclose()

    def close(self) -> None:
        """`aclose` for those who use `classify`."""
        runner = self._runner or asyncio.Runner()
        runner.run(self.aclose())
        runner.close()
        self._runner = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def _judge(self, message: Message, journey: Journey) -> Assessment:
        unfit = _unfit(message, self.policy.limits)
        # In a thread: folding a long text takes long enough to make other messages late.
        readings = () if unfit else await asyncio.to_thread(views, message.text)
        if unfit is None and not readings:
            unfit = Failure(fault=Fault.EMPTY_CONTENT, detail="nothing visible in the text")
        if unfit is not None:
            return self._undetermined(message, journey, unfit)
        texts = _pieces(readings, self.policy.limits)
        journey.notice(
            message.flags, views=len(texts), obfuscated=len(readings) > 1, chunked=len(texts) > len(readings)
        )
        if self._detector.sole:
            journey.flags.add("sole_detector")
        screened = await self._each(texts, self._detector.screener.screen, journey, Screened)
        results = [s.result for s in screened]
        conclusion = conclude(results, frozenset(journey.flags))
        detail = next((r.detail for r in results if isinstance(r, Failure)), "")
        positive = [
            (text, result)
            for text, result in zip(texts, results, strict=True)
            if isinstance(result, ScreenVerdict) and result.crisis
        ]
        staged = await self._categorised(message, positive, journey) if positive else None
        fault = conclusion.fault or (journey.fault.fault if journey.fault else None)
        return Assessment(
            id=message.id,
            outcome=conclusion.outcome,
            score=conclusion.score,
            score_source=conclusion.score_source,
            findings=staged.findings if staged else (),
            fault=fault,
            fault_detail=detail or (journey.fault.detail if journey.fault else ""),
            flags=tuple(sorted(journey.flags)),
            screen=staged.screen if staged else _screening(QuoteFinder(message.text), results, journey),
            provenance=self._provenance(journey),
        )

    async def _categorised(
        self, message: Message, positive: Sequence[tuple[str, ScreenVerdict]], journey: Journey
    ) -> _Staged:
        """Stage 2; even a bug in it leaves a crisis of unspecified kind, for Stage 1 has spoken."""
        try:
            return await self._stage_two(message, positive, journey)
        except Exception as error:  # noqa: BLE001  # must not lower what Stage 1 said
            journey.fail(Failure(fault=Fault.INTERNAL, detail=type(error).__name__))
            return _Staged((Finding(category=UNSPECIFIED),), Screening())

    async def _stage_two(
        self, message: Message, positive: Sequence[tuple[str, ScreenVerdict]], journey: Journey
    ) -> _Staged:
        """Name the categories of the positive pieces; trouble leaves `unspecified`, never less than Stage 1 said."""
        finder = QuoteFinder(message.text)
        screen = await asyncio.to_thread(_screening, finder, [verdict for _, verdict in positive], journey)
        texts = [text for text, _ in positive]
        sorted_ = await self._each(texts, self._detector.categoriser.categorise, journey, Sorted)
        named: list[Named] = []
        for part in sorted_:
            if isinstance(part.result, Failure):
                journey.fail(part.result)
                continue
            named += part.result.named
            if part.result.fault is not None:
                journey.fail(Failure(fault=part.result.fault))
        if not named:
            if journey.fault is None:
                journey.flags.add("stage_conflict")
                journey.fail(Failure(fault=Fault.STAGE_CONFLICT, detail="Stage 2 found no category"))
            unspecified = Finding(
                category=UNSPECIFIED, subject=screen.subject, timeframe=screen.timeframe, evidence=screen.evidence
            )
            return _Staged((unspecified,), screen)
        findings, dropped = await asyncio.to_thread(join_findings, named, finder, self.taxonomy.ids)
        journey.quotes_dropped += dropped
        return _Staged(findings, screen)

    async def _each(
        self,
        texts: Sequence[str],
        stage: Callable[[str, float], Awaitable[_ResultT]],
        journey: Journey,
        wrap: Callable[[Failure], _ResultT],
    ) -> list[_ResultT]:
        """Run a stage over the pieces at once, each within what is left of the deadline; a bug in one is its failure."""

        async def one(text: str) -> _ResultT:
            left = journey.left(self._clock())
            if left <= 0:
                return wrap(Failure(fault=Fault.TIMEOUT, detail="the deadline passed"))
            try:
                # The stage knows its deadline and says more about missing it; this is for one that does not keep it.
                async with asyncio.timeout(left + _GRACE_S):
                    return await stage(text, left)
            except TimeoutError:
                return wrap(Failure(fault=Fault.TIMEOUT, detail="the deadline passed"))
            except Exception as error:  # noqa: BLE001  # other pieces may still raise the outcome
                return wrap(Failure(fault=Fault.INTERNAL, detail=type(error).__name__))

        results = list(await asyncio.gather(*(one(text) for text in texts)))
        for result in results:
            journey.add(result.cost)
        return results

    def _undetermined(self, message: Message, journey: Journey, failure: Failure) -> Assessment:
        conclusion = conclude([failure])
        return Assessment(
            id=message.id,
            outcome=conclusion.outcome,
            fault=conclusion.fault,
            fault_detail=failure.detail,
            flags=tuple(sorted(message.flags | journey.flags)),
            provenance=self._provenance(journey),
        )

    def _provenance(self, journey: Journey) -> Provenance:
        stages = (self._detector.screener, self._detector.categoriser)
        return journey.provenance(
            now=self._clock(),
            detector=self._detector.name,
            prompts=tuple(stage.prompt for stage in stages if stage.prompt is not None),
            taxonomy=self.taxonomy.ref,
            policy=self.policy.ref,
        )


def _taken(reading: asyncio.Task[Message | None]) -> tuple[Message | None, Exception | None]:
    """What the source gave, or the error it ended with."""
    try:
        return reading.result(), None
    except Exception as error:  # noqa: BLE001  # raised by the caller, after what was read before is out
        return None, error


def _unfit(message: Message, limits: Limits) -> Failure | None:
    """Why a message can't be judged at all, if so."""
    if message.unreadable:
        return Failure(fault=Fault.INPUT_UNREADABLE, detail="the row held no text")
    if len(message.text.encode("utf-8", "surrogatepass")) > limits.most_bytes:
        return Failure(fault=Fault.INPUT_TOO_LONG, detail=f"more than {limits.most_bytes} bytes")
    return None


def _pieces(readings: Sequence[View], limits: Limits) -> list[str]:
    size, overlap = limits.chunk_characters, limits.chunk_overlap
    return [piece for view in readings for piece in chunks(view.text, size=size, overlap=overlap)]


def _screening(finder: QuoteFinder, results: Sequence[ScreenVerdict | Failure], journey: Journey) -> Screening:
    """Stage 1 in detail, over the verdicts among the results."""
    verdicts = [r for r in results if isinstance(r, ScreenVerdict)]
    evidence, dropped = finder.find(q for v in verdicts for q in v.quotes)
    journey.quotes_dropped += dropped
    return Screening(
        subject=join_subjects(v.subject for v in verdicts),
        timeframe=join_timeframes(v.timeframe for v in verdicts),
        evidence=evidence,
        rationale=next((v.rationale for v in verdicts if v.rationale), None),
    )
