"""Addresses that lead inside: none is reached, whatever way it is written or whatever its name says.

A canary listens on this machine, over IPv4 and IPv6, at a port that webhooks may go to; every address of the table would lead to it, to
the metadata of a cloud or into a private network. What it accepts is counted, and so is every connection that this process makes.
"""

from __future__ import annotations

import asyncio
import socket
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crisis_filter.delivery.addresses import Reach, networks, reachable, written
from crisis_filter.delivery.sending import Sender
from crisis_filter.delivery.targets import TargetError, locate, read_url
from crisis_filter.errors import ConfigurationError
from tests.delivery.receiver import Names, Receiver, connections

WRITTEN = [
    # this machine, in every way that some system's resolver or some library takes for it
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "127.0.0.53",
    "127.255.255.254",
    "2130706433",
    "017700000001",
    "0177.0.0.1",
    "0177.0.0.01",
    "127.0.0.01",
    "0x7f.0.0.1",
    "0x7f000001",
    "0X7F000001",
    "0x7f.1",
    "0x7F.0x0.0x0.0x1",
    "127.0.0.0x1",
    "0",
    "0.0.0.0",  # noqa: S104
    "0.0",
    "0x0",
    "00000000000",
    "4294967295",
    "425.510.425.510",
    "127.0.0.1.",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "localhost.localdomain",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[0000:0000:0000:0000:0000:0000:0000:0001]",
    "[::]",
    "[::1%25lo]",
    "[::1%lo]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:127.0.0.1]",
    "[::127.0.0.1]",
    "[::7f00:1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b:1::127.0.0.1]",
    "[2002:7f00:1::]",
    "[2002:7f00:0001::1]",
    "[2001:0:7f00:1::]",
    "[2001:0000:4136:e378:8000:63bf:80ff:fffe]",
    "[::ffff:0:127.0.0.1]",
    "[2a00:1450:4001:82a::5efe:7f00:1]",
    "１２７.０.０.１",
    "①②⑦.⓪.⓪.①",
    "127。0。0。1",
    "ⓛocalhost",
    "%31%32%37.0.0.1",
    "127.0.0.1%00.example.com",
    "127.0.0.1\t",
    "127.0.0.1 ",
    "127.0.0.1\\@example.com",
    "example.com@127.0.0.1",
    "example.com:443@127.0.0.1",
    "user:secret@127.0.0.1",
    "127.0.0.1#@example.com",
    "127.0.0.1:{port}#.example.com",
    "127.0.0.1/..;@example.com",
    "-127.0.0.1",
    "_localhost",
    # metadata of clouds
    "169.254.169.254",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "169.254.43518",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[64:ff9b::a9fe:a9fe]",
    "[2002:a9fe:a9fe::]",
    "[fd00:ec2::254]",
    "[fd20:ce::254]",
    "169.254.170.2",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    # inside, and what nobody routes
    "10.0.0.1",
    "10.1",
    "012.0.0.1",
    "167772161",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "192.168.1",
    "3232235521",
    "100.64.0.1",
    "198.18.0.1",
    "192.0.2.1",
    "198.51.100.1",
    "203.0.113.1",
    "192.88.99.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "[fe80::1]",
    "[fec0::1]",
    "[fc00::1]",
    "[fd12:3456::1]",
    "[ff02::1]",
    "[100::1]",
    "[2001:db8::1]",
    "[2001:2::1]",
    "[2001:10::1]",
    "[2001:20::1]",
    "[3fff::1]",
    "[5f00::1]",
    "[::ffff:10.0.0.1]",
    "[64:ff9b::10.0.0.1]",
    "[1::1]",
    "[4000::1]",
]
"""Hosts as somebody writes them into an address."""

NAMED = [
    ["127.0.0.1"],
    ["::1"],
    ["::ffff:127.0.0.1"],
    ["::ffff:7f00:1"],
    ["64:ff9b::7f00:1"],
    ["fe80::1%lo"],
    ["::1%1"],
    ["0.0.0.0"],  # noqa: S104
    ["::"],
    ["10.0.0.1"],
    ["169.254.169.254"],
    ["fd00:ec2::254"],
    ["168.63.129.16"],
    ["93.184.215.14", "127.0.0.1"],
    ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "::1"],
    ["93.184.215.14", "10.0.0.1", "93.184.215.15"],
    ["93.184.215.14", "nonsense"],
    ["127.0.0.1", "93.184.215.14"],
    [f"93.184.{n // 250}.{n % 250 + 1}" for n in range(400)],
    [],
]
"""What a name of somebody else's says; one bad answer among good ones is enough."""

SCHEMES = [
    "http://127.0.0.1:{port}/",
    "http://localhost:{port}/",
    "http://example.com:{port}/",
    "HTTPS://127.0.0.1:{port}/",
    "https:/127.0.0.1:{port}/",
    "https:127.0.0.1:{port}/",
    "https:///127.0.0.1:{port}/",
    "https:\\\\127.0.0.1:{port}/",
    "//127.0.0.1:{port}/",
    "127.0.0.1:{port}",
    "ftp://127.0.0.1:{port}/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:{port}/_x",
    "unix:///var/run/docker.sock",
    "jar:https://127.0.0.1:{port}/!x",
    " https://127.0.0.1:{port}/",
    "https://127.0.0.1:{port}/\r\nX: y",
    "https://example.com\r\n@127.0.0.1:{port}/",
    "https://127.0.0.1:{port}:{port}/",
    "https://127.0.0.1:0{port}x/",
    "https://127.0.0.1:٣/",
    "https://[::1/",
    "https://::1:{port}/",
    "https://[127.0.0.1]:{port}/",
    "https://[]:{port}/",
    "https://:{port}/",
    "https://",
    "",
]


class Canary:
    """Listens on both loopbacks, at one port."""

    async def __aenter__(self) -> Canary:
        self._four = await Receiver().__aenter__()
        self.port = self._four.port
        self._six = await Receiver(host="::1", port=self.port).__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._four.__aexit__()
        await self._six.__aexit__()

    @property
    def accepted(self) -> int:
        return self._four.accepted + self._six.accepted


async def system(host):
    """The system's resolver, which takes 127.1 and 2130706433 for addresses; it asks no server on the network."""
    numeric = 0 if host.lower().rstrip(".") == "localhost" else socket.AI_NUMERICHOST
    found = await asyncio.get_running_loop().getaddrinfo(host, 443, type=socket.SOCK_STREAM, flags=numeric)
    return [str(each[4][0]) for each in found]


async def test_none_of_the_table_is_reached():
    """At registration as at sending, and not one connection is even begun."""
    urls = [f"https://{host}:{{port}}/latest/meta-data/" for host in WRITTEN] + SCHEMES
    assert len(urls) + len(NAMED) >= 150
    async with Canary() as canary:
        reach = Reach(ports=frozenset({443, 8443, canary.port}))
        sender = Sender(reach, system, timeout_s=5)
        with connections() as seen:
            for url in urls:
                address = url.replace("{port}", str(canary.port))
                with pytest.raises(TargetError):
                    await locate(read_url(address, reach), reach, system)
                answer = await sender.send(address, {}, b"{}")
                assert answer.result.endswith("_refused") or answer.result == "no_address", url
            for answers in NAMED:
                names = Names(hooks_example_com=[answers])
                answer = await Sender(reach, names).send(f"https://hooks.example.com:{canary.port}/", {}, b"{}")
                assert answer.result in ("address_refused", "no_address"), answers
                assert names.asked == ["hooks.example.com"]
        assert seen == []
        assert canary.accepted == 0


async def test_the_table_is_live():
    """A client without the guard reaches the canary by many of these hosts, so that a guard that lets all through would be found out."""
    reached = []
    loop = asyncio.get_running_loop()
    async with Canary() as canary:
        for host in WRITTEN:
            before = canary.accepted
            try:
                address = (await system(host.strip("[]")))[0]
                if address not in ("127.0.0.1", "::1"):
                    continue
                with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as one:
                    one.setblocking(False)
                    await loop.sock_connect(one, (address, canary.port))
                    await asyncio.sleep(0.005)
            except (OSError, UnicodeError):
                continue
            if canary.accepted > before:
                reached.append(host)
    assert len(reached) >= 15, reached
    assert {"127.1", "2130706433", "0x7f.1", "017700000001", "[::1]"} <= set(reached)


async def test_a_name_that_changes_its_mind_gains_nothing(authority):
    """Good when it is registered and checked, this machine a moment later: the checked answer is connected to, and the next is refused.

    The good receiver is on ::1, which is allowed here, and the canary on 127.0.0.1, which is not.
    """
    async with Receiver(tls=authority.server(), host="::1") as good:
        async with Receiver(port=good.port) as canary:
            reach = Reach(ports=frozenset({good.port}), networks=networks(["::1/128"]))
            names = Names(hooks_example_com=[["::1"], ["::1"], ["127.0.0.1"], ["::1", "127.0.0.1"]])
            url = f"https://hooks.example.com:{good.port}/"
            await locate(read_url(url, reach), reach, names)  # as it is registered
            sender = Sender(reach, names, tls=authority.client)
            with connections() as seen:
                results = [(await sender.send(url, {}, b"{}")).result for _ in range(4)]
            assert results == ["204", "address_refused", "address_refused", "address_refused"]
            assert [address[0] for address in seen] == ["::1"]
            assert len(names.asked) == 1 + 4
            assert (good.accepted, canary.accepted) == (1, 0)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/",
        "https://EXAMPLE.com",
        "https://example.com?x=1",
        "https://example.com:8443/a/b?c=d&e=%20",
        "https://xn--bcher-kva.example/~x/(y)/;z=1,2",
        "https://1.2.3.4.example.com/",
        "https://8.8.8.8/",
        "https://[2606:4700:4700::1111]/",
        "https://[::ffff:8.8.8.8]/",
        "https://[64:ff9b::8.8.8.8]/",
    ],
)
async def test_public_addresses_are_let_through(url):
    names = Names(
        **{name: [["93.184.215.14"]] for name in ("example_com", "xn--bcher-kva_example", "1_2_3_4_example_com")}
    )
    target = await locate(read_url(url, Reach()), Reach(), names)
    assert len(target.addresses) == 1


def test_ports_are_few():
    for port in (1, 22, 25, 80, 444, 6379, 8080, 65535):
        with pytest.raises(TargetError) as caught:
            read_url(f"https://example.com:{port}/", Reach())
        assert caught.value.reason == "port_refused"
    for port in ("0", "65536", "99999"):
        with pytest.raises(TargetError):
            read_url(f"https://example.com:{port}/", Reach(ports=frozenset({0, 65536, 99999})))
    assert read_url("https://example.com:9443/", Reach(ports=frozenset({9443}))).port == 9443


def test_an_error_repeats_nothing_of_the_address():
    for url in ("https://canary@x/", "https://example.com:1/canary", "http://canary/", "https://127.1/canary"):
        with pytest.raises(TargetError) as caught:
            read_url(url, Reach())
        assert "canary" not in str(caught.value)
    assert "canary" not in repr(read_url("https://example.com/canary", Reach()))


def test_an_allowed_network_opens_itself_and_nothing_else():
    reach = Reach(networks=networks(["10.20.0.0/16", "fd12::/32", "169.254.0.0/16"]))
    for address, wanted in {
        "10.20.3.4": True,
        "::ffff:10.20.3.4": True,
        "fd12::9": True,
        "10.21.0.1": False,
        "127.0.0.1": False,
        "169.254.1.1": True,
        "169.254.169.254": False,
        "64:ff9b::10.20.3.4": False,
    }.items():
        found = written(address)
        assert found is not None
        assert reachable(found, reach, tls=True) == wanted, address
        assert not reachable(found, reach, tls=False)


@pytest.mark.parametrize("given", ["0.0.0.0/0", "::/0", "10.0.0.0/7", "10.0.0.1/8", "hooks.example.com", ""])
def test_a_network_that_is_none_or_everything_is_refused(given):
    with pytest.raises(ConfigurationError):
        networks([given])


@pytest.mark.parametrize("address", ["8.8.8.8", "10.0.0.1", "169.254.169.254", "fd12::1", "2606:4700::1"])
async def test_http_stays_on_this_machine(address):
    reach = Reach(loopback_http=True, networks=networks(["10.0.0.0/8"]))
    with pytest.raises(TargetError):
        await locate(read_url("http://hooks.example.com/", reach), reach, Names(hooks_example_com=[[address]]))
    with pytest.raises(TargetError):
        read_url("http://127.0.0.1/", Reach())


@given(st.one_of(st.ip_addresses(), st.integers(0, 2**32 - 1).map(lambda n: ip_address((0xFFFF << 32) + n))))
def test_what_python_calls_private_is_never_reached(address):
    """Any address, those in the special registries far more often than by chance."""
    found = written(str(address))
    if found is not None and reachable(found, Reach(), tls=True):
        inner = (
            found
            if found.version == 4 or found not in networks(["64:ff9b::/96"])[0]
            else ip_address(int(found) & 0xFFFFFFFF)
        )
        assert inner.is_global
        assert not any((inner.is_multicast, inner.is_reserved, inner.is_loopback, inner.is_link_local))


@given(st.text(max_size=60), st.text(alphabet="0123456789abcdefx.:[]%@/#\\", max_size=40))
def test_whatever_is_written_is_read_strictly_or_refused(words, host):
    for url in (words, f"https://{words}/", f"https://{host}/", f"https://example.com{host}"):
        try:
            read = read_url(url, Reach())
        except TargetError:
            continue
        assert read.host.isascii()
        assert read.literal is None or str(read.literal) == read.host
        assert read.path.startswith("/")
        assert all("!" <= one <= "~" for one in read.host + read.path)
        # A host whose end is a number is an address in its one usual form, so no resolver can take it for another.
        last = read.host.rsplit(".", 1)[-1]
        assert read.literal is not None or not (last.isdigit() or last.startswith("0x"))
