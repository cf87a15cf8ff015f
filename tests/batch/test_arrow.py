"""Blocks of rows as Arrow: every row comes back once and in its place, slots do not wait for a slow block, and trouble is a row or loud."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from itertools import chain

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crisis_filter.batch.arrow import BlockSpec, Judge, judge_batches
from crisis_filter.batch.blocks import verdict_schema
from crisis_filter.batch.blocks_engine import BlockEngine
from crisis_filter.batch.spec import Reading
from crisis_filter.errors import ConfigurationError, Fault, InputError
from crisis_filter.pipeline.description import FilterSpec
from crisis_filter.pipeline.spec import open_filter
from crisis_filter.schema import Assessment, Provenance
from crisis_filter.tables.flat import COLUMNS
from crisis_filter.tables.reading import read_messages
from crisis_filter.tables.writing import AssessmentWriter
from tests.batch.arrows import PATIENT, block, ids, kept_in
from tests.experiments.trying import messages


def numbered(sizes):
    """Blocks of these sizes, their ids counted through."""
    first = 0
    for size in sizes:
        yield block(*(f"{n}" for n in range(first, first + size)))
        first += size


def said(message, outcome="undetermined"):
    return Assessment(
        id=message.id, outcome=outcome, fault=Fault.TIMEOUT, provenance=Provenance(detector="test", version="0")
    )


@asynccontextmanager
async def engine(assess, **spec):
    """An engine whose messages are judged by a function of the test's."""
    found = BlockEngine(assess, BlockSpec(**{"patience": 10**6, **spec}))
    try:
        yield found
    finally:
        await found.aclose()


def scene(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, PATIENT))


# What comes back


def test_columns_and_verdicts_are_those_of_the_parquet_output(tmp_path):
    """With the embedded engine, which says the same of the same text; only the milliseconds differ."""
    path = messages(tmp_path, each=20)
    given_ = list(read_messages(path))
    with_ids = pa.RecordBatch.from_pydict({"id": [m.id for m in given_], "text": [m.text for m in given_]})
    judging = FilterSpec(evidence=False)  # which is left out where there is no time for it
    (found,) = judge_batches([with_ids], BlockSpec(judging=judging, slots=2))
    with open_filter(judging) as crisis_filter, AssessmentWriter(tmp_path / "out.parquet") as writer:
        for assessment in crisis_filter.classify_many(given_):
            writer.write(assessment)
    wanted = pq.read_table(tmp_path / "out.parquet")
    assert found.schema == wanted.schema == verdict_schema()
    assert {"crisis"} < set(found["outcome"].to_pylist())
    assert found.drop_columns(["elapsed_ms"]).to_pylist() == wanted.drop_columns(["elapsed_ms"]).to_pylist()


@settings(deadline=None)
@given(
    sizes=st.lists(st.integers(0, 40), max_size=12),
    slots=st.integers(1, 20),
    together=st.integers(1, 6),
    waits=st.lists(st.integers(0, 3), min_size=1, max_size=7),
)
def test_every_row_comes_back_once_and_in_its_place(sizes, slots, together, waits):
    """Whatever the sizes, the slots, how many blocks are given at once and how long each row takes."""
    judged = Counter()

    async def assess(message):
        judged[message.id] += 1
        for _ in range(waits[int(message.id) % len(waits)]):
            await asyncio.sleep(0)
        return said(message)

    async def run():
        async with engine(assess, slots=slots) as found:
            limit = asyncio.Semaphore(together)

            async def one(rows):
                async with limit:
                    return await found.judge(rows)

            return await asyncio.gather(*map(one, numbered(sizes)))

    given_ = list(numbered(sizes))
    batches = scene(run())
    assert [batch.num_rows for batch in batches] == sizes
    assert ids(*batches) == ids(*given_)
    assert judged == Counter(ids(*given_))
    assert {batch.schema for batch in batches} <= {verdict_schema()}


def test_large_blocks_tables_and_chunks_are_all_the_same():
    async def assess(message):
        return said(message)

    async def run(rows):
        async with engine(assess, slots=4) as found:
            return await found.judge(rows)

    whole = block(*(f"{n}" for n in range(5000)))
    pieces = pa.Table.from_batches([whole.slice(0, 1), whole.slice(1, 1023), whole.slice(1024)])
    for rows in (whole, pieces, whole.slice(700, 2500), pa.Table.from_batches([whole]).slice(1023, 2)):
        assert ids(scene(run(rows))) == ids(rows)


def test_rows_that_cannot_be_read_come_back_as_such():
    texts = pa.array([b"fine", None, b"broken \xff bytes", b"", b"fine too"], pa.binary())
    rows = pa.RecordBatch.from_pydict({"message_id": pa.array([1, 2, None, 4, None], pa.int64()), "body": texts})
    first, second = judge_batches([rows, rows], BlockSpec(slots=2))
    for found in (first, second):
        assert found["fault"].to_pylist()[1] == "input_unreadable"
        assert found["outcome"].to_pylist()[1:4] == ["undetermined"] * 3
        assert "encoding_repaired" in found["flags"].to_pylist()[2]
        assert [row_id for row_id in ids(found) if row_id.isdigit()] == ["1", "2", "4"]
    made = [row_id for row_id in ids(first, second) if not row_id.isdigit()]
    assert len(set(made)) == 4


def test_rows_with_one_id_and_one_text_all_come_back():
    (found,) = judge_batches([block("a", "a", "a")], BlockSpec(slots=2))
    assert ids(found) == ["a", "a", "a"]


def test_columns_to_keep_come_back_as_they_were():
    async def assess(message):
        return said(message)

    async def run(rows, keep):
        async with engine(assess, slots=2, keep=keep) as found:
            return await found.judge(rows)

    rows = block("a", "b", "c", when=pa.array([3, None, 1]), tags=pa.array([["x"], [], None]))
    found = scene(run(rows, ("tags", "when")))
    assert found.schema.names == [*COLUMNS, "tags", "when"]
    assert found.select(["tags", "when"]).to_pylist() == rows.select(["tags", "when"]).to_pylist()
    for odd in ("nowhere", "id"):
        with pytest.raises(InputError, match=odd):
            scene(run(rows, (odd,)))


# Slots


@pytest.mark.parametrize("slots", [2, 5])
def test_rows_of_the_next_block_begin_while_a_slow_one_is_out(slots):
    """The slow row of the first block ends only when all the others are judged: whoever waited for the block would wait for ever."""
    sizes = [3, 0, 4, 50, 1]
    others = asyncio.Event()

    async def assess(message):
        if message.id == "1":
            await others.wait()
        return said(message)

    async def run():
        async with engine(assess, slots=slots) as found:
            rest = [asyncio.create_task(found.judge(rows)) for rows in numbered(sizes)]
            await asyncio.wait(rest[1:])
            assert not rest[0].done()
            others.set()
            return await asyncio.gather(*rest)

    assert ids(*scene(run())) == [f"{n}" for n in range(sum(sizes))]


def test_a_plain_loop_goes_on_taking_blocks_while_the_first_is_slow():
    """`over` takes the next block as soon as slots are about to be free, and gives blocks back in their order."""
    taken, release, working, most = [], threading.Event(), Counter(), []

    async def assess(message):
        working["now"] += 1
        most.append(working["now"])
        if message.id == "0":
            await asyncio.to_thread(release.wait, PATIENT)
        await asyncio.sleep(0.002)
        working["now"] -= 1
        return said(message)

    def source():
        for number, rows in enumerate(numbered([4] * 20)):
            taken.append(number)
            if number == 19:
                release.set()
            yield rows

    judge = open_judge(assess, slots=8)
    with judge:
        found = list(judge.over(source()))
    assert ids(*found) == [f"{n}" for n in range(80)]
    assert taken == list(range(20))
    assert max(most) == 8
    assert most.count(8) >= 30


def open_judge(assess, **spec):
    """A `Judge` whose messages are judged by a function of the test's."""

    class Engine(BlockEngine):
        @classmethod
        async def open(cls, spec):
            return cls(assess, spec)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("crisis_filter.batch.arrow.BlockEngine", Engine)
        return Judge(BlockSpec(**{"patience": 10**6, **spec}))


def test_a_source_is_not_read_far_ahead():
    """Rows wait for a slot in the source, not in memory: one block while its rows wait, and no more than a few for each slot behind a slow one."""
    taken, begun, release = [], threading.Event(), threading.Event()

    def source():
        for rows in numbered([10] * 1000):
            taken.append(rows.num_rows)
            yield rows

    async def assess(message):
        begun.set()
        await asyncio.to_thread(release.wait, PATIENT)
        return said(message)

    with open_judge(assess, slots=4) as judge:
        blocks = judge.over(source())
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(next, blocks)
            assert begun.wait(PATIENT)
            time.sleep(0.2)
            assert sum(taken) == 10
            release.set()
            assert ids(first.result(PATIENT)) == [f"{n}" for n in range(10)]
        assert sum(taken) <= 4 * 64 + 20
        blocks.close()


# Trouble


def test_cancelled_is_one_block_alone():
    """Its rows that were not begun with are not asked about; the others' are."""
    begun, both, hold = [], asyncio.Event(), asyncio.Event()

    async def assess(message):
        begun.append(message.id)
        if len(begun) == 2:
            both.set()
        await hold.wait()
        return said(message)

    async def run():
        async with engine(assess, slots=2) as found:
            first, second = (asyncio.create_task(found.judge(rows)) for rows in numbered([50, 5]))
            await both.wait()
            first.cancel()
            hold.set()
            with pytest.raises(asyncio.CancelledError):
                await first
            return await second

    assert ids(scene(run())) == [f"{n}" for n in range(50, 55)]
    assert begun == ["0", "1", *(f"{n}" for n in range(50, 55))]


@settings(deadline=None)
@given(st.lists(st.sampled_from(["good", "no text", "cancel", "bug", "empty"]), min_size=1, max_size=10))
def test_trouble_with_a_block_is_that_blocks(kinds):
    async def assess(message):
        await asyncio.sleep(0)
        if message.id == "bug":
            raise ZeroDivisionError
        return said(message)

    def rows(kind):
        if kind == "no text":
            return pa.RecordBatch.from_pydict({"id": ["a"], "number": [1]})
        return {"bug": block("a", "bug", "b"), "empty": block()}.get(kind, block("a", "b", "c", "d"))

    async def run():
        async with engine(assess, slots=3) as found:
            tasks = [asyncio.create_task(found.judge(rows(kind))) for kind in kinds]
            await asyncio.sleep(0)
            for kind, task in zip(kinds, tasks, strict=True):
                if kind == "cancel":
                    task.cancel()
            return await asyncio.gather(*tasks, return_exceptions=True)

    wanted = {"no text": InputError, "bug": ZeroDivisionError, "cancel": asyncio.CancelledError}
    for kind, came in zip(kinds, scene(run()), strict=True):
        if kind in wanted:
            assert isinstance(came, wanted[kind])
        else:
            assert ids(came) == ids(rows(kind))


def test_what_came_before_a_bad_block_is_given_out_first():
    """Be it a block without a column for the text, or a source that breaks off."""

    def bad():
        yield pa.RecordBatch.from_pydict({"words": ["no column for the text"]})

    def breaking():
        raise KeyError
        yield

    for trouble, error in ((bad, InputError), (breaking, KeyError)):
        found = []
        with pytest.raises(error):
            found.extend(kept_in(found, judge_batches(chain(numbered([2, 3]), trouble()), BlockSpec(slots=2))))
        assert ids(*found) == ["0", "1", "2", "3", "4"]


def test_a_column_can_be_named():
    rows = pa.RecordBatch.from_pydict({"key": ["k"], "words": ["the pharmacy was closed"]})
    spec = BlockSpec(slots=1, reading=Reading(text_column="words", id_column="key", locale="en-GB"))
    assert ids(*judge_batches([rows], spec)) == ["k"]


def test_what_cannot_be_opened_is_told_at_once():
    for judging in (FilterSpec(backend="nobody:x"), FilterSpec(policy="nowhere-v9"), FilterSpec(backend="scripted:x")):
        with pytest.raises(ConfigurationError):
            Judge(BlockSpec(judging=judging))


def test_closed_it_takes_no_more_and_leaves_no_thread():
    judge = Judge(BlockSpec(slots=2))
    assert judge.submit(block("a")).result(PATIENT).num_rows == 1
    judge.close()
    judge.close()
    assert "crisis-filter-judge" not in {thread.name for thread in threading.enumerate()}
    with pytest.raises(RuntimeError, match="closed"):
        judge.submit(block("a"))


def test_closed_while_rows_are_out_their_block_fails():
    begun = threading.Event()

    async def assess(message):
        begun.set()
        await asyncio.sleep(3600)

    judge = open_judge(assess, slots=2)
    waiting = judge.submit(block("a", "b", "c"))
    assert begun.wait(PATIENT)
    judge.close()
    with pytest.raises(RuntimeError, match="closed"):
        waiting.result(PATIENT)
