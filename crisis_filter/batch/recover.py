"""Rebuilding a journal that is damaged, exchanged or gone, from what can be proved. No verdict is made up.

Two things vouch for an assessment: its line fits the line before it and names the content hash of the row that it is given to; or
the output is, byte for byte, what a finished run says that it wrote. What neither vouches for is asked again.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from hashlib import file_digest
from pathlib import Path
from typing import IO

from pydantic import Field, ValidationError

from crisis_filter.batch.journal_files import Crash, Files, Lock, no_crash, sync_data, sync_folder
from crisis_filter.batch.journal_lines import (
    ASIDE,
    DUPLICATE,
    HEAD,
    ROW,
    SYNCED,
    End,
    Head,
    aside_body,
    closed,
    content_key,
    end_of,
    fits,
    head_of,
    record_body,
    row_body,
    row_of,
    stated_crc,
    synced_body,
)
from crisis_filter.batch.journal_opening import refuse_another
from crisis_filter.batch.journal_reading import MAX_LINE_BYTES
from crisis_filter.batch.journal_seal import Seal, read_seal, write_seal
from crisis_filter.batch.journal_view import line_at
from crisis_filter.batch.journal_writer import trouble
from crisis_filter.batch.rows import BatchRow
from crisis_filter.errors import ConfigurationError
from crisis_filter.schema import OUTCOMES, Assessment, Record

__all__ = ["Recovery", "recover"]

_PIECE = 1024 * 1024
_NAMES = 1000


class Recovery(Record):
    """What became of each row."""

    received: int = Field(ge=0)
    """Rows of all inputs."""
    aside: int = Field(ge=0)
    from_journal: int = Field(ge=0)
    from_output: int = Field(ge=0)
    """Assessments that only the output vouches for."""
    again: int = Field(ge=0)
    """Rows that have to be judged again."""
    damaged_lines: int = Field(ge=0)
    """Of the old journal, those that do not fit the line before them, or that no line before them vouches for."""
    kept_as: str
    """Where the old journal is; empty where there was none."""


class _Old:
    """What an old journal proves, read past all damage.

    Args:
        path: need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.head: Head | None = None
        self.end: End | None = None
        self.damaged = 0
        self._offsets = array("q")
        # Rows and content hashes that damaged lines seem to be about: an older line may not be what stood.
        self._doubtful: set[int | str] = set()
        self._file: IO[bytes] | None = None
        with suppress(FileNotFoundError):
            with path.open("rb", buffering=_PIECE) as file:
                self._read(file)
            self._file = path.open("rb", buffering=0)

    def _read(self, file: IO[bytes]) -> None:
        offset = before = 0
        while line := file.readline(MAX_LINE_BYTES):
            if before >= 0 and fits(line, before) >= 0:
                self._proved(offset, line)
            else:
                self.damaged += 1
                found = row_of(line)
                self._doubtful.update((found.row, found.key) if found else ())
            before = stated_crc(line)
            offset += len(line)

    def _proved(self, offset: int, line: bytes) -> None:
        if offset == 0:
            self.head = head_of(line)
        elif line.startswith(ROW):
            if (found := row_of(line)) is not None:
                if (lacking := found.row + 1 - len(self._offsets)) > 0:
                    self._offsets.frombytes(b"\xff" * 8 * lacking)
                self._offsets[found.row] = offset
                self._doubtful -= {found.row, found.key}
        elif not line.startswith((ASIDE, SYNCED)):
            self.end = end_of(line) or self.end

    def assessment(self, row: int, key: str, message_id: str) -> tuple[Assessment, bytes] | None:
        """The latest assessment that is proved to be of this row and message, and its bytes."""
        if self._file is None or row >= len(self._offsets) or self._offsets[row] < 0 or {row, key} & self._doubtful:
            return None
        line = row_of(line_at(self._file.fileno(), self._offsets[row]))
        if line is None or line.key != key:
            return None
        found = _valid(line.raw, message_id)
        told = found and (found[0].outcome, found[0].fault and found[0].fault.value)
        return found if told == (line.outcome, line.fault) else None

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def recover(out: Path, head: Head, rows: Iterable[BatchRow], *, crash: Crash = no_crash) -> Recovery:
    """Put a new journal in place of a damaged one, with all that can be proved; then the run can be gone on with.

    Damage that hides whether a row was judged again makes that row one to be judged again. Where the journal and the output each
    vouch for another assessment of a row, the graver stands. The old journal is kept beside the new one.

    Args:
        out: the output of the run; JSON Lines can vouch, CSV and Parquet have too little in them.
        head: what the run is to be; run, salt and version count only where neither journal nor seal tells what they were.
        rows: the rows of all inputs, from `rows.numbered`.
        crash: for tests.

    Raises:
        InputError: the run was begun with other inputs, or an input cannot be read.
        ConfigurationError: it was begun with another fingerprint, another run is at work, or the disk does not take or give a file.
    """
    files = Files(out)
    with ExitStack() as stack:
        stack.enter_context(Lock(files))
        try:
            old = _Old(files.journal)
            stack.callback(old.close)
            seal = read_seal(files)
            theirs = _head(files, head, old, seal)
            output = stack.enter_context(_Output(files.out, _end(head, old, seal)))
            made = files.journal.with_name(f".{files.journal.name}.new")
            stack.callback(made.unlink, missing_ok=True)
            with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb", _PIECE) as file:
                counts = _rebuilt(file, theirs or head, old, output, rows)
            kept = _keep(files)
            made.replace(files.journal)
            crash("head_named")
            sync_folder(files.journal)
        except OSError as error:
            raise trouble(files.journal, error) from None
        write_seal(files, Seal(head=theirs or head))
        return Recovery(**counts, damaged_lines=old.damaged, kept_as=kept)


def _head(files: Files, mine: Head, old: _Old, seal: Seal | None) -> Head | None:
    """What the old lines were written with: what the journal says, or else its seal; `None` where neither does.

    Raises:
        InputError: all that tells tells of other inputs.
        ConfigurationError: all that tells tells of another fingerprint.
    """
    told = [head for head in (old.head, seal.head if seal else None) if head is not None]
    for head in told:
        if _same(mine, head):
            return head
    if told:
        refuse_another(files, mine, told[0])
    return None


def _same(mine: Head, theirs: Head) -> bool:
    contents = [[(i.bytes, i.sha256) for i in head.inputs] for head in (mine, theirs)]
    return contents[0] == contents[1] and mine.fingerprint == theirs.fingerprint


def _end(mine: Head, old: _Old, seal: Seal | None) -> End | None:
    """What says how the output was when a run of these inputs was finished."""
    if seal is not None and seal.end is not None and _same(mine, seal.head):
        return seal.end
    return old.end if old.head is not None and _same(mine, old.head) else None


class _Output:
    """The assessments of an output, row after row, where it is what a finished run wrote."""

    def __init__(self, path: Path, end: End | None) -> None:
        self._file: IO[bytes] | None = None
        if end is None or path.suffix.lower() != ".jsonl":
            return
        with suppress(FileNotFoundError):
            with path.open("rb") as file:
                proved = file_digest(file, "sha256").hexdigest() == end.output.sha256
            self._file = path.open("rb", buffering=_PIECE) if proved else None

    def next(self, message_id: str) -> tuple[Assessment, bytes] | None:
        """That of the next row that was judged; `None` where there is none for it."""
        return None if self._file is None else _valid(self._file.readline()[:-1], message_id)

    def __enter__(self) -> _Output:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()


def _valid(raw: bytes, message_id: str) -> tuple[Assessment, bytes] | None:
    try:
        assessment = Assessment.model_validate_json(raw)
    except ValidationError:
        return None
    return (assessment, raw) if assessment.id == message_id else None


def _rebuilt(file: IO[bytes], head: Head, old: _Old, output: _Output, rows: Iterable[BatchRow]) -> dict[str, int]:
    """Write the lines of the new journal to a file and wait until the disk has them."""
    counts = dict.fromkeys(("received", "aside", "from_journal", "from_output", "again"), 0)
    chain = 0
    for body in _bodies(head, old, output, rows, counts):
        end, chain = closed(body, chain)
        file.write(body + end)
    file.flush()
    sync_data(file.fileno())
    body = synced_body(file.tell())
    file.write(body + closed(body, chain)[0])
    file.flush()
    os.fsync(file.fileno())
    return counts


def _bodies(
    head: Head, old: _Old, output: _Output, rows: Iterable[BatchRow], counts: dict[str, int]
) -> Iterator[bytes]:
    salt = bytes.fromhex(head.salt)
    yield record_body(HEAD, head)
    for row in rows:
        counts["received"] = row.number + 1
        if row.message is None:
            counts["aside"] += 1
            yield aside_body(row.number, DUPLICATE)
            continue
        key = content_key(salt, row.message.id, row.message.text)
        mine, theirs = old.assessment(row.number, key, row.message.id), output.next(row.message.id)
        found = min((f for f in (mine, theirs) if f), key=lambda f: OUTCOMES.index(f[0].outcome), default=None)
        if found is None:
            counts["again"] += 1
            continue
        counts["from_journal" if found is mine else "from_output"] += 1
        yield row_body(row.number, key, *found, row.place)


def _keep(files: Files) -> str:
    """Give the old journal another name besides its own."""
    if not files.journal.exists():
        return ""
    for number in range(1, _NAMES):
        name = files.damaged if number == 1 else files.damaged.with_name(f"{files.damaged.name}.{number}")
        with suppress(FileExistsError):
            name.hardlink_to(files.journal)
            return str(name)
    raise ConfigurationError(f"{files.damaged}: there are {_NAMES} of them; move some away")
