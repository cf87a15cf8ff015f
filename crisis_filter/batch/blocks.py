"""Record batches in and out: rows of one as messages, their assessments as the columns of the Parquet output. Nothing here knows who hands them over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crisis_filter.batch.blocks_spec import BlockSpec
from crisis_filter.errors import InputError
from crisis_filter.tables.columnar import ColumnRows, arrow
from crisis_filter.tables.duplicates import SeenIds
from crisis_filter.tables.flat import COLUMNS, LIST_COLUMNS, NUMBER_COLUMNS, flat
from crisis_filter.tables.reading import MessageReader

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from crisis_filter.schema import Assessment, Message

__all__ = ["Verdicts", "messages_of", "verdict_schema"]

_SLICE = 1024
"""Rows that become Arrow at a time, so that no block holds up the requests that are under way."""


class _InMemory:
    """One record batch or table as `columnar.Batches`."""

    def __init__(self, block: pa.RecordBatch | pa.Table) -> None:
        self.schema: Any = block.schema
        self._block = block

    def of(self, names: Sequence[str]) -> Iterator[tuple[Any, float]]:
        """See `columnar.Batches`."""
        chosen, done = self._block.select(list(names)), 0
        for batch in chosen.to_batches() if isinstance(chosen, arrow().Table) else [chosen]:
            done += batch.num_rows
            yield batch, done / max(1, chosen.num_rows)

    def close(self) -> None:
        """Nothing to close."""


class _Unlike(SeenIds):
    """Every id is new: whoever gives a row gets a row back, and what other blocks hold nobody here can know."""

    def meet(self, row_id: str, text: str | None, source: int = 0) -> str:
        del row_id, text, source
        return "new"


def messages_of(block: pa.RecordBatch | pa.Table, spec: BlockSpec, label: str) -> Iterator[Message]:
    """The messages of a block, one for each row, read as they are asked for and in the way that files are read.

    Args:
        block: columns for text and id as `tables.reading` looks for them. With no rows its columns are not looked at.
        spec: names the columns.
        label: first part of the id of a row that has none.

    Raises:
        InputError: at once, when there is no column for the text or several, or the one named is not there.
    """
    if block.num_rows == 0:
        return iter(())
    reading = spec.reading
    rows = ColumnRows(
        _InMemory(block),
        text_name=reading.text_column,
        id_name=reading.id_column,
        source="the block",
    )
    return MessageReader(rows, label=label, seen=_Unlike(), locale=reading.locale)


def verdict_schema() -> pa.Schema:
    """Columns of the Parquet output of `crisis-filter batch run`."""
    pa = arrow()
    lists, strings, numbers = pa.list_(pa.string()), pa.string(), pa.float64()
    kinds = dict.fromkeys(LIST_COLUMNS, lists) | dict.fromkeys(NUMBER_COLUMNS, numbers)
    return pa.schema([(name, kinds.get(name, strings)) for name in COLUMNS])


class Verdicts:
    """The assessments of one block, put in as they come and in any order.

    Args:
        block: what was given.
        keep: columns of it that stand behind the verdict's own, unchanged.

    Raises:
        InputError: one of them is not there, or has a name of the verdict's own.
    """

    def __init__(self, block: pa.RecordBatch | pa.Table, keep: Sequence[str]) -> None:
        names = block.schema.names
        odd = [name for name in keep if names.count(name) != 1 or name in COLUMNS]
        # A block without rows may come without columns.
        if odd and block.num_rows:
            raise InputError(
                f"columns to keep that are not there exactly once, or have a name of our own: {', '.join(odd)}"
            )
        self._kept = [] if odd else [(name, block.column(name)) for name in keep]
        self._rows = int(block.num_rows)
        self._open: dict[int, list[dict[str, Any] | None]] = {}
        self._made: dict[int, Any] = {}
        self._left = self._rows
        self._schema = verdict_schema()

    @property
    def left(self) -> int:
        """Rows without an assessment."""
        return self._left

    def put(self, at: int, assessment: Assessment) -> None:
        """The assessment of a row.

        Args:
            at: the row, from 0.
            assessment: of its message.

        Raises:
            RuntimeError: the row has one already.
        """
        part, place = divmod(at, _SLICE)
        if part not in self._open and part not in self._made:
            self._open[part] = [None] * min(_SLICE, self._rows - part * _SLICE)
        rows = self._open.get(part)
        if rows is None or rows[place] is not None:
            raise RuntimeError("a row was judged twice; that is a bug of ours")
        rows[place] = flat(assessment)
        self._left -= 1
        if None not in rows:
            self._made[part] = arrow().RecordBatch.from_pylist(self._open.pop(part), schema=self._schema)

    def batch(self) -> pa.RecordBatch:
        """All of them, in the order of the rows; once none is left."""
        pa = arrow()
        made = pa.Table.from_batches([self._made[part] for part in sorted(self._made)], schema=self._schema)
        names = [*self._schema.names, *(name for name, _ in self._kept)]
        columns = [*made.columns, *(column for _, column in self._kept)]
        return pa.RecordBatch.from_arrays([_whole(column) for column in columns], names=names)


def _whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """One array of one or several."""
    return column.combine_chunks() if isinstance(column, arrow().ChunkedArray) else column
