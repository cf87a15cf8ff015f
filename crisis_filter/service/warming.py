"""What the first messages would wait for: all that a detector and its client load when they are first used, a second or two of it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from urllib.request import getproxies

from pydantic import SecretStr

from crisis_filter.backends.base import Backend
from crisis_filter.backends.spec import BackendSpec
from crisis_filter.pipeline.chain import open_links
from crisis_filter.pipeline.description import LOCAL, FilterSpec
from crisis_filter.pipeline.filter import CrisisFilter
from crisis_filter.pipeline.spec import open_filter
from crisis_filter.schema import Message
from crisis_filter.text.attack import attack_seen
from crisis_filter.text.language import unvalidated

__all__ = ["warm_up"]

_MESSAGE = Message(id="warm-up", text="Hello, could you tell me when the pharmacy opens on Monday morning?")
_MOST_S = 20.0


async def warm_up(judging: FilterSpec, own: CrisisFilter, open_link: Callable[[BackendSpec], Backend]) -> None:
    """Judge a message of ours before anybody else's comes.

    The engine judges it itself. Before a language model it is another filter of the same description, whose endpoints are a closed port of
    this machine: no endpoint is asked, and no key is given. Only OpenAI's client, ours or LangChain's, surely goes where it is told to; any other,
    and any behind a proxy, is left alone, and its first request loads it.

    Nothing is raised. What does not work fails again with the first message, where it is told of.

    Args:
        judging: what the service's filter was opened from.
        own: that filter.
        open_link: opens one endpoint, as the service does.
    """
    with suppress(Exception):
        async with asyncio.timeout(_MOST_S):
            # What may forbid a negative is compiled with the first one; the filter beside comes to none.
            await asyncio.to_thread(attack_seen, _MESSAGE.text)
            await asyncio.to_thread(unvalidated, _MESSAGE.text, own.policy.languages.validated or ("en",))
            if judging.backend == LOCAL:
                await own.assess(_MESSAGE)
            elif not getproxies().keys() - {"no"}:
                await _beside(judging, open_link)


async def _beside(judging: FilterSpec, open_link: Callable[[BackendSpec], Backend]) -> None:
    # A port that is taken and not listened on refuses every connection at once.
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}/v1"

        def nowhere(links: Sequence[BackendSpec]) -> Backend:
            if not all(link.kind == "openai" or link.model.startswith("openai:") for link in links):
                raise LookupError("a client that may go elsewhere")
            own = {"base_url": address, "azure_endpoint": None, "api_key": SecretStr("none"), "attempts": 1}
            return open_links([link.model_copy(update=own) for link in links], open_link=open_link)

        alone = {"fallbacks": (), "cascade": False, "clearing": None}
        like = open_filter(judging.model_copy(update=alone), opener=nowhere)
        try:
            await like.assess(_MESSAGE)
        finally:
            await like.aclose()
