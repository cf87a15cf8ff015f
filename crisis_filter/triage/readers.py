"""How many people a policy takes at a volume and prevalence, from what it did with messages that were judged before."""

from __future__ import annotations

from pydantic import Field

from crisis_filter.errors import InputError
from crisis_filter.schema import OUTCOMES, Outcome, Record
from crisis_filter.stats.prevalence import alarms_per
from crisis_filter.stats.staffing import readers_needed
from crisis_filter.triage.trying import Tried

_HOURS = 24.0


class Demand(Record):
    """What is to come."""

    per_day: float = Field(gt=0.0, allow_inf_nan=False)
    """Messages of any kind."""
    prevalence: float | None = Field(default=None, ge=0.0, le=1.0)
    """Share of crises; `None` takes the outcomes of the run as they were."""
    sensitivity: float = Field(default=1.0, ge=0.0, le=1.0)
    """Of crises that get a verdict, the share that raises an alarm."""
    specificity: float = Field(default=1.0, ge=0.0, le=1.0)
    """Of other messages that get a verdict, the share that raises none."""
    peak: float = Field(default=1.0, ge=1.0, le=24.0)
    """How many times as many messages come in the busiest hour as in the average one."""


class Readers(Record):
    """What one queue takes."""

    queue: str
    staffed_by: str
    per_day: float
    busiest_hour: float
    """Messages in it."""
    within_s: float
    readers: int
    """At work at once in the busiest hour."""
    busy: float
    """Share of their time that they read, 0 to 1."""
    waits: float
    """Share of messages that wait at all."""
    in_time: float
    """Share opened within the time."""
    mean_wait_s: float


class Alarmed(Record):
    """A day's alarms, expected: fractions occur."""

    crises: float
    caught: float
    missed: float
    false_alarms: float
    undetermined: float


class Staffed(Record):
    """What all queues take."""

    demand: Demand
    minutes: float
    """To read one message, on average."""
    target: float
    """Share that must be opened in time."""
    alarms: Alarmed | None
    """`None` without a prevalence."""
    queues: tuple[Readers, ...]


def staffed(tried: Tried, demand: Demand, *, minutes: float, target: float, within_s: float | None = None) -> Staffed:
    """How many must read each queue, by Erlang's delay formula for its busiest hour.

    With a prevalence, as many messages stay undetermined as in the run, the others raise alarms by sensitivity and specificity, and alarms go to
    queues as the run's crises went. Each queue is taken as first come, first served, with its shortest time limit for all.

    Args:
        tried: what the policy did with a run.
        demand: what is to come.
        minutes: to read one message, on average, above 0.
        target: share that must be opened in time, in (0, 1).
        within_s: in which time, in seconds; `None` takes the shortest limit of what went to each queue.

    Raises:
        InputError: with a prevalence, where the run has no crisis, or no other message, to tell where those go.
        ValueError: an argument out of range.
    """
    expected = _expected(tried, demand)
    found = []
    for line in tried.queues:
        if line.staffed_by is None:
            continue
        parts = (expected[o] * line.outcomes[o] / tried.outcomes[o] for o in OUTCOMES if tried.outcomes[o])
        per_day = sum(parts)
        busiest = per_day / _HOURS * demand.peak
        limit = within_s if within_s is not None else float(line.within_s or 0)
        need = readers_needed(busiest / 3600.0, minutes * 60.0, limit, target)
        found.append(
            Readers(
                queue=line.queue,
                staffed_by=line.staffed_by,
                per_day=per_day,
                busiest_hour=busiest,
                within_s=limit,
                readers=need.servers,
                busy=need.occupancy,
                waits=need.p_wait,
                in_time=need.p_within,
                mean_wait_s=need.mean_wait,
            )
        )
    return Staffed(demand=demand, minutes=minutes, target=target, alarms=_alarmed(tried, demand), queues=tuple(found))


def _verdicts(tried: Tried, demand: Demand) -> float:
    """Messages a day that get a verdict."""
    return demand.per_day * (1.0 - tried.outcomes["undetermined"] / tried.messages)


def _expected(tried: Tried, demand: Demand) -> dict[Outcome, float]:
    """Messages a day by outcome."""
    scale = demand.per_day / tried.messages
    as_was = {outcome: scale * tried.outcomes[outcome] for outcome in OUTCOMES}
    if demand.prevalence is None:
        return as_was
    verdicts = _verdicts(tried, demand)
    share = demand.prevalence * demand.sensitivity + (1.0 - demand.prevalence) * (1.0 - demand.specificity)
    expected: dict[Outcome, float] = {**as_was, "crisis": verdicts * share, "no_crisis": verdicts * (1.0 - share)}
    for outcome in OUTCOMES:
        if expected[outcome] > 0.0 and not tried.outcomes[outcome]:
            raise InputError(f"the run has no message with the outcome {outcome}, so nothing tells where those go")
    return expected


def _alarmed(tried: Tried, demand: Demand) -> Alarmed | None:
    if demand.prevalence is None:
        return None
    day = alarms_per(1, demand.sensitivity, demand.specificity, demand.prevalence)
    verdicts = _verdicts(tried, demand)
    return Alarmed(
        crises=demand.per_day * demand.prevalence,
        caught=verdicts * day.caught,
        missed=verdicts * day.missed,
        false_alarms=verdicts * day.false_alarms,
        undetermined=demand.per_day - verdicts,
    )
