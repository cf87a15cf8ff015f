"""A worker in a process of its own, over leases: sends nothing, and tells how much it might have sent.

    python -m bench.lease_worker HOST PORT TOKEN SECONDS

A line of JSON every quarter of a second, with the time of the machine's monotonic clock, and one at the end.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import numpy as np

from crisis_filter.batch.lease_gate import LeasedGate
from crisis_filter.batch.lease_tcp import TcpLeases
from crisis_filter.batch.rate_patience import PatiencePolicy
from crisis_filter.batch.rate_slots import SlotsPolicy
from crisis_filter.errors import BackendError

_PLACES = 32
_LATENCY_S = 0.02
_ESTIMATED, _USED = 20, 25


class _Worker:
    def __init__(self, host: str, port: int, token: str, seconds: float) -> None:
        self.gate = LeasedGate(
            TcpLeases(host, port, token),
            slots=SlotsPolicy(_PLACES, _PLACES),
            patience=PatiencePolicy(),
            rng=np.random.default_rng(1),
        )
        self._end = time.monotonic() + seconds
        self._sent = 0
        self._stopped: str | None = None

    async def work(self) -> None:
        while time.monotonic() < self._end:
            try:
                await self.gate.enter(_ESTIMATED)
            except BackendError as error:
                self._stopped = error.detail
                return
            self._sent += 1
            await asyncio.sleep(_LATENCY_S)
            self.gate.leave(
                estimated=_ESTIMATED,
                seconds=_LATENCY_S,
                tokens=_USED,
                throttled=False,
                retry_after_s=None,
                failed=False,
            )

    def tell(self) -> None:
        said = {"at": time.monotonic(), "sent": self._sent, "tokens": _USED * self._sent, "stopped": self._stopped}
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()

    async def keep_telling(self) -> None:
        while True:
            self.tell()
            await asyncio.sleep(0.25)


async def _main(host: str, port: str, token: str, seconds: str) -> None:
    worker = _Worker(host, int(port), token, float(seconds))
    telling = asyncio.create_task(worker.keep_telling())
    await asyncio.gather(*(worker.work() for _ in range(_PLACES)))
    worker.tell()
    telling.cancel()
    await worker.gate.aclose()


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
