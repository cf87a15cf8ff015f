"""Parquet, batch by batch, with pyarrow (the `parquet` extra)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crisis_filter.errors import ConfigurationError, InputError
from crisis_filter.tables.formats import PARQUET_MISSING, id_column, text_column
from crisis_filter.tables.rows import Row, repaired_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Rows held at a time: 256 messages of a megabyte are still a quarter of a gigabyte.
_BATCH = 256
_BUFFER = 1024 * 1024


class ParquetRows:
    """Rows of a Parquet file.

    Text is decoded here and not by pyarrow, because one wrong byte must cost one row and not the batch.

    Args:
        path: the file.
        text_name: name of the text column, or `None` to find it.
        id_name: name of the id column, or `None` to find it.

    Raises:
        ConfigurationError: when pyarrow is not installed.
        InputError: when the file is no Parquet, or has no column for the text, or one that holds no text.
    """

    def __init__(self, path: Path, *, text_name: str | None, id_name: str | None) -> None:
        try:
            import pyarrow as pa
            import pyarrow.parquet as pq
        except ImportError:
            raise ConfigurationError(PARQUET_MISSING) from None
        self._pa = pa
        self._source = str(path)
        try:
            self._file = pq.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False)
            schema = self._file.schema_arrow
        except (pa.ArrowException, OSError):
            raise InputError(f"{path}: not a Parquet file that can be read; is it complete?") from None
        self.has_ids = (id_name := id_column(schema.names, id_name, str(path))) is not None
        self._id = id_name
        self._text = text_column(schema.names, text_name, str(path))
        kind = schema.field(self._text).type
        if pa.types.is_dictionary(kind):
            kind = kind.value_type
        if not any(is_kind(kind) for is_kind in self._textual()):
            raise InputError(f"{path}: column {self._text!r} holds {kind}, not text. Choose another with --text-column")
        self.total = int(self._file.metadata.num_rows)
        self.done = 0

    def _textual(self) -> tuple[Any, ...]:
        kinds = self._pa.types
        return (
            kinds.is_string,
            kinds.is_large_string,
            kinds.is_string_view,
            kinds.is_binary,
            kinds.is_large_binary,
            kinds.is_binary_view,
        )

    def __iter__(self) -> Iterator[Row]:
        wanted = [self._text] if self._id is None else list(dict.fromkeys([self._text, self._id]))
        batches = self._file.iter_batches(batch_size=_BATCH, columns=wanted)
        while (batch := self._next(batches)) is not None:
            texts = self._bytes(batch.column(self._text))
            ids = self._ids(batch.column(self._id)) if self._id is not None else [None] * len(texts)
            for given, row_id in zip(texts, ids, strict=True):
                self.done += 1
                if given is None:
                    yield Row(self.done, None, row_id, reason="null instead of a text")
                else:
                    text, repaired = repaired_text(given.decode("utf-8", "surrogateescape"))
                    yield Row(self.done, text, row_id, repaired)

    def _next(self, batches: Iterator[Any]) -> Any:
        try:
            return next(batches, None)
        except (self._pa.ArrowException, OSError):
            raise InputError(f"{self._source}: the file is damaged after row {self.done}") from None

    def _bytes(self, column: Any) -> list[bytes | None]:
        if self._pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        values: list[bytes | None] = column.cast(self._pa.large_binary(), safe=False).to_pylist()
        return values

    def _ids(self, column: Any) -> list[str | None]:
        if self._pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        if any(is_kind(column.type) for is_kind in self._textual()):
            return [b.decode("utf-8", "surrogateescape") if b else None for b in self._bytes(column)]
        return [None if v is None or isinstance(v, bool | float) else str(v) for v in column.to_pylist()]

    def close(self) -> None:
        """Close the file."""
        self._file.close()
