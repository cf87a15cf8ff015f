"""The steps at which a test kills a process; outside of tests nothing happens there."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["CRASH_POINTS", "Crash", "no_crash"]

Crash = Callable[[str], None]
"""Called with one of `CRASH_POINTS` at that step."""

CRASH_POINTS = (
    "accept:before_commit",
    "accept:after_commit",
    "conclude:before_commit",
    "conclude:after_commit",
    "supersede:before_commit",
    "supersede:after_commit",
    "queue:claim",
    "queue:decide",
    "outbox:leased",
    "outbox:sent",
    "outbox:marked",
    "erase:before_commit",
    "erase:after_commit",
    "rotate:before_commit",
    "rotate:after_commit",
)
"""Every step between taking a message in and having told of it, and of what takes texts away."""


def no_crash(point: str) -> None:
    """What runs outside of tests: nothing."""
