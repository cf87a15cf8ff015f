"""Leases: the limit holds over all workers, everybody gets a share, and what a dead one would have used goes to the others."""

from __future__ import annotations

import asyncio
import json
import math
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crisis_filter.batch.lease import Ask, Broker, BrokerLeases
from crisis_filter.batch.lease_gate import LeasedGate
from crisis_filter.batch.lease_tcp import TcpLeases, serve_leases
from crisis_filter.batch.rate_bucket import Limits
from crisis_filter.batch.rate_patience import PatiencePolicy
from crisis_filter.batch.rate_slots import SlotsPolicy
from crisis_filter.errors import BackendError, ConfigurationError
from tests.batch.rate_world import Server, in_virtual_time, run

TOKEN = "a token for the tests"


def gate_of(leases, loop, *, slots=64):
    return LeasedGate(
        leases,
        slots=SlotsPolicy(slots, slots),
        patience=PatiencePolicy(),
        rng=np.random.default_rng(1),
        clock=loop.time,
    )


def together(limits, demands, *, seconds=20.0, tokens=0, used=None, **broker):
    """Workers of one process against one server; `demands` are their places. Returns a `Ran` for each, and the server."""

    async def scene(loop):
        desk = Broker(limits, clock=loop.time, **broker)
        server = Server(loop, latency_s=0.1)
        gates = [gate_of(BrokerLeases(desk, f"{n}"), loop, slots=places) for n, places in enumerate(demands)]
        ran = await asyncio.gather(
            *(
                run(loop, gate, server, workers=places, seconds=seconds, tokens=tokens, used=used)
                for gate, places in zip(gates, demands, strict=True)
            )
        )
        for gate in gates:
            await gate.aclose()
        return ran, server

    return in_virtual_time(scene)[0]


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("rate", [5, 100, 1000])
def test_the_limit_holds_over_all_workers_and_is_used(workers, rate):
    _, server = together(Limits(requests_per_minute=60 * rate), [200] * workers)
    sent = sum(at <= 20 for at in server.times)
    assert sent <= 1.02 * rate * 20
    assert sent >= 0.94 * rate * 20 - 2 * workers


def test_tokens_are_leased_too():
    """Also where a request is larger than a block, and where the estimate is poor."""
    for tokens, used, rate in ((1000, 1000, 50_000), (3000, 3000, 2000), (500, 1000, 50_000)):
        _, server = together(Limits(tokens_per_minute=60 * rate), [64] * 3, tokens=tokens, used=used, seconds=60)
        spent = used * sum(at <= 60 for at in server.times)
        assert spent <= 1.02 * rate * 60 + 64 * 3 * max(0, used - tokens)
        assert spent >= 0.9 * rate * 60


def test_busy_workers_share_alike():
    ran, _ = together(Limits(requests_per_minute=6000), [64] * 4)
    answered = [one.answered for one in ran]
    assert min(answered) >= 0.8 * max(answered)


def test_what_one_does_not_want_the_others_get():
    """A worker with one place and another with many."""
    ran, _ = together(Limits(requests_per_minute=6000), [1, 64])
    few, many = (one.answered for one in ran)
    assert few >= 100
    assert few + many >= 0.94 * 100 * 20


def test_requests_leave_one_after_another_and_not_block_by_block():
    _, server = together(Limits(requests_per_minute=6000), [64, 64])
    tenths = np.histogram(server.times, bins=np.arange(2.0, 20.0, 0.1))[0]
    assert tenths.max() <= 30


def test_questions_are_few():
    """Some a second, whatever the rate."""
    counted = []

    class Counting(BrokerLeases):
        async def lease(self, ask):
            counted.append(ask)
            return await super().lease(ask)

    async def scene(loop):
        desk = Broker(Limits(requests_per_minute=120_000), clock=loop.time)
        gate = gate_of(Counting(desk, "one"), loop, slots=1000)
        await run(loop, gate, Server(loop, latency_s=0.1), workers=1000, seconds=10)
        await gate.aclose()

    in_virtual_time(scene)
    assert 10 <= len(counted) <= 100


def test_without_limits_nothing_is_counted():
    ran, _ = together(Limits(), [8, 8], seconds=5)
    assert all(one.answered >= 0.95 * 8 * 10 * 5 for one in ran)


def test_a_lease_runs_out():
    """A worker that slept may not use old blocks on top of new ones."""

    async def scene(loop):
        desk = Broker(Limits(requests_per_minute=6000, share=1.0), clock=loop.time)
        gate, server = gate_of(BrokerLeases(desk, "one"), loop), Server(loop, latency_s=0.01)
        await run(loop, gate, server, workers=64, seconds=5)
        await asyncio.sleep(60)
        begun = loop.time()
        await run(loop, gate, server, workers=64, seconds=5)
        await gate.aclose()
        return [at - begun for at in server.times if at >= begun]

    times, _ = in_virtual_time(scene)
    assert len(times) <= 100 * (5 + 1) + 64


def test_a_worker_that_says_no_more_is_forgotten():
    async def scene(loop):
        desk = Broker(Limits(requests_per_minute=6000), good_s=3.0, clock=loop.time)
        for name in "abc":
            desk.lease(name, Ask())
        assert desk.workers == 3
        await asyncio.sleep(2)
        desk.lease("a", Ask())
        await asyncio.sleep(2)
        assert desk.workers == 1
        desk.forget("a")
        return desk.workers

    assert in_virtual_time(scene)[0] == 0


def test_a_wait_that_one_was_asked_for_all_keep():
    async def scene(loop):
        desk = Broker(Limits(requests_per_minute=6000), clock=loop.time)
        await asyncio.sleep(5)
        assert desk.lease("a", Ask()).requests > 0
        desk.lease("a", Ask(hold_s=10))
        held = desk.lease("b", Ask())
        await asyncio.sleep(held.again_s)
        return held, desk.lease("b", Ask())

    (held, after), _ = in_virtual_time(scene)
    assert held.requests == 0
    assert held.again_s == pytest.approx(10)
    assert after.requests > 0


@given(
    asks=st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 2), st.floats(0, 5000)), max_size=60),
    rate=st.sampled_from([1, 10, 1000]),
)
@example(asks=[("b", 0.0, 0.0), ("a", 1.5, 0.0), ("b", 0.25, 0.0)], rate=1)  # one that waits is in debt
def test_no_more_is_granted_than_the_limits_allow(asks, rate):
    """Whatever is asked, whenever."""
    now = 0.0
    limits = Limits(requests_per_minute=60 * rate, tokens_per_minute=6000 * rate, share=1.0)
    desk = Broker(limits, clock=lambda: now)
    requests = tokens = 0.0
    for name, pause, need in asks:
        now += pause
        grant = desk.lease(name, Ask(tokens=need))
        requests, tokens = requests + grant.requests, tokens + grant.tokens
        assert requests <= rate * now + 1e-6
        assert tokens <= 100 * rate * now + 1e-6
        assert math.isfinite(grant.again_s)
        assert grant.again_s > 0


def test_a_broker_that_is_gone_stops_the_worker():
    """In the end, and not at the first trouble; nothing is sent without a lease, and nobody hangs."""

    class Gone:
        async def lease(self, ask):
            raise ConnectionError

        async def aclose(self):
            pass

    async def scene(loop):
        gate = gate_of(Gone(), loop)
        server = Server(loop)
        ran = await run(loop, gate, server, workers=10, seconds=600)
        await gate.aclose()
        await gate.aclose()
        return ran, server

    (ran, server), _ = in_virtual_time(scene)
    assert server.asked == 0
    assert len(ran.errors) == 10
    assert 5 <= max(ran.ended_at) <= 30
    assert "broker" in ran.errors[0].detail


@contextmanager
def broker_served(limits, *, token=TOKEN, **options):
    """A broker on the loopback, in a thread of its own; yields host, port, and a function that counts its workers."""
    ready, done = threading.Event(), None
    found = {}

    async def serve():
        nonlocal done
        done = asyncio.Event()
        found["loop"] = asyncio.get_running_loop()
        desk = Broker(limits, **options)
        async with serve_leases(desk, token) as (host, port):
            found.update(host=host, port=port, desk=desk)
            ready.set()
            await done.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert ready.wait(10)
        yield found["host"], found["port"], lambda: found["desk"].workers
    finally:
        found["loop"].call_soon_threadsafe(done.set)
        thread.join(10)


@contextmanager
def worker(host, port, seconds, token=TOKEN):
    """A worker process; yields it and the list of what it says."""
    command = [sys.executable, "-m", "bench.lease_worker", host, str(port), token, str(seconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
    said = []
    reading = threading.Thread(target=lambda: said.extend(json.loads(line) for line in process.stdout))
    reading.start()
    try:
        yield process, said
    finally:
        process.kill()
        process.wait(10)
        reading.join(10)
        process.stdout.close()


def sent_by(said, at):
    """How many had been sent at a moment, between two lines of a worker."""
    return float(np.interp(at, [one["at"] for one in said], [one["sent"] for one in said])) if said else 0.0


def wait_until(check, seconds=20.0):
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_real_processes_keep_the_limit_and_inherit_from_the_killed():
    """Three workers over TCP; one is killed, and within seconds the other two use the whole rate."""
    rate = 200
    opened = time.monotonic()
    with broker_served(Limits(requests_per_minute=60 * rate, share=1.0), good_s=2.0) as (host, port, workers):
        with ExitStack() as stack:
            crew = [stack.enter_context(worker(host, port, 9)) for _ in range(3)]
            wait_until(lambda: all(len(said) >= 2 for _, said in crew))
            begun = time.monotonic()
            wait_until(lambda: time.monotonic() - begun >= 3)
            crew[0][0].send_signal(signal.SIGKILL)
            killed = time.monotonic()
            wait_until(lambda: workers() == 2, seconds=3)
            wait_until(lambda: time.monotonic() - killed >= 4)
            now = time.monotonic() - 0.5
            said = [list(one) for _, one in crew]
    all_three = [sent_by(one, begun + 2.9) - sent_by(one, begun + 0.9) for one in said]
    assert sum(all_three) <= rate * (2 + 1)
    assert min(all_three) >= 0.15 * rate * 2
    after = sum(sent_by(one, now) - sent_by(one, killed + 1) for one in said[1:]) / (now - killed - 1)
    assert after >= 0.85 * rate
    assert sum(one[-1]["sent"] for one in said) <= 1.02 * rate * (max(one[-1]["at"] for one in said) - opened)
    assert sum(one[-1]["stopped"] is not None for one in said[1:]) == 0


def test_a_worker_that_does_not_know_the_token_is_stopped():
    with broker_served(Limits(requests_per_minute=6000)) as (host, port, _):

        async def try_it():
            leases = TcpLeases(host, port, "another token altogether")
            with pytest.raises(ConfigurationError, match="does not know the token"):
                await leases.lease(Ask())
            gate = gate_of(leases, asyncio.get_running_loop())
            with pytest.raises(BackendError, match="token"):
                await asyncio.wait_for(gate.enter(1), 10)
            await gate.aclose()
            assert "another" not in repr(leases)

        asyncio.run(try_it())


@pytest.mark.parametrize(
    "line",
    [
        b"lease nan 0\n",
        b"lease -1 0\n",
        b"lease 1\n",
        b"grant 1 2 3 4 5\n",
        b"lease inf 0\n",
        b"\xff\n",
        b"x" * 5000 + b"\n",
        b"\n",
    ],
)
def test_a_line_that_is_none_ends_the_connection(line):
    """And harms nobody else."""
    with broker_served(Limits(requests_per_minute=6000)) as (host, port, _):

        async def try_it():
            leases = TcpLeases(host, port, TOKEN)
            await leases.lease(Ask())
            reader, writer = leases._streams
            writer.write(line)
            assert await asyncio.wait_for(reader.read(), 5) == b""
            with pytest.raises(ConnectionError):
                await leases.lease(Ask())
            await asyncio.sleep(0.2)
            assert (await leases.lease(Ask())).good_s == 3.0
            await leases.aclose()
            await leases.aclose()

        asyncio.run(try_it())


def test_what_is_no_broker_is_told_so():
    async def try_it():
        async def say_else(_, writer):
            writer.write(b"220 mail at your service\n")
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(say_else, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ConfigurationError, match="no broker of rates"):
            await TcpLeases("127.0.0.1", port, TOKEN).lease(Ask())
        server.close()
        with pytest.raises(ConnectionError):
            await TcpLeases("127.0.0.1", port, TOKEN).lease(Ask())

    asyncio.run(try_it())


def test_a_broker_wants_a_token_and_sound_times():
    async def serve(token):
        async with serve_leases(Broker(Limits()), token):
            pass

    with pytest.raises(ConfigurationError, match="at least 16"):
        asyncio.run(serve("short"))
    with pytest.raises(ValueError, match="block_s"):
        Broker(Limits(), block_s=2.0, good_s=1.0)
