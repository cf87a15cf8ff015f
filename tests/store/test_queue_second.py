"""Who is drawn for a second reading, and what the second readings say."""

from __future__ import annotations

import pytest

from crisis_filter.schema import Assessment, Disposition, Outcome, Provenance
from crisis_filter.stats.agreement import cohen_kappa
from crisis_filter.stats.intervals import clopper_pearson
from crisis_filter.store.keyring import Keyring
from crisis_filter.store.opening import Store
from crisis_filter.store.queue_records import Answer, QueueError
from crisis_filter.store.queue_second import SecondReadings, drawn, second_readings
from crisis_filter.store.rejudge import supersede
from tests.store.queue_scene import NOW, Scene, blind, cleared, crisis, reader

KEYS = Keyring.unsealed(b"p" * 32)
OTHER = Keyring.unsealed(b"q" * 32)


@pytest.fixture
def scene(store: Store) -> Scene:
    return Scene(store)


def figures(scene: Scene, *categories: str) -> SecondReadings:
    chief = reader("chief", "supervise")
    return scene.read(lambda c: second_readings(c, chief, since_ms=NOW, until_ms=scene.now + 1, categories=categories))


def test_a_share_is_drawn_the_same_everywhere_and_nobody_without_the_key_knows() -> None:
    ids = [f"message-{n}" for n in range(20_000)]
    got = [one for one in ids if drawn(KEYS, "clinic", one, 0.05)]
    assert 850 < len(got) < 1150  # 1000, and 5 standard errors of 31 each side
    assert got == [one for one in ids if drawn(KEYS, "clinic", one, 0.05)]
    again = {one for one in ids if drawn(OTHER, "clinic", one, 0.05)}
    assert len(again & set(got)) < 100
    assert set(got) < {one for one in ids if drawn(KEYS, "clinic", one, 0.1)}


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0), (1.0, 500)])
def test_none_and_all(share: float, expected: int) -> None:
    assert sum(drawn(KEYS, "clinic", f"m{n}", share) for n in range(500)) == expected


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_is_one(share: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        drawn(KEYS, "clinic", "m", share)


def read_blind(scene: Scene, answers: list[Outcome], who: str = "ben") -> None:
    for outcome in answers:
        item = scene.taken(reader(who), queues=[])  # blind ones alone
        assert item.blind
        scene.decide(item, blind(outcome), reader(who))


def test_misses_are_told_with_an_exact_interval_for_all_that_were_cleared(scene: Scene) -> None:
    for _ in range(40):
        scene.put("no_crisis", second=False)
    for _ in range(10):
        scene.put("no_crisis", second=True)
    read_blind(scene, ["no_crisis"] * 6 + ["undetermined"])
    read_blind(scene, ["crisis"], "carl")
    found = figures(scene).misses
    bounds = clopper_pearson(1, 8)
    assert (found.not_crisis, found.drawn, found.undetermined) == (50, 10, 1)
    assert (found.found.count, found.found.of, found.found.low, found.found.high) == (1, 8, bounds.low, bounds.high)
    assert found.expected == pytest.approx(50 / 8)
    assert found.expected_low == pytest.approx(1 + bounds.low * 42)
    assert found.expected_high == pytest.approx(1 + bounds.high * 42)
    assert figures(scene).waiting == 2


def test_when_nothing_was_read_nothing_is_known(scene: Scene) -> None:
    scene.put("no_crisis", second=True)
    found = figures(scene)
    assert (found.misses.expected, found.misses.expected_low, found.misses.expected_high) == (None, 0.0, 1.0)
    assert (found.false_alarms.estimate, found.overridden.estimate) == (None, None)
    assert [one.units for one in found.agreement] == [0]


PAIRS: list[tuple[Answer, Outcome]] = [
    (Answer(action="accept", revision=1), "crisis"),
    (Answer(action="accept", revision=1), "no_crisis"),
    (cleared(), "no_crisis"),
    (cleared(), "no_crisis"),
    (crisis("abuse"), "crisis"),
    (Answer(action="override", outcome="undetermined", reason="other"), "undetermined"),
]


def test_false_alarms_and_how_far_two_readers_agree(scene: Scene) -> None:
    for answer, second in PAIRS:
        scene.put("crisis", second=True)
        scene.decide(scene.taken(), answer)
        read_blind(scene, [second])
    scene.put("crisis")
    scene.decide(scene.taken(), cleared())
    found = figures(scene, "suicide", "abuse")
    assert (found.alerts_drawn, found.false_alarms.count, found.false_alarms.of, found.alerts_undetermined) == (
        6,
        3,
        6,
        1,
    )
    assert (found.overridden.count, found.overridden.of) == (3, 7)
    outcome, suicide, abuse = found.agreement
    said = [("crisis", "crisis"), ("crisis", "no_crisis"), ("no_crisis", "no_crisis"), ("no_crisis", "no_crisis")]
    said += [("crisis", "crisis"), ("undetermined", "undetermined")]
    assert (outcome.units, outcome.same.count) == (6, 5)
    assert outcome.coefficients[0].estimate == pytest.approx(cohen_kappa(said).estimate)
    assert [one.name for one in outcome.coefficients] == ["cohen_kappa", "gwet_ac1", "krippendorff_alpha"]
    assert (suicide.question, suicide.units, suicide.same.count) == ("suicide", 6, 4)
    assert (abuse.question, abuse.same.count) == ("abuse", 5)


def test_a_reader_is_not_compared_with_themself_and_other_tenants_do_not_count(scene: Scene) -> None:
    scene.put("crisis", second=True)
    scene.put("no_crisis")
    scene.put("no_crisis", second=True, tenant="other")
    read_blind(scene, ["crisis"])
    scene.now += 10_000_000_000  # past every time limit, so that the same reader gets the alert
    alert = scene.taken(reader("ben"))
    scene.decide(alert, cleared(), reader("ben"))
    found = figures(scene)
    assert (found.misses.not_crisis, found.agreement[0].units) == (1, 0)


def test_what_was_judged_again_and_never_drawn_is_not_counted_among_what_was_drawn_from(scene: Scene) -> None:
    message = scene.put("undetermined")
    scene.put("no_crisis", second=True)
    said = Assessment(
        id=message,
        outcome="no_crisis",
        disposition=Disposition(queue="none", urgency="routine", rule="r"),
        provenance=Provenance(detector="scripted", version="0"),
    )
    scene.write(
        lambda c: supersede(c, scene.store, message, said, revision=1, to_person=False, due_ms=None, now_ms=scene.now)
    )
    assert scene.message(message).revision == 2
    assert figures(scene).misses.not_crisis == 1


def test_readers_are_not_told(scene: Scene) -> None:
    with pytest.raises(QueueError) as told:
        scene.read(lambda c: second_readings(c, reader(), since_ms=0, until_ms=1))
    assert told.value.why == "scope"
