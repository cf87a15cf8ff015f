"""Seldom looking for garbage while many messages are judged."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["seldom"]

_BETWEEN = 20_000
"""New containers that outlive their makers before the youngest are looked through; Python's own 700 are made by a dozen messages in hand."""


@contextmanager
def seldom() -> Iterator[None]:
    """Let the collector of cycles look seldom, and only at what came after this.

    What a process has loaded before it judges, some hundred thousand objects, stays until it ends, and messages in hand make no cycles but
    where something fails; looking through both costs a sixth of a batch's processor time. The settings that stood are put back at the end.
    Entered by one at a time; inside another it does nothing.
    """
    before = gc.get_threshold()
    if before[0] >= _BETWEEN or not gc.isenabled():
        yield
        return
    gc.collect()
    gc.freeze()
    gc.set_threshold(_BETWEEN, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
