"""When a webhook that was not taken is sent again, and when it is given up."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["MOST_ATTEMPTS", "WAITS_S", "wait_ms"]

WAITS_S = (5, 300, 1800, 7200, 18_000, 36_000, 36_000)
"""Seconds after each attempt that failed: the schedule of the Standard Webhooks specification, 27 hours and a half in all."""
MOST_ATTEMPTS = len(WAITS_S) + 1
"""After the last one it is dead."""

_LONGEST_S = 36_000.0
_SPREAD = 0.1


def wait_ms(failed: int, retry_after_s: float | None, jitter: Callable[[], float]) -> int | None:
    """How long to wait.

    Args:
        failed: attempts so far, the last one among them; at least 1.
        retry_after_s: what the receiver asks for: waited for where it is longer than ours, up to ten hours; never shorter, or a
            receiver that asks for no wait would use up all attempts at once.
        jitter: gives a number from 0 to 1; a tenth more or less, so that what failed together does not come back together.

    Returns:
        Milliseconds, or `None` when there is no further attempt.
    """
    if failed > len(WAITS_S):
        return None
    ours = WAITS_S[failed - 1] * (1 - _SPREAD + 2 * _SPREAD * jitter())
    return round(1000 * max(ours, min(retry_after_s or 0.0, _LONGEST_S)))
