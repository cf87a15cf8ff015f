"""Judging one message: views ► screen ► categorise ► checked evidence, joined into an assessment without a disposition."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from crisis_filter.errors import FAULTS
from crisis_filter.pipeline.detector import TwoStages
from crisis_filter.pipeline.join import join_findings, join_subjects, join_timeframes
from crisis_filter.pipeline.journey import Clock, Journey
from crisis_filter.pipeline.thread import SHORT, aside
from crisis_filter.schema import (
    UNSPECIFIED,
    Assessment,
    CascadeStep,
    Conclusion,
    Failure,
    Fault,
    Finding,
    Message,
    Provenance,
    Screening,
    ScreenVerdict,
    conclude,
)
from crisis_filter.stages.base import Named, Screened, Sorted
from crisis_filter.stages.cascade import UNSEEN, Cascade, Look
from crisis_filter.stages.turns import scored
from crisis_filter.taxonomy.records import Taxonomy
from crisis_filter.text import QuoteFinder, View, chunks, views
from crisis_filter.text.attack import attack_ready, attack_seen
from crisis_filter.text.language import unvalidated
from crisis_filter.triage.policy import Limits, Policy

_ResultT = TypeVar("_ResultT", Screened, Sorted)

_GRACE_S = 0.05
_AT_ONCE = 4
_LOOK_SHARE = 0.25
_OUT_OF_SERVICE = {Fault.MISCONFIGURED, Fault.LOCAL_MODEL, Fault.MODEL_DRIFT, Fault.OVERLOAD, Fault.INTERNAL}


@dataclass(frozen=True, slots=True)
class _Staged:
    """What both stages found."""

    findings: tuple[Finding, ...]
    screen: Screening


@dataclass(frozen=True, slots=True)
class Judge:
    """Both stages over every view of a message."""

    detector: TwoStages
    taxonomy: Taxonomy
    policy: Policy
    clock: Clock

    async def judge(self, message: Message, journey: Journey) -> Assessment:
        """Judge one message. A bug may raise; the caller makes an undetermined assessment of it."""
        unfit = _unfit(message, self.policy.limits)
        readings: Sequence[View] = ()
        if unfit is None:
            readings, unfit = await self._read(message.text, journey)
        if unfit is None and not readings:
            unfit = Failure(fault=Fault.EMPTY_CONTENT, detail="nothing visible in the text")
        if unfit is not None:
            return self.undetermined(message, journey, unfit)
        texts = _pieces(readings, self.policy.limits)
        journey.notice(
            message.flags, views=len(texts), obfuscated=len(readings) > 1, chunked=len(texts) > len(readings)
        )
        if self.detector.sole:
            journey.flags.add("sole_detector")
        screened, bug = await self._screened(message, texts, journey)
        results = [s.result for s in screened]
        seconds = [s.second for s in screened if s.second is not None]
        positive = [
            (text, result)
            for text, result in zip(texts, results, strict=True)
            if isinstance(result, ScreenVerdict) and result.crisis
        ]
        if all(isinstance(r, ScreenVerdict) and not r.crisis for r in results):
            unseen = await self._forbidding(texts, journey)
            results += [unseen] if unseen is not None else []
        results += [bug] if bug is not None else []
        conclusion = conclude([*results, *seconds], frozenset(journey.flags))
        staged = await self._categorised(message, positive, journey) if positive else None
        trouble = _trouble(conclusion.fault, results) or journey.fault
        screen = staged.screen if staged else await aside(len(message.text), _screening, message.text, results, journey)
        return Assessment(
            id=message.id,
            outcome=conclusion.outcome,
            score=conclusion.score,
            score_source=conclusion.score_source,
            score_at_prevalence=self._adjusted(conclusion),
            findings=staged.findings if staged else (),
            fault=trouble.fault if trouble else None,
            fault_detail=trouble.detail if trouble else "",
            degraded=_degraded(journey, results),
            flags=tuple(sorted(journey.flags)),
            screen=screen,
            provenance=self._provenance(journey),
        )

    async def _read(self, text: str, journey: Journey) -> tuple[Sequence[View], Failure | None]:
        """The views of a text, or why there was no time to make them."""
        left = journey.left(self.clock())
        if len(text) <= SHORT and left > 0.0:
            return await aside(len(text), views, text), None  # waits for nothing, so a time-out would never come
        try:
            # Folding a long text takes long enough to make other messages late.
            async with asyncio.timeout(max(0.0, left)):
                return await aside(len(text), views, text), None
        except TimeoutError:
            return (), Failure(fault=Fault.TIMEOUT, detail="the deadline passed")

    async def _screened(
        self, message: Message, texts: Sequence[str], journey: Journey
    ) -> tuple[list[Screened], Failure | None]:
        """Stage 1 of every piece; in a cascade after the engine's look, which may be all there is.

        Returns:
            One result for each text, and a bug in the look, which forbids a negative.
        """
        screen, cascade = self.detector.screener.screen, self.detector.cascade
        if cascade is None:
            return await self._each(texts, screen, journey, Screened), None
        look, step, bug = await self._looked(cascade, message, texts, journey)
        journey.cascade = step
        if step.step != "cleared":
            # A message without a score waits as a certain crisis.
            with scored(1.0 if look.score is None else look.score):
                return await self._each(texts, screen, journey, Screened), bug
        journey.flags.add("cleared_by_engine")
        left = cascade.cleared(look)
        journey.add(left.cost)
        return [left], bug

    async def _looked(
        self, cascade: Cascade, message: Message, texts: Sequence[str], journey: Journey
    ) -> tuple[Look, CascadeStep, Failure | None]:
        """The engine's look and what follows from it; without time for it the message is the language model's."""
        languages = self.policy.languages.validated or ()
        bug = None
        try:
            async with asyncio.timeout(_LOOK_SHARE * journey.left(self.clock())):
                look = await cascade.look(texts, journey.flags, whole=len(texts) == 1, languages=languages)
            return look, cascade.step(message.id, message.text, look), None
        except TimeoutError:
            pass
        except Exception as error:  # noqa: BLE001  # the language model may still raise the outcome
            bug = Failure(fault=Fault.INTERNAL, detail=type(error).__name__)
        return UNSEEN, cascade.asked(UNSEEN), bug

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
        screen = await aside(len(message.text), _screening, message.text, [verdict for _, verdict in positive], journey)
        texts = [text for text, _ in positive]
        score = max((verdict.score for _, verdict in positive if verdict.score is not None), default=1.0)
        with scored(score):
            sorted_ = await self._each(texts, self.detector.categoriser.categorise, journey, Sorted)
        named: list[Named] = []
        for (_, verdict), part in zip(positive, sorted_, strict=True):
            result = part.result
            if isinstance(result, Failure):
                journey.fail(result)
            elif result.fault is not None:
                journey.fail(Failure(fault=result.fault))
            elif not result.named:
                journey.flags.add("stage_conflict")
                journey.fail(Failure(fault=Fault.STAGE_CONFLICT, detail="Stage 2 found no category"))
            found = () if isinstance(result, Failure) else result.named
            # What one piece is about says nothing of another's, nor the beginning of a cut answer of its end.
            named += found or (Named(category=UNSPECIFIED, subject=verdict.subject, timeframe=verdict.timeframe),)
        findings, dropped = await aside(len(message.text), _joined, named, message.text, self.taxonomy.ids)
        journey.quotes_dropped += dropped
        if all(finding.category == UNSPECIFIED for finding in findings):
            findings = tuple(finding.model_copy(update={"evidence": screen.evidence}) for finding in findings)
        return _Staged(findings, screen)

    async def _each(
        self,
        texts: Sequence[str],
        stage: Callable[[str, float], Awaitable[_ResultT]],
        journey: Journey,
        wrap: Callable[[Failure], _ResultT],
    ) -> list[_ResultT]:
        """Run a stage over the pieces, a few at once, each within what is left of the deadline; a bug in one is its failure."""
        # One long message must not take all of an endpoint's places.
        places = asyncio.Semaphore(_AT_ONCE)

        async def one(text: str) -> _ResultT:
            async with places:
                return await placed(text)

        async def placed(text: str) -> _ResultT:
            left = journey.left(self.clock())
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

        if len(texts) == 1:
            results = [await placed(texts[0])]
        else:
            # A group rather than gather: when the run is stopped it waits for its tasks and leaves no future unread.
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(text)) for text in texts]
            results = [task.result() for task in tasks]
        for result in results:
            journey.add(result.cost)
        return results

    async def _forbidding(self, texts: Sequence[str], journey: Journey) -> Failure | None:
        """Flag what in the pieces of a text forbids a negative.

        A bug here must forbid one too, so nothing is caught.

        Returns:
            A failure when the time was up before every piece had been looked at.
        """
        validated = self.policy.languages.validated
        for text in texts:
            if journey.left(self.clock()) <= 0:
                return Failure(fault=Fault.TIMEOUT, detail="the deadline passed")
            # Piece by piece: a megabyte of hostile text takes seconds.
            # What is looked for is compiled with the first text, which takes half a second.
            if await aside(len(text) if attack_ready() else sys.maxsize, attack_seen, text):
                journey.flags.add("injection_suspected")
            if validated is not None and await aside(len(text), unvalidated, text, validated):
                journey.flags.add("unvalidated_language")
        return None

    def _adjusted(self, conclusion: Conclusion) -> float | None:
        adjust = self.detector.at_prevalence
        if adjust is None or conclusion.score is None or conclusion.score_source != "engine":
            return None
        return adjust(conclusion.score)

    def undetermined(self, message: Message, journey: Journey, failure: Failure) -> Assessment:
        """The assessment of a message that could not be judged."""
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
        stages = (self.detector.screener, self.detector.categoriser)
        return journey.provenance(
            now=self.clock(),
            detector=self.detector.name,
            prompts=tuple(stage.prompt for stage in stages if stage.prompt is not None),
            taxonomy=self.taxonomy.ref,
            policy=self.policy.ref,
        )


def _unfit(message: Message, limits: Limits) -> Failure | None:
    """Why a message can't be judged at all, if so."""
    if message.unreadable:
        return Failure(fault=Fault.INPUT_UNREADABLE, detail="the row held no text")
    if len(message.text.encode("utf-8", "surrogatepass")) > limits.most_bytes:
        return Failure(fault=Fault.INPUT_TOO_LONG, detail=f"more than {limits.most_bytes} bytes")
    return None


def _degraded(journey: Journey, results: Sequence[ScreenVerdict | Failure]) -> bool:
    """Whether the service was not whole for this message."""
    failed = {r.fault for r in results if isinstance(r, Failure)}
    return journey.cost.degraded or any(FAULTS[fault].trips or fault in _OUT_OF_SERVICE for fault in failed)


def _trouble(fault: Fault | None, results: Sequence[ScreenVerdict | Failure]) -> Failure | None:
    """Stage 1's fault together with its own detail."""
    if fault is None:
        return None
    failures = (r for r in results if isinstance(r, Failure) and r.fault is fault)
    return next(failures, Failure(fault=fault))


def _pieces(readings: Sequence[View], limits: Limits) -> list[str]:
    size, overlap = limits.chunk_characters, limits.chunk_overlap
    return [piece for view in readings for piece in chunks(view.text, size=size, overlap=overlap)]


def _joined(named: Sequence[Named], text: str, order: tuple[str, ...]) -> tuple[tuple[Finding, ...], int]:
    return join_findings(named, QuoteFinder(text), order)


def _screening(text: str, results: Sequence[ScreenVerdict | Failure], journey: Journey) -> Screening:
    """Stage 1 in detail, over the verdicts among the results."""
    verdicts = [r for r in results if isinstance(r, ScreenVerdict)]
    evidence, dropped = QuoteFinder(text).find(q for v in verdicts for q in v.quotes)
    journey.quotes_dropped += dropped
    return Screening(
        subject=join_subjects(v.subject for v in verdicts),
        timeframe=join_timeframes(v.timeframe for v in verdicts),
        evidence=evidence,
        rationale=next((v.rationale for v in verdicts if v.rationale), None),
    )
