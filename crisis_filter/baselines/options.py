"""Settings of a baseline as text, each with a closed set of values."""

from __future__ import annotations

from collections.abc import Mapping

from crisis_filter.assets import sha256
from crisis_filter.errors import ConfigurationError
from crisis_filter.schema import PromptRef

__all__ = ["Choices", "identity", "settled"]

Choices = Mapping[str, tuple[str, ...]]
"""By name, the values that there are; the first is the default."""


def settled(given: Mapping[str, str], choices: Choices, baseline: str) -> dict[str, str]:
    """A value for every setting.

    Raises:
        ConfigurationError: a setting or a value that there is not; names those that there are.
    """
    for name, value in given.items():
        if name not in choices:
            known = ", ".join(choices) or "none"
            raise ConfigurationError(f"baseline {baseline}: there is no option {name!r}; there are: {known}")
        if value not in choices[name]:
            raise ConfigurationError(f"baseline {baseline}: option {name!r} is one of {', '.join(choices[name])}")
    return {name: given.get(name, values[0]) for name, values in choices.items()}


def identity(options: Mapping[str, str]) -> tuple[PromptRef, ...]:
    """Identity of settings for provenance, since they change verdicts: all of them, the defaults too, which another release may change.

    Args:
        options: as `settled` gave them.

    Returns:
        One reference, `options/NAME=VALUE,NAME=VALUE` in the order of the names; none for a system without settings.
    """
    text = ",".join(f"{name}={value}" for name, value in sorted(options.items()))
    return (PromptRef(id=f"options/{text}", sha256=sha256(text.encode())),) if text else ()
