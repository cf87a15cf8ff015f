"""Files for OpenAI's Batch API: of each request, what its user said last.

A line is `{"custom_id": ..., "method": "POST", "url": "/v1/...", "body": {...}}`; the body is that of a chat completion
(`messages`), or of a response, a moderation or an embedding (`input`). See
<https://platform.openai.com/docs/guides/batch>.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from crisis_filter.tables.rows import SEVERAL, instead_of

BODY = "body"
_PLACES = ("messages", "input", "prompt")
_USER = "user"
# A role that is none of these may be a platform's own word for its users.
_OTHER_ROLES = frozenset({"assistant", "developer", "function", "system", "tool"})
_TEXT_PARTS = ("text", "input_text")


@dataclass(frozen=True, slots=True)
class Asked:
    """What one object says, or why that cannot be told."""

    text: str | None = field(default=None, repr=False)
    partial: bool = False
    """There were parts besides that are no text, such as pictures."""
    reason: str = ""
    """In fixed words of ours; empty when there is a text."""


def last_words(body: object) -> Asked:
    """The content of the last message of the user in the body of a request: a text, or its text parts on lines of their own.

    One text as the whole `input` counts as such a message. What the user said earlier is left out, as is what others said.
    Several inputs, parts that hold no text at all, and messages of which it cannot be told whose they are have no text.
    """
    if not isinstance(body, dict):
        return Asked(reason=instead_of(body, "the body of a request"))
    places = [place for place in _PLACES if body.get(place) not in (None, "", [])]
    if len(places) > 1:
        return Asked(reason=SEVERAL)
    if "messages" in places:
        return _last_of_user(body["messages"])
    if "input" in body and places in ([], ["input"]):
        return _input(body["input"])
    return Asked(reason="the body has neither messages nor an input")


def _input(value: object) -> Asked:
    if not isinstance(value, list):
        return _content(value)
    if any(isinstance(item, dict) and "role" in item for item in value):
        return _last_of_user(value)
    if any(isinstance(item, str) for item in value):
        return _content(value[0]) if len(value) == 1 else Asked(reason="several inputs")
    return _content(value)


def _last_of_user(messages: object) -> Asked:
    if not isinstance(messages, list):
        return Asked(reason=instead_of(messages, "messages"))
    for message in reversed(messages):
        if not isinstance(message, dict):
            return Asked(reason=instead_of(message, "a message"))
        role = message.get("role")
        known = role.strip().casefold() if isinstance(role, str) else None
        if known == _USER:
            return _content(message.get("content"))
        if known not in _OTHER_ROLES and not _is_call(message):
            return Asked(reason="a message whose role is not known")
    return Asked(reason="no message of the user")


def _is_call(item: dict[str, object]) -> bool:
    """Whether an item of an input is no message, but a call of a tool, its output, or the like."""
    return isinstance(kind := item.get("type"), str) and kind != "message" and not {"role", "content"} & item.keys()


def _content(value: object) -> Asked:
    if isinstance(value, str):
        return Asked(value)
    if not isinstance(value, list):
        return Asked(reason=instead_of(value))
    texts: list[str] = []
    for part in value:
        if not isinstance(part, dict):
            return Asked(reason=instead_of(part, "a part of a message"))
        text = part.get("text")
        if isinstance(text, str):
            texts.append(text)
        elif part.get("type") in _TEXT_PARTS:
            return Asked(reason="a part of the text is missing")
    partial = len(texts) < len(value)
    joined = "\n".join(texts)
    # A picture with blank words beside it is not an empty message, which may be set aside.
    if not texts or (partial and not joined.strip()):
        return Asked(reason="no part of the message is a text")
    return Asked(joined, partial)
