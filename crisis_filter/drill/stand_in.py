"""A configured filter with fault servers in the place of its endpoints."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import numpy as np
from pydantic import SecretStr

from crisis_filter.backends.base import Backend
from crisis_filter.backends.breaker import BreakerPolicy
from crisis_filter.backends.registry import open_fast
from crisis_filter.backends.spec import BackendSpec
from crisis_filter.drill.answers import Brain
from crisis_filter.drill.asked import Asked
from crisis_filter.drill.behaviours import BEHAVIOURS, Behaviour
from crisis_filter.drill.http import Response
from crisis_filter.drill.plans import HEALTHY_NAME
from crisis_filter.drill.proxy import TcpProxy
from crisis_filter.drill.server import FaultServer
from crisis_filter.drill.toxics import Toxic
from crisis_filter.errors import ConfigurationError
from crisis_filter.pipeline.chain import open_links
from crisis_filter.pipeline.description import LOCAL, FilterSpec
from crisis_filter.pipeline.filter import CrisisFilter
from crisis_filter.pipeline.spec import open_filter
from crisis_filter.schema import Message

MODEL = "drill"
_KEY = SecretStr("drill")


class Striking(FaultServer):
    """A fault server whose faults strike only the messages that it is told; others get healthy answers.

    Args:
        brain: as of any fault server.
        strikes: given the text of a message, whether the plan's behaviour is for it.
        **more: as of any fault server.
    """

    def __init__(self, brain: Brain, strikes: Callable[[str], bool], **more: Any) -> None:
        super().__init__(brain, **more)
        self._strikes = strikes

    def _respond(self, behaviour: Behaviour, asked: Asked, body: Mapping[str, Any]) -> Response:
        struck = self._strikes(asked.message)
        return super()._respond(behaviour if struck else BEHAVIOURS[HEALTHY_NAME], asked, body)


def prompted_links(spec: FilterSpec) -> int:
    """How many language models a filter asks; two for one that has none, since a drill needs somebody to fail."""
    if spec.backend == LOCAL:
        return 2
    return 1 + sum(1 for link in spec.fallbacks or () if isinstance(link, BackendSpec))


def other_clients(spec: FilterSpec) -> tuple[str, ...]:
    """The links whose own client is not drilled, because the OpenAI client stands in for it: those of LangChain."""
    links = [link.name for link in spec.fallbacks or () if isinstance(link, BackendSpec)]
    return tuple(name for name in (spec.backend, *links) if name.startswith("langchain:"))


async def see_that_it_opens(spec: FilterSpec) -> None:
    """Open the configured filter as it is, keys apart, and close it again. Nothing is sent.

    Raises:
        ConfigurationError: it cannot be opened, so it cannot be drilled either.
    """
    try:
        opened = open_filter(_with_keys(spec))
    except ConfigurationError:
        if not other_clients(spec):
            raise
        # Some provider's class takes no key that is handed to it, and finds its own.
        opened = open_filter(spec)
    await opened.aclose()


def _with_keys(spec: FilterSpec) -> FilterSpec:
    """A key for each endpoint that lacks one: none is needed where nothing is sent."""
    if spec.backend == LOCAL:
        return spec
    fallbacks = spec.fallbacks
    if fallbacks is not None:
        fallbacks = tuple(
            link.model_copy(update={"api_key": link.api_key or _KEY}) if isinstance(link, BackendSpec) else link
            for link in fallbacks
        )
    return spec.model_copy(update={"api_key": spec.api_key or _KEY, "fallbacks": fallbacks})


def replaced(spec: FilterSpec, urls: Sequence[str], deadline_s: float) -> FilterSpec:
    """The filter with each language model replaced by the OpenAI protocol at an address.

    What the operator said of retries, time-outs, prompts, policy, taxonomy and engine stays; so does the embedded engine as the last
    link where there was one. Every address is held to its model's name.

    Args:
        spec: the configured filter.
        urls: as many as `prompted_links(spec)`.
        deadline_s: for one message, in place of the configured one.
    """
    local = spec.backend == LOCAL
    others = [link for link in spec.fallbacks or () if isinstance(link, BackendSpec)] if not local else []
    patterns = others or [BackendSpec(kind="openai", model=MODEL)] * (len(urls) - 1)
    links: list[BackendSpec | str] = [
        BackendSpec(
            kind="openai",
            model=MODEL,
            base_url=url,
            api_key=_KEY,
            temperature=link.temperature,
            seed=link.seed,
            attempts=link.attempts,
            attempt_timeout_s=link.attempt_timeout_s,
            model_reported=MODEL,
        )
        for link, url in zip(patterns, urls[1:], strict=True)
    ]
    if local or LOCAL in (spec.fallbacks or ()):
        links.append(LOCAL)
    # A filter without named fallbacks has the engine behind it where that knows the taxonomy: left to who opens it.
    fallbacks = None if spec.fallbacks is None and not local else tuple(links)
    return spec.model_copy(
        update={
            "backend": f"openai:{MODEL}",
            "base_url": urls[0],
            "api_key": _KEY,
            "azure_endpoint": None,
            "azure_api_version": None,
            "model_reported": MODEL,
            "fallbacks": fallbacks,
            "deadline_s": deadline_s,
        }
    )


@asynccontextmanager
async def standing_in(
    spec: FilterSpec,
    brain: Brain,
    rng: np.random.Generator,
    *,
    deadline_s: float,
    strikes: Callable[[str], bool] | None = None,
    toxic: Toxic | None = None,
    breaker: BreakerPolicy | None = None,
    fast: bool = False,
) -> AsyncIterator[tuple[CrisisFilter, list[FaultServer]]]:
    """The filter with a fault server in place of each of its endpoints, warmed up; all of it is closed at the end.

    Args:
        spec: the configured filter.
        brain: of every server.
        rng: for toxics.
        deadline_s: for one message.
        strikes: which messages meet the servers' faults; `None` means all.
        toxic: on every connection.
        breaker: when an endpoint is left alone; `None` takes the default.
        fast: whether the endpoints are asked over the fast lane.
    """

    def over_the_wire(links: Sequence[BackendSpec]) -> Backend:
        return open_links(links, breaker, open_link=open_fast)

    async with AsyncExitStack() as stack:
        struck = strikes if strikes is not None else _everything
        servers: list[FaultServer] = [
            await stack.enter_async_context(Striking(brain, struck, down_s=None, drip_s=0.05))
            for _ in range(prompted_links(spec))
        ]
        urls = [server.base_url for server in servers]
        if toxic is not None:
            proxies = [TcpProxy(f"127.0.0.1:{server.port}", [toxic], rng) for server in servers]
            urls = [f"http://127.0.0.1:{(await stack.enter_async_context(proxy)).port}/v1" for proxy in proxies]
        opener = over_the_wire if fast else None
        crisis_filter = open_filter(replaced(spec, urls, deadline_s), breaker=breaker, opener=opener)
        stack.push_async_callback(crisis_filter.aclose)
        if toxic is None:  # importing a client on first use belongs into nobody's deadline
            await crisis_filter.assess(Message(id="warm-up", text="hello"))
        yield crisis_filter, servers


def _everything(_: str) -> bool:
    return True
