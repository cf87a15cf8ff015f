"""A reader as a process of its own, which may be killed: takes, opens, decides, and says so once that is committed."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial

from crisis_filter.store.opening import open_store
from crisis_filter.store.queue import next_item
from crisis_filter.store.queue_deciding import decide
from crisis_filter.store.queue_records import Answer, QueueError
from crisis_filter.store.queue_viewing import view
from tests.store.queue_scene import RULES, cleared, reader
from tests.store.scenes import KEYS

CLAIM_MS = 400


def dying(point: str, after: int) -> Callable[[str], None]:
    """Dies the `after`-th time that it comes to a point."""
    left = [after]

    def crash(reached: str) -> None:
        if reached == point:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return crash


def _told(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(url: str, name: str, point: str, after: int) -> None:
    """Work until nothing is left."""
    crash = dying(point, after)
    me = reader(name)
    with open_store(url, keys=KEYS, crash=crash) as store:
        _told("ready")
        idle = 0
        while idle < 8:
            item = store.write(lambda c: next_item(c, me, claim_ms=CLAIM_MS, now_ms=store.clock(), crash=crash))
            if item is None:
                idle += 1
                time.sleep(CLAIM_MS / 4000)
                continue
            idle = 0
            blind = item.blind
            answer = Answer(action="answer", outcome="no_crisis") if blind else cleared()
            try:
                store.write(partial(view, store=store, actor=me, item_id=item.id, now_ms=store.clock()))
                store.write(
                    partial(
                        decide, store=store, actor=me, item_id=item.id, answer=answer, rules=RULES, now_ms=store.clock()
                    )
                )
            except QueueError as error:
                _told(f"refused {error.why}")
                continue
            _told(f"decided {item.id}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
