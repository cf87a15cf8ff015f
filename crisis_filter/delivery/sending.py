"""One webhook, sent once: a connection of its own to a checked address, one request, and as much of the response as is needed.

There is nothing here that could follow a redirect, read a proxy or a password from the environment, or keep a connection for another
request; HTTP is read by h11, which logs nothing.
"""

from __future__ import annotations

import asyncio
import math
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import h11

from crisis_filter.assets import package_version
from crisis_filter.delivery.addresses import Reach
from crisis_filter.delivery.targets import Resolver, Target, TargetError, locate, read_url

__all__ = ["LONGEST_RESPONSE", "Answer", "Sender"]

LONGEST_RESPONSE = 64 * 1024
"""Bytes that are read of a response, head and body; the rest is left unread."""

_CHUNK = 16 * 1024
_MOST_TRIED = 3
_CONNECT_S = 5.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of sending one webhook."""

    result: str
    """The HTTP status, or a word: `timeout`, `unreachable`, `tls`, `broken`, or a `Refusal`."""
    status: int | None = None
    retry_after_s: float | None = None
    """What the receiver asks to wait, 0 or more; `None` where it says nothing usable."""

    @property
    def delivered(self) -> bool:
        """Whether the receiver has it: a 2xx, its response whole or long."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def gone(self) -> bool:
        """Whether the receiver wants nothing more (410)."""
        return self.status == 410


class Sender:
    """Sends webhooks. Belongs to one event loop.

    Args:
        reach: how far they may go.
        resolve: asked once for each webhook.
        tls: whom to believe; `None` is the system's authorities.
        timeout_s: for everything from the name to the end of the response.
    """

    def __init__(
        self, reach: Reach, resolve: Resolver, *, tls: ssl.SSLContext | None = None, timeout_s: float = 15.0
    ) -> None:
        self._reach = reach
        self._resolve = resolve
        self._tls = tls or ssl.create_default_context()
        self._timeout_s = timeout_s
        self._agent = f"crisis-filter/{package_version()}"

    async def send(self, url: str, headers: Mapping[str, str], payload: bytes) -> Answer:
        """Send one, and say what came of it; the network never makes it raise.

        Args:
            url: as it was registered; read and checked anew.
            headers: of the signature.
            payload: JSON.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                target = await locate(read_url(url, self._reach), self._reach, self._resolve)
                return await self._exchange(target, headers, payload)
        except TargetError as refused:
            return Answer(refused.reason)
        except TimeoutError:
            return Answer("timeout")
        except ssl.SSLError:
            return Answer("tls")
        except _UnreachableError:
            return Answer("unreachable")
        except (OSError, EOFError, h11.ProtocolError):
            return Answer("broken")

    async def _exchange(self, target: Target, headers: Mapping[str, str], payload: bytes) -> Answer:
        url = target.url
        request = h11.Request(
            method="POST",
            target=url.path,
            headers=[
                ("Host", url.authority),
                ("User-Agent", self._agent),
                ("Content-Type", "application/json"),
                ("Content-Length", str(len(payload))),
                ("Connection", "close"),
                *headers.items(),
            ],
        )
        reader, writer = await self._connect(target)
        try:
            line = h11.Connection(h11.CLIENT, max_incomplete_event_size=LONGEST_RESPONSE)
            for event in (request, h11.Data(payload), h11.EndOfMessage()):
                writer.write(line.send(event) or b"")
            return await _response(line, reader)
        finally:
            writer.transport.abort()  # a closing handshake would wait for the other side

    async def _connect(self, target: Target) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """To the first of the addresses that takes it.

        Raises:
            ssl.SSLError: the certificate is not the name's.
            _UnreachableError: none takes it.
        """
        tls = self._tls if target.url.tls else None
        for address in target.addresses[:_MOST_TRIED]:
            try:
                async with asyncio.timeout(_CONNECT_S):
                    return await asyncio.open_connection(
                        address, target.url.port, ssl=tls, server_hostname=target.url.host if tls else None
                    )
            except ssl.SSLError:
                raise
            except OSError:  # TimeoutError is one
                continue
        raise _UnreachableError


class _UnreachableError(Exception):
    """No address of a target took a connection."""


async def _response(line: h11.Connection, reader: asyncio.StreamReader) -> Answer:
    """Read to the end of the response, or to as much as is read of one.

    Raises:
        EOFError: it broke off.
        h11.RemoteProtocolError: it is no HTTP, or broke off in the middle.
        OSError: the connection was reset.
    """
    answer: Answer | None = None
    received = 0
    while True:
        event = line.next_event()
        if event is h11.NEED_DATA:
            if received >= LONGEST_RESPONSE:
                break
            data = await reader.read(_CHUNK)
            received += len(data)
            line.receive_data(data)
        elif isinstance(event, h11.Response):
            answer = Answer(str(event.status_code), event.status_code, _retry_after(event))
        elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
            break
    if answer is None:
        raise EOFError
    return answer


def _retry_after(response: h11.Response) -> float | None:
    """Seconds, from a number or from a date against the `Date` beside it, so that no clock of ours takes part."""
    known = {name: value.decode("latin-1").strip() for name, value in response.headers}
    said = known.get(b"retry-after", "")
    try:
        seconds = float(said)
    except ValueError:
        until, now = _date(said), _date(known.get(b"date", ""))
        if until is None or now is None:
            return None
        seconds = (until - now).total_seconds()
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _date(said: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(said)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
