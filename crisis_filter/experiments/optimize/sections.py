"""A prompt's stable part, cut into what may be rewritten and what is held.

Held are template blocks, headings, and every paragraph or list item that speaks of the nonce, the fence, JSON or a field of the answer: what
makes an answer readable and keeps the message data is no matter of taste. The rest of each section is one part, small enough for a small
model to rewrite whole; a small model that is given the whole template loses its loops or its form of answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from crisis_filter.errors import ConfigurationError

__all__ = ["EXPRESSION", "PROTOCOL", "Piece", "Template", "cut"]

PROTOCOL = re.compile(r"\b(?:nonces?|fences?|json)\b", re.IGNORECASE)
"""Words of the way in which a message is handed over and answered."""
EXPRESSION = re.compile(r"\{\{.*?\}\}", re.DOTALL)
"""A variable of the template."""
_OPENS = re.compile(r"\{%-?\s*(?:for|if|macro|filter|call|block|with|autoescape|raw)\b")
_CLOSES = re.compile(r"\{%-?\s*end\w+")
_ITEM = re.compile(r"\s*(?:[-*+]|\d+[.)])\s")
_HEADING = re.compile(r"#{1,6}\s")
_SHORTEST = 60
"""Characters; shorter stretches between held ones say too little to be rewritten."""
_FIRST = "Opening"


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of the template."""

    text: str
    name: str | None = None
    """Of the part that it is; `None` for what is held."""


@dataclass(frozen=True, slots=True)
class Template:
    """A stable part in pieces; all of them together are the template, to the byte."""

    pieces: tuple[Piece, ...]

    @property
    def parts(self) -> dict[str, str]:
        """What may be rewritten: text by name, in the template's order."""
        return {piece.name: piece.text for piece in self.pieces if piece.name is not None}

    def with_parts(self, parts: Mapping[str, str]) -> str:
        """The template with other texts in place of its parts; a part that is not given stays."""
        return "".join(piece.text if piece.name is None else parts.get(piece.name, piece.text) for piece in self.pieces)


def cut(system: str, fields: Sequence[str]) -> Template:
    """Cut a template.

    Args:
        system: the stable part of a prompt.
        fields: of the answer, whose names in backticks hold the item in which they stand.

    Raises:
        ConfigurationError: nothing in it may be rewritten.
    """
    named = re.compile("|".join([PROTOCOL.pattern, *(f"`{re.escape(field)}`" for field in fields)]), re.IGNORECASE)
    pieces: list[Piece] = []
    seen: dict[str, int] = {}
    section = _FIRST
    for free, text in _stretches(system, named):
        if (title := _title(text)) is not None:
            section = title
        bare = text.strip("\n")
        if not free or len(bare) < _SHORTEST or not re.search(r"\w", EXPRESSION.sub("", bare)):
            pieces.append(Piece(text))
            continue
        seen[section] = seen.get(section, 0) + 1
        name = section if seen[section] == 1 else f"{section} ({seen[section]})"
        before, _, after = text.partition(bare)
        pieces += [Piece(before), Piece(bare, name), Piece(after)]
    if not seen:
        raise ConfigurationError(
            "nothing in this prompt may be rewritten: its stable part holds template blocks and the form of the answer alone"
        )
    return Template(tuple(piece for piece in pieces if piece.text))


def _stretches(system: str, named: re.Pattern[str]) -> Iterator[tuple[bool, str]]:
    """Neighbouring items of one kind: whether they are free, and their text. A heading stands alone."""
    free, text = False, ""
    for item_free, item in _items(system, named):
        # Blank lines go with what stands before them.
        if text and (not item.strip() or (item_free == free and _title(item) is None and _title(text) is None)):
            text += item
            continue
        if text:
            yield free, text
        free, text = item_free, item
    if text:
        yield free, text


def _items(system: str, named: re.Pattern[str]) -> Iterator[tuple[bool, str]]:
    """Headings, blank lines, template blocks, paragraphs and list items, each with its line breaks."""
    depth, comment = 0, False
    item, held = "", False
    for line in re.findall(r"[^\n]*\n|[^\n]+", system):
        template = depth > 0 or comment or "{%" in line or "{#" in line or line.count("{{") != line.count("}}")
        alone = template or not line.strip() or _HEADING.match(line) is not None
        if item and (alone or _ITEM.match(line)):
            yield not held, item
            item, held = "", False
        depth = max(0, depth + len(_OPENS.findall(line)) - len(_CLOSES.findall(line)))
        if "{#" in line or comment:
            comment = "#}" not in line.rpartition("{#")[2]
        if alone:
            yield False, line
        else:
            item, held = item + line, held or named.search(line) is not None
    if item:
        yield not held, item


def _title(text: str) -> str | None:
    """The words of a heading of the first order; `None` for anything else."""
    if not text.startswith("# "):
        return None
    return " ".join(EXPRESSION.sub("…", text.split("\n", 1)[0][2:]).split()) or "Section"
