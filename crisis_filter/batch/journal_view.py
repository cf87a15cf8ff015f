"""What stands in a journal, row by row."""

from __future__ import annotations

import os
from array import array
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Self

from crisis_filter.batch.journal_files import Files
from crisis_filter.batch.journal_lines import ASIDE, ROW, End, Head, RowLine, row_of, verdict_of
from crisis_filter.batch.journal_reading import damaged, scan, unreadable

__all__ = ["View", "line_at"]

_GUESS = 4096
_ASIDE = 1
_FIRST_VERDICT = 2


class View:
    """What stands in a journal now, row by row: the latest assessment of each. Nine bytes a row.

    Reading one while a run is at work gives what is on the disk so far.

    Args:
        out: the output that the journal belongs to.

    Raises:
        InputError: the journal is damaged; names the line.
        ConfigurationError: it cannot be read, or there is none.
    """

    def __init__(self, out: Path) -> None:
        self.path = Files(out).journal
        # By row: where its latest line begins, and 0 (open), 1 (set aside) or a verdict.
        self._offsets = array("q")
        self._codes = bytearray()
        self._verdicts: dict[bytes, int] = {}
        self.contradictions = 0
        """Rows that were both judged and set aside, which no run does."""
        self.lines = 0
        """Assessments written, those that later ones took the place of included."""
        self.scanned = scan(self.path, self._meet)
        self._file: IO[bytes] | None = None

    def _meet(self, offset: int, line: bytes) -> None:
        if line.startswith(ROW):
            row, verdict = verdict_of(line)
            code = self._verdicts.setdefault(verdict, _FIRST_VERDICT + len(self._verdicts))
            self.lines += 1
        else:
            row, code = int(line[len(ASIDE) : line.index(b",", len(ASIDE))]), _ASIDE
        if (lacking := row + 1 - len(self._codes)) > 0:
            self._codes.extend(bytes(lacking))
            self._offsets.frombytes(bytes(8 * lacking))
        before = self._codes[row]
        self.contradictions += before != 0 and (before == _ASIDE) != (code == _ASIDE)
        self._codes[row], self._offsets[row] = code, offset

    @property
    def head(self) -> Head:
        """What the run was begun with."""
        return self.scanned.head

    @property
    def end(self) -> End | None:
        """What it came to; `None` for one that is not finished."""
        return self.scanned.end

    @property
    def rows(self) -> int:
        """One more than the highest row in it."""
        return len(self._codes)

    @property
    def aside(self) -> int:
        """Rows set aside."""
        return self._codes.count(_ASIDE)

    @property
    def decided(self) -> int:
        """Rows that have an assessment."""
        return len(self._codes) - self._codes.count(0) - self.aside

    def pending(self, received: int) -> int:
        """Rows below `received` that are neither judged nor set aside."""
        return self._codes.count(0, 0, received) + max(0, received - len(self._codes))

    def state(self, row: int) -> str:
        """`pending`, `aside` or `decided`."""
        code = self._codes[row] if row < len(self._codes) else 0
        return "decided" if code >= _FIRST_VERDICT else "aside" if code else "pending"

    def verdicts(self) -> Counter[tuple[str, str | None]]:
        """How many rows there are of each outcome and fault."""
        found: Counter[tuple[str, str | None]] = Counter()
        for verdict, code in self._verdicts.items():
            outcome, fault = verdict.removeprefix(b'"outcome":"').decode().split('","fault":')
            found[outcome, None if fault == "null" else fault.strip('"')] += self._codes.count(code)
        return found

    def outcomes(self) -> dict[str, int]:
        """Rows by outcome."""
        found: Counter[str] = Counter()
        for (outcome, _), count in self.verdicts().items():
            found[outcome] += count
        return dict(found)

    def faults(self) -> dict[str, int]:
        """Undetermined rows by fault."""
        return {
            fault or "none": count
            for (outcome, fault), count in self.verdicts().items()
            if outcome == "undetermined" and count
        }

    def line(self, row: int) -> RowLine | None:
        """The latest assessment of a row, or `None` where it has none.

        Raises:
            InputError: the journal was changed since it was proved.
            ConfigurationError: it cannot be read.
        """
        if self.state(row) != "decided":
            return None
        try:
            if self._file is None:
                self._file = self.path.open("rb", buffering=0)
            found = row_of(line_at(self._file.fileno(), self._offsets[row]))
        except OSError as error:
            raise unreadable(self.path, error) from None
        if found is None or found.row != row:
            raise damaged(self.path, 0, "changed while it was read")
        return found

    def __iter__(self) -> Iterator[RowLine]:
        """The latest assessments, in the order of the rows."""
        for row in range(len(self._codes)):
            if (found := self.line(row)) is not None:
                yield found

    def close(self) -> None:
        """Let go of the file. Calling it twice does nothing."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def line_at(file: int, offset: int) -> bytes:
    """The line of a file that begins at an offset, or nothing where it has no end."""
    length = _GUESS
    while True:
        found = os.pread(file, length, offset)
        end = found.find(b"\n")
        if end >= 0:
            return found[: end + 1]
        if len(found) < length:
            return b""
        length *= 8
