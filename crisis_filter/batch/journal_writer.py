"""The thread that puts lines on the disk, many at a time."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from zlib import crc32

from crisis_filter.batch.journal_files import Crash, no_crash, sync_data
from crisis_filter.batch.journal_lines import closed, synced_body
from crisis_filter.errors import ConfigurationError

__all__ = ["MOST_BYTES", "SOON_BYTES", "Writer", "trouble"]

SOON_BYTES = 1024 * 1024
"""As much is written without waiting for the rest of the interval."""
MOST_BYTES = 4 * SOON_BYTES
"""Not yet on the disk: from here on `room` waits."""


def trouble(path: Path, error: OSError) -> ConfigurationError:
    """What is said when the disk does not take a journal."""
    return ConfigurationError(
        f"{path}: cannot be written: {error.strerror}. What is there is kept; make room and start the run again"
    )


class Writer:
    """Takes lines in microseconds and has them on the disk within an interval, with one write and one sync for all.

    An error of the disk is kept and told to every caller from then on; nothing is written after it.

    Args:
        file: descriptor, opened for appending; closed here.
        path: of the file, for errors.
        size: bytes in the file.
        chain: CRC of the last line.
        whole: CRC-32 of all bytes in the file.
        interval_s: how long the first of many lines may wait.
        crash: called between the steps.
    """

    def __init__(
        self,
        file: int,
        path: Path,
        *,
        size: int,
        chain: int,
        whole: int,
        interval_s: float = 0.25,
        crash: Crash = no_crash,
    ) -> None:
        self._file, self._path, self._crash = file, path, crash
        self._size, self._chain, self._whole = size, chain, whole
        self._interval_s = interval_s
        self._change = threading.Condition()
        self._held: list[bytes] = []
        self._held_bytes = self._flying_bytes = 0
        self._added = self._durable = 0
        self._hurry = self._stopping = False
        # Whether the last line does not yet say that all before it is on the disk.
        self._unsealed = False
        self._error: Exception | None = None
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    @property
    def durable(self) -> int:
        """Lines that were taken and are on the disk."""
        return self._durable

    @property
    def full(self) -> bool:
        """Whether more waits to be written than should; `add` takes it all the same."""
        return self._held_bytes + self._flying_bytes >= MOST_BYTES

    def add(self, body: bytes) -> None:
        """Take a line.

        Raises:
            ConfigurationError: an earlier one could not be written, as on a full disk.
            ValueError: the journal is closed.
        """
        with self._change:
            self._raise()
            if self._stopping:
                raise ValueError("the journal is closed")
            self._held.append(body)
            self._held_bytes += len(body)
            self._added += 1
            if len(self._held) == 1 or self._held_bytes >= SOON_BYTES:
                self._change.notify_all()

    async def room(self) -> None:
        """Wait until there is room for more; one that asks for it before it takes up more work keeps memory bounded.

        Raises:
            ConfigurationError: as `add`.
        """
        while True:
            with self._change:
                self._raise()
                if not self.full:
                    return
                loop = asyncio.get_running_loop()
                future = loop.create_future()
                self._waiting.append((loop, future))
            await future

    def flush(self) -> None:
        """Wait until all lines are on the disk.

        Raises:
            ConfigurationError: as `add`.
        """
        with self._change:
            wanted = self._added
            while self._durable < wanted and self._error is None:
                self._hurry = True
                self._change.notify_all()
                self._change.wait()
            self._raise()

    def finish(self, body_of: Callable[[int, int], bytes], *, written: str, synced: str) -> bytes:
        """Flush, and write one line that says of the file as a whole what it is.

        Args:
            body_of: makes its body of the bytes before it and their CRC-32.
            written: crash point before the line is on the disk.
            synced: crash point after it is.

        Returns:
            The line.

        Raises:
            ConfigurationError: as `add`.
        """
        self.flush()
        with self._change:  # held, so that nothing comes between
            self._raise()
            body = body_of(self._size, self._whole)
            end, chain = closed(body, self._chain)
            try:
                self._write(body + end)
                self._crash(written)
                sync_data(self._file)
            except OSError as error:
                self._error = trouble(self._path, error)
                raise self._error from None
            self._chain, self._unsealed = chain, False
        self._crash(synced)
        return body + end

    def close(self) -> None:
        """Write what is left and let go of the file. Calling it twice does nothing.

        Raises:
            ConfigurationError: it could not be written.
        """
        with self._change:
            if self._stopping:
                return
            self._stopping = True
            self._change.notify_all()
        self._thread.join()
        try:
            if self._unsealed and self._error is None:
                self._commit([])
        except OSError as error:
            self._error = trouble(self._path, error)
        finally:
            os.close(self._file)
        self._raise()

    def _raise(self) -> None:
        if self._error is not None:
            # The kept one would grow a traceback with every time that it is raised.
            raise type(self._error)(*self._error.args)

    def _run(self) -> None:
        try:
            while batch := self._batch():
                self._commit(batch)
                with self._change:
                    self._durable += len(batch)
                    self._flying_bytes = 0
                    self._tell()
        except OSError as error:
            self._end(trouble(self._path, error))
        except BaseException as error:  # noqa: BLE001  # a thread that dies in silence would lose all that follows
            self._end(RuntimeError(f"the journal cannot go on after a {type(error).__name__}"))

    def _end(self, error: Exception) -> None:
        with self._change:
            self._error = error
            self._held.clear()
            self._tell()

    def _tell(self) -> None:
        """Wake everybody who waits for the disk."""
        self._change.notify_all()
        waiting, self._waiting = self._waiting, []
        for loop, future in waiting:
            with suppress(RuntimeError):  # its loop has ended
                loop.call_soon_threadsafe(_wake, future)

    def _batch(self) -> list[bytes]:
        """All that is to be written next; waits for it, and returns nothing when there will be no more."""
        with self._change:
            self._change.wait_for(lambda: self._held or self._stopping)
            self._change.wait_for(
                lambda: self._hurry or self._stopping or self._held_bytes >= SOON_BYTES, timeout=self._interval_s
            )
            batch, self._held = self._held, []
            self._flying_bytes, self._held_bytes = self._held_bytes, 0
            self._hurry = False
            return batch

    def _commit(self, batch: list[bytes]) -> None:
        """Write lines at once, and wait until the disk has them.

        The first tells that everything before it is on the disk. Where such a line stands behind damage, the damage is none
        that a loss of power leaves.
        """
        self._crash("batch_taken")
        parts: list[bytes] = []
        for body in (synced_body(self._size), *batch):
            end, self._chain = closed(body, self._chain)
            parts += (body, end)
        self._unsealed = bool(batch)
        self._write(b"".join(parts))
        self._crash("batch_written")
        sync_data(self._file)
        self._crash("batch_synced")

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._file, rest) :]
        self._size += len(data)
        self._whole = crc32(data, self._whole)


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
