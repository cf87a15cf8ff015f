"""Arrow files and streams: read like Parquet, in little memory, and never past a damage in silence."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crisis_filter.errors import ConfigurationError, InputError
from crisis_filter.tables.arrow import ArrowBatches
from crisis_filter.tables.columnar import ColumnRows
from crisis_filter.tables.parquet import ParquetBatches
from crisis_filter.tables.reading import read_messages

MAKERS = {"file": pa.ipc.new_file, "stream": pa.ipc.new_stream}
COMPRESSIONS = (None, "lz4", "zstd")


def write(
    path: Path,
    *,
    kind: str = "file",
    compression: str | None = None,
    rows: int | None = None,
    legacy: bool = False,
    **columns: pa.Array,
) -> Path:
    table = pa.table(columns)
    options = pa.ipc.IpcWriteOptions(compression=compression, use_legacy_format=legacy)
    with pa.OSFile(str(path), "wb") as file, MAKERS[kind](file, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=rows)
    return path


@pytest.mark.parametrize("ending", ["arrow", "arrows", "feather"])
@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("kind", MAKERS)
def test_files_and_streams(tmp_path: Path, kind: str, compression: str | None, ending: str) -> None:
    """What is in the file tells which it is; null is an unreadable row, and a number a fine id."""
    texts = pa.array([None if n % 300 == 7 else f"text {n}" for n in range(1000)])
    ids = pa.array(range(1000))
    path = write(tmp_path / f"in.{ending}", kind=kind, compression=compression, rows=300, x=ids, id=ids, text=texts)
    with read_messages(path) as reader:
        first = next(reader)
        assert 0.0 < (reader.fraction or 0.0) < 0.5
        messages = [first, *reader]
        assert reader.fraction == 1.0
    assert [m.id for m in messages] == [str(n) for n in range(1000)]
    assert [m.id for m in messages if m.unreadable] == ["7", "307", "607", "907"]
    assert messages[999].text == "text 999"


@pytest.mark.parametrize(
    "kind",
    [pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary(), pa.binary_view(), "dictionary"],
)
def test_kinds_of_text(tmp_path: Path, kind: pa.DataType | str) -> None:
    """Text is text however it is stored; a wrong byte costs its own row a repair and no other row anything."""
    column = pa.array([b"ok", b"caf\xe9", None, b"ok too"])
    if kind == "dictionary":
        column = pa.DictionaryArray.from_arrays(
            column.dictionary_encode().indices, column.drop_null().view(pa.string())
        )
    else:
        column = (
            column.cast(pa.large_binary()).cast(kind, safe=False)
            if "large" in str(kind)
            else column.cast(kind, safe=False)
        )
    messages = list(read_messages(write(tmp_path / "in.arrow", message=column, message_id=column)))
    assert [(m.id, m.text, bool(m.flags), m.unreadable) for m in messages] == [
        ("ok", "ok", False, False),
        ("caf\ufffd", "caf\ufffd", True, False),
        ("in:3", "", False, True),
        ("ok too", "ok too", False, False),
    ]


@pytest.mark.parametrize("kind", MAKERS)
def test_no_rows(tmp_path: Path, kind: str) -> None:
    """A file with a schema alone gives no messages and no error."""
    with read_messages(write(tmp_path / "in.arrow", kind=kind, text=pa.array([], pa.string()))) as reader:
        assert list(reader) == []
        assert reader.fraction == 1.0


def test_ids_that_are_none(tmp_path: Path) -> None:
    """Empty texts, halves and times that Python cannot tell are no ids, and cost no row its text."""
    texts = pa.array(["a"])
    for column in (pa.array([""]), pa.array([0.5]), pa.array([True]), pa.array([2**62], pa.timestamp("s"))):
        messages = list(read_messages(write(tmp_path / "in.arrow", id=column, text=texts)))
        assert [(m.id, m.text) for m in messages] == [("in:1", "a")]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not an Arrow file"),
        (b"FEA1 and so on", "version 1"),
        (b"ARROW1\0\0 not really", "not an Arrow file"),
        (b"words of a person", "not an Arrow file"),
    ],
)
def test_no_arrow(tmp_path: Path, data: bytes, words: str) -> None:
    """A file that is something else is an error that repeats nothing of it."""
    path = tmp_path / "in.feather"
    path.write_bytes(data)
    with pytest.raises(InputError, match=words) as caught:
        read_messages(path)
    assert "person" not in str(caught.value)


def test_wrong_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A column of numbers, the standard input, and a machine without pyarrow."""
    path = write(tmp_path / "in.arrow", text=pa.array([1]))
    with pytest.raises(InputError, match="int64, not text"):
        read_messages(path)
    with pytest.raises(InputError, match="Arrow cannot be read from the standard input"):
        read_messages("-", format="arrow")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigurationError, match=r'pip install "crisis-filter\[parquet\]"'):
        read_messages(path)


def cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


@pytest.mark.parametrize("legacy", [False, True])
def test_a_stream_that_stops_between_two_batches(tmp_path: Path, legacy: bool) -> None:
    """A writer that was killed leaves a stream without an end mark: its rows are read, and then it is told."""
    path = write(tmp_path / "in.arrows", kind="stream", legacy=legacy, rows=10, text=pa.array(["a"] * 20))
    assert len(list(read_messages(path))) == 20
    cut(path, path.stat().st_size - (4 if legacy else 8))
    reader = read_messages(path)
    assert [next(reader).text for _ in range(20)] == ["a"] * 20
    with pytest.raises(InputError, match="breaks off"):
        next(reader)


def test_streams_one_behind_the_other(tmp_path: Path) -> None:
    """Rows behind the end of the first stream are not passed over in silence."""
    path = write(tmp_path / "in.arrows", kind="stream", text=pa.array(["a"]))
    path.write_bytes(path.read_bytes() * 2)
    reader = read_messages(path)
    assert next(reader).text == "a"
    with pytest.raises(InputError, match="something follows"):
        next(reader)


@pytest.mark.parametrize("kind", MAKERS)
def test_a_file_that_shrinks(tmp_path: Path, kind: str) -> None:
    """To read where a mapped file no longer is would end the whole process, so it is told before."""
    path = write(tmp_path / "in.arrow", kind=kind, rows=10, text=pa.array([f"text {n}" for n in range(100)]))
    reader = read_messages(path)
    next(reader)
    os.truncate(path, path.stat().st_size - 10)
    with pytest.raises(InputError, match="became shorter"):
        list(reader)


def test_a_file_that_is_replaced(tmp_path: Path) -> None:
    """A file that is given another name, or deleted, is read to its end."""
    path = write(tmp_path / "in.arrow", rows=10, text=pa.array(["a"] * 100))
    reader = read_messages(path)
    next(reader)
    write(tmp_path / "new.arrow", text=pa.array(["b"])).replace(path)
    assert [next(reader).text for _ in range(50)] == ["a"] * 50
    path.unlink()
    assert [m.text for m in reader] == ["a"] * 49


def seeds() -> Iterator[bytes]:
    texts = pa.array([f"text {n}" * (n % 3) for n in range(8)])
    for column in (texts, texts.cast(pa.string_view()), texts.dictionary_encode()):
        table = pa.table({"id": column, "text": column})
        for maker in MAKERS.values():
            for compression in COMPRESSIONS:
                sink = pa.BufferOutputStream()
                with maker(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
                    writer.write_table(table, max_chunksize=4)
                yield sink.getvalue().to_pybytes()


SEEDS = tuple(seeds())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(SEEDS), st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=4), st.data())
def test_any_damage(tmp_path: Path, seed: bytes, changes: list[tuple[int, int]], data: st.DataObject) -> None:
    """Whatever bytes are changed or cut off, messages come that can be sent on, or an error of the input."""
    damaged = bytearray(seed)
    for place, value in changes:
        damaged[place % len(damaged)] = value
    path = tmp_path / "in.arrow"
    path.write_bytes(damaged[: data.draw(st.just(len(damaged)) | st.integers(0, len(damaged)))])
    try:
        with read_messages(path) as reader:
            messages = list(reader)
    except InputError:
        return
    for message in messages:
        message.text.encode("utf-8")
    assert reader.report.rows == len(messages) + reader.report.duplicates_dropped


@pytest.fixture
def pool() -> Iterator[pa.MemoryPool]:
    """Counts what pyarrow takes from now on."""
    before = pa.default_memory_pool()
    counted = pa.proxy_memory_pool(before)
    pa.set_memory_pool(counted)
    yield counted
    pa.set_memory_pool(before)


MEGABYTE = 1024 * 1024


@pytest.mark.parametrize("kind", MAKERS)
def test_one_batch_may_be_the_whole_file(tmp_path: Path, pool: pa.MemoryPool, kind: str) -> None:
    """A file of 32 MB in one batch takes no more memory than its longest text, more or less."""
    path = write(tmp_path / "in.arrow", kind=kind, text=pa.array(["x" * MEGABYTE] * 32))
    before = pool.max_memory()
    start = pool.bytes_allocated()
    assert sum(len(m.text) for m in read_messages(path)) == 32 * MEGABYTE
    assert pool.max_memory() <= max(before, start + 2 * MEGABYTE)


@pytest.mark.parametrize("kind", MAKERS)
def test_other_columns_are_not_unpacked(tmp_path: Path, pool: pa.MemoryPool, kind: str) -> None:
    """Only the text and the id of a compressed batch take memory."""
    other = pa.array(np.zeros(4 * MEGABYTE)).cast(pa.float64())
    path = write(
        tmp_path / "in.arrow", kind=kind, compression="zstd", other=other, text=pa.nulls(len(other), pa.string())
    )
    del other
    start = pool.bytes_allocated()
    peak = pool.max_memory()
    assert next(read_messages(path)).unreadable
    assert pool.max_memory() <= max(peak, start + 20 * MEGABYTE)


@pytest.mark.parametrize("format", ["parquet", "arrow"])
def test_a_text_too_long_is_one_unreadable_row(tmp_path: Path, format: str) -> None:
    """The limit of a line holds for a cell too, in code points; an id over it is none."""
    texts = pa.array(["\u00e9" * 5, "\u00e9" * 6, "x" * 1000, "b"])
    if format == "parquet":
        pq.write_table(pa.table({"id": texts, "text": texts}), tmp_path / "in.parquet")
        batches = ParquetBatches(tmp_path / "in.parquet")
    else:
        batches = ArrowBatches(write(tmp_path / "in.arrow", id=texts, text=texts))
    rows = ColumnRows(batches, text_name=None, id_name=None, source="x", max_chars=5)
    assert [(row.line, row.text, row.id, bool(row.reason)) for row in rows] == [
        (1, "\u00e9" * 5, "\u00e9" * 5, False),
        (2, None, None, True),
        (3, None, None, True),
        (4, "b", "b", False),
    ]
    rows.close()
