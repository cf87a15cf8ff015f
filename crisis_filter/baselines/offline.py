"""Other people's offline packages as baselines: rules and word lists that run in this process, without a network or a model.

Which calls are made and what counts as flagged is said in `offline_rules`, which the bench shares. The packages are no dependencies: a missing
one is named with the command that installs it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from types import MappingProxyType
from typing import Any

from crisis_filter.baselines.base import About, Baseline, Said, Told, about, assess
from crisis_filter.baselines.offline_rules import TOOLS, Plain, Tool
from crisis_filter.baselines.options import settled
from crisis_filter.errors import ConfigurationError, Fault
from crisis_filter.schema import Assessment, Failure, Message
from crisis_filter.taxonomy.maps import load_map

__all__ = ["NAMES", "OfflineBaseline", "open_offline"]

NAMES: tuple[str, ...] = tuple(dict.fromkeys(tool.package for tool in TOOLS.values()))
"""The names that `open_offline` knows."""
_TOO_LONG = "VALIDATION_TEXT_TOO_LONG"


class OfflineBaseline:
    """One package. It keeps nothing between messages and holds no connection, thread or file.

    Args:
        tool: how the package is asked and read.
        call: what its `open` made.
        shared: what all its assessments share.
        model: the release that is installed, and the setting.
    """

    def __init__(self, tool: Tool, call: Callable[[str], Any], shared: About, model: str) -> None:
        self._tool = tool
        self._call = call
        self._shared = shared
        self._model = model

    @property
    def name(self) -> str:
        """As in `provenance.detector`, without `baseline:`."""
        return self._shared.name

    async def assess(self, message: Message) -> Assessment:
        """Assess one message. A package that raises, refuses the text or says what nobody knows makes it undetermined.

        Raises:
            TypeError: `message` is no `Message`.
        """
        return await assess(message, self._ask, self._shared)

    async def aclose(self) -> None:
        """Nothing is held open."""

    async def _ask(self, text: str) -> Told:
        answer = self._call(text)
        if inspect.isawaitable(answer):
            answer = await answer
        return Told(verdict(self._tool, self._tool.plain(answer)), model=self._model)


def verdict(tool: Tool, answer: Plain) -> Said | Failure:
    """What an answer says.

    Args:
        tool: the package.
        answer: as `Tool.plain` made it.
    """
    flagged = tool.read(answer)
    if flagged is not None:
        return Said(flagged, labels=tool.labels(answer) if flagged else ())
    if answer.get("error_code") == _TOO_LONG:
        return Failure(fault=Fault.INPUT_TOO_LONG, detail="longer than the package takes")
    return Failure(fault=Fault.SCHEMA, detail="the package gave no verdict that is known")


def open_offline(name: str, options: Mapping[str, str] = MappingProxyType({})) -> Baseline | None:
    """Open an offline package as a baseline.

    Args:
        name: of the package, such as `bh-sentinel-core`.
        options: `flag` (`any`, or `high`) of bh-sentinel-core, `sentiment` (`heuristic`, or `vader`) of rrt-advocate; the first unless given.

    Returns:
        The baseline, or `None` for a name that is none of `NAMES`.

    Raises:
        ConfigurationError: the package is not installed, with the command that installs it, or cannot be made ready; an option that it
            does not have.
        AssetError: its map is missing or malformed.
    """
    if name not in NAMES:
        return None
    tool = _chosen(name, options)
    shared = about(name, load_map(name))
    try:
        installed = version(name)
        call = tool.open(True)
    except (ImportError, PackageNotFoundError) as error:
        missing = getattr(error, "name", None) or name
        raise ConfigurationError(f"baseline {name}: {missing} is not installed: pip install '{tool.pin}'") from None
    except Exception as error:
        raise ConfigurationError(f"baseline {name}: cannot be made ready ({type(error).__name__})") from error
    setting = "".join(f", {key}={value}" for key, value in tool.options.items())
    return OfflineBaseline(tool, call, shared, f"{name} {installed}{setting}")


def _chosen(name: str, options: Mapping[str, str]) -> Tool:
    """The tool of a package with these settings; the first where an option is not given."""
    mine = [tool for tool in TOOLS.values() if tool.package == name]
    choices = {key: tuple(tool.options[key] for tool in mine) for key in mine[0].options}
    wanted = settled(options, choices, name)
    return next(tool for tool in mine if tool.options == wanted)
