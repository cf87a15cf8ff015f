"""Ray Data: one persistent engine for each actor, and blocks that overlap so that its slots never drain.

Ray runs several tasks at once in an actor that may take several calls, and an `async` callable for four batches of each
(`DEFAULT_ASYNC_BATCH_UDF_MAX_CONCURRENCY` in `ray.data`); a plain callable it locks to one batch at a time. Its own event loop stands still
while it fetches or hands on a block, so the requests are made on the engine's.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from crisis_filter.batch.arrow import Judge
from crisis_filter.batch.blocks_spec import BlockSpec
from crisis_filter.errors import ConfigurationError
from crisis_filter.tables.columnar import arrow

if TYPE_CHECKING:
    import pyarrow as pa
    from ray.data import Dataset

__all__ = ["RayJudge", "judge_dataset"]

_LEAST_ROWS = 256
_TASKS = 4
"""Blocks that an actor works on at once: while the last rows of one are out, those of the others fill the slots."""
_AHEAD = 2
"""Times as many are given to it, so that they are there when they are wanted."""


class RayJudge:
    """For `Dataset.map_batches`, with `batch_format="pyarrow"`; `judge_dataset` says the rest.

    Args:
        spec: what judges, and how.

    Raises:
        ConfigurationError: what judges cannot be opened.
    """

    def __init__(self, spec: BlockSpec) -> None:
        self._judge = Judge(spec)

    async def __call__(self, block: pa.Table) -> pa.Table:
        """Judge a block; see `BlockEngine.judge`."""
        batch = await asyncio.wrap_future(self._judge.submit(block))
        return arrow().Table.from_batches([batch])

    def __del__(self) -> None:
        """Ray puts an actor away without a word."""
        if hasattr(self, "_judge"):
            self._judge.close()


def judge_dataset(
    dataset: Dataset, spec: BlockSpec, *, workers: int, rows: int | None = None, **remote: Any
) -> Dataset:
    """Judge the rows of a dataset; a lazy dataset like any other, one verdict for each row.

    Args:
        dataset: with a column for the text, and one for the id where there is one, named as in files.
        spec: what judges, and how; each worker has `spec.slots` messages in work.
        workers: actors, each with one engine for its whole life.
        rows: in a block, which is what Ray gives to a worker and, when that one dies, to another; `None` takes as many as there are slots,
            and 256 at least.
        **remote: further arguments of `map_batches` for each actor, such as `num_cpus`.

    Raises:
        ConfigurationError: Ray is not installed.
    """
    try:
        from ray.data import ActorPoolStrategy
    except ImportError:
        raise ConfigurationError('Ray needs an extra package: pip install "crisis-filter[ray]"') from None
    rows = rows or max(_LEAST_ROWS, spec.slots)
    # Ray makes one block of small files, and a block is one worker's.
    return dataset.repartition(target_num_rows_per_block=rows).map_batches(
        RayJudge,
        fn_constructor_kwargs={"spec": spec},
        batch_format="pyarrow",
        batch_size=rows,
        zero_copy_batch=True,
        compute=ActorPoolStrategy(
            size=workers,
            max_concurrent_calls_per_actor=_TASKS,
            max_tasks_in_flight_per_actor=_TASKS * _AHEAD,
        ),
        **remote,
    )
