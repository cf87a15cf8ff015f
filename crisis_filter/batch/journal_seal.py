"""What a journal was begun with and came to, once more in a file of its own.

A journal that somebody cut at a line, exchanged or deleted looks like one that has not come so far. Beside its seal it does not,
and with the seal an output still proves what was judged when the journal no longer can.
"""

from __future__ import annotations

from pydantic import ValidationError

from crisis_filter.batch.journal_files import Crash, Files, no_crash, put_whole
from crisis_filter.batch.journal_lines import End, Head, closed, fits, record_body
from crisis_filter.schema import Record

__all__ = ["Seal", "read_seal", "write_seal"]

_KIND = b'{"seal":'


class Seal(Record):
    """The head of a journal and, where it is finished, its end."""

    head: Head
    end: End | None = None


def write_seal(files: Files, seal: Seal, crash: Crash = no_crash, named: str = "") -> None:
    """Put the seal beside the journal.

    Raises:
        ConfigurationError: it cannot be written.
    """
    body = record_body(_KIND, seal)
    put_whole(files.seal, body + closed(body, 0)[0], crash, named=named)


def read_seal(files: Files) -> Seal | None:
    """The seal, or `None` where there is none that can be trusted."""
    try:
        line = files.seal.read_bytes()
        if fits(line, 0) < 0:
            return None
        return Seal.model_validate_json(line[len(_KIND) : line.rindex(b',"crc":"')])
    except (OSError, ValidationError):
        return None
