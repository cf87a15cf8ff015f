"""The fast lane on the loop that the service runs on."""

from __future__ import annotations

import asyncio

import pytest

from crisis_filter.errors import BackendError, Fault
from tests.backends.wire.test_connection import CHUNKED, OK, answering, connected, exchange

uvloop = pytest.importorskip("uvloop")


def on_uvloop(told):
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(told())


@pytest.mark.parametrize("response", [OK, CHUNKED])
def test_a_connection_is_used_again(response):
    async def told():
        assert not isinstance(asyncio.get_running_loop(), asyncio.BaseEventLoop)
        async with connected(answering(response, response, response)) as (connections, raw):
            bodies = [(await exchange(connections)).body for _ in range(3)]
            return bodies, raw.connections

    assert on_uvloop(told) == ([b"hi"] * 3, 1)


def test_a_response_that_breaks_off_is_none():
    async def told():
        async def speak(reader, writer):
            await reader.readuntil(b"body")
            writer.write(OK[:-1])
            await writer.drain()

        async with connected(speak) as (connections, _):
            return await exchange(connections)

    outcome = on_uvloop(told)
    assert isinstance(outcome, BackendError)
    assert outcome.fault is Fault.BROKEN_REPLY


def test_a_deadline_holds():
    async def told():
        async def silent(reader, writer):
            await reader.read()

        async with connected(silent) as (connections, _):
            loop = asyncio.get_running_loop()
            began = loop.time()
            outcome = await exchange(connections, 0.2)
            assert isinstance(outcome, BackendError)
            assert outcome.fault is Fault.TIMEOUT
            return loop.time() - began

    assert on_uvloop(told) < 5.0
