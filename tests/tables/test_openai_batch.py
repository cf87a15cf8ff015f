"""Files for OpenAI's Batch API: the user's last words are read, and whatever else could be words is never passed over."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crisis_filter.errors import InputError
from crisis_filter.schema import Message
from crisis_filter.tables.reading import MessageReader, read_messages

PICTURE = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}


def request(body: object, custom_id: object = "a", **more: object) -> dict[str, object]:
    return {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body, **more}


def user(content: object, role: object = "user") -> dict[str, object]:
    return {"role": role, "content": content}


def chat(*messages: object) -> dict[str, object]:
    return {"model": "m", "messages": list(messages)}


def text(words: str, kind: str = "text") -> dict[str, object]:
    return {"type": kind, "text": words}


def read(
    *rows: object, format: str = "openai-batch", text_column: str | None = None, id_column: str | None = None
) -> tuple[list[Message], MessageReader]:
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    reader = read_messages("-", format=format, stdin=io.BytesIO(data), text_column=text_column, id_column=id_column)
    return list(reader), reader


SYSTEM, ANSWER = user("be kind", "system"), user("hello", "assistant")


@pytest.mark.parametrize(
    ("body", "words", "whole"),
    [
        (chat(user("hi")), "hi", True),
        (chat(SYSTEM, user("one"), ANSWER, user("two")), "two", True),
        (chat(user("one"), ANSWER), "one", True),
        (chat(user("one", "User ")), "one", True),
        (chat(user("one"), user("called", "tool"), user("old", "function"), user("x", "developer")), "one", True),
        (chat(5, user("hi")), "hi", True),
        (chat(user("")), "", True),
        (chat(user([text("one"), text("two")])), "one\ntwo", True),
        (chat(user([{"text": "one"}])), "one", True),
        (chat(user([text("one"), PICTURE])), "one", False),
        ({"input": "hi"}, "hi", True),
        ({"input": ""}, "", True),
        ({"input": ["hi"]}, "hi", True),
        ({"input": [text("one"), PICTURE]}, "one", False),
        ({"input": [SYSTEM, user([text("one", "input_text")])], "instructions": "be kind"}, "one", True),
        ({"input": [user("one"), {"type": "function_call_output", "call_id": "c", "output": "5"}]}, "one", True),
        ({"messages": [], "input": "hi"}, "hi", True),
    ],
)  # fmt: skip
def test_what_the_user_said_last(body: object, words: str, whole: bool) -> None:
    """Text parts are joined; a message with other parts besides is judged by its text, but can never end as not crisis."""
    messages, reader = read(request(body))
    assert [(m.id, m.text, m.unreadable, not m.flags) for m in messages] == [("a", words, False, whole)]
    assert reader.report.repaired == (not whole)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (request(chat(SYSTEM, ANSWER)), "no message of the user"),
        (request(chat(user("hi"), user("die", "human"))), "a message whose role is not known"),
        (request(chat(user("hi"), {"content": "die"})), "a message whose role is not known"),
        (request(chat(user("hi"), "die")), "a text instead of a message"),
        (request(chat(user(None))), "null instead of a text"),
        (request(chat({"role": "user"})), "null instead of a text"),
        (request(chat(user(5))), "a number instead of a text"),
        (request(chat(user([]))), "no part of the message is a text"),
        (request(chat(user([PICTURE]))), "no part of the message is a text"),
        (request(chat(user([PICTURE, text(" ")]))), "no part of the message is a text"),
        (request(chat(user([text("a"), "b"]))), "a text instead of a part of a message"),
        (request(chat(user([text("a"), {"type": "text", "text": 5}]))), "a part of the text is missing"),
        (request({"messages": {"role": "user"}}), "an object instead of messages"),
        (request({"input": ["a", "b"]}), "several inputs"),
        (request({"input": [1, 2]}), "a number instead of a part of a message"),
        (request({"input": None}), "null instead of a text"),
        (request({"input": "a", **chat(user("b"))}), "several fields could hold the text"),
        (request({"input": "a", "prompt": "b"}), "several fields could hold the text"),
        (request({"prompt": "b"}), "the body has neither messages nor an input"),
        (request({}), "the body has neither messages nor an input"),
        (request("die"), "a text instead of the body of a request"),
        (request(chat(user("hi")), text="die"), "several fields could hold the text"),
        ({"custom_id": "a"}, "the text is missing"),
    ],
)  # fmt: skip
def test_what_cannot_be_read(row: object, reason: str) -> None:
    """Where words may be the user's and cannot be told, the row says so under its id, and the next is read."""
    messages, reader = read(row, request(chat(user("next")), "b"))
    assert [(m.id, m.text, m.unreadable) for m in messages] == [("a", "", True), ("b", "next", False)]
    assert [u.reason for u in reader.report.first_unreadable] == [reason]


@pytest.mark.parametrize("format", ["jsonl", "openai-batch"])
def test_found_out_by_itself(format: str) -> None:
    """A body that is an object, beside a `custom_id`, is a request; one that is a text is a message as ever."""
    rows = {"note": 1}, request(chat(user("hi")), 7, text=None), request({"input": "there"}, None)
    messages, _ = read(*rows, format=format)
    assert [(m.id, m.text, m.unreadable) for m in messages] == [
        ("stdin:1", "", True),
        ("7", "hi", False),
        ("stdin:3", "there", False),
    ]
    messages, _ = read({"custom_id": 1, "body": "words"}, request(chat(user("hi"))), format="jsonl")
    assert [(m.text, m.unreadable) for m in messages] == [("words", False), ("", True)]


@pytest.mark.parametrize(
    ("row", "options"),
    [
        ({"body": chat(user("hi"))}, {}),
        (request(chat(user("hi"))), {"text_column": "body"}),
    ],
)
def test_not_a_request(row: object, options: dict[str, str]) -> None:
    """Without a `custom_id`, or where the field is named, an object stays what it is: no text."""
    messages, _ = read(row, format="jsonl", **options)
    assert [m.unreadable for m in messages] == [True]


def test_a_request_that_holds_a_text_as_well() -> None:
    """Which of the two is meant has to be said."""
    row = request(chat(user("hi")), text="words")
    with pytest.raises(InputError, match="several columns"):
        read(row, format="jsonl")
    assert [m.text for m in read(row, format="jsonl", text_column="text")[0]] == ["words"]


def test_ids_duplicates_and_repairs() -> None:
    """As for any JSON Lines: what is the same comes once, what was mended or is not whole is never the same."""
    rows = [request(chat(user(words))) for words in ("hi", "hi", "ho", "caf\ud800", "caf\ud800")]
    pictures = [request(chat(user([text("look"), {**PICTURE, "n": n}])), "b") for n in range(2)]
    messages, reader = read(*rows, *pictures)
    assert [(m.id, m.text, sorted(m.flags)) for m in messages] == [
        ("a", "hi", []),
        ("a", "ho", ["duplicate_id"]),
        ("a", "caf\ufffd", ["duplicate_id", "encoding_repaired"]),
        ("a", "caf\ufffd", ["duplicate_id", "encoding_repaired"]),
        ("b", "look", ["encoding_repaired"]),
        ("b", "look", ["duplicate_id", "encoding_repaired"]),
    ]
    assert reader.report.duplicates_dropped == 1
    messages, _ = read(request(chat(user("hi")), nr=5), id_column="nr")
    assert [m.id for m in messages] == ["5"]


def test_wrong_as_a_whole() -> None:
    """A column for the text makes no sense here, and neither does a file without a single request."""
    with pytest.raises(InputError, match="leave out --text-column"):
        read(request(chat(user("hi"))), text_column="body")
    with pytest.raises(InputError, match="no object has a body with messages"):
        read({"text": "hi"})
    assert read()[0] == []


words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=5).map(lambda w: f"<{w}>")
parts = st.lists(words.map(text) | st.just(PICTURE) | words | st.none(), max_size=3)
roles = st.sampled_from(["user", "USER", "assistant", "system", "human", None])
messages = st.builds(user, words | parts | st.none(), roles)


@given(st.lists(messages | words, max_size=4))
def test_the_last_words_are_never_passed_over(said: list[object]) -> None:
    """Of what comes last, and is not plainly somebody else's, every word is in the message, or the row is unreadable."""
    found, _ = read(request(chat(*said)))
    others = {"assistant", "system"}
    mine = [m for m in said if not isinstance(m, dict) or m["role"] not in others]
    if found[0].unreadable or not mine:
        assert found[0].unreadable
        return
    last = mine[-1]
    assert isinstance(last, dict)
    content = last["content"]
    given = [content] if isinstance(content, str) else [p["text"] for p in content if "text" in p]
    assert found[0].text == "\n".join(given)
    assert bool(found[0].flags) == ((isinstance(content, list) and len(given) < len(content)) or "\0" in found[0].text)
