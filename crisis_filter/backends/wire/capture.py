"""Letting a client build one request and taking it before it leaves.

The object that is recorded is a copy of the user's own, bound to a transport that keeps the request and then fails: nothing touches the
network. What would not be the same for every request is not recorded at all: a client whose key is fetched anew each time, that has
hooks, cookies or an authentication flow of its own, or that goes by a proxy.
"""

from __future__ import annotations

import inspect
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import openai

from crisis_filter.backends.client import read_error

__all__ = ["Build", "Captured", "Recorder", "Road", "building", "capture", "copy_for", "road_of"]

# Attributes of the SDK's clients that hold a source of keys: what they send changes from request to request.
_CHANGING = ("_api_key_provider", "_azure_ad_token_provider", "workload_identity", "_provider")


@dataclass(frozen=True, slots=True)
class Captured:
    """One request as the transport was given it. The headers hold the key: they are never shown."""

    method: str
    target: bytes
    """Path and query."""
    headers: tuple[tuple[bytes, bytes], ...] = field(repr=False)
    """In their order, without `content-length`."""
    body: bytes = field(repr=False)


Build = Callable[[str], Awaitable[Captured | None]]
"""Makes the request for one text."""


@dataclass(frozen=True, slots=True)
class Road:
    """Where a client's requests go, and how the other end proves who it is."""

    host: str
    port: int
    tls: ssl.SSLContext | None = field(repr=False)
    """The client's own context, so that both trust the same certificates; `None` without encryption."""


class _TakenError(Exception):
    """Ends a call whose request has been taken."""


class Recorder:
    """A transport that takes what it is given; asynchronous and synchronous, for clients of both kinds."""

    def __init__(self) -> None:
        self.taken: list[Captured] = []

    async def handle_async_request(self, request: Any) -> Any:
        """Take one request.

        Raises:
            _TakenError: always.
        """
        self._keep(request, await request.aread())

    def handle_request(self, request: Any) -> Any:
        """Take one request; raises as its twin does."""
        self._keep(request, request.read())

    def _keep(self, request: Any, body: bytes) -> None:
        headers = tuple((name, value) for name, value in request.headers.raw if name.lower() != b"content-length")
        self.taken.append(Captured(request.method, request.url.raw_path, headers, bytes(body)))
        raise _TakenError

    async def __aenter__(self) -> Recorder:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing is open."""

    async def aclose(self) -> None:
        """Nothing is open."""

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""

    def close(self) -> None:
        """Nothing is open."""


async def capture(recorder: Recorder, call: Callable[[], Any]) -> Captured | None:
    """The request that a call makes first; `None` where it makes none or more than one.

    Args:
        recorder: the transport of the copy that `call` uses.
        call: makes the request; may return something to await. That it fails is expected, and how it fails is not looked at.
    """
    recorder.taken.clear()
    with suppress(Exception):
        made = call()
        if inspect.isawaitable(made):
            await made
    return recorder.taken[0] if len(recorder.taken) == 1 else None


def copy_for(thing: Any, recorder: Recorder) -> Any | None:
    """A copy of a client that sends to the recorder, or `None` where no copy could stand for it.

    Args:
        thing: an `openai.AsyncOpenAI` or `openai.OpenAI`, a client that `instructor.from_openai` made of one, or a chat model of
            `langchain-openai`. It is not changed.
        recorder: takes the requests.
    """
    if isinstance(thing, openai.AsyncOpenAI | openai.OpenAI):
        return _copy_of_sdk(thing, recorder)
    module = type(thing).__module__
    if module.startswith("instructor."):
        return _copy_of_instructor(thing, recorder)
    if _is_of_langchain(thing):
        return _copy_of_langchain(thing, recorder)
    return None


def road_of(client: openai.AsyncOpenAI | openai.OpenAI) -> Road | None:
    """Where the client's requests go, or `None` where they go by a proxy or some other way that is not a plain connection.

    The rule for proxies is thereby the client's own, the environment included.
    """
    http: Any = client._client  # noqa: SLF001  # the SDK shows its HTTP client nowhere else
    try:
        transport = http._transport_for_url(client.base_url)  # noqa: SLF001
        if transport is not http._transport or type(transport).__name__ not in ("AsyncHTTPTransport", "HTTPTransport"):  # noqa: SLF001
            return None
        pool = transport._pool  # noqa: SLF001
        plain = type(pool).__name__ in ("AsyncConnectionPool", "ConnectionPool") and pool._proxy is None  # noqa: SLF001
        if not plain or pool._uds is not None or pool._local_address is not None or pool._http2:  # noqa: SLF001
            return None
        url = client.base_url
        encrypted = url.scheme == "https"
        if url.scheme not in ("http", "https") or not url.host or (encrypted and pool._ssl_context is None):  # noqa: SLF001
            return None
        return Road(url.host, url.port or (443 if encrypted else 80), pool._ssl_context if encrypted else None)  # noqa: SLF001
    except AttributeError:  # another version of the library, built otherwise
        return None


def _copy_of_sdk(client: Any, recorder: Recorder) -> Any | None:
    if any(getattr(client, name, None) is not None for name in _CHANGING):
        return None
    http = client._client  # noqa: SLF001
    hooks = [*http.event_hooks["request"], *(hook for hook in http.event_hooks["response"] if hook is not read_error)]
    if getattr(http, "_auth", None) is not None or len(http.cookies) or hooks:
        return None
    make = openai.DefaultAsyncHttpx2Client if isinstance(client, openai.AsyncOpenAI) else openai.DefaultHttpx2Client
    copy = make(transport=recorder, headers=http.headers, params=http.params, follow_redirects=False)
    return client.with_options(http_client=copy, max_retries=0)


def _copy_of_instructor(client: Any, recorder: Recorder) -> Any | None:
    import instructor

    inner = getattr(client, "client", None)
    copy = copy_for(inner, recorder) if isinstance(inner, openai.AsyncOpenAI | openai.OpenAI) else None
    return None if copy is None else instructor.from_openai(copy, mode=client.mode, **client.kwargs)


def _copy_of_langchain(model: Any, recorder: Recorder) -> Any | None:
    copies: dict[str, Any] = {}
    for root, road in (("root_async_client", "async_client"), ("root_client", "client")):
        client = getattr(model, root, None)
        copy = None if client is None else _copy_of_sdk(client, recorder)
        if client is not None and copy is None:
            return None
        copies |= {} if copy is None else {root: copy, road: copy.chat.completions}
    return model.model_copy(update=copies) if "async_client" in copies else None


def building(thing: Any, call: Callable[[Any, str], Any]) -> Build | None:
    """How the requests of a user's own object are made for a text, or `None` where the object cannot be copied.

    Args:
        thing: as for `copy_for`.
        call: given the copy and a text, does with it what the user would do: `lambda client, text: client.chat.completions.parse(...)`.
    """
    recorder = Recorder()
    copy = copy_for(thing, recorder)
    if copy is None:
        return None

    async def build(text: str) -> Captured | None:
        return await capture(recorder, lambda: call(copy, text))

    if not _is_of_langchain(thing):
        return build
    from langsmith import tracing_context

    async def untraced(text: str) -> Captured | None:
        with tracing_context(enabled=False):  # or LangSmith would be told of each, over the network
            return await build(text)

    return untraced


def _is_of_langchain(thing: Any) -> bool:
    return any(cls.__module__.startswith("langchain_openai.") for cls in type(thing).__mro__)
