"""More than one verdict where the first was close: the same text can get different answers from the same model.

Temperature zero and a seed are not enough, because the batch a request happens to be computed in changes results. So a negative
near the threshold is asked for again, with another nonce, and any positive wins.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import reduce
from operator import add

from crisis_filter.schema import Failure, Fault, PromptRef, ScreenVerdict
from crisis_filter.stages.base import Cost, Screened, Screener


class VotedScreen:
    """Stage 1 asked up to `count` times.

    Args:
        screener: the stage; asked anew for each vote.
        count: votes on a text near the threshold, the first included; 1 asks once.
        threshold: probability at or above which a text is a crisis.
        margin: a negative whose score is no more than this below the threshold is near it. One without a score is not.
        clock: seconds on a clock that never goes back.
    """

    def __init__(
        self,
        screener: Screener,
        *,
        count: int,
        threshold: float,
        margin: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._screener = screener
        self._more = count - 1
        self._near = threshold - margin
        self._clock = clock

    @property
    def prompt(self) -> PromptRef | None:
        """Identity of the prompt."""
        return self._screener.prompt

    async def screen(self, text: str, deadline_s: float) -> Screened:
        """Judge one text.

        Returns:
            The first verdict when it is not near. Otherwise, by law 1 over all votes: a positive, with the share of positive votes
            as its score and `nondeterminism` beside it; else a failure, when a vote brought none; else the negative with the
            highest score, one that may not clear before all.
        """
        end = self._clock() + deadline_s
        first = await self._screener.screen(text, deadline_s)
        verdict = first.result
        if self._more < 1 or isinstance(verdict, Failure) or verdict.crisis or (verdict.score or 0.0) < self._near:
            return first
        if verdict.score is None:
            return first
        left = end - self._clock()
        # A group, so that a cancelled run leaves no vote behind.
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._vote(text, left)) for _ in range(self._more)]
        return _join([first, *(task.result() for task in tasks)])

    async def _vote(self, text: str, left_s: float) -> Screened:
        """One more verdict; trouble with it must not take the others along."""
        try:
            async with asyncio.timeout(left_s):
                return await self._screener.screen(text, left_s)
        except TimeoutError:
            return Screened(Failure(fault=Fault.TIMEOUT, detail="the deadline passed"))
        except Exception as error:  # noqa: BLE001  # another vote may be positive
            return Screened(Failure(fault=Fault.INTERNAL, detail=type(error).__name__))


def _join(votes: list[Screened]) -> Screened:
    results = [vote.result for vote in votes]
    verdicts = [result for result in results if isinstance(result, ScreenVerdict)]
    positives = [verdict for verdict in verdicts if verdict.crisis]
    cost = reduce(add, (vote.cost for vote in votes)) + Cost(votes=len(votes), flips=len(positives))
    if positives:
        said = {"score": len(positives) / len(verdicts), "score_source": "votes", "fault": Fault.NONDETERMINISM}
        return Screened(positives[0].model_copy(update=said), cost)
    failed = next((vote for vote in votes if isinstance(vote.result, Failure)), None)
    if failed is not None:
        return Screened(failed.result, cost, second=failed.second)
    return Screened(max(verdicts, key=lambda verdict: (not verdict.may_clear, verdict.score or 0.0)), cost)
