"""JSON Lines: one object a line. JSON that does not parse is an unreadable row, never repaired."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from crisis_filter.errors import InputError
from crisis_filter.tables.formats import ID_COLUMNS, TEXT_COLUMNS, listed, text_candidates, text_column
from crisis_filter.tables.plain import TOO_LONG
from crisis_filter.tables.rows import Row, repaired_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crisis_filter.tables.lines import Line

# Rows looked at for the name of the text before the file as a whole is held to have none.
_PATIENCE = 100
_KINDS = {int: "a number", float: "a number", bool: "true or false", list: "an array", dict: "an object"}


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


def _row(line: Line, fields: dict[str, object], text_name: str | None, text_key: str, id_keys: tuple[str, ...]) -> Row:
    row_id = _id_of(fields, id_keys)
    if _rivals(fields, text_name, text_key):  # to choose one would lose the other in silence
        return Row(line.number, None, row_id, reason="several fields could hold the text")
    value = fields.get(text_key)
    if isinstance(value, str):
        text, repaired = repaired_text(value)
        return Row(line.number, text, row_id, repaired or line.repaired)
    if text_key not in fields:
        reason = "the text is missing"
    elif value is None:
        reason = "null instead of a text"
    else:
        reason = f"{_KINDS[type(value)]} instead of a text"
    return Row(line.number, None, row_id, reason=reason)


def json_rows(
    lines: Iterator[Line], *, text_name: str | None, id_name: str | None, source: str
) -> Iterator[Row | None]:
    """Rows of a JSON Lines file; `None` for a blank line.

    The field with the text is settled by the first object that has one. Rows before it are held, at most `_PATIENCE`. A later
    object that has another such field besides, and not an empty one, is an unreadable row, unless the field was named.
    The field with the id is looked for in each object: the first of its names with a text or a whole number counts.

    Raises:
        InputError: when the first objects have no field for the text, or one of them several.
    """
    id_keys = (id_name,) if id_name else ID_COLUMNS
    text_key: str | None = None
    held: list[tuple[Line, dict[str, object] | Row]] = []
    for line in lines:
        if not line.text.strip() and not line.overlong:
            yield None
            continue
        fields = _parsed(line)
        if isinstance(fields, Row) and not held:
            yield fields
            continue
        held.append((line, fields))
        if not isinstance(fields, Row) and text_key is None and text_candidates(tuple(fields), text_name):
            text_key = text_column(tuple(fields), text_name, source)
        if text_key is not None:
            for at, found in held:
                yield found if isinstance(found, Row) else _row(at, found, text_name, text_key, id_keys)
            held.clear()
        elif len(held) >= _PATIENCE:
            break
    if held:
        names = tuple(dict.fromkeys(name for _, found in held if isinstance(found, dict) for name in found))
        wanted = repr(text_name) if text_name else " or ".join(TEXT_COLUMNS)
        raise InputError(
            f"{source}: no object has a field called {wanted}. Fields: {listed(names)}. Choose one with --text-column"
        )
