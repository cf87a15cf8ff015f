"""Asking: every cell that is missing, several at once, within a budget, each written down before the next is counted."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Protocol

from crisis_filter.errors import Fault
from crisis_filter.experiments.calls import Call, Used, asking_about
from crisis_filter.experiments.folder import Folder
from crisis_filter.experiments.items import Data
from crisis_filter.experiments.plan import Budget
from crisis_filter.experiments.records import Cell, Variant
from crisis_filter.schema import Assessment, Message

__all__ = ["NO_REPLY", "Assessor", "Ending", "Progress", "run"]

NO_REPLY = frozenset(
    {
        Fault.TIMEOUT,
        Fault.RATE_LIMITED,
        Fault.SERVER_ERROR,
        Fault.MISCONFIGURED,
        Fault.BROKEN_REPLY,
        Fault.OVERLOAD,
        Fault.LOCAL_MODEL,
        Fault.INTERNAL,
    }
)
"""Faults of the service and not of an answer: such a cell is asked about again when the run is started again."""
_PATIENCE = 10


class Assessor(Protocol):
    """What judges messages: our filter, the engine, somebody else's guardrail."""

    async def assess(self, message: Message) -> Assessment: ...

    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended."""

    done: int
    """Cells that are there now, faults included."""
    cells: int
    """Cells that the plan has."""
    faults: int
    """Cells that a fault of the service left; the next run asks about them again."""
    over_budget: bool = False
    given_up: tuple[str, ...] = ()
    """Variants that gave no reply so often in a row that they were left alone."""
    untold: tuple[str, ...] = ()
    """Variants whose server did not say how many tokens a reply took, so that a budget of money could not be kept and the run stopped."""

    @property
    def whole(self) -> bool:
        """Whether nothing is left to ask."""
        return self.done == self.cells and not self.faults


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands."""

    done: int
    cells: int
    asked: int
    """Cells finished since the run began."""
    undetermined: int
    money: float | None
    """`None` where nobody has a price, or a server did not say how many tokens a reply took."""


Place = tuple[str, str, int]


@dataclass(slots=True)
class _Purse:
    """What may still be asked. The next cell is taken to cost as much as the dearest of its variant so far."""

    budget: Budget
    prices: Mapping[str, Variant]
    money: float
    requests: int
    untold: dict[str, None] = field(default_factory=dict)
    """Variants of which nobody knows what they cost."""
    working: dict[Place, tuple[float, int]] = field(default_factory=dict)
    dearest: dict[str, tuple[float, int]] = field(default_factory=dict)

    def decide(self, place: Place) -> str:
        """`go`, `wait` until others are done, or `stop`."""
        if self.budget.money is None and self.budget.requests is None:
            return "go"
        if self.blind:
            return "stop"
        expected = self.dearest.get(place[0])
        if expected is None:
            # Nothing is known of its price, so one goes ahead and others wait for it.
            if any(name == place[0] for name, _, _ in self.working):
                return "wait"
            expected = (0.0, 1)
        money = self.money + sum(m for m, _ in self.working.values()) + expected[0]
        requests = self.requests + sum(r for _, r in self.working.values()) + expected[1]
        spent = self.budget.money is not None and self.money >= self.budget.money
        over = (self.budget.money is not None and money > self.budget.money) or (
            self.budget.requests is not None and requests > self.budget.requests
        )
        if spent or (over and not self.working):
            return "stop"
        if over:
            return "wait"
        self.working[place] = expected
        return "go"

    @property
    def blind(self) -> bool:
        """Whether nobody knows what is left of the money."""
        return self.budget.money is not None and bool(self.untold)

    def settle(self, place: Place, calls: Iterable[Call]) -> None:
        """A cell is done, and this is what it asked."""
        self.working.pop(place, None)
        price = self.prices[place[0]].price
        used = sum((call.used for call in calls), Used())
        money = price.of(used.prompt_tokens, used.completion_tokens) if price else 0.0
        if used.untold and price is not None and not price.free:
            self.untold[place[0]] = None
        self.money, self.requests = self.money + money, self.requests + used.requests
        before = self.dearest.get(place[0], (0.0, 1))
        self.dearest[place[0]] = (max(before[0], money), max(before[1], used.requests))


async def run(
    folder: Folder,
    data: Data,
    openers: Mapping[str, Callable[[], Assessor]],
    *,
    tell: Callable[[Progress], None] = lambda _: None,
) -> Ending:
    """Ask about every cell that is missing.

    Items come in their order, all variants of an item before the next, so that whoever looks early looks at pairs.

    Args:
        folder: of the experiment; takes every answer as it comes.
        data: its messages.
        openers: how to open each variant, by id; opened here and closed here.
        tell: is told after every cell.

    Raises:
        ConfigurationError: a variant cannot be opened, or an answer cannot be written down.
    """
    state, plan = folder.state, folder.state.plan
    standing = {(c.variant, c.item, c.repeat): c for c in folder.cells.records}
    places = [
        (variant.id, item.id, repeat)
        for repeat in range(1, state.repeats + 1)
        for item in state.items
        for variant in state.variants
    ]
    missing = deque(at for at in places if at not in standing or unanswered(standing[at]))
    work = _Work(folder, data, missing, standing, len(places), tell)
    async with AsyncExitStack() as stack:
        assessors: dict[str, Assessor] = {}
        for name in dict.fromkeys(at[0] for at in missing):
            assessors[name] = openers[name]()
            stack.push_async_callback(assessors[name].aclose)
        workers = [
            asyncio.create_task(work.go(assessors)) for _ in range(min(plan.options.max_concurrency, len(missing)))
        ]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
    return work.ending()


def unanswered(cell: Cell) -> bool:
    """Whether a fault of the service stands in a cell's way."""
    return cell.assessment.fault in NO_REPLY


class _Work:
    """What the workers share."""

    def __init__(
        self,
        folder: Folder,
        data: Data,
        missing: deque[Place],
        standing: dict[Place, Cell],
        cells: int,
        tell: Callable[[Progress], None],
    ) -> None:
        self._folder = folder
        self._data = data
        self._missing = missing
        self._standing = standing
        self._cells = cells
        self._tell = tell
        self._asked = 0
        self._over = False
        self._silent: dict[str, int] = {}
        self._given_up: dict[str, None] = {}
        self._changed = asyncio.Condition()
        self._undetermined = sum(map(_is_undetermined, standing.values()))
        prices, spent = {v.id: v for v in folder.state.variants}, folder.experiment.spent
        self._purse = _Purse(
            budget=folder.state.plan.budget,
            prices=prices,
            money=sum(s.money or 0.0 for s in spent.values()),
            requests=sum(s.requests for s in spent.values()),
            untold={name: None for name, s in spent.items() if s.untold and prices[name].price and s.money is None},
        )

    async def go(self, assessors: Mapping[str, Assessor]) -> None:
        while (place := await self._next()) is not None:
            await self._one(place, assessors[place[0]])

    async def _next(self) -> Place | None:
        async with self._changed:
            while True:
                while self._missing and self._missing[0][0] in self._given_up:
                    self._missing.popleft()
                if not self._missing or self._over:
                    return None
                match self._purse.decide(self._missing[0]):
                    case "go":
                        return self._missing.popleft()
                    case "stop":
                        self._over = True
                        self._changed.notify_all()
                    case _:
                        await self._changed.wait()

    async def _one(self, place: Place, assessor: Assessor) -> None:
        variant, item, repeat = place
        before = len(self._folder.calls.records)
        try:
            with asking_about(item, repeat):
                assessment = await assessor.assess(self._data.messages[item])
            if self._folder.calls.broken is not None:
                raise self._folder.calls.broken
            cell = Cell(variant=variant, item=item, repeat=repeat, assessment=timeless(assessment))
            self._folder.cells.append(cell)
            self._stand(place, cell)
        finally:
            async with self._changed:
                calls = self._folder.calls.records[before:]
                self._purse.settle(place, [c for c in calls if (c.variant, c.item, c.repeat) == place])
                self._changed.notify_all()
        self._watch(variant, cell)
        self._asked += 1
        self._tell(self._progress())

    def _stand(self, place: Place, cell: Cell) -> None:
        before = self._standing.get(place)
        self._undetermined += _is_undetermined(cell) - (before is not None and _is_undetermined(before))
        self._standing[place] = cell

    def _watch(self, variant: str, cell: Cell) -> None:
        """Leave a variant alone that gives no reply; a whole experiment of timeouts helps nobody."""
        self._silent[variant] = self._silent.get(variant, 0) + 1 if unanswered(cell) else 0
        if self._silent[variant] >= _PATIENCE:
            self._given_up[variant] = None

    def _progress(self) -> Progress:
        money = self._purse.money if any(v.price for v in self._purse.prices.values()) else None
        return Progress(
            done=len(self._standing),
            cells=self._cells,
            asked=self._asked,
            undetermined=self._undetermined,
            money=None if self._purse.untold else money,
        )

    def ending(self) -> Ending:
        return Ending(
            done=len(self._standing),
            cells=self._cells,
            faults=sum(map(unanswered, self._standing.values())),
            over_budget=self._over and not self._purse.blind,
            given_up=tuple(self._given_up),
            untold=tuple(self._purse.untold) if self._over and self._purse.blind else (),
        )


def _is_undetermined(cell: Cell) -> bool:
    return cell.assessment.outcome == "undetermined"


def timeless(assessment: Assessment) -> Assessment:
    """The assessment without what differs from one run to the next though nothing else does."""
    provenance = assessment.provenance.model_copy(update={"elapsed_ms": 0.0})
    return assessment.model_copy(update={"provenance": provenance})
