"""The drill itself: a configured filter, its endpoints replaced by fault servers, and every fault of the catalogue."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import cycle, islice, product

import numpy as np

from crisis_filter.backends.breaker import BreakerPolicy
from crisis_filter.drill.answers import Brain, EchoProne, Healthy, KnownTexts, Obedient
from crisis_filter.drill.behaviours import BEHAVIOURS, Behaviour
from crisis_filter.drill.messages import PLACES, Attack, DrillMessages, Labelled
from crisis_filter.drill.plans import HEALTHY_NAME, Always, First
from crisis_filter.drill.proxy import TcpProxy
from crisis_filter.drill.report import Case, Part
from crisis_filter.drill.server import FaultServer
from crisis_filter.drill.stand_in import prompted_links, replaced
from crisis_filter.drill.toxics import Toxic, parse_toxic
from crisis_filter.errors import FAULTS, Fault
from crisis_filter.pipeline.description import FilterSpec
from crisis_filter.pipeline.filter import CrisisFilter
from crisis_filter.pipeline.spec import open_filter
from crisis_filter.schema import Assessment, Message

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
# Those leave the answer whole, only later.
_HARMLESS = {"latency", "bandwidth", "slow_close", "slicer"}
# Each answer is megabytes.
_HEAVY = {"gzip_bomb", "oversized"}
_FEW = 20
# Every message of a part must meet its fault, so no breaker may keep it from it; breakers have a part of their own.
_NEVER_OPENS = BreakerPolicy(consecutive=10**9, share=2.0)


@dataclass(frozen=True, slots=True)
class Course:
    """How much to drill."""

    per_fault: int = 40
    """Crises for each fault; no more than there are."""
    ordinary: int = 10
    """Ordinary messages for each recoverable fault."""
    once: int = 4
    """Messages for each fault that strikes once; they are judged one after the other."""
    per_attack: int = 4
    """Crises for each attack and place."""
    deadline_s: float = 2.0
    """For one message."""
    concurrency: int = 16
    faults: tuple[str, ...] = ()
    """Names of behaviours; empty means all."""
    parts: tuple[Part, ...] = field(
        default=("control", "everywhere", "first_link", "once", "network", "injection", "held_out")
    )


class Drill:
    """Runs the parts of a course against a filter.

    Args:
        spec: the configured filter. Its prompts, policy, taxonomy, engine and the shape of its chain are drilled; each endpoint is
            replaced by a fault server that speaks the OpenAI protocol. A filter without a language model is given two.
        messages: what is sent.
        course: how much.
        seed: for toxics and jitter.
    """

    def __init__(self, spec: FilterSpec, messages: DrillMessages, course: Course, *, seed: int = 0) -> None:
        self._spec = spec
        self._messages = messages
        self._course = course
        self._rng = np.random.default_rng(seed)
        self._oracle = KnownTexts.of(messages.labels())
        self.detector = ""
        self.policy = ""

    async def run(self) -> AsyncGenerator[Case]:
        """Every case, as it is done."""
        for part in self._course.parts:
            async for case in _PARTS[part](self):
                yield case

    def expected_cases(self) -> int:
        """About how many cases there will be, for a progress bar."""
        course, faults = self._course, len(self._behaviours())
        crises = min(course.per_fault, len(self._messages.crises))
        each = {
            "control": len(self._messages.crises) + len(self._messages.ordinary),
            "everywhere": faults * crises,
            "first_link": faults * (course.ordinary * 2),
            "once": sum(1 for b in self._behaviours() if _worth_repeating(b)) * course.once,
            "network": len(TOXICS) * crises,
            "injection": 2 * len(self._places(self._messages.attacks)),
            "held_out": len(self._places(self._messages.held_out)),
        }
        return sum(each[part] for part in course.parts)

    # The parts.

    async def control(self) -> AsyncGenerator[Case]:
        """Nothing is wrong: every message must end in its own verdict."""
        async with self._filter(Healthy(self._oracle)) as (crisis_filter, _):
            everything = (*self._messages.crises, *self._messages.ordinary)
            async for case in self._judge(crisis_filter, everything, "control", HEALTHY_NAME, recoverable=True):
                yield case

    async def everywhere(self) -> AsyncGenerator[Case]:
        """Every endpoint has the fault, for every request: no verdict can be had, and none may be made up."""
        async with self._filter(Healthy(self._oracle), breaker=_NEVER_OPENS) as (crisis_filter, servers):
            for behaviour in self._behaviours():
                await _set(servers, behaviour.name)
                count = _FEW if behaviour.name in _HEAVY else self._course.per_fault
                expected = None if behaviour.stage == "categorise" else behaviour.fault
                sent = self._crises(count)
                async for case in self._judge(crisis_filter, sent, "everywhere", behaviour.name, expected=expected):
                    yield case

    async def first_link(self) -> AsyncGenerator[Case]:
        """Only the first endpoint has the fault: the next one's verdict must count, for both kinds of messages."""
        async with self._filter(Healthy(self._oracle), breaker=_NEVER_OPENS) as (crisis_filter, servers):
            if len(servers) < 2:  # nobody else to ask
                return
            for behaviour in self._behaviours():
                await _set(servers[:1], behaviour.name)
                sent = self._crises(self._course.ordinary)
                if _clears_elsewhere(behaviour):
                    sent = (*sent, *islice(self._messages.ordinary, self._course.ordinary))
                async for case in self._judge(crisis_filter, sent, "first_link", behaviour.name, recoverable=True):
                    yield case
                await servers[0].listen()

    async def once(self) -> AsyncGenerator[Case]:
        """Only the first request for a message meets the fault: asking again must end in a verdict."""
        async with self._filter(Healthy(self._oracle), breaker=_NEVER_OPENS, deadline_s=8.0) as (
            crisis_filter,
            servers,
        ):
            half = max(1, self._course.once // 2)
            sent = (*self._crises(half), *islice(self._messages.ordinary, self._course.once - half))
            for behaviour in self._behaviours():
                if not _worth_repeating(behaviour):
                    continue
                for one in sent:
                    for server in servers:
                        server.plan = First(1, behaviour.name) if server is servers[0] else Always()
                        await server.listen()
                    recoverable = one.crisis or _clears_elsewhere(behaviour)
                    yield await self._one(crisis_filter, one, "once", behaviour.name, recoverable=recoverable)

    async def network(self) -> AsyncGenerator[Case]:
        """A toxic on every connection to every endpoint."""
        for name, given in TOXICS.items():
            toxic = parse_toxic(given)
            harmless = name in _HARMLESS
            async with self._filter(Healthy(self._oracle), toxic=toxic, breaker=_NEVER_OPENS) as (crisis_filter, _):
                crises = self._crises(self._course.per_fault)
                async for case in self._judge(crisis_filter, crises, "network", name, recoverable=harmless):
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
        async with self._filter(brain) as (crisis_filter, _):
            async for case in self._judge(crisis_filter, self._places(attacks), part, name):
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

    def _crises(self, count: int) -> tuple[Labelled, ...]:
        return self._messages.crises[:count]

    def _behaviours(self) -> list[Behaviour]:
        wanted = self._course.faults or tuple(name for name in BEHAVIOURS if name != HEALTHY_NAME)
        return [BEHAVIOURS[name] for name in wanted]

    async def _judge(
        self,
        crisis_filter: CrisisFilter,
        sent: Iterable[Labelled],
        part: Part,
        fault: str,
        *,
        expected: Fault | None = None,
        recoverable: bool = False,
    ) -> AsyncGenerator[Case]:
        """Assess messages at once, and say of each how it ended."""
        rows = list(sent)
        assessments = crisis_filter.assess_many((row.message for row in rows), concurrency=self._course.concurrency)
        at = 0
        async for assessment in assessments:
            yield _case(rows[at], assessment, crisis_filter, part, fault, expected, recoverable)
            at += 1

    async def _one(
        self, crisis_filter: CrisisFilter, row: Labelled, part: Part, fault: str, *, recoverable: bool
    ) -> Case:
        return _case(row, await crisis_filter.assess(row.message), crisis_filter, part, fault, None, recoverable)

    @asynccontextmanager
    async def _filter(
        self,
        brain: Brain,
        *,
        toxic: Toxic | None = None,
        breaker: BreakerPolicy | None = None,
        deadline_s: float | None = None,
    ) -> AsyncIterator[tuple[CrisisFilter, list[FaultServer]]]:
        """The filter with a fault server in place of each of its endpoints, warmed up."""
        async with AsyncExitStack() as stack:
            servers = [
                await stack.enter_async_context(FaultServer(brain, down_s=None, drip_s=0.05))
                for _ in range(prompted_links(self._spec))
            ]
            urls = [server.base_url for server in servers]
            if toxic is not None:
                proxies = [TcpProxy(f"127.0.0.1:{server.port}", [toxic], self._rng) for server in servers]
                urls = [f"http://127.0.0.1:{(await stack.enter_async_context(proxy)).port}/v1" for proxy in proxies]
            spec = replaced(self._spec, urls, deadline_s or self._course.deadline_s)
            crisis_filter = open_filter(spec, breaker=breaker)
            stack.push_async_callback(crisis_filter.aclose)
            self.detector, self.policy = crisis_filter.detector, crisis_filter.policy.ref.id
            if toxic is None:  # importing a client on first use belongs into nobody's deadline
                await crisis_filter.assess(Message(id="warm-up", text="hello"))
            yield crisis_filter, servers


_PARTS = {
    "control": Drill.control,
    "everywhere": Drill.everywhere,
    "first_link": Drill.first_link,
    "once": Drill.once,
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


def _worth_repeating(behaviour: Behaviour) -> bool:
    """Whether the same endpoint is asked again after it, and a second answer counts."""
    fault = behaviour.fault
    again = fault is not None and FAULTS[fault].retry != "no" and behaviour.stage == "any"
    return again and not behaviour.lasts and behaviour.name not in {"connect_refused", "http_429_a_day", *_HEAVY}


def _clears_elsewhere(behaviour: Behaviour) -> bool:
    """Whether another endpoint may clear an ordinary message after it."""
    # A positive in a broken answer stays; a filter that names danger forbids a negative.
    return behaviour.says != "positive" and behaviour.name != "filter_prompt"


def _case(
    row: Labelled,
    assessment: Assessment,
    crisis_filter: CrisisFilter,
    part: Part,
    fault: str,
    expected: Fault | None,
    recoverable: bool,
) -> Case:
    deadline_ms = crisis_filter.policy.limits.deadline_s * 1000
    return Case(
        part=part,
        fault=fault,
        crisis=row.crisis,
        outcome=assessment.outcome,
        named=assessment.fault,
        expected=expected,
        recoverable=recoverable,
        late_ms=max(0.0, assessment.provenance.elapsed_ms - deadline_ms),
    )
