"""From the address of a webhook to the checked numbers that are connected to: read strictly, resolved once, every answer looked at.

An address is not parsed as a browser would, who mends much; whatever is written in more than one way is refused. What is connected to
is a number from the same answer of the resolver that was checked, so a name that changes its mind between the two (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Literal

from crisis_filter.delivery.addresses import Address, Reach, reachable, written
from crisis_filter.errors import InputError

__all__ = ["Refusal", "Resolver", "SystemResolver", "Target", "TargetError", "Url", "locate", "read_url"]

Resolver = Callable[[str], Awaitable[Sequence[str]]]
"""From a name to its addresses. Raises `OSError` where it has none."""

Refusal = Literal["url_refused", "scheme_refused", "port_refused", "host_refused", "no_address", "address_refused"]
"""Why a webhook goes nowhere; fits `outbox.last_result`."""

_LONGEST_URL = 2048
_MOST_ADDRESSES = 64
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9A-Fa-f:.]{2,45}\]|[0-9A-Za-z.-]{1,253})(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>(?:/[0-9A-Za-z._~!$&'()*+,;=:@%/-]*)?(?:\?[0-9A-Za-z._~!$&'()*+,;=:@%/?-]*)?)"
)
_LABEL = re.compile(r"[0-9a-z](?:[0-9a-z-]{0,61}[0-9a-z])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


class TargetError(InputError):
    """A webhook may not go there. Repeats no part of the address, which may hold a secret.

    Args:
        reason: a word for the record.
        words: what to do instead.
    """

    def __init__(self, reason: Refusal, words: str) -> None:
        super().__init__(f"the address of the webhook is refused: {words}")
        self.reason: Refusal = reason


@dataclass(frozen=True, slots=True)
class Url:
    """A strictly read address."""

    tls: bool
    host: str
    """A name in lower case, or an IP address without brackets."""
    literal: Address | None
    """The IP address, where it is one."""
    port: int
    path: str = field(repr=False)
    """With the query; begins with `/`. May hold a secret."""

    @property
    def authority(self) -> str:
        """What the `Host` header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Target:
    """An address with the numbers that it was resolved to and that were all found reachable."""

    url: Url
    addresses: tuple[str, ...]
    """In the resolver's order; at least one."""


def read_url(given: str, reach: Reach) -> Url:
    """Read the address of a webhook, without asking anybody.

    Args:
        given: as it was registered.
        reach: how far webhooks may go.

    Raises:
        TargetError: it is no plain `https://host[:port]/path`, or goes to a port that is not allowed.
    """
    found = _URL.fullmatch(given) if len(given) <= _LONGEST_URL else None
    if found is None:
        raise TargetError("url_refused", "write it as https://host/path, in ASCII, without a user or a fragment")
    tls = found["scheme"] == "https"
    if not tls and not reach.loopback_http:
        raise TargetError("scheme_refused", "it has to be https")
    host, literal = _host(found["host"].lower())
    port = int(found["port"]) if found["port"] else 443 if tls else 80
    if not 0 < port < 65536 or (tls and port not in reach.ports):
        allowed = ", ".join(map(str, sorted(reach.ports)))
        raise TargetError("port_refused", f"its port is not among {allowed}")
    path = found["path"]
    return Url(tls, host, literal, port, path if path.startswith("/") else f"/{path}")


def _host(given: str) -> tuple[str, Address | None]:
    """Host and, where it is a number, its address.

    Raises:
        TargetError: it is neither a name nor an address in its usual form.
    """
    if given.startswith("["):
        try:
            literal = written(str(IPv6Address(given[1:-1])))
        except AddressValueError:
            literal = None
        if literal is None:
            raise TargetError("host_refused", "what is in brackets is no IPv6 address")
        return str(literal), literal
    labels = given.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        # 127.1, 0x7f.1, 017700000001 and 2130706433 are 127.0.0.1 to a system's resolver.
        try:
            return given, IPv4Address(given)
        except AddressValueError:
            raise TargetError("host_refused", "write an IPv4 address as four decimal numbers") from None
    if not all(map(_LABEL.fullmatch, labels)):
        raise TargetError("host_refused", "its host is no name")
    return given, None


async def locate(url: Url, reach: Reach, resolve: Resolver) -> Target:
    """Resolve once, and check every address that comes back.

    Args:
        url: as `read_url` gave it.
        reach: how far webhooks may go.
        resolve: asked at most once; not at all for a host that is an address.

    Raises:
        TargetError: there is no address, or one of them, be it one of many, may not be reached.
    """
    if url.literal is not None:
        found: list[Address | None] = [url.literal]
    else:
        try:
            found = [written(each) for each in await resolve(url.host)]
        except (OSError, UnicodeError):
            found = []
    if not found:
        raise TargetError("no_address", "its name has no address")
    checked = [each for each in found if each is not None and reachable(each, reach, tls=url.tls)]
    if len(checked) < len(found) or len(found) > _MOST_ADDRESSES:
        raise TargetError("address_refused", "it leads to an address that is not public")
    return Target(url, tuple(dict.fromkeys(map(str, checked))))


class SystemResolver:
    """The system's resolver, in threads of its own, one lookup of a name at a time: a name whose servers are silent takes one thread.

    Belongs to one event loop.

    Args:
        threads: lookups at once.
    """

    def __init__(self, threads: int = 16) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="crisis-filter-names")
        self._going: dict[str, asyncio.Future[list[str]]] = {}

    async def __call__(self, host: str) -> Sequence[str]:
        """The addresses of a name; see `Resolver`."""
        going = self._going.get(host)
        if going is None:
            going = asyncio.get_running_loop().run_in_executor(self._pool, _look_up, host)
            self._going[host] = going
            going.add_done_callback(lambda done: self._ended(host, done))
        return await asyncio.shield(going)

    def close(self) -> None:
        """Begin no further lookup; one that goes on is not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _ended(self, host: str, done: asyncio.Future[list[str]]) -> None:
        self._going.pop(host, None)
        if not done.cancelled():
            done.exception()  # looked at, or asyncio complains where everybody who waited has gone


def _look_up(host: str) -> list[str]:
    return [str(each[4][0]) for each in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
