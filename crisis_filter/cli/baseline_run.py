"""One run of a baseline over many messages, in their order, several at once."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from crisis_filter.baselines.base import Baseline
    from crisis_filter.cli.inputs import Inputs
    from crisis_filter.cli.progress import ProgressLine
    from crisis_filter.cli.tally import Tally
    from crisis_filter.pipeline.feed import Feed
    from crisis_filter.schema import Assessment, Message


@dataclass(slots=True)
class Run:
    """What goes in, who is asked, and where what they said goes."""

    system: Baseline
    inputs: Inputs
    tally: Tally
    outlet: Callable[[Assessment], None]
    progress: ProgressLine
    concurrency: int

    async def go(self) -> None:
        """Ask about every message.

        Raises:
            InputError: reading failed; what was read before has been asked about and written.
        """
        from crisis_filter.pipeline.feed import Feed

        feed = Feed(self.inputs, ahead=self.concurrency)
        try:
            await self._through(feed)
        finally:
            feed.stop()
            await self.system.aclose()

    async def _through(self, feed: Feed[Message]) -> None:
        from crisis_filter.pipeline.feed import Exhausted

        pending: deque[asyncio.Task[Assessment]] = deque()
        reading: asyncio.Task[Message] | None = asyncio.create_task(feed.take())
        trouble: BaseException | None = None
        try:
            while reading is not None or pending:
                waiting: list[asyncio.Task[Any]] = [pending[0]] if pending else []
                if reading is not None and len(pending) < self.concurrency:
                    waiting.append(reading)
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                while pending and pending[0].done():
                    self._out(pending.popleft().result())
                if reading is not None and reading.done() and len(pending) < self.concurrency:
                    trouble = reading.exception()
                    if trouble is None:
                        pending.append(asyncio.create_task(self.system.assess(reading.result())))
                    reading = asyncio.create_task(feed.take()) if trouble is None else None
        finally:
            left = [*pending, *([reading] if reading is not None else [])]
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
        if trouble is not None and not isinstance(trouble, Exhausted):
            raise trouble

    def _out(self, assessment: Assessment) -> None:
        self.outlet(assessment)
        self.tally.add(assessment)
        self.progress.update(self.tally, self.inputs)
