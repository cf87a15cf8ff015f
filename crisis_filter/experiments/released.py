"""Which prompts are released, and with which hash: `released.json` at the top of a folder of prompts. A released one never changes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crisis_filter import assets
from crisis_filter.errors import AssetError, ConfigurationError
from crisis_filter.prompting.prompt import Prompt

__all__ = ["RELEASED", "folder_of", "read_released", "refuse_changed", "released_hash"]

RELEASED = "released.json"
_HEX = frozenset("0123456789abcdef")
_DIGITS = 64


def folder_of(path: Path, prompt_id: str) -> Path:
    """The folder of prompts that a prompt's file lies in.

    Args:
        path: of the `.md` file.
        prompt_id: such as `screen/reasoned-v2`.

    Returns:
        The folder under which the id is the file's path without `.md`; where it is not, the folder that holds the file.
    """
    whole, steps = path.resolve(), prompt_id.split("/")
    if whole.with_suffix("").parts[-len(steps) :] == tuple(steps):
        return whole.parents[len(steps) - 1]
    return whole.parent


def read_released(folder: Path) -> dict[str, str]:
    """The released prompts of a folder: SHA-256 by id.

    Returns:
        Nothing where the folder has no such file: nothing was released there.

    Raises:
        AssetError: the file is damaged or has an id twice; nothing could be refused by it then.
    """
    path = folder / RELEASED
    if not path.exists():
        return {}
    try:
        found = json.loads(assets.read_text(path), object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise AssetError(f"{path}: is no JSON object in which every id stands once; restore it") from None
    if not isinstance(found, dict) or not all(_is_hash(value) for value in found.values()):
        raise AssetError(f"{path}: needs the id and the SHA-256 of every released prompt; restore it")
    return found


def released_hash(prompt_id: str, path: Path | None = None) -> str | None:
    """The hash that a prompt was released with.

    Args:
        prompt_id: such as `screen/reasoned-v2`.
        path: of its file, whose folder may have releases of its own; `None` asks for the bundled prompts alone.

    Returns:
        The hash, the bundled one first: an id that is released here means the same prompt everywhere. `None` where it is not released.

    Raises:
        AssetError: see `read_released`.
    """
    bundled = read_released(assets.root() / "prompts").get(prompt_id)
    if bundled is not None or path is None:
        return bundled
    return read_released(folder_of(path, prompt_id)).get(prompt_id)


def refuse_changed(prompt: Prompt, path: Path) -> None:
    """Refuse a prompt that was changed after its release.

    Args:
        prompt: as loaded.
        path: of its file.

    Raises:
        ConfigurationError: its id is released with another hash; names both.
    """
    released = released_hash(prompt.id, path)
    if released is not None and released != prompt.sha256:
        raise ConfigurationError(
            f"{path}: prompt {prompt.id} was released with the hash {released} and has {prompt.sha256} now; "
            "a released prompt never changes: restore it, and give the new one an id of its own"
        )


def _once(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


def _is_hash(value: object) -> bool:
    return isinstance(value, str) and len(value) == _DIGITS and set(value) <= _HEX
