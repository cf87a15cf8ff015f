"""Making an experiment again from what was written down, without a model, and comparing the bytes."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

from crisis_filter.errors import InputError
from crisis_filter.experiments.calls import asking_about
from crisis_filter.experiments.folder import written
from crisis_filter.experiments.items import Data, text_sha256
from crisis_filter.experiments.records import Cell, Experiment
from crisis_filter.experiments.running import Assessor, timeless
from crisis_filter.schema import Record

__all__ = ["Replay", "matching", "replay_cells"]


class Replay(Record):
    """What a replay found."""

    cells: int
    """That were made again."""
    same: int
    """Of which as many are the same to the byte."""
    differing: tuple[tuple[str, str, int], ...]
    """Variant, item and repeat of the others."""
    sha256: str
    """Of the results as they were made again."""

    @property
    def whole(self) -> bool:
        """Whether nothing differs."""
        return not self.differing


def matching(experiment: Experiment, data: Data, path: Path) -> None:
    """Refuse messages that are not those of the experiment, and an experiment without answers.

    Raises:
        InputError: there is no answer yet, a message is missing, or its text is another; names its id.
    """
    if not experiment.cells:
        raise InputError(f"{experiment.name}: has no answers yet; experiment run asks for them")
    for item in experiment.state.items:
        message = data.messages.get(item.id)
        if message is None or text_sha256(message.text) != item.text_sha256:
            raise InputError(
                f"{path}: message {item.id} of the data is missing or was changed since; a replay needs the same"
            )


async def replay_cells(
    experiment: Experiment, data: Data, openers: Mapping[str, Callable[[], Assessor]], *, concurrency: int = 4
) -> tuple[Experiment, Replay]:
    """Judge every cell that is there again.

    Args:
        experiment: as it was read from its folder.
        data: the same messages.
        openers: of the variants, with nobody behind them who could be asked.
        concurrency: cells in work at once.

    Returns:
        The experiment as made again, and what differs.
    """
    again: dict[tuple[str, str, int], Cell] = {}
    left = iter(experiment.cells)
    async with AsyncExitStack() as stack:
        assessors: dict[str, Assessor] = {}
        for name in dict.fromkeys(place[0] for place in experiment.cells):
            assessors[name] = openers[name]()
            stack.push_async_callback(assessors[name].aclose)

        async def work() -> None:
            for variant, item, repeat in left:
                with asking_about(item, repeat):
                    assessment = timeless(await assessors[variant].assess(data.messages[item]))
                again[variant, item, repeat] = Cell(variant=variant, item=item, repeat=repeat, assessment=assessment)

        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(work())
    made = replace(experiment, cells=again)
    differing = [at for at, cell in experiment.cells.items() if again[at].model_dump_json() != cell.model_dump_json()]
    return made, Replay(
        cells=len(again),
        same=len(again) - len(differing),
        differing=tuple(sorted(differing)),
        sha256=hashlib.sha256(written(made).encode()).hexdigest(),
    )
