"""`CrisisFilter`: views ► screen ► categorise ► checked evidence ► triage ► `Assessment`.

Whatever happens inside, `assess` returns an assessment, and only `schema.conclude` can make it `no_crisis`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Sequence
from types import TracebackType
from typing import Any, Self

from crisis_filter.pipeline.detector import TwoStages
from crisis_filter.pipeline.feed import Exhausted, Feed
from crisis_filter.pipeline.journey import Clock, Journey
from crisis_filter.pipeline.judge import Judge
from crisis_filter.schema import Assessment, Failure, Fault, Flag, Message, PromptRef
from crisis_filter.taxonomy.records import Taxonomy
from crisis_filter.text import mended
from crisis_filter.triage.policy import Policy
from crisis_filter.triage.resources import ResourcePack
from crisis_filter.triage.route import plainly, triage

_log = logging.getLogger(__name__)


_NOBODYS = Message(id="nobody's", text="")


class CrisisFilter:
    """Reads messages and says whether somebody is in a behavioural-health crisis, and of which kind.

    `crisis_filter.pipeline.spec.open_filter` makes one from a frozen description; this constructor takes the parts.

    Args:
        detector: the two stages.
        taxonomy: the categories.
        policy: limits and routing.
        resources: what people may be offered.
        rules_left_out: ids of the policy's rules that cannot match because the taxonomy is another than the policy's own.
        clock: a monotonic clock, for deadlines and timing.
    """

    def __init__(
        self,
        detector: TwoStages,
        taxonomy: Taxonomy,
        policy: Policy,
        resources: ResourcePack,
        *,
        rules_left_out: tuple[str, ...] = (),
        clock: Clock = time.monotonic,
    ) -> None:
        self.rules_left_out = rules_left_out
        self._detector = detector
        self._judge = Judge(detector, taxonomy, policy, clock)
        # Made while all is well: what makes the assessment of a failure may be what has failed.
        self._spare = Judge(detector, taxonomy, policy, lambda: 0.0).undetermined(
            _NOBODYS, Journey(0.0, 0.0), Failure(fault=Fault.INTERNAL)
        )
        self._spare = self._spare.model_copy(update={"disposition": plainly(self._spare.outcome, policy)})
        self.taxonomy = taxonomy
        self.policy = policy
        self._resources = resources
        self._clock = clock
        self._runner: asyncio.Runner | None = None

    @property
    def detector(self) -> str:
        """Name of the detector, as in provenance."""
        return self._detector.name

    @property
    def prompts(self) -> tuple[PromptRef, ...]:
        """Those of both stages; none of the embedded engine."""
        stages = (self._detector.screener, self._detector.categoriser)
        return tuple(stage.prompt for stage in stages if stage.prompt is not None)

    async def assess(self, message: Message) -> Assessment:
        """Assess one message: every trouble is an undetermined assessment, or a fault beside a crisis.

        Raises:
            TypeError: `message` is no `Message`.
        """
        if not isinstance(message, Message):
            raise TypeError(f"a Message is assessed, not {type(message).__name__}")
        try:
            return await self._assess(message)
        except Exception as error:  # noqa: BLE001  # even the assessment of a failure failed
            return self._spare.model_copy(update={"id": message.id, "fault_detail": _bug(error).detail})

    async def _assess(self, message: Message) -> Assessment:
        journey = Journey(self._clock(), self.policy.limits.deadline_s)
        try:
            if (text := mended(message.text)) != message.text:
                repaired: frozenset[Flag] = frozenset({"encoding_repaired"})
                message = message.model_copy(update={"text": text, "flags": message.flags | repaired})
            assessment = await self._judge.judge(message, journey)
        except Exception as error:  # noqa: BLE001  # a bug must end at a person, never as a lost message
            assessment = self._judge.undetermined(message, journey, _bug(error))
        try:
            disposition = triage(assessment, self.policy, self._resources, message.locale)
        except Exception as error:  # noqa: BLE001  # nor may one in routing take a crisis back
            failure = _bug(error)
            if assessment.outcome != "crisis":
                assessment = self._judge.undetermined(message, journey, failure)
            elif assessment.fault is None:
                assessment = assessment.model_copy(update={"fault": failure.fault, "fault_detail": failure.detail})
            disposition = plainly(assessment.outcome, self.policy)
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
        reading: asyncio.Task[Message] | None = asyncio.create_task(feed.take())
        trouble: BaseException | None = None
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
                    trouble = reading.exception()
                    if trouble is None:
                        pending.append(asyncio.create_task(self.assess(reading.result())))
                    reading = asyncio.create_task(feed.take()) if trouble is None else None
        finally:
            feed.stop()
            await _end([*pending, *([reading] if reading is not None else [])])
        if trouble is not None and not isinstance(trouble, Exhausted):
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


def _bug(error: Exception) -> Failure:
    """A bug as a fault. Its type alone is told: its words, or a traceback, may hold the message."""
    _log.error("assessment failed with %s", type(error).__name__)
    return Failure(fault=Fault.INTERNAL, detail=type(error).__name__)


async def _end(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait for them."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # read, so that the loop does not complain that nobody did
