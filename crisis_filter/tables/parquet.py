"""Parquet, batch by batch, with pyarrow (the `parquet` extra)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crisis_filter.errors import InputError
from crisis_filter.tables.columnar import arrow

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

# Rows held at a time: 256 messages of a megabyte are still a quarter of a gigabyte.
_BATCH = 256
_BUFFER = 1024 * 1024


class ParquetBatches:
    """The batches of a Parquet file.

    Args:
        path: the file.

    Raises:
        ConfigurationError: when pyarrow is not installed.
        InputError: when the file is no Parquet.
    """

    def __init__(self, path: Path) -> None:
        pa = arrow()
        import pyarrow.parquet as pq

        try:
            self._file = pq.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False)
            self.schema: Any = self._file.schema_arrow
        except (pa.ArrowException, OSError):
            raise InputError(f"{path}: not a Parquet file that can be read; is it complete?") from None

    def of(self, names: Sequence[str]) -> Iterator[tuple[Any, float]]:
        """See `columnar.Batches`."""
        done, total = 0, int(self._file.metadata.num_rows)
        for batch in self._file.iter_batches(batch_size=_BATCH, columns=list(names)):
            done += batch.num_rows
            yield batch, min(1.0, done / max(total, 1))

    def close(self) -> None:
        """Close the file."""
        self._file.close()
