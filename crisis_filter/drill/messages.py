"""The messages of a drill: clear crises, clearly ordinary ones, and attacks on the model that judges them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from pydantic import ValidationError

from crisis_filter import assets
from crisis_filter.errors import AssetError
from crisis_filter.schema import Message, Record
from crisis_filter.text import chunks

RowT = TypeVar("RowT", bound=Record)

SET, ATTACKS = "drill-v1", "attacks-v1"
_STRIDE = 13

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


def spread(rows: Sequence[Labelled], count: int, turn: int = 0) -> tuple[Labelled, ...]:
    """So many messages, taken evenly from the whole file, because a file is in the order of its categories.

    Args:
        rows: to take from.
        count: how many; all of them where there are fewer.
        turn: where to begin, so that each fault meets others; any number of 0 and above.
    """
    whole = len(rows)
    count = min(count, whole)
    # A stride without a common factor takes a small drill through all categories as well.
    start = turn * _STRIDE
    return tuple(rows[(i * whole // count + start) % whole] for i in range(count))


def interleaved(messages: DrillMessages, count: int, turn: int = 0) -> tuple[Labelled, ...]:
    """So many messages, a crisis and an ordinary one in turn."""
    pairs = zip(
        spread(messages.crises, -(-count // 2), turn), spread(messages.ordinary, -(-count // 2), turn), strict=False
    )
    return tuple(row for pair in pairs for row in pair)[:count]


def singled_out(messages: DrillMessages) -> tuple[Labelled, ...]:
    """The ordinary messages that `lengthened` puts into one piece and never pads with."""
    return messages.ordinary[1::2]


def lengthened(
    messages: DrillMessages, count: int, turn: int = 0, *, size: int, overlap: int, crisis: bool = True
) -> tuple[Labelled, ...]:
    """Messages of two pieces: short ordinary ones strung together, and at the end or the beginning one that is in one piece only.

    Args:
        messages: what they are made of.
        count: how many.
        turn: as for `spread`.
        size: most code points in a piece.
        overlap: code points that neighbours share.
        crisis: whether the one is a crisis, or of those that are singled out.

    Returns:
        Fewer than `count`, or none, where the messages do not fit into pieces so small.
    """
    ones = messages.crises if crisis else singled_out(messages)
    fitting = [row for row in ones if len(row.text) <= size // 2 - overlap]
    apart = [row.text for row in singled_out(messages)]
    short = [row.text for row in messages.ordinary if row.text.isascii() and len(row.text) <= size // 4]
    padding = [text for text in short if not any(other in text for other in apart)]
    if not padding or not fitting:
        return ()
    made = []
    for number, row in enumerate(spread(fitting, count, turn)):
        filler = _strung(padding, size + overlap // 2, turn + number)
        text = "\n".join([row.text, filler] if (turn + number) % 2 else [filler, row.text])
        if sum(row.text in piece for piece in chunks(text, size=size, overlap=overlap)) == 1:
            made.append(row.model_copy(update={"id": f"{row.id}/long/{turn}", "text": text}))
    return tuple(made)


def _strung(texts: Sequence[str], length: int, start: int) -> str:
    """Texts from the one of a number on, a line each, again and again, of at least this length."""
    lines: list[str] = []
    while sum(map(len, lines)) < length:
        lines.append(texts[(start + len(lines)) % len(texts)])
    return "\n".join(lines)


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
