"""Fuzzing the reader of `Retry-After`: whatever three headers hold, the wait is absent or a sane number of seconds."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from crisis_filter.backends.http_faults import fault_of, retry_after
from crisis_filter.errors import BackendError

WEEK_S = 7 * 86400
NAMES = ("Retry-After", "retry-after-ms", "date")
NEXT = "\n"
"""Between the values of two headers, in the pieces and in raw input."""
PIECES = (
    *(NEXT, " ", ",", ":", "-", "+", ".", "0", "1", "9", "10", "59", "60", "24", "2026", "26", "99", "1969", "9999"),
    *("Tue, ", "10 ", "31 ", "Nov ", "Feb ", "29 ", "10:00:30", "10:00", "23:59:60", "GMT", "UTC", "EST", "Z", "+0100"),
    *(
        "-0000",
        "+9999",
        "+999999",
        "Tuesday, ",
        "10-Nov-26 ",
        "inf",
        "nan",
        "e",
        "_",
        "\u0661",
        "\t",
        "(",
        ")",
        '"',
        "\\",
    ),
    *(
        "Tue, 10 Nov 2026 10:00:30 GMT",
        "Tue, 10 Nov 2026 10:00:00 GMT",
        "604800",
        "604800000",
        "\x00",
        "\ud800",
        "\u2212",
    ),
)
"""Picked by single bytes."""
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECONDS = re.compile(r"[0-9]{1,7}", re.ASCII)


def one(data: bytes) -> None:
    """Read one set of headers. The first byte says how the rest is meant: raw lines, pieces of dates, or two dates.

    Raises:
        AssertionError: a law of the reader is broken.
    """
    if not data:
        return
    how, rest = data[0], data[1:]
    match how & 3:
        case 2:
            check_headers("".join(PIECES[byte % len(PIECES)] for byte in rest[:40]))
        case 3:
            check_dates(int.from_bytes(rest[:4]), int.from_bytes(rest[4:8], signed=True))
        case _:
            check_headers(rest.decode("utf-8", "surrogateescape"))


def check_headers(lines: str) -> None:
    """The laws for up to three values, a line each; an empty line leaves its header out."""
    headers = {name: line for name, line in zip(NAMES, lines.split(NEXT, 2), strict=False) if line}
    seconds = wait(headers)
    plain, milliseconds = headers.get("Retry-After", ""), headers.get("retry-after-ms", "")
    if _SECONDS.fullmatch(milliseconds):
        assert seconds == sane(int(milliseconds) / 1000)
    elif not milliseconds and _SECONDS.fullmatch(plain):
        assert seconds == sane(int(plain))
    elif not milliseconds and plain.startswith("-") and _SECONDS.fullmatch(plain[1:]):
        assert not seconds
    if "date" not in headers and not any(c.isdigit() for value in headers.values() for c in value):
        assert seconds is None


def check_dates(now: int, later: int) -> None:
    """Two dates as the standard writes them are as far apart as they are; a past one and a far one are no wait."""
    start = EPOCH + timedelta(seconds=now)
    for apart in (later, later % (2 * WEEK_S)):
        headers = {"Retry-After": written(start + timedelta(seconds=apart)), "Date": written(start)}
        assert wait(headers) == sane(apart)
        assert wait({"Retry-After": headers["Retry-After"]}) is None


def wait(headers: Mapping[str, str]) -> float | None:
    """The wait, sane in itself and the same in the error made of a response."""
    seconds = retry_after(headers)
    assert seconds is None or (math.isfinite(seconds) and 0 <= seconds <= WEEK_S)
    error = fault_of(503, headers, None)
    assert isinstance(error, BackendError)
    assert error.retry_after_s == seconds
    return seconds


def sane(seconds: float) -> float | None:
    """The wait where it is one, and no more than a week."""
    return seconds if 0 <= seconds <= WEEK_S else None


def written(moment: datetime) -> str:
    """A date by RFC 9110, section 5.6.7, in no locale."""
    day, month = DAYS[moment.weekday()], MONTHS[moment.month - 1]
    return f"{day}, {moment.day:02} {month} {moment.year:04} {moment:%H:%M:%S} GMT"
