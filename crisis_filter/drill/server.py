"""A server that speaks the OpenAI chat protocol and goes wrong as it is told to, on the loopback unless said otherwise.

It answers `POST .../chat/completions` under any prefix, Azure's `/openai/deployments/NAME/chat/completions` included, and
`GET .../models`. A request with `stream: true` gets its answer as server-sent events. What happens to a request is decided by, in this order: its header `x-fault`, a model called `fault:NAME`, the
plan. `GET /_faults` gives the counts, `POST /_faults` takes a plan. The server holds no message longer than a request lasts,
unless it is told to keep bodies.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Self

from crisis_filter.drill.answers import LITERALS, Brain, Literals
from crisis_filter.drill.asked import Asked, read_asked
from crisis_filter.drill.behaviours import BEHAVIOURS, Behaviour
from crisis_filter.drill.connection import Connection
from crisis_filter.drill.http import HttpRequest, Response, streamed
from crisis_filter.drill.plans import HEALTHY_NAME, Always, Plan, checked, parse_plan
from crisis_filter.drill.scene import DEFAULT_MODEL, Scene, failed
from crisis_filter.errors import ConfigurationError, InputError

LOOPBACK = "127.0.0.1"
FAULT_HEADER = "x-fault"
FAULT_MODEL = "fault:"
CONTROL_PATH = "/_faults"
_CHAT = "/chat/completions"
_RECORDS_KEPT = 10_000
# How long a call waits for another one to be confused with.
_SWAP_WAIT_S = 0.25


@dataclass(frozen=True, slots=True)
class Received:
    """One chat request as it arrived."""

    number: int
    """From 1, over the life of the server."""
    path: str
    behaviour: str
    at: float
    """Seconds on the server's monotonic clock."""
    headers: Mapping[str, str] = field(repr=False)
    """Names in lower case."""
    body: Mapping[str, Any] | None = field(default=None, repr=False)
    """The decoded request; `None` unless the server keeps bodies."""


class FaultServer:
    """The server; an async context manager.

    Args:
        brain: says what the healthy part of an answer is.
        plan: which request gets which behaviour.
        literals: the answers to clients that are not ours.
        host: address to listen on; anything but the loopback is the caller's own risk, since nobody has to log in.
        port: to listen on; 0 takes a free one.
        latency_s: seconds before every answer.
        drip_s: seconds between two bytes of a dripping body.
        down_s: seconds for which `connect_refused` closes the port. `None` closes it until `listen` is called.
        keep_bodies: whether `received` holds the requests' bodies, the messages in them included.
        clock: seconds that only grow.
        wall: seconds since 1970, for dates in headers.

    Attributes:
        received: the last 10,000 chat requests.
        counts: chat requests by behaviour, over the life of the server.

    Raises:
        ConfigurationError: the plan names an unknown behaviour; on entering, when host and port cannot be listened on.
    """

    def __init__(
        self,
        brain: Brain,
        plan: Plan | None = None,
        *,
        literals: Literals = LITERALS["prompts"],
        host: str = LOOPBACK,
        port: int = 0,
        latency_s: float = 0.0,
        drip_s: float = 1.0,
        down_s: float | None = 1.0,
        keep_bodies: bool = False,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.drip_s = drip_s
        self.received: deque[Received] = deque(maxlen=_RECORDS_KEPT)
        self.counts: Counter[str] = Counter()
        self._brain = brain
        self._literals = literals
        self._host = host
        self._port = port
        self._latency_s = latency_s
        self._down_s = down_s
        self._keep_bodies = keep_bodies
        self._clock = clock
        self._wall = wall
        self._listener: asyncio.Server | None = None
        self._reopening: asyncio.Task[None] | None = None
        self._connections: set[Connection] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._number = 0
        self._last_nonce = ""
        self._swapping: dict[str, tuple[Connection, Response]] = {}
        self.plan = plan if plan is not None else Always()

    @property
    def plan(self) -> Plan:
        """Which request gets which behaviour; setting it starts its numbers and its time anew."""
        return self._plan

    @plan.setter
    def plan(self, plan: Plan) -> None:
        self._plan = checked(plan)
        self._planned = 0
        self._planned_at = self._clock()

    @property
    def port(self) -> int:
        """The port that is, or was last, listened on."""
        return self._port

    @property
    def root_url(self) -> str:
        """Where Azure's paths begin."""
        return f"http://{_bracketed(self._host)}:{self._port}"

    @property
    def base_url(self) -> str:
        """The `base_url` for a client of the OpenAI protocol."""
        return f"{self.root_url}/v1"

    async def __aenter__(self) -> Self:
        """Listen; a plan that always refuses connections only reserves the number of its port."""
        await self.listen()
        if self._plan.names == {"connect_refused"}:
            self.refuse()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the port and all connections."""
        if self._reopening is not None:
            self._reopening.cancel()
            with suppress(asyncio.CancelledError):
                await self._reopening
        listener = self._listener
        self.refuse()
        sending = [c.sending for c in self._connections if c.sending is not None]
        for task in sending:
            task.cancel()
        await asyncio.gather(*sending, return_exceptions=True)
        if listener is not None:
            await listener.wait_closed()
        await self._empty.wait()

    async def listen(self) -> None:
        """Open the port; nothing happens when it is open.

        Raises:
            ConfigurationError: the address cannot be listened on.
        """
        if self._listener is not None:
            return
        loop = asyncio.get_running_loop()
        try:
            self._listener = await loop.create_server(lambda: Connection(self), self._host, self._port, backlog=1024)
        except (OSError, UnicodeError) as error:  # the latter for what can be no name of a host
            address = f"{_bracketed(self._host)}:{self._port}"
            raise ConfigurationError(f"{address} cannot be listened on: {_why(error)}") from None
        self._port = self._listener.sockets[0].getsockname()[1]

    def refuse(self) -> None:
        """Close the port and reset all connections, until `listen` is called."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for connection in list(self._connections):
            connection.reset()

    def opened(self, connection: Connection) -> None:
        """A client has connected."""
        self._connections.add(connection)
        self._empty.clear()
        if self._listener is None:  # it was in the queue when the port was closed
            connection.reset()

    def lost(self, connection: Connection) -> None:
        """A connection is gone."""
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()

    def arrived(self, request: HttpRequest, connection: Connection) -> None:
        """Answer a request, or see to it that it goes wrong."""
        if request.method == "POST" and request.path.endswith(_CHAT):
            response, kind = self._chat(request)
        else:
            response, kind = self._other(request), ""
        if self._latency_s > 0:
            connection.later(self._latency_s, lambda: self._send(response, kind, connection))
        else:
            self._send(response, kind, connection)

    def _send(self, response: Response, kind: str, connection: Connection) -> None:
        if response.act == "swap":
            self._swap(response, kind, connection)
            return
        connection.respond(response)
        if response.act == "refuse":
            self.refuse()
            if self._down_s is not None and (self._reopening is None or self._reopening.done()):
                self._reopening = asyncio.get_running_loop().create_task(self._reopen(self._down_s))

    async def _reopen(self, after_s: float) -> None:
        await asyncio.sleep(after_s)
        with suppress(ConfigurationError):  # somebody else has taken the port: it stays as it is
            await self.listen()

    def _swap(self, response: Response, kind: str, connection: Connection) -> None:
        """Give two calls of one kind each other's response."""
        waiting = self._swapping.pop(kind, None)
        if waiting is not None:
            other, other_response = waiting
            other.respond(replace(response, act="whole"))
            connection.respond(replace(other_response, act="whole"))
            return
        self._swapping[kind] = (connection, response)

        def alone() -> None:
            if self._swapping.get(kind) == (connection, response):
                del self._swapping[kind]
                connection.respond(replace(response, body=response.alone, act="whole"))

        connection.later(_SWAP_WAIT_S, alone)

    def _chat(self, request: HttpRequest) -> tuple[Response, str]:
        """The response to a chat request, and the kind of answer that is in it."""
        self._number += 1
        body: Mapping[str, Any] = {}
        try:
            body = _decoded(request.body)
            asked = read_asked(body)
            name = self._choose(request, asked)
        except (InputError, ConfigurationError) as error:
            self._note("", request, body)
            return failed(400, str(error), kind="invalid_request_error"), ""
        self._note(name, request, body)
        try:
            response = self._respond(BEHAVIOURS[name], asked, body)
        except Exception as error:  # noqa: BLE001  # a brain is the caller's; its words may hold the text
            return failed(500, f"the drill's brain failed: {type(error).__name__}"), ""
        if asked.nonce:
            self._last_nonce = asked.nonce
        if body.get("stream") is True:
            options = body.get("stream_options")
            response = streamed(response, usage=isinstance(options, Mapping) and options.get("include_usage") is True)
        return response, asked.form.kind

    def _note(self, name: str, request: HttpRequest, body: Mapping[str, Any]) -> None:
        self.counts[name or "unreadable"] += 1
        kept = body if self._keep_bodies else None
        self.received.append(Received(self._number, request.path, name, self._clock(), request.headers, kept))

    def _choose(self, request: HttpRequest, asked: Asked) -> str:
        named = request.headers.get(FAULT_HEADER)
        if named is None and asked.model.startswith(FAULT_MODEL):
            named = asked.model.removeprefix(FAULT_MODEL)
        if named is not None:
            if named not in BEHAVIOURS:
                raise ConfigurationError("there is no fault of that name")
            return named
        self._planned += 1
        return self._plan.choose(self._planned, self._clock() - self._planned_at)

    def _respond(self, behaviour: Behaviour, asked: Asked, body: Mapping[str, Any]) -> Response:
        kind = asked.form.kind
        if behaviour.ours_only and kind == "literal":
            return failed(
                501, f"{behaviour.name} changes the JSON that our own prompts ask for; this asks for other words"
            )
        if behaviour.stage != "any" and behaviour.stage != kind:
            behaviour = BEHAVIOURS[HEALTHY_NAME]
        scene = Scene(
            asked=asked,
            said=self._brain(asked),
            literals=self._literals,
            body=body,
            other_nonce=self._other_nonce(asked.nonce),
            now=self._wall(),
        )
        return behaviour.respond(scene)

    def _other_nonce(self, nonce: str) -> str:
        """Of the request before; where there is none, or it is the same one asked again, one that nobody has."""
        return self._last_nonce if self._last_nonce not in ("", nonce) else "f" + nonce[:0:-1] + "0"

    def _other(self, request: HttpRequest) -> Response:
        """Models, the server's own controls, and everything that is not here."""
        if request.path == CONTROL_PATH:
            return self._control(request)
        if request.method == "GET" and request.path.endswith("/models"):
            model = {"id": DEFAULT_MODEL, "object": "model", "created": 0, "owned_by": "crisis-filter"}
            return _as_json({"object": "list", "data": [model]})
        if request.path.endswith(_CHAT):
            return failed(405, "chat completions take POST", kind="invalid_request_error")
        return failed(404, "there is nothing at this path", kind="invalid_request_error")

    def _control(self, request: HttpRequest) -> Response:
        if request.method == "GET":
            return _as_json({"requests": self._number, "by_behaviour": dict(self.counts)})
        if request.method != "POST":
            return failed(405, "GET gives the counts, POST takes a plan", kind="invalid_request_error")
        try:
            self.plan = parse_plan(_decoded(request.body))
        except (InputError, ConfigurationError) as error:
            return failed(400, str(error), kind="invalid_request_error")
        return _as_json({"names": sorted(self._plan.names)})


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _why(error: OSError | UnicodeError) -> str:
    """The system's own words; the event loop puts the address into its, which ours name already."""
    if isinstance(error, UnicodeError):
        return "that can be no name of a host"
    if error.errno is None or isinstance(error, socket.gaierror):
        return error.strerror or type(error).__name__
    return os.strerror(error.errno)


def _decoded(body: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise InputError("the body is not JSON") from None
    if not isinstance(value, dict):
        raise InputError("the body is not a JSON object")
    return value


def _as_json(value: object) -> Response:
    return Response(json.dumps(value).encode())
