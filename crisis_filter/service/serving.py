"""Serving a description, in this process or in several."""

from __future__ import annotations

from collections.abc import Callable

from crisis_filter.service.server import listening_on, serve_here
from crisis_filter.service.spec import ServiceSpec
from crisis_filter.service.workers import Workers

__all__ = ["serve_spec"]


def serve_spec(spec: ServiceSpec, say: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        spec: what to serve.
        say: is told in a line where it listens and when it ends.

    Raises:
        ConfigurationError: the address is taken, or something that the service needs is not as it has to be.
        StoreError: the store does not answer.
    """
    with listening_on(spec.host, spec.port) as listening:
        host, port = listening.getsockname()[:2]
        told = f"crisis-filter serves http://{host}:{port} (API: /openapi.json)"
        if spec.workers > 1:
            Workers(spec, listening, say).run(told)
        else:
            serve_here(spec, (listening,), lambda server: say(f"{told}; store {server.service.store.url}"))
        say("crisis-filter ended; what is left pending in the store is taken over by whoever starts next")
