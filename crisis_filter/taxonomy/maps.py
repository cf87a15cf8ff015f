"""Maps from another system's labels to the categories of one of our taxonomies, as data: `categories/maps/<system>.yaml`.

A map says two things that are easily confused. A label's `ours` says which of our categories the label stands for when the system gives
it; `scope` says whether the system is meant for a category at all, so that a figure is not read as the failure of what nobody set out to do.
"""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from crisis_filter import assets
from crisis_filter.errors import AssetError
from crisis_filter.schema import PromptRef, Record
from crisis_filter.taxonomy.load import load_taxonomy, read_mapping
from crisis_filter.taxonomy.records import CategoryId, Line

__all__ = ["Label", "Mark", "Source", "TaxonomyMap", "load_map", "map_names"]

KIND = "categories/maps"
Mark = Literal["direct", "partial", "none"]
"""`direct`: the system names the category as such, or one that holds it whole. `partial`: some of it, or as part of something else.
`none`: the system is not meant for it."""


class Label(Record):
    """One word of the other system's closed vocabulary."""

    id: Line
    """As the system writes it."""
    name: Line
    """As its documentation calls it."""
    ours: tuple[CategoryId, ...]
    """The categories it stands for: several where the system does not tell them apart, none where it is about something else."""


class Source(Record):
    """Where the labels are documented."""

    url: Line
    looked_at: date


class TaxonomyMap(Record):
    """How another system's labels read in one of our taxonomies."""

    id: Line
    """The file's name."""
    title: Line
    taxonomy: Line
    """Id of our taxonomy."""
    detectors: tuple[Line, ...] = Field(min_length=1)
    """Names of the detectors whose labels these are, as in `baseline:NAME`."""
    sources: tuple[Source, ...] = Field(min_length=1)
    scope: dict[CategoryId, Mark]
    """A mark for each of our categories, in the taxonomy's order."""
    labels: tuple[Label, ...] = Field(min_length=1)
    note: Line | None = None
    """What a reader of its figures has to know."""
    sha256: str

    @property
    def ref(self) -> PromptRef:
        """Identity for provenance."""
        return PromptRef(id=f"maps/{self.id}", sha256=self.sha256)

    @property
    def vocabulary(self) -> frozenset[str]:
        """Ids of all labels."""
        return frozenset(label.id for label in self.labels)

    def ours(self, labels: tuple[str, ...]) -> tuple[str, ...]:
        """Our categories that these labels stand for, each once, in the taxonomy's order; empty where none of them is one of ours.

        Args:
            labels: ids; those that are not in the vocabulary count for nothing.
        """
        found = {category for label in self.labels if label.id in labels for category in label.ours}
        return tuple(category for category in self.scope if category in found)

    def in_scope(self) -> tuple[str, ...]:
        """The categories that are marked `direct` or `partial`, in order."""
        return tuple(category for category, mark in self.scope.items() if mark != "none")

    @model_validator(mode="after")
    def _marks_and_labels_agree(self) -> Self:
        ids = [label.id for label in self.labels]
        if len(set(ids)) < len(ids):
            raise ValueError("labels repeat an id")
        reached = {category for label in self.labels for category in label.ours}
        if strangers := sorted(reached - set(self.scope)):
            raise ValueError(f"labels name {', '.join(strangers)}, which scope does not mark")
        for category, mark in self.scope.items():
            if (mark == "none") != (category not in reached):
                said = "no label stands for it" if category not in reached else "a label stands for it"
                raise ValueError(f"scope.{category} is {mark!r}, but {said}")
        return self


def map_names() -> tuple[str, ...]:
    """Names of the bundled maps, sorted."""
    return assets.names(KIND, ".yaml")


def load_map(name: str) -> TaxonomyMap:
    """Load a map by its own name (`llama-guard-3`), by that of a detector it serves (`llama-guard-3-8b`), or by the path of a file.

    Raises:
        AssetError: there is none, or it is malformed: an unknown key or category, a category without a mark, a mark that the labels
            contradict, a label twice; names the file and the field.
    """
    if name not in map_names() and (path := _serving(name)) is not None:
        return _read(path)
    return _read(assets.find(KIND, name, ".yaml"))


def _serving(detector: str) -> Path | None:
    for name in map_names():
        path = assets.find(KIND, name, ".yaml")
        served = read_mapping(path).get("detectors")
        if isinstance(served, list) and detector in served:
            return path
    return None


@lru_cache(maxsize=8)
def _ids(taxonomy: str) -> tuple[str, ...]:
    """A released taxonomy never changes, and its pages take longer to read than all maps."""
    return load_taxonomy(taxonomy).ids


def _read(path: Path) -> TaxonomyMap:
    fields: dict[str, Any] = read_mapping(path)
    if fields.get("id") != path.stem:
        raise AssetError(f"{path}: 'id' must equal the file name {path.stem!r}")
    digest = assets.sha256(assets.read_text(path).encode())
    try:
        found = TaxonomyMap.model_validate({**fields, "sha256": digest})
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise AssetError(f"{path}: {where}: {first['msg']}") from None
    wanted = _ids(found.taxonomy)
    if strangers := sorted(set(found.scope) - set(wanted)):
        raise AssetError(f"{path}: scope: {', '.join(strangers)} is no category of {found.taxonomy}")
    if missing := [category for category in wanted if category not in found.scope]:
        raise AssetError(f"{path}: scope: there is no mark for {', '.join(missing)}")
    return found.model_copy(update={"scope": {category: found.scope[category] for category in wanted}})
