"""A day of a platform: messages through a policy, a store, a queue and three simulated reviewers, on a clock that only the events move.

    python -m bench.day                        10,000 messages at 2% prevalence, the embedded engine, policy default-v4
    python -m bench.day --outage 40            the detector is down for 40 minutes from 02:14
    python -m bench.day --detector recorded    readers recorded on 300 messages (bench/recordings), who give severities

Texts are drawn with replacement from `data/simulated-v1`, split `test`, crises and others each by itself, and come by a profile of the hours of a day that is
ours. Each distinct text is judged once. Reviewers work eight hours each, one after the other; what they need for an item is drawn from a log-normal distribution, and
they say what the reference label says, but for a share of slips that may be given. Labels were given by language models; no clinician gave or checked one. What it
shows is how the queue behaves, and not how long people take.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import select

from bench.cascade import RECORDED, SET
from crisis_filter.datasets.reading import load, read_manifest
from crisis_filter.datasets.records import Labelled
from crisis_filter.pipeline.spec import FilterSpec, open_filter
from crisis_filter.schema import URGENCIES, Assessment, Fault, Message, Provenance
from crisis_filter.service.routing import Router
from crisis_filter.service.rules import escalation_rules, reading_rules
from crisis_filter.stats.intervals import wilson
from crisis_filter.store.conclude import conclude
from crisis_filter.store.intake import accept
from crisis_filter.store.keyring import Keyring
from crisis_filter.store.ledger import ledger
from crisis_filter.store.opening import Store, open_store
from crisis_filter.store.queue import next_item
from crisis_filter.store.queue_deciding import decide
from crisis_filter.store.queue_escalation import escalate_overdue
from crisis_filter.store.queue_records import Answer, Item
from crisis_filter.store.queue_second import SecondReadings, drawn, second_readings
from crisis_filter.store.queue_viewing import view
from crisis_filter.store.records import Actor, Received
from crisis_filter.store.tables import decisions, items, routes
from crisis_filter.triage.policy import Policy, load_policy
from crisis_filter.triage.resources import load_resources
from crisis_filter.triage.rules import time_limit_s

MINUTE, HOUR = 60_000, 3_600_000
DAY = 24 * HOUR
BEGIN = 1_893_456_000_000  # 2030-01-01T00:00Z
TENANT = "clinic"
BY_HOUR = (14, 10, 8, 7, 7, 9, 16, 30, 48, 60, 66, 64, 58, 56, 58, 60, 58, 56, 58, 64, 70, 66, 48, 26)
"""Messages in each hour, as parts of their sum: few at night, most in the morning and the evening."""
SHIFTS = (("anna", 7, 15), ("ben", 15, 23), ("carl", 23, 31))
CLAIM = 30 * MINUTE
OUTAGE_FROM = 2 * HOUR + 14 * MINUTE
CHIEF = Actor(id="chief", tenant=TENANT, scopes=frozenset({"review", "supervise", "text"}))


@dataclass(slots=True)
class Reviewer:
    """Somebody with a shift."""

    actor: Actor
    begins: int
    ends: int
    free_at: int = 0
    item: Item | None = None
    worked_ms: int = 0

    def on_shift(self, now: int) -> bool:
        """Whether they work at this time; a shift past midnight goes on in the morning."""
        hour = (now - BEGIN) % DAY / HOUR
        return self.begins <= hour < self.ends or self.begins <= hour + 24 < self.ends


@dataclass(slots=True)
class Day:
    """What is simulated, and what came of it."""

    store: Store
    policy: Policy
    router: Router
    chance: np.random.Generator
    given: argparse.Namespace
    labels: dict[str, Labelled] = field(default_factory=dict)
    """By our id."""
    waits: dict[str, list[tuple[int, bool]]] = field(default_factory=dict)
    """By the urgency that it came with, and again for those that are crises by label: how long until somebody looked, and whether in time."""
    came: dict[str, tuple[str, int, int]] = field(default_factory=dict)
    """By our id of the message: urgency, when, time limit."""
    read: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    escalated: int = 0
    stirred: bool = True
    """Whether anything may wait that did not when everybody idle last asked."""

    def comes(self, now: int, row: Labelled, said: Assessment) -> None:
        """One message: stored, routed, decided."""
        routed = self.router.route(said, locale="en-US", source="portal", received_ms=now)
        share = self.given.second if said.outcome == "no_crisis" else self.given.second_alerts
        received = Received(tenant=TENANT, source="portal", text=row.text, locale="en-US")

        def written(connection: Any) -> str:
            (made,) = accept(connection, self.store, [received], now_ms=now)
            conclude(
                connection,
                self.store,
                made.message_id,
                routed.assessment,
                to_person=routed.to_person,
                due_ms=routed.due_ms,
                second_reading=drawn(self.store.keys, TENANT, made.message_id, share),
                now_ms=now,
            )
            return made.message_id

        made = self.store.write(written)
        self.labels[made] = row
        self.stirred = True
        where = routed.assessment.disposition
        if routed.to_person and where is not None:
            self.came[made] = (where.urgency, now, now + 1000 * time_limit_s(where))

    def takes(self, one: Reviewer, now: int) -> None:
        """The next item, opened at once."""
        one.item = self.store.write(partial(next_item, actor=one.actor, claim_ms=CLAIM, now_ms=now))
        if one.item is None:
            return
        self.store.write(partial(view, store=self.store, actor=one.actor, item_id=one.item.id, now_ms=now))
        median = self.given.blind_seconds if one.item.blind else self.given.seconds
        took = int(1000 * median * float(np.exp(self.chance.normal(0.0, self.given.spread))))
        one.free_at = now + max(5_000, took)
        one.worked_ms += one.free_at - now
        self.read["blind" if one.item.blind else "alerts"] += 1
        if not one.item.blind and one.item.message_id in self.came:
            urgency, came, due = self.came.pop(one.item.message_id)
            crisis = self.labels[one.item.message_id].crisis
            for name in (urgency, f"{urgency}, crises by label") if crisis else (urgency,):
                self.waits.setdefault(name, []).append((now - came, now <= due))

    def says(self, one: Reviewer, now: int) -> None:
        """The answer, by the reference label."""
        assert one.item is not None
        item = self.row(one.item)
        label = self.labels[item.message_id]
        crisis = bool(label.crisis) != bool(self.chance.random() < self.given.slips)
        outcome = "crisis" if crisis else "no_crisis"
        named = label.categories if crisis and label.crisis else ()
        if item.blind:
            answer = Answer(action="answer", outcome=outcome, categories=named)
        else:
            answer = Answer(
                action="override", outcome=outcome, categories=named, reason="other", revision=item.revision
            )
            self.found[outcome] += 1
        rules = reading_rules(self.policy)
        self.store.write(
            partial(
                decide,
                store=self.store,
                actor=one.actor,
                item_id=item.id,
                answer=answer,
                rules=rules,
                now_ms=now,
            )
        )
        one.item = None
        self.stirred = True

    def row(self, item: Item) -> Any:
        """The row of an item."""
        return self.store.read(lambda c: c.execute(select(items).where(items.c.id == item.id)).one())


def judged(given: argparse.Namespace) -> list[tuple[Labelled, Assessment]]:
    """The distinct texts with what the detector says of each."""
    rows = {row.id: row for row in load(SET, "test")}
    backend = {}
    if given.detector == "recorded":
        folder = RECORDED["test"]
        wanted = (folder / "ids.txt").read_text(encoding="utf-8").split()
        rows = {name: rows[name] for name in wanted}
        backend = {"backend": f"recorded:{folder / 'recording.jsonl'}"}
    with open_filter(FilterSpec(evidence=False, **backend)) as crisis_filter:
        done = crisis_filter.classify_many([Message(id=row.id, text=row.text) for row in rows.values()])
    return [(rows[one.id], one) for one in done]


def arrivals(given: argparse.Namespace, chance: np.random.Generator) -> list[int]:
    """When the messages come, in order."""
    share = np.array(BY_HOUR) / sum(BY_HOUR)
    hours = chance.choice(24, size=given.messages, p=share)
    return sorted(int(BEGIN + hour * HOUR + chance.integers(HOUR)) for hour in hours)


def drawn_texts(
    known: Sequence[tuple[Labelled, Assessment]], given: argparse.Namespace, chance: np.random.Generator
) -> list[tuple[Labelled, Assessment]]:
    """A text for each message; exactly the wanted share are crises."""
    crises = [one for one in known if one[0].crisis]
    others = [one for one in known if not one[0].crisis]
    count = round(given.messages * given.prevalence)
    flags = chance.permutation([True] * count + [False] * (given.messages - count))
    return [(crises if flag else others)[int(chance.integers(len(crises if flag else others)))] for flag in flags]


def down(said: Assessment) -> Assessment:
    """What is said of a message while no endpoint answers: nothing but the engine's score."""
    return Assessment(
        id=said.id,
        outcome="undetermined",
        fault=Fault.TIMEOUT,
        degraded=True,
        score=said.score,
        score_source=said.score_source,
        provenance=Provenance(detector=said.provenance.detector, version=said.provenance.version),
    )


def lived(day: Day, known: Sequence[tuple[Labelled, Assessment]]) -> int:
    """The day, and as much of the next as it takes to read all. Gives when the last item was decided."""
    times = arrivals(day.given, day.chance)
    texts = drawn_texts(known, day.given, day.chance)
    people = [
        Reviewer(Actor(id=name, tenant=TENANT, scopes=frozenset({"review", "text"})), begins, ends)
        for name, begins, ends in SHIFTS
    ]
    rules = escalation_rules(day.policy)
    coming = list(zip(times, texts, strict=True))[::-1]
    outage = (BEGIN + OUTAGE_FROM, BEGIN + OUTAGE_FROM + day.given.outage * MINUTE)
    now, tick, asked = BEGIN, BEGIN, 0
    while now < BEGIN + 2 * DAY:
        busy = [one.free_at for one in people if one.item is not None]
        now = min([tick, *busy, *([coming[-1][0]] if coming else [])])
        while coming and coming[-1][0] <= now:
            at, (row, said) = coming.pop()
            day.comes(at, row, down(said) if outage[0] <= at < outage[1] else said)
        for one in people:
            if one.item is not None and one.free_at <= now:
                day.says(one, now)
        if tick <= now:
            tick = now + MINUTE
            if day.came:  # something that nobody has looked at
                strike = partial(escalate_overdue, store=day.store, now_ms=now, limit=1000, rules=rules)
                day.escalated += len(day.store.write(strike))
        hour = now // HOUR
        idle = [one for one in people if one.item is None and one.on_shift(now)]
        if day.stirred or hour != asked:
            for one in idle:
                day.takes(one, now)
            day.stirred, asked = False, hour
        if not coming and all(one.item is None for one in people) and now >= BEGIN + DAY and not _left(day.store):
            break
    return now


def _left(store: Store) -> int:
    waiting = select(items.c.id).where(items.c.state.in_(("waiting", "claimed")))
    return len(store.read(lambda c: c.execute(waiting).all()))


def told(day: Day, known: Sequence[tuple[Labelled, Assessment]], until: int, took_s: float) -> dict[str, Any]:
    """All figures."""
    store, given = day.store, day.given
    second = store.read(partial(second_readings, actor=CHIEF, since_ms=BEGIN, until_ms=BEGIN + 2 * DAY))
    first = store.read(
        lambda c: c.execute(select(decisions.c.message_id, decisions.c.outcome).where(decisions.c.revision == 1)).all()
    )
    missed = sum(outcome == "no_crisis" and day.labels[made].crisis for made, outcome in first)
    queues = store.read(lambda c: c.execute(select(routes.c.queue).where(routes.c.revision == 1)).scalars().all())
    hours = 24 * len(SHIFTS) / 3
    return {
        "messages": given.messages,
        "crises": round(given.messages * given.prevalence),
        "distinct_texts": len(known),
        "detector": given.detector,
        "policy": day.policy.ref.id,
        "labelled_by": read_manifest(SET).labelled_by,
        "outcomes": dict(Counter(outcome for _, outcome in first)),
        "queues": dict(Counter(queues).most_common()),
        "reviewer_hours": hours,
        "alerts_read": day.read["alerts"],
        "blind_read": day.read["blind"],
        "alerts_per_reviewer_hour": day.read["alerts"] / hours,
        "of_them_crises": day.found["crisis"],
        "first_look": {
            name: _look(day.waits.get(name, []))
            for urgency in URGENCIES
            for name in (urgency, f"{urgency}, crises by label")
        },
        "never_looked": dict(Counter(urgency for urgency, _, _ in day.came.values())),
        "escalated": day.escalated,
        "missed_truly": missed,
        "second": json.loads(second.model_dump_json()),
        "all_read_after_h": (until - BEGIN) / HOUR,
        "ledger_balanced": store.read(ledger).balanced,
        "took_s": took_s,
    }


def _look(waits: Sequence[tuple[int, bool]]) -> dict[str, float | int | None]:
    minutes = sorted(wait / MINUTE for wait, _ in waits)
    in_time = sum(ok for _, ok in waits)
    bounds = wilson(in_time, len(waits))
    return {
        "n": len(waits),
        "median_min": statistics.median(minutes) if minutes else None,
        "p95_min": minutes[min(len(minutes) - 1, int(0.95 * len(minutes)))] if minutes else None,
        "longest_min": minutes[-1] if minutes else None,
        "in_time": in_time,
        "low": bounds.low,
        "high": bounds.high,
    }


def lines(found: dict[str, Any]) -> list[str]:
    """As text for people."""
    second = SecondReadings.model_validate(found["second"])
    misses, alarms = second.misses, second.false_alarms
    out = [
        f"{found['messages']:,} messages, {found['crises']:,} of them crises by label ({found['labelled_by']}), drawn from "
        f"{found['distinct_texts']:,} texts; detector {found['detector']}, policy {found['policy']}",
        f"the detector: {', '.join(f'{count:,} {name}' for name, count in found['outcomes'].items())}",
        f"queues: {', '.join(f'{name} {count:,}' for name, count in found['queues'].items())}",
        f"{found['alerts_read']:,} alerts read in {found['reviewer_hours']:.0f} reviewer-hours: {found['alerts_per_reviewer_hour']:.1f} an hour, "
        f"{found['of_them_crises']:,} of them crises; {found['blind_read']:,} blind readings besides",
        "",
        "| urgency | read | first look, median | p95 | longest | within its limit |",
        "|---|---|---|---|---|---|",
    ]
    for urgency, look in found["first_look"].items():
        if look["n"]:
            share = f"{look['in_time']:,} of {look['n']:,} ({look['low']:.1%} to {look['high']:.1%})"
            out.append(
                f"| {urgency} | {look['n']:,} | {look['median_min']:.1f} min | {look['p95_min']:.1f} min | {look['longest_min']:.1f} min | {share} |"
            )
    bounds = f"{misses.expected_low:,.1f} to {misses.expected_high:,.1f}"
    expected = "nothing" if misses.expected is None else f"{misses.expected:,.1f} ({bounds})"
    return [
        *out,
        "",
        f"escalated: {found['escalated']:,}; never looked at: {sum(found['never_looked'].values()):,}; all read {found['all_read_after_h']:.1f} h after midnight",
        f"blind second readings of not crisis: {misses.found.of:,} of {misses.not_crisis:,} read, {misses.found.count:,} misses found "
        f"(95% {misses.found.low:.2%} to {misses.found.high:.2%}, exact); so among all {expected}; truly, by label, {found['missed_truly']:,}",
        f"blind second readings of alerts: {alarms.of:,} read, not crisis in {alarms.count:,} (95% {alarms.low:.1%} to {alarms.high:.1%}, Wilson)",
        f"ledger {'balanced' if found['ledger_balanced'] else 'NOT BALANCED'}; {found['took_s']:.0f} s on this machine",
    ]


def main() -> None:
    """Parse, live the day, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--prevalence", type=float, default=0.02)
    parser.add_argument("--detector", choices=("engine", "recorded"), default="engine")
    parser.add_argument("--policy", default="default-v4")
    parser.add_argument("--second", type=float, default=0.05, help="share of not crisis that is read blind")
    parser.add_argument("--second-alerts", type=float, default=0.10)
    parser.add_argument("--seconds", type=float, default=90.0, help="median for an alert")
    parser.add_argument("--blind-seconds", type=float, default=30.0)
    parser.add_argument("--spread", type=float, default=0.6, help="standard deviation of the logarithm")
    parser.add_argument("--slips", type=float, default=0.0, help="share of answers that say other than the label")
    parser.add_argument("--outage", type=int, default=0, help="minutes from 02:14")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    start = time.monotonic()
    known = judged(given)
    policy = load_policy(given.policy)
    keys = Keyring(current="k1", keys={"k1": b"1" * 32}, pseudonym_key=given.seed.to_bytes(32, "big"))
    chance = np.random.default_rng(given.seed)
    # In memory where there is such a folder: what a commit costs on this disk is not what is shown here.
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108  # a folder of its own is made in it
    with (
        tempfile.TemporaryDirectory(dir=memory) as folder,
        open_store(f"sqlite:///{folder}/day.db", keys=keys) as store,
    ):
        router = Router(policy, load_resources(policy.resources.pack))
        # Ids are drawn from the seed too, so that the same messages are read blind every time.
        store.entropy = chance.bytes
        day = Day(store, policy, router, chance, given)
        until = lived(day, known)
        found = told(day, known, until, time.monotonic() - start)
    print(json.dumps(found, indent=1) if given.json else "\n".join(lines(found)))


if __name__ == "__main__":
    main()
