"""How each variant is opened: live, with everything it is told written down, or from what was written down."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from crisis_filter.backends.base import Backend
from crisis_filter.backends.spec import BackendSpec
from crisis_filter.baselines.registry import BaselineSpec, open_baseline
from crisis_filter.experiments.calls import Calls, Listening, ListeningModeration
from crisis_filter.experiments.running import Assessor
from crisis_filter.experiments.variants import Column
from crisis_filter.pipeline.chain import open_links
from crisis_filter.pipeline.spec import open_filter

__all__ = ["opener"]


def opener(column: Column, calls: Calls, *, live: bool) -> Callable[[], Assessor]:
    """What opens a variant.

    Args:
        column: which.
        calls: takes what it is told, and answers what was asked before.
        live: whether its provider may be asked.
    """

    def listening(links: Sequence[BackendSpec]) -> Backend:
        name = " > ".join(link.name for link in links)
        return Listening(name, variant.fingerprint, variant.id, calls, open_links(links) if live else None)

    def opened() -> Assessor:
        if isinstance(column.spec, BaselineSpec):
            return open_baseline(
                column.spec,
                through=lambda one: Listening(one.name, variant.fingerprint, variant.id, calls, one if live else None),
                through_moderation=lambda one: ListeningModeration(
                    one.name, variant.fingerprint, variant.id, calls, one if live else None
                ),
            )
        # A clock that stands still gives each stage the whole deadline, so that a replay, in which no time passes, asks the same.
        return open_filter(column.spec, opener=listening, clock=lambda: 0.0)

    variant = column.variant
    return opened
