"""How a run was made: one file is one configuration, or its figures are of nothing in particular."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from crisis_filter.errors import InputError
from crisis_filter.evaluation.rows import Row
from crisis_filter.schema import Provenance
from crisis_filter.tables.flat import named

__all__ = ["Made", "short"]

_SETTINGS = ("detector", "prompts", "taxonomy", "policy")


def short(place: str) -> str:
    """The line of a place, without the file."""
    return place.rsplit(": ", maxsplit=1)[-1]


class Made:
    """Who judged, gathered over a file.

    Args:
        path: the file.
        taxonomy: id of the one that its categories must be of.
    """

    def __init__(self, path: Path, taxonomy: str) -> None:
        self.path = path
        self.wanted = taxonomy
        self.first: tuple[object, ...] | None = None
        self.place = ""
        self.detectors: dict[str, None] = {}
        self.models: dict[str, None] = {}
        self.versions: dict[str, None] = {}
        self.prompts: tuple[str, ...] = ()
        self.policy = self.taxonomy = ""

    def add(self, how: Provenance, place: str) -> None:
        """One assessment's provenance.

        Raises:
            InputError: it is not that of the first, or of another taxonomy than the evaluation's.
        """
        cascade = None if how.cascade is None else (how.cascade.engine, how.cascade.clearing)
        settings = (how.detector, how.prompts, how.taxonomy, how.policy, cascade)
        if self.first is None:
            self._begin(how, place)
            self.first = settings
        elif settings != self.first:
            names = (*_SETTINGS, "engine or clearing threshold")
            other = next(name for name, one, two in zip(names, settings, self.first, strict=True) if one != two)
            raise InputError(
                f"{place}: made with another {other} than {short(self.place)}; put each configuration in a file of its own"
            )
        # Of what a cascade cleared the model is the engine, which is part of the configuration.
        if how.model is not None and (how.cascade is None or how.cascade.step != "cleared"):
            self.models[how.model] = None
        self.versions[how.version] = None

    def _begin(self, how: Provenance, place: str) -> None:
        self.place = place
        self.detectors[how.detector] = None
        self.prompts = tuple(named(ref) for ref in how.prompts)
        self.policy = named(how.policy) if how.policy else ""
        if how.taxonomy is not None:
            self._judged_by(named(how.taxonomy), place)

    def _judged_by(self, taxonomy: str, place: str) -> None:
        self.taxonomy = taxonomy
        if (own := taxonomy.split(" ", maxsplit=1)[0]) != self.wanted:
            raise InputError(
                f"{place}: judged by the taxonomy {own}, and the labels are read by {self.wanted}; choose with --taxonomy"
            )

    def plain(self, row: Row) -> None:
        """What a row of a table says of who judged.

        Raises:
            InputError: it is not what the first row says, or another taxonomy.
        """
        settings = tuple(_told(row, name) for name in _SETTINGS)
        if self.first is None:
            self.first, self.place = settings, row.place
            _, prompts, taxonomy, policy = settings
            self.prompts = tuple(one for part in (prompts or "").split("|") if (one := part.strip()))
            self.policy = policy or ""
            if taxonomy is not None and "detector" in row.fields:
                self._judged_by(taxonomy, row.place)
        elif settings != self.first:
            other = next(name for name, one, two in zip(_SETTINGS, settings, self.first, strict=True) if one != two)
            raise row.wrong(other, f"is not that of {short(self.place)}; put each configuration in a file of its own")
        for name, seen in (("detector", self.detectors), ("model", self.models), ("version", self.versions)):
            if (word := row.word(name)) is not None:
                seen[word] = None

    def warnings(self) -> Iterator[str]:
        """What changed on the way without being another configuration."""
        for what, seen in (("models", self.models), ("versions of this package", self.versions)):
            if len(seen) > 1:
                yield f"{self.path.name}: {len(seen)} {what} answered"


def _told(row: Row, name: str) -> str | None:
    """A field of a table, the items of a list joined as CSV has them."""
    value = row.fields.get(name)
    return " | ".join(map(str, value)) or None if isinstance(value, list) else row.word(name)
