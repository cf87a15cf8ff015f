"""A worker to be killed: it accepts and concludes under load, and notes what was acknowledged in a file of its own.

As a program it forks: each line of its input is an order (see `play`), each line of its output says how that ended.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from typing import Any

from crisis_filter.errors import IdempotencyInFlight
from crisis_filter.store.conclude import CONCLUDE, Judged
from crisis_filter.store.crash import Crash
from crisis_filter.store.idempotency import request_key
from crisis_filter.store.intake import ACCEPT, arrival, pending
from crisis_filter.store.opening import Store, now_ms, open_store
from crisis_filter.store.rejudge import SUPERSEDE, Rejudged
from crisis_filter.store.writer import WriterLimits
from tests.store.scenes import KEYS, crisis, quiet, received, undetermined

SAID = (crisis(), quiet(), undetermined(), quiet(), quiet())
"""By the number of the message."""
LEASE_MS = 300


class Notes:
    """What was acknowledged, and by what; outlives a kill of the process, since it goes to the kernel at once."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY)

    def note(self, kind: str, number: int, message_id: str) -> None:
        os.write(self._file, f"{kind} {number} {message_id}\n".encode())


def one(store: Store, notes: Notes, number: int, worker: str) -> None:
    """One message, from coming in to its decision; some are told twice, some judged again."""
    now = now_ms()
    key = request_key("north", f"key {number}", b"", store.new_id())
    coming = arrival(store, [received(number)], now_ms=now, worker=worker, lease_ms=LEASE_MS, key=key)
    try:
        found = store.gather(ACCEPT, coming).result(60)
    except IdempotencyInFlight:  # of a worker that died, or that is still at it; its message will be taken over
        return
    (message_id,) = getattr(found, "message_ids", None) or [accepted.message_id for accepted in found]
    notes.note("accepted", number, message_id)
    judge(store, notes, number, message_id)


def judge(store: Store, notes: Notes, number: int, message_id: str) -> None:
    said = SAID[number % len(SAID)]
    judged = Judged(message_id, said, said.outcome != "no_crisis", now_ms(), number % 4 == 0, now_ms())
    done = store.gather(CONCLUDE, judged).result(60)
    notes.note("stood" if done.stood else "concluded", number, message_id)
    if said.outcome == "undetermined" and not done.stood:
        again = store.gather(SUPERSEDE, Rejudged(message_id, 1, quiet(), False, None, now_ms())).result(60)
        notes.note("again stood" if again.stood else "superseded", number, message_id)


def take_over(store: Store, notes: Notes, worker: str) -> int:
    """Judge what dead workers left behind."""
    works = store.write(lambda c: pending(c, store, worker=worker, limit=20, now_ms=now_ms(), lease_ms=LEASE_MS))
    for work in works:
        judge(store, notes, int(work.message.text.rpartition(" ")[2]), work.message.id)
    return len(works)


def crashing(point: str, times: int) -> Crash:
    """Dies at the named point, its so-many-th passing."""
    passed: Counter[str] = Counter()

    def crash(at: str) -> None:
        passed[at] += 1
        if at == point and passed[at] == times:
            os.kill(os.getpid(), signal.SIGKILL)

    return crash


def play(order: dict[str, Any]) -> str:
    """Work at numbers `first` to `last`, `callers` at once, then at what others left behind if it is to `finish`."""
    notes, worker = Notes(order["notes"]), f"w{os.getpid()}"
    numbers, lock, failed = iter(range(order["first"], order["last"])), threading.Lock(), []
    crash = crashing(*order.get("point", ("", 0)))
    with open_store(order["url"], keys=KEYS, crash=crash, limits=WriterLimits(patience_s=60.0)) as store:

        def caller() -> None:
            try:
                while True:
                    with lock:
                        number = next(numbers, None)
                    if number is None:
                        return
                    one(store, notes, number, worker)
                    time.sleep(order.get("pause", 0))
            except Exception as error:  # noqa: BLE001  # it is told to whoever asked
                failed.append(error)

        threads = [threading.Thread(target=caller) for _ in range(order.get("callers", 8))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        while order.get("finish") and (take_over(store, notes, worker) or store.read(_pending)):
            time.sleep(0.05)
    return f"{type(failed[0]).__name__}: {failed[0]}" if failed else "well"


def _pending(connection: Any) -> int:
    return connection.exec_driver_sql("SELECT count(*) FROM messages WHERE state = 'pending'").scalar()


def forked(order: dict[str, Any], telling: int) -> str:
    child = os.fork()
    if not child:
        try:
            ended = play(order)
        except Exception as error:  # noqa: BLE001  # it is told to whoever asked
            ended = f"{type(error).__name__}: {error}"
        os.write(telling, ended.encode()[:4000])
        os._exit(0)
    if after_s := order.get("after_s"):
        time.sleep(after_s)
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return ""


def main() -> None:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    for line in sys.stdin:
        order = json.loads(line)
        ended = forked(order, writing)
        try:
            told = os.read(reading, 4000).decode()
        except BlockingIOError:
            told = ""
        sys.stdout.write(json.dumps({"ended": ended or told}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
