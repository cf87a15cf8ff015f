"""A courier in a process of its own, which ends when nothing waits any more, or is killed at a step: STORE [POINT TIMES]."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from crisis_filter.delivery.addresses import Reach
from crisis_filter.delivery.sending import Sender
from crisis_filter.delivery.targets import SystemResolver
from crisis_filter.delivery.worker import Courier
from crisis_filter.store import outbox
from crisis_filter.store.opening import Store, open_store
from tests.store.scenes import KEYS


async def deliver(store: Store) -> None:
    sender = Sender(Reach(loopback_http=True), SystemResolver())
    courier = Courier(store, sender, worker=f"p{os.getpid()}", per_endpoint=3, lease_s=0.4, idle_s=0.02)
    running = asyncio.create_task(courier.run())
    print("begun", flush=True)  # noqa: T201  # to whoever is going to kill it
    while store.read(outbox.first_due):  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    courier.stop()
    await running


def main(path: str, point: str = "", times: str = "0") -> None:
    passed = 0

    def crash(here: str) -> None:
        nonlocal passed
        passed += here == point
        if passed and passed == int(times):
            os.kill(os.getpid(), signal.SIGKILL)

    with open_store(path, keys=KEYS, crash=crash) as store:
        asyncio.run(deliver(store))


if __name__ == "__main__":
    main(*sys.argv[1:])
