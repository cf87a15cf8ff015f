"""What both fast backends share: templates by shape, the connections, and the gate before every request."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from crisis_filter.backends.client import Refused
from crisis_filter.backends.gate import Gate, NoGate
from crisis_filter.backends.http_faults import retry_after
from crisis_filter.backends.retrying import Tally
from crisis_filter.backends.silence import withheld
from crisis_filter.backends.wire.capture import Build, Road
from crisis_filter.backends.wire.connection import Answered, Connections
from crisis_filter.backends.wire.template import Template, learn_template
from crisis_filter.errors import BackendError
from crisis_filter.schema import Fault

__all__ = ["Lane", "Prepared", "Went", "went"]

_T = TypeVar("_T")

# A run has a handful of shapes: prompts by dialects and output limits. Each holds a prompt.
_MOST_SHAPES = 64
# English prose and JSON have about as many characters to a token.
_CHARACTERS_PER_TOKEN = 4
_CHAT = b"/chat/completions"
_TOTAL = re.compile(rb'"total_tokens"\s*:\s*(\d{1,9})')


@dataclass(frozen=True, slots=True)
class Went:
    """How a request went, as a gate is told; see `Gate.leave`."""

    tokens: int | None = None
    throttled: bool = False
    retry_after_s: float | None = None
    failed: bool = False


class Prepared:
    """A template and the head of its requests, ready to be sent.

    Args:
        template: accepted by `learn_template`.
    """

    def __init__(self, template: Template) -> None:
        request = template.request
        # What the SDK's own HTTP client can decompress, aiohttp may not; both know these.
        headers = [
            (name, b"gzip, deflate" if name.lower() == b"accept-encoding" else value) for name, value in request.headers
        ]
        lines = b"".join(b"%b: %b\r\n" % header for header in headers)
        self._head = b"%b %b HTTP/1.1\r\n%bcontent-length: " % (request.method.encode(), request.target, lines)
        self._first, *self._others = template.parts
        self._fixed = sum(map(len, template.parts))
        self._escape = template.escape

    def __repr__(self) -> str:
        return "Prepared()"

    def request(self, text: str) -> bytes:
        """Head and body for a text; raises `UnicodeEncodeError` for half a surrogate pair."""
        inside, others = self._escape(text), self._others
        length = b"%d\r\n\r\n" % (self._fixed + len(inside) * len(others))
        if len(others) == 1:
            return b"".join((self._head, length, self._first, inside, others[0]))
        return b"".join((self._head, length, inside.join((self._first, *others))))


class Lane:
    """Templates, connections and gate. Belongs to one event loop.

    Args:
        road: where the requests go; `None` where they must take the ordinary lane.
        gate: asked before every HTTP request; `None` lets everything through.
    """

    def __init__(self, road: Road | None, gate: Gate | None) -> None:
        self._connections = Connections(road) if road is not None else None
        self._gate = gate
        self._known: dict[Hashable, Prepared | None] = {}
        self._learning: dict[Hashable, asyncio.Task[None]] = {}

    @property
    def there(self) -> bool:
        """Whether there is a road."""
        return self._connections is not None

    def known(self, shape: Hashable) -> Prepared | None:
        """The template of a shape, where it has been learnt and there is one."""
        return self._known.get(shape)

    async def learn(self, shape: Hashable, building: Callable[[], Build | None], until: float) -> Prepared | None:
        """The template of a shape, learnt when it is first met; `None` where there is none and the ordinary lane must do.

        Args:
            shape: everything of a request but its text.
            building: how requests of that shape are made.
            until: when to give up waiting, on the loop's clock; what was begun is learnt to the end for those who come later.

        Raises:
            TimeoutError: it is not learnt yet.
        """
        if shape not in self._known:
            task = self._learning.get(shape)
            if task is None:
                task = self._learning[shape] = asyncio.create_task(self._learn(shape, building))
            async with asyncio.timeout_at(until):
                await asyncio.shield(task)
        return self._known.get(shape)

    async def _learn(self, shape: Hashable, building: Callable[[], Build | None]) -> None:
        found = None
        with suppress(Exception), withheld():  # whatever keeps it from being learnt, the ordinary lane is there
            build = building()
            template = await learn_template(build) if build is not None else None
            if template is not None and template.request.target.partition(b"?")[0].endswith(_CHAT):
                found = Prepared(template)
        while len(self._known) >= _MOST_SHAPES:
            del self._known[next(iter(self._known))]
        self._known[shape] = found
        self._learning.pop(shape, None)

    async def send(
        self, prepared: Prepared, text: str, until: float, most_output: int, tally: Tally
    ) -> bytes | Refused | BackendError | None:
        """One HTTP request with the leave of the gate.

        Args:
            prepared: its template.
            text: what goes into it.
            until: when to give up, on the loop's clock.
            most_output: tokens that may come back.
            tally: counts the request when it has leave to go.

        Returns:
            The body of a 2xx, what another status said, or why there is neither; `None` for a text that only the ordinary lane can judge.
        """
        connections = self._connections
        try:
            request = prepared.request(text)
        except UnicodeEncodeError:
            return None
        if connections is None:
            return None
        if self._gate is None:
            tally.requests += 1
            return _read(await connections.exchange(request, until))

        async def exchange() -> bytes | Refused | BackendError:
            tally.requests += 1
            return _read(await connections.exchange(request, until))

        return await self.through(exchange, until, len(request), most_output, went)

    async def through(
        self,
        exchange: Callable[[], Awaitable[_T]],
        until: float,
        characters: int,
        most_output: int,
        told: Callable[[_T], Went],
    ) -> _T | BackendError:
        """Any request with the leave of the gate; given up at a time on the loop's clock.

        Args:
            exchange: sends it and reads the response.
            until: when to give up.
            characters: of the prompt.
            most_output: tokens that may come back.
            told: what to tell the gate of it.
        """
        loop = asyncio.get_running_loop()
        gate, estimated = self._gate or _OPEN, characters // _CHARACTERS_PER_TOKEN + most_output
        how, begun = Went(failed=True), None
        try:
            # One for the wait and the exchange together: making one costs a twentieth of a request.
            async with asyncio.timeout_at(until):
                await gate.enter(estimated)
                begun = loop.time()
                outcome = await exchange()
            how = told(outcome)
        except TimeoutError:
            what = "waited too long for its turn" if begun is None else "took too long"
            return BackendError(Fault.TIMEOUT, f"one request {what}", retryable=True)
        except BackendError as error:
            if begun is not None:
                raise
            return BackendError(error.fault, error.detail, retryable=error.retryable, retry_after_s=error.retry_after_s)
        finally:
            if begun is not None:
                gate.leave(
                    estimated=estimated,
                    seconds=loop.time() - begun,
                    tokens=how.tokens,
                    throttled=how.throttled,
                    retry_after_s=how.retry_after_s,
                    failed=how.failed,
                )
        return outcome

    async def aclose(self) -> None:
        """Stop learning and close every connection."""
        tasks = list(self._learning.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._connections is not None:
            await self._connections.aclose()


_OPEN = NoGate()


def went(outcome: bytes | Refused | BackendError) -> Went:
    """What a gate is told of an exchange."""
    if isinstance(outcome, bytes):
        return Went(tokens=_used(outcome))
    if isinstance(outcome, BackendError):
        return Went(failed=True)
    return Went(
        throttled=outcome.status == 429, retry_after_s=retry_after(outcome.headers), failed=outcome.status >= 500
    )


def _read(outcome: Answered | BackendError) -> bytes | Refused | BackendError:
    if isinstance(outcome, BackendError):
        return outcome
    if 200 <= outcome.status < 300:
        return outcome.body
    return Refused(outcome.status, outcome.headers, _said(outcome.body))


def _said(body: bytes) -> object:
    """What an error's body says, as the SDK hands it on."""
    text = body.decode("utf-8", "replace").strip()
    try:
        whole: Any = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return whole.get("error", whole) if isinstance(whole, dict) else whole


def _used(body: bytes) -> int | None:
    """Tokens of prompt and answer by the server's count. Inside a text the name would stand between escaped quotes."""
    found = _TOTAL.search(body, max(0, body.rfind(b'"total_tokens"')))
    return int(found[1]) if found is not None else None
