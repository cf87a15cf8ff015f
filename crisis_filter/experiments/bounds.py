"""Bounds that were declared in a file of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from crisis_filter.errors import InputError
from crisis_filter.experiments.plan import Acceptance

__all__ = ["read_acceptance"]

_KEY = "acceptance"


def read_acceptance(path: Path) -> Acceptance:
    """Bounds from a file of YAML: by themselves, or under `acceptance` as in the file of an experiment.

    Raises:
        InputError: it cannot be read, is no YAML, has a bound twice, or a key or value that is not known; names the key, never a value.
    """
    try:
        given, keys = _loaded(path.read_bytes().decode("utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError):
        raise InputError(f"{path}: is not valid YAML") from None
    if not isinstance(given, dict):
        raise InputError(f"{path}: needs bounds such as incumbent: NAME and sensitivity_margin: 0.01")
    # YAML takes the last of two, in silence.
    if len(set(keys)) != len(keys):
        raise InputError(f"{path}: a bound stands twice")
    try:
        return Acceptance.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join((_KEY, *map(str, first["loc"])))
        raise InputError(f"{path}: {place}: {first['msg']}") from None


def _loaded(text: str) -> tuple[Any, list[str]]:
    """The bounds, and their names as often as they stand there."""
    given, node = yaml.safe_load(text), yaml.compose(text, yaml.SafeLoader)
    if isinstance(given, dict) and _KEY in given and isinstance(node, yaml.MappingNode):
        given = given[_KEY]
        node = next(value for key, value in node.value if key.value == _KEY)
    return given, [str(key.value) for key, _ in node.value] if isinstance(node, yaml.MappingNode) else []
