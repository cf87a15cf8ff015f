"""The drill itself: a configured filter, its endpoints replaced by fault servers, and every fault of the catalogue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from itertools import cycle, islice, product

import numpy as np

from crisis_filter.backends.breaker import BreakerPolicy
from crisis_filter.drill.aim import Aim, ended, everywhere
from crisis_filter.drill.answers import Brain, EchoProne, Healthy, KnownTexts, Obedient
from crisis_filter.drill.asked import Asked, Form
from crisis_filter.drill.behaviours import (
    BEHAVIOURS,
    HEAVY,
    Behaviour,
    clears_elsewhere,
    one_of_each,
    worth_repeating,
)
from crisis_filter.drill.messages import (
    PLACES,
    Attack,
    DrillMessages,
    Labelled,
    interleaved,
    lengthened,
    singled_out,
    spread,
)
from crisis_filter.drill.plans import HEALTHY_NAME, Always, First
from crisis_filter.drill.report import PARTS, Case, Part
from crisis_filter.drill.server import FaultServer
from crisis_filter.drill.stand_in import other_clients, prompted_links, see_that_it_opens, standing_in
from crisis_filter.drill.timing import LoopLag, in_a_batch, timed
from crisis_filter.drill.toxics import Toxic, parse_toxic
from crisis_filter.drill.wavering import WAVERING, asks_again
from crisis_filter.pipeline.description import FilterSpec
from crisis_filter.pipeline.filter import CrisisFilter
from crisis_filter.triage.policy import Policy, load_policy

TOXICS = {
    "latency": "latency:latency=40,jitter=20",
    "bandwidth": "bandwidth:rate=20",
    "slow_close": "slow_close:delay=200",
    "slicer": "slicer:average_size=64,size_variation=32,delay=100",
    "timeout (hangs)": "timeout:timeout=0",
    "timeout (50 ms)": "timeout:timeout=50",
    "limit_data": "limit_data:bytes=100",
    "reset_peer (at once)": "reset_peer:timeout=0",
    "reset_peer (30 ms)": "reset_peer:timeout=30",
}
"""By the name in the report; Toxiproxy's words."""
# Those leave the answer whole, only later; the others let no whole answer through.
_HARMLESS = {"latency", "bandwidth", "slow_close", "slicer"}
OUTAGES = ("http_503", "hang")
"""Behaviours until which the breakers open: one that fails at once and one that takes its time."""
_FEW = 20
_ORDINARY_FOR_EACH = 4
# How many messages wait at once while a breaker opens: few, so that most come when it has.
_AT_ONCE = 4
_HEALS_S = 5.0
_SHORT_S = 1.0
# Deadlines, where nothing is wrong and how pieces are put together is looked at: a busy machine is no fault of the filter.
_UNHURRIED = 10
# Every message of most parts must meet its fault, so no breaker may keep it from it.
_NEVER_OPENS = BreakerPolicy(consecutive=10**9, share=2.0)


@dataclass(frozen=True, slots=True)
class Course:
    """How much to drill."""

    per_fault: int = 40
    """Crises for each fault, and a quarter as many ordinary messages; no more than there are."""
    ordinary: int = 10
    """Ordinary messages for each recoverable fault."""
    once: int = 4
    """Messages for each fault that strikes once; they are judged one after the other."""
    per_attack: int = 4
    """Crises for each attack and place."""
    outage: int = 30
    """Messages of both kinds for each outage that opens breakers."""
    long: int = 2
    """Long messages with a crisis for each kind of fault, and half as many without."""
    deadline_s: float = 2.0
    """For one message."""
    concurrency: int = 16
    faults: tuple[str, ...] = ()
    """Names of behaviours; empty means all."""
    parts: tuple[Part, ...] = PARTS
    fast: bool = False
    """Whether the endpoints are asked over the fast lane."""


class Drill:
    """Runs the parts of a course against a filter.

    Args:
        spec: the configured filter. Its prompts, policy, taxonomy, engine and the shape of its chain are drilled; each endpoint is
            replaced by a fault server that speaks the OpenAI protocol. A filter without a language model is given two.
        messages: what is sent.
        course: how much.
        seed: for toxics and jitter; 0 or more.

    Attributes:
        detector: name of what was drilled.
        policy: its policy pack.
        other_clients: links for which the OpenAI client stood in.
        lag: of the event loop while messages were judged.
    """

    def __init__(self, spec: FilterSpec, messages: DrillMessages, course: Course, *, seed: int = 0) -> None:
        self._spec = spec
        self._messages = messages
        self._course = course
        self._rng = np.random.default_rng(seed)
        self._oracle = KnownTexts.of(messages.labels())
        self._asks_again = asks_again(load_policy(spec.policy))
        self.detector = ""
        self.policy = ""
        self.other_clients = other_clients(spec)
        self.lag = LoopLag()

    async def run(self) -> AsyncGenerator[Case]:
        """Every case, as it is done.

        Raises:
            ConfigurationError: the configured filter cannot be opened.
        """
        await see_that_it_opens(self._spec)
        for part in self._course.parts:
            async with aclosing(_PARTS[part](self)) as cases:
                async for case in cases:
                    yield case

    def expected_cases(self) -> int:
        """About how many cases there will be, for a progress bar."""
        course, behaviours = self._course, self._behaviours()
        crises = min(course.per_fault, len(self._messages.crises))
        both = crises + min(max(1, crises // _ORDINARY_FOR_EACH), len(self._messages.ordinary))
        each = {
            "control": len(self._messages.crises) + len(self._messages.ordinary),
            "everywhere": len(behaviours) * both,
            "first_link": len(behaviours) * (course.ordinary * 2),
            "once": sum(1 for one in behaviours if worth_repeating(one)) * course.once,
            "breaker": len(OUTAGES) * (course.outage + course.ordinary),
            "long": (len(one_of_each(behaviours)) + 1) * (course.long + -(-course.long // 2)),
            "network": len(TOXICS) * both,
            "injection": 2 * len(self._places(self._messages.attacks)),
            "held_out": len(self._places(self._messages.held_out)),
        }
        return sum(each[part] for part in course.parts)

    # The parts.

    async def control(self) -> AsyncGenerator[Case]:
        """Nothing is wrong: every message must end in its own verdict."""
        aim = Aim("control", HEALTHY_NAME, crisis_due=True, clear_due=True)
        async with self._filter(Healthy(self._oracle)) as (crisis_filter, _):
            sent = (*self._messages.crises, *self._messages.ordinary)
            messages = [row.message for row in sent]
            assessments = in_a_batch(crisis_filter, messages, self.lag, concurrency=self._course.concurrency)
            async for case in ended(sent, assessments, aim):
                yield case

    async def everywhere(self) -> AsyncGenerator[Case]:
        """Every endpoint has the fault, for every request: no verdict can be had, and none may be made up."""
        async with self._filter(Healthy(self._oracle), breaker=_NEVER_OPENS) as (crisis_filter, servers):
            for turn, behaviour in enumerate(self._behaviours()):
                await _set(servers, behaviour.name)
                sent = self._sent(_FEW if behaviour.name in HEAVY else self._course.per_fault, turn)
                async for case in self._judge(crisis_filter, sent, everywhere(behaviour)):
                    yield case

    async def first_link(self) -> AsyncGenerator[Case]:
        """Only the first endpoint has the fault: the next one's verdict must count, for both kinds of messages."""
        async with self._filter(Healthy(self._oracle), breaker=_NEVER_OPENS) as (crisis_filter, servers):
            if len(servers) < 2:  # nobody else to ask
                return
            for turn, behaviour in enumerate(self._behaviours()):
                await _set(servers[:1], behaviour.name)
                clears = clears_elsewhere(behaviour)
                # Whose answer is swapped may get somebody else's positive, which stays.
                due = clears and behaviour.name != "swapped_replies"
                aim = Aim("first_link", behaviour.name, crisis_due=True, clear_due=due, no_verdict=not clears)
                sent = interleaved(self._messages, 2 * self._course.ordinary, turn)
                async for case in self._judge(crisis_filter, sent, aim):
                    yield case
                await servers[0].listen()

    async def once(self) -> AsyncGenerator[Case]:
        """Only the first request for a message meets the fault: asking again must end in a verdict."""
        async with self._filter(Healthy(self._oracle), breaker=_NEVER_OPENS, deadline_s=8.0) as (
            crisis_filter,
            servers,
        ):
            for turn, behaviour in enumerate(self._behaviours()):
                if not worth_repeating(behaviour):
                    continue
                aim = Aim("once", behaviour.name, crisis_due=True, clear_due=clears_elsewhere(behaviour))
                for one in interleaved(self._messages, self._course.once, turn):
                    for server in servers:
                        server.plan = First(1, behaviour.name) if server is servers[0] else Always()
                        await server.listen()
                    async for case in self._judge(crisis_filter, [one], aim):
                        yield case

    async def breaker(self) -> AsyncGenerator[Case]:
        """Every endpoint has the fault until the breakers open, and heals: no verdict before, and verdicts again soon after."""
        # A request that was given too little time says nothing about an endpoint, and a chain shares the time out.
        deadline_s = 0.25 * (1 + prompted_links(self._spec))
        for turn, name in enumerate(OUTAGES):
            async with self._filter(Healthy(self._oracle), deadline_s=deadline_s) as (crisis_filter, servers):
                await _set(servers, name)
                aim = Aim("breaker", name, expected=BEHAVIOURS[name].fault, no_verdict=True)
                sent = interleaved(self._messages, self._course.outage, turn)
                async for case in self._judge(crisis_filter, sent, aim, concurrency=_AT_ONCE):
                    yield case
                await _set(servers, HEALTHY_NAME)
                await self._healed(crisis_filter)
                aim = Aim("breaker", f"{name}, healed", crisis_due=True, clear_due=True)
                sent = interleaved(self._messages, self._course.ordinary, turn + 1)
                async for case in self._judge(crisis_filter, sent, aim, concurrency=_AT_ONCE):
                    yield case

    async def long(self) -> AsyncGenerator[Case]:
        """The fault strikes only one piece of a long message, where its crisis is if it has one: the other pieces clear nothing."""
        apart = [row.text for row in singled_out(self._messages)]

        def struck(text: str) -> bool:
            return self._oracle(text) or any(one in text for one in apart)

        def sent(policy: Policy, turn: int) -> Iterator[Labelled]:
            size, overlap = policy.limits.chunk_characters, policy.limits.chunk_overlap
            for crisis in (True, False):
                count = self._course.long if crisis else -(-self._course.long // 2)
                yield from lengthened(self._messages, count, turn, size=size, overlap=overlap, crisis=crisis)

        async with self._filter(Healthy(self._oracle), deadline_s=_UNHURRIED * self._course.deadline_s) as opened:
            crisis_filter, _ = opened
            aim = Aim("long", HEALTHY_NAME, crisis_due=True, clear_due=True)
            async for case in self._judge(crisis_filter, sent(crisis_filter.policy, 0), aim):
                yield case
        # So little time that an engine behind the endpoints does not always come to stand in for them.
        deadline_s = min(_SHORT_S, self._course.deadline_s)
        filtering = self._filter(Healthy(self._oracle), breaker=_NEVER_OPENS, strikes=struck, deadline_s=deadline_s)
        async with filtering as (crisis_filter, servers):
            for turn, behaviour in enumerate(one_of_each(self._behaviours()), start=1):
                await _set(servers, behaviour.name)
                aim = Aim("long", behaviour.name, no_verdict=True)
                async for case in self._judge(crisis_filter, sent(crisis_filter.policy, turn), aim):
                    yield case

    async def network(self) -> AsyncGenerator[Case]:
        """A toxic on every connection to every endpoint."""
        for turn, (name, given) in enumerate(TOXICS.items()):
            harmless = name in _HARMLESS
            aim = Aim("network", name, crisis_due=harmless, clear_due=harmless, no_verdict=not harmless)
            filtering = self._filter(Healthy(self._oracle), toxic=parse_toxic(given), breaker=_NEVER_OPENS)
            async with filtering as (crisis_filter, _):
                async for case in self._judge(crisis_filter, self._sent(self._course.per_fault, turn), aim):
                    yield case

    async def injection(self) -> AsyncGenerator[Case]:
        """A crisis message with an attack, before a model that echoes verdicts it is shown and one that obeys."""
        texts = tuple(attack.text for attack in self._messages.attacks)
        brains: dict[str, Brain] = {
            "echo-prone model": EchoProne(self._oracle),
            "obedient model": Obedient(texts, self._oracle),
        }
        for name, brain in brains.items():
            async for case in self._attacked(self._messages.attacks, brain, "injection", name):
                yield case

    async def held_out(self) -> AsyncGenerator[Case]:
        """The obedient model and attacks that nobody saw who wrote the detector."""
        texts = tuple(attack.text for attack in self._messages.held_out)
        brain = Obedient(texts, self._oracle)
        async for case in self._attacked(self._messages.held_out, brain, "held_out", "obedient model"):
            yield case

    # What they share.

    async def _attacked(self, attacks: Sequence[Attack], brain: Brain, part: Part, name: str) -> AsyncGenerator[Case]:
        aim = Aim(part, name, sways=lambda row: _swayed(brain, row))
        async with self._filter(brain) as (crisis_filter, _):
            async for case in self._judge(crisis_filter, self._places(attacks), aim):
                yield case

    def _places(self, attacks: Sequence[Attack]) -> tuple[Labelled, ...]:
        """Every attack before, after and in the middle of some crises."""
        turning = cycle(self._messages.crises)
        sent = []
        for attack, place in product(attacks, PLACES):
            for crisis in islice(turning, self._course.per_attack):
                text = PLACES[place](crisis.text, attack.text)
                sent.append(crisis.model_copy(update={"id": f"{crisis.id}/{attack.id}/{place}", "text": text}))
        return tuple(sent)

    def _sent(self, count: int, turn: int) -> tuple[Labelled, ...]:
        """Crises, and a quarter as many ordinary messages."""
        few = max(1, min(count, len(self._messages.crises)) // _ORDINARY_FOR_EACH)
        return (*spread(self._messages.crises, count, turn), *spread(self._messages.ordinary, few, turn))

    def _behaviours(self) -> list[Behaviour]:
        wanted = self._course.faults or tuple(name for name in BEHAVIOURS if name != HEALTHY_NAME)
        # A policy that asks once has nothing to set against a model that changes its mind.
        return [BEHAVIOURS[name] for name in wanted if self._asks_again or name != WAVERING.name]

    async def _judge(
        self, crisis_filter: CrisisFilter, rows: Iterable[Labelled], aim: Aim, *, concurrency: int | None = None
    ) -> AsyncGenerator[Case]:
        """Assess messages, some at once, and say of each how it ended."""
        sent = list(rows)
        messages = [row.message for row in sent]
        at_once = concurrency or self._course.concurrency
        async for case in ended(sent, timed(crisis_filter, messages, self.lag, concurrency=at_once), aim):
            yield case

    async def _healed(self, crisis_filter: CrisisFilter) -> None:
        """Wait until an ordinary message is cleared again, at most as long as that may take."""
        loop = asyncio.get_running_loop()
        end = loop.time() + _HEALS_S
        for row in cycle(self._messages.ordinary):
            assessment = await crisis_filter.assess(row.message)
            if assessment.outcome == "no_crisis" or loop.time() >= end:
                return
            await asyncio.sleep(0.1)

    @asynccontextmanager
    async def _filter(
        self,
        brain: Brain,
        *,
        toxic: Toxic | None = None,
        breaker: BreakerPolicy | None = None,
        strikes: Callable[[str], bool] | None = None,
        deadline_s: float | None = None,
    ) -> AsyncIterator[tuple[CrisisFilter, list[FaultServer]]]:
        """The filter with a fault server in place of each of its endpoints."""
        seconds = deadline_s or self._course.deadline_s
        async with standing_in(
            self._spec,
            brain,
            self._rng,
            deadline_s=seconds,
            strikes=strikes,
            toxic=toxic,
            breaker=breaker,
            fast=self._course.fast,
        ) as (crisis_filter, servers):
            self.detector, self.policy = crisis_filter.detector, crisis_filter.policy.ref.id
            async with self.lag:
                yield crisis_filter, servers


_PARTS: dict[Part, Callable[[Drill], AsyncGenerator[Case]]] = {
    "control": Drill.control,
    "everywhere": Drill.everywhere,
    "first_link": Drill.first_link,
    "once": Drill.once,
    "breaker": Drill.breaker,
    "long": Drill.long,
    "network": Drill.network,
    "injection": Drill.injection,
    "held_out": Drill.held_out,
}


async def _set(servers: Iterable[FaultServer], name: str) -> None:
    for server in servers:
        await server.listen()
        server.plan = Always(name)
        if name == "connect_refused":
            server.refuse()


def _swayed(brain: Brain, row: Labelled) -> bool:
    """Whether a model says otherwise of this message than the truth."""
    return brain(Asked(model="", message=row.text, nonce="", form=Form("screen"), prompt_tokens=0)) is not row.crisis
