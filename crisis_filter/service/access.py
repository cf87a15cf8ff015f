"""Who asks: an API key to an actor with a tenant and scopes. Nothing tells a wrong key from none, nor another tenant's id from no id."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated

from fastapi import Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from crisis_filter.service.limits import RateLimit
from crisis_filter.service.problems import Problem
from crisis_filter.store.api_keys import Grant, GrantCache
from crisis_filter.store.records import Actor, Scope

__all__ = ["Door", "allowed"]

_LONGEST_KEY = 512
_MOST_ORIGINS = 1_000


class Door:
    """Lets in whoever has a key, as often as it may.

    Args:
        grants: what keys grant.
        rate: counts requests.
        per_minute: of a key that sets no limit of its own; `None` sets none.
    """

    def __init__(self, grants: GrantCache, rate: RateLimit, per_minute: int | None = None) -> None:
        self._grants = grants
        self._rate = rate
        self._per_minute = per_minute
        self._asking: dict[str, asyncio.Task[Grant | None]] = {}
        self.refused: Counter[str] = Counter()
        """Requests without a valid key since somebody last looked, by address; for the audit."""

    async def enter(self, presented: str | None, origin: str) -> Actor:
        """The actor behind a key.

        Args:
            presented: the key as it came; `None` where none did.
            origin: the address of whoever sent it.

        Raises:
            Problem: `unauthenticated`, or `rate_limited`.
            StoreError: nobody can say what the key grants.
        """
        grant = None
        if presented is not None and len(presented) <= _LONGEST_KEY:
            grant = self._grants.recall(presented)
            if grant is None:
                grant = await asyncio.shield(self._ask(presented))
            elif self._grants.ageing(presented):
                self._ask(presented)
        if grant is None:
            self._note(origin)
            raise Problem("unauthenticated")
        self._count(grant)
        return grant.actor.model_copy(update={"origin": origin})

    def _ask(self, presented: str) -> asyncio.Task[Grant | None]:
        """Ask the store once for all who come with the same key meanwhile: hundreds of questions at once would hold up everybody."""
        task = self._asking.get(presented)
        if task is None:
            task = asyncio.create_task(asyncio.to_thread(self._grants.renew, presented))
            self._asking[presented] = task
            task.add_done_callback(partial(self._answered, presented))
        return task

    def _answered(self, presented: str, task: asyncio.Task[Grant | None]) -> None:
        del self._asking[presented]
        if not task.cancelled():
            task.exception()  # whoever waits is told; where nobody does, the next asks again

    def take_refused(self) -> Counter[str]:
        """The refused since the last call."""
        found, self.refused = self.refused, Counter()
        return found

    def _note(self, origin: str) -> None:
        # Guesses from everywhere must not fill the memory.
        known = origin in self.refused or len(self.refused) < _MOST_ORIGINS
        self.refused[origin if known else "elsewhere"] += 1

    def _count(self, grant: Grant) -> None:
        limit = grant.per_minute if grant.per_minute is not None else self._per_minute
        self._rate.take(grant.actor.id, limit)


_bearer = HTTPBearer(auto_error=False, description="An API key: `crisis-filter keys create`.")


def allowed(*scopes: Scope) -> Callable[..., Awaitable[Actor]]:
    """A dependency: the actor, who has all of these scopes.

    Raises:
        Problem: `unauthenticated`, `rate_limited` or `forbidden`.
    """

    async def enter(
        request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]
    ) -> Actor:
        door: Door = request.app.state.service.door
        origin = request.client.host if request.client is not None else "local"
        actor = await door.enter(credentials.credentials if credentials is not None else None, origin)
        if not actor.scopes.issuperset(scopes):
            raise Problem("forbidden", f"This needs a key with the scope `{'` and `'.join(scopes)}`.")
        return actor

    return enter
