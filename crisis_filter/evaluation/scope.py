"""Which of our categories a baseline is meant for, looked up by the name of the detector that a run was made with."""

from __future__ import annotations

from collections.abc import Sequence

from crisis_filter import assets
from crisis_filter.evaluation.category_records import Scope
from crisis_filter.taxonomy.load import read_mapping
from crisis_filter.taxonomy.maps import KIND, load_map, map_names

__all__ = ["BASELINE", "scope_of"]

BASELINE = "baseline:"
"""What the detector's name of a baseline begins with."""


_NAMELESS = "criteria=harm"
"""The setting of a baseline that asks one question of the model's own: it speaks of none of our categories, whatever the map says."""


def scope_of(detector: str, taxonomy: str, prompts: Sequence[str] = ()) -> Scope | None:
    """The scope marks of a baseline.

    Args:
        detector: as provenance has it. It comes out of a file, so it is compared with the names that maps serve and never opened as a path.
        taxonomy: id of the one that the evaluation is by.
        prompts: identities that provenance has of what was sent, each an id and the beginning of its hash.

    Returns:
        The marks, or `None` for a detector that is no baseline, that no map serves, or whose map is to another taxonomy, and for one that
        was set to name no category of ours.

    Raises:
        AssetError: a map that comes with the package is malformed.
    """
    name = detector.removeprefix(BASELINE)
    if name == detector or any(map(_names_nothing, prompts)):
        return None
    for own in map_names():
        served = read_mapping(assets.find(KIND, own, ".yaml")).get("detectors")
        if isinstance(served, list) and name in served:
            found = load_map(own)
            return Scope(source=found.id, marks=found.scope) if found.taxonomy == taxonomy else None
    return None


def _names_nothing(prompt: str) -> bool:
    kind, _, options = prompt.partition(" ")[0].partition("/")
    return kind == "options" and _NAMELESS in options.split(",")
