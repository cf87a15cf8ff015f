"""Work on a text that holds no other message up: in a thread where the text is long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

_GivenP = ParamSpec("_GivenP")
_ResultT = TypeVar("_ResultT")


SHORT = 500
"""Code points whose worst case takes some tens of milliseconds; most messages are shorter, and handing one to a thread costs more than its
work."""


async def aside(
    size: int, function: Callable[_GivenP, _ResultT], *given: _GivenP.args, **named: _GivenP.kwargs
) -> _ResultT:
    """Call a function whose time grows with a text, in a thread unless the text is short.

    Args:
        size: length of the text, in code points.
        function: is called once.
        *given: its arguments.
        **named: its arguments by name.

    Raises:
        RuntimeError: in the place of a `StopIteration`, as in a generator; without its words. Before Python 3.12 a future refuses
            one, and whoever waits for it waits for ever.
    """

    def run() -> _ResultT:
        try:
            return function(*given, **named)
        except StopIteration:
            raise RuntimeError("StopIteration") from None

    return run() if size <= SHORT else await asyncio.to_thread(run)
