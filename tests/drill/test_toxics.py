"""The TCP proxy: each toxic does what Toxiproxy says it does, to the bytes and to the clock."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crisis_filter.drill.answers import Healthy
from crisis_filter.drill.proxy import TcpProxy
from crisis_filter.drill.server import FaultServer
from crisis_filter.drill.toxics import (
    TOXICS,
    Bandwidth,
    Latency,
    LimitData,
    ResetPeer,
    Slicer,
    SlowClose,
    Timeout,
    Toxic,
    parse_toxic,
)
from crisis_filter.errors import BackendError, ConfigurationError, Fault
from tests.backends.asking import open_openai
from tests.drill.talking import Talk, ask, chat, post, said

HEALTHY = Healthy(lambda _: True)
BLOB = bytes(range(256)) * 400


@contextlib.asynccontextmanager
async def echoing(*toxics: Toxic, seed: int = 0) -> AsyncIterator[tuple[TcpProxy, list[int]]]:
    """A proxy with toxics before a server that sends back what it gets; with the sizes of what the server read."""
    sizes: list[int] = []

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                sizes.append(len(data))
                writer.write(data)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with TcpProxy(f"127.0.0.1:{port}", toxics, np.random.default_rng(seed)) as proxy:
        yield proxy, sizes
    server.close()
    await server.wait_closed()


async def took(proxy: TcpProxy, sent: bytes, wanted: int) -> tuple[bytes, float]:
    """What came back of what was sent, up to so many bytes or the end, and after how many seconds."""
    talk = await Talk.to(proxy.port)
    loop = asyncio.get_running_loop()
    before = loop.time()
    talk.writer.write(sent)
    try:
        got = await asyncio.wait_for(talk.reader.readexactly(wanted), 5)
    except asyncio.IncompleteReadError as error:
        got = error.partial
    after = loop.time() - before
    await talk.end()
    return got, after


async def test_without_toxics_everything_passes() -> None:
    """A hundred kilobytes, there and back, unchanged."""
    async with echoing() as (proxy, _):
        got, _ = await took(proxy, BLOB, len(BLOB))
    assert got == BLOB


@pytest.mark.parametrize("stream", ["upstream", "downstream"])
async def test_latency_delays_without_slowing_down(stream: str) -> None:
    """The delay is paid once and not for each piece, in the direction it is put on."""
    async with echoing(Latency(latency=200, stream=stream)) as (proxy, _):
        got, seconds = await took(proxy, BLOB * 5, len(BLOB) * 5)
    assert got == BLOB * 5
    assert 0.19 <= seconds < 1.0


async def test_jitter_stays_within_its_bounds() -> None:
    """Each of ten round trips takes between latency minus and plus jitter."""
    async with echoing(Latency(latency=60, jitter=40)) as (proxy, _):
        times = [(await took(proxy, b"x", 1))[1] for _ in range(10)]
    assert min(times) >= 0.018
    assert max(times) < 0.3
    assert max(times) - min(times) > 0.005


async def test_bandwidth_sets_the_pace() -> None:
    """A hundred kilobytes at 200 a second take half a second."""
    async with echoing(Bandwidth(rate=200)) as (proxy, _):
        got, seconds = await took(proxy, BLOB, len(BLOB))
    assert got == BLOB
    assert 0.5 <= seconds < 1.5


@pytest.mark.parametrize("toxic", [Timeout(), Bandwidth(rate=0)])
async def test_nothing_gets_through(toxic: Toxic) -> None:
    """The connection stays open and silent."""
    async with echoing(toxic) as (proxy, _):
        talk = await Talk.to(proxy.port)
        talk.writer.write(b"hello")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(talk.reader.read(1), 0.3)
        await talk.end()


async def test_a_timeout_ends_the_connection() -> None:
    """After its time, without a byte."""
    async with echoing(Timeout(timeout=200)) as (proxy, _):
        got, seconds = await took(proxy, b"hello", 5)
    assert got == b""
    assert 0.19 <= seconds < 0.6


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 400), st.integers(0, 400), st.integers(0, 2**32))
def test_a_slicer_cuts_and_loses_nothing(average: int, variation: int, seed: int) -> None:
    """The bytes are the same in the same order."""

    async def go() -> bytes:
        toxic = Slicer(average_size=average, size_variation=variation)
        async with echoing(toxic, seed=seed) as (proxy, _):
            return (await took(proxy, BLOB[:2000], 2000))[0]

    assert asyncio.run(go()) == BLOB[:2000]


async def test_a_slicer_makes_small_pieces() -> None:
    """The server reads many small ones where one was sent."""
    async with echoing(Slicer(average_size=100, size_variation=20, delay=2000, stream="upstream")) as (proxy, sizes):
        got, _ = await took(proxy, BLOB[:2000], 2000)
    assert got == BLOB[:2000]
    assert len(sizes) >= 10


@pytest.mark.parametrize("limit", [0, 1, 999, 40_000])
async def test_a_limit_ends_the_connection_after_so_many_bytes(limit: int) -> None:
    """Exactly so many."""
    async with echoing(LimitData(bytes=limit)) as (proxy, _):
        got, _ = await took(proxy, BLOB, len(BLOB))
    assert got == BLOB[:limit]


async def test_a_reset_is_a_reset() -> None:
    """After its time, and not a plain end."""
    async with echoing(ResetPeer(timeout=100)) as (proxy, _):
        with pytest.raises(ConnectionResetError):
            await took(proxy, b"hello", 5)


async def test_a_slow_close_delays_only_the_end() -> None:
    """The answer is there at once, the end of the connection later."""
    async with FaultServer(HEALTHY) as server:
        async with TcpProxy(f"127.0.0.1:{server.port}", [SlowClose(delay=300)], np.random.default_rng(0)) as proxy:
            talk = await Talk.to(proxy.port)
            loop = asyncio.get_running_loop()
            before = loop.time()
            await talk.say(post(chat(), connection="close"))
            answered = loop.time() - before
            assert await talk.reader.read() == b""
            ended = loop.time() - before
            await talk.end()
    assert answered < 0.25
    assert ended >= 0.29


@given(st.floats(0.0, 1.0), st.integers(0, 2**32))
@settings(max_examples=5, deadline=None)
def test_toxicity_is_a_share_of_the_connections(toxicity: float, seed: int) -> None:
    """Drawn for each, the same for the same seed."""

    async def cut() -> list[bool]:
        async with echoing(LimitData(bytes=0, toxicity=toxicity), seed=seed) as (proxy, _):
            return [(await took(proxy, b"x", 1))[0] == b"" for _ in range(40)]

    first = asyncio.run(cut())
    assert asyncio.run(cut()) == first
    assert abs(sum(first) / 40 - toxicity) < 0.4  # five standard deviations


async def test_toxics_are_met_in_order() -> None:
    """A limit behind a slicer and a latency still counts bytes."""
    toxics = (Latency(latency=50), Slicer(average_size=7), LimitData(bytes=100))
    async with echoing(*toxics) as (proxy, _):
        got, seconds = await took(proxy, BLOB, len(BLOB))
    assert got == BLOB[:100]
    assert seconds >= 0.049


TROUBLE = [
    (Latency(latency=2000), Fault.TIMEOUT),
    (Timeout(), Fault.TIMEOUT),
    (Timeout(timeout=50), Fault.BROKEN_REPLY),
    (Bandwidth(rate=0.1), Fault.TIMEOUT),
    (LimitData(bytes=200), Fault.BROKEN_REPLY),
    (LimitData(bytes=2000, stream="upstream"), Fault.BROKEN_REPLY),
    (ResetPeer(), Fault.BROKEN_REPLY),
    (Slicer(average_size=3), None),
    (SlowClose(delay=100), None),
]


@pytest.mark.parametrize(("toxic", "fault"), TROUBLE, ids=lambda v: type(v).__name__)
async def test_the_real_client_names_what_the_network_did(toxic: Toxic, fault: Fault | None) -> None:
    """Between the client and a healthy server each toxic ends in its fault, or does no harm."""
    async with FaultServer(HEALTHY) as server:
        async with TcpProxy(f"127.0.0.1:{server.port}", [toxic], np.random.default_rng(0)) as proxy:
            backend = open_openai(f"http://127.0.0.1:{proxy.port}/v1", attempts=1)
            try:
                found = (await backend.complete(ask("screen/terse-v1", deadline_s=1.0))).fault
            except BackendError as error:
                found = error.fault
            await backend.aclose()
    assert found is fault


async def test_leaving_ends_all_connections_and_tasks() -> None:
    """Hanging ones too, and those whose client does not read."""
    before = asyncio.all_tasks()
    async with FaultServer(HEALTHY) as server:
        toxics = [Timeout(stream="upstream", toxicity=0.5), Latency(latency=10_000, toxicity=0.5)]
        async with TcpProxy(f"127.0.0.1:{server.port}", toxics, np.random.default_rng(0)) as proxy:
            talks = [await Talk.to(proxy.port) for _ in range(10)]
            for talk in talks:
                talk.writer.write(post(chat(), x_fault="oversized"))
            await asyncio.sleep(0.2)
        with pytest.raises(ConnectionRefusedError):
            await Talk.to(proxy.port)
    for talk in talks:
        await talk.end()
    assert asyncio.all_tasks() == before


async def test_a_client_that_leaves_a_hanging_connection_takes_it_along() -> None:
    """No connection to the server is left over."""
    async with FaultServer(HEALTHY) as server:
        async with TcpProxy(f"127.0.0.1:{server.port}", [Timeout()], np.random.default_rng(0)) as proxy:
            quiet = asyncio.all_tasks()
            talk = await Talk.to(proxy.port)
            talk.writer.write(post(chat()))
            await asyncio.sleep(0.1)
            assert asyncio.all_tasks() > quiet
            await talk.end()
            await asyncio.sleep(0.2)
            assert asyncio.all_tasks() == quiet


async def test_without_a_server_the_client_is_reset() -> None:
    """The proxy itself is there, so the connection is made and then broken."""
    async with TcpProxy("127.0.0.1:9", [], np.random.default_rng(0)) as proxy:
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await said(proxy.port, post(chat()))
        with pytest.raises(ConfigurationError, match=str(proxy.port)):
            async with TcpProxy("127.0.0.1:9", [], np.random.default_rng(0), port=proxy.port):
                pass


@pytest.mark.parametrize(
    ("given_words", "toxic"),
    [
        ("latency:latency=100,jitter=10", Latency(latency=100, jitter=10)),
        ("bandwidth:rate=12.5,stream=upstream", Bandwidth(rate=12.5, stream="upstream")),
        ("slow_close:delay=5", SlowClose(delay=5)),
        ("timeout", Timeout()),
        ("timeout:timeout=0,toxicity=0.5", Timeout(toxicity=0.5)),
        ("slicer:average_size=10,size_variation=3,delay=100", Slicer(average_size=10, size_variation=3, delay=100)),
        ("limit_data:bytes=7", LimitData(bytes=7)),
        ("reset_peer:timeout=3", ResetPeer(timeout=3)),
    ],
)
def test_a_toxic_is_given_in_words(given_words: str, toxic: Toxic) -> None:
    """Under Toxiproxy's names."""
    assert parse_toxic(given_words) == toxic
    assert given_words.partition(":")[0] in TOXICS


@pytest.mark.parametrize(
    "wrong",
    [
        *("", "lag", "latency:speed=1", "latency:latency=fast", "latency:latency=-1", "latency:latency=inf"),
        *("limit_data:bytes=1.5", "timeout:toxicity=1.1", "timeout:toxicity=nan", "timeout:stream=sideways"),
    ],
)
def test_a_toxic_that_means_nothing_is_refused(wrong: str) -> None:
    """By an error of configuration."""
    with pytest.raises(ConfigurationError):
        parse_toxic(wrong)


@pytest.mark.parametrize("address", ["", "host", "host:", "host:port", ":80"])
def test_an_upstream_is_host_and_port(address: str) -> None:
    """Anything else is refused."""
    with pytest.raises(ConfigurationError):
        TcpProxy(address, [], np.random.default_rng(0))
