"""The rows of all inputs of a run, numbered through, those that are left out included."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path

from crisis_filter.batch.journal_lines import InputFile
from crisis_filter.errors import InputError
from crisis_filter.schema import Message
from crisis_filter.tables.reading import MessageReader

__all__ = ["BatchRow", "input_files", "numbered"]


@dataclass(frozen=True, slots=True)
class BatchRow:
    """One row."""

    number: int
    """From 0, over all inputs."""
    place: str
    """Input and row in it, from 1, for people; blank lines and a header are no rows."""
    message: Message | None
    """`None` for a row whose id and text came before in its input: it is set aside."""


def numbered(inputs: Iterable[tuple[str, MessageReader]]) -> Iterator[BatchRow]:
    """Number the rows of the inputs through.

    The same inputs read in the same way give the same rows, which is what a journal goes by. The readers share one `SeenIds`.

    Args:
        inputs: name and reader of each, opened as they are asked for and closed here.

    Raises:
        InputError: as the readers.
    """
    known = 0
    for name, reader in inputs:
        first = known
        with reader:
            for message in reader:
                last = first + reader.report.rows - 1
                yield from _aside(name, first, known, last)
                yield BatchRow(last, _place(name, last - first), message)
                known = last + 1
            yield from _aside(name, first, known, first + reader.report.rows)
            known = first + reader.report.rows


def _aside(name: str, first: int, start: int, end: int) -> Iterator[BatchRow]:
    for number in range(start, end):
        yield BatchRow(number, _place(name, number - first), None)


def _place(name: str, row: int) -> str:
    return f"{name}, row {row + 1}"


def input_files(paths: Iterable[Path]) -> tuple[InputFile, ...]:
    """What inputs are now, every byte read.

    Raises:
        InputError: one cannot be read.
    """
    return tuple(map(_input_file, paths))


def _input_file(path: Path) -> InputFile:
    try:
        with path.open("rb") as file:
            digest = file_digest(file, "sha256").hexdigest()
            return InputFile(name=str(path), bytes=file.tell(), sha256=digest)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
