"""Uvicorn around the application: one process, one event loop, one service."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from crisis_filter.errors import ConfigurationError
from crisis_filter.service.app import make_app, wrapped
from crisis_filter.service.limits import BodyLimits
from crisis_filter.service.problems import Problem, problem_response
from crisis_filter.service.service import Service, open_service
from crisis_filter.service.spec import ServiceSpec

__all__ = ["Server", "listening_on", "serve_here"]

_BACKLOG = 1024
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _Protocol(HttpToolsProtocol):
    """Refuses what is no HTTP as everything else is refused: as a problem, which is no negative."""

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  # uvicorn's words
        answer = problem_response(Problem("bad_request", headers={"Connection": "close"}))
        head = b"".join(name + b": " + value + b"\r\n" for name, value in answer.raw_headers)
        self.transport.write(b"HTTP/1.1 400 Bad Request\r\n" + head + b"\r\n" + bytes(answer.body))
        self.transport.close()


class _Uvicorn(uvicorn.Server):
    """Says that it is ending before it ends: whoever sends messages here has time to send them elsewhere."""

    def __init__(self, config: uvicorn.Config, service: Service, notice_s: float) -> None:
        super().__init__(config)
        self._service = service
        self._notice_s = notice_s

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """In the loop, and for good: uvicorn's own way ends the process by the same signal once more, before what is open is closed."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002  # uvicorn's
        """The first signal: not ready any more, and soon the end. The second: the end. One more: at once."""
        if self.should_exit:
            self.force_exit = True
        elif self._service.desk.closing:
            self.should_exit = True
        else:
            self._service.desk.refuse()
            asyncio.get_running_loop().call_later(self._notice_s, self._end)

    def _end(self) -> None:
        self.should_exit = True


class Server:
    """A service that can be reached.

    Args:
        spec: what to open.
        opened: opens the service; the default is `open_service`.
    """

    def __init__(self, spec: ServiceSpec, opened: Callable[[ServiceSpec], Service] = open_service) -> None:
        self._spec = spec
        # Opened before anybody may connect, so that what is wrong is told as an error and not in a log.
        self.service = opened(spec)
        self.app = make_app(lambda: self.service)
        whole = wrapped(self.app, BodyLimits(most_bytes=spec.most_bytes, within_s=15.0))
        config = uvicorn.Config(
            whole,
            http=_Protocol,
            log_config=None,  # an access log would hold addresses of people, and ids
            access_log=False,
            lifespan="on",
            backlog=_BACKLOG,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=int(spec.drain_s) + 1,
            server_header=False,
            proxy_headers=False,  # whoever sends them could take any address
            h11_max_incomplete_event_size=64_000,
        )
        self._server = _Uvicorn(config, self.service, spec.notice_s)

    @property
    def started(self) -> bool:
        """Whether it takes connections."""
        return self._server.started

    def stop(self) -> None:
        """End: no new connections, what is in work is done, everything is closed."""
        self.service.desk.refuse()
        self._server.should_exit = True

    async def serve(self, *listening: socket.socket) -> None:
        """Serve on sockets until `stop` or a signal."""
        await self._server.serve(sockets=list(listening))


def serve_here(
    spec: ServiceSpec, listening: Sequence[socket.socket], begun: Callable[[Server], None] = lambda _: None
) -> None:
    """Serve in this process, on sockets that are bound.

    Args:
        spec: what to serve.
        listening: where.
        begun: is told when everything is open.
    """
    server = Server(spec)
    begun(server)
    with asyncio.Runner(loop_factory=_loops()) as runner:
        runner.run(server.serve(*listening))


def _loops() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """A faster loop where there is one."""
    try:
        import uvloop
    except ImportError:
        return None
    found: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return found


def listening_on(host: str, port: int) -> socket.socket:
    """A socket that is bound and may be handed to workers.

    Raises:
        ConfigurationError: the address is taken, or there is none such.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((host, port))
        opened.listen(_BACKLOG)
        opened.set_inheritable(True)
    except OSError as error:
        opened.close()
        raise ConfigurationError(f"--host {host} --port {port}: {error.strerror or 'no such address'}") from None
    return opened
