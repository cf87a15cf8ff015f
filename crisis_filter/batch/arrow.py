"""Arrow record batches in, record batches of verdicts out, for whoever holds rows as Arrow: a loop, Spark's `mapInArrow`, Ray.

The engine lives in a thread of its own with its own event loop, so that one who calls from a plain loop, from many threads or from another
event loop never stands in the way of the requests.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from types import TracebackType
from typing import TYPE_CHECKING, Self

from crisis_filter.batch.blocks_engine import BlockEngine, StoppedError
from crisis_filter.batch.blocks_spec import BlockSpec, BrokerAddress

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["BlockSpec", "BrokerAddress", "Judge", "StoppedError", "judge_batches"]

_HELD = 64
"""Rows for each slot that may wait for a slow one of a block before them."""
_CLOSING_S = 10.0


class Judge:
    """A `BlockEngine` in a thread of its own; may be called from any thread. Opened when it is made.

    Args:
        spec: what judges, and how.

    Raises:
        ConfigurationError: what judges cannot be opened.
    """

    def __init__(self, spec: BlockSpec) -> None:
        self._spec = spec
        self._begun: Future[tuple[asyncio.AbstractEventLoop, BlockEngine]] = Future()
        self._end = asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="crisis-filter-judge")
        self._thread.start()
        self._loop, self._engine = self._begun.result()

    @property
    def stopped(self) -> str | None:
        """Why nothing is asked about any more; `None` while the work goes on."""
        return self._engine.stopped

    def submit(self, block: pa.RecordBatch | pa.Table) -> Future[pa.RecordBatch]:
        """Begin with a block; see `BlockEngine.judge`. Several may be under way, and those to come keep the slots busy.

        Raises:
            RuntimeError: it is closed.
        """
        if not self._thread.is_alive():
            raise RuntimeError("the engine is closed")
        return asyncio.run_coroutine_threadsafe(self._engine.judge(block), self._loop)

    def over(self, blocks: Iterable[pa.RecordBatch | pa.Table]) -> Iterator[pa.RecordBatch]:
        """Judge blocks, and give each back in its turn.

        The next one is taken as soon as fewer rows than there are slots wait for one. While a block is slow, those behind it are held: up to 64
        rows for each slot.

        Args:
            blocks: iterated over in the caller's thread.

        Yields:
            One batch for each block, in order; see `BlockEngine.judge`.

        Raises:
            InputError: as `BlockEngine.judge`, after all blocks before the one it concerns.
            StoppedError: likewise.
            Exception: whatever iterating over `blocks` raised, after all blocks before it.
        """
        given: deque[tuple[int, Future[pa.RecordBatch]]] = deque()
        trouble: Exception | None = None
        source = iter(blocks)
        try:
            while True:
                try:
                    block = next(source)
                except StopIteration:
                    break
                except Exception as error:  # noqa: BLE001  # raised below
                    trouble = error
                    break
                given.append((block.num_rows, self.submit(block)))
                yield from self._done(given)
            while given:
                yield given.popleft()[1].result()
        finally:
            for _, one in given:
                one.cancel()
        if trouble is not None:
            raise trouble

    def _done(self, given: deque[tuple[int, Future[pa.RecordBatch]]]) -> Iterator[pa.RecordBatch]:
        """Those that are done, until it is time for another block."""
        room = asyncio.run_coroutine_threadsafe(self._engine.room(), self._loop)
        try:
            while given:
                if given[0][1].done():
                    yield given.popleft()[1].result()
                elif sum(rows for rows, _ in given) >= _HELD * self._spec.slots and len(given) > 1:
                    wait([given[0][1]])
                elif room.done():
                    return
                else:
                    wait([room, given[0][1]], return_when=FIRST_COMPLETED)
        finally:
            room.cancel()

    def close(self) -> None:
        """Release everything; blocks in work fail. Calling it twice does nothing."""
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._loop.call_soon_threadsafe(self._end.set)
            self._thread.join(_CLOSING_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        self.close()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            if self._begun.done():
                raise
            self._begun.set_exception(error)

    async def _serve(self) -> None:
        engine = await BlockEngine.open(self._spec)
        try:
            self._begun.set_result((asyncio.get_running_loop(), engine))
            await self._end.wait()
        finally:
            await engine.aclose()
            await asyncio.sleep(0)  # those who wait for a block are told


def judge_batches(blocks: Iterable[pa.RecordBatch | pa.Table], spec: BlockSpec) -> Iterator[pa.RecordBatch]:
    """Judge blocks of rows with one engine for all of them; see `Judge.over`.

    Args:
        blocks: record batches or tables with a column for the text, and one for the id where there is one, named as in files.
        spec: what judges, and how.

    Yields:
        One batch of verdicts for each block: a row for each row, in their order. A row that cannot be judged is undetermined and names its fault.

    Raises:
        ConfigurationError: what judges cannot be opened.
        InputError: the columns of a block are not as the spec says.
        StoppedError: nobody answers any more, or the server says nothing but 429; not where the spec wants rows then.
    """
    with Judge(spec) as judge:
        yield from judge.over(blocks)
