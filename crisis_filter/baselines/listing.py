"""What can be said of every baseline without opening any."""

from __future__ import annotations

from crisis_filter.baselines.offline import NAMES
from crisis_filter.baselines.offline_rules import TOOLS
from crisis_filter.baselines.options import Choices
from crisis_filter.baselines.registry import KNOWN
from crisis_filter.schema import Record
from crisis_filter.taxonomy.maps import load_map

__all__ = ["Listed", "listed"]


class Listed(Record):
    """One baseline."""

    name: str
    title: str
    model: str | None
    """Its usual name on a server; `None` for an offline package."""
    options: dict[str, tuple[str, ...]]
    """By name, the values, the default first."""
    in_scope: tuple[str, ...]
    """The categories of ours that it is meant for, at least in part."""


def listed() -> tuple[Listed, ...]:
    """Every baseline, those that are asked over the network first.

    Raises:
        AssetError: a map is missing or malformed.
    """
    found: dict[str, tuple[str | None, Choices]] = {name: (known.model, known.options) for name, known in KNOWN.items()}
    found |= {name: (None, _offline_options(name)) for name in NAMES}
    maps = {name: load_map(name) for name in found}
    return tuple(
        Listed(name=name, title=maps[name].title, model=model, options=dict(options), in_scope=maps[name].in_scope())
        for name, (model, options) in found.items()
    )


def _offline_options(name: str) -> Choices:
    mine = [tool for tool in TOOLS.values() if tool.package == name]
    return {key: tuple(tool.options[key] for tool in mine) for key in mine[0].options}
