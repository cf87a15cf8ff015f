"""JSON Lines: one object a line. JSON that does not parse is an unreadable row, never repaired."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from crisis_filter.errors import InputError
from crisis_filter.tables.formats import ID_COLUMNS, TEXT_COLUMNS, listed, text_candidates, text_column
from crisis_filter.tables.lines import MAX_LINE_CHARS, Line
from crisis_filter.tables.openai_batch import BODY, Asked, last_words
from crisis_filter.tables.plain import TOO_LONG
from crisis_filter.tables.rows import SEVERAL, Row, instead_of, repaired_text

if TYPE_CHECKING:
    from collections.abc import Iterator

# Rows looked at for the name of the text before the file as a whole is held to have none.
_PATIENCE = 100
# And how long their lines may be together: parsed, they take several times as much.
_HELD_CHARS = 2 * MAX_LINE_CHARS


class _RepeatedKeyError(ValueError):
    pass


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object whose keys are all different: of two texts under one key either could be the one that matters."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _RepeatedKeyError
    return found


def _parsed(line: Line) -> dict[str, object] | Row:
    """The object on a line, or the row that tells why there is none."""
    if line.overlong:
        return Row(line.number, reason=TOO_LONG)
    try:
        value = json.loads(line.text, object_pairs_hook=_once)
    except _RepeatedKeyError:
        return Row(line.number, reason="a key occurs twice in an object")
    except RecursionError:
        return Row(line.number, reason="the JSON is nested too deeply")
    except ValueError:
        return Row(line.number, reason="not valid JSON")
    if not isinstance(value, dict):
        return Row(line.number, reason="not a JSON object")
    return value


def _id_of(fields: dict[str, object], id_keys: tuple[str, ...]) -> str | None:
    """The first usable id of these fields; true, 1.0, null and an empty text are not what anybody means by one."""
    for key in id_keys:
        given = fields.get(key)
        if isinstance(given, int | str) and not isinstance(given, bool) and given != "":
            return str(given)
    return None


def _rivals(fields: dict[str, object], text_name: str | None, text_key: str) -> bool:
    """Whether another field could hold the text as well, and is not empty."""
    others = (fields[key] for key in text_candidates(tuple(fields), text_name) if key != text_key)
    return any(other is not None and other != "" for other in others)


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the objects of a file have their texts and ids."""

    text_key: str
    text_name: str | None
    id_keys: tuple[str, ...]
    batch: bool = False
    """The text is within the body of a request to a language model."""

    def row(self, line: Line, fields: dict[str, object]) -> Row:
        row_id = _id_of(fields, self.id_keys)
        if _rivals(fields, self.text_name, self.text_key):  # to choose one would lose the other in silence
            return Row(line.number, None, row_id, reason=SEVERAL)
        if self.text_key not in fields:
            return Row(line.number, None, row_id, reason="the text is missing")
        value = fields[self.text_key]
        if self.batch:
            asked = last_words(value)
        else:
            asked = Asked(value) if isinstance(value, str) else Asked(reason=instead_of(value))
        if asked.text is None:
            return Row(line.number, None, row_id, reason=asked.reason)
        text, repaired = repaired_text(asked.text)
        return Row(line.number, text, row_id, repaired or line.repaired or asked.partial)


def _is_batch(fields: dict[str, object]) -> bool:
    """Whether this is a line of a file for OpenAI's Batch API, and nothing beside the body could be the text."""
    return "custom_id" in fields and isinstance(fields.get(BODY), dict) and not _rivals(fields, None, BODY)


def _layout(
    fields: dict[str, object], text_name: str | None, id_name: str | None, source: str, *, batch: bool
) -> _Layout | None:
    """The layout of a file with this object in it, or `None` when the object has nothing that could be the text."""
    if batch or (text_name is None and _is_batch(fields)):
        found = isinstance(fields.get(BODY), dict)
        return _Layout(BODY, None, (id_name or "custom_id",), batch=True) if found else None
    if not text_candidates(tuple(fields), text_name):
        return None
    return _Layout(text_column(tuple(fields), text_name, source), text_name, (id_name,) if id_name else ID_COLUMNS)


def json_rows(
    lines: Iterator[Line], *, text_name: str | None, id_name: str | None, source: str, batch: bool = False
) -> Iterator[Row | None]:
    """Rows of a JSON Lines file; `None` for a blank line.

    The field with the text is settled by the first object that has one. Objects before it are held, at most `_PATIENCE` from lines
    of `_HELD_CHARS` code points. A later
    object that has another such field besides, and not an empty one, is an unreadable row, unless the field was named.
    The field with the id is looked for in each object: the first of its names with a text or a whole number counts.

    Where that first object is a request of OpenAI's Batch API, and no field is named, the text of every row is what
    `openai_batch.last_words` says.

    Args:
        lines: physical lines.
        text_name: name of the field with the text, or `None` to find it; not used with `batch`.
        id_name: name of the field with the id, or `None` to find it.
        source: what errors call the input.
        batch: the file is for OpenAI's Batch API, whatever it looks like.

    Raises:
        InputError: when the first objects have no field for the text, or one of them several.
    """
    layout: _Layout | None = None
    held: list[tuple[Line, dict[str, object] | Row]] = []
    chars = 0
    for line in lines:
        if not line.text.strip() and not line.overlong:
            yield None
            continue
        fields = _parsed(line)
        if isinstance(fields, Row) and not held:
            yield fields
            continue
        held.append((replace(line, text=""), fields))
        chars += len(line.text)
        if not isinstance(fields, Row) and layout is None:
            layout = _layout(fields, text_name, id_name, source, batch=batch)
        if layout is not None:
            for at, found in held:
                yield found if isinstance(found, Row) else layout.row(at, found)
            held.clear()
        elif len(held) >= _PATIENCE or chars > _HELD_CHARS:
            break
    if held:
        raise InputError(_nothing(held, text_name, source, batch=batch))


def _nothing(
    held: list[tuple[Line, dict[str, object] | Row]], text_name: str | None, source: str, *, batch: bool
) -> str:
    if batch:
        return f"{source}: no object has a body with messages. Leave out --format, or choose another"
    names = tuple(dict.fromkeys(name for _, found in held if isinstance(found, dict) for name in found))
    wanted = repr(text_name) if text_name else " or ".join(TEXT_COLUMNS)
    return f"{source}: no object has a field called {wanted}. Fields: {listed(names)}. Choose one with --text-column"
