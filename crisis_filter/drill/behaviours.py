"""The catalogue of all that the fault server can do, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from crisis_filter.drill.answer_faults import ANSWER_FAULTS
from crisis_filter.drill.behaviour import Behaviour, Group, Says
from crisis_filter.drill.transport_faults import HEALTHY, HTTP_FAULTS, TRANSPORT_FAULTS
from crisis_filter.errors import ConfigurationError

__all__ = ["BEHAVIOURS", "Behaviour", "Group", "Says", "behaviour"]


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
