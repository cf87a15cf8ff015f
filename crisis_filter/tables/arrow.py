"""Arrow IPC files (Feather version 2) and streams, batch by batch, with pyarrow (the `parquet` extra).

The file is mapped and not read, because one batch may be the whole file: of a plain one only what is looked at takes
memory, and that is the system's to take back; of a compressed one the columns of text and id are unpacked a batch at a
time.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from crisis_filter.errors import InputError
from crisis_filter.tables.columnar import arrow, is_textual

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_FILE = b"ARROW1"
_OLD_FEATHER = b"FEA1"
# What stands before each part of a stream; before version 0.15 of the library nothing did.
_PART = b"\xff\xff\xff\xff"
_OLD_END = b"\0\0\0\0"
_END = _PART + _OLD_END


class ArrowBatches:
    """The batches of an Arrow file or stream; the first bytes tell which it is.

    Args:
        path: the file.

    Raises:
        ConfigurationError: when pyarrow is not installed.
        InputError: when the file is neither.
    """

    def __init__(self, path: Path) -> None:
        self._pa = pa = arrow()
        self._path = path
        try:
            with path.open("rb") as file:
                head = file.read(len(_FILE))
        except OSError as error:
            raise InputError(f"{path}: cannot be opened: {error.strerror}") from None
        if head.startswith(_OLD_FEATHER):
            raise InputError(f"{path}: a Feather file of version 1: write it as version 2, or as Parquet")
        self._indexed, self._framed = head == _FILE, head.startswith(_PART)
        try:
            self._stat = path.stat()
            self._map: Any = pa.memory_map(str(path))
            self.schema: Any = self._opened(None).schema
        except (pa.ArrowException, OSError):
            raise InputError(f"{path}: not an Arrow file that can be read; is it complete?") from None

    def _opened(self, fields: list[int] | None) -> Any:
        options = self._pa.ipc.IpcReadOptions(included_fields=fields, use_threads=False)
        self._map.seek(0)
        if self._indexed:
            return self._pa.ipc.open_file(self._map, options=options)
        return self._pa.ipc.open_stream(self._map, options=options)

    def of(self, names: Sequence[str]) -> Iterator[tuple[Any, float]]:
        """See `columnar.Batches`."""
        reader = self._opened([self.schema.names.index(name) for name in names])
        for batch, end in self._from_file(reader) if self._indexed else self._from_stream(reader):
            # An offset that is wrong would lead out of the file, and pyarrow looks no further than it must.
            for column in batch.columns:
                _check(column)
            yield batch, end

    def _from_file(self, reader: Any) -> Iterator[tuple[Any, float]]:
        count = reader.num_record_batches
        for at in range(count):
            self._refuse_changed()
            yield reader.get_batch(at), (at + 1) / count

    def _from_stream(self, reader: Any) -> Iterator[tuple[Any, float]]:
        while True:
            self._refuse_changed()
            start = self._map.tell()
            try:
                batch = reader.read_next_batch()
            except StopIteration:
                break
            yield batch, self._map.tell() / self._stat.st_size
        end = self._map.tell()
        # The format lets a stream just stop; but so does one whose writer was killed between two batches.
        if end == start or not self._before(end).endswith(_END if self._framed else _OLD_END):
            raise InputError(f"{self._path}: the stream breaks off without its end mark; is it complete?")
        if end != self._stat.st_size:
            raise InputError(f"{self._path}: something follows the end of the stream; put each stream in its own file")

    def _before(self, place: int) -> bytes:
        self._map.seek(place - len(_END))
        mark: bytes = self._map.read(len(_END))
        return mark

    def _refuse_changed(self) -> None:
        """Stop before the system stops the whole process for reading where the file no longer is."""
        try:
            now = self._path.stat()
        except OSError:  # it goes by another name now, or by none, and is there as long as it is mapped
            return
        if os.path.samestat(now, self._stat) and now.st_size < self._stat.st_size:
            raise InputError(f"{self._path}: the file became shorter while it was read")

    def close(self) -> None:
        """Close the file."""
        self._map.close()


def _check(column: Any) -> None:
    """Look whether every value lies inside the column, but not whether it is UTF-8.

    Raises:
        pyarrow.ArrowException: one does not.
    """
    pa = arrow()
    if pa.types.is_dictionary(column.type):
        column.indices.validate(full=True)
        _check(column.dictionary)
        pa.DictionaryArray.from_arrays(column.indices, column.dictionary, safe=True)
        return
    if is_textual(column.type):
        kinds = {pa.string(): pa.binary(), pa.large_string(): pa.large_binary(), pa.string_view(): pa.binary_view()}
        column = column.view(kinds.get(column.type, column.type))
    column.validate(full=True)
