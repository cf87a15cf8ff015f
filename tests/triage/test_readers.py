"""How many must read: arithmetic by hand, and Erlang's formula behind it."""

from __future__ import annotations

import pytest

from crisis_filter.errors import InputError
from crisis_filter.schema import Fault, Finding
from crisis_filter.stats.staffing import readers_needed
from crisis_filter.triage.readers import Demand, staffed
from crisis_filter.triage.trying import Judged, Trial, Tried
from tests.triage.making import V4, calm, crisis, undetermined


def run(*, suicide: int = 30, abuse: int = 10, lost: int = 40, calm_: int = 920) -> Tried:
    """A run of a thousand, unless told otherwise."""
    trial = Trial(V4)
    for number, one in (
        (suicide, crisis(Finding(category="suicide"))),
        (abuse, crisis(Finding(category="abuse", subject="other"))),
        (lost, undetermined(Fault.TIMEOUT)),
        (calm_, calm()),
    ):
        for _ in range(number):
            trial.add(Judged(one))
    return trial.result(days=1)


def test_at_the_runs_own_shares_every_queue_gets_its_part_of_the_volume():
    """Ten times the messages, ten times the alarms."""
    found = staffed(run(), Demand(per_day=10_000), minutes=6, target=0.95)
    assert {one.queue: round(one.per_day, 6) for one in found.queues} == {
        "act-now": 0.0,
        "clinical": 300.0,
        "safeguarding": 100.0,
        "review": 400.0,
        "outage": 0.0,
        "lead": 0.0,
    }
    assert found.alarms is None


def test_readers_are_those_of_the_formula_for_the_busiest_hour():
    """With the queue's own shortest limit, or the one asked for."""
    found = staffed(run(), Demand(per_day=10_000, peak=3), minutes=6, target=0.95, within_s=300)
    clinical = next(one for one in found.queues if one.queue == "clinical")
    expected = readers_needed(300 / 24 * 3 / 60, 6, 5, 0.95)
    assert clinical.busiest_hour == pytest.approx(37.5)
    assert (clinical.readers, clinical.in_time) == (expected.servers, pytest.approx(expected.p_within))
    assert clinical.mean_wait_s == pytest.approx(expected.mean_wait * 60)
    assert clinical.busy == pytest.approx(expected.load / expected.servers)
    own = staffed(run(), Demand(per_day=10_000, peak=3), minutes=6, target=0.95)
    assert {one.queue: one.within_s for one in own.queues if one.readers} == {
        "clinical": 7200,
        "safeguarding": 7200,
        "review": 86400,
    }


def test_a_prevalence_makes_alarms_by_sensitivity_and_specificity():
    """4% stay undetermined; of 9,600 verdicts 2% are of crises."""
    demand = Demand(per_day=10_000, prevalence=0.02, sensitivity=0.95, specificity=0.97)
    found = staffed(run(), demand, minutes=6, target=0.95)
    alarms = found.alarms
    assert alarms is not None
    assert alarms.crises == pytest.approx(200)
    assert alarms.caught == pytest.approx(9600 * 0.02 * 0.95)
    assert alarms.missed == pytest.approx(9600 * 0.02 * 0.05)
    assert alarms.false_alarms == pytest.approx(9600 * 0.98 * 0.03)
    assert alarms.undetermined == pytest.approx(400)
    per_day = {one.queue: one.per_day for one in found.queues}
    assert per_day["clinical"] == pytest.approx((alarms.caught + alarms.false_alarms) * 0.75)
    assert per_day["safeguarding"] == pytest.approx((alarms.caught + alarms.false_alarms) * 0.25)
    assert per_day["review"] == pytest.approx(400)


@pytest.mark.parametrize(("missing", "outcome"), [({"suicide": 0, "abuse": 0}, "crisis"), ({"calm_": 0}, "no_crisis")])
def test_a_run_without_the_outcome_cannot_say_where_it_goes(missing, outcome):
    """It is not guessed."""
    demand = Demand(per_day=100, prevalence=0.02, sensitivity=0.95, specificity=0.97)
    with pytest.raises(InputError, match=f"outcome {outcome}"):
        staffed(run(**missing), demand, minutes=6, target=0.95)


def test_a_run_without_crises_can_be_staffed_as_it_was():
    """Without a prevalence nothing needs to be told of crises."""
    found = staffed(run(suicide=0, abuse=0), Demand(per_day=100), minutes=6, target=0.9)
    assert sum(one.readers for one in found.queues) == 1
