"""One webhook and one receiver, over real connections: what counts as delivered, and that nothing keeps or leads the sender astray."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import threading

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crisis_filter.delivery import targets
from crisis_filter.delivery.addresses import Reach, networks
from crisis_filter.delivery.sending import LONGEST_RESPONSE, Answer, Sender
from crisis_filter.delivery.targets import SystemResolver
from tests.delivery.receiver import BEHAVIOURS, NAME, PLAIN, WELL, Names, Receiver, connections

LOOPBACK = Reach(loopback_http=True)
PAYLOAD = b'{"id":"w1"}'
HEADERS = {"webhook-id": "w1"}


async def nobody(host):
    raise AssertionError("a host that is an address is not resolved")


async def sent(receiver, *, timeout_s=5.0, url=None, payload=PAYLOAD):
    async with receiver:
        return await Sender(LOOPBACK, nobody, timeout_s=timeout_s).send(url or receiver.url(), HEADERS, payload)


EXPECTED = {
    **{name: str({"ok": 204, "early_hints": 202}.get(name, 200)) for name in WELL},
    "500": "500",
    "503_later": "503",
    "404": "404",
    "410": "410",
    "301": "301",
    "302": "302",
    "307": "307",
    "nothing": "broken",
    "garbage": "broken",
    "half_a_body": "broken",
    "half_a_chunk": "broken",
    "two_lengths": "broken",
    "switch": "broken",
    "reset": "broken",
    "reset_mid_body": "broken",
    "endless_head": "broken",
    "endless_hints": "broken",
    "hang": "timeout",
    "drip_head": "timeout",
    "drip_body": "timeout",
}


@pytest.mark.parametrize("name", BEHAVIOURS)
async def test_what_counts_as_delivered(name):
    """A 2xx whose response is whole, or long; everything else is a failure and has its word."""
    receiver = Receiver(lambda _: name)
    answer = await sent(receiver, timeout_s=0.3 if EXPECTED[name] == "timeout" else 10.0)
    assert answer.result == EXPECTED[name]
    assert answer.delivered == (name in WELL)
    assert answer.gone == (name == "410")
    assert receiver.accepted == len(receiver.got) == 1


async def test_the_request_is_as_registered():
    receiver = Receiver()
    async with receiver:
        url = f"http://127.0.0.1:{receiver.port}/a/b%20c?token=x&y=%2e"
        await Sender(LOOPBACK, nobody).send(url, {"webhook-id": "w1", "webhook-signature": "v1,x"}, PAYLOAD)
    (got,) = receiver.got
    assert got.line == "POST /a/b%20c?token=x&y=%2e HTTP/1.1"
    assert got.body == PAYLOAD
    assert got.headers.pop("user-agent").startswith("crisis-filter/")
    assert got.headers == {
        "host": f"127.0.0.1:{receiver.port}",
        "content-type": "application/json",
        "content-length": str(len(PAYLOAD)),
        "connection": "close",
        "webhook-id": "w1",
        "webhook-signature": "v1,x",
    }


async def test_a_redirect_leads_nowhere():
    """Not to another server, nor to the metadata of a cloud."""
    async with Receiver() as elsewhere:
        for name in ("301", "302", "307"):
            with connections() as seen:
                receiver = Receiver(lambda _, name=name: name, location=elsewhere.url())
                assert (await sent(receiver)).result == name
            assert [address[:2] for address in seen] == [("127.0.0.1", receiver.port)]
        assert elsewhere.accepted == 0


async def test_a_giant_response_is_left_unread():
    """The sender goes when it has read enough; the receiver cannot write on."""
    receiver = Receiver(lambda _: "giant")
    async with asyncio.timeout(5):
        assert (await sent(receiver)).delivered
    assert LONGEST_RESPONSE < 2**20


async def test_a_large_payload_to_a_receiver_that_refuses_early():
    receiver = Receiver(lambda _: "500")
    assert (await sent(receiver, payload=b"x" * 5_000_000)).result == "500"
    assert len(receiver.got[0].body) == 5_000_000


async def test_nobody_there():
    receiver = Receiver()
    async with receiver:
        pass
    assert await Sender(LOOPBACK, nobody).send(receiver.url(), HEADERS, PAYLOAD) == Answer("unreachable")


async def test_nothing_is_taken_from_the_environment(monkeypatch, tmp_path):
    """No proxy, no password."""
    async with Receiver() as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url(""))
        (tmp_path / ".netrc").write_text("machine 127.0.0.1 login somebody password canary")
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
        receiver = Receiver()
        assert (await sent(receiver)).delivered
        assert proxy.accepted == 0
    assert "authorization" not in receiver.got[0].headers


def over_tls(receiver, authority, names=None):
    reach = Reach(ports=frozenset({receiver.port}), networks=networks(["127.0.0.0/8"]))
    return Sender(reach, names or Names(hooks_example_com=[["127.0.0.1"]]), tls=authority.client)


async def test_the_certificate_is_the_names(authority):
    """The number that was checked is connected to; server name, Host and certificate are the name's."""
    async with Receiver(tls=authority.server()) as receiver:
        with connections() as seen:
            assert (await over_tls(receiver, authority).send(receiver.url(), HEADERS, PAYLOAD)).delivered
        assert receiver.names == [NAME]
        assert receiver.got[0].headers["host"] == f"{NAME}:{receiver.port}"
        assert [address[:2] for address in seen] == [("127.0.0.1", receiver.port)]


async def test_an_address_for_a_host_has_its_own_certificate(authority):
    async with Receiver(tls=authority.server()) as receiver:
        url = f"https://127.0.0.1:{receiver.port}/"
        assert (await over_tls(receiver, authority).send(url, HEADERS, PAYLOAD)).delivered


@pytest.mark.parametrize("which", ["other", "self"])
async def test_another_certificate_is_refused(authority, which):
    """Before a byte of the webhook is sent."""
    async with Receiver(tls=authority.server(which)) as receiver:
        assert await over_tls(receiver, authority).send(receiver.url(), HEADERS, PAYLOAD) == Answer("tls")
        assert not receiver.got


async def test_a_server_without_tls_is_refused(authority):
    heard = []

    async def attend(reader, writer):
        heard.append(await reader.read(65536))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(attend, "127.0.0.1", 0)
    receiver = Receiver(port=server.sockets[0].getsockname()[1])
    url = f"https://{NAME}:{receiver.port}/"
    assert await over_tls(receiver, authority).send(url, HEADERS, PAYLOAD) == Answer("tls")
    server.close()
    assert PAYLOAD not in b"".join(heard)


async def test_the_next_address_is_tried_when_one_is_dead(authority):
    """Of several that were all checked; the receiver listens on one of them."""
    async with Receiver(tls=authority.server()) as receiver:
        names = Names(hooks_example_com=[["::1", "127.0.0.1"]])
        reach = Reach(ports=frozenset({receiver.port}), networks=networks(["127.0.0.0/8", "::1/128"]))
        sender = Sender(reach, names, tls=authority.client)
        assert (await sender.send(receiver.url(), HEADERS, PAYLOAD)).delivered
        assert names.asked == [NAME]


def test_the_default_context_checks():
    context = Sender(LOOPBACK, nobody)._tls
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(
    ("said", "date", "seconds"),
    [
        ("120", None, 120.0),
        ("0", None, 0.0),
        ("1.5", None, 1.5),
        ("-5", None, None),
        ("NaN", None, None),
        ("inf", None, None),
        ("soon", None, None),
        ("", None, None),
        ("Sun, 22 Nov 2026 10:00:30 GMT", "Sun, 22 Nov 2026 10:00:00 GMT", 30.0),
        ("Sun, 22 Nov 2026 09:00:00 GMT", "Sun, 22 Nov 2026 10:00:00 GMT", None),
        ("Sun, 22 Nov 2026 10:00:30 GMT", None, None),
        ("Sun, 99 Nov 2026 10:00:30 GMT", "Sun, 22 Nov 2026 10:00:00 GMT", None),
    ],
)
async def test_how_long_a_receiver_asks_to_wait(monkeypatch, said, date, seconds):
    head = f"HTTP/1.1 429 Slow\r\nRetry-After: {said}\r\n" + (f"Date: {date}\r\n" if date else "")
    monkeypatch.setitem(PLAIN, "asks", f"{head}\r\n".encode())
    assert (await sent(Receiver(lambda _: "asks"))).retry_after_s == seconds


@settings(deadline=None, max_examples=50)
@given(st.binary(max_size=300))
@example(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n")
@example(b"HTTP/1.1 99999 OK\r\n\r\n")
@example(b"HTTP/1.1 200 OK\r\nRetry-After: 9" + b"9" * 200 + b"\r\n\r\n")
def test_no_response_makes_it_raise(response):
    async def scene():
        async def attend(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(response)
            writer.close()

        server = await asyncio.start_server(attend, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        answer = await Sender(LOOPBACK, nobody, timeout_s=5).send(f"http://127.0.0.1:{port}/", HEADERS, PAYLOAD)
        server.close()
        return answer

    answer = asyncio.run(scene())
    assert answer.result == "broken" or answer.result.isdigit()


async def test_what_a_receiver_says_is_in_no_log(caplog, monkeypatch):
    caplog.set_level(logging.DEBUG)
    words = b"HTTP/1.1 500 canary-reason\r\nX-Word: canary-header\r\nContent-Length: 11\r\n\r\ncanary-body"
    monkeypatch.setitem(PLAIN, "talks", words)
    answer = await sent(Receiver(lambda _: "talks"), url=None)
    assert answer.result == "500"
    assert "canary" not in caplog.text + repr(answer)


async def test_the_systems_resolver_looks_up_a_name_once_at_a_time(monkeypatch):
    """Also when whoever asked has gone; a name that cannot be found is said to be so."""
    looked = []
    begun, go = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def slow(host, *_, **__):
        looked.append(host)
        loop.call_soon_threadsafe(begun.set)
        go.wait(5)
        raise socket.gaierror("no such name")

    monkeypatch.setattr(targets.socket, "getaddrinfo", slow)
    resolver = SystemResolver(threads=1)
    first, second = (asyncio.create_task(resolver("slow.example.com")) for _ in range(2))
    await begun.wait()
    first.cancel()
    go.set()
    with pytest.raises(socket.gaierror):
        await second
    assert looked == ["slow.example.com"]
    resolver.close()


async def test_the_systems_resolver_finds_this_machine():
    resolver = SystemResolver()
    assert set(await resolver("localhost")) <= {"127.0.0.1", "::1"}
    resolver.close()
