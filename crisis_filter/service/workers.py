"""Several processes on one port and one store. Each is a whole service; one that dies is started anew, and another takes its messages over."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from types import FrameType

from crisis_filter.errors import ConfigurationError, CrisisFilterError, StoreError
from crisis_filter.service.server import listening_on, serve_here
from crisis_filter.service.spec import ServiceSpec

__all__ = ["Workers"]

_MOST_DEATHS = 5
_WITHIN_S = 60.0
_CONFIGURATION, _STORE = 5, 1
_POLL_S = 0.5


class Workers:
    """Starts them, starts those anew that die, and ends all together.

    Args:
        spec: of each.
        listening: bound; all take connections from it.
        say: is told in a line what happens.
    """

    def __init__(self, spec: ServiceSpec, listening: socket.socket, say: Callable[[str], None]) -> None:
        self._spec = spec
        self._listening = listening
        self._say = say
        self._context = multiprocessing.get_context("spawn")
        self._processes: dict[int, BaseProcess] = {}
        self._deaths: deque[float] = deque(maxlen=_MOST_DEATHS)
        self._ending = False

    def run(self, told: str) -> None:
        """Until SIGINT or SIGTERM.

        Args:
            told: the line to say at the beginning.

        Raises:
            ConfigurationError: a worker found something wrong that will be wrong again.
            StoreError: the store does not answer a worker that begins.
            CrisisFilterError: workers die as soon as they are started.
        """
        kept = {number: signal.signal(number, self._end) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            for index in range(self._spec.workers):
                self._start(index)
            self._say(f"{told}; {self._spec.workers} workers")
            while self._processes:
                self._look()
        finally:
            self._stop_all()
            for number, handler in kept.items():
                signal.signal(number, handler)

    def _start(self, index: int) -> None:
        process = self._context.Process(target=_work, args=(self._spec, self._listening, index), daemon=False)
        process.start()
        self._processes[index] = process
        if self._ending:
            process.terminate()  # the signal came while it was being started

    def _look(self) -> None:
        wait([process.sentinel for process in self._processes.values()], timeout=_POLL_S)
        for index, process in list(self._processes.items()):
            if process.exitcode is not None:
                del self._processes[index]
                self._ended(index, process.exitcode)

    def _ended(self, index: int, code: int) -> None:
        if self._ending:
            return
        if code == _CONFIGURATION:
            raise ConfigurationError("a worker could not begin; its line above says why")
        if code == _STORE:
            raise StoreError("the store does not answer a worker; its line above says why")
        now = time.monotonic()
        self._deaths.append(now)
        if len(self._deaths) == _MOST_DEATHS and now - self._deaths[0] < _WITHIN_S:
            raise CrisisFilterError(
                f"{_MOST_DEATHS} workers died within {_WITHIN_S:.0f} s, the last with status {code}"
            )
        self._say(f"worker {index + 1} ended with status {code} and is started anew")
        self._start(index)

    def _end(self, number: int, _: FrameType | None) -> None:  # noqa: ARG002  # as a handler is called
        # A second signal hurries them.
        self._ending = True
        for process in self._processes.values():
            process.terminate()

    def _stop_all(self) -> None:
        self._ending = True
        for process in self._processes.values():
            process.terminate()
        until = time.monotonic() + self._spec.drain_s + self._spec.notice_s + 10.0
        for process in self._processes.values():
            process.join(max(0.1, until - time.monotonic()))
            if process.exitcode is None:
                process.kill()
                process.join()
        self._processes.clear()


def _work(spec: ServiceSpec, listening: socket.socket, index: int) -> None:
    """One worker's process."""
    # The terminal's Ctrl-C goes to all; the first process passes on what counts.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow, daemon=True).start()
    sockets = [listening]
    try:
        if spec.metrics_port is not None:
            sockets.append(listening_on(spec.host, spec.metrics_port + index))
        serve_here(spec, sockets)
    except ConfigurationError as error:
        _fail(error, _CONFIGURATION)
    except StoreError as error:
        _fail(error, _STORE)


def _follow() -> None:
    """End when the first process is gone, however it ended."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _fail(error: CrisisFilterError, status: int) -> None:
    sys.stderr.write(f"crisis-filter: {error}\n")
    raise SystemExit(status)
