"""Which request gets which behaviour: scripts by number, by rate, by time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from crisis_filter.drill.behaviours import behaviour
from crisis_filter.errors import ConfigurationError

HEALTHY_NAME = "none"


class Plan(Protocol):
    """A script. Its requests are numbered from 1; those that name their fault themselves are not among them."""

    @property
    def names(self) -> frozenset[str]:
        """Every behaviour it can choose."""
        ...

    def choose(self, number: int, elapsed_s: float) -> str:
        """The behaviour of a request.

        Args:
            number: of the request, from 1.
            elapsed_s: seconds since the plan was set.
        """
        ...


@dataclass(frozen=True, slots=True)
class Always:
    """The same behaviour for every request."""

    name: str = HEALTHY_NAME

    @property
    def names(self) -> frozenset[str]:
        """The one name."""
        return frozenset({self.name})

    def choose(self, number: int, elapsed_s: float) -> str:  # noqa: ARG002
        """The one name."""
        return self.name


@dataclass(frozen=True, slots=True)
class First:
    """One behaviour for the first requests, another one after them.

    `First(2, "http_500")` heals; `First(1000, "none", then="http_401")` is a key that is revoked after a thousand answers.
    """

    count: int
    name: str
    then: str = HEALTHY_NAME

    @property
    def names(self) -> frozenset[str]:
        """Both names."""
        return frozenset({self.name, self.then})

    def choose(self, number: int, elapsed_s: float) -> str:  # noqa: ARG002
        """`name` up to the count, then `then`."""
        return self.name if number <= self.count else self.then


@dataclass(frozen=True, slots=True)
class InTurn:
    """One behaviour after the other; the last one for ever, or the whole again and again."""

    steps: tuple[str, ...]
    repeat: bool = False

    def __post_init__(self) -> None:
        if not self.steps:
            raise ConfigurationError("a sequence of faults needs at least one")

    @property
    def names(self) -> frozenset[str]:
        """All steps."""
        return frozenset(self.steps)

    def choose(self, number: int, elapsed_s: float) -> str:  # noqa: ARG002
        """The step of this number."""
        at = (number - 1) % len(self.steps) if self.repeat else min(number, len(self.steps)) - 1
        return self.steps[at]


class Rate:
    """Each behaviour with its share of the requests, drawn one by one; what is left is healthy.

    Args:
        shares: from name to probability, 0 to 1; at most 1 together.
        rng: where the draws come from; the same seed gives the same behaviours in the same order of requests.

    Raises:
        ConfigurationError: a share is out of range, or they exceed 1 together.
    """

    def __init__(self, shares: Mapping[str, float], rng: np.random.Generator) -> None:
        total = sum(shares.values())
        if not all(0.0 <= share <= 1.0 for share in shares.values()) or not total <= 1.0 + 1e-9:
            raise ConfigurationError("rates of faults must be from 0 to 1, and at most 1 together")
        self._names = (*shares, HEALTHY_NAME)
        self._bounds = np.cumsum([*shares.values()]).tolist()
        self._rng = rng

    @property
    def names(self) -> frozenset[str]:
        """Those with a share, and the healthy one."""
        return frozenset(self._names)

    def choose(self, number: int, elapsed_s: float) -> str:  # noqa: ARG002
        """The next draw."""
        drawn = self._rng.random()
        at = next((i for i, bound in enumerate(self._bounds) if drawn < bound), len(self._bounds))
        return self._names[at]


@dataclass(frozen=True, slots=True)
class Flapping:
    """Healthy for some seconds, faulty for some, in turn."""

    name: str
    up_s: float = 1.0
    down_s: float = 1.0
    up_first: bool = True

    def __post_init__(self) -> None:
        if not (self.up_s > 0 and self.down_s > 0):
            raise ConfigurationError("a flapping server needs times above zero")

    @property
    def names(self) -> frozenset[str]:
        """The faulty name and the healthy one."""
        return frozenset({self.name, HEALTHY_NAME})

    def choose(self, number: int, elapsed_s: float) -> str:  # noqa: ARG002
        """By the time since the plan was set."""
        within = elapsed_s % (self.up_s + self.down_s)
        up = within < self.up_s if self.up_first else within >= self.down_s
        return HEALTHY_NAME if up else self.name


def checked(plan: Plan) -> Plan:
    """The plan, when all its names are in the catalogue.

    Raises:
        ConfigurationError: one is not.
    """
    for name in plan.names:
        behaviour(name)
    return plan


_FORMS = "always, first, sequence, rate or flapping"


def parse_plan(given: object) -> Plan:
    """A plan from JSON.

    One of `{"always": NAME}`, `{"first": N, "name": NAME, "then": NAME}`, `{"sequence": [NAME, ...], "repeat": true}`,
    `{"rate": {NAME: 0.1}, "seed": 1}`, `{"flapping": NAME, "up_s": 1, "down_s": 1}`.

    Raises:
        ConfigurationError: it is none of these, or holds an unknown name or a number out of range.
    """
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"a plan is a JSON object with {_FORMS}")
    try:
        plan = _plan_of(given)
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise ConfigurationError(f"a value in the plan is of the wrong kind ({type(error).__name__})") from None
    return checked(plan)


def _plan_of(given: Mapping[str, Any]) -> Plan:
    if "always" in given:
        return Always(str(given["always"]))
    if "first" in given:
        return First(int(given["first"]), str(given["name"]), str(given.get("then", HEALTHY_NAME)))
    if isinstance(given.get("sequence"), Sequence) and not isinstance(given["sequence"], str):
        return InTurn(tuple(map(str, given["sequence"])), bool(given.get("repeat", False)))
    if isinstance(given.get("rate"), Mapping):
        shares = {str(name): float(share) for name, share in given["rate"].items()}
        return Rate(shares, np.random.default_rng(int(given.get("seed", 0))))
    if "flapping" in given:
        return Flapping(str(given["flapping"]), float(given.get("up_s", 1.0)), float(given.get("down_s", 1.0)))
    raise ConfigurationError(f"a plan is a JSON object with {_FORMS}")
