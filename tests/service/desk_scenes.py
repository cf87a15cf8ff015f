"""Stores, desks and judges for the tests of the service."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from crisis_filter.pipeline.description import FilterSpec
from crisis_filter.pipeline.spec import open_filter
from crisis_filter.schema import Assessment, Failure, Finding, Message, Provenance, ScreenVerdict, conclude
from crisis_filter.service.desk import Desk, DeskLimits
from crisis_filter.service.routing import Router
from crisis_filter.store.opening import Store, open_store
from crisis_filter.store.records import Received
from crisis_filter.triage.policy import load_policy
from crisis_filter.triage.resources import load_resources

POLICY = load_policy("default-v3")
ROUTER = Router(POLICY, load_resources(POLICY.resources.pack))


def received(text: str, **given: Any) -> Received:
    """A message of the tenant `clinic` from the portal."""
    return Received(**{"tenant": "clinic", "source": "portal", "text": text, **given})


def said(message: Message) -> Assessment:
    """What a detector says that takes the first word of a text for the outcome."""
    word = message.text.split()[0] if message.text.split() else ""
    if word == "bug":
        raise ValueError(message.text)
    result: Any = Failure(fault="timeout")
    if word in ("crisis", "calm"):
        result = ScreenVerdict(crisis=word == "crisis", may_clear=True)
    found = conclude([result])
    return Assessment(
        id=message.id,
        outcome=found.outcome,
        fault=found.fault,
        findings=(Finding(category="suicide"),) if found.outcome == "crisis" else (),
        provenance=Provenance(detector="first word", version="0"),
    )


class FirstWord:
    """Judges by the first word, when it is let."""

    def __init__(self) -> None:
        self.let = asyncio.Event()
        self.let.set()
        self.asked: list[str] = []

    async def __call__(self, message: Message) -> Assessment:
        self.asked.append(message.text)
        await self.let.wait()
        return said(message)


def opened(folder: Path, **given: Any) -> Store:
    """A store in a folder."""
    return open_store(f"sqlite:///{folder / 'store.db'}", **given)


def desk(store: Store, assess: Any, limits: DeskLimits | None = None, **given: Any) -> Desk:
    """A desk over a store."""
    return Desk(store, assess, ROUTER, worker=given.pop("worker", "desk-1"), limits=limits, **given)


def engine() -> Callable[[], Any]:
    """The embedded engine's filter."""
    return lambda: open_filter(FilterSpec())
