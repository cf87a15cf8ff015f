"""Assessments out: JSON Lines as they are, CSV and Parquet flattened; a file appears whole or not at all."""

from __future__ import annotations

import csv
import io
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol, Self

from crisis_filter.errors import ConfigurationError, InputError
from crisis_filter.tables.flat import COLUMNS, LIST_COLUMNS, NUMBER_COLUMNS, flat, inert, json_line
from crisis_filter.tables.formats import PARQUET_MISSING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from crisis_filter.schema import Assessment

OUTPUT_ENDINGS = (".jsonl", ".csv", ".parquet")
_BATCH = 1000


class _Sink(Protocol):
    """One format: takes assessments, and completes the file it was given without closing it."""

    def write(self, assessment: Assessment) -> None: ...

    def finish(self) -> None: ...


class _JsonLines:
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, assessment: Assessment) -> None:
        self._file.write(json_line(assessment))

    def finish(self) -> None:
        self._file.flush()


class _Csv:
    def __init__(self, file: IO[bytes]) -> None:
        self._file = io.TextIOWrapper(file, encoding="utf-8", newline="")
        self._writer = csv.writer(self._file)
        self._writer.writerow(COLUMNS)

    def write(self, assessment: Assessment) -> None:
        values = (" | ".join(v) if isinstance(v, list) else v for v in flat(assessment).values())
        self._writer.writerow([inert(v) if isinstance(v, str) else v for v in values])

    def finish(self) -> None:
        self._file.detach()


class _Parquet:
    def __init__(self, file: IO[bytes]) -> None:
        try:
            import pyarrow as pa
            import pyarrow.parquet as pq
        except ImportError:
            raise ConfigurationError(PARQUET_MISSING) from None
        lists, strings, numbers = pa.list_(pa.string()), pa.string(), pa.float64()
        self._pa = pa
        self._schema = pa.schema(
            [(c, lists if c in LIST_COLUMNS else numbers if c in NUMBER_COLUMNS else strings) for c in COLUMNS]
        )
        self._writer = pq.ParquetWriter(file, self._schema)
        self._held: list[dict[str, Any]] = []

    def write(self, assessment: Assessment) -> None:
        self._held.append(flat(assessment))
        if len(self._held) >= _BATCH:
            self._spill()

    def _spill(self) -> None:
        self._writer.write_table(self._pa.Table.from_pylist(self._held, schema=self._schema))
        self._held.clear()

    def finish(self) -> None:
        if self._held:
            self._spill()
        self._writer.close()


_SINKS: dict[str, Callable[[IO[bytes]], _Sink]] = {".jsonl": _JsonLines, ".csv": _Csv, ".parquet": _Parquet}


class AssessmentWriter:
    """Writes assessments to a file that appears under its name only once it is whole.

    As a context manager: leaving it in good order renames the temporary file to `path`; leaving it by an exception
    keeps what was done as `PATH.partial`, which is a readable file too. Both are readable by their owner alone,
    because an assessment quotes the person.

    Args:
        path: ends with one of `OUTPUT_ENDINGS`, which chooses the format.
        force: replace a file that is there.

    Raises:
        InputError: another ending, no such folder, or a file that is there without `force`.
        ConfigurationError: Parquet without the `parquet` extra, or a disk that does not take the file.
    """

    def __init__(self, path: str | Path, *, force: bool = False) -> None:
        self.path = Path(path)
        self.partial = self.path.with_name(self.path.name + ".partial")
        self.count = 0
        """Assessments written so far."""
        self._force = force
        ending = self.path.suffix.lower()
        if ending not in _SINKS:
            raise InputError(f"{path}: cannot tell the format; end the name with one of {', '.join(OUTPUT_ENDINGS)}")
        self._refuse_existing()
        if not self.path.parent.is_dir():
            raise InputError(f"{self.path.parent}: no such folder; make it first")
        try:
            handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.", suffix=".part")
        except OSError as error:
            raise self._trouble(error) from None
        self._temporary = Path(name)
        self._file: IO[bytes] = os.fdopen(handle, "wb")
        try:
            self._sink = _SINKS[ending](self._file)
        except ConfigurationError:
            self._file.close()
            self._temporary.unlink()
            raise

    def write(self, assessment: Assessment) -> None:
        """Add one assessment.

        Raises:
            ConfigurationError: when the disk does not take it.
        """
        try:
            self._sink.write(assessment)
        except OSError as error:
            raise self._trouble(error) from None
        self.count += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            self._sink.finish()
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            if kind is None:
                self._refuse_existing()
                self._temporary.replace(self.path)
                self._sync_folder()
                return
        except OSError as trouble:
            self._keep()
            if kind is None:
                raise self._trouble(trouble) from None
            return
        except BaseException:  # a file of that name by now, or a signal
            self._keep()
            raise
        self._keep()

    def _keep(self) -> None:
        """Put what was done beside the name asked for."""
        with suppress(OSError):  # a full disk fails here again, and has been told
            self._file.close()
        with suppress(OSError):
            if self.count:
                self._temporary.replace(self.partial)
            else:
                self._temporary.unlink()

    def _sync_folder(self) -> None:
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _refuse_existing(self) -> None:
        if not self._force and self.path.exists():
            raise InputError(f"{self.path}: is there already; choose another name or add --force to replace it")

    def _trouble(self, error: OSError) -> ConfigurationError:
        return ConfigurationError(f"{self.path}: cannot be written: {error.strerror}")
