"""Beginning a journal, and going on with one: is it whole, and is it of this run?"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from zlib import crc32

from crisis_filter.batch.journal_files import Crash, Files, put_whole
from crisis_filter.batch.journal_lines import (
    ASIDE,
    HEAD,
    ROW,
    End,
    Head,
    Made,
    closed,
    record_body,
    verdict_of,
)
from crisis_filter.batch.journal_reading import Scanned, damaged, finished, scan, unreadable
from crisis_filter.batch.journal_seal import Seal, read_seal, write_seal
from crisis_filter.batch.journal_writer import trouble
from crisis_filter.errors import ConfigurationError, InputError

__all__ = ["Opened", "Rows", "opened", "refuse_another"]


@dataclass(frozen=True, slots=True)
class Opened:
    """A journal that was begun or proved, before it is written to."""

    scanned: Scanned
    done: Rows
    end: End | None
    """What the run came to, where it is finished and its files are there."""
    resumed: bool


class Rows:
    """A set of row numbers, one bit each."""

    def __init__(self, below: int = 0) -> None:
        self._bits = bytearray()
        self._below = below
        """All rows under this are in it."""

    def __contains__(self, row: int) -> bool:
        if row < self._below:
            return True
        at = row >> 3
        return at < len(self._bits) and bool(self._bits[at] >> (row & 7) & 1)

    def add(self, row: int) -> None:
        """Put one in. Twice is once."""
        at = row >> 3
        if at >= len(self._bits):
            self._bits.extend(bytes(at + 1 - len(self._bits)))
        self._bits[at] |= 1 << (row & 7)

    def meet(self, _: int, line: bytes) -> None:
        """Put in the row of a line of a journal.

        Raises:
            ValueError: it has none.
        """
        if line.startswith(ROW):
            self.add(verdict_of(line)[0])
        else:
            self.add(int(line[len(ASIDE) : line.index(b",", len(ASIDE))]))


def refuse_another(files: Files, mine: Head, theirs: Head) -> None:
    """See that a journal is of these inputs and was judged as these are to be.

    Args:
        files: of the journal.
        mine: what the run is to be.
        theirs: the journal's head.

    Raises:
        InputError: other inputs; tells the hashes.
        ConfigurationError: another policy, other prompts, another backend or other options; tells the hashes and which.
    """
    again = "Go on with what it was begun with, or name another output"
    if len(mine.inputs) != len(theirs.inputs):
        raise InputError(
            f"{files.journal}: was begun with another number of inputs: {len(theirs.inputs)}, not {len(mine.inputs)}. {again}"
        )
    for new, old in zip(mine.inputs, theirs.inputs, strict=True):
        if (new.bytes, new.sha256) != (old.bytes, old.sha256):
            raise InputError(
                f"{new.name}: is not what the run was begun with: SHA-256 {new.sha256} ({new.bytes} bytes) now, "
                f"{old.sha256} ({old.bytes} bytes) in {files.journal}. {again}"
            )
    new_print, old_print = mine.fingerprint, theirs.fingerprint
    if new_print != old_print:
        fields = [name for name in type(new_print).model_fields if getattr(new_print, name) != getattr(old_print, name)]
        raise ConfigurationError(
            f"{files.journal}: was begun with another {' and '.join(fields)}: fingerprint {old_print.sha256} there, "
            f"{new_print.sha256} now. {again}"
        )


def opened(files: Files, head: Head, *, force: bool, verify: bool, crash: Crash) -> Opened:
    """A journal to write to: the one that is there, or a new one. See `Journal.open`.

    Raises:
        InputError: see there.
        ConfigurationError: see there.
    """
    if force or not _is_there(files):
        return Opened(_begun(files, head, crash), Rows(), None, resumed=False)
    done = Rows()
    scanned = None if verify else finished(files.journal)
    if scanned is None:
        scanned = scan(files.journal, done.meet)
        if scanned.end is not None and not verify:
            raise damaged(files.journal, 0, "does not have the bytes that its last line says")
    seal = read_seal(files)
    if seal is not None and seal.head != scanned.head:
        raise damaged(files.journal, 1, "is another than its seal tells of")
    if seal is not None and seal.end is not None and scanned.size <= seal.end.bytes:
        raise damaged(files.journal, 0, "is shorter than it was when the run was finished")
    refuse_another(files, head, scanned.head)
    new_seal = Seal(head=scanned.head, end=scanned.end or (seal.end if seal else None))
    if new_seal != seal:
        write_seal(files, new_seal)
    if scanned.end is None:
        return Opened(scanned, done, None, resumed=True)
    made = [_as_made(scanned.end.output, files.out, verify=verify)]
    made += [_as_made(scanned.end.errors, files.errors, verify=verify)]
    return Opened(scanned, Rows(below=scanned.end.received), scanned.end if all(made) else None, resumed=True)


def _is_there(files: Files) -> bool:
    """Whether there is a journal to go on with.

    Raises:
        InputError: there is none, but what such a run leaves behind.
    """
    if files.journal.exists():
        return True
    if files.seal.exists():
        raise damaged(files.journal, 0, "is gone, but its seal is there")
    if files.out.exists():
        raise InputError(f"{files.out}: is there already, and no journal of it; name another output or add --force")
    return False


def _begun(files: Files, head: Head, crash: Crash) -> Scanned:
    """A new journal on the disk."""
    if not files.out.parent.is_dir():
        raise InputError(f"{files.out.parent}: no such folder; make it first")
    body = record_body(HEAD, head)
    end, chain = closed(body, 0)
    try:
        files.seal.unlink(missing_ok=True)  # of what is begun anew
    except OSError as error:
        raise trouble(files.seal, error) from None
    put_whole(files.journal, body + end, crash, "head_written", "head_named")
    write_seal(files, Seal(head=head), crash, "begun")
    return Scanned(head, None, len(body + end), 1, chain, crc32(body + end))


def _as_made(made: Made, path: Path, *, verify: bool) -> bool:
    """Whether a file that a finished run made is there; one that is gone is made again.

    Raises:
        InputError: it is there and was changed: by its length, or with `verify` by its hash.
    """
    try:
        size = path.stat().st_size
        if size == made.bytes and verify:
            with path.open("rb") as file:
                size = size if file_digest(file, "sha256").hexdigest() == made.sha256 else -1
    except FileNotFoundError:
        return False
    except OSError as error:
        raise unreadable(path, error) from None
    if size != made.bytes:
        raise InputError(
            f"{path}: was changed since the run wrote it. Move it away, and the run makes it again from its journal"
        )
    return True
