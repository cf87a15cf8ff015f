"""The durable record of a run: what was judged, on the disk before anybody counts on it.

`Journal.open` begins one or goes on with the one that is there. Whatever kills the process, what is missing from the journal is
asked again, and what is in it is not: asked at least once, written exactly once.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from crisis_filter.batch.journal_files import Crash, Files, Lock, no_crash, sync_data
from crisis_filter.batch.journal_lines import (
    DUPLICATE,
    END,
    End,
    Head,
    aside_body,
    assessment_bytes,
    content_key,
    record_body,
    row_body,
)
from crisis_filter.batch.journal_opening import Opened, opened
from crisis_filter.batch.journal_seal import Seal, write_seal
from crisis_filter.batch.journal_view import View
from crisis_filter.batch.journal_writer import Writer, trouble
from crisis_filter.errors import ConfigurationError
from crisis_filter.schema import Assessment, Message

__all__ = ["Journal"]


class Journal:
    """An open journal. Use `open`, and the result as a context manager.

    Attributes:
        out: the output it belongs to.
        head: what the run was begun with.
        end: what it came to; `None` for one that is not finished.
        resumed: whether it was there before.
        torn: bytes that a write cut short had left behind, and that were cut off.
    """

    def __init__(
        self, files: Files, lock: Lock, found: Opened, *, interval_s: float = 0.25, crash: Crash = no_crash
    ) -> None:
        scanned = found.scanned
        self.out = files.out
        self.head, self.end, self.resumed, self.torn = scanned.head, found.end, found.resumed, scanned.torn
        self._files, self._lock, self._crash, self._done = files, lock, crash, found.done
        self._salt = bytes.fromhex(self.head.salt)
        try:
            file = os.open(files.journal, os.O_WRONLY | os.O_APPEND)
            if scanned.torn:
                os.ftruncate(file, scanned.size)
            sync_data(file)  # a process that was killed may have written what the disk has not yet
        except OSError as error:
            raise trouble(files.journal, error) from None
        crash("mended")
        self._writer = Writer(
            file,
            files.journal,
            size=scanned.size,
            chain=scanned.chain,
            whole=scanned.whole,
            interval_s=interval_s,
            crash=crash,
        )

    @classmethod
    def open(
        cls,
        out: Path,
        head: Head,
        *,
        force: bool = False,
        verify: bool = False,
        interval_s: float = 0.25,
        crash: Crash = no_crash,
    ) -> Self:
        """Begin a journal beside `out`, or go on with the one that is there.

        One that is not finished is proved line by line. A finished one is proved as a whole, every byte of it, by the CRC that its
        last line states; of output and errors it is only looked whether they are there and as long as they were. `verify` proves
        it line by line too, and output and errors by their hashes. An output that is gone makes the run an unfinished one.

        Args:
            out: the output; need not exist, its folder must.
            head: what the run is to be. Run, salt and version count for a new journal only.
            force: begin anew, whatever is there.
            verify: see above.
            interval_s: how long an assessment may wait until it is on the disk.
            crash: for tests.

        Raises:
            InputError: the inputs are others than the journal's (told with both hashes), the journal is damaged, output or errors
                were changed, or there is an output without a journal.
            ConfigurationError: what judges is another than the journal's (told with both hashes), another run is at work, or the
                disk does not take or give a file.
        """
        files = Files(out)
        lock = Lock(files)
        try:
            crash("locked")
            found = opened(files, head, force=force, verify=verify, crash=crash)
            crash("read")
            return cls(files, lock, found, interval_s=interval_s, crash=crash)
        except BaseException:
            lock.release()
            raise

    @property
    def finished(self) -> bool:
        """Whether nothing was added since output and errors were made."""
        return self.end is not None

    @property
    def durable(self) -> int:
        """Lines added since it was opened that are on the disk."""
        return self._writer.durable

    @property
    def full(self) -> bool:
        """Whether `room` would wait."""
        return self._writer.full

    def key(self, message: Message) -> str:
        """Content hash of a message, for `add`."""
        return content_key(self._salt, message.id, message.text)

    def done(self, row: int) -> bool:
        """Whether a row, counted from 0 over all inputs, has been judged or set aside."""
        return row in self._done

    def add(self, row: int, key: str, assessment: Assessment, *, raw: bytes | None = None, place: str = "") -> None:
        """Take an assessment: microseconds, never a wait. It is on the disk within the interval.

        A row may be given again; the later assessment then stands, so whoever judges again asks `triage.rejudge.standing_after`
        first. A row that stands as `no_crisis` is never judged again.

        Args:
            row: from 0 over all inputs.
            key: from `key`.
            assessment: triaged.
            raw: its JSON on one line, where the caller has it already.
            place: where the row stands, for people.

        Raises:
            ConfigurationError: an earlier line could not be written, as on a full disk. Nothing is written any more.
            ValueError: the row is negative, `raw` is not one line of JSON, or the journal is closed.
        """
        self._writer.add(row_body(row, key, assessment, raw or assessment_bytes(assessment), place))
        self._done.add(row)
        self.end = None
        self._crash("added")

    def set_aside(self, row: int, why: str = DUPLICATE) -> None:
        """Note that a row is not judged, because its id came before with the same text.

        Raises:
            ConfigurationError: as `add`.
        """
        self._writer.add(aside_body(row, why))
        self._done.add(row)
        self.end = None

    async def room(self) -> None:
        """Wait while too much waits for the disk. To be asked before the next message is taken up.

        Raises:
            ConfigurationError: as `add`.
        """
        await self._writer.room()

    def flush(self) -> None:
        """Wait until everything is on the disk.

        Raises:
            ConfigurationError: as `add`.
        """
        self._writer.flush()

    async def flushed(self) -> None:
        """`flush` for an event loop.

        Raises:
            ConfigurationError: as `add`.
        """
        await asyncio.to_thread(self._writer.flush)

    def view(self) -> View:
        """What stands in it now, row by row, after a `flush`.

        Raises:
            ConfigurationError: as `add`, or it cannot be read.
            InputError: it was changed meanwhile.
        """
        self.flush()
        return View(self.out)

    def finish(self, end_of: Callable[[int, str], End]) -> End:
        """Write the end, once output and errors have their names.

        Args:
            end_of: makes it of the bytes before it and their CRC-32.

        Raises:
            ConfigurationError: as `add`.
        """
        made: list[End] = []

        def body_of(size: int, whole: int) -> bytes:
            made.append(end_of(size, f"{whole:08x}"))
            return record_body(END, made[0])

        self._writer.finish(body_of, written="end_written", synced="end_synced")
        write_seal(self._files, Seal(head=self.head, end=made[0]), self._crash, "sealed")
        self.end = made[0]
        return made[0]

    def close(self) -> None:
        """Write what is left and give the lock back. Calling it twice does nothing.

        Raises:
            ConfigurationError: it could not be written.
        """
        try:
            self._writer.close()
        finally:
            self._lock.release()
        self._crash("unlocked")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is None:
            self.close()
            return
        with suppress(ConfigurationError, RuntimeError):  # told already, or less than what is being told
            self.close()
