"""Hours of a policy: a window of the local day, perhaps on some weekdays only, and the local time of an instant."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Literal, get_args
from zoneinfo import ZoneInfo

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: tuple[Weekday, ...] = get_args(Weekday)
_DAY = 24 * 60
_HOURS = re.compile(r"(?P<from>[0-9]{2}:[0-9]{2})-(?P<to>[0-9]{2}:[0-9]{2})")


@dataclass(frozen=True, slots=True)
class Wall:
    """What a clock on the wall shows."""

    weekday: int
    """0 is Monday, 6 is Sunday."""
    minute: int
    """Of the day, 0 to 1439."""


@dataclass(frozen=True, slots=True)
class Window:
    """A part of the day. A window that ends before it begins goes past midnight and belongs to the day on which it began."""

    start: int
    """First minute of the day that is in it, 0 to 1439."""
    end: int
    """First minute that is not, 0 to 1440."""
    weekdays: frozenset[int] = frozenset()
    """Days on which it begins; empty for every day."""

    def holds(self, wall: Wall) -> bool:
        """Whether the time lies in it."""
        if self.start < self.end:
            return self.start <= wall.minute < self.end and self._begins_on(wall.weekday)
        return (wall.minute >= self.start and self._begins_on(wall.weekday)) or (
            wall.minute < self.end and self._begins_on((wall.weekday - 1) % 7)
        )

    def _begins_on(self, weekday: int) -> bool:
        return not self.weekdays or weekday in self.weekdays


def window_of(hours: str | None, weekdays: Collection[Weekday]) -> Window | None:
    """The window that a rule names; `None` where it names neither hours nor weekdays.

    Args:
        hours: such as `22:00-06:00`, the end not included; `None` is the whole day.
        weekdays: on which it begins; empty for every day.

    Raises:
        ValueError: no such hours, or as long as no time or a whole day.
    """
    if hours is None and not weekdays:
        return None
    start, end = (0, _DAY) if hours is None else _minutes(hours)
    return Window(start, end, frozenset(WEEKDAYS.index(day) for day in weekdays))


def _minutes(hours: str) -> tuple[int, int]:
    found = _HOURS.fullmatch(hours)
    if found is None:
        raise ValueError("hours are written as 22:00-06:00")
    start, end = (int(found[name][:2]) * 60 + int(found[name][3:]) for name in ("from", "to"))
    if any(int(found[name][3:]) > 59 for name in ("from", "to")) or start >= _DAY or end > _DAY:
        raise ValueError("hours go from 00:00 to 24:00")
    if start == end:
        raise ValueError("hours that end when they begin: leave them out for the whole day")
    return start, end


def zone(name: str) -> tzinfo:
    """A time zone by its name in the IANA database; `UTC` is known everywhere.

    Raises:
        ValueError: there is none of this name on this machine.
    """
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown; no such form of name; a folder of the database
        raise ValueError(
            f"there is no time zone {name!r} here; name one of the IANA database, such as Europe/London (the package tzdata brings it)"
        ) from None


def wall_time(at: datetime, where: tzinfo) -> Wall:
    """What a clock on the wall shows there. An hour that summer time makes happen twice is the same hour both times.

    Raises:
        ValueError: `at` does not say of which zone it is.
    """
    if at.utcoffset() is None:
        raise ValueError("a time needs its zone")
    local = at.astimezone(where)
    return Wall(local.weekday(), local.hour * 60 + local.minute)
