"""The HTTP application: routes, limits, problems and counts around one service."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Literal

from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from crisis_filter.assets import package_version
from crisis_filter.schema import UNSPECIFIED
from crisis_filter.service import routes_health, routes_messages, routes_queue
from crisis_filter.service.bodies import MOST_MESSAGES
from crisis_filter.service.desk import Overloaded, Stopping, Undecided
from crisis_filter.service.limits import BodyLimit, BodyLimits
from crisis_filter.service.problems import Contained, install
from crisis_filter.service.service import Service

__all__ = ["Counted", "make_app", "wrapped"]

_SURFACES = (
    ("/v1/classify", "classify"),
    ("/v1/messages", "classify"),
    ("/v1/moderations", "moderations"),
    ("/beta/", "guardrail"),
    ("/v1/queue", "queue"),
    ("/v1/ledger", "ledger"),
    ("/metrics", "metrics"),
    ("/livez", "health"),
    ("/readyz", "health"),
)
_ABOUT = (
    "Reads the text messages people send to a health platform and notices who is in a behavioural-health crisis, and of which kind, so that a "
    "person can be told in time. A screening aid for people to act on: not a medical device, not a diagnosis, not an emergency service. "
    'Every answer that is no success says `decision: undetermined`; none of them is a "not crisis".'
)


def make_app(opened: Callable[[], Service]) -> FastAPI:
    """The application.

    Args:
        opened: opens the service, in the loop that will serve.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with opened() as service:
            app.state.service = service
            yield

    app = FastAPI(
        title="crisis-filter",
        version=package_version(),
        description=_ABOUT,
        lifespan=lifespan,
        docs_url=None,  # both pages load scripts from elsewhere
        redoc_url=None,
    )
    described = app.openapi

    def described_here() -> dict[str, Any]:
        if app.openapi_schema is None and hasattr(app.state, "service"):
            app.openapi_schema = _as_opened(described(), app.state.service)
        return described()

    app.openapi = described_here  # type: ignore[method-assign]
    install(app, {Overloaded: "overloaded", Stopping: "stopping", Undecided: "deadline_passed"})
    app.include_router(routes_messages.router)
    app.include_router(routes_queue.router)
    app.include_router(routes_health.router)
    return app


def _as_opened(schema: Any, service: Service) -> Any:
    """The description with what is known once the service is open: how many messages a request may hold, and the categories."""
    if isinstance(schema, list):
        return [_as_opened(part, service) for part in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: _as_opened(part, service) for name, part in schema.items()}
    if found.get("maxItems") == MOST_MESSAGES:
        found["maxItems"] = min(MOST_MESSAGES, service.spec.most_messages)
    if found.get("format") == routes_queue.CATEGORY:
        return {"type": "string", "enum": [*service.taxonomy, UNSPECIFIED]}
    return found


def wrapped(app: FastAPI, limits: BodyLimits) -> ASGIApp:
    """The application with everything around it: errors contained, requests counted, bodies limited."""
    return Contained(Counted(BodyLimit(app, limits), app))


class Counted:
    """Counts responses and how long they took.

    Args:
        inner: is called.
        app: whose service counts.
    """

    def __init__(self, inner: ASGIApp, app: FastAPI) -> None:
        self._inner = inner
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        begun, status = time.monotonic(), 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._inner(scope, receive, noting)
        finally:
            service: Service = self._app.state.service
            surface = _surface(scope["path"])
            service.metrics.responded(surface, status, time.monotonic() - begun)
            # That it is not ready refuses nothing.
            if (reason := _REFUSED.get(status)) and surface != "health":
                service.metrics.refused("stopping" if status == 503 and service.desk.closing else reason)


_REFUSED: dict[int, Literal["rate", "size", "overload", "stopping", "slow"]] = {
    429: "rate",
    413: "size",
    408: "slow",
    503: "overload",
}


def _surface(path: str) -> str:
    return next((name for start, name in _SURFACES if path.startswith(start)), "other")
