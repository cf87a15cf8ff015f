"""A broker beside whatever the program does: for a driver that has no event loop of its own."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress

from pydantic import SecretStr

from crisis_filter.batch.blocks_spec import BrokerAddress
from crisis_filter.batch.lease import Broker
from crisis_filter.batch.lease_tcp import serve_leases
from crisis_filter.batch.rate_bucket import Limits

__all__ = ["broker_beside"]


@contextmanager
def broker_beside(
    limits: Limits, *, host: str = "127.0.0.1", port: int = 0, reached_as: str | None = None
) -> Iterator[BrokerAddress]:
    """Lease an account's limits while the block lasts, from a thread of its own.

    Args:
        limits: of the account.
        host: where to listen; the loopback reaches this machine alone.
        port: 0 takes any free one.
        reached_as: how workers on other machines call this one; `None` is `host`.

    Yields:
        What workers need, with a token made for this broker.

    Raises:
        ConfigurationError: the port cannot be had.
    """
    token = secrets.token_urlsafe(24)
    begun: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event, tuple[str, int]]] = Future()

    async def serve() -> None:
        async with serve_leases(Broker(limits), token, host=host, port=port) as address:
            end = asyncio.Event()
            begun.set_result((asyncio.get_running_loop(), end, address))
            await end.wait()

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:
            if begun.done():
                raise
            begun.set_exception(error)

    thread = threading.Thread(target=run, daemon=True, name="crisis-filter-broker")
    thread.start()
    loop, end, (listening, port) = begun.result()
    try:
        yield BrokerAddress(host=reached_as or listening, port=port, token=SecretStr(token))
    finally:
        with suppress(RuntimeError):  # its loop has ended already
            loop.call_soon_threadsafe(end.set)
        thread.join()
