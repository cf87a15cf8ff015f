"""JSON Lines whose objects are not all alike: no text is left out in silence, and no id that could be used."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crisis_filter.schema import Message
from crisis_filter.tables.formats import TEXT_COLUMNS
from crisis_filter.tables.reading import MessageReader, read_messages


def read(*rows: object, text_column: str | None = None) -> tuple[list[Message], MessageReader]:
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    reader = read_messages("-", format="jsonl", stdin=io.BytesIO(data), text_column=text_column)
    return list(reader), reader


SEVERAL = "several fields could hold the text"


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"text": "hi", "message": "b"}, None),
        ({"text": "", "Body": "b"}, None),
        ({"text": "hi", "TEXT": "b"}, None),
        ({"text": "hi", "content": {"parts": ["b"]}}, None),
        ({"text": None, "message": "b"}, None),
        ({"text": "hi", "message": " "}, None),
        ({"text": "hi", "message": None, "body": ""}, "hi"),
        ({"text": "hi", "note": "b"}, "hi"),
    ],
)
def test_a_later_object_with_two_texts(row: object, text: str | None) -> None:
    """Cannot be read, because either could be the one that matters; an empty field is no text."""
    messages, reader = read({"text": "a"}, row, {"text": "c"})
    assert [(m.text, m.unreadable) for m in messages] == [("a", False), (text or "", text is None), ("c", False)]
    assert [u.reason for u in reader.report.first_unreadable] == ([SEVERAL] if text is None else [])


def test_a_named_field_needs_no_guess() -> None:
    """Where the field is named others are no texts, but for one of its name in other letters."""
    rows = {"text": "a"}, {"text": "b", "message": "c"}, {"text": "d", "TEXT": "e"}
    assert [m.text for m in read(*rows, text_column="text")[0]] == ["a", "b", "d"]
    messages, reader = read(*rows, text_column="Text")
    assert [m.text for m in messages] == ["a", "b", ""]
    assert [(u.line, u.reason) for u in reader.report.first_unreadable] == [(3, SEVERAL)]


@given(st.lists(st.dictionaries(st.sampled_from([*TEXT_COLUMNS, "Text", "note"]), st.text(max_size=5)), max_size=5))
def test_no_text_is_left_out_in_silence(rows: list[dict[str, str]]) -> None:
    """Whatever stands in a field for texts reaches a message, or its row says that it could not be read."""
    messages, _ = read({"text": "first"}, *rows)
    for row, message in zip(rows, messages[1:], strict=True):
        words = [value for name, value in row.items() if name != "note" and value]
        assert message.unreadable or words == [message.text] * bool(message.text)


@pytest.mark.parametrize(
    ("row", "wanted"),
    [
        ({"id": None, "message_id": 5}, "5"),
        ({"id": 1.5, "message_id": "", "custom_id": "c"}, "c"),
        ({"id": True, "custom_id": 0}, "0"),
        ({"id": "a", "message_id": 5}, "a"),
        ({"id": None}, "stdin:1"),
    ],
)
def test_the_first_usable_id_counts(row: dict[str, object], wanted: str) -> None:
    """One that is none does not hide the next."""
    assert [m.id for m in read({**row, "text": "a"})[0]] == [wanted]
