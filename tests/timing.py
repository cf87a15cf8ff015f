"""How much work a call is, whatever else the machine and the test run do at the time."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable


def work_s(call: Callable[[], object], *, times: int = 3) -> float:
    """Seconds of processor time of the quickest of `times` calls.

    Coverage's trace and the collector of garbage stand still meanwhile: the first doubles the cost of every line, and the second
    walks over whatever thousands of tests have left alive.
    """
    tracing, collecting = sys.gettrace(), gc.isenabled()
    gc.disable()
    sys.settrace(None)
    try:
        return min(_once(call) for _ in range(times))
    finally:
        sys.settrace(tracing)
        if collecting:
            gc.enable()


def _once(call: Callable[[], object]) -> float:
    started = time.process_time()
    call()
    return time.process_time() - started
