"""Leave to send one HTTP request, asked for before it and given back after it.

What limits a run (an account's requests and tokens a minute, the places at a server, a block of quota leased from a broker) is
decided above the backends; whatever sends requests knows this protocol alone. Requests are counted, not messages: a re-ask, a
vote and a retry each need leave of their own.
"""

from __future__ import annotations

from typing import Protocol

__all__ = ["Gate", "NoGate"]


class Gate(Protocol):
    """Who lets requests through. Belongs to one event loop.

    Every `enter` that returned is followed by exactly one `leave`, whatever becomes of the request, cancellation included; an
    `enter` that raised is followed by none.
    """

    async def enter(self, tokens: int) -> None:
        """Wait for leave to send one request.

        Args:
            tokens: what it is thought to use, of prompt and answer together; 0 when nobody can say.

        Raises:
            BackendError: the run must stop, `retryable=False`: the server says nothing but 429 (`rate_limited`), or somebody
                ended the run (`overload`). At once, for those who wait too.
        """
        ...

    def leave(
        self,
        *,
        estimated: int,
        seconds: float,
        tokens: int | None,
        throttled: bool,
        retry_after_s: float | None,
        failed: bool,
    ) -> None:
        """Say how a request went.

        Args:
            estimated: the `tokens` that its `enter` was given.
            seconds: from its first byte sent to its last byte read, or to its failure; time in `enter` does not count.
            tokens: what the server says it used, of prompt and answer together; `None` when it did not say, and the estimate
                stands. Ignored of a throttled request, which uses none.
            throttled: whether the server refused it because of a rate (429).
            retry_after_s: how long the server asks to wait, in seconds; `None` when it did not say.
            failed: whether no usable reply came: a 5xx, a broken connection, a timeout, a cancellation. A reply that refuses,
                a filter or a 4xx about the request itself is none of these.
        """
        ...


class NoGate:
    """Lets everything through at once."""

    async def enter(self, tokens: int) -> None:
        """Nothing to wait for."""

    def leave(
        self,
        *,
        estimated: int,
        seconds: float,
        tokens: int | None,
        throttled: bool,
        retry_after_s: float | None,
        failed: bool,
    ) -> None:
        """Nothing to note."""
