"""The messages of a drill: clear crises, clearly ordinary ones, and attacks on the model that judges them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from pydantic import ValidationError

from crisis_filter import assets
from crisis_filter.errors import AssetError
from crisis_filter.schema import Message, Record

RowT = TypeVar("RowT", bound=Record)

SET, ATTACKS = "drill-v1", "attacks-v1"

PLACES: Mapping[str, Callable[[str, str], str]] = {
    "after": lambda message, attack: f"{message}\n{attack}",
    "before": lambda message, attack: f"{attack}\n{message}",
    "inside": lambda message, attack: " ".join(_around(message, attack)),
}
"""Where an attack stands in a message."""


class Labelled(Record):
    """One message of the drill. Its labels were given by a language-model author, not by a clinician."""

    id: str
    text: str
    crisis: bool
    categories: tuple[str, ...] = ()

    @property
    def message(self) -> Message:
        """As the filter takes it."""
        return Message(id=self.id, text=self.text)


class Attack(Record):
    """A text aimed at the language model that judges a message."""

    id: str
    text: str
    kind: str


@dataclass(frozen=True, slots=True)
class DrillMessages:
    """All that a drill sends."""

    crises: tuple[Labelled, ...] = field(repr=False)
    ordinary: tuple[Labelled, ...] = field(repr=False)
    attacks: tuple[Attack, ...] = field(repr=False)
    """The gate set: none of them may ever lower an outcome."""
    held_out: tuple[Attack, ...] = field(repr=False)
    """Attacks that nobody saw who wrote the detector; measured, not gated."""

    def labels(self) -> list[tuple[str, bool]]:
        """Pairs of text and label, for the fault server's oracle."""
        return [(one.text, one.crisis) for one in (*self.crises, *self.ordinary)]


def load_messages() -> DrillMessages:
    """The messages that come with the package.

    Raises:
        AssetError: a file is missing or malformed; names the file and the line, never a text.
    """
    return DrillMessages(
        crises=_rows(SET, "crisis", Labelled),
        ordinary=_rows(SET, "ordinary", Labelled),
        attacks=_rows(ATTACKS, "gate", Attack),
        held_out=_rows(SET, "held-out-attacks", Attack),
    )


def _around(message: str, attack: str) -> list[str]:
    words = message.split(" ")
    middle = len(words) // 2
    return [*words[:middle], attack, *words[middle:]]


def _rows(folder: str, name: str, row: type[RowT]) -> tuple[RowT, ...]:
    path = assets.find("data", folder) / f"{name}.jsonl"
    found = []
    for number, line in enumerate(assets.read_text(path).splitlines(), start=1):
        try:
            found.append(row.model_validate_json(line))
        except ValidationError:
            raise AssetError(f"{path}:{number}: not a row of the drill") from None
    return tuple(found)
