"""The catalogue of all that the fault server can do, by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from crisis_filter.drill.answer_faults import ANSWER_FAULTS
from crisis_filter.drill.behaviour import Behaviour, Group, Says
from crisis_filter.drill.transport_faults import HEALTHY, HTTP_FAULTS, TRANSPORT_FAULTS
from crisis_filter.errors import FAULTS, ConfigurationError, Fault

__all__ = [
    "BEHAVIOURS",
    "HEAVY",
    "Behaviour",
    "Group",
    "Says",
    "behaviour",
    "clears_elsewhere",
    "one_of_each",
    "worth_repeating",
]

HEAVY = frozenset({"gzip_bomb", "oversized"})
"""Each answer is megabytes."""


def _by_name(*behaviours: Behaviour) -> Mapping[str, Behaviour]:
    named = {each.name: each for each in behaviours}
    if len(named) != len(behaviours):
        raise ValueError("two behaviours have one name")
    return MappingProxyType(named)


BEHAVIOURS: Mapping[str, Behaviour] = _by_name(HEALTHY, *ANSWER_FAULTS, *TRANSPORT_FAULTS, *HTTP_FAULTS)
"""By name: the healthy one, then what the model does, the connection, the HTTP response."""


def behaviour(name: str) -> Behaviour:
    """The behaviour of a name.

    Raises:
        ConfigurationError: there is none; says how to list them.
    """
    found = BEHAVIOURS.get(name)
    if found is None:
        raise ConfigurationError("there is no fault of that name; `crisis-filter faults list` shows them all")
    return found


def worth_repeating(one: Behaviour) -> bool:
    """Whether the same endpoint is asked again after it, and a second answer counts."""
    fault = one.fault
    again = fault is not None and FAULTS[fault].retry != "no" and one.stage == "any"
    return again and not one.lasts and one.name not in {"connect_refused", "http_429_a_day", *HEAVY}


def clears_elsewhere(one: Behaviour) -> bool:
    """Whether another endpoint may clear an ordinary message after it."""
    # A positive in a broken answer stays; a filter that names danger or an attack forbids a negative.
    return one.says != "positive" and one.name not in ("filter_prompt", "filter_jailbreak")


def one_of_each(behaviours: Iterable[Behaviour]) -> list[Behaviour]:
    """The first behaviour of each fault that can strike one request of Stage 1 and leave its neighbours alone."""
    first: dict[Fault, Behaviour] = {}
    for one in behaviours:
        if one.fault is not None and one.stage == "any" and one.name not in {"connect_refused", *HEAVY}:
            first.setdefault(one.fault, one)
    return list(first.values())
