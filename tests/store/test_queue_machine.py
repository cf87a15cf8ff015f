"""Whatever readers, detectors, the clock and crashes do in whatever order: one holder, nobody lost, the ledger balanced."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from shutil import copy
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import func, select

from crisis_filter.schema import Assessment, Disposition, Outcome, Provenance, Urgency
from crisis_filter.store.audit_verify import verify
from crisis_filter.store.ledger import ledger
from crisis_filter.store.opening import open_store
from crisis_filter.store.queue import release, renew
from crisis_filter.store.queue_escalation import EscalationRules, Step, escalate_overdue
from crisis_filter.store.queue_incidents import close_incidents
from crisis_filter.store.queue_records import Answer, Item, QueueError
from crisis_filter.store.rejudge import supersede
from crisis_filter.store.tables import decisions, items, messages, readings
from tests.store.queue_scene import CLAIM, MINUTE, Scene, reader
from tests.store.scenes import KEYS

NAMES = ("anna", "ben", "carl")
ESCALATION = EscalationRules(steps={"r": (Step(to="senior", after_ms=7 * MINUTE),)}, overdue_again_ms=20 * MINUTE)
outcomes = st.sampled_from(["crisis", "undetermined", "no_crisis"])
people = st.sampled_from(NAMES)
answers = st.one_of(
    st.builds(Answer, action=st.just("accept"), revision=st.integers(1, 3)),
    st.builds(Answer, action=st.just("override"), outcome=outcomes, reason=st.sampled_from([None, "other"])),
    st.just(Answer(action="escalate", to="senior")),
    st.builds(Answer, action=st.just("answer"), outcome=outcomes),
)


class QueueMachine(RuleBasedStateMachine):
    """Readers at a queue."""

    EMPTY: Path

    @initialize()
    def begin(self) -> None:
        self.folder = TemporaryDirectory()
        path = Path(self.folder.name) / "s.db"
        copy(self.EMPTY, path)
        self.scene = Scene(open_store(f"sqlite:///{path}", keys=KEYS))
        self.scene.listen()
        self.held: dict[str, Item] = {}
        self.people_said: dict[str, int] = {}

    @rule(
        outcome=outcomes,
        urgency=st.sampled_from(["emergency", "urgent", "soon", "routine"]),
        score=st.none() | st.floats(0, 1),
        second=st.booleans(),
        due=st.integers(1, 60),
    )
    def comes(self, outcome: Outcome, urgency: Urgency, score: float | None, second: bool, due: int) -> None:
        self.scene.put(outcome, urgency=urgency, score=score, second=second, due=due * MINUTE)

    @rule(who=people)
    def takes(self, who: str) -> None:
        before = self.waiting()
        item = self.scene.take(reader(who))
        if item is None:
            assert who not in self.live()
            return
        if self.held.get(who) is None or self.held[who].id != item.id:
            assert item.id in before
            row = self.scene.row(item)
            best = min(rank for rank, of in before.values() if self.may(who, of))
            assert row.rank == best
        self.held[who] = item

    @rule(who=people, answer=answers)
    def answers(self, who: str, answer: Answer) -> None:
        item = self.held.get(who)
        if item is None:
            return
        with suppress(QueueError):
            done = self.scene.decide(item, answer, reader(who))
            assert self.scene.decide(item, answer, reader(who)).again or done.state == "waiting"

    @rule(who=people)
    def gives_back(self, who: str) -> None:
        item = self.held.get(who)
        if item is not None:
            with suppress(QueueError):
                self.scene.write(lambda c: release(c, reader(who), item.id, now_ms=self.scene.now))

    @rule(who=people)
    def holds_on(self, who: str) -> None:
        item = self.held.get(who)
        if item is not None:
            with suppress(QueueError):
                self.scene.write(lambda c: renew(c, reader(who), item.id, claim_ms=CLAIM, now_ms=self.scene.now))

    @rule(minutes=st.integers(1, 40))
    def time_passes(self, minutes: int) -> None:
        self.scene.now += minutes * MINUTE

    @rule()
    def the_clock_strikes(self) -> None:
        def strike() -> int:
            return len(
                self.scene.write(
                    lambda c: escalate_overdue(c, self.scene.store, now_ms=self.scene.now, limit=50, rules=ESCALATION)
                )
            )

        strike()
        assert strike() == 0

    @rule(outcome=st.sampled_from(["crisis", "no_crisis"]), data=st.data())
    def is_judged_again(self, outcome: Outcome, data: st.DataObject) -> None:
        known = self.scene.read(lambda c: c.execute(select(messages.c.id, messages.c.revision)).all())
        if not known:
            return
        message, revision = data.draw(st.sampled_from(sorted(known)))
        crisis = outcome == "crisis"
        said = Assessment(
            id=message,
            outcome=outcome,
            findings=({"category": "abuse"},) if crisis else (),  # type: ignore[arg-type]  # validated
            disposition=Disposition(queue="act-now" if crisis else "none", urgency="urgent", rule="r"),
            provenance=Provenance(detector="scripted", version="0"),
        )
        self.scene.write(
            lambda c: supersede(
                c,
                self.scene.store,
                message,
                said,
                revision=revision,
                to_person=crisis,
                due_ms=self.scene.now + MINUTE if crisis else None,
                now_ms=self.scene.now,
            )
        )

    @rule()
    def outages_close(self) -> None:
        self.scene.write(lambda c: close_incidents(c, now_ms=self.scene.now, quiet_ms=MINUTE))

    def waiting(self) -> dict[str, tuple[int, str]]:
        """Rank and message of what is free."""
        now = self.scene.now
        rows = self.scene.read(lambda c: c.execute(select(items)).all())
        free = [r for r in rows if r.state == "waiting" or (r.state == "claimed" and r.claim_until_ms <= now)]
        return {row.id: (row.rank, row.id) for row in free}

    def may(self, who: str, item_id: str) -> bool:
        """Whether a reader may have an item, told anew from the rows."""
        row = self.scene.row(item_id)
        read = self.scene.read(
            lambda c: c.scalar(
                select(func.count())
                .select_from(readings)
                .where(readings.c.message_id == row.message_id, readings.c.reader == who)
            )
        )
        return not read or (not row.blind and (row.due_ms is None or row.due_ms <= self.scene.now))

    def live(self) -> set[str]:
        rows = self.scene.read(lambda c: c.execute(select(items).where(items.c.state == "claimed")).all())
        return {row.claimed_by for row in rows if row.claim_until_ms > self.scene.now}

    @invariant()
    def every_account_balances(self) -> None:
        if hasattr(self, "scene"):
            assert self.scene.read(ledger).balanced

    @invariant()
    def nobody_holds_two_and_a_persons_word_is_never_followed_by_a_detectors(self) -> None:
        if not hasattr(self, "scene"):
            return
        now = self.scene.now
        rows = self.scene.read(lambda c: c.execute(select(items).where(items.c.state == "claimed")).all())
        holders = [row.claimed_by for row in rows if row.claim_until_ms > now]
        assert len(holders) == len(set(holders))
        order = select(decisions.c.message_id, decisions.c.by).order_by(decisions.c.message_id, decisions.c.revision)
        spoken: set[str] = set()
        for message, by in self.scene.read(lambda c: c.execute(order).all()):
            assert not (message in spoken and by == "detector")
            if by == "person":
                spoken.add(message)

    @invariant()
    def every_crisis_is_with_a_person_or_was(self) -> None:
        if not hasattr(self, "scene"):
            return
        wanted = (
            select(messages.c.id)
            .join(decisions, (decisions.c.message_id == messages.c.id) & (decisions.c.revision == messages.c.revision))
            .where(decisions.c.outcome != "no_crisis")
        )
        grave = set(self.scene.read(lambda c: c.execute(wanted).scalars().all()))
        rows = self.scene.read(lambda c: c.execute(select(items).where(items.c.kind == "alert")).all())
        assert grave <= {row.message_id for row in rows if row.state in {"waiting", "claimed", "done"}}

    def teardown(self) -> None:
        if hasattr(self, "scene"):
            assert self.scene.read(verify).flaw is None
            self.scene.store.close()
            self.folder.cleanup()


def test_whatever_happens_in_whatever_order(empty_sqlite: Path) -> None:
    machine = type("Machine", (QueueMachine,), {"EMPTY": empty_sqlite})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=15, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


@pytest.mark.slow
def test_the_same_for_longer(empty_sqlite: Path) -> None:
    machine = type("Machine", (QueueMachine,), {"EMPTY": empty_sqlite})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=400, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
