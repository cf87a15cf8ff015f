"""How many people must read a queue so that messages are opened in time: Erlang's delay formula (M/M/c).

It takes messages to come at random and independently of one another at a steady rate (Poisson), reading times to be exponential, every reader to
take the next message as soon as they are free, first come first served, and nobody to give up waiting. Messages of an outage or of one event come
together, and then it promises too much; people also need breaks. So its answer is the least, and not the roster.

References:
    A. K. Erlang, "Solution of some problems in the theory of probabilities of significance in automatic telephone exchanges", Elektroteknikeren 13
    (1917). R. B. Cooper, "Introduction to Queueing Theory", 2nd ed., North Holland 1981, sections 3.3 (loss) and 3.4 to 3.5 (delay, first come
    first served).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

MOST_LOAD = 100_000.0
"""More readers at work at once than this is a slip of the pen."""


@dataclass(frozen=True, slots=True)
class Staffing:
    """Readers of a queue and what waiting then is like."""

    servers: int
    """Readers at work at once; 0 where nothing comes."""
    load: float
    """Readers kept busy on average, in erlangs."""
    p_wait: float
    """Probability that a message waits at all."""
    p_within: float
    """Probability that it is opened within the time asked for."""
    mean_wait: float
    """In the unit of the reading time."""

    @property
    def occupancy(self) -> float:
        """Share of a reader's time spent reading; 0 without readers."""
        return self.load / self.servers if self.servers else 0.0


def erlang_b(load: float, servers: int) -> float:
    """Probability that all servers are busy where nobody waits; the step towards `erlang_c`.

    Args:
        load: in erlangs, at least 0: rate of arrivals times mean service time.
        servers: at least 0.

    Raises:
        ValueError: an argument out of range.
    """
    _refuse(load, servers)
    blocked = 1.0
    for count in range(1, servers + 1):
        blocked = load * blocked / (count + load * blocked)
    return blocked


def erlang_c(load: float, servers: int) -> float:
    """Probability that an arrival waits; 1 where the servers cannot keep up (`load` at least `servers`).

    Args:
        load: in erlangs, at least 0.
        servers: at least 0.

    Raises:
        ValueError: an argument out of range.
    """
    return _waits(load, servers, erlang_b(load, servers))


def longer_than(load: float, servers: int, service: float, time: float) -> float:
    """Probability that an arrival waits longer than a time, first come first served.

    Args:
        load: in erlangs, at least 0.
        servers: at least 0.
        service: mean service time, above 0.
        time: at least 0, in the same unit.

    Raises:
        ValueError: an argument out of range.
    """
    _refuse_times(service, time)
    return _longer(erlang_c(load, servers), load, servers, service, time)


def readers_needed(rate: float, service: float, time: float, target: float) -> Staffing:
    """The fewest readers with whom the share `target` of messages is opened within a time.

    Args:
        rate: messages that come per unit of time, at least 0.
        service: mean reading time in that unit, above 0.
        time: in which a message must be opened, at least 0, in that unit.
        target: share of messages, in (0, 1).

    Returns:
        The fewest, and what waiting is then like. No reader where nothing comes, and then nothing waits.

    Raises:
        ValueError: an argument out of range, or a load above `MOST_LOAD`.
    """
    _refuse_times(service, time)
    if not 0.0 < target < 1.0:
        raise ValueError("target must lie strictly between 0 and 1")
    load = rate * service
    _refuse(load, 0)
    if load > MOST_LOAD:
        raise ValueError(f"a load of {load:,.0f} readers busy at once is more than {MOST_LOAD:,.0f}")
    if load == 0.0:
        return Staffing(0, 0.0, 0.0, 1.0, 0.0)
    servers, blocked = 0, 1.0
    while True:
        servers += 1
        blocked = load * blocked / (servers + load * blocked)
        waits = _waits(load, servers, blocked)
        within = 1.0 - _longer(waits, load, servers, service, time)
        if servers > load and within >= target:
            return Staffing(servers, load, waits, within, waits * service / (servers - load))


def _waits(load: float, servers: int, blocked: float) -> float:
    if load >= servers:
        return 1.0
    return servers * blocked / (servers - load * (1.0 - blocked))


def _longer(waits: float, load: float, servers: int, service: float, time: float) -> float:
    return 1.0 if load >= servers else waits * math.exp(-(servers - load) * time / service)


def _refuse(load: float, servers: int) -> None:
    if not (0.0 <= load < math.inf):
        raise ValueError("the load must be a number of at least 0")
    if servers < 0:
        raise ValueError("servers must be at least 0")


def _refuse_times(service: float, time: float) -> None:
    if not (0.0 < service < math.inf and 0.0 <= time < math.inf):
        raise ValueError("the service time must be above 0 and the waiting time at least 0")
