"""A program that forks services to be killed; it has imported everything, so that each begins at once.

Each line of its input is an order, each line of its output what came of it: `{"start": {…}}` gives the process id, `{"end": "SIGKILL"}` sends
that signal and gives how the process ended.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from typing import Any

from crisis_filter.schema import Assessment, Message
from crisis_filter.service.server import Server
from crisis_filter.service.service import Service
from crisis_filter.service.spec import ServiceSpec
from crisis_filter.store.opening import now_ms, open_store
from tests.service.desk_scenes import said
from tests.service.running import Detector
from tests.store.scenes import KEYS


class Slow:
    """Judges by the first word, after a while."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    async def __call__(self, message: Message) -> Assessment:
        await asyncio.sleep(self._seconds)
        return said(message)


def serve(order: dict[str, Any]) -> None:
    """Serve until the end; `ahead_ms` puts the clock on, so that the leases of whoever was killed have run out."""
    ahead = order.get("ahead_ms", 0)

    def opened(spec: ServiceSpec) -> Service:
        store = open_store(spec.store, keys=KEYS if order.get("keys") else None, clock=lambda: now_ms() + ahead)
        detector: Any = Detector(Slow(order.get("judge_s", 0.01)))
        return Service(spec, store, detector, ())

    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listening.bind(("127.0.0.1", order["port"]))
    given = {"notice_s": 0.3, "deliver": False, "second_readings": 0.1, **order.get("spec", {})}
    server = Server(ServiceSpec(store=order["url"], **given), opened)
    with asyncio.Runner() as runner:
        runner.run(server.serve(listening))


def started(order: dict[str, Any]) -> int:
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        with open(order["log"], "a", buffering=1) as log:
            os.dup2(log.fileno(), 2)
            os.dup2(log.fileno(), 1)
            serve(order)
        status = 0
    except BaseException as error:  # noqa: BLE001  # it goes into the log of whoever asked
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
    finally:
        os._exit(status)


def main() -> None:
    child = 0
    for line in sys.stdin:
        order = json.loads(line)
        if "start" in order:
            child = started(order["start"])
            told: Any = child
        else:
            os.kill(child, signal.Signals[order["end"]])
            _, status = os.waitpid(child, 0)
            told = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
