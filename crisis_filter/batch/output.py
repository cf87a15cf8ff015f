"""From a journal to the files that people asked for: each row once, in the order of the inputs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import file_digest, sha256
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from crisis_filter.batch.journal import Journal
from crisis_filter.batch.journal_files import Crash, Files, no_crash, sync_folder
from crisis_filter.batch.journal_lines import End, Made, RowLine
from crisis_filter.batch.journal_view import View
from crisis_filter.errors import ConfigurationError, InputError
from crisis_filter.schema import Assessment
from crisis_filter.tables.writing import OUTPUT_ENDINGS, AssessmentWriter

__all__ = ["finish", "refuse_ending"]

_PIECE = 1024 * 1024


class _Sink(Protocol):
    """Takes rows, and is a file on the disk when it is left."""

    rows: int

    def add(self, raw: bytes) -> None: ...


class _Lines:
    """A file of JSON Lines that is on the disk when it is left in good order, and gone otherwise."""

    def __init__(self, path: Path, crash: Crash = no_crash, half: str = "") -> None:
        self.rows = 0
        self.bytes = 0
        self._path, self._crash, self._half = path, crash, half
        self._digest = sha256()
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)

    def add(self, raw: bytes) -> None:
        self._held += (raw, b"\n")
        self._held_bytes += len(raw) + 1
        self.rows += 1
        if self._held_bytes >= _PIECE:
            self._write()

    def _write(self) -> None:
        data = b"".join(self._held)
        self._held.clear()
        self._held_bytes = 0
        self._digest.update(data)
        self.bytes += len(data)
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._file, rest) :]
        if self._half:
            self._crash(self._half)

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        try:
            if kind is None:
                self._write()
                os.fsync(self._file)
        except OSError:
            self._path.unlink()  # a full disk has room again
            raise
        finally:
            os.close(self._file)
        if kind is not None:
            with suppress(OSError):
                self._path.unlink()


def refuse_ending(out: Path) -> None:
    """See that the ending of an output says its format.

    Raises:
        InputError: it does not.
    """
    if out.suffix.lower() not in OUTPUT_ENDINGS:
        raise InputError(f"{out}: cannot tell the format; end the name with one of {', '.join(OUTPUT_ENDINGS)}")


def finish(journal: Journal, *, received: int, crash: Crash = no_crash) -> End:
    """Make output and errors of a run whose rows are all judged or set aside, and note it in the journal.

    JSON Lines get the bytes of each assessment as the journal has them; CSV and Parquet go through `tables.writing`. Both files
    are whole on the disk before the first gets its name, the errors get theirs first, and both names are on the disk before the
    journal has its end: so an output under its name is whole and has its errors. Memory is nine bytes a row, and a batch.

    Args:
        journal: open.
        received: rows of all inputs, as they were read.
        crash: for tests.

    Raises:
        ValueError: a row is neither judged nor set aside, or there is one beyond `received`.
        ConfigurationError: the disk does not take a file; the journal is as it was.
        InputError: the journal was changed meanwhile, or the ending of the output says no format.
    """
    refuse_ending(journal.out)
    files = Files(journal.out)
    with journal.view() as view:
        crash("viewed")
        if view.rows > received or view.pending(received):
            raise ValueError(f"{view.pending(received)} of {received} rows are not judged, {view.rows} are known")
        try:
            output, errors = _written(files, view, crash)
            files.errors_made.replace(files.errors)
            crash("errors_named")
            files.output_made.replace(files.out)
            crash("output_named")
            sync_folder(files.out)
            crash("folder_synced")
        except OSError as error:
            raise ConfigurationError(
                f"{files.out}: cannot be written: {error.strerror}. Nothing that was judged is lost; make room and start the run again"
            ) from None
        return journal.finish(
            lambda size, whole: End(
                received=received,
                aside=view.aside,
                outcomes=view.outcomes(),
                faults=view.faults(),
                output=output,
                errors=errors,
                bytes=size,
                whole=whole,
            )
        )


def _written(files: Files, view: View, crash: Crash) -> tuple[Made, Made]:
    """Both files under the names of their making."""
    with _Lines(files.errors_made) as errors:
        crash("errors_begun")
        with _output(files.output_made, crash) as output:
            crash("output_begun")
            for line in view:
                output.add(line.raw)
                if line.outcome == "undetermined":
                    errors.add(_error(line))
    crash("output_written")
    with files.output_made.open("rb") as file:
        digest = output.sha256 if isinstance(output, _Lines) else file_digest(file, "sha256").hexdigest()
        size = file.seek(0, os.SEEK_END)
    return (
        Made(name=files.out.name, bytes=size, sha256=digest, rows=output.rows),
        Made(name=files.errors.name, bytes=errors.bytes, sha256=errors.sha256, rows=errors.rows),
    )


@contextmanager
def _output(path: Path, crash: Crash) -> Iterator[_Sink]:
    if path.suffix.lower() == ".jsonl":
        with _Lines(path, crash, "output_half") as lines:
            yield lines
        return
    for left in path.parent.glob(f".{path.name}.*.part"):
        left.unlink()  # of a process that was killed; nobody else writes to this output
    writer = AssessmentWriter(path, force=True)
    try:
        with writer:
            yield _Table(writer, crash)
    except BaseException:
        with suppress(OSError):
            writer.partial.unlink(missing_ok=True)
        raise


class _Table:
    """Assessments as rows of a CSV or Parquet file."""

    def __init__(self, writer: AssessmentWriter, crash: Crash) -> None:
        self.rows = 0
        self._writer, self._crash = writer, crash

    def add(self, raw: bytes) -> None:
        self._writer.write(Assessment.model_validate_json(raw))
        self.rows += 1
        if self.rows == 1:
            self._crash("output_half")


def _error(line: RowLine) -> bytes:
    """What people need to look into a row, without its text."""
    told = json.loads(line.raw)
    row = {
        "id": told["id"],
        "row": line.row,
        "place": json.loads(line.place),
        "fault": line.fault,
        "detail": told["fault_detail"],
    }
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
