"""Which addresses a webhook may go to: public ones, and networks that the operator names.

Whoever registers a webhook chooses where this service connects to, from inside of its network. So nothing is reached that is not public
unicast by the registries of IANA (special-purpose addresses for IPv4 and IPv6). The tables are written out here, because what Python's
`ipaddress` calls global has changed between the versions that we run on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from crisis_filter.errors import ConfigurationError

__all__ = ["PORTS", "Address", "Network", "Reach", "networks", "reachable", "written"]

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

PORTS = frozenset({443, 8443})
"""Where webhooks may go to unless more is said."""

_NOT_PUBLIC_V4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",
            "100.64.0.0/10",  # shared behind a carrier
            "127.0.0.0/8",
            "169.254.0.0/16",  # link-local, metadata of clouds among it
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",  # documentation
            "192.31.196.0/24",
            "192.52.193.0/24",
            "192.88.99.0/24",  # relays of 6to4
            "192.168.0.0/16",
            "192.175.48.0/24",
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, broadcast
        ),
    )
)
_UNICAST_V6 = IPv6Network("2000::/3")
"""What IANA has opened for public unicast; all else is loopback, private, link-local, multicast, an embedded IPv4 or reserved."""
_NOT_PUBLIC_V6 = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocols: Teredo, benchmarks, ORCHID
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4, which carries any IPv4
            "2620:4f:8000::/48",
            "3fff::/20",  # documentation
        ),
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")
_ISATAP = (0x00005EFE, 0x02005EFE)
_METADATA = frozenset(
    map(
        ip_address,
        (
            "100.100.100.200",
            "168.63.129.16",  # a public number that a cloud answers to its own machines
            "169.254.169.254",
            "169.254.170.2",
            "192.0.0.192",
            "fd00:ec2::254",
            "fd20:ce::254",
        ),
    )
)
"""Where clouds keep the credentials of a machine; refused inside an allowed network as well."""


@dataclass(frozen=True, slots=True)
class Reach:
    """How far webhooks may go.

    Args:
        ports: that may be named in an address.
        networks: internal networks that may be reached all the same; none by default.
        loopback_http: whether `http://` is taken, to this machine and any port of it: for tests and demonstrations.
    """

    ports: frozenset[int] = PORTS
    networks: tuple[Network, ...] = ()
    loopback_http: bool = False


def networks(given: Iterable[str]) -> tuple[Network, ...]:
    """Networks as an operator writes them.

    Args:
        given: such as `10.20.0.0/16` or `fd12:3456::/32`.

    Raises:
        ConfigurationError: one is no network, or is so wide that nothing would be refused.
    """
    found = []
    for each in given:
        try:
            network = ip_network(each)
        except ValueError:
            raise ConfigurationError(f"{each}: is no network; write it such as 10.20.0.0/16") from None
        if network.prefixlen < 8:
            raise ConfigurationError(f"{each}: is too wide; name the networks of your receivers")
        found.append(network)
    return tuple(found)


def written(address: str) -> Address | None:
    """The address that a resolver wrote; `None` where it wrote none, or one of a zone."""
    try:
        found = ip_address(address)
    except ValueError:
        return None
    if isinstance(found, IPv6Address):
        return None if found.scope_id is not None else found.ipv4_mapped or found
    return found


def reachable(address: Address, reach: Reach, *, tls: bool) -> bool:
    """Whether a webhook may be sent to an address.

    Args:
        address: as `written` gave it, so no IPv4 in IPv6's clothes.
        reach: how far webhooks may go.
        tls: whether the target is https; anything else stays on this machine.
    """
    if address in _METADATA:
        return False
    if not tls:
        return reach.loopback_http and address.is_loopback
    return any(address in network for network in reach.networks) or _public(address)


def _public(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return address not in _METADATA and not any(address in network for network in _NOT_PUBLIC_V4)
    if address in _NAT64:
        # A network without IPv4 reaches the public one so; what is embedded decides.
        return _public(IPv4Address(int(address) & 0xFFFFFFFF))
    tunnelled = (int(address) >> 32) & 0xFFFFFFFF in _ISATAP
    return address in _UNICAST_V6 and not tunnelled and not any(address in network for network in _NOT_PUBLIC_V6)
