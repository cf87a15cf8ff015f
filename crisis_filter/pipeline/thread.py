"""Work for a thread, so that it holds no other message up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

_GivenP = ParamSpec("_GivenP")
_ResultT = TypeVar("_ResultT")


async def in_thread(function: Callable[_GivenP, _ResultT], *given: _GivenP.args, **named: _GivenP.kwargs) -> _ResultT:
    """`asyncio.to_thread` for a function that may run an iterator dry.

    Before Python 3.12 a future refuses a `StopIteration`, and whoever waits for it waits for ever.

    Raises:
        RuntimeError: in the place of a `StopIteration`, as in a generator; without its words.
    """

    def run() -> _ResultT:
        try:
            return function(*given, **named)
        except StopIteration:
            raise RuntimeError("StopIteration") from None

    return await asyncio.to_thread(run)
